"""`cscelab query IMAGE`: the images of a folder's index that are nearest to others, as a table or JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cscelab.datasets.decoding import UnreadableImageError, decode
from cscelab.photoindex.encoder import BATCH, Model
from cscelab.photoindex.lookup import PhotoIndex
from cscelab.photoindex.store import PhotoStore, Stored
from cscelab.photoindex.walk import shown

ITSELF = "the query itself"


@dataclass(frozen=True)
class Hit:
    """An image of the index, its distance in the layout's units, and whether it is the query's own file, unchanged."""

    id: int
    path: str  # below the folder
    distance: int
    itself: bool = False


@dataclass(frozen=True)
class Answer:
    """What was found for one image, nearest first, equal distances by id."""

    query: Path
    hits: tuple[Hit, ...]


def answer(
    index: PhotoIndex, images: Sequence[Path], k: int = 10, radius: int | None = None, others: bool = False
) -> list[Answer]:
    """The k nearest images of each, or all within a radius in the layout's units.

    A query that is in the index is found first, at distance 0; with `others` it is left out. Raises ValueError or
    OSError for an image that cannot be read, k < 1, a negative radius, an empty index, and an encoder that is gone.
    """
    if k < 1 or (radius is not None and radius < 0):
        raise ValueError(f"k is {k} and the radius {radius}; give at least 1 neighbour, or a radius of at least 0")
    n_stored = len(index.photos)
    own = _own(index, images)
    packed = np.stack(_query_codes(index, images, own))
    step = index.layout.hamming_per_unit
    found: list[tuple[np.ndarray, np.ndarray]]
    if radius is None:
        found = list(zip(*index.codes.search(packed, min(k + 1, n_stored)), strict=True))
    else:
        near = index.codes.search_radius(packed, min(step * radius, index.layout.width))
        cuts = near.lims[1:-1]
        found = list(zip(np.split(near.distances, cuts), np.split(near.ids, cuts), strict=True))
    answers = []
    for image, itself, (distances, ids) in zip(images, own, found, strict=True):
        hits = [
            Hit(item, os.fsdecode(index.photos[item].path), distance // step)
            for distance, item in zip(distances.tolist(), ids.tolist(), strict=True)
            if itself is None or item != itself.id
        ]
        if itself is not None and not others:
            hits.insert(0, Hit(itself.id, os.fsdecode(itself.path), 0, itself=True))
        answers.append(Answer(image, tuple(hits if radius is not None else hits[:k])))
    return answers


def table(index: PhotoIndex, answers: Sequence[Answer], radius: int | None = None) -> str:
    """A row for each image found: query, rank from 1, distance, path below the folder."""
    unit = index.layout.unit
    rows = [("query", "rank", "distance" if index.arity is None else f"distance_in_{unit}", "path")]
    for found in answers:
        query = shown(str(found.query))
        rows += [
            (query, str(rank), str(hit.distance), shown(hit.path) + (f"  ({ITSELF})" if hit.itself else ""))
            for rank, hit in enumerate(found.hits, 1)
        ]
        if not found.hits:
            rows.append((query, "-", "-", "nothing" + (f" within {radius} {unit}" if radius is not None else " else")))
    first, second, third, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(f"{q:<{first}}  {r:>{second}}  {d:>{third}}  {p}" for q, r, d, p in rows)


def as_json(index: PhotoIndex, answers: Sequence[Answer]) -> str:
    """{folder, encoder, unit, queries: [{query, neighbours: [{rank, distance, id, path, itself}]}]}; of a path that is
    no UTF-8, bytes stand as lone surrogates, as `os.fsdecode` has them."""
    queries = [
        {
            "query": str(found.query),
            "neighbours": [
                {"rank": rank, "distance": hit.distance, "id": hit.id, "path": hit.path, "itself": hit.itself}
                for rank, hit in enumerate(found.hits, 1)
            ],
        }
        for found in answers
    ]
    about = {"folder": str(index.folder), "encoder": index.encoder, "unit": index.layout.unit}
    return json.dumps(about | {"queries": queries}, indent=1)


def _own(index: PhotoIndex, images: Sequence[Path]) -> list[Stored | None]:
    """Of each image what the index holds of it, None where it isn't there or was changed since."""
    with PhotoStore(index.file) as store:
        return [
            next(filter(None, (_same(store, index.folder, path) for path in _names(image))), None) for image in images
        ]


def _names(image: Path) -> list[str]:
    """An image's absolute path as it was given, which may lead through links, and without them."""
    parent = os.path.realpath(image.parent)
    return [os.path.abspath(image), os.path.join(parent, image.name), os.path.realpath(image)]


def _same(store: PhotoStore, folder: Path, path: str) -> Stored | None:
    if not Path(path).is_relative_to(folder):
        return None
    stored = store.find(os.fsencode(Path(path).relative_to(folder).as_posix()))
    try:
        status = os.stat(path)
    except OSError:
        return None
    return stored if stored and (stored.size, stored.changed) == (status.st_size, status.st_mtime_ns) else None


def _query_codes(index: PhotoIndex, images: Sequence[Path], own: Sequence[Stored | None]) -> list[np.ndarray]:
    """Packed codes: the index's where it holds the image, encoded now, a batch at a time, where it doesn't."""
    codes = {row: stored.code for row, stored in enumerate(own) if stored is not None}
    new = [row for row in range(len(images)) if row not in codes]
    model = index.load() if new else None
    for start in range(0, len(new), BATCH):
        rows = new[start : start + BATCH]
        assert model is not None
        codes |= zip(rows, model.codes([_pixels(images[row], model) for row in rows]), strict=True)
    return [np.frombuffer(codes[row], np.uint8) for row in range(len(images))]


def _pixels(image: Path, model: Model) -> np.ndarray:
    try:
        return decode(image.read_bytes(), model.size, model.resize)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no image at {shown(str(image))}; check the path") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"{shown(str(image))} is a folder; name image files") from None
    except UnreadableImageError as error:
        raise ValueError(f"{shown(str(image))} {error}; give another file") from error
