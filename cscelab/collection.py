"""A Collection: queries and a database as one method codes them. What browsers and explorers look at."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock

from cscelab.codes import pack, unpack
from cscelab.datasets import DataConfig, data_fingerprint, load_data
from cscelab.datasets.base import ImageSet, Splits
from cscelab.encode import Encoded, encode
from cscelab.evaluate import evaluate
from cscelab.experiment import Experiment, Run
from cscelab.layout import CodeLayout
from cscelab.methods import HashMethod
from cscelab.neighbours import Neighbours, name_in_line, places_by_id, rows_of_class, shares_label
from cscelab.paths import data_root, make_folder
from cscelab.shipped import ENCODER, load_encoder
from cscelab.titles import title_of

COMPARED = 16  # images of each split, evenly spread
KEPT = 16  # codes of one's own images that are remembered: a browser asks for them at every choice
FOLDER = "collections"  # under the data folder: codes of the shipped encoder, a file a data set


@dataclass(frozen=True)
class Query:
    """An image to search with: one of the queries, one of the database, or one of a person's own.

    image: uint8 (H, W, 3), as the method takes it; label: class id or multi-hot (C,), None where it is not known;
    row: of the split it comes from; id: its id there, by which it never finds itself.
    """

    image: np.ndarray
    title: str
    origin: Literal["query", "database", "own"]
    label: np.ndarray | int | None = None
    row: int | None = None
    id: int | None = None


@dataclass(frozen=True)
class Collection:
    """codes: query_codes and database_codes, int8 +-1 (N, K), and ..._values (N, K), ..._labels, ..._ids, and
    ..._thresholds (N,) where the method has them, as in `Run.codes`. K is the layout's width.

    source: the run they come from, or the file of the encoder that made them.
    """

    title: str
    experiment: Experiment
    splits: Splits
    codes: Mapping[str, np.ndarray]
    source: Run | Path

    @property
    def bits(self) -> int:
        return self.experiment.bits

    @property
    def layout(self) -> CodeLayout:
        """How its codes are written, and what their distances are counted in."""
        return self.experiment.layout

    @property
    def smoke(self) -> bool:
        """Whether it is a test's, its numbers meaningless."""
        return self.experiment.smoke

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.splits.class_names

    @cached_property
    def method(self) -> HashMethod:
        """The network that made the codes, on the CPU, in evaluation mode; loaded when first asked for."""
        return self.source.model() if isinstance(self.source, Run) else load_encoder(self.source)[0]

    @cached_property
    def packed(self) -> np.ndarray:
        """Codes of the database, uint8 (N, ceil(K/8))."""
        return np.asarray(pack(self.codes["database_codes"]))

    @cached_property
    def average_precision(self) -> np.ndarray:
        """AP@all of every query, (Q,), expected over ties: the lowest are the hardest queries."""
        sides = ("query_codes", "query_labels", "database_codes", "database_labels", "query_ids", "database_ids")
        return evaluate(**{side: self.codes[side] for side in sides}).average_precision  # type: ignore[arg-type]

    def query(self, row: int, origin: Literal["query", "database"] = "query") -> Query:
        """An image of the data set as a query. Raises ValueError for a row that is not there."""
        images = self.splits.query if origin == "query" else self.splits.database
        if not 0 <= row < len(images):
            raise ValueError(f"row {row} of the {origin} images was asked for; there are rows 0 to {len(images) - 1}")
        title = f"{origin} image {row}: {name_in_line(images.labels[row], self.class_names)}"
        return Query(images.images[row], title, origin, images.labels[row], row, int(images.ids[row]))

    def code_of(self, query: Query) -> tuple[np.ndarray, np.ndarray]:
        """(code int8 +-1 (K,), values float (K,)) of a query, by this method: stored ones, or made now."""
        if query.origin != "own":
            return tuple(self.codes[f"{query.origin}_{part}"][query.row] for part in ("codes", "values"))  # type: ignore[return-value]
        pixels = query.image.tobytes()
        code = self._own_codes.get(pixels)
        if code is None:
            encoded = self.encode(query.image[None])
            code = unpack(encoded.codes, encoded.layout.width)[0], encoded.values[0]
            if len(self._own_codes) >= KEPT:
                self._own_codes.clear()
            self._own_codes[pixels] = code
        return code

    @cached_property
    def _own_codes(self) -> dict[bytes, tuple[np.ndarray, np.ndarray]]:
        return {}  # pixels -> what `code_of` gives

    def find(self, query: Query, k: int = 10, among: np.ndarray | None = None) -> Neighbours:
        """The k nearest database images of a query: see `nearest`."""
        return self.nearest(self.code_of(query)[0], query.label, k, query.id, among)

    def of_class(self, number: int) -> np.ndarray:
        """Rows of the database that have this class."""
        return rows_of_class(self.codes["database_labels"], number)

    def distances(self, code: np.ndarray) -> np.ndarray:
        """Bits, or symbols, in which a code, +-1 (K,), differs from each of the database, (N,).

        Raises ValueError for a code of another width.
        """
        layout = self.layout
        if code.shape != (layout.width,):
            stored = "" if layout.arity is None else f", stored as {layout.width}"
            raise ValueError(f"a code of shape {code.shape} was given; {self.title} has codes of {layout}{stored}")
        differing = np.bitwise_xor(self.packed, np.asarray(pack(code[None])))
        return np.bitwise_count(differing).sum(axis=1, dtype=np.int64) // layout.hamming_per_unit

    def nearest(
        self,
        code: np.ndarray,
        label: np.ndarray | int | None = None,
        k: int = 10,
        without_id: int | None = None,
        among: np.ndarray | None = None,
    ) -> Neighbours:
        """The k database images nearest to a code, +-1 (K,), or as many as there are; equal distances rank by id.

        label: class id or multi-hot (C,) of the query; without one nothing is right (an image of one's own).
        without_id: the query's own id, where it is in the database; among: rows to choose from, all by default.
        Raises ValueError for k < 1.
        """
        if k < 1:
            raise ValueError(f"the {k} nearest were asked for; choose at least 1")
        distances = self.distances(code)
        rows = np.arange(len(distances)) if among is None else np.asarray(among)
        if without_id is not None:
            rows = rows[self.codes["database_ids"][rows] != without_id]
        order = np.argsort(distances[rows] * len(distances) + self._places[rows])[:k]
        found = rows[order]
        labels = self.codes["database_labels"][found]
        right = np.zeros(len(found), bool) if label is None else shares_label(np.asarray(label)[None], labels[None])[0]
        return Neighbours(found, distances[found], right)

    @cached_property
    def _places(self) -> np.ndarray:
        return places_by_id(self.codes["database_ids"])

    def encode(self, images: np.ndarray) -> Encoded:
        """Codes of more images, uint8 (N, H, W, 3) of the method's size, with packed codes as `encode` gives them."""
        rows = np.arange(len(images))
        return encode(self.method, ImageSet(images, labels=rows, ids=rows))


def collection_of(run: Run, splits: Splits | None = None, title: str | None = None) -> Collection:
    """A stored run as a Collection; splits: its data, loaded where not given."""
    name = title_of(run) if title is None else title
    return Collection(name, run.experiment, run.data() if splits is None else splits, run.codes, run)


def shipped_collection(
    data: DataConfig | None = None, root: Path | None = None, path: Path = ENCODER, progress: bool = False
) -> Collection:
    """The shipped encoder's codes of a data set: its own, the embedded one, where none is given.

    Coded once (four seconds for Aviary's 3,500 images) and kept under the data folder, by encoder and data.
    """
    method, experiment = load_encoder(path)
    data = experiment.data if data is None else data
    splits = load_data(data, root, progress)
    described = json.dumps([experiment.to_dict()["method"], repr(data), data_fingerprint(data)])
    digest = hashlib.sha256(described.encode() + path.read_bytes()).hexdigest()[:12]
    stored = make_folder((root or data_root()) / FOLDER) / f"{path.stem}-{digest}.npz"
    with FileLock(stored.with_suffix(".lock")):
        codes = _stored_codes(stored)
        if codes is None:
            codes = _coded(method, splits, progress)
            temporary = stored.with_name(stored.name + ".tmp.npz")
            np.savez(temporary, **codes)  # type: ignore[arg-type]
            temporary.replace(stored)
    for name, images in (("query", splits.query), ("database", splits.database)):
        codes[f"{name}_codes"] = unpack(codes[f"{name}_codes"], experiment.layout.width)
        codes |= {f"{name}_labels": images.labels, f"{name}_ids": images.ids}
    return Collection(f"{experiment.method.title}, shipped", experiment, splits, codes, path)


def check_same_images(collections: Sequence[Collection]) -> None:
    """Raises ValueError where there is none, or where a row means another image in another collection.

    Ids, labels, and pixels of COMPARED images of each split are looked at: drawn birds of two seeds share their ids.
    """
    if not collections:
        raise ValueError("no collection was given; give one or two")
    first = collections[0]
    for other in collections[1:]:
        parts = [[getattr(each.splits, name) for each in (first, other)] for name in ("query", "database")]
        if first.class_names != other.class_names or not all(_same(one, two) for one, two in parts):
            raise ValueError(f"{first.title} and {other.title} hold different images; choose methods of one data set")


def _same(one: ImageSet, two: ImageSet) -> bool:
    if one is two:
        return True
    if not (np.array_equal(one.ids, two.ids) and np.array_equal(one.labels, two.labels)):
        return False
    rows = np.unique(np.linspace(0, len(one) - 1, COMPARED).astype(int))
    return np.array_equal(one.images[rows], two.images[rows])


def _coded(method: HashMethod, splits: Splits, progress: bool) -> dict[str, np.ndarray]:
    """Packed codes, values and thresholds of queries and database."""
    arrays: dict[str, np.ndarray] = {}
    for name, images in (("query", splits.query), ("database", splits.database)):
        part = encode(method, images, progress=progress)
        arrays |= {f"{name}_codes": part.codes, f"{name}_values": part.values}
        if part.thresholds is not None:
            arrays[f"{name}_thresholds"] = part.thresholds
    return arrays


def _stored_codes(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a file, or None where there is none that can be read: codes are made again in four seconds."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, BadZipFile):
        return None
