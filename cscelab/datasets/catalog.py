"""The published data sets by name: what they hold, where they come from, and how their lists are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cscelab.datasets.builders import cifar10 as cifar
from cscelab.datasets.builders import coco, imagenet100, mirflickr, nuswide
from cscelab.datasets.builders.finegrained import BUILDERS, DOWNLOADS, OFFICIAL
from cscelab.datasets.imagecache import ImageStore
from cscelab.datasets.splitfiles import FILES, SplitLists, read_manifest, refuse_other_lists, write_split
from cscelab.paths import data_root

Prepare = Callable[[Path, int, bool], SplitLists]  # root, seed, progress
Counts = tuple[int, int, int | None]  # None where no one says how many


@dataclass(frozen=True)
class DataSet:
    """A published data set under one protocol.

    images: how many the protocol uses, at most as many where counts leave the database open; size: of the download, as
    its publisher's page or archive has it, empty where that is not known; home: address; licence_page: address of its
    terms, or where else they are, None where the publisher states none; protocol: in words; counts: training images,
    queries, database; how: to get it, in one line; layout: what root must hold; prepare: writes the lists.
    """

    name: str
    title: str
    images: int
    size: str
    licence_page: str | None
    home: str
    protocol: str
    counts: Counts
    how: str
    layout: str
    prepare: Prepare


def _cifar10(name: str, counts: Counts) -> DataSet:
    home = "https://www.cs.toronto.edu/~kriz/cifar.html"
    layout = "train/CLASS/*.png (or .jpg) with 5,000 images of each of the ten classes and test/CLASS/ with 1,000"
    return DataSet(
        name, "CIFAR-10", 60_000, "163 MB", None, home, cifar.PROTOCOLS[name], counts,
        "downloaded into an empty --root; a folder or zip of train/CLASS, test/CLASS does as well.", layout,
        lambda root, seed, progress: cifar.cifar10(ImageStore(root), name, seed),
    )  # fmt: skip


def _nuswide(name: str, title: str, images: int, protocol: str, counts: Counts) -> DataSet:
    home = "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html"
    return DataSet(
        name, title, images, "", home, home, protocol, counts,
        "ground truth and image list from the page; the images on request there, or by their addresses.",
        nuswide.LAYOUT, lambda root, seed, progress: nuswide.nuswide(root, seed, name, progress=progress),
    )  # fmt: skip


def _mirflickr(name: str, title: str, images: int, protocol: str, counts: Counts) -> DataSet:
    return DataSet(
        name, title, images, "2.9 GB", "https://press.liacs.nl/mirflickr/",
        "https://press.liacs.nl/mirflickr/mirdownload.html", protocol, counts,
        "unpack mirflickr25k.zip and mirflickr25k_annotations_v080.zip side by side.", mirflickr.LAYOUT,
        lambda root, seed, progress: mirflickr.mirflickr(root, seed, name, progress=progress),
    )  # fmt: skip


SIZES = {  # of the archives
    "cub-200-2011": "1.15 GB", "fgvc-aircraft": "2.75 GB", "nabirds": "9.9 GB", "food-101": "5.0 GB",
    "flowers-102": "345 MB", "stanford-cars": "2.0 GB", "oxford-pets": "0.8 GB",
}  # fmt: skip

TERMS = {  # of the official sets, where they state them; the rest state none that we know of
    "fgvc-aircraft": OFFICIAL["fgvc-aircraft"].home,
    "nabirds": OFFICIAL["nabirds"].home,
    "food-101": "license_agreement.txt in its archive",
    "oxford-pets": OFFICIAL["oxford-pets"].home,
}


def _official(name: str) -> DataSet:
    one = OFFICIAL[name]
    _, train, test = one.counts
    how = f"unpack its archive, so that {one.folder}/ is in --root."
    if name == "stanford-cars":
        how = "its page is gone; this thread says where copies are."
    elif name in DOWNLOADS:
        how = "downloaded into an empty --root by torchvision, or unpack its archive there."
    return DataSet(
        name, one.title, train + test, SIZES.get(name, ""), TERMS.get(name), one.home,
        f"queries are the test images, training images and database those of its {one.training}", (train, test, train),
        how, f"{one.marker} and what belongs to it, in --root or in {one.folder}/ there",
        lambda root, seed, progress: BUILDERS[name](root),
    )  # fmt: skip


_SETS = (
    DataSet(
        name="imagenet100",
        title="ImageNet100",
        images=133_503,
        size="155 GB",
        licence_page="https://image-net.org/download.php",
        home="https://image-net.org",
        protocol="the published lists: 13,000 training images (130 a class; papers say 10,000), 5,000 validation "
        "images as queries, a database of 128,503 with the training images in it; without the lists, 100 a "
        "class, by a seed",
        counts=(13_000, 5000, 128_503),
        how="register, unpack train/ and val/; lists/: those of https://github.com/thuml/HashNet (pytorch/data).",
        layout=f"{imagenet100.LAYOUT}; the three lists beside them or in lists/, or synsets.txt and val/SYNSET/",
        prepare=lambda root, seed, progress: imagenet100.imagenet100(root, seed, progress=progress),
    ),
    DataSet(
        name="coco",
        title="MS COCO",
        images=122_218,
        size="19 GB",
        licence_page="https://cocodataset.org/#termsofuse",
        home="https://cocodataset.org/#download",
        protocol="train and val together without the images that have no category; 5,000 queries, 10,000 training "
        "images, database of all but the queries, 117,218, by a seed (the lists that HashNet publishes have 112,218, "
        "the queries among them)",
        counts=(10_000, 5000, 117_218),
        how="unpack train2014.zip, val2014.zip and annotations_trainval2014.zip side by side (2017 does as well).",
        layout=coco.LAYOUT,
        prepare=lambda root, seed, progress: coco.coco(root, seed, progress=progress),
    ),
    _nuswide(
        "nus-wide", "NUS-WIDE, 21 concepts", 195_834,
        "the images of the 21 most frequent concepts; 100 queries and 500 training images of each, database of all but "
        "the queries, by a seed", (10_500, 2100, 193_734),
    ),
    _nuswide(
        "nus-wide-81", "NUS-WIDE, 81 concepts", 269_648,
        "the images of all 81 concepts, without those that have none; 5,000 queries, 10,000 training images, database "
        "of all but the queries, by a seed", (10_000, 5000, None),
    ),
    _mirflickr(
        "mirflickr25k", "MIRFlickr-25K, images with a label", 24_581,
        "the images with one of 24 concepts; 2,000 queries, 5,000 training images, database of all but the queries, by "
        "a seed", (5000, 2000, 22_581),
    ),
    _mirflickr(
        mirflickr.TAGGED, "MIRFlickr-25K, with a label and a tag", 20_015,
        "as mirflickr25k, of the images that bear one of the 1,386 tags used 20 times or more", (5000, 2000, 18_015),
    ),
    _cifar10("cifar10", (5000, 1000, 54_000)),
    _cifar10("cifar10-59000", (5000, 1000, 59_000)),
    _cifar10("cifar10-50000", (50_000, 10_000, 50_000)),
    *map(_official, OFFICIAL),
)  # fmt: skip
CATALOG: dict[str, DataSet] = {one.name: one for one in _SETS}


def find(name: str) -> DataSet:
    """Raises ValueError naming the choices."""
    if name not in CATALOG:
        raise ValueError(f"unknown data set {name!r}; choose from {', '.join(CATALOG)}")
    return CATALOG[name]


def prepared_folder(name: str) -> Path:
    """Where a data set's lists are written, and where profiles read them."""
    return data_root() / name


def is_prepared(name: str) -> bool:
    """Whether its lists and their manifest are there. Raises ValueError where the manifest cannot be read."""
    folder = prepared_folder(name)
    return read_manifest(folder) is not None and all((folder / file).is_file() for file in FILES.values())


def state(name: str) -> str:
    """What is there of its lists: "prepared", "no images" (their folder has gone since), "own lists" (no manifest),
    "unreadable" (the manifest is) or "", nothing."""
    folder = prepared_folder(name)
    try:
        prepared, manifest = is_prepared(name), read_manifest(folder) or {}
    except ValueError:
        return "unreadable"
    if prepared:
        return "prepared" if Path(manifest["images"]).exists() else "no images"
    return "own lists" if (folder / FILES["train"]).is_file() else ""


def prepare(
    name: str,
    root: Path,
    out: Path | None = None,
    seed: int = 0,
    download: bool = True,
    progress: bool = True,
    pictures: bool = False,
) -> dict[str, Any]:
    """Writes a data set's lists and manifest into `out` (data/NAME unless given) from what its publisher gives in root.

    download: fetch what torchvision can, where root is empty or such a download was stopped; pictures: read every image
    for a checksum. Returns the manifest. Raises ValueError or OSError in one sentence.
    """
    one = find(name)
    root = root.expanduser()
    folder = prepared_folder(name) if out is None else out.expanduser()
    if seed < 0:
        raise ValueError(f"seed is {seed}; choose a whole number from 0")
    refuse_other_lists(folder)  # before a download, which takes long
    key = "cifar10" if name in cifar.PROTOCOLS else name
    if download and key in DOWNLOADS and _to_be_filled(root):
        DOWNLOADS[key](root)
    if not root.exists():
        raise ValueError(f"{root} does not exist; expected {one.layout}: {one.how.rstrip('.')} ({one.home})")
    try:
        split = one.prepare(root, seed, progress)
    except ValueError as error:
        raise ValueError(
            f"{error}; to get {one.title}: {one.how.rstrip('.')} (cscelab data list {name} tells the layout)"
        ) from error
    return write_split(split, folder, root, pictures, progress)


def _to_be_filled(root: Path) -> bool:
    """Whether root is empty, or a download into it was stopped."""
    if not root.is_dir():
        return not root.exists()
    names = [path.name for path in root.iterdir()]
    return not names or any(name.endswith(".partial") or name.startswith("cifar-10-") for name in names)
