"""Hash centers in pictures: their signs, their distances against the bound, and what distance buys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from cscelab.centers import CenterReport, center_report
from cscelab.codes import hamming_distance
from cscelab.figures.curves import looks
from cscelab.figures.style import BLUE, GREY, ORANGE, VERMILION, new_figure, styled, tint

PLUS, MINUS = tint(BLUE, 1), tint(ORANGE, 0.45)  # +1 is dark, -1 is light, for those who see no colours
N_TICKS = 6  # at most, of an axis; drawing them is most of the picture's time
MOST_COUNTS = 4  # bars that have their counts written on them


@styled()
def center_figure(centers: Tensor, title: str = "") -> Figure:
    """Centers (C, K) as a matrix of signs over the mean of every bit, and how many pairs lie at each distance."""
    report, signs = center_report(centers), centers.cpu().numpy()
    title = title or f"{report.n_classes} centers of {report.bits} bits"
    figure = new_figure(10, 4.4)
    # Set by hand: a constrained layout takes as long as all the rest, and a slider redraws at every step.
    matrix = figure.add_axes((0.065, 0.37, 0.41, 0.535))
    balance = figure.add_axes((0.065, 0.19, 0.41, 0.13), sharex=matrix)
    histogram = figure.add_axes((0.58, 0.19, 0.405, 0.715))
    _signs(matrix, signs, title)
    _balance(balance, signs, report)
    _distances(histogram, centers, report)
    figure.text(0.18, 0.025, f"construction: {report.construction}", color=GREY, size=9, wrap=True)
    keys = [Patch(color=PLUS, label="+1"), Patch(color=MINUS, label="−1")]
    figure.legend(
        handles=keys, loc="lower left", bbox_to_anchor=(0.05, -0.01), ncols=2, handlelength=1, columnspacing=1
    )
    figure.alt = f"{title}. {in_words(report)}"  # type: ignore[attr-defined]
    return figure


def in_words(report: CenterReport) -> str:
    """What a report says, in sentences."""
    return (
        f"d_min {report.min_distance} of at most {report.upper_bound} bits, mean distance {report.mean_distance:.2f}; "
        f"up to {corrected_bits(report)} wrong bits are corrected for certain; "
        f"the least balanced bit has mean {report.bit_balance:.2f}; construction: {report.construction}."
    )


def corrected_bits(report: CenterReport) -> int:
    """Wrong bits that decoding to the nearest center corrects for any class: floor((d_min - 1) / 2)."""
    return max(report.min_distance - 1, 0) // 2


def _signs(axes: Axes, signs: np.ndarray, title: str) -> None:
    n_classes, bits = signs.shape
    cells: Any = {"aspect": "auto", "interpolation": "nearest"}
    cells["extent"] = (0.5, bits + 0.5, n_classes - 0.5, -0.5)  # bits are counted from 1, classes from 0
    axes.imshow(signs, cmap=ListedColormap([MINUS, PLUS]), vmin=-1, vmax=1, **cells)
    axes.grid(visible=False)
    axes.tick_params(labelbottom=False)
    axes.yaxis.set_major_locator(MaxNLocator(N_TICKS, integer=True))
    axes.set(title=title, ylabel="class")


def _balance(axes: Axes, signs: np.ndarray, report: CenterReport) -> None:
    edges = np.arange(report.bits + 1) + 0.5
    axes.stairs(signs.mean(axis=0), edges, baseline=0, fill=True, color=GREY)
    axes.axhline(0, color=GREY, lw=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(N_TICKS, integer=True))
    axes.set(xlabel=f"bit; below the signs its mean over classes, at most ±{report.bit_balance:.2f}", ylabel="mean")
    axes.set(ylim=(-1.1, 1.1), yticks=(-1, 0, 1))


def _distances(axes: Axes, centers: Tensor, report: CenterReport) -> None:
    upper = np.triu_indices(report.n_classes, k=1)
    counts = np.bincount(hamming_distance(centers, centers).numpy()[upper], minlength=report.bits + 1)
    occupied = counts.nonzero()[0]
    bound, smallest = report.upper_bound, report.min_distance
    axes.bar(occupied, counts[occupied], color=tint(GREY, 0.5), width=0.8)
    if len(occupied) <= MOST_COUNTS:  # a bar of ten beside one of thousands would not be seen
        for at in occupied:
            # Beside the lines, inside the axes.
            side = "center" if at not in (bound, smallest) else "right" if at > 0.75 * report.bits else "left"
            shift = {"left": 6, "center": 0, "right": -6}[side]
            axes.annotate(f"{counts[at]:,}", (at, counts[at]), (shift, 2), textcoords="offset points", ha=side)
    # The bound is broad and pale, so that a smallest distance that reaches it stands inside.
    axes.axvline(bound, ymax=0.88, color=BLUE, alpha=0.35, lw=7, label=f"bound: {bound}")
    axes.axvline(smallest, ymax=0.88, color=VERMILION, ls="--", label=f"d_min: {smallest}")
    corrected = corrected_bits(report)
    axes.set(
        title=f"d_min {smallest} of at most {bound}: {corrected} wrong {'bit' if corrected == 1 else 'bits'} corrected",
        xlabel="Hamming distance (bits)",
        ylabel="pairs of classes",
        xlim=(-0.6, report.bits + 0.6),
        ylim=(0, 1.3 * max(counts.max(), 1)),  # room for the legend
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(N_TICKS, integer=True))
    axes.legend(loc="upper center", ncols=2)


@styled()
def decoding_figure(errors: Mapping[str, Mapping[float, float]]) -> Figure:
    """Share of codes decoded to a wrong class by the probability that a bit flips; name -> `trials.decoding_errors`."""
    figure = new_figure(7.5, 4.2, layout="constrained")
    axes = figure.subplots()
    for (name, by_share), look in zip(errors.items(), looks(), strict=False):
        axes.plot(list(by_share), list(by_share.values()), label=name, **look)
    axes.set(
        title="What distance buys: decoding to the nearest center",
        xlabel="probability that a bit is wrong",
        ylabel="share decoded to a wrong class",
        ylim=(-0.02, 1.02),
    )
    axes.legend(loc="upper left")
    return figure
