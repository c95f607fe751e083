"""Photographs without labels: any folder (or zip) of images; what is measured is whether altered copies find them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from tqdm.auto import tqdm

from cscelab.datasets.array_folder import cached
from cscelab.datasets.base import ImageSet, Splits
from cscelab.datasets.decoding import DECODING
from cscelab.datasets.folder import located
from cscelab.datasets.imagecache import Failure, ImageStore, cached_images
from cscelab.datasets.leftout import Decoded, load_readable, told
from cscelab.datasets.lists import RowsOf
from cscelab.paths import data_root

MEASURED = (
    "Without labels: an altered copy of an image should find its original; mAP is the mean of 1 / the original's rank."
)
HELD_OUT = 0.1  # share of the images for the queries, and again for the validation split
MOST_HELD_OUT = 500  # of each, unless more are asked for
LEAST = {"query": 1, "validation": 2, "train": 2}  # one image among itself and its copy would always be found

# What an altered copy is: the changes a picture goes through when it is passed on.
ALTERATION = 1  # raised whenever the same image would give another copy
AREA = 0.7  # of the picture that is left after cropping
BRIGHTNESS = (0.8, 1.2)  # times
JPEG_QUALITY = 60


@dataclass(frozen=True)
class Unlabelled:
    """Every image below PATH, a folder or a zip, however deep; for methods that read no labels.

    Without labels there are no classes to average over. Each image is a class of its own, and a copy of it (`altered`)
    is the only other member: queries are altered copies, and the database is all images, so that the one relevant item
    is the original and average precision is 1 / its rank, expected over ties. It says whether codes hold on to a
    picture through such changes, not whether pictures of one subject are near each other.

    query, validation: images whose copies are searched with, and by which the epoch is chosen; None: a tenth of the
    images each, at most 500. They are drawn by the seed and never trained on; all others are. The validation split
    holds originals and copies and is searched in itself. resize: pixels of the shorter side before the centre crop to
    image_size; None: image_size.
    """

    path: str
    image_size: int = 64
    validation: int | None = None
    query: int | None = None
    seed: int = 0
    resize: int | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; choose a whole number from 0")


def load_unlabelled(config: Unlabelled, root: str | Path | None = None, progress: bool = True) -> Splits:
    """The four splits; images are decoded once, cached under `root` (the data folder unless given) as the database, and
    shared by the other splits. Those that cannot be decoded are left out with a warning.

    labels: the place of the image, or of the original of a copy, in class_names, which are the paths; attributes: path,
    relative to the folder, and altered (bool). Copies have ids of their own. Raises ValueError in one sentence where
    the folder is absent or has too few images for the sizes.
    """
    store = ImageStore(located(config.path), depth=None)
    side = (config.image_size, config.resize)
    found = store.names()
    if not found:
        raise ValueError(f"{store.path} holds no images; give a folder or zip of image files")

    def load(left_out: list[Failure], decoded: Decoded) -> tuple[list[str], np.ndarray]:
        bad = {name for name, _, _ in left_out}
        good = [name for name in found if name not in bad]
        if not good:
            raise ValueError(f"{store.path} holds nothing but {told(left_out)}; give others")
        return good, cached_images(store, good, *side, root, "unlabelled", progress, decoded)

    names, every = load_readable(store, side, root, load)
    chosen = choose(config, len(names), store.path)
    # Shuffled: galleries rank equal distances by id, and paths in order would favour the first folder.
    ids = np.random.default_rng([config.seed, 2]).permutation(len(names))
    paths = np.array(names)

    def image_set(images: np.ndarray, rows: np.ndarray, own_ids: np.ndarray, are_copies: bool) -> ImageSet:
        attributes = {"path": paths[rows], "altered": np.full(len(rows), are_copies)}
        return ImageSet(images, rows, own_ids, attributes=attributes)

    def originals(rows: np.ndarray) -> ImageSet:
        return image_set(cast(np.ndarray, RowsOf(every, rows)), rows, ids[rows], False)

    def copies(split: str) -> ImageSet:
        rows = chosen[split]
        key = {
            "alteration": [ALTERATION, config.seed],
            "files": [(int(row), names[row], *store.stamp(names[row])) for row in rows],
            "images": [DECODING, config.image_size, config.resize],
        }

        def build(folder: Path) -> None:
            bar = tqdm(rows, f"altering {split} images", delay=2, leave=False, disable=not progress)
            copied = [altered(every[row], np.random.default_rng([config.seed, 1, row])) for row in bar]
            np.save(folder / "images.npy", np.stack(copied))

        where = Path(data_root() if root is None else root) / "images"
        images = cached(where, f"{store.label}-{split}-altered", key, build)["images"]
        return image_set(images, rows, len(names) + rows, True)

    database = image_set(every, np.arange(len(names)), ids, False)
    validation = _joined(originals(chosen["validation"]), copies("validation"))
    return Splits(originals(chosen["train"]), validation, copies("query"), database, class_names=tuple(names))


def choose(config: Unlabelled, n_images: int, path: Path) -> dict[str, np.ndarray]:
    """Split -> rows of the images, ascending, none in two; by the seed alone. Raises ValueError for too few images."""
    usual = min(int(HELD_OUT * n_images), MOST_HELD_OUT)
    sizes = {}
    for split in ("query", "validation"):
        given = getattr(config, split)
        sizes[split] = max(LEAST[split], usual) if given is None else given
        if sizes[split] < LEAST[split]:
            raise ValueError(f"{split} is {given}; give at least {LEAST[split]}, or None for a tenth of the images")
    held_out = sum(sizes.values())
    if n_images < held_out + LEAST["train"]:
        raise ValueError(
            f"{path} has {n_images} readable images, too few to hold {sizes['query']} for queries and "
            f"{sizes['validation']} for validation out and learn from the others; give at least "
            f"{held_out + LEAST['train']} images"
        )
    order = np.random.default_rng([config.seed, 0]).permutation(n_images)  # who chooses first: the queries
    query, validation, train = np.split(order, [sizes["query"], held_out])
    return {"query": np.sort(query), "validation": np.sort(validation), "train": np.sort(train)}


def altered(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy of a picture, uint8 (S, S, 3) -> the same: mirrored, a window of AREA of it enlarged, brighter or darker,
    and saved as a JPEG file. The generator draws the window and the brightness."""
    size = len(image)
    side = round(size * AREA**0.5)
    left, top = rng.integers(0, size - side + 1, 2)
    window = ImageOps.mirror(Image.fromarray(image)).crop((left, top, left + side, top + side))
    copy = ImageEnhance.Brightness(window.resize((size, size), Image.Resampling.BICUBIC)).enhance(
        rng.uniform(*BRIGHTNESS)
    )
    file = io.BytesIO()
    copy.save(file, "JPEG", quality=JPEG_QUALITY)
    return np.asarray(Image.open(file).convert("RGB"))


def _joined(first: ImageSet, second: ImageSet) -> ImageSet:
    """The images of one set, then those of another."""
    return ImageSet(
        np.concatenate([first.images, second.images]),
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.ids, second.ids]),
        attributes={name: np.concatenate([part, second.attributes[name]]) for name, part in first.attributes.items()},
    )
