"""ImageNet100: the 100 classes of ImageNet (Russakovsky et al. 2015) that HashNet drew and its followers share.

Which they are is in the published lists alone (train.txt, test.txt, database.txt of HashNet, CSQ, DeepHash-pytorch):
13,000 training images, 130 a class, though papers say 10,000; 5,000 queries, the validation images; a database of
128,503, the training images among them. The lists are followed as they are, the images found by their file names. Where
only the classes are known, as many are drawn as papers say: 100 training images of each, by a seed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from cscelab.datasets.builders.drawing import Listing
from cscelab.datasets.imagecache import SUFFIXES
from cscelab.datasets.splitfiles import FILES, MANIFEST, Lists, Row, SplitLists

CLASSES = 100
TRAIN, QUERIES = 100, 50  # of each class, where they are drawn
SYNSETS = "synsets.txt"
SYNSET = re.compile(r"n\d{8}")
UNPACKED = "ILSVRC/Data/CLS-LOC/"  # as the competition's archive has train/ and val/
TRAIN_PLACES = ("train/{synset}", UNPACKED + "train/{synset}", "{synset}", "image")
VAL_PLACES = ("val/{synset}", "val", UNPACKED + "val", "val_image")
LAYOUT = (
    "train/SYNSET/*.JPEG and val/*.JPEG or val/SYNSET/*.JPEG, as ImageNet unpacks, or image/*.JPEG and "
    "val_image/*.JPEG, as the lists name them"
)


def imagenet100(
    root: Path, seed: int = 0, train: int = TRAIN, queries: int = QUERIES, progress: bool = True
) -> SplitLists:
    """The lists, from images laid out as LAYOUT says and the published lists, in the same folder or in its lists/.

    Where the three are not there, train and queries of each class are drawn, for which synsets.txt (one a line) or a
    published train.txt says which classes, and the validation images lie in val/SYNSET/. Raises ValueError naming what
    is missing.
    """
    listing = Listing(root)
    places = (root, root / "lists")
    theirs = [place for place in places if not (place / MANIFEST).is_file()]  # with one it is what was drawn here
    whole = next((place for place in theirs if all((place / file).is_file() for file in FILES.values())), None)
    if whole is not None:
        return _published(listing, whole, progress)
    synsets = next((found for place in places if (found := _read_synsets(place))), None)
    if synsets is None:
        raise ValueError(
            f"{root} says nowhere which 100 classes are meant; put the published train.txt, test.txt and database.txt, "
            f"or a {SYNSETS} of one synset a line, into it or into {root / 'lists'}"
        )
    return _drawn(listing, synsets, seed, train, queries)


def _published(listing: Listing, folder: Path, progress: bool) -> SplitLists:
    lists: dict[str, list[tuple[str, int]]] = {
        split: list(_read(folder / file, progress)) for split, file in FILES.items()
    }
    synsets = _synsets_of(lists["train"], folder / FILES["train"])
    located: Lists = {}
    absent = []
    for split, rows in lists.items():
        located[split] = []
        for name, label in rows:
            if not 0 <= label < len(synsets):
                raise ValueError(f"{folder / FILES[split]} has class {label}, and train.txt {len(synsets)} classes")
            path = _find(listing, name, synsets[label])
            if path is None:
                absent.append(name)
            else:
                located[split].append((path, (label,)))
    if absent:
        raise ValueError(
            f"{len(absent):,} of {sum(map(len, lists.values())):,} lines name images that are not in {listing.root}, "
            f"{absent[0]} for one; expected {LAYOUT}"
        )
    counts = ", ".join(f"{split} {len(rows):,}" for split, rows in located.items())
    return SplitLists("imagenet100", f"the published lists as they are: {counts}", synsets, located)


def _find(listing: Listing, name: str, synset: str) -> str | None:
    """The path of an image below the root."""
    for place in VAL_PLACES if "_val_" in name else TRAIN_PLACES:
        path = f"{place.format(synset=synset)}/{name}"
        if path in listing:
            return path
    return None


def _drawn(listing: Listing, synsets: tuple[str, ...], seed: int, train: int, queries: int) -> SplitLists:
    rng = np.random.default_rng(seed)
    lists: Lists = {"train": [], "query": [], "database": []}
    for label, synset in enumerate(synsets):
        learned, held_out = _images(listing, synset, TRAIN_PLACES[:-1]), _images(listing, synset, ("val/{synset}",))
        if len(learned) < train or len(held_out) < queries:
            raise ValueError(
                f"{synset} has {len(learned):,} training and {len(held_out):,} validation images in {listing.root}, "
                f"fewer than {train} and {queries}; expected train/SYNSET/*.JPEG and val/SYNSET/*.JPEG"
            )
        rows: list[Row] = [(learned[i], (label,)) for i in rng.permutation(len(learned))]
        lists["train"] += rows[:train]
        lists["database"] += rows
        lists["query"] += [(held_out[i], (label,)) for i in rng.permutation(len(held_out))[:queries]]
    lists["database"] = [lists["database"][i] for i in rng.permutation(len(lists["database"]))]
    protocol = (
        f"{train} training images of each class and {queries} validation images of each as queries, database of all "
        f"training images of the classes: {len(lists['database']):,}; drawn here, not the published lists"
    )
    return SplitLists("imagenet100", protocol, synsets, lists, seed=seed)


def _images(listing: Listing, synset: str, places: tuple[str, ...]) -> list[str]:
    """Of a class, from the first of the places that has any."""
    for place in places:
        folder = place.format(synset=synset)
        names = sorted(name for name in listing.names(folder) if Path(name).suffix.lower() in SUFFIXES)
        if names:
            return [f"{folder}/{name}" for name in names]
    return []


def _read_synsets(folder: Path) -> tuple[str, ...] | None:
    """From synsets.txt, in its order, or from a published train.txt; None where neither is there."""
    if (file := folder / SYNSETS).is_file():
        found = [line.split()[0] for line in file.read_text(encoding="utf-8-sig").splitlines() if line.split()]
        wrong = [one for one in found if not SYNSET.fullmatch(one)]
        if wrong or len(found) != CLASSES or len(set(found)) != CLASSES:
            given = f"{wrong[0]!r}" if wrong else f"{len(set(found))} different ones"
            raise ValueError(f"{file} has {given}; expected {CLASSES} synsets as n01440764, one a line")
        return tuple(found)
    if (file := folder / FILES["train"]).is_file():
        return _synsets_of(list(_read(file)), file)
    return None


def _synsets_of(rows: list[tuple[str, int]], file: Path) -> tuple[str, ...]:
    """Of the classes 0 to 99, from the names of their training images (n02256656_13626.JPEG)."""
    pairs = Counter((label, name.partition("_")[0]) for name, label in rows)
    synsets = dict(sorted(pairs))
    if (
        list(synsets) != list(range(CLASSES))
        or len(pairs) != CLASSES
        or not all(map(SYNSET.fullmatch, synsets.values()))
    ):
        raise ValueError(
            f"{file} has {len(pairs)} pairs of a class and a synset (n02256656_13626.JPEG is of n02256656); expected "
            f"{CLASSES}, one synset for each class, as the published list has"
        )
    return tuple(synsets.values())


def _read(file: Path, progress: bool = False) -> Iterator[tuple[str, int]]:
    """File names without their folder, and classes, of lines `path 0 0 1 0` or `path 2`."""
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    bar = tqdm(lines, f"reading {file.name}", delay=2, leave=False, disable=not progress)
    for number, line in enumerate(bar, 1):
        if not line.strip():
            continue
        path, *labels = line.split()
        one_hot = len(labels) > 1 and labels.count("1") == 1 and labels.count("0") == len(labels) - 1
        if not one_hot and not (len(labels) == 1 and labels[0].isdecimal()):
            raise ValueError(f"{file}:{number}: expected a path and one class, as zeros with one 1 among them")
        yield path.rpartition("/")[2], labels.index("1") if one_hot else int(labels[0])
