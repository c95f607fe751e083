"""What approximate search buys: recall against latency for each kind of index, a panel for each set of codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from cscelab.figures.style import BLUE, GREEN, VERMILION, new_figure, styled

LOOKS: dict[str, dict[str, Any]] = {
    "flat": {"color": VERMILION, "marker": "D", "ls": "none"},
    "ivf": {"color": BLUE, "marker": "o", "ls": "-"},
    "hnsw": {"color": GREEN, "marker": "s", "ls": "--"},
}
NAMES = {"flat": "flat (exact)", "ivf": "ivf (numbers: probes)", "hnsw": "hnsw (numbers: ef)"}
RECALLS = (0, 0.5, 0.8, 0.9, 0.95, 0.99, 1)
TIMES = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
_FINEST = 0.005  # the smallest difference from 1 that the stretched axis still tells apart


@styled()
def search_trade(table: Any) -> Figure:
    """Recall@10 over the median milliseconds of one query, from the rows of benchmarks/search.py.

    Args:
        table: a DataFrame with columns codes, size, kind, setting, "recall@10", "ms, one query", "bytes a code" and
            "seconds to build"; a panel for each (codes, size), a curve for each kind, a number for each setting.
    """
    panels = list(table.groupby(["codes", "size"], sort=True))
    figure = new_figure(4.3 * len(panels) + 0.4, 4.8, layout="constrained")
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, ((codes, size), rows) in zip(row, panels, strict=True):
        for kind, points in rows.groupby("kind", sort=False):
            first = points.iloc[0]
            cost = f"{first['bytes a code']:.0f} bytes a code, built in {first['seconds to build']:.2g} s"
            axes.plot(
                points["ms, one query"], points["recall@10"], label=f"{NAMES[kind]}\n{cost}", ms=7, clip_on=False,
                **LOOKS[kind],
            )  # fmt: skip
            _number(axes, points, kind)
        axes.set(title=f"{size:,} {codes} codes", xlabel="median time of one query on one thread (ms)", xscale="log")
        axes.margins(x=0.12)
        axes.xaxis.set_major_locator(FixedLocator(TIMES))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), handlelength=2.5)
    row[0].set_yscale("function", functions=(_stretch, _shrink))
    row[0].yaxis.set_major_locator(FixedLocator(RECALLS))
    row[0].yaxis.set_minor_locator(NullLocator())
    row[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    row[0].set(ylabel="recall@10 (axis stretched towards 1):\nshare no farther than the exact tenth", ylim=(0, 1.0025))
    return figure


def _number(axes: Axes, points: Any, kind: str) -> None:
    """The number of each setting beside its point: lists to the left above, graphs to the right below."""
    left = kind == "ivf"
    for _, point in points[points["kind"] != "flat"].iterrows():
        axes.annotate(
            point["setting"].split()[-1], (point["ms, one query"], point["recall@10"]),
            xytext=(-5, 4) if left else (5, -4), textcoords="offset points", ha="right" if left else "left",
            va="bottom" if left else "top", fontsize=9, color=LOOKS[kind]["color"],
        )  # fmt: skip


def _stretch(recall: np.ndarray) -> np.ndarray:
    return -np.log10(np.maximum(1 - recall, -0.9 * _FINEST) + _FINEST)


def _shrink(height: np.ndarray) -> np.ndarray:
    return 1 + _FINEST - 10.0 ** -np.asarray(height)
