"""Figures that only the notebooks need: the dynamic sign's band, what thresholds do, gradients by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from cscelab.dsf import band, dynamic_sign, sign
from cscelab.experiment import Run
from cscelab.figures.alt import rounded, sentences
from cscelab.figures.curves import looks
from cscelab.figures.provenance import mark_smoke
from cscelab.figures.style import BLUE, GREY, ORANGE, VERMILION, YELLOW, new_figure, styled, tint

PLUS, MINUS = BLUE, ORANGE  # +1 is dark, -1 is light, for those who see no colours
BARS = 40  # of a histogram
PARTS = {"backbone": "trunk", "windows": "sliding windows", "local": "local branch", "aie": "AIE", "norm": "batch norm"}


@styled()
def dynamic_sign_figure(values: Sequence[float], threshold: float) -> Figure:
    """One continuous code as bars over its band [-t, t]; below, its plain and its dynamic sign, changes boxed."""
    row = torch.tensor([list(values)], dtype=torch.float32)  # (1, K)
    plain, dynamic, inside = (x[0].numpy() for x in (sign(row), dynamic_sign(row, threshold), band(row, threshold)))
    figure = new_figure(max(6.5, 0.55 * len(plain)), 3.8, layout="constrained")
    axes = figure.subplots()
    colours = [PLUS if code > 0 else MINUS for code in dynamic]
    bars = axes.bar(range(len(plain)), row[0].numpy(), color=colours, width=0.6)
    for bar, unsure in zip(bars, inside, strict=True):
        bar.set_hatch("///" if unsure else "")
    axes.axhspan(-threshold, threshold, color=tint(YELLOW, 0.5), zorder=0.5)
    axes.axhline(0, color=GREY, lw=0.8)
    marks = {1.0: "+", -1.0: "−"}
    labels = [f"{marks[p]}\n{marks[d]}" for p, d in zip(plain, dynamic, strict=True)]
    axes.set_xticks(range(len(plain)), labels, fontfamily="monospace", fontsize=12)
    for tick, changed in zip(axes.get_xticklabels(), plain != dynamic, strict=True):
        if changed:
            tick.set_bbox({"fc": tint(YELLOW, 0.5), "ec": VERMILION, "boxstyle": "round,pad=0.2"})
    axes.grid(visible=False, axis="x")
    axes.set(
        title=f"Threshold t = {threshold:g}: {int(inside.sum())} values in the band, "
        f"{int((plain != dynamic).sum())} changed",
        xlabel="top: plain sign, bottom: dynamic sign (boxed where they differ)",
        ylabel="continuous code v",
    )
    keys = [
        Patch(color=PLUS, label="becomes +1"),
        Patch(color=MINUS, label="becomes −1"),
        Patch(fc="white", ec=GREY, hatch="///", label="in the band"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=3)
    flips = [
        f"bit {bit} ({value:g}) from {marks[p]} to {marks[d]}"
        for bit, (value, p, d) in enumerate(zip(row[0].tolist(), plain, dynamic, strict=True), start=1)
        if p != d
    ]
    figure.alt = sentences([  # type: ignore[attr-defined]
        f"{len(plain)} values as bars over the band from −{threshold:g} to {threshold:g}: {int(inside.sum())} in it",
        f"Below them the plain and the dynamic sign; changed: {', '.join(flips) or 'none'}",
    ])  # fmt: skip
    return figure


@styled()
def threshold_population(runs: Mapping[str, Run]) -> Figure:
    """For each run, over the database: how far values lie from 0 (log scale), and the thresholds of the images."""
    figure = new_figure(10, 2.9 * len(runs), layout="constrained")
    said = ["Histograms over the database: sizes of values, and thresholds of images, on a logarithmic scale"]
    for axes, (name, run) in zip(figure.subplots(len(runs), 1, squeeze=False)[:, 0], runs.items(), strict=True):
        size = np.abs(run.codes["database_values"]).ravel()
        thresholds = run.codes["database_thresholds"]
        edges = np.geomspace(1e-4, max(size.max(), thresholds.max()), BARS)
        for numbers, label, colour, hatch in (
            (size, "|v|, every bit", tint(GREY, 0.5), ""),
            (thresholds, "t, every image", tint(VERMILION, 0.7), "///"),
        ):
            shares = np.full(len(numbers), 1 / len(numbers))
            axes.hist(np.maximum(numbers, edges[0]), edges, weights=shares, color=colour, hatch=hatch, label=label)
        axes.set(title=name, xscale="log", xlabel="distance from 0 (first bar: anything nearer)", ylabel="share")
        said.append(
            f"{name}: values in the median {rounded(np.median(size))} from 0; thresholds from "
            f"{rounded(thresholds.min())} to {rounded(thresholds.max())}, median {rounded(np.median(thresholds))}"
        )
    figure.legend(handles=axes.get_legend_handles_labels()[0], loc="outside lower center", ncols=2)
    figure.alt = sentences(said)  # type: ignore[attr-defined]
    return mark_smoke(figure, runs.values())


@styled()
def threshold_reasons(sweep: pd.DataFrame, descents: Mapping[str, Sequence[float]]) -> Figure:
    """What a threshold costs and gains (`trials.threshold_sweep`), and where gradients take it: name -> t by step."""
    figure = new_figure(10, 4, layout="constrained")
    cost, path = figure.subplots(1, 2)
    named = {"quantisation": "Eq. 14", "with balance": "Eq. 14 + balance", "imbalance": "imbalance of the codes"}
    for (column, label), look in zip(named.items(), looks(), strict=False):
        cost.plot(sweep.index, sweep[column] - sweep[column].iloc[0], label=label, **look)
    cost.set(title="One threshold for all images", xlabel="threshold t", ylabel="rise over the first threshold")
    for (name, means), look in zip(descents.items(), looks(), strict=False):
        path.plot(means, label=name, **{**look, "marker": ""})
    top = 1.5 * max(max(means) for means in descents.values())  # room for the legend
    path.set(title="A threshold for each image, by gradient", xlabel="step", ylabel="mean threshold", ylim=(0, top))
    for axes in (cost, path):
        axes.legend(loc="best")
    return figure


@styled()
def gradient_figure(run: Run, context_runs: Mapping[str, Run]) -> Figure:
    """Norm of the gradient of each part of a run's network, and the size of Eq. 3's context over f_l; by epoch."""
    figure = new_figure(10, 4.2, layout="constrained")
    parts, context = figure.subplots(1, 2)
    names = [name for name in run.history[0] if name.startswith("gradient_")]
    _by_epoch(parts, {_part(name.removeprefix("gradient_")): (run, name) for name in names})
    _by_epoch(context, {name: (each, "context_over_local") for name, each in context_runs.items()})
    parts.set(title="Gradient by part", ylabel="norm, mean over steps", yscale="log")
    parts.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    parts.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    parts.yaxis.set_minor_formatter(NullFormatter())
    context.set(title="What AIE takes away", ylabel="size of the context over f_l", ylim=(0, None))
    figure.legend(handles=parts.get_legend_handles_labels()[0], loc="outside lower left", ncols=2)
    figure.legend(handles=context.get_legend_handles_labels()[0], loc="outside lower right", ncols=2)
    return mark_smoke(figure, [run, *context_runs.values()])


def _part(name: str) -> str:
    """A part of the network in words: "hash_layer" -> "hash layer"."""
    return PARTS.get(name, name.replace("_", " "))


def _by_epoch(axes: Axes, columns: Mapping[str, tuple[Run, str]]) -> None:
    """Columns of histories against their epochs; zeros, which a log scale cannot show, are left out."""
    for (label, (run, column)), look in zip(columns.items(), looks(), strict=False):
        points = [(row["epoch"], row[column]) for row in run.history if row.get(column, 0) > 0]
        axes.plot(
            [x for x, _ in points], [y for _, y in points], label=label if points else f"{label}: no gradient", **look
        )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
