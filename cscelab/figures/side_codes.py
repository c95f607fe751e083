"""Codes of several methods, a row each: balance of every bit, distances within and between classes, correlations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cscelab.figures.alt import sentences
from cscelab.figures.mosaic import LINE, POINT, wrap
from cscelab.figures.side_by_side import Coded, check_comparable, mark
from cscelab.figures.style import BLACK, BLUE, GREY, VERMILION, new_figure, styled, tint
from cscelab.neighbours import unit_of

ROW, HEAD, FOOT = 1.15, 0.38, 0.95  # inches: a method, titles, labels of the axes and the legend
FILLED = 0.8  # of a row's height that a drawing takes
TEXT = 9.0
LABEL = 2.3  # inches for names and numbers
BIT, STORED = "bit, the first on top", "stored bit, the first on top; dotted: balanced"  # in the legend
DIVERGING = "PuOr"  # from -1 to 1, apart for all eyes


@styled()
def codes_figure(coded: Sequence[Coded]) -> Figure:
    """Left the numbers; a mark for each bit at the share of the database in which it is +1; histograms of the
    distances of a query to its class and to others; the correlation of every two bits. Of symbols the bits are those
    stored, one-hot, and balanced where each of the k is in use as often."""
    check_comparable(coded)
    plain = unit_of(one.layout for one in coded) == "bits"
    n = len(coded)
    height = HEAD + n * ROW + FOOT
    figure = new_figure(10, height)

    def panel(left: float, width: float) -> Axes:
        axes = figure.add_axes((left / 10, FOOT / height, width / 10, n * ROW / height))
        axes.set(xlim=(0, 1), ylim=(n, 0), yticks=[])
        axes.hlines(range(1, n), 0, 1, colors=tint(GREY, 0.4), lw=0.8, transform=axes.get_yaxis_transform())
        return axes

    words = panel(0.1, LABEL)
    words.set_axis_off()
    for row, one in enumerate(coded):
        lines = wrap(one.name, LABEL - 0.1, TEXT + 1, bold=True)
        words.text(0, row + 0.1, "\n".join(lines), weight="bold", fontsize=TEXT + 1, va="top")
        below = row + 0.1 + (len(lines) * (TEXT + 1) * LINE * POINT + 0.05) / ROW
        words.text(0, below, "\n".join(_numbers(one)), fontsize=TEXT - 0.5, va="top", linespacing=1.3)
    _balance(panel(0.2 + LABEL, 2.1), coded)
    _distances(panel(0.45 + LABEL + 2.1, 3.2), coded)
    _correlations(panel(0.7 + LABEL + 2.1 + 3.2, ROW), coded)
    keys = [
        Patch(facecolor=tint(BLUE, 0.5), edgecolor=BLUE, label="distances to images of the query's class"),
        Patch(facecolor="none", edgecolor=VERMILION, linestyle="--", label="to images of other classes"),
        Line2D([], [], color=BLACK, ls="", marker="o", ms=3, label=f"a {BIT if plain else STORED}"),
    ]
    figure.legend(handles=keys, loc="lower center", ncols=3)
    figure.alt = sentences(["The codes of each", *map(_in_words, coded)])  # type: ignore[attr-defined]
    return mark(figure, coded)


def _numbers(one: Coded) -> list[str]:
    codes, error = one.report.codes, one.quantization_error
    return [
        f"{codes.distinct_codes:,} different codes of {len(one.collection.splits.database):,}",
        f"{codes.collisions:,} pairs collide",
        f"mean |correlation| {codes.mean_correlation:.2f}",
        *([] if error is None else [f"quantisation error {error:.2f}"]),
    ]


def _balance(axes: Axes, coded: Sequence[Coded]) -> None:
    """A dot a stored bit, bit 1 on top; it is balanced on the dotted line, at 1/2 or of symbols at 1/k."""
    shares = np.concatenate([one.report.codes.bit_balance for one in coded])
    places = [_places(row, one.layout.width) for row, one in enumerate(coded)]
    if all(one.layout.arity is None for one in coded):
        axes.axvline(0.5, color=GREY, lw=0.8, ls=":")
    else:
        for row, one in enumerate(coded):
            axes.vlines(1 / (one.layout.arity or 2), row, row + 1, colors=GREY, lw=0.8, ls=":")
    axes.plot(shares, np.concatenate(places), "o", color=BLACK, ms=2.6, gid="bits")
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set(title="Each bit is +1 in", xlabel="share of the database")


def _places(row: int, n: int) -> np.ndarray:
    """Heights of n things in a row, from the top, (n,)."""
    return row + 0.5 + FILLED * ((np.arange(n) + 0.5) / n - 0.5)


def _distances(axes: Axes, coded: Sequence[Coded]) -> None:
    """Two histograms a row, each of its own total, on one scale within the row, against distance over the largest."""
    within: list[np.ndarray] = []
    between: list[np.ndarray] = []
    for row, one in enumerate(coded):
        codes = one.report.codes
        shares = [h / max(1, h.sum()) for h in (codes.within_histogram, codes.between_histogram)]
        scale = FILLED / max(1e-12, max(share.max() for share in shares))
        farthest = one.layout.n_symbols
        steps = np.repeat((np.arange(farthest + 2) - 0.5) / farthest, 2)  # edges of a bar a distance
        for share, polygons in zip(shares, (within, between), strict=True):
            heights = np.concatenate([[0], np.repeat(share * scale, 2), [0]])
            polygons.append(np.column_stack([steps, row + 0.5 + FILLED / 2 - heights]))
    axes.add_collection(PolyCollection(within, facecolors=tint(BLUE, 0.5), edgecolors=BLUE, gid="within"))
    hollow = PolyCollection(
        between, facecolors="none", edgecolors=VERMILION, linestyles="--", linewidths=1.4, gid="between"
    )
    axes.add_collection(hollow)
    unit = unit_of(one.layout for one in coded)
    share = "Hamming distance / code length" if unit == "bits" else f"distance in {unit} / its largest value"
    beyond = max(0.035, *(0.52 / one.layout.n_symbols for one in coded))  # half a bar
    axes.set(xlim=(-beyond, 1 + beyond), xlabel=share)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_title("Query to database")


def _correlations(axes: Axes, coded: Sequence[Coded]) -> None:
    """A square of K x K stored bits a row, white where two bits are independent; all in one picture."""
    side = max(one.layout.width for one in coded)
    pixels = np.full((len(coded), side + 2 * (pad := round(side * (1 - FILLED) / 2)), side + 2 * pad), np.nan)
    for row, one in enumerate(coded):
        bit = np.arange(side) * one.layout.width // side
        matrix = one.report.codes.bit_correlation.copy()
        np.fill_diagonal(matrix, np.nan)  # every bit agrees with itself
        pixels[row, pad : pad + side, pad : pad + side] = matrix[np.ix_(bit, bit)]
    drawn = axes.imshow(
        pixels.reshape(-1, pixels.shape[2]), cmap=DIVERGING, vmin=-1, vmax=1, aspect="auto",
        extent=(0, 1, len(coded), 0), interpolation="nearest",
    )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(len(coded), 0), xticks=[], title="Bit by bit", xlabel="correlation")
    place, figure = axes.get_position(), axes.figure
    assert figure is not None
    bar = figure.add_axes(
        (place.x1 + 0.012, place.y1 - 0.9 * place.height / len(coded), 0.012, 0.8 * place.height / len(coded))
    )
    figure.colorbar(drawn, cax=bar, ticks=[-1, 0, 1])
    bar.tick_params(labelsize=8)


def _in_words(one: Coded) -> str:
    codes = one.report.codes
    near, far = (f"{d:.1f}" if d is not None else "unknown" for d in (codes.within_distance, codes.between_distance))
    stored = "bits" if one.layout.arity is None else f"symbols {', '.join(map(str, range(one.layout.arity)))}"
    return (
        f"{one.name}: {', '.join(_numbers(one))}; {stored} are +1 in {codes.bit_balance.min():.2f} to "
        f"{codes.bit_balance.max():.2f} of the database; {near} {one.layout.unit} from its class, {far} from others"
    )
