"""What is around a bird: clutter in the colours of the place or of birds, leaves, and what it stands on."""

from __future__ import annotations

import math

import numpy as np
from PIL import ImageDraw

from cscelab.datasets.scenery import BACKGROUNDS, brighten, ellipse, vary
from cscelab.datasets.species import PALETTES, Colour

BARK: tuple[Colour, ...] = ((92, 68, 50), (112, 88, 66), (74, 58, 48), (128, 112, 94))
PETALS: tuple[Colour, ...] = ((226, 92, 110), (240, 206, 90), (236, 232, 224), (160, 110, 190), (228, 130, 60))
CAMOUFLAGE = 0.55  # share of the clutter that wears the colours of birds, of no species in particular

LEAF_STEPS = 9  # points along one edge of a leaf
LEAF_U = np.concatenate([np.linspace(0, 1, LEAF_STEPS), np.linspace(1, 0, LEAF_STEPS)[1:-1]])
LEAF_V = 0.36 * np.sin(np.pi * LEAF_U**0.8) * np.repeat([1, -1], [LEAF_STEPS, LEAF_STEPS - 2])
LEAF = np.stack([LEAF_U - 0.5, LEAF_V], 1)
RING = np.linspace(0, 2 * np.pi, 14, endpoint=False)
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


def scatter(draw: ImageDraw.ImageDraw, side: int, count: int, kind: str, rng: np.random.Generator) -> None:
    """`count` sharp things in front of the background: leaves, twigs, fruit, flowers, grass and stones."""
    painters = (_leaf_spray, _twig, _fruit, _flower, _grass, _pebble)
    growth = BACKGROUNDS[kind][1]
    plumages = [colour for palette in PALETTES.values() for colour in palette]
    # As many numbers a shape whatever the count: more clutter adds to the same picture.
    for pick, x, y, size, angle, tone, hidden, shade in rng.random((count, 8)):
        colours = plumages if hidden < CAMOUFLAGE else growth
        colour = colours[int(tone * len(colours))]
        tinted = brighten(colour, 0.8 + 0.4 * shade)
        painter = painters[int(pick * len(painters))]
        painter(draw, x * side, y * side, (0.07 + 0.17 * size * size) * side, angle * 2 * np.pi, tinted, tone)


def leaf(
    draw: ImageDraw.ImageDraw,
    x: float,
    y: float,
    length: float,
    angle: float,
    colour: Colour,
    mask_value: int | None = None,
) -> None:
    """One leaf with a midrib; with a `mask_value` it is stamped on a mask instead."""
    cos, sin = length * math.cos(angle), length * math.sin(angle)
    outline = (LEAF @ np.array([[cos, sin], [-sin, cos]]) + (x, y)).tolist()
    points = [coordinate for point in outline for coordinate in point]
    if mask_value is not None:
        draw.polygon(points, fill=mask_value)
        return
    draw.polygon(points, fill=colour)
    draw.polygon(points[: 2 * LEAF_STEPS], fill=brighten(colour, 0.84))
    draw.line(
        points[:2] + points[2 * LEAF_STEPS - 2 : 2 * LEAF_STEPS],
        fill=brighten(colour, 0.62),
        width=max(1, int(length / 22)),
    )


def branch(
    draw: ImageDraw.ImageDraw, x: float, y: float, side: int, thickness: float, rng: np.random.Generator
) -> None:
    """A branch through (x, y) from edge to edge of the picture, for a bird to sit on."""
    slope, bend, tone = rng.uniform(-0.22, 0.22), rng.uniform(-0.08, 0.08), int(rng.integers(len(BARK)))
    xs = np.linspace(-0.05 * side, 1.05 * side, 9)
    reach = (xs - x) / side
    ys = y + thickness * 0.5 + side * (slope * reach + bend * reach**2)
    half = thickness * (0.62 + 0.25 * np.sign(slope) * reach)
    for upper, lower, gain in ((-1.0, 1.0, 1.0), (-1.0, -0.3, 1.25), (0.45, 1.0, 0.72)):
        edge = np.concatenate([np.stack([xs, ys + upper * half], 1), np.stack([xs, ys + lower * half], 1)[::-1]])
        draw.polygon(edge.ravel().tolist(), fill=brighten(BARK[tone], gain))
    for t, turn, size in rng.random((3, 3)):
        i = int(t * 8)
        leaf(draw, xs[i], ys[i], (0.05 + 0.05 * size) * side, turn * 2 * np.pi, (92, 118, 58))


def rise(
    draw: ImageDraw.ImageDraw, x: float, y: float, side: int, width: float, kind: str, rng: np.random.Generator
) -> None:
    """A grassy or stony rise for a bird to stand on."""
    growth = BACKGROUNDS[kind][1]
    colour = vary(growth[int(rng.integers(len(growth)))], rng)
    depth, spread = max(1.1 * side - y, 0.1 * width), (0.25 + 0.5 * rng.random()) * side
    xs = np.linspace(-0.02, 1.02, 17) * side
    for lift, gain in ((0.0, 0.76), (0.1, 0.86), (0.3, 0.94)):
        steps = np.maximum(np.abs(xs - x + lift * spread * 0.4) - 0.3 * width, 0) / spread
        ridge = y - 0.03 * width + depth * (1 - 1 / (1 + steps**2)) + lift * depth * 0.6
        outline = np.concatenate([np.stack([xs, ridge], 1), [[xs[-1], 1.1 * side], [xs[0], 1.1 * side]]])
        draw.polygon(outline.ravel().tolist(), fill=brighten(colour, gain))
    for at, lean, tone in rng.random((7, 3)):
        x0, length = x + 1.3 * width * (at - 0.5), width * (0.16 + 0.2 * tone)
        blade = [
            x0 - 0.03 * width,
            y + 0.1 * width,
            x0 + (lean - 0.5) * length,
            y - length,
            x0 + 0.03 * width,
            y + 0.1 * width,
        ]
        draw.polygon(blade, fill=brighten(colour, 0.7 + 0.5 * tone))


def _leaf_spray(
    draw: ImageDraw.ImageDraw, x: float, y: float, size: float, angle: float, colour: Colour, tone: float
) -> None:
    for i in range(1 + int(tone * 30) % 3):
        leaf(draw, x + i * 0.3 * size, y + i * 0.2 * size, size * 1.25, angle + i * 0.8, colour)


def _twig(
    draw: ImageDraw.ImageDraw, x: float, y: float, size: float, angle: float, colour: Colour, tone: float
) -> None:
    dx, dy, width = 2 * size * np.cos(angle), 2 * size * np.sin(angle), max(2, int(size * 0.16))
    draw.line([x - dx, y - dy, x + dx, y + dy], fill=colour, width=width)
    for t in (-0.4, 0.3):
        fork = angle + (0.7 if t < 0 else -0.7)
        x0, y0 = x + t * dx, y + t * dy
        draw.line([x0, y0, x0 + 0.8 * size * np.cos(fork), y0 + 0.8 * size * np.sin(fork)], fill=colour, width=width)


def _fruit(
    draw: ImageDraw.ImageDraw, x: float, y: float, size: float, angle: float, colour: Colour, tone: float
) -> None:
    """A gourd or pine cone: body and head of a bird's colours and size, and no bird."""
    ellipse(draw, x, y, 0.62 * size, 0.78, colour)
    ellipse(draw, x + 0.45 * size * np.cos(angle), y - 0.45 * size, 0.36 * size, 1.0, brighten(colour, 0.92))
    ellipse(draw, x - 0.15 * size, y - 0.1 * size, 0.3 * size, 0.8, brighten(colour, 1.14))


def _flower(
    draw: ImageDraw.ImageDraw, x: float, y: float, size: float, angle: float, colour: Colour, tone: float
) -> None:
    petal = PETALS[int(tone * 50) % len(PETALS)]
    for turn in angle + 2 * np.pi / 5 * np.arange(5):
        ellipse(draw, x + 0.3 * size * np.cos(turn), y + 0.3 * size * np.sin(turn), 0.26 * size, 0.85, petal)
    ellipse(draw, x, y, 0.17 * size, 1.0, (70, 52, 44))


def _grass(
    draw: ImageDraw.ImageDraw, x: float, y: float, size: float, angle: float, colour: Colour, tone: float
) -> None:
    for i in range(4):
        lean = (np.sin(angle + i * GOLDEN_ANGLE)) * size
        x0 = x + (i - 1.5) * 0.22 * size
        draw.polygon(
            [x0 - 0.09 * size, y + size, x0 + lean, y - size, x0 + 0.09 * size, y + size],
            fill=brighten(colour, 0.8 + 0.1 * i),
        )


def _pebble(
    draw: ImageDraw.ImageDraw, x: float, y: float, size: float, angle: float, colour: Colour, tone: float
) -> None:
    radius = 0.6 * size * (1 + 0.16 * np.sin(2 * RING + angle) + 0.1 * np.sin(3 * RING + 2 * angle))
    outline = np.stack([x + radius * np.cos(RING), y + 0.7 * radius * np.sin(RING)], 1)
    draw.polygon(outline.ravel().tolist(), fill=brighten(colour, 0.82))
    draw.polygon((outline * 0.8 + np.array([x, y - 0.12 * size]) * 0.2).ravel().tolist(), fill=colour)
