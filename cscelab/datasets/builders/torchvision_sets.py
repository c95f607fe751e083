"""Data sets that torchvision has too, in the folders its downloads leave: aircraft, food, flowers, cars and pets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cscelab.datasets.builders.official import (
    Counts,
    Images,
    Official,
    class_number,
    located,
    official_split,
    read_lines,
    read_pairs,
)
from cscelab.datasets.splitfiles import SplitLists

AIRCRAFT = Official(
    name="fgvc-aircraft",
    title="FGVC-Aircraft",
    counts=(100, 6_667, 3_333),
    training="trainval split",
    folder="fgvc-aircraft-2013b",
    marker="data/images_variant_trainval.txt",
    home="https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/",
)
FOOD = Official(
    name="food-101",
    title="Food-101",
    counts=(101, 75_750, 25_250),
    training="training split",
    folder="food-101",
    marker="meta/train.txt",
    home="https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
)
FLOWERS = Official(
    name="flowers-102",
    title="Flowers-102",
    counts=(102, 2_040, 6_149),
    training="training and validation splits (trnid and valid)",
    folder="flowers-102",
    marker="setid.mat",
    home="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
)
CARS = Official(
    name="stanford-cars",
    title="Stanford Cars",
    counts=(196, 8_144, 8_041),
    training="training split",
    folder="stanford_cars",
    marker="devkit/cars_train_annos.mat",
    home="https://github.com/pytorch/vision/issues/7545",  # its own page is gone; this thread says where copies are
)
PETS = Official(
    name="oxford-pets",
    title="Oxford-IIIT Pet",
    counts=(37, 3_680, 3_669),
    training="trainval split",
    folder="oxford-iiit-pet",
    marker="annotations/trainval.txt",
    home="https://www.robots.ox.ac.uk/~vgg/data/pets/",
)


def aircraft(root: Path, counts: Counts | None = AIRCRAFT.counts) -> SplitLists:
    """FGVC-Aircraft (Maji et al. 2013) by its 100 variants; root: fgvc-aircraft-2013b or the folder that holds it."""
    folder = located(AIRCRAFT, root) / "data"
    names = [name for _, name in read_lines(folder / "variants.txt")]
    numbers = {name: number for number, name in enumerate(names)}

    def read(part: str) -> Iterator[tuple[str, int]]:
        for where, image, variant in read_pairs(folder / f"images_variant_{part}.txt", "'image variant'"):
            if variant not in numbers:
                raise ValueError(f"{where}: {variant!r} is no variant of variants.txt; unpack the data set again")
            yield f"data/images/{image}.jpg", numbers[variant]

    return official_split(AIRCRAFT, root, list(read("trainval")), list(read("test")), dict(enumerate(names)), counts)


def food(root: Path, counts: Counts | None = FOOD.counts) -> SplitLists:
    """Food-101 (Bossard et al., ECCV 2014), noisy training labels as they are; root: food-101 or what holds it."""
    folder = located(FOOD, root) / "meta"
    names = [name for _, name in read_lines(folder / "classes.txt")]
    numbers = {name: number for number, name in enumerate(names)}

    def read(part: str) -> Iterator[tuple[str, int]]:
        for where, image in read_lines(folder / f"{part}.txt"):  # apple_pie/1005649
            name = image.partition("/")[0]
            if name not in numbers:
                raise ValueError(f"{where}: {name!r} is no class of classes.txt; unpack the data set again")
            yield f"images/{image}.jpg", numbers[name]

    spaced = {number: name.replace("_", " ") for name, number in numbers.items()}
    return official_split(FOOD, root, list(read("train")), list(read("test")), spaced, counts)


def flowers(root: Path, counts: Counts | None = FLOWERS.counts) -> SplitLists:
    """Flowers-102 (Nilsback & Zisserman 2008); root: the folder of jpg/ and the two .mat files, or that which holds it.

    Trained on are the official training and validation images, 1,020 each, as FGVC-Aircraft's and the pets' trainval:
    validation images are drawn from them by whoever trains. Names are torchvision's.
    """
    from torchvision.datasets import Flowers102

    folder = located(FLOWERS, root)
    labels = read_matlab(folder / "imagelabels.mat", "labels")

    def read(*parts: str) -> Images:
        images = np.concatenate([read_matlab(folder / "setid.mat", part) for part in parts]).tolist()
        unknown = [image for image in images if not 1 <= image <= len(labels)]
        if unknown:
            raise ValueError(
                f"{folder / 'setid.mat'} lists image {unknown[0]} and imagelabels.mat has {len(labels)} labels; "
                "expected one for each: download both again"
            )
        return [(f"jpg/image_{image:05d}.jpg", int(labels[image - 1])) for image in images]

    names = dict(enumerate(Flowers102.classes, 1))
    return official_split(FLOWERS, root, read("trnid", "valid"), read("tstid"), names, counts)


def cars(root: Path, counts: Counts | None = CARS.counts) -> SplitLists:
    """Stanford Cars (Krause et al. 2013): cars_train/, cars_test/, devkit/ and cars_test_annos_withlabels.mat.

    root: the folder of these, or one that holds it as stanford_cars. The classes of the test images are in the last
    file only, which the devkit lacks.
    """
    folder = located(CARS, root)
    name = "cars_test_annos_withlabels.mat"
    test_labels = next((file for file in (folder / name, folder / "devkit" / name) if file.is_file()), None)
    if test_labels is None:
        raise ValueError(
            f"there is no {name} in {folder}; the devkit does not tell the test images' classes: {CARS.home} "
            "says where to get it"
        )

    def read(file: Path, part: str) -> Images:
        nested = (folder / part / part).is_dir()  # as in the copies on Kaggle
        images = f"{part}/{part}" if nested else part
        return [(f"{images}/{each['fname']}", int(each["class"])) for each in read_matlab(file, "annotations")]

    names = dict(enumerate(map(str, read_matlab(folder / "devkit" / "cars_meta.mat", "class_names")), 1))
    train = read(folder / "devkit" / "cars_train_annos.mat", "cars_train")
    return official_split(CARS, root, train, read(test_labels, "cars_test"), names, counts)


def pets(root: Path, counts: Counts | None = PETS.counts) -> SplitLists:
    """Oxford-IIIT Pet (Parkhi et al., CVPR 2012) by its 37 breeds; root: the folder of images/ and annotations/, or one
    that holds it as oxford-iiit-pet."""
    folder = located(PETS, root) / "annotations"

    def read(part: str) -> Iterator[tuple[str, int]]:
        for where, image, numbers in read_pairs(folder / f"{part}.txt", "'image class species breed'"):
            yield f"images/{image}.jpg", class_number(numbers.split()[0], where)

    train, test = list(read("trainval")), list(read("test"))
    # images/american_bulldog_100.jpg: a breed has no other name
    names = {label: Path(path).stem.rpartition("_")[0].replace("_", " ") for path, label in train + test}
    return official_split(PETS, root, train, test, names, counts)


def read_matlab(file: Path, name: str) -> np.ndarray[Any, Any]:
    """The array `name` (N,) of a .mat file: numbers, texts or records. Raises ValueError where it cannot be read."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ValueError(f"{file} needs scipy, which is not installed; pip install scipy") from error
    try:
        return np.atleast_1d(loadmat(file, variable_names=[name], squeeze_me=True)[name])
    except Exception as error:  # a damaged file makes the parser raise all sorts
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"cannot read {name!r} of {file} ({reason}); download or unpack it again") from error
