"""A threshold on real codes, drawn: the bits of one image that flip, and what it does to a whole database."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from cscelab.dsf import sign
from cscelab.figures.provenance import stamp
from cscelab.figures.style import BLACK, BLUE, GREY, ORANGE, VERMILION, YELLOW, new_figure, styled, tint
from cscelab.figures.threshold_trials import PAPER, RELEASED, RULES, SMALLEST, Population

PLUS, MINUS = BLUE, tint(ORANGE, 0.6)  # +1 is dark, -1 is light, for those who see no colours
LOOKS: Mapping[str, Mapping[str, Any]] = {
    PAPER.name: {"color": BLUE, "ls": "-", "marker": "o", "ms": 4},
    RELEASED.name: {"color": VERMILION, "ls": "--", "marker": "s", "ms": 4},
}
REFERENCE: Mapping[str, Any] = {"color": BLACK, "ls": ":", "lw": 1.5}
CELLS = 350  # points across all bits
ROOM = 3  # half the height of a picture zoomed in on its band, in thresholds


@styled()
def threshold_figure(
    values: np.ndarray, threshold: float, image: np.ndarray | None = None, title: str = "",
    by_value: bool = False, zoom: bool = False, own: bool = False, smoke: bool = False,
) -> Figure:  # fmt: skip
    """One image's continuous code (K,) as bars over the band [-t, t]; below, its bits by each rule, flipped ones boxed.
    Bits are counted from 1.

    image: uint8 (H, W, 3), shown beside; by_value: bits in the order of their values; zoom: the axis ends near the
    band; own: the threshold is the image's own, and the title says so.
    """
    order = np.argsort(values, kind="stable") if by_value else np.arange(len(values))
    row = torch.from_numpy(np.array(values, np.float32)[order])[None]  # (1, K)
    plain, inside = sign(row)[0].numpy(), PAPER.inside(row, threshold)[0].numpy()
    rows = {"plain sign": plain} | {f"{rule.name} rule": rule.codes(row, threshold)[0].numpy() for rule in RULES}
    figure = new_figure(10, 4.1)
    bars = figure.add_axes((0.265, 0.44, 0.485, 0.45))
    _bars(bars, row[0].numpy(), inside, threshold, zoom)
    named = f"t = {threshold:.2g}" + (", the image's own" if own else "")
    bars.set(title=f"{named}: {int(inside.sum())} of {len(plain)} values in the band", ylabel="continuous code v")
    strip = figure.add_axes((0.265, 0.2, 0.485, 0.2))
    _strip(strip, rows, order)
    strip.set_xlabel("bit, in the order of the values" if by_value else "bit")
    if image is not None:
        photo = figure.add_axes((0.005, 0.34, 0.175, 0.43))
        photo.imshow(image)
        photo.axis("off")
    figure.text(0.0925, 0.79, "\n".join(textwrap.wrap(title, 24)), ha="center", va="bottom", fontsize=9)
    keys = [
        Patch(fc=PLUS, label="above 0, +1"),
        Patch(fc=MINUS, label="below 0, −1"),
        Patch(fc="white", ec=BLACK, hatch="////", label="in the band"),
        Patch(fc=tint(YELLOW, 0.5), label="the band [−t, t]"),
        Patch(fc="none", ec=BLACK, lw=2, label="boxed: flipped by the rule"),
    ]
    figure.legend(handles=keys, loc="lower center", ncols=len(keys), bbox_to_anchor=(0.5, 0))
    if smoke:
        stamp(figure)
    figure.alt = (  # type: ignore[attr-defined]
        f"Continuous code of {len(plain)} bits{f' of {title}' if title else ''} as bars. {named}. "
        f"In the band: {_listed(order[inside])}. "
        + " ".join(f"{name}: {_counts(bits)}, flipped: {_listed(order[bits != plain])}." for name, bits in rows.items())
    )
    return figure


def _bars(axes: Axes, values: np.ndarray, inside: np.ndarray, threshold: float, zoom: bool) -> None:
    axes.axhspan(-threshold, threshold, color=tint(YELLOW, 0.5), zorder=0.5)
    for chosen, hatch in ((~inside, None), (inside, "////")):
        at = np.flatnonzero(chosen)
        corners = [[(x - 0.4, 0), (x - 0.4, values[x]), (x + 0.4, values[x]), (x + 0.4, 0)] for x in at]
        colours = [PLUS if values[x] > 0 else MINUS for x in at]
        edge = "white" if hatch else "none"
        # One collection, not K patches: a slider redraws this many times a second.
        axes.add_collection(PolyCollection(corners, facecolors=colours, edgecolors=edge, hatch=hatch, lw=0, gid=hatch))
    for edge_at in (-threshold, threshold):
        axes.axhline(edge_at, color=GREY, lw=0.8, ls="--")
    axes.axhline(0, color=BLACK, lw=0.8)
    far = float(np.abs(values).max()) * 1.08 or 1.0
    near = ROOM * threshold if threshold > 0 else float(np.sort(np.abs(values))[:2].max()) * 1.5
    limit = min(near, far) if zoom and near > 0 else far
    axes.set(xlim=(-0.5, len(values) - 0.5), ylim=(-limit, limit), xticks=[])
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _strip(axes: Axes, rows: Mapping[str, np.ndarray], order: np.ndarray) -> None:
    """Signs as dark and light cells with + and - in them, a row a rule, what differs from the first row boxed."""
    bits = np.stack(list(rows.values()))  # (rules + 1, K)
    n = bits.shape[1]
    axes.imshow(
        bits,
        cmap=ListedColormap([to_rgb(MINUS), to_rgb(PLUS)]),
        vmin=-1,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
    )
    size = min(8.0, 0.5 * CELLS / n) ** 2
    for value, marker, colour in ((1, "+", "white"), (-1, "_", BLACK)):
        y, x = np.nonzero(bits == value)
        axes.scatter(x, y, marker=marker, color=colour, s=size, lw=1.2)
    y, x = np.nonzero(bits != bits[0])
    if len(x):
        boxes = [[(j - 0.46, i - 0.44), (j - 0.46, i + 0.44), (j + 0.46, i + 0.44), (j + 0.46, i - 0.44)]
                 for i, j in zip(y, x, strict=True)]  # fmt: skip
        axes.add_collection(PolyCollection(boxes, facecolors="none", edgecolors=BLACK, lw=2.2, gid="flipped"))
    step = max(1, n // 16)
    axes.set_xticks(range(0, n, step), [str(bit + 1) for bit in order[::step]])
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for place, (name, code) in enumerate(rows.items()):
        flips = f"; {int((code != bits[0]).sum())} flipped" if place else ""
        axes.text(-0.7, place, name, va="center", ha="right")
        axes.text(n - 0.3, place, _counts(code) + flips, va="center")


def _counts(code: np.ndarray) -> str:
    plus = int((code > 0).sum())
    return f"{plus} +, {len(code) - plus} − ({plus / len(code):.0%} +)"


def _listed(bits: np.ndarray) -> str:
    if not len(bits):
        return "no bit"
    return ("bit " if len(bits) == 1 else "bits ") + ", ".join(str(bit + 1) for bit in sorted(bits.tolist()))


@styled()
def threshold_population_figure(measured: Population, threshold: float | None = None) -> Figure:
    """Shares of bits and images touched, balance and mAP, over all thresholds, with the present one marked.

    threshold: one of those measured; None is each image's own, drawn as a star at their median.
    """
    now = measured.at(threshold)
    at = measured.own_threshold if threshold is None else threshold
    figure = new_figure(10, 3.9)
    figure.subplots_adjust(left=0.045, right=0.99, top=0.81, bottom=0.38, wspace=0.12)
    bits, images, balance, precision = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.4), sharey=True)
    for axes, column in ((bits, "flipped"), (images, "images changed"), (balance, "imbalance"), (precision, "mAP")):
        for name, frame in measured.by_rule.items():
            axes.plot(measured.thresholds, frame[column], markevery=2, **LOOKS[name])
            axes.plot(at, now[name][column], **{**LOOKS[name], "ms": 13 if threshold is None else 8, "mec": BLACK,
                      "ls": "", **({"marker": "*"} if threshold is None else {})})  # fmt: skip
        axes.axvline(at, color=GREY, lw=1)
        axes.set(xlim=(0, measured.thresholds[-1]), ylim=(-0.02, 1.02), yticks=(0, 0.5, 1))
        axes.set_xscale("symlog", linthresh=SMALLEST, linscale=0.3)
        axes.xaxis.set_major_locator(FixedLocator([0, 0.01, 0.1, 1]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}".removeprefix("0") or "0"))
    bits.plot(measured.thresholds, measured.by_rule[PAPER.name]["in band"], color=GREY, ls="-.")
    balance.axhline(measured.imbalance, **REFERENCE)
    precision.axhline(measured.mean_average_precision, **REFERENCE)
    titles = ("Share of bits flipped", "Share of images changed", "Mean |+1 minus −1| / K", "mAP@all of the queries")
    lines = [
        [f"in band {now[PAPER.name]['in band']:.2%}", *(f"{name} {row['flipped']:.2%}" for name, row in now.items())],
        ["", *(f"{name} {row['images changed']:.1%}" for name, row in now.items())],
        [f"plain {measured.imbalance:.3f}", *(f"{name} {row['imbalance']:.3f}" for name, row in now.items())],
        [f"plain {measured.mean_average_precision:.4f}", *(_gain(name, row) for name, row in now.items())],
    ]
    for axes, title, said in zip(figure.axes, titles, lines, strict=True):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("\n".join(["threshold t", *said]), fontsize=9.5)
    named = "each image its own t (star)" if threshold is None else f"t = {threshold:g} for all images"
    head = (
        f"{measured.title}: {named}; {measured.n_database:,} database images, {measured.bits} bits; "
        f"mAP explored on {measured.n_query:,} queries, nothing tuned"
    )
    figure.text(0.01, 0.93, head, fontsize=10)
    keys = [
        *(Line2D([], [], label=f"{name} rule", **look) for name, look in LOOKS.items()),
        Line2D([], [], color=GREY, ls="-.", label="in the band"),
        Line2D([], [], label="plain sign", **REFERENCE),
    ]
    figure.legend(handles=keys, loc="lower center", ncols=len(keys), handlelength=3, bbox_to_anchor=(0.5, 0))
    if measured.smoke:
        stamp(figure)
    said_of = (f"{title}: {', '.join(filter(None, said))}" for title, said in zip(titles, lines, strict=True))
    figure.alt = f"{head}. {'. '.join(said_of)}."  # type: ignore[attr-defined]
    return figure


def _gain(name: str, row: Mapping[str, float]) -> str:
    return f"{name} {row['gain']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]".replace("-", "−")
