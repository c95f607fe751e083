"""How fast evaluation is: pairs of query and item per second, for each way of evaluating."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from cscelab.figures.style import BLUE, GREEN, GREY, ORANGE, new_figure, styled

COLOURS = {"argsort loop": GREY, "mAP, expected ties": BLUE, "mAP, ties by index": ORANGE, "whole report": GREEN}


@styled()
def speed(table: Any, caption: str = "") -> Figure:
    """Pairs per second from the rows of benchmarks/evaluation.py that have a ratio to the loop.

    Args:
        table: a DataFrame with columns codes, labels, way, "pairs per second", "ratio to the loop" and
            "MB above the inputs"; a panel for each (codes, labels), a point for each way.
        caption: what was measured, below: bits, queries, size of the database, threads.
    """
    rows = table[table["ratio to the loop"].notna()]
    panels = list(rows.groupby(["codes", "labels"], sort=False))
    figure = new_figure(8.6, 1.75 * len(panels) + (0.9 if caption else 0.7), layout="constrained")
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    slowest, fastest = rows["pairs per second"].min(), rows["pairs per second"].max()
    for axes, ((codes, labels), points) in zip(grid, panels, strict=True):
        ways = list(points["way"])[::-1]
        points = points.set_index("way")
        for place, way in enumerate(ways):
            point = points.loc[way]
            rate = point["pairs per second"]
            ratio = "" if way == "argsort loop" else f"{point['ratio to the loop']:,.0f} times the loop, "
            axes.plot([points["pairs per second"].min(), rate], [place, place], color=COLOURS[way], lw=1)
            axes.plot(rate, place, "o", ms=8, color=COLOURS[way])
            axes.annotate(
                f"{ratio}{point['MB above the inputs']:,.0f} MB", (rate, place), xytext=(9, 0),
                textcoords="offset points", va="center", fontsize=9,
            )  # fmt: skip
        axes.set(title=f"{codes} codes, {labels}", xscale="log", xlim=(slowest / 1.5, fastest * 10))
        axes.set(yticks=range(len(ways)), yticklabels=ways, ylim=(-0.6, len(ways) - 0.4))
        axes.grid(axis="y", visible=False)
    unit = "pairs of query and item per second (logarithmic); MB: peak memory above the inputs"
    grid[-1].set(xlabel=f"{unit}\n{caption}".rstrip())
    return figure
