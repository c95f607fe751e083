"""Photographs: any folder (or zip) of class folders is a data set, split by a seed, class by class.

Files that cannot be decoded are left out with a warning: the splits are those of the folder without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cscelab.datasets.base import ImageSet, Splits
from cscelab.datasets.imagecache import Failure, ImageStore, UnreadableImagesError, cached_images
from cscelab.datasets.leftout import Decoded, load_readable, told
from cscelab.paths import data_root

ORDER = ("query", "validation", "train", "database")  # who chooses first: the queries stay when other sizes change
PARTS = {"train": "train", "training": "train", "test": "test", "val": "val", "valid": "val", "validation": "val"}
WHOLE = "all"  # the only part of a folder that has no train/ and test/
QUERY_SHARE, VALIDATION_SHARE, TRAIN_SHARE = 0.1, 0.1, 0.6  # the last of what the first two leave

ClassFolders = dict[str, list[str]]  # class name -> its images, sorted
Chosen = dict[str, tuple[list[str], list[int]]]  # split -> names, labels


@dataclass(frozen=True)
class Folder:
    """PATH/class/image.jpg, or PATH/train/class/image.jpg with test/ or val/ beside; PATH may be a zip of either.

    train, validation, query, database: images in each split, spread evenly over the classes; no image is in two. None
    takes from each class: a tenth (query); a tenth, or that of `train` where given, and two at least (validation);
    three fifths of what these leave (train); all the rest (database). With train/ and test/ the queries come from
    test/, all of it unless given, and the other splits from train/; a val/ beside both is the validation split's.
    resize: pixels of the shorter side before the centre crop to image_size; None: image_size.
    """

    path: str
    image_size: int = 64
    train: int | None = None
    validation: int | None = None
    query: int | None = None
    database: int | None = None
    seed: int = 0
    resize: int | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; choose a whole number from 0")


def load_folder(config: Folder, root: str | Path | None = None, progress: bool = True) -> Splits:
    """The four splits; images are decoded once and cached under `root` (the data folder unless given).

    attributes: path, relative to the folder, and part: "train", "test" or "val" by the folder the image came from, or
    "all" where there are none. Images that cannot be decoded are left out, with a warning that counts them. Raises
    ValueError in one sentence where the folder is absent, is not one of class folders, or has too few images for the
    sizes.
    """
    store = ImageStore(located(config.path))
    parts = find_classes(store.names(), store.path)
    class_names = tuple(sorted({name for folders in parts.values() for name in folders}))
    if len(class_names) < 2:
        raise ValueError(f"{store.path} has only one class, {class_names[0]!r}; give it two class folders or more")
    side = (config.image_size, config.resize)

    def load(
        left_out: list[Failure], decoded: Decoded
    ) -> tuple[dict[str, ClassFolders], Chosen, dict[str, np.ndarray]]:
        sound = _without(parts, {name for name, _, _ in left_out})
        try:
            chosen = choose(config, sound, class_names)
        except ValueError as error:
            if not left_out:
                raise
            raise ValueError(f"{error}; not counted are {told(left_out)}") from error
        return sound, chosen, _images(store, chosen, side, root, progress, decoded)

    sound, chosen, images = load_readable(store, side, root, load)
    every = sorted(name for folders in sound.values() for names in folders.values() for name in names)
    # Shuffled: galleries rank equal distances by id, and ids in the order of class names would favour the first class.
    shuffled = np.random.default_rng([config.seed, 2]).permutation(len(every))
    ids = dict(zip(every, shuffled.tolist(), strict=True))
    part_of = sources(parts)

    def image_set(split: str) -> ImageSet:
        names, labels = chosen[split]
        return ImageSet(
            images[split],
            np.array(labels, dtype=np.int64),
            np.array([ids[name] for name in names], dtype=np.int64),
            attributes={"path": np.array(names), "part": np.full(len(names), part_of[split])},
        )

    return Splits(
        image_set("train"), image_set("validation"), image_set("query"), image_set("database"), class_names=class_names
    )


def _without(parts: Mapping[str, ClassFolders], names: set[str]) -> dict[str, ClassFolders]:
    """The same parts and classes, some of them perhaps empty."""
    return {
        part: {label: [name for name in images if name not in names] for label, images in folders.items()}
        for part, folders in parts.items()
    }


def _images(
    store: ImageStore,
    chosen: Chosen,
    side: tuple[int, int | None],
    root: str | Path | None,
    progress: bool,
    decoded: Decoded,
) -> dict[str, np.ndarray]:
    """The images of each split. Raises UnreadableImagesError for those of all splits, so that choosing once more is
    enough where every image is used."""
    images: dict[str, np.ndarray] = {}
    errors: list[UnreadableImagesError] = []
    for split, (names, _) in chosen.items():
        try:
            images[split] = cached_images(store, names, *side, root, split, progress, decoded)
        except UnreadableImagesError as error:
            errors.append(error)
    if not errors:
        return images
    found: dict[str, np.ndarray] = {}
    for split, stored in images.items():
        found |= zip(chosen[split][0], stored, strict=True)
    for one in errors:
        found |= one.decoded
    raise UnreadableImagesError(
        "; ".join(map(str, errors)), [failure for one in errors for failure in one.failures], found
    )


def located(path: str) -> Path:
    """Where a data set's files are. A run may have been made in another folder than this: a relative path that leads
    nowhere from here is tried from the checkout (the data folder's parent) too. It need not exist."""
    given = Path(path).expanduser()
    other = data_root().parent / given
    return other.resolve() if not given.exists() and other.exists() else given


def find_classes(names: Sequence[str], path: Path) -> dict[str, ClassFolders]:
    """Relative names of images -> part -> class -> its images. Raises ValueError where there are no class folders."""
    places: dict[str, tuple[str, ...]] = {name: tuple(name.split("/")) for name in names if "/" in name}
    while places and min(map(len, places.values())) > 2 and len({place[0] for place in places.values()}) == 1:
        places = {name: place[1:] for name, place in places.items()}  # a wrapper: flowers.zip holds flowers/rose/1.jpg
    found: dict[str, ClassFolders] = {}
    for name, place in places.items():
        if len(place) == 3 and place[0].lower() in PARTS:
            found.setdefault(PARTS[place[0].lower()], {}).setdefault(place[1], []).append(name)
    if "train" in found and len(found) > 1:
        return found
    folders: ClassFolders = {}
    for name, place in places.items():
        if len(place) == 2:
            folders.setdefault(place[0], []).append(name)
    if not folders:
        raise ValueError(
            f"{path} has no class folders with images; lay it out as CLASS/image.jpg, or as train/CLASS/image.jpg and "
            f"test/CLASS/image.jpg"
        )
    return {WHOLE: folders}


def sources(parts: Mapping[str, ClassFolders]) -> dict[str, str]:
    """Split -> the part its images are taken from."""
    if WHOLE in parts:
        return dict.fromkeys(ORDER, WHOLE)
    query = "test" if "test" in parts else "val"
    validation = "val" if {"test", "val"} <= set(parts) else "train"
    return {"query": query, "validation": validation, "train": "train", "database": "train"}


def choose(config: Folder, parts: Mapping[str, ClassFolders], class_names: Sequence[str]) -> Chosen:
    """Split -> (names, labels): by the names and the seed alone. Raises ValueError where a class is too small."""
    for split in ORDER:
        count = getattr(config, split)
        if count is not None and count < len(class_names):
            raise ValueError(
                f"{split} is {count} for {len(class_names)} classes; give one image a class at least, or None"
            )
    rows: dict[str, list[tuple[str, int]]] = {split: [] for split in ORDER}
    for label, class_name in enumerate(class_names):
        for split, names in _split_class(config, parts, class_name, label, len(class_names)).items():
            rows[split] += [(name, label) for name in names]
    chosen = {}
    for i, split in enumerate(ORDER):
        # Shuffled: with the classes one after the other, ties ranked by database index would favour the first.
        order = np.random.default_rng([config.seed, 1, i]).permutation(len(rows[split]))
        chosen[split] = ([rows[split][j][0] for j in order], [rows[split][j][1] for j in order])
    return chosen


def _split_class(
    config: Folder, parts: Mapping[str, ClassFolders], class_name: str, label: int, n_classes: int
) -> dict[str, list[str]]:
    left = {}
    for i, part in enumerate(sorted(parts)):
        names = sorted(parts[part].get(class_name, []))
        order = np.random.default_rng([config.seed, 0, i, label]).permutation(len(names))
        left[part] = [names[j] for j in order]
    sizes = {part: len(names) for part, names in left.items()}
    taken: dict[str, list[str]] = {}
    for split, part in sources(parts).items():
        given = getattr(config, split)
        if given is not None:
            wanted = given // n_classes + (label < given % n_classes)
        else:
            wanted = _share(split, sizes[part], len(left[part]), part in ("test", "val"), config.train, n_classes)
        if len(left[part]) < max(1, wanted):
            asked = ", ".join(f"{s} {len(n)}" for s, n in taken.items()) or "nothing"
            where = "" if part == WHOLE else f" in {part}/"
            raise ValueError(
                f"class {class_name!r} has {sizes[part]} images{where}, too few: {split} needs {max(1, wanted)} after "
                f"{asked}; add images, leave the class out or ask for smaller splits"
            )
        taken[split], left[part] = left[part][:wanted], left[part][wanted:]
    return taken


def _share(split: str, size: int, left: int, held_out: bool, train: int | None, n_classes: int) -> int:
    """Images of a class for a split whose size is not given; `size` are in its part, `left` of them not yet taken."""
    if held_out or split == "database":
        return left
    if split == "query":
        return max(1, int(QUERY_SHARE * size))
    if split == "validation":  # two, so that each finds another of its class among them
        return max(2, int(VALIDATION_SHARE * (size if train is None else train / n_classes)))
    return max(1, int(TRAIN_SHARE * left))
