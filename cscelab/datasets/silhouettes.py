"""The eight silhouettes of Aviary as control points: x to the right, y down, facing right, a body about 2 long."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

Point = tuple[float, float]


@dataclass(frozen=True)
class Silhouette:
    """Where the parts of a bird sit; lengths in body units (the body is about two units long)."""

    outline: tuple[Point, ...]  # body and neck, a closed smooth curve
    belly: tuple[Point, ...]  # the pale underside, inside the outline
    head: Point
    head_radius: float
    shoulder: Point  # the wing runs from here ...
    wing_tip: Point  # ... to here
    wing_width: float
    tail: Point  # root of the tail
    tail_direction: Point  # its length is that of a plain tail
    tail_width: float
    beak: Point  # middle of the beak's base
    beak_direction: Point
    beak_width: float
    hips: tuple[Point, ...]
    leg_length: float
    eyes: tuple[Point, ...]
    eye_radius: float = 0.075
    hooked: bool = False
    perches: bool = True  # on a branch; otherwise it stands on the ground


SHAPES: dict[str, Silhouette] = {
    "finch": Silhouette(
        outline=((0.82, -0.42), (0.60, -0.80), (0.28, -0.72), (0.02, -0.44), (-0.42, -0.20), (-0.84, 0.14),
                 (-0.80, 0.30), (-0.45, 0.48), (0.00, 0.60), (0.42, 0.46), (0.68, 0.12), (0.76, -0.18)),
        belly=((0.62, -0.16), (0.66, 0.08), (0.40, 0.42), (0.00, 0.55), (-0.40, 0.44), (-0.10, 0.34), (0.30, 0.12)),
        head=(0.54, -0.50), head_radius=0.33, shoulder=(0.30, -0.16), wing_tip=(-0.98, 0.28), wing_width=0.56,
        tail=(-0.74, 0.18), tail_direction=(-0.62, 0.22), tail_width=0.26,
        beak=(0.82, -0.46), beak_direction=(0.30, 0.07), beak_width=0.27,
        hips=((0.00, 0.52), (0.20, 0.50)), leg_length=0.30, eyes=((0.66, -0.56),),
    ),
    "kingfisher": Silhouette(
        outline=((0.72, -0.40), (0.56, -0.84), (0.14, -0.86), (-0.12, -0.52), (-0.36, -0.14), (-0.66, 0.40),
                 (-0.60, 0.56), (-0.20, 0.62), (0.20, 0.46), (0.44, 0.12), (0.52, -0.16)),
        belly=((0.46, -0.14), (0.40, 0.12), (0.16, 0.42), (-0.20, 0.56), (-0.40, 0.50), (-0.04, 0.24), (0.20, -0.06)),
        head=(0.34, -0.54), head_radius=0.40, shoulder=(0.12, -0.16), wing_tip=(-0.78, 0.58), wing_width=0.52,
        tail=(-0.56, 0.46), tail_direction=(-0.34, 0.34), tail_width=0.26,
        beak=(0.70, -0.50), beak_direction=(0.82, 0.06), beak_width=0.24,
        hips=((-0.16, 0.58), (0.02, 0.54)), leg_length=0.18, eyes=((0.50, -0.58),), eye_radius=0.085,
    ),
    "heron": Silhouette(
        outline=((0.66, -1.36), (0.44, -1.50), (0.24, -1.32), (0.26, -1.02), (0.36, -0.72), (0.22, -0.46),
                 (-0.20, -0.38), (-0.66, -0.08), (-0.84, 0.16), (-0.50, 0.24), (0.00, 0.30), (0.40, 0.12),
                 (0.58, -0.28), (0.56, -0.74), (0.46, -1.06), (0.56, -1.20)),
        belly=((0.50, -0.78), (0.53, -0.30), (0.36, 0.08), (0.00, 0.24), (-0.24, 0.22), (0.14, 0.00), (0.40, -0.40)),
        head=(0.47, -1.33), head_radius=0.235, shoulder=(0.26, -0.22), wing_tip=(-1.00, 0.24), wing_width=0.52,
        tail=(-0.74, 0.10), tail_direction=(-0.40, 0.16), tail_width=0.26,
        beak=(0.64, -1.33), beak_direction=(0.68, 0.10), beak_width=0.16,
        hips=((-0.10, 0.24), (0.12, 0.22)), leg_length=0.95, eyes=((0.56, -1.38),), eye_radius=0.055, perches=False,
    ),
    "parakeet": Silhouette(
        outline=((0.58, -0.66), (0.42, -0.98), (0.08, -0.94), (-0.10, -0.62), (-0.24, -0.20), (-0.46, 0.30),
                 (-0.56, 0.66), (-0.30, 0.66), (0.02, 0.54), (0.30, 0.26), (0.42, -0.10), (0.46, -0.42)),
        belly=((0.38, -0.42), (0.36, -0.08), (0.24, 0.24), (0.00, 0.48), (-0.22, 0.56), (-0.04, 0.22), (0.16, -0.12)),
        head=(0.26, -0.66), head_radius=0.33, shoulder=(0.06, -0.28), wing_tip=(-0.62, 0.80), wing_width=0.46,
        tail=(-0.44, 0.54), tail_direction=(-0.44, 0.86), tail_width=0.24,
        beak=(0.56, -0.64), beak_direction=(0.22, 0.18), beak_width=0.34,
        hips=((-0.04, 0.54), (0.12, 0.46)), leg_length=0.18, eyes=((0.38, -0.72),), hooked=True,
    ),
    "duck": Silhouette(
        outline=((0.98, -0.58), (0.82, -0.84), (0.54, -0.74), (0.48, -0.40), (0.30, -0.16), (-0.20, -0.20),
                 (-0.70, -0.10), (-1.02, -0.16), (-0.90, 0.20), (-0.50, 0.46), (0.10, 0.50), (0.56, 0.34),
                 (0.80, -0.02), (0.80, -0.34)),
        belly=((0.72, -0.10), (0.70, 0.08), (0.50, 0.32), (0.10, 0.45), (-0.46, 0.42), (-0.10, 0.28), (0.36, 0.10)),
        head=(0.74, -0.58), head_radius=0.29, shoulder=(0.34, 0.00), wing_tip=(-0.86, 0.04), wing_width=0.52,
        tail=(-0.84, 0.00), tail_direction=(-0.42, -0.16), tail_width=0.30,
        beak=(0.98, -0.52), beak_direction=(0.40, 0.10), beak_width=0.20,
        hips=((-0.12, 0.42), (0.14, 0.42)), leg_length=0.28, eyes=((0.84, -0.64),), perches=False,
    ),
    "owl": Silhouette(
        outline=((0.44, -0.72), (0.24, -1.02), (-0.20, -1.02), (-0.42, -0.70), (-0.48, -0.20), (-0.46, 0.34),
                 (-0.26, 0.70), (0.10, 0.76), (0.36, 0.48), (0.50, 0.04), (0.50, -0.36)),
        belly=((0.36, -0.28), (0.44, 0.02), (0.32, 0.44), (0.08, 0.70), (-0.16, 0.62), (-0.12, 0.10), (0.06, -0.26)),
        head=(0.02, -0.66), head_radius=0.46, shoulder=(-0.14, -0.26), wing_tip=(-0.38, 0.94), wing_width=0.46,
        tail=(-0.26, 0.62), tail_direction=(-0.14, 0.48), tail_width=0.32,
        beak=(0.12, -0.64), beak_direction=(0.02, 0.24), beak_width=0.18,
        hips=((0.00, 0.70), (0.20, 0.64)), leg_length=0.16, eyes=((-0.08, -0.72), (0.30, -0.72)), eye_radius=0.11,
        hooked=True,
    ),
    "plover": Silhouette(
        outline=((0.74, -0.46), (0.56, -0.70), (0.28, -0.62), (0.12, -0.40), (-0.30, -0.24), (-0.76, -0.02),
                 (-0.88, 0.12), (-0.50, 0.26), (0.00, 0.34), (0.40, 0.22), (0.60, -0.06), (0.64, -0.28)),
        belly=((0.56, -0.20), (0.56, -0.04), (0.38, 0.18), (0.00, 0.29), (-0.46, 0.22), (-0.10, 0.12), (0.30, 0.00)),
        head=(0.50, -0.46), head_radius=0.26, shoulder=(0.26, -0.16), wing_tip=(-1.00, 0.10), wing_width=0.44,
        tail=(-0.76, 0.06), tail_direction=(-0.40, 0.06), tail_width=0.22,
        beak=(0.73, -0.42), beak_direction=(0.40, 0.10), beak_width=0.13,
        hips=((-0.02, 0.28), (0.18, 0.26)), leg_length=0.68, eyes=((0.60, -0.50),), eye_radius=0.07, perches=False,
    ),
    "wren": Silhouette(
        outline=((0.78, -0.40), (0.56, -0.68), (0.22, -0.58), (-0.10, -0.36), (-0.48, -0.30), (-0.72, -0.16),
                 (-0.66, 0.16), (-0.36, 0.46), (0.08, 0.56), (0.46, 0.38), (0.68, 0.06), (0.74, -0.18)),
        belly=((0.64, -0.12), (0.60, 0.10), (0.42, 0.35), (0.08, 0.50), (-0.34, 0.40), (-0.06, 0.26), (0.30, 0.08)),
        head=(0.48, -0.38), head_radius=0.31, shoulder=(0.22, -0.08), wing_tip=(-0.76, 0.22), wing_width=0.52,
        tail=(-0.60, -0.14), tail_direction=(-0.32, -0.60), tail_width=0.26,
        beak=(0.77, -0.36), beak_direction=(0.40, 0.04), beak_width=0.14,
        hips=((-0.02, 0.50), (0.18, 0.48)), leg_length=0.34, eyes=((0.60, -0.44),),
    ),
}  # fmt: skip


@cache
def smooth(points: tuple[Point, ...], steps: int = 5) -> np.ndarray:
    """A closed Catmull-Rom curve through `points`: (len(points) * steps, 2)."""
    knots = np.asarray(points, dtype=float)
    before, after, beyond = (np.roll(knots, shift, axis=0) for shift in (1, -1, -2))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = (k[:, None, :] for k in (before, knots, after, beyond))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return curve.reshape(-1, 2)
