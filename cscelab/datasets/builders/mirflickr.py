"""MIRFlickr-25K (Huiskes & Lew 2008): 25,000 photographs, 24 concepts, several an image.

Labels are the 24 files of potential labels (animals.txt, ..., water.txt); the 14 *_r1.txt of relevant ones, narrower
versions of fourteen of these, are left out (DeepHash-pytorch's lists have 38 columns with them). Two protocols, each of
2,000 queries and 5,000 training images out of the database of all but the queries: on the 24,581 images with a label;
and on the 20,015 of them that bear one of the tags used 20 times or more (doc/common_tags.txt), which cross-modal
hashing has used since DCMH (Jiang & Li 2017), whose own training images are 10,000.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from cscelab.datasets.builders.drawing import Listing, draw_any, find_file, refuse_absent
from cscelab.datasets.splitfiles import Row, SplitLists

QUERIES, TRAIN = 2000, 5000
CONCEPTS = 24
TAGGED = "mirflickr25k-20015"
LAYOUT = (
    "mirflickr25k_annotations_v080/*.txt (24 concepts), and mirflickr/im1.jpg to im25000.jpg with meta/ and doc/, as "
    "mirflickr25k.zip unpacks"
)


def mirflickr(
    root: Path,
    seed: int = 0,
    name: str = "mirflickr25k",
    queries: int = QUERIES,
    train: int = TRAIN,
    progress: bool = True,
) -> SplitLists:
    """The lists of "mirflickr25k" (all images with a label) or "mirflickr25k-20015" (those with a common tag too).

    Raises ValueError where annotations, images or tags are missing.
    """
    listing = Listing(root)
    labels = _labels(root)
    first = find_file(root, "im1.jpg")
    if first is None:
        raise ValueError(f"{root} has no im1.jpg; expected {LAYOUT}")
    folder = first.parent.relative_to(root).as_posix()
    numbers = sorted({number for images in labels.values() for number in images})
    left_out = "images without a label left out"
    if name == TAGGED:
        numbers = _tagged(first.parent, numbers, progress)
        left_out = "images without a label, or without a tag that is used 20 times or more, left out"
    concepts: dict[int, list[int]] = {number: [] for number in numbers}
    for concept, images in enumerate(labels.values()):
        for number in images:
            if number in concepts:
                concepts[number].append(concept)
    prefix = "" if folder == "." else f"{folder}/"
    rows: list[Row] = [(f"{prefix}im{number}.jpg", tuple(own)) for number, own in concepts.items()]
    refuse_absent(listing, [path for path, _ in rows], LAYOUT)
    lists = draw_any(rows, queries, train, np.random.default_rng(seed))
    protocol = (
        f"{queries:,} queries and {train:,} training images, database of all but the queries: "
        f"{len(lists['database']):,}, training images among them; {left_out}"
    )
    return SplitLists(name, protocol, tuple(labels), lists, multilabel=True, seed=seed)


def _labels(root: Path) -> dict[str, list[int]]:
    """Concept -> the numbers of its images, in alphabetical order of the concepts."""
    one = find_file(root, "plant_life.txt")
    if one is None:
        raise ValueError(f"{root} has no plant_life.txt, one of the annotations; expected {LAYOUT}")
    files = [file for file in sorted(one.parent.glob("*.txt")) if not file.stem.lower().endswith(("_r1", "readme"))]
    if len(files) != CONCEPTS:
        raise ValueError(
            f"{one.parent} has {len(files)} files of potential labels, expected {CONCEPTS}; unpack it again"
        )
    try:
        return {file.stem: [int(number) for number in file.read_text().split()] for file in files}
    except ValueError as error:
        raise ValueError(
            f"{one.parent} has a file that is no list of image numbers ({error}); unpack it again"
        ) from error


def _tagged(images: Path, numbers: list[int], progress: bool) -> list[int]:
    """Those with one of the common tags at least."""
    common, tags = images / "doc" / "common_tags.txt", images / "meta" / "tags"
    for needed in (common, tags):
        if not needed.exists():
            raise ValueError(f"{needed} is not there, which {TAGGED} needs; expected {LAYOUT}")
    used = {
        line.split()[0] for line in common.read_text(encoding="utf-8", errors="replace").splitlines() if line.split()
    }
    there = frozenset(os.listdir(tags))

    def bears_one(number: int) -> bool:
        file = f"tags{number}.txt"
        return file in there and not used.isdisjoint((tags / file).read_text("utf-8", errors="replace").split())

    return [n for n in tqdm(numbers, "reading tags", delay=2, leave=False, disable=not progress) if bears_one(n)]
