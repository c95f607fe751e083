"""How fast images come: into the cache and out of it, each way's images per second by the side of plain references."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.figure import Figure

from cscelab.figures.style import BLUE, GREY, ORANGE, new_figure, styled

AXIS = "images per second of one core's time (logarithmic)"


@styled()
def pipeline(table: Any, caption: str = "") -> Figure:
    """A panel for each stage of benchmarks/pipeline.py, a point for each way: round ours, square a reference's.

    Args:
        table: a DataFrame with columns stage, way, reference (bool), "images per second and core", ratio (to the
            stage's first reference) and target (images/s and core, or NaN), drawn as a line.
        caption: what was measured, below.
    """
    panels = list(table.groupby("stage", sort=False))
    sizes = [len(rows) for _, rows in panels]
    figure = new_figure(8.6, 0.3 * sum(sizes) + 0.75 * len(panels) + 0.6, layout="constrained")
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=[n + 0.8 for n in sizes])[:, 0]
    rates = table["images per second and core"]
    slowest = min(rates.min(), table["target"].min()) / 1.6  # a target may be NaN: min passes over it
    for axes, (stage, rows) in zip(grid, panels, strict=True):
        rows = rows.iloc[::-1]
        target = rows["target"].max()
        if not math.isnan(target):
            axes.axvline(target, color=ORANGE, ls="--", lw=1.2)
            stage = f"{stage} (dashed: the target, {target:,.0f})"
        for place, (_, row) in enumerate(rows.iterrows()):
            rate = row["images per second and core"]
            colour, marker = (GREY, "s") if row["reference"] else (BLUE, "o")
            axes.plot(rate, place, marker, ms=7, color=colour)
            times = row["ratio"]
            ratio = "" if times == 1 else f", {times:,.{0 if times >= 10 else 1}f} times"
            axes.annotate(
                f"{rate:,.0f}{ratio}", (rate, place), xytext=(9, 0), textcoords="offset points",
                va="center", fontsize=9, bbox={"fc": "white", "ec": "none", "pad": 1},
            )  # fmt: skip
        axes.set_title(stage, loc="left")
        axes.set(xscale="log", xlim=(slowest, rates.max() * 8), ylim=(-0.6, len(rows) - 0.4))
        axes.set(yticks=range(len(rows)), yticklabels=list(rows["way"]))
        axes.grid(axis="y", visible=False)
    grid[-1].set(xlabel=f"{AXIS}; times: of the first reference, a square\n{caption}".rstrip())
    return figure
