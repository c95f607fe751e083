"""ThresholdExplorer: the population by hand, what the pictures show, and controls that redraw once each."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_runs import NAMES, make_run, make_splits
from matplotlib.collections import PolyCollection

from cscelab.collection import collection_of
from cscelab.dsf import PAPER_CAP, RELEASED_CAP, dynamic_sign
from cscelab.evaluate import mean_average_precision
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.figures.style import alt_text, new_figure
from cscelab.figures.threshold_trials import PAPER, RELEASED, population, threshold_steps
from cscelab.figures.thresholds import threshold_figure, threshold_population_figure
from cscelab.widgets import ThresholdExplorer, checked, outputs_in
from cscelab.widgets import thresholds as module
from cscelab.widgets.picker import ANY, QueryPicker
from cscelab.widgets.thresholds import DATABASE, IMAGE, first_changed

VALUES = np.array([0.9, 0.8, 0.05, -0.7, -0.05, 0.6], np.float32)  # at .1: 3 above, 1 below, 2 in the band


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """Codes of 12 queries and 40 images, with a learned threshold each."""
    splits = make_splits()
    run = make_run(tmp_path_factory.mktemp("runs"), splits, bits=16, smoke=True)
    for side in ("query", "database"):
        n = len(run.codes[f"{side}_labels"])
        run.codes[f"{side}_thresholds"] = np.linspace(0.05, 0.4, n).astype(np.float32)
    return collection_of(run, splits)


@pytest.fixture(scope="module")
def measured(collection):
    return population(collection.codes, title=collection.title, smoke=True)


@pytest.fixture
def drawn(monkeypatch):
    """What was drawn, in order, without the cost of drawing."""
    calls = []

    def draw(name):
        def figure(*given, **named):
            calls.append(SimpleNamespace(name=name, given=given, named=named))
            return new_figure(1, 1)

        return figure

    for name in ("threshold_figure", "threshold_population_figure"):
        monkeypatch.setattr(module, name, draw(name))
    return calls


def boxes(axes, gid):
    """Left and lower edge of each box of the collections of this kind."""
    found = [c for c in axes.collections if isinstance(c, PolyCollection) and c.get_gid() == gid]
    return sorted(tuple(path.vertices.min(axis=0).round(2).tolist()) for c in found for path in c.get_paths())


def words(figure):
    return "\n".join(text.get_text() for part in (figure, *figure.axes) for text in part.texts)


class TestSteps:
    def test_both_caps_are_steps_and_the_last_holds_every_value(self):
        steps = threshold_steps(np.array([[0.3, -2.4]]))
        assert {0.0, PAPER_CAP, RELEASED_CAP} <= set(steps)
        assert list(steps) == sorted(set(steps))
        assert steps[-2] < 2.4 <= steps[-1] == 3.0

    def test_tiny_values_still_have_a_step(self):
        assert threshold_steps(np.zeros((2, 3))) == (0.0, 0.001)


class TestPopulation:
    def test_rules_by_hand(self):
        row = torch.from_numpy(VALUES)[None]
        assert PAPER.codes(row, 0.1)[0].tolist() == [1, 1, -1, -1, -1, 1]  # +1 is the majority outside the band
        assert RELEASED.codes(row, 0.1)[0].tolist() == [1, 1, 1, -1, 1, 1]  # never more than 32 of 6

    def test_numbers_are_those_of_the_codes_recoded(self, collection, measured):
        codes, t = collection.codes, measured.thresholds[-6]
        for rule, keywords in (
            (PAPER, {}),
            (RELEASED, {"count": "all", "interval": "open", "majority": 32}),
        ):
            query, database = (
                dynamic_sign(torch.from_numpy(codes[f"{side}_values"]).float(), t, **keywords).numpy()
                for side in ("query", "database")
            )
            plain = np.where(codes["database_values"] > 0, 1, -1)
            row = measured.at(t)[rule.name]
            assert row["flipped"] == pytest.approx((database != plain).mean())
            assert row["flipped"] > 0
            assert row["images changed"] == pytest.approx((database != plain).any(axis=1).mean())
            assert row["imbalance"] == pytest.approx(np.abs(database.mean(axis=1)).mean())
            assert row["in band"] == pytest.approx((np.abs(codes["database_values"]) <= t).mean())
            expected = mean_average_precision(query, codes["query_labels"], database, codes["database_labels"])
            assert row["mAP"] == pytest.approx(expected)
            assert row["gain"] == pytest.approx(expected - measured.mean_average_precision)
            assert row["low"] <= row["gain"] <= row["high"]

    def test_no_threshold_changes_nothing_and_the_largest_leaves_one_code(self, measured):
        first, last = measured.at(0.0)["paper"], measured.at(measured.thresholds[-1])["paper"]
        assert (first["flipped"], first["gain"]) == (0.0, 0.0)
        assert first["imbalance"] == measured.imbalance
        assert (last["in band"], last["imbalance"]) == (1.0, 1.0)
        assert last["mAP"] < measured.mean_average_precision

    def test_own_thresholds_are_each_image_s(self, collection, measured):
        values = torch.from_numpy(collection.codes["database_values"]).float()
        own = torch.from_numpy(collection.codes["database_thresholds"])[:, None]
        flipped = dynamic_sign(values, own) != dynamic_sign(values, 0.0)
        assert measured.at(None)["paper"]["flipped"] == pytest.approx(float(flipped.float().mean()))
        assert measured.own_threshold == pytest.approx(float(own.median()))

    def test_large_populations_are_thinned_evenly(self, collection, monkeypatch):
        monkeypatch.setattr("cscelab.figures.threshold_trials.MOST_ITEMS", 10)
        assert population(collection.codes, [0.0, 0.1]).n_database == 10

    def test_what_was_not_measured_is_said(self, collection, measured):
        with pytest.raises(ValueError, match=r"not measured at t = 0\.123; choose from 0, 0\.001"):
            measured.at(0.123)
        without = {name: part for name, part in collection.codes.items() if "thresholds" not in name}
        with pytest.raises(ValueError, match="plainly has no threshold of its own; choose one of the steps"):
            population(without, [0.0, 0.1], "plainly").at(None)
        with pytest.raises(ValueError, match=r"begin at 0\.1; begin with 0"):
            population(collection.codes, [0.1])


class TestFigures:
    def test_flipped_bits_are_boxed_rule_by_rule_and_the_band_is_hatched(self):
        figure = threshold_figure(VALUES, 0.1, title="a wren")
        bars, strip = figure.axes
        assert boxes(strip, "flipped") == [(1.54, 0.56), (3.54, 1.56)]  # bit 3 by the paper's, bit 5 by the released
        assert [left for left, _ in boxes(bars, "////")] == [1.6, 3.6]  # bits 3 and 5
        assert np.asarray(strip.images[0].get_array()).tolist() == [
            [1, 1, 1, -1, -1, 1], [1, 1, -1, -1, -1, 1], [1, 1, 1, -1, 1, 1],
        ]  # fmt: skip
        assert "2 of 6 values in the band" in bars.get_title(loc="left")
        for said in ("4 +, 2 − (67% +)", "3 +, 3 − (50% +); 1 flipped", "5 +, 1 − (83% +); 1 flipped", "a wren"):
            assert said in words(figure)
        assert "paper rule: 3 +, 3 − (50% +), flipped: bit 3." in alt_text(figure)  # counted from 1
        assert "In the band: bits 3, 5." in alt_text(figure)

    def test_sorting_keeps_the_bits_numbers(self):
        figure = threshold_figure(VALUES, 0.1, by_value=True)
        strip = figure.axes[1]
        assert [tick.get_text() for tick in strip.get_xticklabels()] == ["4", "5", "3", "6", "2", "1"]
        assert "paper rule: 3 +, 3 − (50% +), flipped: bit 3." in alt_text(figure)

    def test_zoom_ends_the_axis_near_the_band(self):
        assert threshold_figure(VALUES, 0.1, zoom=True).axes[0].get_ylim() == pytest.approx((-0.3, 0.3))
        assert threshold_figure(VALUES, 0.1).axes[0].get_ylim()[1] > 0.9
        assert threshold_figure(VALUES, 0.5, zoom=True).axes[0].get_ylim()[1] < 1.0  # never beyond the largest

    def test_own_thresholds_and_smoke_runs_are_named(self):
        figure = threshold_figure(VALUES, 0.0025, own=True, smoke=True)
        assert figure.axes[0].get_title(loc="left").startswith("t = 0.0025, the image's own: 0 of 6")
        assert SMOKE_MARK in words(figure)

    def test_population_curves_and_the_present_mark(self, measured):
        figure = threshold_population_figure(measured, 0.1)
        assert len(figure.axes) == 4
        for axes, column in zip(figure.axes, ("flipped", "images changed", "imbalance", "mAP"), strict=True):
            for name, curve, mark in zip(("paper", "released"), axes.lines[0:3:2], axes.lines[1:4:2], strict=True):
                frame = measured.by_rule[name]
                np.testing.assert_allclose(curve.get_ydata(), frame[column])
                assert mark.get_xydata().tolist() == [[0.1, frame.loc[0.1, column]]]
            assert axes.lines[0].get_linestyle() != axes.lines[2].get_linestyle()
        gain = measured.at(0.1)["paper"]["gain"]
        assert f"paper {gain:+.4f} [".replace("-", "−") in figure.axes[3].get_xlabel()
        assert "explored on 12 queries, nothing tuned" in words(figure)
        assert SMOKE_MARK in words(figure)
        assert f"Share of bits flipped: in band {measured.at(0.1)['paper']['in band']:.2%}" in alt_text(figure)

    def test_each_image_s_own_is_a_star_at_the_median(self, measured):
        star = threshold_population_figure(measured, None).axes[3].lines[1]
        assert star.get_marker() == "*"
        assert star.get_xydata().tolist() == [[measured.own_threshold, measured.at(None)["paper"]["mAP"]]]


class TestPicker:
    LABELS = np.array([0, 1, 1, 0, 2, 1])

    @pytest.fixture
    def picker(self):
        precision = np.array([0.9, 0.3, 0.1, 0.2, 0.8, 0.5])
        return QueryPicker(self.LABELS, ("owl", "wren", "kite"), precision=lambda: precision)

    def test_every_way_to_a_query_changes_the_row_once(self, picker):
        rows = []
        picker.observe(lambda change: rows.append(change["new"]), "row")
        picker.index.value = 4
        picker.kind.value = 1  # to the first of the class
        for _ in range(4):
            picker.hardest.click()  # the hardest of the class, the next, the last, and the first again
        assert rows == [4, 1, 2, 1, 5, 2]
        assert picker.index.value == 2

    def test_class_follows_the_row_and_keeps_it_where_it_fits(self, picker):
        assert [label for label, _ in picker.kind.options] == [ANY, "owl (2)", "wren (3)", "kite (1)"]
        picker.index.value = 5
        picker.kind.value = 1
        assert picker.row == 5
        picker.index.value = 0  # of another class
        assert (picker.kind.label, picker.row) == ("any", 0)

    def test_random_draws_stay_in_the_class_and_hang_on_the_seed(self, picker):
        picker.kind.value = 1
        other = QueryPicker(self.LABELS, seed=0)
        other.kind.value = 1
        rows = set()
        for _ in range(20):
            picker.random.click()
            other.random.click()
            assert picker.row == other.row
            rows.add(picker.row)
        assert rows == {1, 2, 5}

    def test_multi_hot_labels_and_wrong_rows(self):
        picker = QueryPicker(np.array([[1, 0], [1, 1], [0, 1]]))
        picker.kind.value = 1
        assert picker.candidates().tolist() == [1, 2]
        assert picker.hardest not in picker.children
        with pytest.raises(ValueError, match="row 3 of the queries was asked for; there are rows 0 to 2"):
            QueryPicker(np.array([0, 1, 1]), row=3)


class TestWidget:
    def test_it_shows_the_tested_function_s_picture(self, collection):
        widget = checked(ThresholdExplorer(collection, row=3))
        (output,) = outputs_in(widget)
        alt = output.outputs[0]["data"]["text/plain"]
        query = collection.query(3)
        assert alt == alt_text(threshold_figure(collection.code_of(query)[1], 0.1, query.image, query.title))
        widget.view.value = DATABASE
        alt = output.outputs[0]["data"]["text/plain"]
        assert alt == alt_text(threshold_population_figure(widget.population, 0.1))

    def test_it_begins_where_a_bit_flips(self, collection):
        values = collection.codes["query_values"]
        row = ThresholdExplorer(collection).picker.row
        assert row == first_changed(values, 0.1)
        codes = dynamic_sign(torch.from_numpy(values).float(), 0.1).numpy()
        changed = (codes != np.where(values > 0, 1, -1)).any(axis=1)
        assert changed[row]
        assert not changed[:row].any()
        assert first_changed(values, 0.0) == 0

    def test_every_control_redraws_once(self, collection, drawn):
        widget = checked(ThresholdExplorer(collection, threshold=0.0052, row=2))
        assert (widget.t.value, len(drawn)) == (PAPER_CAP, 1)
        widget.t.value = 0.2
        widget.picker.index.value = 7
        widget.by_value.value = True
        widget.zoom.value = True
        values, threshold, image, title, *options = drawn[-1].given
        assert len(drawn) == 5
        np.testing.assert_array_equal(values, collection.codes["query_values"][7])
        np.testing.assert_array_equal(image, collection.splits.query.images[7])
        assert (threshold, title, options) == (0.2, f"query image 7: {NAMES[1]}", [True, True, False, True])
        widget.own.value = True
        assert drawn[-1].given[1] == collection.codes["query_thresholds"][7]
        assert (drawn[-1].given[6], widget.t.disabled) == (True, True)
        widget.view.value = DATABASE
        assert (drawn[-1].name, drawn[-1].given) == ("threshold_population_figure", (widget.population, None))
        widget.own.value = False
        assert drawn[-1].given == (widget.population, 0.2)
        widget.view.value = IMAGE
        assert [call.name for call in drawn[-4:]] == [
            "threshold_figure", "threshold_population_figure", "threshold_population_figure", "threshold_figure",
        ]  # fmt: skip

    def test_methods_without_thresholds_have_no_own_one(self, tmp_path):
        splits = make_splits()
        widget = ThresholdExplorer(collection_of(make_run(tmp_path, splits, bits=16), splits))
        assert widget.own.disabled

    def test_an_error_is_raised_by_checked(self, collection, monkeypatch):
        widget = ThresholdExplorer(collection)
        monkeypatch.setattr(module, "threshold_figure", lambda *_: 1 / 0)
        widget.t.index = 0
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            checked(widget)
