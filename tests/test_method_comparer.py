"""MethodComparer: every control makes one picture of the tested functions, and what is not there is said."""

from dataclasses import replace

import numpy as np
import pytest
from fake_runs import make_run, make_splits

from cscelab.collection import collection_of
from cscelab.datasets import Aviary
from cscelab.figures.side_by_side import MOST, Choice, Coded, codes_table, curves_figure, disagreement, score_table
from cscelab.figures.side_codes import codes_figure
from cscelab.figures.side_gallery import gallery_figure
from cscelab.figures.style import alt_text, new_figure
from cscelab.shelf import Shelf
from cscelab.widgets import MethodComparer, checked
from cscelab.widgets import compare as module
from cscelab.widgets.compare import NO_RUNS


@pytest.fixture(scope="module")
def collections(tmp_path_factory, splits):
    """Good and Bad of 16 bits on one data set, and Other of 32 bits on scenes."""
    folder, scenes = tmp_path_factory.mktemp("runs"), make_splits(multilabel=True)
    made = {
        title: collection_of(make_run(folder, splits, noise, seed), splits, title)
        for seed, (title, noise) in enumerate({"Good": 0.1, "Bad": 0.4}.items())
    }
    run = make_run(folder, scenes, 0.2, 3, bits=32, data=Aviary(n_classes=4, scenes=True))
    return made | {"Other": collection_of(run, scenes, "Other")}


@pytest.fixture
def drawn(monkeypatch):
    """(kind, names of codes, row) of what was drawn, in order, without the cost of drawing."""
    calls = []

    def kind_of(name):
        def draw(coded, *row):
            calls.append((name, tuple(one.name for one in coded), *row))
            return new_figure(1, 1)

        return draw

    for name in ("curves", "gallery", "codes"):
        monkeypatch.setattr(module, f"{name}_figure", kind_of(name))
    return calls


class Shelved:
    """A catalogue of one collection under many names and lengths, some of them no usual ones."""

    def __init__(self, collection, lengths, others=()):
        self.collection_, self.lengths, self.others_ = collection, lengths, list(others)

    def data_sets(self):
        return ["birds", "birds, drawn anew"]

    def methods(self, data):
        return list(self.lengths)

    def others(self, data):
        return self.others_

    def bits(self, data, method):
        return list(self.lengths[method])

    def collection(self, data, method, bits):
        return replace(self.collection_, title=method)


@pytest.fixture
def shelved(monkeypatch, collections):
    """A function (lengths by method, others) -> the widget on such a shelf."""

    def make(lengths, others=(), **start):
        monkeypatch.setattr(module, "Shelf", lambda: Shelved(collections["Good"], lengths, others))
        monkeypatch.setattr(module.Coded, "bits", property(lambda self: 16))
        return checked(MethodComparer(**start))

    return make


def said(output):
    return "".join(part["data"]["text/plain"] for part in output.outputs)


def tick(widget, method):
    widget._boxes[method].value = not widget._boxes[method].value


def test_each_view_shows_the_tested_function_s_picture_and_table(collections):
    widget = checked(MethodComparer(collections, methods=["Good", "Bad"], reference="Bad", row=3))
    coded = [Coded(collections["Bad"]), Coded(collections["Good"])]
    assert said(widget.output) == alt_text(curves_figure(coded))
    widget.view.value = "gallery"
    assert said(checked(widget).output) == alt_text(gallery_figure(coded, 3))
    assert widget.query.layout.display is None
    widget.view.value = "codes"
    assert said(checked(widget).output) == alt_text(codes_figure(coded))
    assert said(widget.table) == codes_table(coded).round(3).to_string(na_rep="")
    assert widget.query.layout.display == "none"
    widget.view.value = "table"
    assert widget.output.outputs == ()
    assert said(checked(widget).table) == score_table(coded).round(3).to_string(na_rep="")
    assert "<table" in widget.table.outputs[0]["data"]["text/html"]


def test_every_control_draws_once(collections, drawn):
    widget = checked(MethodComparer(collections))
    both = ("Good, 16 bits", "Bad, 16 bits")
    assert drawn == [("curves", both)]
    tick(widget, "Bad")
    assert drawn.pop() == ("curves", both[:1])
    tick(widget, "Bad")
    widget.reference.value = "Bad"
    assert drawn.pop() == ("curves", both[::-1])
    widget.view.value = "gallery"
    assert drawn.pop() == ("gallery", both[::-1], 0)
    widget.picker.index.value = 5
    assert drawn.pop() == ("gallery", both[::-1], 5)
    assert len(drawn) == 2
    assert widget.choice == Choice(widget.data.value, ("Good", "Bad"), (16,), "Bad", "gallery", 5)


def test_the_hardest_is_the_reference_s_and_disagreement_goes_down_the_list(collections, drawn):
    widget = checked(MethodComparer(collections, view="gallery"))
    widget.reference.value = "Bad"
    widget.picker.hardest.click()
    assert widget.choice.row == int(collections["Bad"].average_precision.argmin())
    order = np.argsort(-disagreement([Coded(collections["Good"]), Coded(collections["Bad"])]), kind="stable")
    for row in order[:3]:
        widget.disagreement.click()
        assert widget.choice.row == row
    widget.picker.index.value = int(order[7])
    widget.disagreement.click()
    assert widget.choice.row == order[0]  # it begins again after another move


def test_another_data_set_brings_its_own_methods_lengths_and_queries(collections, drawn):
    widget = checked(MethodComparer(collections, view="gallery", row=4))
    first, scenes = widget.data.options
    picker = widget.picker
    widget.data.value = scenes
    assert list(widget._boxes) == ["Other"]
    assert list(widget._lengths) == [32]
    assert drawn[-1] == ("gallery", ("Other, 32 bits",), 0)
    assert widget.picker is not picker
    assert widget.picker.labels.ndim == 2
    widget.data.value = first
    assert widget.choice.methods == ("Good", "Bad")
    assert len(drawn) == 3


def test_methods_and_lengths_stay_where_the_other_data_set_has_them(shelved, drawn, monkeypatch):
    widget = shelved({"A": (16, 32), "B": (16,), "C": (32,)}, methods=["A", "C"], bits=32)
    monkeypatch.setattr(widget.catalogue, "methods", lambda data: ["B", "A"])
    widget.data.value = "birds, drawn anew"
    assert widget.choice == Choice("birds, drawn anew", ("A",), (32,), "A")
    assert len(drawn) == 2


def test_the_reference_stays_where_the_other_data_set_has_it(shelved, drawn, monkeypatch):
    widget = shelved({"A": (16,), "B": (16,), "C": (16,)}, methods=["A", "B", "C"], reference="B")
    widget.data.value = "birds, drawn anew"
    assert widget.choice.reference == widget.reference.value == "B"
    monkeypatch.setattr(widget.catalogue, "methods", lambda data: ["C", "A"])
    widget.data.value = "birds"
    assert widget.choice.reference == "A"


def test_a_reference_joins_what_it_begins_with(shelved, drawn):
    widget = shelved({"LSH": (16,), "CSQ": (16,), "DHN": (16,)}, reference="DHN")
    assert widget.choice.in_order == ("DHN", "LSH", "CSQ")


def test_a_long_name_has_a_row_of_its_own_and_rows_are_whole(shelved, drawn):
    long = "DSH, feature_norm=batch, margin=2.0, quantization_weight=0.1"
    widget = shelved({"LSH": (16,), long: (16,)}, methods=["LSH"])
    columns = {box.description: box.layout.grid_column for box in widget.methods.children}
    assert columns == {"LSH": None, long: "1 / -1"}
    assert widget.methods.layout.max_height == "320px"


def test_what_is_not_there_is_a_sentence(collections, drawn):
    widget = checked(MethodComparer(collections))
    tick(widget, "Good")
    tick(widget, "Bad")
    assert said(widget.note).startswith("no codes were chosen; choose at least one method")
    assert widget.output.outputs == ()
    widget.view.value = "codes"
    widget.disagreement.click()
    assert "no codes are shown; tick at least one method" in said(checked(widget).note)
    tick(widget, "Good")
    assert said(checked(widget).note) == ""
    assert widget.reference.value == "Good"
    assert drawn[-1] == ("codes", ("Good, 16 bits",))


def test_lengths_that_a_method_lacks_are_said(shelved, drawn):
    widget = shelved({"A": (16, 32), "B": (16,)}, methods=["A", "B"], bits=(16, 32))
    assert said(widget.note) == "B has no codes of 32 bits."
    assert len(drawn[-1][1]) == 3
    widget._lengths[32].value = False
    assert widget.note.outputs == ()


def test_too_many_for_a_picture_still_make_a_table(shelved, drawn):
    names = [f"M{i}" for i in range(MOST + 1)]
    widget = shelved(dict.fromkeys(names, (16,)), methods=names)
    assert said(widget.note).startswith(f"{MOST + 1} sets of codes are ticked; untick all but {MOST}")
    assert drawn == []
    widget.view.value = "table"
    assert said(widget.note) == ""
    assert said(widget.table).count("M") >= MOST + 1


def test_it_begins_with_the_length_most_methods_have_and_a_method_of_each_kind(shelved, drawn):
    lengths = {"CSCE-Net": (16, 32), "CSQ": (32,), "Baseline": (16,), "LSH": (32,), "CSQ, seed 1": (16,)}
    widget = shelved(lengths, others=["CSQ, seed 1"])
    assert widget.choice.bits == (32,)
    assert widget.choice.methods == ("LSH", "CSQ", "CSCE-Net")
    assert [box.description for box in widget.methods.children] == ["LSH", "CSQ", "CSCE-Net"]  # those of 32 bits
    widget._lengths[16].value = True
    assert [box.description for box in widget.methods.children] == ["LSH", "CSQ", "CSCE-Net", "Baseline"]
    assert len(drawn) == 2
    widget.others.value = True
    assert [box.description for box in widget.methods.children][-1] == "CSQ, seed 1"
    assert len(drawn) == 2  # listing more draws nothing


def test_with_no_runs_it_shows_the_shipped_encoder_and_names_the_command(monkeypatch, collections, tmp_path):
    shelf = Shelf(tmp_path)
    monkeypatch.setattr(shelf, "collection", lambda *of: collections["Good"])
    monkeypatch.setattr(module, "Shelf", lambda: shelf)
    widget = checked(MethodComparer())
    assert said(widget.note) == NO_RUNS
    assert "`cscelab figures table1`" in said(widget.note)
    assert said(widget.output) == alt_text(curves_figure([Coded(collections["Good"])]))
    assert widget.others.layout.display == "none"


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        ({"methods": ["Best"]}, "unknown method for Aviary, 3 species 'Best'; choose from 'Good', 'Bad'"),
        ({"reference": "Best"}, "unknown method for Aviary, 3 species 'Best'"),
        (
            {"methods": ["Good"], "reference": "Bad"},
            "the reference 'Bad' is not among the methods",
        ),
        ({"bits": 64}, r"none of these methods has codes of 64 bits; choose from \[16\]"),
        ({"methods": ["Good"], "bits": 64}, r"none of these methods has codes of 64 bits; choose from \[16\]"),
        ({"data": "CIFAR"}, "unknown data set 'CIFAR'"),
        ({"row": 12}, "row 12 of the queries was asked for; there are rows 0 to 11"),
        ({"view": "map"}, "unknown view 'map'"),
    ],
)
def test_what_it_cannot_begin_with_is_refused(collections, start, sentence):
    with pytest.raises(ValueError, match=sentence):
        MethodComparer(collections, **start)


def test_codes_that_cannot_be_opened_are_a_sentence_and_faults_are_raised(collections, monkeypatch, drawn):
    widget = checked(MethodComparer(collections))
    tick(widget, "Bad")

    def refuse(*of):
        raise OSError("codes.npz cannot be read")

    monkeypatch.setattr(widget, "_open", refuse)
    tick(widget, "Bad")
    assert said(checked(widget).note) == "codes.npz cannot be read"
    monkeypatch.undo()
    monkeypatch.setattr(module, "curves_figure", lambda *_: 1 / 0)
    tick(widget, "Bad")
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        checked(widget)
