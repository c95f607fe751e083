"""What several builders do: find a publisher's files under a folder, see which images are there, draw the lists."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cscelab.datasets.splitfiles import Lists, Row

DEPTH = 3  # folders below the root that are looked into for a file


class Listing:
    """The names in the folders below a root, each folder read once: 200,000 paths are looked up in a moment."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise ValueError(f"{root} is no folder; give the one that the data set was unpacked into")
        self.root = root
        self._names: dict[str, frozenset[str]] = {}

    def names(self, folder: str) -> frozenset[str]:
        """Of a folder, as a path relative to the root; none where it is absent."""
        if folder not in self._names:
            here = self.root / folder
            self._names[folder] = frozenset(os.listdir(here) if here.is_dir() else ())
        return self._names[folder]

    def __contains__(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return name in self.names(folder)

    def absent(self, paths: Sequence[str]) -> list[str]:
        """Those that are not below the root."""
        return [path for path in paths if path not in self]


def find_file(root: Path, name: str) -> Path | None:
    """The file of this name, in capitals or not, that lies least deep below the root; None where there is none."""
    folders = [root]
    for _ in range(DEPTH + 1):
        below = []
        for folder in folders:
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda one: one.name):
                    if entry.name.lower() == name.lower() and entry.is_file():
                        return Path(entry.path)
                    if entry.is_dir() and not entry.name.startswith("."):
                        below.append(Path(entry.path))
        folders = below
    return None


def refuse_absent(listing: Listing, paths: Sequence[str], expected: str) -> None:
    """Raises ValueError where an image is not there."""
    if gone := listing.absent(paths):
        raise ValueError(
            f"{len(gone):,} of {len(paths):,} images are not in {listing.root}, {gone[0]} for one; expected {expected}"
        )


def draw_any(rows: Sequence[Row], queries: int, train: int, rng: np.random.Generator) -> Lists:
    """Queries and training images out of all; the database is all but the queries. Raises ValueError where there are
    too few."""
    if len(rows) <= queries + train:
        raise ValueError(
            f"{len(rows):,} images with a label are there, too few for {queries:,} queries and {train:,} training "
            "images; unpack the whole data set"
        )
    order = rng.permutation(len(rows))
    return take(rows, order[:queries], order[queries : queries + train], rng)


def shuffled(rows: Sequence[Row], rng: np.random.Generator) -> list[Row]:
    """In another order. Of a database: ties rank by its order, and class by class would favour the first."""
    return [rows[i] for i in rng.permutation(len(rows))]


def take(rows: Sequence[Row], queries: np.ndarray, train: np.ndarray, rng: np.random.Generator) -> Lists:
    """The lists of these row numbers; the database is all rows but the queries, shuffled: ties rank by its order."""
    database = rng.permutation(np.setdiff1d(np.arange(len(rows)), queries))
    chosen = {"train": train, "query": queries, "database": database}
    return {split: [rows[i] for i in numbers] for split, numbers in chosen.items()}
