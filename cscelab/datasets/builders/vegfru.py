"""VegFru (Hou et al., ICCV 2017): 200 vegetables and 92 fruits, by the lists in its vegfru_list folder."""

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

VEGFRU = Official(
    name="vegfru",
    title="VegFru",
    counts=(292, 29_200, 116_931),
    training="training split (its validation split is unused)",
    folder="vegfru",
    marker="vegfru_list/vegfru_train.txt",
    home="https://github.com/ustc-vim/vegfru",
)


def vegfru(root: Path, counts: Counts | None = VEGFRU.counts) -> SplitLists:
    """ExchNet's split: vegfru_train.txt and vegfru_test.txt; vegfru_val.txt (14,600 images) is left out, as there.

    root: the folder of vegfru_list/, veg200_images/ and fru92_images/, or one that holds it as vegfru/. See
    `official_split` for errors.
    """
    lists = located(VEGFRU, root) / "vegfru_list"
    train, test = (_read(lists / f"vegfru_{part}.txt") for part in ("train", "test"))
    # The lists number classes and do not name them: their folders do.
    names = {label: path.rpartition("/")[0].rpartition("/")[2].replace("_", " ") for path, label in train + test}
    return official_split(VEGFRU, root, train, test, names, counts)


def _read(file: Path) -> Images:
    return [(path, class_number(label, where)) for where, path, label in read_pairs(file, "'path class'")]
