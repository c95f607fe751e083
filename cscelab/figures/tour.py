"""The tour of notebook 00 in two pictures: how an image becomes a code, and how far the database is from it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cscelab.collection import Collection, Query
from cscelab.figures.alt import rounded
from cscelab.figures.lessons import MINUS, PLUS
from cscelab.figures.provenance import stamp
from cscelab.figures.style import GREY, RIGHT, WRONG, new_figure, styled, tint
from cscelab.ordinal import read_one_hot

MARKED = 40  # bits at most that carry a sign as text


@styled()
def code_figure(collection: Collection, query: Query) -> Figure:
    """An image, the K continuous values the network gives it, and the K bits, or the symbols, that remain of them."""
    code, values = collection.code_of(query)
    layout = collection.layout
    figure = new_figure(10, 3.6)
    image = figure.add_axes((0.02, 0.12, 0.24, 0.68))
    bars = figure.add_axes((0.36, 0.4, 0.62, 0.46))
    bits = figure.add_axes((0.36, 0.16, 0.62, 0.11), sharex=bars)
    image.imshow(query.image)
    image.set_axis_off()
    image.set_title("1. The image")
    places = 1 + np.arange(len(values))  # bits are counted from 1
    bars.bar(places, values, color=np.where(code > 0, PLUS, MINUS), width=0.75)
    bars.axhline(0, color=GREY, lw=0.8)
    bars.tick_params(labelbottom=False)
    bars.grid(visible=False, axis="x")
    of_each = "" if layout.arity is None else f", {layout.arity} for each of {layout.n_symbols} symbols"
    bars.set(title=f"2. Its {len(values)} continuous values{of_each}", ylabel="value v")
    colours = ListedColormap([to_rgb(tint(MINUS, 0.45)), to_rgb(PLUS)])
    extent = (0.5, len(code) + 0.5, 0.5, -0.5)
    bits.imshow(code[None], cmap=colours, vmin=-1, vmax=1, aspect="auto", interpolation="nearest", extent=extent)
    bits.set_yticks([])
    bits.grid(visible=False)
    if layout.arity is not None:
        remain = _draw_symbols(bars, bits, code, layout.arity)
    else:
        remain = _draw_signs(bits, code)
    figure.alt = (  # type: ignore[attr-defined]
        f"{query.title}: {len(values)} bars from {rounded(values.min())} to {rounded(values.max())}, and below "
        f"them {remain}."
    )
    if collection.smoke:
        stamp(figure)
    return figure


def _draw_signs(bits: Axes, code: np.ndarray) -> str:
    """Marks the strip of a code with its signs; returns it in words."""
    if len(code) <= MARKED:
        for place, bit in enumerate(code, start=1):
            bits.text(
                place, 0, "+" if bit > 0 else "−", ha="center", va="center", color="white" if bit > 0 else "black"
            )
    bits.set_xticks([1, *range(4, len(code) + 1, 4)] if len(code) <= MARKED else [1, *range(8, len(code) + 1, 8)])
    bits.set(title="3. Its code: the signs", xlabel="bit")
    return f"their signs, {int((code > 0).sum())} plus and {int((code < 0).sum())} minus"


def _draw_symbols(bars: Axes, bits: Axes, code: np.ndarray, arity: int) -> str:
    """Parts values and the strip of a one-hot code into groups, each over its symbol; returns the code in words."""
    symbols = read_one_hot(code[None], arity)[0].tolist()
    starts = np.arange(0, len(code), arity)
    for axes in (bars, bits):
        for start in starts[1:]:
            axes.axvline(start + 0.5, color=GREY, lw=0.6, ls=":")
    bits.set_xticks(starts + (1 + arity) / 2, [str(symbol) for symbol in symbols])
    bits.set(title=f"3. Its code: the place of the largest of each {arity}", xlabel=f"symbol, 0 to {arity - 1}")
    return f"the places of the largest of each {arity}, {len(symbols)} symbols: {', '.join(map(str, symbols))}"


@styled()
def distances_figure(collection: Collection, query: Query) -> Figure:
    """How many database images lie at each Hamming distance from a query, those of its class apart from the others.

    Raises ValueError for a query whose class is not known.
    """
    if query.label is None:
        raise ValueError(f"{query.title!r} has no class, so nothing is right or wrong; give a query of the data set")
    found = collection.find(query, k=len(collection.splits.database))
    farthest, unit = collection.layout.n_symbols, collection.layout.unit
    right, wrong = (
        np.bincount(found.distances[chosen], minlength=farthest + 1) for chosen in (found.right, ~found.right)
    )
    places = np.arange(farthest + 1)
    figure = new_figure(10, 3.4)
    axes = figure.add_axes((0.08, 0.16, 0.9, 0.72))
    axes.bar(places, right, color=RIGHT, width=0.85, label="of the query's class")
    axes.bar(places, wrong, bottom=right, color=tint(WRONG, 0.55), hatch="///", width=0.85, label="of other classes")
    axes.set(
        title=f"The {len(found.rows):,} images of the database by their distance",
        xlabel=f"Hamming distance to the query ({unit})",
        ylabel="images",
        xlim=(-0.6, farthest + 0.6),
    )
    axes.xaxis.set_major_locator(MaxNLocator(17, integer=True))
    axes.legend(loc="upper left")
    nearest = int(found.distances.min())
    medians = [np.median(found.distances[chosen]) if chosen.any() else np.nan for chosen in (found.right, ~found.right)]
    figure.alt = (  # type: ignore[attr-defined]
        f"Histogram of Hamming distances: {right.sum()} images of the query's class, {medians[0]:g} {unit} away in the "
        f"median, {wrong.sum()} of other classes, {medians[1]:g} {unit} away. At distance {nearest}, the nearest, lie "
        f"{right[nearest]} right and {wrong[nearest]} wrong images."
    )
    if collection.smoke:
        stamp(figure)
    return figure
