"""Table 1 and what stands around it: rows, what they are held against, curves of every method."""

import itertools
import math

import numpy as np
import pytest
from fake_runs import make_run, make_splits, texts, unwrapped
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cscelab.codes import hamming_distance
from cscelab.compare import average_precision
from cscelab.figures import comparison, methods, tables
from cscelab.figures.context import recipe_of
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.figures.style import BLUE, GREY, RIGHT, WRONG
from cscelab.methods import METHODS
from cscelab.published import LENGTHS
from cscelab.published import TABLE1 as PUBLISHED
from cscelab.recipes import OWN_TRUNKS, TABLE1
from cscelab.retrieval import bootstrap

MISSES = {"CSCE-Net": 0.05, "CSQ": 0.1, "CNNH": 0.42, "CIBHash": 0.3, "ITQ": 0.35, "LSH": 0.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def named(folder, splits):
    """One run a method, by row; none on trunks of their own."""
    return {
        row: make_run(folder, splits, noise, seed, bits=32, method=TABLE1[row])
        for seed, (row, noise) in enumerate(MISSES.items())
    }


@pytest.fixture(scope="module")
def rows(named):
    return {row: {32: [named[row]]} if row in named else {} for row in TABLE1}


@pytest.fixture(scope="module")
def single(rows):
    return comparison.method_table(rows, ("ImageNet100",), multilabel=False)


def values_of(frame, column) -> dict:
    return frame[column].dropna().to_dict()


# --- rows


def test_rows_are_the_methods_in_their_order_and_every_published_row():
    own = [row for row in TABLE1 if recipe_of(TABLE1[row]) not in OWN_TRUNKS]
    assert own == [config.title for config in METHODS.values()]
    assert own[:2] == ["LSH", "ITQ"]
    assert set(PUBLISHED.rows) <= set(TABLE1)
    assert all(backbone == "ResNet50" or f"({backbone})" in row for row, backbone in PUBLISHED.backbones.items())
    for row in TABLE1:
        assert row.split(" (")[0] in own


def test_a_row_without_runs_has_published_numbers_and_none_of_ours(single):
    row = single.loc["CSCE-Net (VGG16)"]
    ours = [name for name in single.columns if name.startswith("32 bits: ") and not name.endswith("seeds")]
    assert row[ours].isna().all()
    assert row["32 bits: seeds"] == 0
    for bits in LENGTHS:
        name = f"published, ImageNet100 mAP@1000, ResNet50 unless named, {bits} bits"
        assert row[name] == PUBLISHED.value("CSCE-Net (VGG16)", "ImageNet100", bits)
        assert math.isnan(single.loc["LSH", name])
    assert not [name for name in single.columns if "COCO" in name]


def test_rows_are_held_against_twice_lsh(single, named):
    maps = {row: run.mean_average_precision for row, run in named.items()}
    times = values_of(single, "32 bits: times LSH")
    assert times == pytest.approx({row: value / maps["LSH"] for row, value in maps.items() if row != "LSH"})
    assert values_of(single, "32 bits: twice LSH") == {"CSCE-Net": "yes", "CSQ": "yes", "CNNH": "no"}
    assert maps["CSQ"] >= 2 * maps["LSH"] > maps["CNNH"]
    assert comparison.goals(single) == (
        "At 32 bits the mAP of 2 of 3 supervised methods is more than twice LSH's; below it: CNNH."
    )
    assert list(single.filter(like="32 bits").columns[8:11]) == [
        "32 bits: difference high", "32 bits: times LSH", "32 bits: twice LSH",
    ]  # fmt: skip


def test_on_several_labels_rows_are_held_against_itq(tmp_path):
    scenes = make_splits(multilabel=True)
    rows = {
        row: {bits: [make_run(tmp_path, scenes, noise, seed, bits=bits, method=TABLE1[row])] for bits in (16, 32)}
        for seed, (row, noise) in enumerate({"LSH": 0.45, "ITQ": 0.35, "CSCE-Net": 0.05, "DHN": 0.5}.items())
    }
    frame = comparison.method_table(rows, ("MS COCO", "NUS-WIDE"), multilabel=True)
    for bits in (16, 32):
        maps = frame[f"{bits} bits: mAP"]
        over = values_of(frame, f"{bits} bits: minus ITQ")
        assert over == pytest.approx({row: maps[row] - maps["ITQ"] for row in ("LSH", "CSCE-Net", "DHN")})
        assert values_of(frame, f"{bits} bits: above ITQ") == {"CSCE-Net": "yes", "DHN": "within the interval"}
    assert comparison.goals(frame) == " ".join(
        f"At {bits} bits the mAP of 1 of 2 supervised methods is above ITQ's; the interval cannot tell for DHN."
        for bits in (16, 32)
    )
    assert not [name for name in frame.columns if "LSH" in name or "ImageNet" in name]


@pytest.mark.parametrize(("multilabel", "times"), [(False, 2), (True, 1)])
def test_a_verdict_is_given_only_where_the_paired_interval_is_clear(folder, rows, named, multilabel, times):
    frame = comparison.method_table(rows, ("ImageNet100",), multilabel)
    floor = "ITQ" if multilabel else "LSH"
    gaps = {
        row: bootstrap.interval(average_precision([named[row]]) - times * average_precision([named[floor]]))
        for row in ("CSCE-Net", "CSQ", "CNNH")
    }
    expected = {
        row: "yes" if gap.low > 0 else "no" if gap.high < 0 else "within the interval" for row, gap in gaps.items()
    }
    assert values_of(frame, f"32 bits: {'above' if multilabel else 'twice'} {floor}") == expected


def test_unsupervised_rows_are_those_whose_method_learns_without_labels(single):
    without = {row for row, answer in single["labels"].items() if answer == "no"}
    assert without == {"LSH", "ITQ", "CIBHash", "CIBHash (VGG16)", "CIBHash (GCViT-XXT)"}
    for row in single.index:
        frozen = not TABLE1[row].build(3, 16).trains_trunk if recipe_of(TABLE1[row]) not in OWN_TRUNKS else None
        assert frozen in (None, row in without)
    figure = tables.table_figure(single, "Table 1")
    words = [t.get_text() for t in figure.axes[0].texts]
    assert {f"{row} °" for row in without} == {word for word in words if word.endswith(" °")}
    assert "° no labels are used and the trunk stays frozen." in " ".join(words)


def test_reconstructions_are_marked_in_the_picture_and_named_in_the_file(single):
    rebuilt = {row for row, paper in single["paper"].items() if "reconstruction" in paper}
    assert rebuilt == {"DOH", "TransHash", "TransHash (ViT)"}
    assert single.columns[-1] == "paper"
    words = [t.get_text() for t in tables.table_figure(single, "Table 1").axes[0].texts]
    assert {f"{row} †" for row in rebuilt} == {word for word in words if word.endswith(" †")}
    assert "† reconstruction: made without the paper's full text" in " ".join(words)


def test_chance_stands_in_the_head_of_ours(single, named):
    labels = [named["CSQ"].codes[f"{split}_labels"] for split in ("query", "database")]
    share = np.mean(labels[0][:, None] == labels[1])
    words = " ".join(t.get_text() for t in tables.table_figure(single, "Table 1").axes[0].texts)
    assert f"chance (share of relevant images) {share:.3f}" in words.replace("\n", " ")


def test_rows_on_other_trunks_are_held_against_nothing(folder, splits, rows):
    own = make_run(folder, splits, 0.1, 78, bits=32, method=TABLE1["CSCE-Net (GCViT-XXT)"])
    frame = comparison.method_table({**rows, "CSCE-Net (GCViT-XXT)": {32: [own]}}, ("ImageNet100",), multilabel=False)
    row = frame.loc["CSCE-Net (GCViT-XXT)"]
    assert row["32 bits: mAP"] == own.mean_average_precision
    names = ("difference", "difference low", "difference high", "times LSH", "twice LSH")
    assert row[[f"32 bits: {name}" for name in names]].isna().all()
    assert frame.loc["CSQ", [f"32 bits: {name}" for name in names]].notna().all()


def test_several_code_lengths_are_brief_and_rows_without_runs_written_once(folder, splits, rows, named):
    several = {row: dict.fromkeys((16, 32, 64), runs[32]) if runs else {} for row, runs in rows.items()}
    frame = comparison.method_table(several, ("MS COCO", "NUS-WIDE"), multilabel=False)
    whole, brief = (tables.table_figure(frame, "Table 1", brief=brief) for brief in (False, True))
    assert brief.get_size_inches()[0] < 10 < whole.get_size_inches()[0]  # inches: read at the width of a page
    words = [t.get_text() for t in brief.axes[0].texts]
    assert not {"cosine", "times\nLSH", "difference\nto CSCE-Net"} & set(words)
    assert words.count(f"{named['CSQ'].mean_average_precision:.3f}") == 3
    assert words.count(tables.NOT_TRAINED) == len(TABLE1) - len(named)


def test_what_rows_are_held_against_must_be_there(rows):
    with pytest.raises(ValueError, match="no run of LSH came, which the rows are held against"):
        comparison.method_table({**rows, "LSH": {}}, ("ImageNet100",), multilabel=False)
    with pytest.raises(ValueError, match="no row 'CSCE-Net' to compare with; choose from"):
        comparison.method_table({"LSH": rows["LSH"]}, ("ImageNet100",), multilabel=False)


def test_differences_are_to_the_whole_method(single, named):
    gap = named["CSQ"].mean_average_precision - named["CSCE-Net"].mean_average_precision
    assert single.loc["CSQ", "32 bits: difference"] == pytest.approx(gap)
    assert math.isnan(single.loc["CSCE-Net", "32 bits: difference"])


def test_verdicts_are_marks_with_a_colour_and_published_numbers_stay_grey(single):
    figure = tables.table_figure(single, "Table 1")
    marks = {(t.get_text(), t.get_color()) for t in figure.axes[0].texts if t.get_text() in "✓✗"}
    assert marks == {("✓", RIGHT), ("✗", WRONG)}
    words = [t.get_text() for t in figure.axes[0].texts]
    assert {"times\nLSH", "twice\nLSH", *single.index} <= {word.rstrip(" °†") for word in words}
    assert "1 seed" in " ".join(words)  # rows without runs do not make it 0 to 1
    head = " ".join(t.get_text() for t in figure.axes[0].texts if t.get_color() == GREY).replace("\n", " ")
    assert "other data, other backbone: not ours" in head
    FigureCanvasAgg(figure).draw()
    boxes = [(t.get_text(), t.get_window_extent()) for t in figure.axes[0].texts]
    assert not [
        (one, two)
        for (one, box), (two, other) in itertools.combinations(boxes, 2)
        if min(box.x1, other.x1) - max(box.x0, other.x0) > 1 and min(box.y1, other.y1) - max(box.y0, other.y0) > 3
    ]


def test_the_words_leave_out_rows_without_runs(single):
    said = tables.table_figure(single, "Table 1").alt
    assert f"CSCE-Net {single.loc['CSCE-Net', '32 bits: mAP']:.3f}" in said
    assert "VGG16" not in said


def test_our_trunks_are_told_apart_from_the_published_ones(folder, splits, named):
    own = make_run(folder, splits, 0.1, 77, bits=32, method=TABLE1["CSCE-Net (VGG16)"])
    whole = {"LSH": {32: [named["LSH"]]}, "CSCE-Net": {32: [named["CSCE-Net"]]}, "CSCE-Net (VGG16)": {32: [own]}}
    frame = comparison.method_table(whole, ("ImageNet100",), multilabel=False)
    assert frame.attrs["ours"] == "Aviary, 3 classes; tiny trunk unless named; mAP@all"
    assert frame.attrs["other"] == comparison.OTHER
    alone = comparison.comparison_table({"CSCE-Net (VGG16)": {32: [own]}}, PUBLISHED)
    assert alone.attrs["other"] == ("other data",)  # the trunk is the one the row names


# --- curves


def naive_precision(run, n) -> float:
    """Mean over queries of precision@n, averaged over every order of equal distances by their share in the cut."""
    codes = run.codes
    distances = hamming_distance(codes["query_codes"], codes["database_codes"])
    found = []
    for row, label in zip(np.asarray(distances), codes["query_labels"], strict=True):
        left, hits = n, 0.0
        for distance in np.unique(row):
            tied = row == distance
            taken = min(left, tied.sum())
            hits += taken * np.mean(codes["database_labels"][tied] == label)
            left -= taken
        found.append(hits / n)
    return float(np.mean(found))


def test_precision_at_each_depth_is_expected_over_ties(named):
    run = named["CNNH"]
    precision, chance = methods.precision_at_each(run)
    n = len(run.codes["database_ids"])
    assert len(precision) == n  # the database is the shortest ranking
    for depth in (1, 2, 7, n - 1, n):
        assert precision[depth - 1] == pytest.approx(naive_precision(run, depth))
    assert chance == pytest.approx(precision[-1])
    assert len(methods.precision_at_each(run, 5)[0]) == 5


@pytest.mark.parametrize("draw", [methods.precision_recall_panels, methods.precision_panels])
def test_each_panel_shows_one_method_over_all_others_by_falling_map(named, draw):
    figure = draw(named)
    ranked = sorted(named, key=lambda row: -named[row].mean_average_precision)
    shown = [axes for axes in figure.axes if axes.lines]
    titles = [axes.get_title(loc="left") for axes in shown]
    assert titles == [f"{i}. {r} {named[r].mean_average_precision:.3f}" for i, r in enumerate(ranked, 1)]
    for name, axes in zip(ranked, shown, strict=True):
        (own,) = (line for line in axes.lines if line.get_color() == BLUE and line.get_linestyle() == "-")
        assert own.get_label() == name
        grey = [line for line in axes.lines if line.get_color() == methods.OTHERS]
        assert len(grey) == len(named) - 1
        assert all(line.get_linewidth() < own.get_linewidth() for line in grey)
    below = [axes.xaxis.get_tick_params()["labelbottom"] for axes in shown]
    assert below == [False] + [True] * 5  # six panels in two lines: all but the first have nothing below
    assert "3 classes; tiny trunk; 32 bits" in figure.get_supxlabel()


def test_panels_hold_the_numbers_of_the_runs(named):
    curve = named["CSQ"].metrics["report"]["pr_curve"]
    figure = methods.precision_recall_panels({"CSQ": named["CSQ"]})
    own, ring, chance = figure.axes[0].lines
    assert own.get_xydata() == pytest.approx(np.c_[curve["recall"], curve["precision"]])
    assert ring.get_xydata()[0] == pytest.approx([curve["recall"][2], curve["precision"][2]])
    assert chance.get_ydata()[0] == pytest.approx(curve["precision"][-1])
    precision, _ = methods.precision_at_each(named["CSQ"])
    own = methods.precision_panels({"CSQ": named["CSQ"]}).axes[0].lines[0]
    assert own.get_ydata() == pytest.approx(precision)
    assert own.get_xdata().tolist() == list(range(1, len(precision) + 1))


def test_smoke_runs_are_marked_in_pictures(tmp_path, splits):
    runs = {row: make_run(tmp_path, splits, 0.2, i, smoke=True) for i, row in enumerate(("CSQ", "LSH"))}
    for draw in (methods.precision_recall_panels, methods.precision_panels):
        assert SMOKE_MARK in [unwrapped(text) for text in texts(draw(runs))]
