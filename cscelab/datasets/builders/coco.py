"""MS COCO (Lin et al. 2014) from its annotation files: train and val together, 80 categories, several an image.

As HashNet (Cao et al. 2017) describes it: images without a category are left out (122,218 stay, of 2014 and of 2017
alike: the years divide the same images otherwise), 5,000 are queries, all others the database (117,218), 10,000 of it
the training images. The lists published with HashNet and CSQ are not that: their database of 112,218 holds the 5,000
queries and no training image. They also count the categories by name; here they are in the order of their ids.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from cscelab.datasets.builders.drawing import Listing, draw_any, find_file, refuse_absent
from cscelab.datasets.splitfiles import Row, SplitLists

QUERIES, TRAIN = 5000, 10_000
YEARS = (2014, 2017)
PARTS = ("train", "val")
LAYOUT = (
    "annotations/instances_train2014.json and instances_val2014.json beside the folders train2014/ and val2014/ "
    "(or all of 2017)"
)


def coco(root: Path, seed: int = 0, queries: int = QUERIES, train: int = TRAIN, progress: bool = True) -> SplitLists:
    """The lists, from a folder laid out as LAYOUT says; the images may lie in images/train2014/ too.

    Raises ValueError where a file or an image is missing.
    """
    listing = Listing(root)
    year, files = _find_annotations(root)
    contents = [_read(file) for file in tqdm(files, "reading annotations", delay=2, leave=False, disable=not progress)]
    names = {one["id"]: one["name"] for content in contents for one in content["categories"]}
    number = {category: i for i, category in enumerate(sorted(names))}
    rows: list[Row] = []
    pruned = 0
    for part, content in zip(PARTS, contents, strict=True):
        folder = f"images/{part}{year}" if (root / "images" / f"{part}{year}").is_dir() else f"{part}{year}"
        labels = defaultdict(set)
        for image, category in content["annotations"]:
            labels[image].add(number[category])
        for one in sorted(content["images"], key=lambda image: image["id"]):
            if one["id"] in labels:
                rows.append((f"{folder}/{one['file_name']}", tuple(sorted(labels[one["id"]]))))
            else:
                pruned += 1
    refuse_absent(listing, [path for path, _ in rows], LAYOUT)
    lists = draw_any(rows, queries, train, np.random.default_rng(seed))
    protocol = (
        f"{queries:,} queries and {train:,} training images drawn from train{year} and val{year} together, database of "
        f"all but the queries: {len(lists['database']):,}, training images among them; {pruned:,} images without a "
        "category left out"
    )
    return SplitLists("coco", protocol, tuple(names[i] for i in sorted(names)), lists, multilabel=True, seed=seed)


def _find_annotations(root: Path) -> tuple[int, list[Path]]:
    """The first year of which both files are there."""
    for year in YEARS:
        found = [find_file(root, f"instances_{part}{year}.json") for part in PARTS]
        files = [file for file in found if file is not None]
        if len(files) == len(PARTS):
            return year, files
    raise ValueError(f"{root} lacks COCO's annotations of its train and val images; expected {LAYOUT}")


def _read(file: Path) -> dict[str, Any]:
    """images, categories, and annotations as (image, category). Outlines, most of a file, are dropped as they come."""

    def slim(one: dict[str, Any]) -> Any:
        if "category_id" in one:
            return one["image_id"], one["category_id"]
        return {
            key: one[key] for key in ("id", "file_name", "name", "images", "annotations", "categories") if key in one
        }

    try:
        content = json.loads(file.read_bytes(), object_hook=slim)
        if not {"images", "annotations", "categories"} <= set(content):
            raise ValueError("it has no images, annotations and categories")
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file} is no annotation file of COCO ({error}); unpack it again") from error
    return dict(content)
