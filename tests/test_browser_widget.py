"""The query browser: what each control does to the state and to what the tiles show, and what goes wrong said aloud."""

import io
import re
import threading
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fake_runs import NAMES, make_run, make_splits
from PIL import Image

from cscelab.collection import Collection, collection_of, shipped_collection
from cscelab.datasets.aviary import Aviary
from cscelab.figures.browse import overlaid, speaking_maps
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.figures.style import GREEN, RIGHT, RIGHT_MARK, VERMILION, WRONG, WRONG_MARK
from cscelab.layout import CodeLayout
from cscelab.widgets import QueryBrowser, checked
from cscelab.widgets import browser as browser_module
from cscelab.widgets.browser import REFUSED, file_stem
from cscelab.widgets.browser_controls import ALL, LARGEST_UPLOAD, MORE, NONE
from cscelab.widgets.browser_page import TITLE, BrowserPage
from cscelab.widgets.browser_state import Given, changed, first_state, hardest_first, partners
from cscelab.widgets.browser_view import DRAWN_ONLY, LARGEST, differing, encoded, written
from cscelab.widgets.tiles import HERE, Tiles


@pytest.fixture(scope="module")
def splits():
    return make_splits()


@pytest.fixture(scope="module")
def collections(tmp_path_factory, splits):
    folder = tmp_path_factory.mktemp("runs")
    made = {"A": (0, 16), "B": (1, 16), "C": (2, 32)}
    return {
        name: collection_of(make_run(folder, splits, seed=seed, bits=bits, noise=0.3), splits)
        for name, (seed, bits) in made.items()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The shipped encoder on a handful of birds: with a network, so that images can be coded and explained."""
    data = Aviary(train=8, validation=8, query=8, database=40)
    return shipped_collection(data, root=tmp_path_factory.mktemp("data"))


@pytest.fixture
def browser(collections):
    return checked(QueryBrowser(collections, k=5, seed=0))


@pytest.fixture
def own(small):
    return checked(QueryBrowser(small, k=5))


def tiles(browser, row=0):
    return browser.tiles.view["rows"][row]["tiles"]


def found(browser, row=0):
    return [tile["row"] for tile in tiles(browser, row)]


def said(browser):
    """The sentence in the widget's output, "" where there is none."""
    return "".join(part["data"]["text/plain"] for part in browser.output.outputs)


def tell(browser, **content):
    """A message as Python receives it from the browser."""
    browser.tiles._handle_custom_msg(content, [])


def picture(address):
    return pixels(b64decode(address.removeprefix("data:image/png;base64,")))


def pixels(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


def upload(browser, name, content):
    """A file as the browser sends it."""
    file = {"name": name, "type": "image/png", "size": len(content), "content": memoryview(content), "last_modified": 0}
    browser.controls.upload.set_state({"value": [file]})


@pytest.fixture
def delivered(monkeypatch):
    files = []
    monkeypatch.setattr(Tiles, "deliver", lambda self, *file: files.append(file))
    return files


def test_it_starts_with_the_first_query_of_the_first_collection(browser, collections):
    state, first = browser.state, collections["A"]
    assert (state.methods, state.bits, state.k, state.query.row) == (("A",), 16, 5, 0)
    expected = first.find(first.query(0), 5)
    assert found(browser) == expected.rows.tolist()
    assert [tile["distance"] for tile in tiles(browser)] == expected.distances.tolist()
    right = int(expected.right.sum())
    average_precision = first.average_precision[0]
    assert browser.tiles.status == browser.tiles.view["status"]
    assert browser.tiles.status == (
        f"query image 0: {NAMES[0]}. A, 16 bits: {right} of 5 right, AP@all {average_precision:.2f}"
    )


def test_a_tile_says_everything_without_colour(browser, splits):
    for rank, tile in enumerate(tiles(browser), start=1):
        label = splits.database.labels[tile["row"]]
        verdict, mark = ("right", RIGHT_MARK) if label == 0 else ("wrong", WRONG_MARK)
        assert (tile["verdict"], tile["mark"], tile["name"]) == (verdict, mark, NAMES[label])
        assert tile["alt"] == f"rank {rank}: {verdict}, distance {tile['distance']}, {NAMES[label]}"
        assert (picture(tile["image"]) == splits.database.images[tile["row"]]).all()
    query = browser.tiles.view["query"]
    assert (query["title"], query["name"]) == ("query image 0", NAMES[0])
    assert query["alt"] == f"the query: query image 0: {NAMES[0]}"
    assert (picture(query["image"]) == splits.query.images[0]).all()


def test_bits_of_a_pair_are_those_of_the_codes(browser, collections):
    codes = collections["A"].codes
    row = browser.tiles.view["rows"][0]
    assert row["bits"] == written(codes["query_codes"][0], CodeLayout(16))
    for tile in row["tiles"]:
        assert tile["bits"] == written(codes["database_codes"][tile["row"]], CodeLayout(16))
        assert sum(a != b for a, b in zip(row["bits"], tile["bits"], strict=True)) == tile["distance"]
        assert tile["differing"].startswith(f"{tile['distance']} of 16 bits differ: ")


def test_differing_bits_are_counted_from_one():
    code = np.array([1, -1, 1, 1])
    assert written(code, CodeLayout(4)) == "+-++"
    assert differing(code, np.array([1, 1, 1, -1]), CodeLayout(4)) == "2 of 4 bits differ: 2, 4"
    assert differing(code, code, CodeLayout(4)) == "0 of 4 bits differ: the codes are the same"
    assert differing(np.ones(20), -np.ones(20), CodeLayout(20)).endswith("15, 16 and 4 more")


def test_method_second_and_bits(browser, collections):
    controls = browser.controls
    assert controls.method.options == ("A", "B", "C")
    assert controls.second.options == (NONE, "B")  # C has other bits
    controls.second.value = "B"
    assert browser.state.methods == ("A", "B")
    for row, name in enumerate("AB"):
        assert found(browser, row) == collections[name].find(browser.state.query, 5).rows.tolist()
    assert [row["title"] for row in browser.tiles.view["rows"]] == ["A, 16 bits", "B, 16 bits"]
    assert "B, 16 bits: " in browser.tiles.status
    controls.second.value = NONE
    assert browser.state.methods == ("A",)
    controls.second.value = "B"
    controls.method.value = "C"  # no bits in common: B goes
    assert (browser.state.methods, browser.state.bits) == (("C",), 32)
    assert (controls.second.options, controls.second.value, controls.bits.options) == ((NONE,), NONE, (32,))
    assert found(checked(browser)) == collections["C"].find(browser.state.query, 5).rows.tolist()


class Lengths:
    """A catalogue of one method at several lengths, as the shelf has them."""

    def __init__(self, collections):
        self.by = {("X", 16): collections["A"], ("X", 32): collections["C"], ("Y", 32): collections["C"]}

    def data_sets(self):
        return ["birds", "more birds"]

    def methods(self, data):
        return ["X", "Y"]

    def others(self, data):
        return []

    def bits(self, data, method):
        return [bits for name, bits in self.by if name == method]

    def collection(self, data, method, bits):
        return self.by[method, bits]


def test_two_methods_meet_at_bits_that_both_have(collections, monkeypatch):
    monkeypatch.setattr(browser_module, "Shelf", lambda: Lengths(collections))
    browser = QueryBrowser()
    assert browser.controls.bits.options == (16, 32)
    browser.controls.second.value = "Y"
    assert (browser.state.bits, browser.controls.bits.options) == (32, (32,))
    browser.controls.second.value = NONE
    browser.controls.bits.value = 16
    assert browser.state.bits == len(browser.tiles.view["rows"][0]["bits"]) == 16
    browser.show(3)
    browser.controls.k.value = 7
    browser.controls.data.value = "more birds"
    assert (browser.state.data, browser.state.query.row, browser.state.k) == ("more birds", 0, 7)
    assert browser.state.earlier == ()
    assert partners(browser.catalogue, "birds", "X") == ["Y"]


def test_loading_is_announced_before_it_begins(collections, monkeypatch):
    catalogue = Lengths(collections)
    monkeypatch.setattr(browser_module, "Shelf", lambda: catalogue)
    browser, seen = QueryBrowser(), []
    open_one = catalogue.collection
    catalogue.collection = lambda *asked: seen.append(browser.tiles.status) or open_one(*asked)
    browser.controls.bits.value = 32
    assert seen[0] == "loading X, 32 bits …"
    assert browser.tiles.status.startswith("query image 0")


def test_k_and_classes(browser, splits):
    controls = browser.controls
    controls.k.value = 12
    assert len(tiles(browser)) == browser.state.k == 12
    controls.among.value = 2
    assert {splits.database.labels[row] for row in found(browser)} == {2}
    assert f"Only results of class {NAMES[2]}" in browser.tiles.status
    assert "AP@all" not in browser.tiles.status  # of the whole database
    controls.query_class.value = 1
    assert (browser.state.query.row, controls.index.value) == (1, "1")
    browser.controls.random.click()
    assert splits.query.labels[browser.state.query.row] == 1
    controls.among.value = controls.query_class.value = ALL
    assert (browser.state.among, browser.state.query_class) == (None, None)


def test_index_random_and_back(browser):
    controls = browser.controls
    assert controls.back.disabled
    controls.index.value = " 07 "
    assert (browser.state.query.row, controls.index.value) == (7, "7")
    controls.random.click()
    drawn = browser.state.query.row
    assert controls.index.value == str(drawn)
    tell(browser, kind="search", row=5)
    assert browser.state.query.origin == "database"
    for row in (drawn, 7, 0):
        assert not controls.back.disabled
        controls.back.click()
        assert (browser.state.query.origin, browser.state.query.row) == ("query", row)
    assert controls.back.disabled
    again = QueryBrowser({"A": browser._first}, seed=0)
    again.controls.random.click()
    assert again.state.query.row == drawn


def test_hardest_goes_down_the_list_of_average_precision(browser, collections):
    first = collections["A"].average_precision
    order = np.argsort(first, kind="stable")
    assert (first[order][:-1] <= first[order][1:]).all()
    for place, row in enumerate(order[:4]):
        browser.controls.hardest.click()
        assert browser.state.query.row == row
        assert f"(hardest {place + 1} of 12)" in browser.tiles.status
    browser.controls.query_class.value = 2
    browser.controls.hardest.click()
    of_class = [row for row in order if collections["A"].splits.query.labels[row] == 2]
    assert browser.state.query.row == of_class[0]
    assert hardest_first(collections["A"], 2).tolist() == of_class
    browser.controls.method.value = "B"  # another order, from its beginning
    browser.controls.hardest.click()
    assert browser.state.query.row == hardest_first(collections["B"], 2)[0]
    for _ in of_class:  # and around
        browser.controls.hardest.click()
    assert browser.state.query.row == hardest_first(collections["B"], 2)[0]


def test_a_clicked_result_becomes_the_query_and_does_not_find_itself(browser, collections):
    row = found(browser)[2]
    tell(browser, kind="search", row=row)
    assert (browser.state.query.origin, browser.state.query.row) == ("database", row)
    assert row not in found(browser)
    assert browser.tiles.status.startswith(f"database image {row}: ")
    assert "AP@all" not in browser.tiles.status
    assert (browser.controls.index.value, browser.controls.index.placeholder) == ("", "0 to 11")  # it has no number
    browser.controls.index.value = "0"  # the number of the query before it
    assert (browser.state.query.origin, browser.state.query.row) == ("query", 0)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("heron", "'heron' is no number of a query; type one from 0 to 11 and press Enter"),
        ("12", "row 12 of the query images was asked for; there are rows 0 to 11"),
        ("-1", "row -1 of the query images was asked for; there are rows 0 to 11"),
    ],
)
def test_a_number_that_is_none_is_said_and_taken_back(browser, typed, sentence):
    browser.show(3)
    browser.controls.index.value = typed
    assert said(checked(browser)) == REFUSED + sentence
    assert (browser.state.query.row, browser.controls.index.value) == (3, "3")
    browser.controls.index.value = " "  # nothing was asked for
    assert (said(browser), browser.controls.index.value) == ("", "3")


def test_two_of_the_same_bits_start_side_by_side(collections):
    two = QueryBrowser({name: collections[name] for name in "AB"})
    assert (two.state.methods, two.controls.second.value) == (("A", "B"), "B")
    assert len(two.tiles.view["rows"]) == 2
    two.controls.second.value = NONE
    assert two.state.methods == ("A",)
    assert QueryBrowser({name: collections[name] for name in "AC"}).state.methods == ("A",)  # other bits


def test_few_looked_for_methods_stand_behind_a_line_that_is_no_method(collections, monkeypatch):
    catalogue = Lengths(collections)
    catalogue.others = lambda data: ["Y"]
    monkeypatch.setattr(browser_module, "Shelf", lambda: catalogue)
    controls = (browser := QueryBrowser()).controls
    assert controls.method.options == ("X", MORE, "Y")
    assert controls.second.options == (NONE, MORE, "Y")
    for control, shown in ((controls.method, "X"), (controls.second, NONE)):
        control.value = MORE
        assert (control.value, browser.state.methods) == (shown, ("X",))
    controls.method.value = "Y"
    assert (browser.state.methods, controls.second.options) == (("Y",), (NONE, "X"))


def test_every_list_and_the_field_explain_themselves(browser):
    assert set(browser.tiles.tooltips) == {"data set", "method", "beside it", "bits", "class", "number", "only class"}
    assert all(browser.tiles.tooltips.values())
    assert "tooltips[label.textContent]" in (HERE / "tiles.js").read_text()


def test_the_page_explains_the_words_of_the_browser(collections):
    page = checked(BrowserPage(collections, k=5))
    head, browser = page.children
    assert (browser.state.k, browser.controls.k.description) == (5, "how many")
    assert "<h1" in head.value
    assert TITLE in head.value
    assert "<details" in head.value
    for word in ("code, bits", "AP@all", "CAM", "shipped encoder"):
        assert f"<b>{word}</b>" in head.value


def test_the_chosen_pair_follows_the_keyboard_and_stays(browser):
    browser.tiles.set_state({"chosen": [0, 3]})
    assert browser.state.chosen == (0, 3)
    browser.controls.random.click()
    assert (browser.state.chosen, browser.tiles.chosen) == ((0, 3), [0, 3])


def test_one_change_is_one_redraw(browser):
    drawn = []
    browser.tiles.observe(lambda change: drawn.append(change["new"]), "view")
    for act, count in (
        (lambda: setattr(browser.controls.k, "value", 3), 1),
        (lambda: setattr(browser.controls.method, "value", "B"), 2),
        (lambda: setattr(browser.controls.query_class, "value", 1), 3),
        (browser.controls.hardest.click, 4),
    ):
        act()
        assert len(drawn) == count


def test_cams_are_laid_over_the_images(own, small):
    own.controls.cams.value = True
    assert own.controls.cams.icon == "check-square-o"
    rows = np.array(found(own))
    images = np.concatenate([small.query(0).image[None], small.splits.database.images[rows]])
    expected = overlaid(images, speaking_maps(small, small.query(0), rows))
    (query_map,) = own.tiles.view["query"]["maps"]
    assert (picture(query_map["image"]) == expected[0]).all()
    assert query_map["title"] == small.title
    for tile, image in zip(tiles(own), expected[1:], strict=True):
        assert (picture(tile["image"]) == image).all()
    assert "speaks for the query's code" in own.tiles.view["hint"]
    own.controls.cams.value = False
    assert own.tiles.view["query"]["maps"] == []
    assert (picture(tiles(own)[0]["image"]) == images[1]).all()
    assert "speaks for" not in own.tiles.view["hint"]


def test_an_own_image_finds_its_double_and_is_not_judged(own, small):
    upload(own, "bird.png", png(small.splits.database.images[11]))
    assert said(own) == ""
    assert found(own)[0] == 11
    first = tiles(own)[0]
    assert (first["distance"], first["verdict"], first["mark"]) == (0, "unknown", "")
    assert first["alt"].startswith("rank 1: distance 0, ")
    results = f"{small.title}, {small.bits} bits: 5 nearest"
    assert own.tiles.status == f"your image bird.png. {results}. {DRAWN_ONLY}"
    assert own.tiles.view["query"]["name"] == "class not known"
    assert own.controls.upload.value == ()  # the same file can be chosen again
    own.controls.back.click()
    assert own.state.query.row == 0


@pytest.mark.parametrize(
    ("name", "damage", "sentence"),
    [
        ("notes.png", lambda png: b"no image at all", "notes.png is no image of a known kind"),
        ("cut.png", lambda png: png[: len(png) // 2], "cut.png is damaged and cannot be decoded"),
        ("empty.png", lambda png: b"", "empty.png is empty"),
    ],
)
def test_a_bad_upload_is_one_sentence_and_changes_nothing(own, small, name, damage, sentence):
    before = own.tiles.view
    upload(own, name, damage(png(small.splits.database.images[0])))
    assert said(checked(own)).startswith(REFUSED + sentence)
    assert (own.tiles.view, own.state.query.row) == (before, 0)
    own.controls.random.click()  # alive, and the sentence gone
    assert said(own) == ""


def test_a_file_too_large_to_be_sent_is_named(browser):
    assert browser.tiles.upload == browser.controls.upload.model_id
    assert browser.tiles.largest == LARGEST_UPLOAD
    tell(browser, kind="too large", name="wall.tif", size=12_345_678)
    assert said(checked(browser)) == REFUSED + (
        "wall.tif has 12.3 MB, more than the 10 MB that Jupyter lets through; make it smaller and choose it again"
    )
    assert "at most 10 MB and 50 megapixels" in browser.controls.upload.tooltip


def test_exports(browser, collections, delivered):
    browser.controls.second.value = "B"
    browser.controls.among.value = 1
    browser.controls.save_ranking.click()
    browser.controls.save_picture.click()
    (csv_name, csv_kind, table), (png_name, png_kind, image) = delivered
    assert (csv_name, csv_kind) == ("query-0-a-b-16.csv", "text/csv")
    assert (png_name, png_kind) == ("query-0-a-b-16.png", "image/png")
    read = pd.read_csv(io.BytesIO(table))
    of_class = collections["A"].of_class(1)
    assert len(read) == 2 * len(of_class)  # the whole ranking, not what is shown
    for name in "AB":
        expected = collections[name].find(browser.state.query, len(of_class), of_class)
        part = read[read["method"] == name]
        assert part["database row"].tolist() == expected.rows.tolist()
        assert part["distance"].tolist() == expected.distances.tolist()
    assert pixels(image).shape[1] == 2000
    assert said(browser) == "query-0-a-b-16.png is among your browser's downloads."


def test_a_file_goes_to_the_browser_as_a_message_with_its_bytes(monkeypatch):
    sent = []
    monkeypatch.setattr(Tiles, "send", lambda self, content, buffers=None: sent.append((content, buffers)))
    Tiles().deliver("a.csv", "text/csv", b"rank\n")
    assert sent == [({"kind": "file", "name": "a.csv", "type": "text/csv"}, [b"rank\n"])]


def test_names_of_files(browser, small):
    own = replace(browser.state, query=replace(browser.state.query, title="your image Übel/heron.png", origin="own"))
    assert file_stem(own) == "your-image-bel-heron-png-a-16"
    assert file_stem(replace(browser.state, query=browser._first.query(4, "database"))) == "database-image-4-a-16"


def test_what_cannot_be_shown_leaves_everything_as_it_was(browser, collections):
    before = browser.tiles.view, browser.tiles.status
    browser.controls.cams.value = True  # a run whose weights are gone
    assert "model.safetensors" in said(checked(browser))
    assert (browser.state.cams, browser.controls.cams.value) == (False, False)
    tell(browser, kind="search", row=999)
    assert said(browser) == f"{REFUSED}row 999 of the database images was asked for; there are rows 0 to 39"
    assert (browser.tiles.view, browser.tiles.status) == before
    for changes, sentence in (
        ({"k": 0}, "the 0 nearest were asked for; choose 1 to 50"),
        ({"methods": ("Z",)}, "unknown method 'Z'; choose from ['A', 'B', 'C']"),
        ({"data": "cats"}, "unknown data set 'cats'"),
    ):
        with pytest.raises(ValueError, match=re.escape(sentence)):
            browser.change(**changes)
    with pytest.raises(ValueError, match="row 12 of the query images was asked for; there are rows 0 to 11"):
        browser.show(12)
    with pytest.raises(ValueError, match="an empty mapping of collections was given"):
        QueryBrowser({})
    assert (browser.tiles.view, browser.tiles.status) == before


def test_a_class_without_images_is_one_sentence(collections):
    one = collections["A"]
    few = replace(one, splits=replace(one.splits, class_names=(*NAMES, "dodo")))
    browser = QueryBrowser({"A": few})
    browser.controls.among.value = 3
    assert said(browser) == f"{REFUSED}no database image shows a dodo; choose another class"
    assert (browser.controls.among.value, browser.state.among) == (ALL, None)
    browser.controls.query_class.value = 3
    assert said(browser) == f"{REFUSED}no query shows a dodo; choose another class"
    assert browser.controls.query_class.value == ALL


def test_a_programming_error_is_raised_by_checked(browser, monkeypatch):
    monkeypatch.setattr(browser_module, "view", lambda *_: 1 / 0)
    browser.controls.random.click()  # passes in silence, as in Jupyter
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        checked(browser)
    monkeypatch.undo()
    browser.controls.random.click()
    checked(browser)


def test_a_bug_that_numpy_reports_as_a_valueerror_is_no_sentence(browser, monkeypatch):
    monkeypatch.setattr(browser_module, "view", lambda *_: np.zeros(2) + np.zeros(3))
    browser.controls.random.click()
    with pytest.raises(RuntimeError, match="ValueError: operands could not be broadcast"):
        checked(browser)


def test_several_classes_an_image(tmp_path):
    splits = make_splits(multilabel=True)
    browser = QueryBrowser(collection_of(make_run(tmp_path, splits), splits))
    browser.controls.query_class.value = browser.controls.among.value = 2
    assert splits.query.labels[browser.state.query.row][2]
    assert splits.database.labels[found(browser)][:, 2].all()
    assert {tile["verdict"] for tile in tiles(browser)} == {"right"}
    shared = splits.database.labels[found(browser)[0]]
    assert tiles(browser)[0]["name"] == " + ".join(NAMES[i] for i in np.flatnonzero(shared))
    browser.controls.hardest.click()
    assert splits.query.labels[browser.state.query.row][2]


def test_runs_alone_and_by_name(tmp_path, splits, monkeypatch):
    run = make_run(tmp_path, splits, smoke=True)
    monkeypatch.setattr(type(run), "data", lambda self, progress=False: splits)
    for given, name in ((run, "CSCE-Net"), ({"mine": run}, "mine")):
        browser = QueryBrowser(given)
        assert browser.state.methods == (name,)
        assert browser.tiles.status.endswith(SMOKE_MARK)


def test_states_are_pure(collections):
    catalogue = Given(collections)
    data = catalogue.data_sets()[0]
    state = first_state(catalogue, data)
    new = changed(catalogue, state, methods=("A", "A"), k=3)  # the same twice is one
    assert (new.methods, new.k, state.k) == (("A",), 3, 10)
    assert new.earlier == ()
    later = changed(catalogue, replace(new, hardest=4), query=collections["A"].query(2))
    assert (later.earlier, later.hardest) == ((new.query,), 0)  # another move
    again = changed(catalogue, replace(new, hardest=4), query=collections["A"].query(2), hardest=5)
    assert (again.hardest, changed(catalogue, again, k=7).hardest) == (5, 5)
    assert changed(catalogue, again, methods=("B",)).hardest == 0


def test_hardest_begins_again_after_any_other_move(browser, collections):
    first, second = hardest_first(collections["A"], None)[:2]
    for move in (
        browser.controls.random.click,
        browser.controls.back.click,
        lambda: browser.show(11),
        lambda: tell(browser, kind="search", row=5),
    ):
        browser.controls.hardest.click()
        assert browser.state.query.row == first
        browser.controls.k.value += 1  # no move
        browser.controls.hardest.click()
        assert browser.state.query.row == second
        move()
    browser.controls.hardest.click()
    assert browser.state.query.row == first


def test_a_query_of_another_class_takes_the_class_back_to_any(browser, collections):
    labels = {origin: collections["A"].codes[f"{origin}_labels"] for origin in ("query", "database")}
    control = browser.controls.query_class

    def row(origin, of_class):
        return int(np.flatnonzero((labels[origin] == 1) == of_class)[-1])

    for move, kept in (
        (lambda: setattr(browser.controls.index, "value", str(row("query", True))), True),
        (lambda: tell(browser, kind="search", row=row("database", True)), True),
        (browser.controls.hardest.click, True),
        (browser.controls.random.click, True),
        (lambda: setattr(browser.controls.index, "value", str(row("query", False))), False),
        (lambda: tell(browser, kind="search", row=row("database", False)), False),
    ):
        control.value = 1
        move()
        assert (browser.state.query_class, control.value) == ((1, 1) if kept else (None, ALL))
    own = changed(
        browser.catalogue, replace(browser.state, query_class=1), query=replace(browser.state.query, label=None)
    )
    assert own.query_class is None  # of no class that is known


def test_the_chosen_pair_stays_among_the_results(browser):
    browser.change(k=10, methods=("A", "B"))
    browser.tiles.set_state({"chosen": [1, 9]})
    browser.controls.k.value = 3
    assert (browser.state.chosen, browser.tiles.chosen) == ((1, 2), [1, 2])
    browser.controls.second.value = NONE
    assert (browser.state.chosen, browser.tiles.chosen) == ((0, 2), [0, 2])


def test_two_threads_lose_no_change_of_each_other(browser, monkeypatch):
    """A person points at tiles while a cell changes k: each `view` waits until the person has pointed elsewhere."""
    draw, told = browser_module.view, []

    def point(place):
        told.append(place)
        browser.tiles.set_state({"chosen": [0, place]})

    def view(collections, state):
        pointing = threading.Thread(target=point, args=(state.k - 1,))
        pointing.start()
        pointing.join(timeout=0.1)  # it waits for the lock
        threads.append(pointing)
        return draw(collections, state)

    def copied(state, **changes):  # a person's change that is slow: a cell's comes in between
        if set(changes) == {"chosen"} and not cells:
            cell = threading.Thread(target=browser.change, kwargs={"k": 9})
            cells.append(cell)
            cell.start()
            cell.join(timeout=0.1)
        return replace(state, **changes)

    threads, cells = [], [None]
    monkeypatch.setattr(browser_module, "view", view)
    for k in (3, 4, 6):
        browser.change(k=k)
        threads[-1].join(timeout=10)
        assert (browser.state.k, len(tiles(browser))) == (k, k)
        assert (browser.state.chosen, browser.tiles.chosen) == ((0, k - 1), [0, k - 1])
    assert told == [2, 3, 5]
    monkeypatch.setattr(browser_module, "view", draw)
    monkeypatch.setattr(browser_module, "replace", copied)
    cells.clear()
    point(1)
    cells[0].join(timeout=10)
    assert (browser.state.k, len(tiles(browser)), browser.state.chosen) == (9, 9, (0, 1))


def test_an_own_image_is_coded_once(own, small, monkeypatch):
    encode, coded = Collection.encode, []
    monkeypatch.setattr(Collection, "encode", lambda self, images: coded.append(len(images)) or encode(self, images))
    upload(own, "bird.png", png(small.splits.database.images[7]))
    own.controls.cams.value = True
    own.controls.k.value = 8
    own.controls.among.value = 1
    assert coded == [1]
    upload(own, "other.png", png(small.splits.database.images[8]))
    assert (coded, own.state.query.title) == ([1, 1], "your image other.png")
    own.controls.among.value = ALL
    assert found(own)[0] == 8


def test_large_images_are_made_smaller_before_they_are_sent():
    image = np.zeros((400, 200, 3), np.uint8)
    assert picture(encoded(image)).shape == (LARGEST, LARGEST // 2, 3)
    assert picture(encoded(image[:50, :50])).shape == (50, 50, 3)


def test_the_browser_draws_verdicts_in_the_colours_of_the_figures():
    style = (HERE / "tiles.css").read_text()
    assert (RIGHT, WRONG) == (GREEN, VERMILION)
    assert f"--right: {RIGHT.lower()};" in style
    assert f"--wrong: {WRONG.lower()};" in style
    assert "solid var(--right)" in style
    assert "dashed var(--wrong)" in style
