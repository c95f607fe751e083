"""Downloads by torchvision, with its addresses and checksums; CIFAR-10's batches then become lossless PNG files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from cscelab.datasets.builders.official import Official, find
from cscelab.datasets.builders.torchvision_sets import AIRCRAFT, CARS, FLOWERS, FOOD, PETS
from cscelab.paths import make_folder

OXFORD = "https://www.robots.ox.ac.uk/~vgg/data"
CIFAR10 = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"


@dataclass(frozen=True)
class Download:
    """kind: torchvision's class; archives: what it downloads; unsure: what a download that was cut off leaves below
    torchvision's root and torchvision would take for whole, since it checks that a folder or file exists, no more."""

    official: Official
    kind: str
    archives: tuple[str, ...]
    unsure: tuple[str, ...]

    def __call__(self, root: Path) -> None:
        """Puts the data set into root, under the name torchvision gives it; nothing is done where it is there.

        It is downloaded and unpacked aside and renamed when whole; called again after an interruption, it begins at
        the first archive that is not whole. Raises OSError.
        """
        if find(self.official, root):
            return
        folder = root / self.official.folder
        if folder.exists():
            raise OSError(f"{folder} is in the way and has no {self.official.marker}; rename or remove it")
        aside = make_folder(root / f".{self.official.name}.partial", "name another folder with --root")
        for name in self.unsure:
            _remove(aside / name)
        by_hand = f"download and unpack by hand, so that {folder / self.official.marker} is there"
        _torchvision(self.kind, aside, self.official.title, self.archives, by_hand)
        (aside / folder.name).rename(folder)
        _remove(aside)


DOWNLOADED = (
    Download(
        official=AIRCRAFT,
        kind="FGVCAircraft",
        archives=(f"{OXFORD}/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",),
        unsure=("fgvc-aircraft-2013b", "fgvc-aircraft-2013b.tar.gz"),  # torchvision has no checksum of this archive
    ),
    Download(
        official=FOOD,
        kind="Food101",
        archives=("http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",),
        unsure=("food-101",),
    ),
    Download(
        official=FLOWERS,
        kind="Flowers102",
        archives=tuple(f"{OXFORD}/flowers/102/{file}" for file in ("102flowers.tgz", "imagelabels.mat", "setid.mat")),
        unsure=(),
    ),
    Download(
        official=PETS,
        kind="OxfordIIITPet",
        archives=tuple(f"{OXFORD}/pets/data/{part}.tar.gz" for part in ("images", "annotations")),
        unsure=("oxford-iiit-pet/images", "oxford-iiit-pet/annotations"),
    ),
)


def no_cars(root: Path) -> None:
    """Stanford Cars has no download any more, torchvision's included. Raises OSError unless it is there."""
    if find(CARS, root) is None:
        raise OSError(
            "Stanford Cars cannot be downloaded: its page, https://ai.stanford.edu/~jkrause/cars/car_dataset.html, is "
            f"gone, and torchvision's download with it; {CARS.home} says where copies are: unpack cars_train/, "
            f"cars_test/, devkit/ and cars_test_annos_withlabels.mat into {root / CARS.folder}"
        )


def cifar10(root: Path) -> None:
    """root/train/CLASS/00000.png and root/test/CLASS/...: CIFAR-10's 60,000 images, named by their row in the batches.

    torchvision downloads the batches into root, checks each one's MD5 and unpickles them (they are pickled arrays);
    nothing is unpickled later. A part is written aside and renamed when whole, an image that is there is not written
    again. Raises OSError.
    """
    by_hand = f"put the file into {root} by hand"
    for part in ("train", "test"):
        if not (root / part).is_dir():
            aside = make_folder(root / ".png.partial", "name another folder with --root") / part
            batches = _torchvision("CIFAR10", root, "CIFAR-10", (CIFAR10,), by_hand, train=part == "train")
            try:
                _write_images(batches.data, batches.targets, batches.classes, aside, f"writing {part} as PNG files")
                aside.rename(root / part)
            except OSError as error:
                raise OSError(
                    f"cannot write the images to {aside} ({error.strerror or error}); free the space or the "
                    "permission and call again: it goes on from there"
                ) from error
    _remove(root / ".png.partial")


def _write_images(pixels: np.ndarray, labels: list[int], classes: list[str], folder: Path, title: str) -> None:
    """pixels: uint8 (N, H, W, 3)."""
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for row, label in enumerate(tqdm(labels, title, delay=2, leave=False)):
        file = folder / classes[label] / f"{row:05d}.png"
        if not file.exists():
            temporary = file.with_suffix(".tmp")
            Image.fromarray(pixels[row]).save(temporary, format="PNG")
            temporary.replace(file)


def _torchvision(kind: str, root: Path, title: str, archives: tuple[str, ...], by_hand: str, **settings: Any) -> Any:
    """torchvision's data set `kind`, downloaded. One clear OSError where that fails."""
    import torchvision

    try:
        return getattr(torchvision.datasets, kind)(root, download=True, **settings)
    except Exception as error:  # no connection, a moved page, a wrong checksum, a cut-off archive, a full disk
        reason = " ".join(str(getattr(error, "reason", error)).split()).rstrip(".") or type(error).__name__
        raise OSError(
            f"{title} could not be downloaded from {', '.join(archives)} ({reason}); call again to go on, or {by_hand}"
        ) from error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


DOWNLOADS: dict[str, Callable[[Path], None]] = {
    **{download.official.name: download for download in DOWNLOADED},
    CARS.name: no_cars,
    "cifar10": cifar10,
}
