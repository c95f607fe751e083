"""Two attention maps slid apart: what ExchNet's spatial constraint (Sec. 3.2) says of them, and where it stops pulling.

The maps are bumps, so that distance, width and height are numbers to choose; losses and distances are those of training
(`cscelab.diversity`). A place's logit is the mean over channels of a part's refined feature; the paper prints the sum,
whose logits are as many times larger as there are channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from cscelab.diversity import EPSILON, map_overlap, part_distances, spatial_loss
from cscelab.figures.alt import rounded, sentences
from cscelab.figures.exchange_lesson import exchange_lesson_figure as exchange_lesson_figure
from cscelab.figures.style import BLACK, BLUE, GREEN, GREY, RIGHT_MARK, VERMILION, WRONG_MARK, new_figure, styled

SIDE = 14  # cells of a map, as on stage 3
CHANNELS = 128  # of the tiny trunk's stage 4: how many times larger the sum's logits are
OVER = ("mean", "sum")
FARTHEST = 12.0  # cells between the centres
APART = np.linspace(0, FARTHEST, 97)
LOOKS: Mapping[str, Mapping[str, Any]] = {
    "mean": {"color": BLUE, "ls": "-", "marker": "o"},
    "sum": {"color": VERMILION, "ls": "--", "marker": "s"},
}
NEAR = np.geomspace(1, 1e-5, 26)  # cells
COINCIDE = 2e-6  # where distance 0 stands on a logarithmic axis


@styled()
def constraint_figure(apart: float = 4.0, width: float = 1.5, sharpness: float = 6.0, over: str = "mean") -> Figure:
    """Two maps and what they share; L_sp over their distance for the channel mean and the sum, the present one marked.

    Arguments as `two_maps`; over: "mean" or "sum" of the channels as the maps' logits. Raises ValueError for another.
    """
    found = measured(apart, width, sharpness, over)
    pulls = {name: signed(-pull_of(apart, width, sharpness, name)) for name in OVER}
    words = f"{apart:g} cells apart, logits = channel {over}"
    figure = new_figure(10, 4.0)
    figure.text(0.012, 0.955, words, size=11, weight="bold", va="top")
    _maps(figure, found.shares, centres(apart))
    rows = (
        f"Hellinger distance {found.distance:.3f}     L_sp = 1 − distance = {found.loss:.3f}",
        f"share of the maps in common {found.overlap:.3f}",
        f"slope: L_sp changes by {pulls['mean']} a cell (mean), {pulls['sum']} (sum)",
    )
    figure.text(0.012, 0.3, "\n".join(rows), size=10, va="top", linespacing=1.6)
    chart = figure.add_axes((0.592, 0.15, 0.395, 0.73))
    losses = {name: loss_curve(width, sharpness, name) for name in OVER}
    for name, label in (("mean", "channel mean (ours)"), ("sum", f"channel sum (as printed), {CHANNELS} channels")):
        look = {**LOOKS[name], "lw": 2.4 if name == over else 1.3, "markevery": 8, "ms": 4}
        chart.plot(APART, losses[name], label=label, **look)
    mark = {"marker": LOOKS[over]["marker"], "color": LOOKS[over]["color"], "mec": BLACK, "ms": 11, "zorder": 5}
    chart.plot([apart], [found.loss], ls="", clip_on=False, **mark)
    chart.set(
        title="The spatial loss over the distance",
        xlabel="centres apart (cells)",
        ylabel="L_sp (0: disjoint, 1: equal)",
        xlim=(0, FARTHEST),
        ylim=(0, 1.02),
    )
    chart.legend(loc="upper right")
    courses = [f"channel {name} " + ", ".join(f"{c[i]:.2f}" for i in (0, 8, 32, 96)) for name, c in losses.items()]
    figure.alt = sentences([  # type: ignore[attr-defined]
        f"Two maps {words}, {width:g} cells wide, sharpness {sharpness:g}",
        f"Hellinger distance {found.distance:.3f}, L_sp {found.loss:.3f}, share in common {found.overlap:.3f}",
        f"L_sp changes by {pulls[over]} a cell there",
        f"L_sp at 0, 1, 4 and 12 cells: {'; '.join(courses)}",
    ])  # fmt: skip
    return figure


def _maps(figure: Figure, shares: np.ndarray, columns: tuple[float, float]) -> None:
    """Both maps (2, side, side) and the smaller of the two at each place, one scale of roots for all three."""
    first, second = shares
    panels = {"map 1": first, "map 2": second, "in common: the smaller": np.minimum(first, second)}
    for index, (name, share) in enumerate(panels.items()):
        axes = figure.add_axes((0.012 + 0.168 * index, 0.39, 0.16, 0.4))
        axes.imshow(np.sqrt(share), cmap="viridis", vmin=0, vmax=np.sqrt(shares.max()), interpolation="nearest")
        axes.set_title(f"{name}\n{share.sum():.2f} in all", size=8.5, weight="normal")
        axes.axis("off")
        for number, at in enumerate(columns, start=1):
            if index in (number - 1, 2):
                axes.axvline(at, 0.5 + 2 / SIDE, 1, color="white", lw=0.8, ls=":")
                side = "right" if number == 1 else "left"
                axes.text(at, 0.1, f" {number} ", color="white", size=10, weight="bold", ha=side, va="center")
    figure.text(0.012, 0.365, "colour: root of a place's share, light is more", size=8.5, va="top", color=GREY)


class Measured(NamedTuple):
    """Of two maps: their shares of the places (2, side, side), each of sum 1, and what is said of these."""

    shares: np.ndarray
    distance: float  # Hellinger's, in [0, 1]
    loss: float  # L_sp
    overlap: float  # sum of the smaller of the two


def centres(apart: float) -> tuple[float, float]:
    """Columns of the two centres, around the middle of the map."""
    middle = (SIDE - 1) / 2
    return middle - apart / 2, middle + apart / 2


def two_maps(apart: float = 4.0, width: float = 1.5, side: int = SIDE, sharpness: float = 6.0) -> Tensor:
    """Logits (1, 2, side, side), float64, of two bumps in the middle row whose centres lie `apart` cells apart.

    width: standard deviation of a bump in cells; sharpness: its height over a ground of 0. Raises ValueError for a
    distance or sharpness below 0, or a width that is not positive.
    """
    if apart < 0 or sharpness < 0 or width <= 0:
        raise ValueError(
            f"maps {apart:g} cells apart, {width:g} wide, of sharpness {sharpness:g} were asked for; give a distance "
            "and a sharpness of at least 0 and a width above 0"
        )
    return bumps(torch.tensor([apart], dtype=torch.float64), width, sharpness, side)


def bumps(apart: Tensor, width: float, sharpness: float, side: int = SIDE) -> Tensor:
    """`two_maps` for each of some distances (N,): (N, 2, side, side)."""
    middle = (side - 1) / 2
    cells = torch.arange(side, dtype=apart.dtype) - middle
    columns = cells + torch.stack([apart, -apart], dim=1).unsqueeze(2) / 2  # from each centre, (N, 2, side)
    squared = columns.square().unsqueeze(2) + cells.square()[:, None]
    return sharpness * torch.exp(-squared / (2 * width**2))


def logits_over(channels: str, responses: Tensor) -> Tensor:
    """What the softmax over places takes: channel means as they are, or the sum of CHANNELS channels with that mean."""
    if channels not in OVER:
        raise ValueError(f"unknown channel {channels!r}; choose from {OVER}")
    return responses * (CHANNELS if channels == "sum" else 1)


def measured(apart: float, width: float, sharpness: float, over: str = "mean") -> Measured:
    """Distance, loss and overlap of the two maps of `two_maps`."""
    logits = logits_over(over, two_maps(apart, width, sharpness=sharpness))
    shares = logits.flatten(2).softmax(dim=2).view_as(logits)
    distance, loss, overlap = part_distances(logits.flatten(2)), spatial_loss(logits), map_overlap(shares)
    return Measured(shares[0].numpy(), float(distance), max(0.0, float(loss)), float(overlap))  # epsilon may pass 1


def pull_of(apart: float, width: float, sharpness: float, over: str = "mean") -> float:
    """By how much L_sp falls for each cell that the maps slide further apart (its negative derivative)."""
    distance = torch.tensor([apart], dtype=torch.float64, requires_grad=True)
    loss = spatial_loss(logits_over(over, bumps(distance, width, sharpness)))
    (slope,) = torch.autograd.grad(loss, distance)
    return -float(slope)


@lru_cache(maxsize=64)
def loss_curve(width: float, sharpness: float, over: str) -> np.ndarray:
    """L_sp at each of APART, kept: sliding the maps leaves the curve as it was."""
    logits = logits_over(over, bumps(torch.from_numpy(APART), width, sharpness))
    return (1 - part_distances(logits.flatten(2))[:, 0]).clamp_min(0).numpy()  # epsilon may pass 1


def signed(value: float) -> str:
    """A number in three figures with its sign; "0" where nothing is left of it."""
    return "0" if abs(value) < 1e-12 else f"{'+' if value > 0 else ''}{rounded(value)}"


def _bare(roots: Tensor) -> Tensor:
    return ((roots[:, 0] - roots[:, 1]).square().sum(dim=1) / 2).sqrt()


# Where epsilon stands -> distance of two parts from their logits (B, 2, n).
PLACES: dict[str, Callable[[Tensor], Tensor]] = {
    "no ε": lambda logits: _bare(logits.softmax(dim=2).sqrt()),
    "ε inside each root": lambda logits: _bare((logits.softmax(dim=2) + EPSILON).sqrt()),
    "ε inside the norm (ours)": lambda logits: part_distances(logits)[:, 0],
}


def gradient_size(distance: Callable[[Tensor], Tensor], apart: float, width: float, sharpness: float) -> float:
    """Length of the gradient of a distance of parts with respect to the logits of both maps; nan where it is none."""
    logits = two_maps(apart, width, sharpness=sharpness).flatten(2).requires_grad_()
    (gradient,) = torch.autograd.grad(distance(logits).sum(), logits)
    return float(gradient.norm())


@styled()
def coincidence_figure(width: float = 1.5, sharpness: float = 6.0) -> Figure:
    """Length of the gradient while two maps become one, for three places of epsilon; at 0, what is left of it."""
    figure = new_figure(9, 3.8, layout="constrained")
    axes = figure.subplots()
    looks = ((VERMILION, "--", "s"), (GREEN, ":", "^"), (BLUE, "-", "o"))
    said = []
    for (name, distance), (colour, line, marker) in zip(PLACES.items(), looks, strict=True):
        *sizes, last = (gradient_size(distance, apart, width, sharpness) for apart in (*NEAR, 0.0))
        verdict = f"at 0: {last:.2g} {RIGHT_MARK}" if np.isfinite(last) else f"at 0: not a number {WRONG_MARK}"
        look: dict[str, Any] = {"color": colour, "ls": line, "marker": marker, "ms": 5, "markevery": 5}
        axes.plot(NEAR, sizes, label=f"{name}; {verdict}", lw=3.2 if line == ":" else 1.8, **look)
        if np.isnan(last):
            axes.text(COINCIDE, sizes[-1], f"{WRONG_MARK} nan", ha="center", va="center", weight="bold")
        else:
            axes.plot([COINCIDE], [last], color=colour, marker=marker, ms=9, clip_on=False)
        said.append(f"{name}: {rounded(sizes[0])} at 1 cell, {rounded(sizes[-1])} at 0.00001, {verdict[:-2]}")
    axes.axvline(COINCIDE * 2.2, color=GREY, lw=0.8, ls=":")
    axes.set(
        title="The gradient as two maps become one",
        xlabel="centres apart (cells, logarithmic; far left: exactly 0)",
        ylabel="length of the gradient",
        xscale="log",
    )
    axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
    axes.set_xticks([COINCIDE, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1], ["0", "0.00001", "0.0001", "0.001", "0.01", "0.1", "1"])
    axes.minorticks_off()
    axes.legend(loc="center right")
    figure.alt = sentences(["Length of the gradient of the Hellinger distance as two maps become one", *said])  # type: ignore[attr-defined]
    return figure
