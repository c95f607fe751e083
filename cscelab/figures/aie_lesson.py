"""What AIE subtracts at a place, and what one window subtracts everywhere (Eq. 3): pictures for exploring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from cscelab.figures.dissection import NORMALIZE, Dissection
from cscelab.figures.mosaic import Mosaic
from cscelab.figures.provenance import stamp
from cscelab.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, styled, tint

WIDTH, HEIGHT = 8.9, 5.3  # inches, as is all below
LEFTS, SIDE = (0.15, 2.2, 4.25), 1.85  # of the square maps; they share one set of axes, which is quick to draw
ROWS = (0.9, 3.35)  # tops of the maps
CHART, CHART_WIDTH = 6.85, 1.9  # left edge and width of the charts
SMALL = 8.5  # points
SIGNED, SIZES = "PuOr_r", "cividis"  # orange is more, purple less than nothing; cividis is in order of lightness
COVER = 0.65  # opacity over the grey image
N_CHANNELS = 6
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NAMES = ("local", "subtracted", "left")
LOOKS = ((GREEN, "", "o"), (ORANGE, "///", "s"), (BLUE, "...", "D"))  # colour, hatch, marker of each


@styled()
def place_figure(dissection: Dissection, place: tuple[int, int] | None = None, normalize: str | None = None) -> Figure:
    """Top: the windows that overlap with a place, drawn back onto the image, and the lengths of the three vectors of
    Eq. 3. Below: the same three lengths at all places, and the channels changed most.

    place: (row, column), by default that of the largest attention; normalize: "none" (as printed) or "frobenius", by
    default the network's own. Raises ValueError for a place that is not there.
    """
    normalize = normalize or dissection.normalize
    row, column = dissection.checked(place or dissection.busiest())
    height, width = dissection.grid
    vectors = dissection.local, dissection.subtracted(normalize), dissection.left(normalize)
    lengths = [np.linalg.norm(vector, axis=0) for vector in vectors]  # (h, w) each
    here = dict(zip(NAMES, (float(length[row, column]) for length in lengths), strict=True))
    words = f"Row {row + 1}, column {column + 1} of {height}×{width} places; {_in_words(normalize)}"
    sheet = _sheet(words)
    square = (column / width, row / height, 1 / width)
    for index, size in enumerate(dissection.sizes):
        weights = dissection.drawn_back((row, column), size, normalize)
        _signed(sheet, index, 0, dissection, weights, f"weights of {size}×{size} windows", square)
    _lengths(sheet.figure, here, _limits(dissection), "length of the vector at this place")
    for index, (name, length) in enumerate(zip(NAMES, lengths, strict=True)):
        _sizes(sheet, index, 1, length, f"length, {name}", square)
    _channels(sheet.figure, [vector[:, row, column] for vector in vectors])
    local, taken, left = map(number, here.values())
    return _finish(
        sheet.figure,
        dissection,
        f"{words}: a feature of length {local}, {taken} subtracted, {left} left. Maps of the windows' weights, of the "
        f"three lengths over all places, and the {N_CHANNELS} channels changed most.",
    )


@styled()
def window_figure(dissection: Dissection, window: int = 0, normalize: str | None = None) -> Figure:
    """What one window subtracts over all places, beside what all of them do, and each window's share of it.

    window: its number, sizes in order, each in reading order. Raises ValueError for one that is not there.
    """
    normalize = normalize or dissection.normalize
    box, weights = dissection.box(window), dissection.weights(normalize)[window]
    alone = np.abs(weights) * np.linalg.norm(dissection.windows[:, window])  # the length of weight times window
    share, count = dissection.shares[window], dissection.counts[dissection.sizes.index(box.size)]
    within = window - dissection.first(box.size) + 1
    words = f"Window {within} of {count}, {box.size}×{box.size}; {_in_words(normalize)}"
    sheet = _sheet(words)
    square = tuple(part / dissection.side for part in (box.left, box.top, box.size))
    _picture(sheet, 0, 0, dissection.image, "the window on the image", f"{share:.1%} of all that is subtracted", square)
    _signed(sheet, 1, 0, dissection, weights, "its weight at each place", square)
    lengths = {
        "local": np.linalg.norm(dissection.local, axis=0),
        "all windows": np.linalg.norm(dissection.subtracted(normalize), axis=0),
        "this window": alone,
    }
    for index, (name, length) in enumerate(lengths.items()):
        _sizes(sheet, index, 1, length, f"length, {name}" + (" subtract" + "s" * (index == 2)) * (index > 0), square)
    means = {name: float(length.mean()) for name, length in lengths.items()}
    _lengths(sheet.figure, means, _limits(dissection), "mean length over all places")
    _shares(sheet.figure, dissection, window)
    local, all_windows, this = map(number, means.values())
    return _finish(
        sheet.figure,
        dissection,
        f"{words}: {share:.1%} of all that is subtracted. Mean length over places: local features {local}, all windows "
        f"subtract {all_windows}, this window subtracts {this}.",
    )


def number(value: float) -> str:
    """A number in three figures: "26,899", "1.15", "2.8 × 10⁻⁵"."""
    size = abs(value)
    if not size or size >= 1e-4:
        return (f"{value:,.0f}" if size >= 100 else f"{value:.3g}").replace("-", "−")
    digits, power = f"{value:.1e}".split("e")
    return f"{digits.replace('-', '−')} × 10{str(int(power)).translate(RAISED)}"


def span(low: float, high: float, first: str = "") -> str:
    """A range, both ends with as many decimals: "−0.0019 to 0.0001", "1.0 to 10.8"; first: words on the first end."""
    size = max(abs(low), abs(high))
    power = int(np.floor(np.log10(size))) if size else 0
    scale, times, decimals = 1.0, "", max(0, 2 - power)
    if power < -4:
        scale, times, decimals = 10.0**power, f" × 10{str(power).translate(RAISED)}", 2
    ends = [f"{end / scale:,.{decimals}f}{times}".replace("-", "−") for end in (low, high)]
    return f"{ends[0]}{first} to {ends[1]}"


def _in_words(normalize: str) -> str:
    return next(f"Eq. 3 {words}" for words, name in NORMALIZE.items() if name == normalize)


def _sheet(words: str) -> Mosaic:
    sheet = Mosaic(WIDTH, HEIGHT)
    sheet.text(LEFTS[0], 0.12, words, 12, weight="bold")
    return sheet


def _picture(
    sheet: Mosaic,
    column: int,
    row: int,
    picture: np.ndarray,
    title: str,
    below: str,
    square: Sequence[float],
    **options: Any,
) -> None:
    """A picture with two lines above it and a square (left, top, side, in shares of it) outlined on it."""
    x, y = LEFTS[column], ROWS[row]
    sheet.picture(x, y, SIDE, picture, **options)
    sheet.text(x, y - 0.05, f"{title}\n{below}", SMALL, va="bottom")
    left, top, side = x + square[0] * SIDE, y + square[1] * SIDE, square[2] * SIDE
    for colour, width in (("white", 3.4), (BLACK, 1.6)):
        right, bottom = left + side, top + side
        corners = [left, right, right, left, left], [top, top, bottom, bottom, top]
        sheet.axes.plot(*corners, color=colour, lw=width, zorder=5)


def _sizes(sheet: Mosaic, column: int, row: int, length: np.ndarray, title: str, square: Sequence[float]) -> None:
    below = span(length.min(), length.max(), " (dark)")
    _picture(sheet, column, row, length, title, below, square, cmap=SIZES, vmin=0, vmax=length.max() or 1)


def _signed(
    sheet: Mosaic,
    column: int,
    row: int,
    dissection: Dissection,
    values: np.ndarray,
    title: str,
    square: Sequence[float],
) -> None:
    """Signed values (a, b) of equal cells over the grey image, with + and - in the cells."""
    x, y, largest = LEFTS[column], ROWS[row], float(np.abs(values).max()) or 1.0
    sheet.picture(x, y, SIDE, dissection.image.mean(axis=2), cmap="gray", vmin=0, vmax=255)
    below = span(values.min(), values.max())
    _picture(sheet, column, row, values, title, below, square, cmap=SIGNED, vmin=-largest, vmax=largest, alpha=COVER)
    rows, columns = np.mgrid[: values.shape[0], : values.shape[1]]
    step = SIDE / len(values)
    for chosen, mark in ((values > 0, "+"), (values < 0, "_")):
        at = x + (columns[chosen] + 0.5) * step, y + (rows[chosen] + 0.5) * step
        sheet.axes.plot(*at, ls="", marker=mark, ms=22 * step, mew=0.9, color=BLACK, zorder=4)


def _limits(dissection: Dissection) -> tuple[float, float]:
    """Powers of ten around the lengths under either normalisation: the scale stands still while one looks around."""
    local, shared = (np.linalg.norm(v, axis=0) for v in (dissection.local, dissection.subtracted("frobenius")))
    alone = np.abs(dissection.weights("frobenius")).mean(axis=(1, 2)) * np.linalg.norm(dissection.windows, axis=0)
    largest = max(float(shared.max()) * dissection.divisor("frobenius"), float(local.max()), 1e-6)
    smallest = max(min(float(part.min()) for part in (local, shared, alone)), largest * 1e-9)
    return 10.0 ** np.floor(np.log10(smallest)), 10.0 ** np.ceil(np.log10(largest))


def _lengths(figure: Figure, values: Mapping[str, float], limits: tuple[float, float], label: str) -> None:
    """Three lengths as points on a logarithmic scale, their numbers beside the names."""
    left, (low, high) = LEFTS[2] + 1.1, limits
    axes = _chart(figure, 0, left, f"{label}\n(logarithmic scale)")
    for y, (value, (colour, _, marker)) in enumerate(zip(values.values(), LOOKS, strict=True)):
        x = max(value, low)
        axes.plot([low, x], [y, y], color=tint(colour, 0.5), lw=1.2)
        axes.plot([x], [y], color=colour, marker=marker, ms=8, clip_on=False)
    axes.set_xscale("log")
    axes.set(xlim=limits, ylim=(2.6, -0.6))
    axes.set_yticks(range(3), [f"{name}\n{number(value)}" for name, value in values.items()], size=9)
    powers = np.arange(round(np.log10(low)), round(np.log10(high)) + 1, 2)
    axes.xaxis.set_major_locator(FixedLocator(list(10.0**powers)))
    words = [f"10{str(power).translate(RAISED)}" for power in powers]
    axes.xaxis.set_major_formatter(FixedFormatter(words))
    axes.xaxis.set_minor_locator(NullLocator())


def _chart(figure: Figure, row: int, left: float, title: str) -> Axes:
    """Axes beside the maps, as high as they are with the words below."""
    bottom = HEIGHT - ROWS[row] - SIDE + 0.2
    place = left / WIDTH, bottom / HEIGHT, (CHART + CHART_WIDTH - left) / WIDTH, (SIDE - 0.2) / HEIGHT
    axes = figure.add_axes(place)
    axes.set_title(title, size=SMALL, weight="normal", pad=4)
    axes.tick_params(labelsize=SMALL, length=0)
    return axes


def _channels(figure: Figure, vectors: Sequence[np.ndarray]) -> None:
    """The channels from which most is taken (or to which most is added), a bar a vector."""
    most = np.argsort(-np.abs(vectors[1]), kind="stable")[:N_CHANNELS]
    axes = _chart(figure, 1, CHART, f"the {len(most)} channels changed most\n")
    places = np.arange(len(most))
    for index, (vector, (colour, hatch, _)) in enumerate(zip(vectors, LOOKS, strict=True)):
        heights = places + 0.27 * (index - 1)
        axes.barh(heights, vector[most], 0.27, color=tint(colour, 0.6), hatch=hatch, ec=colour, lw=0.8)
    keys = [Patch(fc=tint(c, 0.6), ec=c, hatch=h, label=name) for name, (c, h, _) in zip(NAMES, LOOKS, strict=True)]
    axes.legend(
        handles=keys, loc="lower left", bbox_to_anchor=(-0.17, 0.985), ncols=3, fontsize=7.5, borderpad=0,
        handlelength=1, handletextpad=0.3, columnspacing=0.7,
    )  # fmt: skip
    axes.axvline(0, color=GREY, lw=0.8)
    axes.set_yticks(places, [str(channel) for channel in most])
    axes.set_ylim(len(most) - 0.45, -0.55)
    axes.set_ylabel("channel", labelpad=1, size=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(3))


def _shares(figure: Figure, dissection: Dissection, window: int) -> None:
    """Share of each window as a line, the chosen one thick and marked; a dotted line between sizes."""
    axes, shares = _chart(figure, 1, CHART, "share of each window in all\nthat is subtracted, %"), dissection.shares
    axes.vlines(np.arange(len(shares)), 0, 100 * shares, color=GREY, lw=1.5)
    axes.plot([window, window], [0, 100 * shares[window]], color=ORANGE, lw=2.5, marker="s", markevery=[1])
    starts = [dissection.first(size) for size in dissection.sizes]
    for start in starts[1:]:
        axes.axvline(start - 0.5, color=BLACK, ls=":", lw=1)
    middles = [start + (count - 1) / 2 for start, count in zip(starts, dissection.counts, strict=True)]
    axes.set_xticks(middles, [f"{size}×{size}" for size in dissection.sizes])
    axes.set_xlim(-1, len(shares))
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _finish(figure: Figure, dissection: Dissection, alt: str) -> Figure:
    figure.alt = alt  # type: ignore[attr-defined]
    if dissection.smoke:
        stamp(figure)
    return figure
