"""A species becomes coloured polygons: legs, tail, body, breast, head, beak and wing, from back to front."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from cscelab.datasets.silhouettes import SHAPES, Point, Silhouette, smooth
from cscelab.datasets.species import COLOURS, LEAST_CONTRAST, Colour, Species, contrast

RING = np.linspace(0, 2 * np.pi, 20, endpoint=False)
CIRCLE = np.stack([np.cos(RING), np.sin(RING)], 1)
LEG_COLOUR = (142, 104, 62)

# The wing in its own frame: u from shoulder (0) to tip (1), v across, in wing widths; upper and lower edge.
UPPER_EDGE = ((0, 0.03, 0.08, 0.16, 0.28, 0.42, 0.6, 0.85, 1), (0, -0.24, -0.37, -0.46, -0.5, -0.47, -0.37, -0.16, 0))
LOWER_EDGE = ((0, 0.03, 0.08, 0.16, 0.28, 0.42, 0.6, 0.85, 1), (0, 0.26, 0.39, 0.47, 0.5, 0.48, 0.40, 0.18, 0))

# Marks of the head in head radii from its centre, the bird facing right.
CREST_X = (0.75, 0.30, 0.10, -0.35, -0.42, -1.05, -0.92, 0.0)
CREST_Y = (-0.62, -1.55, -1.12, -1.75, -1.12, -1.50, -0.45, -0.6)
CREST = np.stack([CREST_X, CREST_Y], 1)


@dataclass(frozen=True)
class Bird:
    """A bird as polygons: points (P, 2), polygon i being points[starts[i] : starts[i + 1]] painted colours[i]."""

    points: np.ndarray
    starts: tuple[int, ...]
    colours: np.ndarray  # float (n_polygons, 3)
    solid: tuple[bool, ...]  # whether the polygon is part of the silhouette, and so of the mask
    feet: np.ndarray  # (2,)


class _Plumage:
    """Collects polygons from back to front."""

    def __init__(self) -> None:
        self.polygons: list[np.ndarray] = []
        self.colours: list[Colour] = []
        self.solid: list[bool] = []

    def add(self, points: ArrayLike, colour: Colour, solid: bool = False) -> None:
        self.polygons.append(np.asarray(points, dtype=float))
        self.colours.append(colour)
        self.solid.append(solid)

    def disc(self, centre: Point, radius: float, colour: Colour, solid: bool = False) -> None:
        self.add(np.asarray(centre) + radius * CIRCLE, colour, solid)


@cache
def compose(species: Species) -> Bird:
    """The polygons of a species, painter's order, in body units. Cached: a species is composed once a process."""
    shape, plumage = SHAPES[species.silhouette], _Plumage()
    _legs(plumage, shape)
    _tail(plumage, shape, species)
    plumage.add(smooth(shape.outline), species.body_colour, solid=True)
    _breast(plumage, shape, species)
    two_eyes = len(shape.eyes) == 2  # an owl faces us, its beak before its face
    for part in (_head, _beak) if two_eyes else (_beak, _head):
        part(plumage, shape, species)
    _wing(plumage, shape, species)
    lengths = [len(polygon) for polygon in plumage.polygons]
    hips = np.mean(shape.hips, axis=0)
    return Bird(
        points=np.concatenate(plumage.polygons),
        starts=tuple(int(s) for s in np.cumsum([0, *lengths])),
        colours=np.array(plumage.colours, dtype=float),
        solid=tuple(plumage.solid),
        feet=hips + np.array([0.02, shape.leg_length]),
    )


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made darker (below one) or lighter (above one)."""
    if factor <= 1:
        red, green, blue = (int(c * factor) for c in colour)
    else:
        red, green, blue = (int(255 - (255 - c) * (2 - factor)) for c in colour)
    return red, green, blue


def _frame(points: ArrayLike, origin: Point, axis: ArrayLike, width: float) -> np.ndarray:
    """Points (u, v) of a part's own frame in body units: u along `axis`, v across it in `width`s."""
    uv, along = np.asarray(points, dtype=float), np.asarray(axis)
    across = np.array([along[1], -along[0]]) / np.linalg.norm(along) * width
    return np.asarray(origin) + uv[:, :1] * along + uv[:, 1:] * across


def _legs(plumage: _Plumage, shape: Silhouette) -> None:
    half = 0.028
    for x, y in shape.hips:
        foot = y + shape.leg_length
        plumage.add([(x - half, y), (x + half, y), (x + half, foot), (x - half, foot)], LEG_COLOUR, solid=True)
        toes = [
            (x - 0.07, foot + 0.02),
            (x, foot - 0.05),
            (x + 0.17, foot + 0.02),
            (x + 0.15, foot + 0.06),
            (x - 0.06, foot + 0.06),
        ]
        plumage.add(toes, LEG_COLOUR, solid=True)


def _tail(plumage: _Plumage, shape: Silhouette, species: Species) -> None:
    root, axis, width = shape.tail, shape.tail_direction, shape.tail_width
    outline = {
        "long": [(-0.2, -0.45), (1.9, -0.34), (2.0, 0.0), (1.9, 0.34), (-0.2, 0.45)],
        "forked": [(-0.2, -0.5), (1.55, -1.05), (0.75, 0.0), (1.55, 1.05), (-0.2, 0.5)],
        "fanned": [(-0.2, -0.45), (0.85, -1.45), (1.12, -0.9), (1.22, 0.0), (1.12, 0.9), (0.85, 1.45), (-0.2, 0.45)],
    }.get(species.tail, [(-0.2, -0.5), (0.95, -0.6), (1.0, 0.0), (0.95, 0.6), (-0.2, 0.5)])
    colour = shade(species.wing_rgb, 0.82)
    plumage.add(_frame(outline, root, axis, width), colour, solid=True)
    for v in (-0.3, 0.3):  # feathers
        reach = {"long": 1.8, "forked": 1.0, "fanned": 1.05}.get(species.tail, 0.9)
        spread = 2.6 if species.tail == "fanned" else 1.2
        feather = [(0.1, v - 0.05), (reach, v * spread), (0.1, v + 0.05)]
        plumage.add(_frame(feather, root, axis, width), shade(colour, 0.7))
    if species.tail == "white-tipped":
        tip = [(0.62, -0.575), (0.95, -0.6), (1.0, 0.0), (0.95, 0.6), (0.62, 0.575)]
        plumage.add(_frame(tip, root, axis, width), COLOURS["white"])


def _breast(plumage: _Plumage, shape: Silhouette, species: Species) -> None:
    belly = smooth(shape.belly)
    plumage.add(belly, COLOURS.get(species.breast, species.belly_colour))
    dark = shade(species.body_colour, 0.35)
    # The belly's points run down the front (first four controls) and back up along the inside (last three).
    front, inner = np.array(shape.belly[:5]), np.array(shape.belly[:1] + shape.belly[-1:-5:-1])
    if species.breast == "speckled":
        for row, share in enumerate((0.22, 0.5, 0.78)):
            line = front + share * (inner - front)
            for t in np.arange(0.5 + 0.25 * (row % 2), 3.9, 0.62):
                along = line[int(t)] + (t % 1) * (line[min(int(t) + 1, 4)] - line[int(t)])
                plumage.add(along + CIRCLE[::2] * (0.038, 0.052), dark)
    if species.breast == "banded":
        edge = [_along(front, t) for t in (0.35, 0.7, 1.1)]
        back = [_along(inner, t) for t in (1.35, 0.75)]
        plumage.add(np.array(edge + back), dark)


def _along(line: np.ndarray, t: float) -> np.ndarray:
    """The point a whole and a fraction of steps along a polyline (n, 2)."""
    i = min(int(t), len(line) - 2)
    return np.asarray(line[i] + (t - i) * (line[i + 1] - line[i]))


def _beak(plumage: _Plumage, shape: Silhouette, species: Species) -> None:
    heavy = species.beak == "heavy"
    colour = COLOURS["dark"] if heavy else COLOURS[species.beak]
    axis = np.asarray(shape.beak_direction) * (1.12 if heavy else 1.0)
    width = shape.beak_width * (1.75 if heavy else 1.0)
    if shape.hooked:
        upper = [(-0.2, -0.5), (-0.2, 0.5), (0.5, 0.48), (0.95, 0.1), (1.3, -0.35), (0.8, -0.4), (0.4, -0.45)]
    else:
        upper = [(-0.25, -0.5), (-0.25, 0.5), (0.35, 0.36), (1.0, -0.02), (0.35, -0.34)]
    plumage.add(_frame(upper, shape.beak, axis, width), colour, solid=True)
    gape = [(-0.2, -0.06), (0.85, -0.07), (-0.2, -0.16)]
    plumage.add(_frame(gape, shape.beak, axis, width), shade(colour, 0.6))


def _head(plumage: _Plumage, shape: Silhouette, species: Species) -> None:
    (x, y), r = shape.head, shape.head_radius
    head = np.array([x, y])
    colour_name, _, kind = species.crown.partition(" ")
    colour = COLOURS.get(colour_name, species.body_colour)
    if kind == "crest":
        plumage.add(head + r * CREST, colour, solid=True)
    plumage.disc(shape.head, r, species.body_colour, solid=True)
    if species.silhouette == "owl":
        for ex, ey in shape.eyes:
            plumage.disc((ex, ey + 0.02), 0.2, species.belly_colour)
    if kind in ("cap", "crest"):
        start, end = (np.radians(a) for a in ((188, 352) if kind == "cap" else (205, 335)))
        arc = np.linspace(start, end, 12)
        plumage.add(head + r * 1.02 * np.stack([np.cos(arc), np.sin(arc)], 1), colour, solid=True)
    if kind == "brow":
        plumage.add(
            head + r * np.array([(0.95, -0.42), (0.30, -0.62), (-0.85, -0.30), (-0.80, -0.08), (0.30, -0.36)]), colour
        )
    if kind == "mask":
        plumage.add(
            head + r * np.array([(0.98, 0.0), (0.86, -0.42), (0.2, -0.44), (-0.92, -0.2), (-0.8, 0.14), (0.2, 0.16)]),
            colour,
        )
    for ex, ey in shape.eyes:
        e = shape.eye_radius
        plumage.disc((ex, ey), e * 1.35, (236, 226, 200) if kind != "mask" else (250, 246, 236))
        plumage.disc((ex, ey), e, (22, 18, 20))
        plumage.disc((ex + e * 0.3, ey - e * 0.35), e * 0.34, (255, 255, 255))


def _wing_band(u0: float, u1: float, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """The wing between u0 and u1, from share `low` to share `high` of the way between its edges (-1 upper, 1 lower)."""
    u = np.linspace(u0, u1, max(2, int(24 * (u1 - u0))))
    upper, lower = np.interp(u, *UPPER_EDGE), np.interp(u, *LOWER_EDGE)
    middle, half = (upper + lower) / 2, (lower - upper) / 2
    return np.concatenate([np.stack([u, middle + low * half], 1), np.stack([u, middle + high * half], 1)[::-1]])


def _wing(plumage: _Plumage, shape: Silhouette, species: Species) -> None:
    axis = np.subtract(shape.wing_tip, shape.shoulder)
    colour, pattern = species.wing_rgb, species.wing_pattern
    bright = sum(colour) > 3 * 150
    mark = COLOURS["black"] if bright else COLOURS["white"]

    def add(points: ArrayLike, fill: Colour, solid: bool = False) -> None:
        plumage.add(_frame(points, shape.shoulder, axis, shape.wing_width), fill, solid)

    add(_wing_band(0, 1), shade(colour, 0.55), solid=True)  # a dark rim sets the wing off the body
    add(_wing_band(0.03, 0.96, -0.9, 0.88), colour)
    add(_wing_band(0.04, 0.62, -0.86, 0.1), shade(colour, 1.16))  # coverts
    for low in (0.1, 0.42, 0.72):  # primaries
        add([(0.34, 0.46 * low), (0.93, 0.05 * low), (0.34, 0.46 * low + 0.05)], shade(colour, 0.66))
    if pattern == "barred":
        for u in (0.2, 0.42):
            add(_wing_band(u, u + 0.09, -0.9, 0.88), mark)
    if pattern == "tipped":
        dusky = contrast(colour, COLOURS["black"]) >= LEAST_CONTRAST
        add(_wing_band(0.62, 1.0, -0.98, 0.98), COLOURS["black" if dusky else "white"])
    if pattern == "patched":
        add(_wing_band(0.1, 0.36, -0.7, 0.55), mark)
    if pattern == "edged":
        add(_wing_band(0.06, 0.96, 0.5, 0.95), mark)
    if pattern == "spotted":
        for u, v in (
            (0.14, -0.2),
            (0.14, 0.18),
            (0.3, -0.3),
            (0.3, 0.02),
            (0.3, 0.3),
            (0.47, -0.2),
            (0.47, 0.16),
            (0.64, -0.1),
            (0.64, 0.16),
        ):
            x, y = _frame([(u, v)], shape.shoulder, axis, shape.wing_width)[0]
            plumage.disc((x, y), 0.055, mark)
