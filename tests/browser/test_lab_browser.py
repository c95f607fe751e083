"""QueryBrowser in JupyterLab: queries by click, key, class, number and AP; its results, pairs and exports are right."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from browser.controls import choose, click, pixels, press, set_slider, write
from cscelab.collection import collection_of
from cscelab.experiment import find_run
from cscelab.figures.browse import browse_figure, gallery_png, overlaid, ranking, speaking_maps
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.neighbours import name_of
from cscelab.recipes import recipe
from cscelab.shelf import Shelf
from cscelab.widgets.browser_view import differing

CELL = "from cscelab.widgets import QueryBrowser, checked; checked(QueryBrowser(seed=0))"
TWO = """
from cscelab.experiment import find_run
from cscelab.recipes import recipe
from cscelab.widgets import QueryBrowser, checked
checked(QueryBrowser({"CSCE-Net": find_run(recipe("csce", "smoke")), "CSQ": find_run(recipe("csq", "smoke"))}))
"""


@pytest.fixture(scope="module")
def shipped(data):
    shelf = Shelf(data)
    first = shelf.data_sets()[0]
    return shelf.collection(first, shelf.methods(first)[0], 32)


def tile_texts(notebook):
    return notebook.locator(".csce-tile img").evaluate_all("images => images.map(image => image.alt)")


def said_of(collection, found):
    """What the tiles of these neighbours should say."""
    labels = collection.splits.database.labels
    return [
        f"rank {rank}: {'right' if right else 'wrong'}, distance {distance}, "
        + name_of(labels[row], collection.class_names).replace("\n", " ")
        for rank, (row, distance, right) in enumerate(zip(*found, strict=True), start=1)
    ]


def wait_for_results(notebook, collection, query, k=10, among=None):
    """Until query and tiles are those of a search made here."""
    expected = said_of(collection, collection.find(query, k, among))
    notebook.until(lambda: title(notebook) == query.title.split(":")[0], f"the query is {query.title}")
    notebook.until(lambda: tile_texts(notebook) == expected, f"the tiles are the {k} nearest of {query.title}")
    notebook.check()


def title(notebook):
    return notebook.locator(".csce-query .csce-title").inner_text()


def tile_picture(notebook, place):
    return pixels(b64decode(notebook.locator(".csce-tile img").nth(place).get_attribute("src").split(",", 1)[1]))


def test_queries_by_click_key_number_class_and_precision(run_cell, shipped):
    notebook = run_cell(CELL)
    query = shipped.query(0)
    wait_for_results(notebook, shipped, query)
    found = shipped.find(query, 10)
    for place in (0, 9):
        assert (tile_picture(notebook, place) == shipped.splits.database.images[found.rows[place]]).all()
    marks = notebook.locator(".csce-tile .csce-mark").all_inner_texts()
    assert marks == ["✓" if right else "✗" for right in found.right]
    # By click: a result becomes the query.
    notebook.locator(".csce-tile").nth(3).click()
    query = shipped.query(int(found.rows[3]), "database")
    wait_for_results(notebook, shipped, query)
    # By key: an arrow chooses the pair, Enter makes it the query.
    found, code = shipped.find(query, 10), shipped.code_of(query)[0]
    notebook.locator(".csce-tile").first.focus()
    press(notebook, "ArrowRight", "ArrowRight")
    words = differing(code, shipped.codes["database_codes"][found.rows[2]], shipped.layout)
    notebook.until(lambda: words in notebook.locator(".csce-count").inner_text(), "the pair's bits are named")
    marked = notebook.locator(".csce-marks").all_inner_texts()
    assert "".join(marked).count("≠") == found.distances[2]
    press(notebook, "Enter")
    query = shipped.query(int(found.rows[2]), "database")
    wait_for_results(notebook, shipped, query)
    click(notebook, "back")
    click(notebook, "back")
    wait_for_results(notebook, shipped, shipped.query(0))
    write(notebook, "number", "12")
    wait_for_results(notebook, shipped, shipped.query(12))
    click(notebook, "hardest")
    order = np.argsort(shipped.average_precision, kind="stable")
    wait_for_results(notebook, shipped, shipped.query(int(order[0])))
    assert "hardest 1 of 500" in notebook.locator(".csce-status").inner_text()
    click(notebook, "hardest")
    wait_for_results(notebook, shipped, shipped.query(int(order[1])))
    rows = np.flatnonzero(shipped.splits.query.labels == 7)
    choose(notebook, "class", shipped.class_names[7])
    wait_for_results(notebook, shipped, shipped.query(int(rows[0])))
    click(notebook, "random")
    chosen = int(np.random.default_rng(0).choice(rows))
    wait_for_results(notebook, shipped, shipped.query(chosen))


def test_results_maps_and_exports(run_cell, shipped):
    notebook = run_cell(CELL)
    query = shipped.query(0)
    set_slider(notebook, "k", 13)
    wait_for_results(notebook, shipped, query, 13)
    number = int(query.label) + 1
    choose(notebook, "only class", shipped.class_names[number])
    among = shipped.of_class(number)
    wait_for_results(notebook, shipped, query, 13, among)
    assert set(notebook.locator(".csce-tile .csce-mark").all_inner_texts()) == {"✗"}
    click(notebook, "CAM overlay")
    notebook.until(notebook.locator(".csce-map").count, "the query's map is shown")
    found = shipped.find(query, 13, among)
    images = np.concatenate([query.image[None], shipped.splits.database.images[found.rows]])
    maps = overlaid(images, speaking_maps(shipped, query, found.rows))
    assert (tile_picture(notebook, 12) == maps[13]).all()
    with notebook.page.expect_download() as download:
        click(notebook, "gallery PNG")
    picture = pixels(download.value.path().read_bytes())
    assert (picture == pixels(gallery_png(browse_figure([shipped], query, 13, among, cams=True)))).all()
    assert download.value.suggested_filename.startswith("query-0-")
    choose(notebook, "only class", "all")
    wait_for_results(notebook, shipped, query, 13)
    with notebook.page.expect_download() as download:
        click(notebook, "ranking CSV")
    table = pd.read_csv(BytesIO(download.value.path().read_bytes()))
    expected = ranking([shipped], query)
    assert len(table) == len(shipped.splits.database)
    assert table["id"].tolist() == expected["id"].tolist()
    assert table["right"].tolist() == expected["right"].tolist()
    notebook.check()


def test_two_methods_side_by_side(run_cell, data):
    notebook = run_cell(TWO)
    runs = {"CSCE-Net": "csce", "CSQ": "csq"}
    csce, csq = (collection_of(find_run(recipe(name, "smoke"), data), title=title) for title, name in runs.items())
    expected = [text for one in (csce, csq) for text in said_of(one, one.find(one.query(0), 10))]
    notebook.until(lambda: tile_texts(notebook) == expected, "both methods' results are shown")
    assert SMOKE_MARK in notebook.locator(".csce-status").inner_text()
    choose(notebook, "beside it", "none")
    wait_for_results(notebook, csce, csce.query(0))
    choose(notebook, "method", "CSQ")
    wait_for_results(notebook, csq, csq.query(0))
    choose(notebook, "beside it", "CSCE-Net")
    notebook.until(lambda: tile_texts(notebook) == expected[10:] + expected[:10], "CSQ's results come first")
    notebook.check()
