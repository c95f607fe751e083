"""Ordinal codes drawn: one group's values, their ranking and what noise flips of it; the softmax that learns them.

The numbers are those of `ordinal_noise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from torch import Tensor

from cscelab.dsf import sign
from cscelab.figures.alt import rounded, sentences
from cscelab.figures.code_lesson import outlines
from cscelab.figures.mosaic import Mosaic
from cscelab.figures.ordinal_noise import (
    DRAWS,
    Drawn,
    Flips,
    drawn_flips,
    drawn_group,
    exact_flips,
    margin,
    mean_sign_flips,
    mean_symbol_flips,
    ranks,
)
from cscelab.figures.style import BLACK, BLUE, GREY, ORANGE, PALETTE, SKY, YELLOW, new_figure, styled, tint
from cscelab.layout import bits_of_symbol
from cscelab.ordinal import one_hot_codes, symbols_of

ARITIES = (2, 4, 8, 16)
WIDTH, HEIGHT = 9.8, 4.4  # inches, as what follows
LEFT, BARS = 0.8, 4.5  # of the bars: left edge and width
ROWS, ROWS_TOP, ROW = ("value", "rank", "one-hot", "sign", "wins, %"), 2.9, 0.26
MARKERS = "osD^"
GAPS = (0.1, 0.5, 2.0)
BETAS = np.geomspace(0.3, 60, 80)
NOISES = np.linspace(0, 2, 17)


@styled()
def ordinal_figure(
    values: Tensor | None = None, noise: float = 0.5, offset: float = 0.0, seed: int = 0, source: str = ""
) -> Figure:
    """One group of k values as bars, with ranks, symbol, one-hot code and signs; beside it, what noise flips of them.

    values: (k,) in units of their spread, k a power of two, `drawn_group()` by default; noise: standard deviation, and
    offset: added to all values, in the same units; seed: of the draws; source: of the values, in words.
    Raises ValueError as `exact_flips`.
    """
    values = drawn_group() if values is None else values
    source = source or "Drawn values, seed 0"
    moved = values + offset
    exact, drawn = exact_flips(moved, noise), drawn_flips(moved, noise, seed=seed)
    k, n = len(moved), bits_of_symbol(len(moved))
    symbol, ahead, second = int(symbols_of(moved[None], k)), float(margin(moved)), ranks(moved).tolist().index(2)
    sheet = Mosaic(WIDTH, HEIGHT)
    sheet.text(0.12, 0.12, f"{source}: the largest of {k} is value {symbol}, by {ahead:.2f}", 11, weight="bold")
    _bars(sheet, moved, noise)
    _rows(sheet, moved, drawn.wins)
    _chances(sheet, k, exact, drawn)
    bits = "one of these signs" if n == 1 else f"any of {n} of the {k} signs"
    sheet.figure.alt = sentences([  # type: ignore[attr-defined]
        f"{source}, offset {offset:g}, noise {noise:g}: {', '.join(f'{value:.2f}' for value in moved.tolist())}",
        f"The symbol is {symbol}, {ahead:.2f} ahead of the runner-up, value {second}",
        f"Noise changes the symbol with probability {exact.symbol:.3f}, drawn {drawn.flips.symbol:.3f}; flips a sign "
        f"with that margin with {exact.margin:.3f}; {bits} with {exact.same_bits:.3f}; any of all {k} with "
        f"{exact.any_sign:.3f}",
    ])  # fmt: skip
    return sheet.figure


def _place(left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
    """Inches from the top left corner as matplotlib's shares of the figure."""
    return left / WIDTH, 1 - (top + height) / HEIGHT, width / WIDTH, height / HEIGHT


def _bars(sheet: Mosaic, values: Tensor, noise: float) -> None:
    """The values, the largest and the runner-up marked, with the noise around each."""
    places, heights, order = np.arange(len(values)), values.numpy(), ranks(values).tolist()
    colours = [BLUE if rank == 1 else ORANGE if rank == 2 else tint(SKY, 0.5) for rank in order]
    axes = sheet.figure.add_axes(_place(LEFT, 0.65, BARS, 2.15))
    bars = axes.bar(places, heights, color=colours, width=0.62, gid="values")
    for rank, hatch in ((1, "///"), (2, "..")):
        bars[order.index(rank)].set_hatch(hatch)
    if noise:
        axes.errorbar(places, heights, noise, fmt="none", ecolor=BLACK, elinewidth=1, capsize=3)
    axes.axhline(0, color=BLACK, lw=1)
    axes.hlines([heights[order.index(rank)] for rank in (1, 2)], -0.5, len(values) - 0.5, color=GREY, lw=0.9, ls=":")
    reach = 1.1 * max(1.0, float(np.abs(heights).max()) + noise)
    axes.set(xlim=(-0.5, len(values) - 0.5), ylim=(-reach, reach), xticks=[])
    axes.set_ylabel("value (units of the spread)", size=9)
    axes.grid(visible=False, axis="x")
    key = "stripes: largest; dots: runner-up; lines: their heights; whiskers: ± noise"
    axes.set_title(key, size=8.5, weight="normal", color=GREY, pad=4)


def _rows(sheet: Mosaic, values: Tensor, wins: np.ndarray) -> None:
    """Below each bar its number, rank, one-hot bit, sign and how often it was the largest."""
    k = len(values)
    code = one_hot_codes(symbols_of(values[None], k), k)[0].numpy()
    signs = sign(values).numpy()
    step = BARS / k
    for row, shades in ((2, code), (3, signs)):
        top = ROWS_TOP + row * ROW
        colours = ListedColormap([tint(ORANGE, 0.25), tint(BLUE, 0.3)])
        sheet.axes.imshow(shades[None], cmap=colours, vmin=-1, vmax=1, aspect="auto", gid=ROWS[row],
                          extent=(LEFT, LEFT + BARS, top + ROW, top))  # fmt: skip
    texts = [
        [str(place) for place in range(k)],
        [str(rank) for rank in ranks(values).tolist()],
        ["1" if bit > 0 else "0" for bit in code],
        ["+" if one > 0 else "−" for one in signs],
        [f"{100 * share:.0f}" for share in wins],
    ]
    words = [
        (text, LEFT + (place + 0.5) * step, ROWS_TOP + (row + 0.5) * ROW)
        for row, line in enumerate(texts)
        for place, text in enumerate(line)
    ]
    # One artist for all of them, not one a word: a slider redraws this.
    sheet.axes.add_artist(PathPatch(outlines(words, 9 if k <= 8 else 8), fc=BLACK, lw=0, zorder=6, gid="rows"))
    for row, name in enumerate(ROWS):
        sheet.text(LEFT - 0.1, ROWS_TOP + (row + 0.5) * ROW, name, 8.5, ha="right", va="center")


def _chances(sheet: Mosaic, k: int, exact: Flips, drawn: Drawn) -> None:
    """Bars of the exact chances, a ring for what the draws did."""
    n = bits_of_symbol(k)
    same_bits = (
        f"any of {n} of these signs:\nas many bits as the symbol"
        if n > 1
        else "one of these signs:\none bit, as the symbol"
    )
    names = [
        f"the symbol:\nthe largest of {k}",
        "one sign, as far from 0\nas the margin",
        same_bits,
        f"any of all {k} signs",
    ]
    axes, rows = sheet.figure.add_axes(_place(7.3, 0.65, 1.75, 2.9)), np.arange(len(names))
    axes.barh(rows, exact, color=[BLUE, ORANGE, ORANGE, ORANGE], hatch=["///", "", "", ""], height=0.5, gid="exact")
    axes.plot(drawn.flips, rows, "o", color=BLACK, mfc="white", ms=7, mew=1.5, clip_on=False, zorder=5, gid="drawn")
    for row, chance in enumerate(exact):
        axes.text(1.09, row, f"{chance:.3f}", size=9, va="center", weight="bold" if row == 0 else "normal")
    axes.set_yticks(rows, names, size=9)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xlabel="chance that noise flips it")
    axes.grid(visible=False, axis="y")
    sheet.text(7.3, 4.13, f"bar: exact; ring: {DRAWS:,} draws", 8.5, color=GREY)


@styled()
def relaxation_figure(
    values: Sequence[float] = (0.6, 0.4, -0.2, -0.8), schedule: tuple[float, float] = (1, 10)
) -> Figure:
    """Softmax(beta h) of one group as beta rises; the slope of the larger of two values' share for several gaps.

    schedule: beta of the first and the last epoch, shaded.
    """
    h, betas = torch.tensor(values, dtype=torch.float64), torch.from_numpy(BETAS)
    shares = (betas[:, None] * h).softmax(dim=1).numpy()
    figure = new_figure(10, 3.9, layout="constrained")
    left, right = figure.subplots(1, 2)
    for place, share in enumerate(shares.T):
        left.plot(BETAS, share, marker=MARKERS[place % 4], markevery=13, ms=5, label=f"h = {rounded(values[place])}")
    left.set(title="The share of each value", ylabel="softmax(β h)", ylim=(-0.02, 1.02))
    said = []
    for index, gap in enumerate(GAPS):
        share = 1 / (1 + np.exp(-BETAS * gap))
        slope = BETAS * share * (1 - share)
        look: dict[str, Any] = {"ls": ("-", "--", "-.")[index], "marker": MARKERS[index], "color": PALETTE[index]}
        right.plot(BETAS, slope, markevery=13, ms=5, label=f"gap {gap:g}", **look)
        top = int(slope.argmax())
        at = "and still rises" if top == len(BETAS) - 1 else f"largest at β = {rounded(float(BETAS[top]))}"
        said.append(f"gap {gap:g}: slope {', '.join(rounded(slope_at(beta, gap)) for beta in schedule)}, {at}")
    right.set(title="The slope left for learning, of two values", ylabel="d share / d value = β p (1 − p)")
    for axes in (left, right):
        _beta_axis(axes, schedule)
    ends = [f"{', '.join(f'{p:.2f}' for p in shares_at(values, beta))} at beta {beta:g}" for beta in schedule]
    figure.alt = sentences([  # type: ignore[attr-defined]
        f"Softmax(beta h) of the values {', '.join(f'{value:g}' for value in values)}: {'; '.join(ends)}",
        "Slope of the larger of two values' share at these: " + "; ".join(said),
    ])  # fmt: skip
    return figure


def shares_at(values: Sequence[float], beta: float) -> list[float]:
    """Softmax(beta h) of one group."""
    return [float(share) for share in (beta * torch.tensor(values, dtype=torch.float64)).softmax(dim=0)]


def slope_at(beta: float, gap: float) -> float:
    """By how much the share of the larger of two values rises with it: beta p (1 - p)."""
    share = shares_at((gap, 0.0), beta)[0]
    return beta * share * (1 - share)


def _beta_axis(axes: Axes, schedule: tuple[float, float]) -> None:
    axes.axvspan(*schedule, color=tint(YELLOW, 0.35), zorder=0, label="schedule")
    axes.set(xlabel="β (logarithmic)", xscale="log")
    axes.set_xticks([0.3, 1, 3, 10, 30], ["0.3", "1", "3", "10", "30"])
    axes.minorticks_off()
    axes.legend(loc="best")


@styled()
def noise_figure(arities: Sequence[int] = ARITIES, noises: np.ndarray = NOISES) -> Figure:
    """Chance that noise changes a symbol of k, and any of the log2(k) signs that tell as much, over the noise.

    Means over all groups of standard normal values, with nothing drawn; noises: 0, or at least `LEAST_NOISE`.
    """
    figure = new_figure(9, 4.2, layout="constrained")
    axes = figure.subplots()
    said = []
    half = int(np.abs(noises - 0.5).argmin())
    for index, arity in enumerate(arities):
        n = bits_of_symbol(arity)
        symbol = [mean_symbol_flips(arity, noise) for noise in noises]
        signs = [mean_sign_flips(n, noise) for noise in noises]
        look: dict[str, Any] = {
            "color": PALETTE[index % len(PALETTE)],
            "marker": MARKERS[index % 4],
            "ms": 5,
            "markevery": 4,
        }
        axes.plot(noises, symbol, label=f"a symbol of {arity}", **look)
        axes.plot(noises, signs, ls="--", mfc="white", label="1 sign" if n == 1 else f"any of {n} signs", **look)
        said.append(
            f"k = {arity}: symbol {symbol[half]:.3f}, {'1 sign' if n == 1 else f'any of {n} signs'} {signs[half]:.3f}"
        )
    axes.set(
        title="What noise flips, at equal bits",
        xlabel="noise (standard deviation, in units of the values' spread)",
        ylabel="chance that it changes",
        xlim=(0, float(noises[-1])),
        ylim=(0, 1),
    )
    figure.legend(loc="outside right center", title="solid: symbol\ndashed: signs")
    figure.alt = sentences([  # type: ignore[attr-defined]
        f"Chance that noise changes a symbol, and any of the signs that tell as many bits, at noise {noises[half]:g}: "
        + "; ".join(said),
    ])  # fmt: skip
    return figure
