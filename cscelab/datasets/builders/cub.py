"""CUB-200-2011 (Wah et al. 2011) and NABirds (Van Horn et al., CVPR 2015), which share a layout of four text files."""

from __future__ import annotations

from pathlib import Path

from cscelab.datasets.builders.official import (
    Counts,
    Images,
    Official,
    class_number,
    located,
    official_split,
    read_pairs,
)
from cscelab.datasets.splitfiles import SplitLists

CUB = Official(
    name="cub-200-2011",
    title="CUB-200-2011",
    counts=(200, 5_994, 5_794),
    training="training split",
    folder="CUB_200_2011",
    marker="train_test_split.txt",
    home="https://www.vision.caltech.edu/datasets/cub_200_2011/",
)
NABIRDS = Official(
    name="nabirds",
    title="NABirds",
    counts=(555, 23_929, 24_633),
    training="training split",
    folder="nabirds",
    marker="train_test_split.txt",
    home="https://dl.allaboutbirds.org/nabirds",
)


def cub(root: Path, counts: Counts | None = CUB.counts) -> SplitLists:
    """CUB-200-2011's 200 species; root: CUB_200_2011 or the folder that holds it. See `official_split` for errors."""
    train, test, names = _read(CUB, root)
    spaced = {label: name.partition(".")[2].replace("_", " ") or name for label, name in names.items()}
    return official_split(CUB, root, train, test, spaced, counts)


def nabirds(root: Path, counts: Counts | None = NABIRDS.counts) -> SplitLists:
    """NABirds's 555 categories that have images; the rest of classes.txt is the hierarchy above them.

    root: nabirds or the folder that holds it. See `official_split` for errors.
    """
    train, test, names = _read(NABIRDS, root)
    return official_split(NABIRDS, root, train, test, names, counts)


def _read(official: Official, root: Path) -> tuple[Images, Images, dict[int, str]]:
    """Training images, test images, and class -> name, as the four files have them."""
    folder = located(official, root)
    paths = {image: path for _, image, path in read_pairs(folder / "images.txt", "'image path'")}
    labels = {
        image: class_number(label, where)
        for where, image, label in read_pairs(folder / "image_class_labels.txt", "'image class'")
    }
    trained = {image: flag == "1" for _, image, flag in read_pairs(folder / "train_test_split.txt", "'image 1' or 0")}
    if not paths.keys() == labels.keys() == trained.keys():
        raise ValueError(
            f"images.txt, image_class_labels.txt and train_test_split.txt of {folder} list other images ({len(paths)}, "
            f"{len(labels)} and {len(trained)}); expected the same in each: unpack it again"
        )
    train, test = (
        [(f"images/{path}", labels[image]) for image, path in paths.items() if trained[image] is wanted]
        for wanted in (True, False)
    )
    names = {
        class_number(label, where): name for where, label, name in read_pairs(folder / "classes.txt", "'class name'")
    }
    return train, test, names
