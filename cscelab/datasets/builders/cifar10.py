"""CIFAR-10 (Krizhevsky 2009) in its three published protocols, as DeepHash-pytorch and its users count them.

Queries / training images / database: 1,000 / 5,000 / 54,000, drawn class by class from all 60,000 images, the database
without the training images; the same with them, 59,000; and 10,000 / 50,000 / 50,000, the official test and training
images. The drawn ones are ours, by a seed: the published scripts draw without one. Databases are shuffled.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cscelab.datasets.builders.drawing import shuffled
from cscelab.datasets.folder import ClassFolders, find_classes
from cscelab.datasets.imagecache import ImageStore
from cscelab.datasets.splitfiles import Lists, Row, SplitLists

QUERIES, TRAIN = 100, 500  # of each class, where they are drawn
PROTOCOLS = {
    "cifar10": "1,000 queries, 5,000 training images, database of the other 54,000",
    "cifar10-59000": "1,000 queries, 5,000 training images, database of all but the queries: 59,000",
    "cifar10-50000": "the 10,000 test images as queries, the 50,000 training images to learn from and as database",
}


def cifar10(store: ImageStore, name: str = "cifar10", seed: int = 0) -> SplitLists:
    """The lists of one of PROTOCOLS, from a folder or zip of train/CLASS/*.jpg (or .png) and test/CLASS/*.jpg.

    Raises ValueError where these are not ten classes with as many images as CIFAR-10 has.
    """
    try:
        parts = find_classes(store.names(), store.path)
    except ValueError:  # which asks for any class folders; CIFAR-10's are wanted
        parts = {}
    classes = tuple(sorted({name for folders in parts.values() for name in folders}))
    counts = {part: [len(folders.get(label, ())) for label in classes] for part, folders in parts.items()}
    if len(classes) != 10 or counts != {"train": [5000] * 10, "test": [1000] * 10}:
        found = ", ".join(f"{part} {sum(counts[part]):,}" for part in sorted(counts))
        has = f"{len(classes)} classes ({found} images)" if parts else "no class folders with images"
        raise ValueError(
            f"{store.path} has {has}; expected CIFAR-10's ten, train/ with 5,000 images of each and test/ with 1,000"
        )
    draw = _official if name == "cifar10-50000" else _drawn
    lists = draw(parts, classes, np.random.default_rng(seed))
    if name == "cifar10-59000":
        lists["database"] = lists["database"] + lists["train"]
    drawn = None if draw is _official else seed
    # A generator of its own: queries and training images stay those that the seed has always drawn.
    lists["database"] = shuffled(lists["database"], np.random.default_rng([drawn or 0, 1]))
    if draw is _official:
        lists["train"] = lists["database"]
    return SplitLists(name, PROTOCOLS[name], classes, lists, seed=drawn)


def _official(parts: Mapping[str, ClassFolders], classes: tuple[str, ...], rng: np.random.Generator) -> Lists:
    def rows(part: str) -> list[Row]:
        return [(path, (label,)) for label, name in enumerate(classes) for path in sorted(parts[part][name])]

    return {"query": rows("test"), "database": rows("train")}


def _drawn(parts: Mapping[str, ClassFolders], classes: tuple[str, ...], rng: np.random.Generator) -> Lists:
    lists: Lists = {"query": [], "train": [], "database": []}
    for label, name in enumerate(classes):
        every = sorted(path for folders in parts.values() for path in folders[name])
        own: list[Row] = [(every[i], (label,)) for i in rng.permutation(len(every))]
        lists["query"] += own[:QUERIES]
        lists["train"] += own[QUERIES : QUERIES + TRAIN]
        lists["database"] += own[QUERIES + TRAIN :]
    return lists
