"""A bird is placed and painted: its polygons get a size, a pose and a spot on the canvas."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import ImageDraw

from cscelab.datasets.plumage import Bird
from cscelab.datasets.silhouettes import Point


@dataclass(frozen=True)
class Pose:
    """How a bird stands: longer side of its bounding box (pixels), facing, degrees of turn, height over width."""

    size: float
    flipped: bool = False
    angle: float = 0.0
    squash: float = 1.0


def place(bird: Bird, pose: Pose, frame: tuple[float, float, float, float], at: Point) -> np.ndarray:
    """The bird's points on the canvas (P + 1, 2), the feet last.

    Its bounding box has its longer side exactly `pose.size` long and lies inside `frame` (left, top, right, bottom;
    pixels) wherever it fits: `at` in [0, 1] x [0, 1] slides it from the upper left to the lower right.
    """
    cos, sin = np.cos(np.radians(pose.angle)), np.sin(np.radians(pose.angle))
    facing = -1.0 if pose.flipped else 1.0
    turn = np.array([[facing * cos, facing * sin], [-sin * pose.squash, cos * pose.squash]])
    points = np.vstack([bird.points, bird.feet]) @ turn
    outline = points[_silhouette_rows(bird)]
    low, high = outline.min(axis=0), outline.max(axis=0)
    zoom = pose.size / float(np.max(high - low))
    points = (points - low) * zoom
    room = np.array(frame[2:]) - frame[:2] - (high - low) * zoom
    return points + frame[:2] + room * np.asarray(at)


def paint(canvas: ImageDraw.ImageDraw, bird: Bird, points: np.ndarray, tint: np.ndarray) -> None:
    """Paint the placed bird; `tint` (3,) multiplies its colours (lighting, individual variation)."""
    colours = np.clip(bird.colours * tint, 0, 255).astype(int).tolist()
    for i, colour in enumerate(colours):
        polygon = points[bird.starts[i] : bird.starts[i + 1]].ravel().tolist()
        canvas.polygon(polygon, fill=tuple(colour))


def stamp(canvas: ImageDraw.ImageDraw, bird: Bird, points: np.ndarray, value: int) -> None:
    """Write `value` wherever the placed bird covers a canvas of mode L."""
    for i, solid in enumerate(bird.solid):
        if solid:
            canvas.polygon(points[bird.starts[i] : bird.starts[i + 1]].ravel().tolist(), fill=value)


@cache
def _rows_of(starts: tuple[int, ...], solid: tuple[bool, ...]) -> np.ndarray:
    return np.concatenate([np.arange(starts[i], starts[i + 1]) for i, keep in enumerate(solid) if keep])


def _silhouette_rows(bird: Bird) -> np.ndarray:
    return _rows_of(bird.starts, bird.solid)
