"""NUS-WIDE (Chua et al. 2009) from its ground-truth files, with the 21 most frequent of its 81 concepts or with all.

21: the images with one of them at least (195,834), 100 queries and 500 training images of each concept, so 2,100 and
10,500, database of all but the queries (193,734), as DeepHash-pytorch counts it; the draw is ours, by a seed. 81: 5,000
queries and 10,000 training images, HashNet's numbers, of the images with a label; HashNet's own lists name other files
(of 223,496 images) and keep those without one. Images are fetched by their owners' addresses, of which many are gone:
those that are not there are left out, and the protocol says how many.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from cscelab.datasets.builders.drawing import Listing, draw_any, find_file, take
from cscelab.datasets.splitfiles import Lists, Row, SplitLists

FREQUENT = 21
QUERIES_EACH, TRAIN_EACH = 100, 500  # of each of the 21 concepts
QUERIES, TRAIN = 5000, 10_000  # with all 81
PLACES = ("Flickr/", "images/", "")  # of the images, before the paths of Imagelist.txt
LAYOUT = (
    "ImageList/Imagelist.txt, Groundtruth/AllLabels/Labels_*.txt, Concepts81.txt and the images as "
    "Flickr/actor/0001_2124494179.jpg or, without folders, images/0001_2124494179.jpg"
)


def nuswide(
    root: Path,
    seed: int = 0,
    name: str = "nus-wide",
    queries: int | None = None,
    train: int | None = None,
    progress: bool = True,
) -> SplitLists:
    """The lists of "nus-wide" (21 concepts) or "nus-wide-81".

    queries, train: how many, of each concept under 21; the protocol's by default. Raises ValueError where a file is
    missing or does not fit the others, and where too few images are there.
    """
    concepts, paths, labels = _read(root, progress)
    if every := name == "nus-wide-81":
        queries, train = queries or QUERIES, train or TRAIN
    else:
        queries, train = queries or QUERIES_EACH, train or TRAIN_EACH
        most = np.sort(np.argsort(-labels.sum(0), kind="stable")[:FREQUENT])
        concepts, labels = [concepts[i] for i in most], labels[:, most]
    labelled = np.flatnonzero(labels.any(1))
    named = _located(Listing(root), [paths[i] for i in labelled])
    there = np.array([path is not None for path in named])
    kept = labels[labelled[there]]
    shown = np.split(np.nonzero(kept)[1], np.cumsum(kept.sum(1))[:-1])  # the concepts of each image
    found = (path for path in named if path is not None)
    rows: list[Row] = [(path, tuple(own.tolist())) for path, own in zip(found, shown, strict=True)]
    rng = np.random.default_rng(seed)
    draw = f"{queries:,} queries and {train:,} training images"
    lists = draw_any(rows, queries, train, rng) if every else _draw_each(rows, kept, concepts, queries, train, rng)
    protocol = (
        f"{draw}{'' if every else f' of each of the {len(concepts)} most frequent concepts'}, database of all but the "
        f"queries: {len(lists['database']):,}, training images among them; images without a label left out"
    )
    if gone := len(labelled) - len(rows):
        protocol += f", and {gone:,} of {len(labelled):,} that were not there"
    return SplitLists(name, protocol, tuple(concepts), lists, multilabel=True, seed=seed)


def _draw_each(
    rows: list[Row], labels: np.ndarray, concepts: list[str], queries: int, train: int, rng: np.random.Generator
) -> Lists:
    """As many of each concept, the rarest first; an image is drawn for one concept, whatever others it shows."""
    free = np.ones(len(rows), dtype=bool)
    drawn_queries, drawn_train = [], []
    for concept in np.argsort(labels.sum(0), kind="stable"):
        own = rng.permutation(np.flatnonzero(labels[:, concept] & free))[: queries + train]
        if len(own) < queries + train:
            raise ValueError(
                f"{len(own):,} images of {concepts[concept]!r} are left, too few for {queries:,} queries and {train:,} "
                "training images; fetch more of NUS-WIDE's images"
            )
        free[own] = False
        drawn_queries.append(own[:queries])
        drawn_train.append(own[queries:])
    return take(rows, rng.permutation(np.concatenate(drawn_queries)), rng.permutation(np.concatenate(drawn_train)), rng)


def _read(root: Path, progress: bool) -> tuple[list[str], list[str], np.ndarray]:
    """Concepts, paths of all images, and labels bool (N, C)."""
    Listing(root)
    names = {"Concepts81.txt": find_file(root, "Concepts81.txt"), "Imagelist.txt": find_file(root, "Imagelist.txt")}
    for name, file in names.items():
        if file is None:
            raise ValueError(f"{root} has no {name}; expected {LAYOUT}")
    concepts, paths = ([line.strip() for line in _lines(file)] for file in names.values() if file is not None)
    first = find_file(root, f"Labels_{concepts[0]}.txt")
    if first is None:
        raise ValueError(f"{root} has no Labels_{concepts[0]}.txt; expected {LAYOUT}")
    columns = []
    for concept in tqdm(concepts, "reading labels", delay=2, leave=False, disable=not progress):
        file = first.parent / f"Labels_{concept}.txt"
        if not file.is_file():
            raise ValueError(f"{first.parent} has no {file.name}; expected a file for each line of Concepts81.txt")
        column = np.frombuffer(file.read_bytes(), dtype=np.uint8)
        column = column[(column == ord("0")) | (column == ord("1"))] == ord("1")
        if len(column) != len(paths):
            raise ValueError(
                f"{file} has {len(column):,} labels and Imagelist.txt {len(paths):,} images; unpack them again"
            )
        columns.append(column)
    return concepts, [path.replace("\\", "/") for path in paths], np.stack(columns, axis=1)


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]


def _located(listing: Listing, paths: list[str]) -> list[str | None]:
    """Where each image is below the root, None where it is absent; all in the place that has most of them."""
    flat = [path.rpartition("/")[2] for path in paths]
    best: list[str | None] = [None] * len(paths)
    for place in PLACES:
        for way in (paths, flat):
            found = [place + path if place + path in listing else None for path in way]
            best = min(best, found, key=lambda one: one.count(None))
            if None not in best:
                return best
    if not any(best):
        raise ValueError(
            f"none of the {len(paths):,} images are in {listing.root}, {paths[0]} for one; expected {LAYOUT}"
        )
    return best
