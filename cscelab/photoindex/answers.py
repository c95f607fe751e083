"""`cscelab query IMAGE`: the images of a folder's index that are nearest to others, as a table or JSON."""

from __future__ import annotations

import filecmp
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cscelab.datasets.decoding import UnreadableImageError, decode
from cscelab.photoindex.encoder import BATCH, Model
from cscelab.photoindex.lookup import PhotoIndex, below, from_here
from cscelab.photoindex.notes import about
from cscelab.photoindex.store import Stored
from cscelab.photoindex.walk import shown

ITSELF, COPY = "the query itself", "the same bytes"
MOST_COMPARED = 1000  # files that a query's bytes are compared with


@dataclass(frozen=True)
class Hit:
    """An image of the index, its distance in the layout's units, whether it is the query's own file, unchanged, and
    whether it is another of the same bytes."""

    id: int
    path: str  # below the folder
    distance: int
    itself: bool = False
    copy: bool = False


@dataclass(frozen=True)
class Answer:
    """What was found for one image, nearest first, of equal distances copies first, then by id.

    tied: how many further images are as far away as the last one.
    """

    query: Path
    hits: tuple[Hit, ...]
    tied: int = 0


def answer(
    index: PhotoIndex, images: Sequence[Path], k: int = 10, radius: int | None = None, others: bool = False
) -> list[Answer]:
    """The k nearest images of each, or all within a radius in the layout's units.

    A query that is in the index is found first, at distance 0; with `others` it is left out. Raises ValueError or
    OSError for an image that cannot be read, k < 1, a negative radius, an empty index, and an encoder that is gone.
    """
    if radius is None and k < 1:
        raise ValueError(f"k is {k}; give at least 1 neighbour")
    if radius is not None and radius < 0:
        raise ValueError(f"the radius is {radius}; give at least 0")
    own = [_own(index, image) for image in images]
    queries = zip(images, own, _query_codes(index, images, own), strict=True)
    return [_nearest(index, image, itself, code, k, radius, others) for image, itself, code in queries]


def _nearest(
    index: PhotoIndex, query: Path, itself: Stored | None, code: np.ndarray, k: int, radius: int | None, others: bool
) -> Answer:
    ids = np.array(list(index.photos))
    away = np.bitwise_count(index.packed ^ code).sum(axis=1, dtype=np.int64) // index.layout.hamming_per_unit
    is_own = ids == (itself.id if itself is not None else -1)
    copies = np.isin(ids, _copies(index, query, ids[(away == 0) & ~is_own]))
    rows = np.flatnonzero(~is_own) if others else np.arange(len(ids))
    k = min(k, len(rows))
    last = radius if radius is not None else np.partition(away[rows], k - 1)[k - 1] if k else 0
    near = rows[away[rows] <= last]
    near = near[np.lexsort((~copies[near], ~is_own[near], away[near]))]  # stable: then by id
    taken = near if radius is not None else near[:k]
    hits = [
        Hit(item, os.fsdecode(index.photos[item].path), distance, bool(own), bool(copy))
        for item, distance, own, copy in zip(
            ids[taken].tolist(), away[taken].tolist(), is_own[taken], copies[taken], strict=True
        )
    ]
    return Answer(query, tuple(hits), len(near) - len(taken))


def _copies(index: PhotoIndex, query: Path, items: np.ndarray) -> list[int]:
    """Those of `items` whose files have the same bytes; of MOST_COMPARED at most, of the query's size, it is known."""
    try:
        size = query.stat().st_size
    except OSError:
        return []
    found = []
    for item in [item for item in items.tolist() if index.photos[item].size == size][:MOST_COMPARED]:
        try:
            if filecmp.cmp(query, index.path(item), shallow=False):
                found.append(item)
        except OSError:  # gone or closed since
            continue
    return found


def table(index: PhotoIndex, answers: Sequence[Answer], radius: int | None = None) -> str:
    """A row for each image found: query, rank from 1, distance, and its path as it opens from here."""
    unit = index.layout.unit
    rows = [("query", "rank", "distance" if index.arity is None else f"distance_in_{unit}", "path")]
    for found in answers:
        query = shown(str(found.query))
        for rank, hit in enumerate(found.hits, 1):
            remark = f"  ({ITSELF})" if hit.itself else f"  ({COPY})" if hit.copy else ""
            rows.append((query, str(rank), str(hit.distance), shown(from_here(index.path(hit.id))) + remark))
        if found.tied:
            rows.append((query, "-", str(found.hits[-1].distance), f"{found.tied:,} more at this distance"))
        if not found.hits:
            rows.append((query, "-", "-", "nothing" + (f" within {radius} {unit}" if radius is not None else " else")))
    first, second, third, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(f"{q:<{first}}  {r:>{second}}  {d:>{third}}  {p}" for q, r, d, p in rows)


def as_json(index: PhotoIndex, answers: Sequence[Answer]) -> str:
    """{folder, encoder, images, unit, unread, notes, queries: [{query, neighbours: [{rank, distance, id, path, file,
    itself, copy}], tied}]}.

    path: below the folder; file: absolute; tied: how many further images are as far away as the last; unread: see
    `PhotoIndex`. Of a path that is no UTF-8, bytes stand as lone surrogates, as `os.fsdecode` has them.
    """
    queries = [
        {
            "query": str(found.query),
            "neighbours": [
                {
                    "rank": rank, "distance": hit.distance, "id": hit.id, "path": hit.path,
                    "file": str(index.path(hit.id)), "itself": hit.itself, "copy": hit.copy,
                }
                for rank, hit in enumerate(found.hits, 1)
            ],
            "tied": found.tied,
        }
        for found in answers
    ]  # fmt: skip
    return json.dumps(about(index) | {"queries": queries}, indent=1)


def _own(index: PhotoIndex, image: Path) -> Stored | None:
    """What the index holds of an image, None where it isn't there or was changed since."""
    for path in below(index.folder, image):
        stored = index.by_path.get(os.fsencode(Path(path).relative_to(index.folder).as_posix()))
        try:
            status = os.stat(path)
        except OSError:
            continue
        if stored and (stored.size, stored.changed) == (status.st_size, status.st_mtime_ns):
            return stored
    return None


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
        raise IsADirectoryError(
            f"{shown(str(image))} is a folder; name image files, and what to search as --index FOLDER"
        ) from None
    except UnreadableImageError as error:
        raise ValueError(f"{shown(str(image))} {error}; give another file") from error
