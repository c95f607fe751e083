"""Runs on images without labels where people look at them: the shelf, browsers, the table of measures."""

import warnings

import numpy as np
import pytest
from PIL import Image

from cscelab.datasets import Unlabelled
from cscelab.experiment import Experiment, report, run
from cscelab.figures.browse import ranking
from cscelab.methods.cibhash import CIBHashConfig
from cscelab.model.backbone import BackboneConfig
from cscelab.shelf import ABSENT, Shelf
from cscelab.steps import Training
from cscelab.widgets import MethodComparer, QueryBrowser

SCRATCH = CIBHashConfig(backbone=BackboneConfig("tiny", "none"))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data folder with a run on twelve pictures of noise at 8 and 16 bits."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "photos").mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{number}.png")
    data = Unlabelled(str(folder / "photos"), 32, validation=2, query=3)
    for bits in (8, 16):
        run(Experiment("noise", data, SCRATCH, bits, Training(epochs=1)), root=folder, progress=False)
    return folder


def test_the_shelf_opens_what_it_lists_and_says_where_files_have_gone(root):
    title = "photos, 12 unlabelled images, 32 px"
    shelf = Shelf(root)
    assert (shelf.data_sets()[1:], shelf.bits(title, "CIBHash")) == ([title], [8, 16])
    opened = shelf.collection(title, "CIBHash", 8)
    query = opened.query(2)
    assert query.title == f"query image 2: {opened.class_names[query.label]}"
    found = opened.find(query, 12)
    assert found.right.sum() == 1
    assert opened.average_precision[2] <= 1 / (1 + (found.distances < found.distances[found.right][0]).sum())
    table = ranking([opened], query)
    assert (table["class"] == table["path"]).all()
    (root / "photos").rename(root / "moved")
    try:
        assert Shelf(root).data_sets()[1:] == ["photos, 12 unlabelled images, 32 px" + ABSENT]
    finally:
        (root / "moved").rename(root / "photos")


def test_browser_and_comparer_show_it(root):
    shelf = Shelf(root)
    (title,) = shelf.data_sets()[1:]
    both = {f"{bits} bits": shelf.collection(title, "CIBHash", bits) for bits in (8, 16)}
    browser = QueryBrowser(both)
    number = int(both["8 bits"].splits.query.labels[1])
    browser.controls.query_class.value = number
    assert browser.state.query.row == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for view in ("curves", "gallery", "codes", "table"):
            assert MethodComparer(both, view=view).choice.view == view


def test_a_class_of_one_query_is_no_row_of_the_table(root):
    shelf = Shelf(root)
    opened = shelf.collection(shelf.data_sets()[1], "CIBHash", 8).source
    found = report(opened)
    assert found.map_per_class == {}
    assert " class " not in " ".join(one.name for one in found.measures)
    assert len(found.average_precision) == 3
