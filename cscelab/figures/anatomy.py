"""Pictures of single parts of the network: what dilated kernels see on a small map, and where attention lies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cscelab.figures.dissection import Dissection
from cscelab.figures.mosaic import Mosaic
from cscelab.figures.provenance import stamp
from cscelab.figures.style import BLACK, BLUE, GREY, styled, tint

SIDE, GAP, MARGIN, HEAD = 2.3, 0.35, 0.15, 0.8  # inches
MAP, ON_MAP, OFF_MAP = tint(BLUE, 0.2), (0.0, 0.0, 0.0), tint(GREY, 0.3)  # colours of places


def taps_inside(rate: int, side: int) -> np.ndarray:
    """How many of a 3 x 3 kernel's nine taps, `rate` apart, lie on a side x side map, by the place of its center."""
    if rate < 1 or side < 1:
        raise ValueError(f"rate {rate} on a map of side {side} was asked for; both are at least 1")
    places = np.arange(side)
    along = sum(((places + step >= 0) & (places + step < side)).astype(int) for step in (-rate, 0, rate))
    return np.outer(along, along)


@styled()
def fields_figure(rates: Sequence[int], side: int) -> Figure:
    """The taps of a 3 x 3 kernel at each rate around the middle of a side x side map, as cells; those outside, crossed
    out, see only zeros. Each rate has a scale of its own."""
    sheet = Mosaic(2 * MARGIN + len(rates) * (SIDE + GAP), HEAD + SIDE + 0.45)
    sheet.text(
        MARGIN,
        0.12,
        f"3×3 kernels on a map of {side}×{side} places, about its middle, each drawn to fit",
        12,
        weight="bold",
    )
    middle, alt = side // 2, []
    for index, rate in enumerate(rates):
        x, y = MARGIN + index * (SIDE + GAP), HEAD
        inside, mean = taps_inside(rate, side)[middle, middle], taps_inside(rate, side).mean()
        sheet.text(x, y - 0.08, f"rate {rate}: {2 * rate + 1}×{2 * rate + 1} places", 10, va="bottom", weight="bold")
        words = f"{inside} of 9 taps on the map here,\n{mean:.1f} on average over its places"
        sheet.text(x, y + SIDE + 0.05, words, 9)
        steps = middle + np.array([-rate, 0, rate])
        first = min(0, steps[0])
        n = max(side - 1, steps[-1]) - first + 1  # cells drawn, from the first to the last
        cell, grid = SIDE / n, np.ones((n, n, 3))
        grid[-first : side - first, -first : side - first] = MAP
        rows, columns = (part.ravel() for part in np.meshgrid(steps, steps, indexing="ij"))
        on_map = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
        grid[rows - first, columns - first] = np.where(on_map[:, None], ON_MAP, OFF_MAP)
        sheet.picture(x, y, SIDE, grid, interpolation="nearest")
        edges = [side_of - first * cell for side_of in (x, y)]
        lines = np.arange(side + 1) * cell
        sheet.axes.vlines(edges[0] + lines, edges[1], edges[1] + lines[-1], color="white", lw=0.5)
        sheet.axes.hlines(edges[1] + lines, edges[0], edges[0] + lines[-1], color="white", lw=0.5)
        right = edges[0] + lines[-1]
        sheet.axes.plot([edges[0], right, right, edges[0], edges[0]], _corners(edges[1], lines[-1]), color=BLUE, lw=1.4)
        at = x + (columns[~on_map] - first + 0.5) * cell, y + (rows[~on_map] - first + 0.5) * cell
        sheet.axes.plot(*at, ls="", marker="x", color=BLACK, ms=45 * cell, mew=1.0)
        alt.append(f"rate {rate}: {inside} of 9 taps on the map at its middle, {mean:.1f} on average")
    sheet.figure.alt = f"3×3 kernels on a {side}×{side} map. {'; '.join(alt)}."  # type: ignore[attr-defined]
    return sheet.figure


@styled()
def attention_figure(dissection: Dissection) -> Figure:
    """The image, the weight of each place, and the length of f_l there, weight times feature."""
    length = np.linalg.norm(dissection.local, axis=0)
    sheet = Mosaic(2 * MARGIN + 3 * (SIDE + GAP), HEAD + SIDE + 0.15)
    sheet.text(MARGIN, 0.12, "Self-attention: one weight for each place", 12, weight="bold")
    maps = (("attention", dissection.attention), ("length of f_l", length))
    sheet.text(MARGIN, HEAD - 0.08, "image", 10, va="bottom", weight="bold")
    sheet.picture(MARGIN, HEAD, SIDE, dissection.image)
    alt = []
    for index, (name, values) in enumerate(maps, start=1):
        x, words = MARGIN + index * (SIDE + GAP), f"{values.min():.2f} (dark) to {values.max():.2f}"
        sheet.text(x, HEAD - 0.08, f"{name}: {words}", 10, va="bottom", weight="bold")
        sheet.picture(x, HEAD, SIDE, values, cmap="cividis", vmin=0)
        alt.append(f"{name} {words}")
    sheet.figure.alt = f"An image and maps over its places: {', '.join(alt)}."  # type: ignore[attr-defined]
    if dissection.smoke:
        stamp(sheet.figure)
    return sheet.figure


def _corners(top: float, side: float) -> list[float]:
    return [top, top, top + side, top + side, top]
