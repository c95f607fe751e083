"""The picture of `make bench`'s input pipeline: every way with its rate, targets as lines."""

import math

import pytest

from cscelab.figures.pipeline import pipeline

ROWS = [  # stage, way, a reference?, images per second and core, ratio, target
    ("to 64 px", "plain", True, 300.0, 1.0, 400.0),
    ("to 64 px", "ours", False, 600.0, 2.0, 400.0),
    ("epochs", "decoding", True, 200.0, 1.0, math.nan),
    ("epochs", "cache", False, 190_000.0, 950.0, math.nan),
]


def test_ways_rates_and_targets_are_drawn():
    pandas = pytest.importorskip("pandas")
    names = ["stage", "way", "reference", "images per second and core", "ratio", "target"]
    figure = pipeline(pandas.DataFrame(ROWS, columns=names), "62 kB")
    building, epochs = figure.axes
    assert [building.get_title("left"), epochs.get_title("left")] == ["to 64 px (dashed: the target, 400)", "epochs"]
    assert [label.get_text() for label in building.get_yticklabels()] == ["ours", "plain"]
    assert [text.get_text() for text in building.texts] == ["600, 2.0 times", "300"]
    assert [text.get_text() for text in epochs.texts] == ["190,000, 950 times", "200"]
    assert [line.get_marker() for line in epochs.lines] == ["o", "s"]  # told apart without colour
    assert building.lines[0].get_xdata()[0] == 400
    assert epochs.get_xlabel().endswith("\n62 kB")
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert all(figure.bbox.x1 > text.get_window_extent().x1 for text in axes.texts)
