"""Values of runs beside the signs they become: shares, Eq. 14 by hand, and the mark of a smoke run."""

from types import SimpleNamespace

import numpy as np
import pytest

from cscelab.figures.provenance import SMOKE_MARK
from cscelab.figures.quantisation import BINS, LARGEST, value_figure, value_table
from cscelab.layout import CodeLayout

VALUES = np.array([[0.5, -0.5, 2.0, -2.0], [1.0, 0.05, -4.0, 1.0]], np.float32)


def stored(values, smoke=False):
    """What the functions read of a Run."""
    return SimpleNamespace(
        codes={"database_values": values},
        metrics={"continuous_map": 0.5},
        mean_average_precision=0.25,
        experiment=SimpleNamespace(smoke=smoke, layout=CodeLayout(values.shape[1])),
    )


def test_table_by_hand():
    table = value_table({"one": stored(VALUES), "signs": stored(np.sign(VALUES))})
    squares = (0.5 + 2.0) + (0.95**2 + 9.0)
    lengths = [np.sqrt(8.5), np.sqrt(18.0025)]
    cosine = np.mean([5 / (lengths[0] * 2), 6.05 / (lengths[1] * 2)])
    assert table.loc["one"].to_dict() == pytest.approx(
        {
            "Eq. 14, mean": squares / 8,
            "Eq. 14, sum": squares / 2,
            "mean |v|": 11.05 / 8,
            "cosine to signs": cosine,
            "|v| < .1": 1 / 8,
            "mAP of values": 0.5,
            "mAP of codes": 0.25,
        },
        rel=1e-6,
    )
    assert table.loc["signs", ["Eq. 14, mean", "cosine to signs"]].tolist() == pytest.approx([0, 1])


def test_curves_are_shares_of_all_values():
    density, below = value_figure({"one": stored(VALUES)}).axes
    sizes, shares = density.lines[0].get_xydata().T
    assert {round(float(size), 3): share for size, share in zip(sizes, shares, strict=True) if share} == {
        0.075: 1 / 8, 0.525: 2 / 8, 1.025: 2 / 8, 2.025: 2 / 8,
    }  # fmt: skip
    assert below.lines[0].get_xdata()[-1] == LARGEST
    assert below.lines[0].get_ydata()[-1] == pytest.approx(7 / 8)  # the value of -4 lies beyond
    assert len(shares) == BINS


def test_runs_are_told_apart_by_line_and_named():
    figure = value_figure({"CE": stored(VALUES), "CE+Qua": stored(2 * VALUES)})
    lines = figure.axes[0].lines[:2]
    assert lines[0].get_linestyle() != lines[1].get_linestyle()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["CE", "CE+Qua"]


def test_smoke_is_marked():
    runs = {"one": stored(VALUES, smoke=True)}
    assert SMOKE_MARK in [text.get_text() for text in value_figure(runs).texts]
    assert value_table(runs)["note"].tolist() == [SMOKE_MARK]
    assert "note" not in value_table({"one": stored(VALUES)})


def test_symbols_are_no_signs():
    ordinal = stored(VALUES)
    ordinal.experiment.layout = CodeLayout(4, 4)
    for draw in (value_figure, value_table):
        with pytest.raises(ValueError, match="^DOH puts out symbols, not signs, so .*; leave it out, or give a run"):
            draw({"CSQ": stored(VALUES), "DOH": ordinal})
