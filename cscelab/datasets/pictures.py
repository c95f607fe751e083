"""One picture: birds in a place, things around them, leaves before them, light over everything; and its exact mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from cscelab.datasets import scenery, things
from cscelab.datasets.birds import Pose, paint, place, stamp
from cscelab.datasets.plumage import Bird, compose
from cscelab.datasets.silhouettes import SHAPES
from cscelab.datasets.species import Species

SUPERSAMPLING = 2  # painted at twice the size and averaged down, so that edges are smooth
MOST_LEAVES = 40
LARGEST_COVER = 0.9  # no bird is hidden more than this
MIDDLE_GREY = 118.0  # fixed, not the picture's mean: clutter must not change the light on the bird
TURN = 20.0  # degrees to either side


@dataclass(frozen=True)
class Target:
    """A bird to paint: `value` in the mask, longer side as a share of the picture's, and the part it may be in."""

    species: Species
    value: int
    scale: float
    frame: tuple[float, float, float, float] = (0.02, 0.02, 0.98, 0.98)  # left, top, right, bottom, as shares


@dataclass(frozen=True)
class Picture:
    """image: uint8 (S, S, 3); mask: uint8 (S, S), 0 or a target's value; visible: the share of each target in sight."""

    image: np.ndarray
    mask: np.ndarray
    visible: tuple[float, ...]


def picture(
    targets: Sequence[Target],
    side: int,
    kind: str | None,
    clutter: int,
    occlusion: float,
    rng: np.random.Generator,
    posed: bool = True,
) -> Picture:
    """Paint `targets` before a background of this kind (None: a plain backdrop).

    Every aspect draws from its own random stream, so that turning one dial (more clutter, say) leaves the rest of the
    picture as it was. `posed=False` is for portraits: level, facing right, in the middle, in even light.
    """
    layout, place_rng, clutter_rng, cover_rng, light = rng.spawn(5)
    canvas_side = side * SUPERSAMPLING
    if kind is None:
        canvas = Image.new("RGB", (canvas_side, canvas_side), (208, 217, 220))
    else:
        canvas = scenery.background(kind, canvas_side, place_rng)
    draw = ImageDraw.Draw(canvas)
    placed = [_pose(compose(target.species), target, canvas_side, layout, posed) for target in targets]
    for target, (points, _) in zip(targets, placed, strict=True):
        _seat(draw, points, target, canvas_side, kind, place_rng)
    things.scatter(draw, canvas_side, clutter, kind or "sky", clutter_rng)

    slots = Image.new("L", canvas.size, 0)  # which target (1, 2, ...) covers a pixel
    slot_draw = ImageDraw.Draw(slots)
    areas: list[int] = []
    boxes: list[tuple[float, ...]] = []
    for slot, (target, (points, tint)) in enumerate(zip(targets, placed, strict=True), start=1):
        bird = compose(target.species)
        paint(draw, bird, points[:-1], tint)
        stamp(slot_draw, bird, points[:-1], slot)
        areas.append(int(np.count_nonzero(_coverage(slots, slot))))
        boxes.append((*points[:-1].min(axis=0).tolist(), *points[:-1].max(axis=0).tolist()))
    if occlusion > 0:
        slots = _cover_with_leaves(draw, slots, boxes, occlusion, kind, cover_rng)

    coverages = [_coverage(slots, slot) for slot in range(1, len(targets) + 1)]
    mask = np.zeros((side, side), dtype=np.uint8)
    for target, coverage in zip(targets, coverages, strict=True):
        mask[coverage] = target.value
    visible = tuple(
        float(np.count_nonzero(mask == t.value) / max(area, 1)) for t, area in zip(targets, areas, strict=True)
    )
    pixels = np.array(canvas.reduce(SUPERSAMPLING), dtype=np.float32)
    return Picture(_light(pixels, coverages, boxes, light, posed), mask, visible)


def _pose(
    bird: Bird, target: Target, canvas_side: int, rng: np.random.Generator, posed: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The bird's points on the canvas and the tint of its plumage."""
    x, y, flip, turn, squash, bright, *hue = rng.random(9)
    left, top, right, bottom = (share * canvas_side for share in target.frame)
    pose, at, tint = Pose(target.scale * canvas_side), (0.5, 0.5), np.ones(3)
    if posed:
        pose = Pose(pose.size, bool(flip < 0.5), TURN * (2 * turn - 1), 0.92 + 0.16 * squash)
        at = (float(x), float(y))
        tint = (0.85 + 0.3 * bright) * (0.93 + 0.14 * np.array(hue))
    return place(bird, pose, (left, top, right, bottom), at), tint


def _seat(
    draw: ImageDraw.ImageDraw,
    points: np.ndarray,
    target: Target,
    canvas_side: int,
    kind: str | None,
    rng: np.random.Generator,
) -> None:
    """What the bird stands on: by habit a branch or the ground, but in a wild picture not always."""
    size, (x, y) = target.scale * canvas_side, points[-1].tolist()
    perches = SHAPES[target.species.silhouette].perches
    if kind is not None and rng.random() < 0.35:
        perches = not perches
    if perches:
        things.branch(draw, x, y, canvas_side, 0.055 * size + 2, rng)
    else:
        things.rise(draw, x, y, canvas_side, 0.4 * size, kind or "sky", rng)


def _coverage(slots: Image.Image, slot: int) -> np.ndarray:
    """Pixels of the picture (S, S) at least half of which this target covers."""
    inside = np.asarray(slots) == slot
    quarters = (inside[y::SUPERSAMPLING, x::SUPERSAMPLING] for y in range(SUPERSAMPLING) for x in range(SUPERSAMPLING))
    total = np.sum([quarter.view(np.uint8) for quarter in quarters], axis=0)
    return np.asarray(total * 2 >= SUPERSAMPLING**2)


def _cover_with_leaves(
    draw: ImageDraw.ImageDraw,
    slots: Image.Image,
    boxes: list[tuple[float, ...]],
    occlusion: float,
    kind: str | None,
    rng: np.random.Generator,
) -> Image.Image:
    """Leaves in front of each bird until about `occlusion` of it (on average; 0 to twice that) is hidden."""
    growth = scenery.BACKGROUNDS[kind or "meadow"][1]
    for slot, (left, top, right, bottom) in enumerate(boxes, start=1):
        goal = min(2 * occlusion * rng.random(), LARGEST_COVER - 0.05)
        area = max(slots.histogram()[slot], 1)
        hidden, size = 0.0, max(right - left, bottom - top)
        box = (int(left) - 1, int(top) - 1, int(right) + 2, int(bottom) + 2)
        for x, y, length, angle, tone in rng.random((MOST_LEAVES, 5)):
            if hidden >= goal - 0.02:
                break
            where = (left + (right - left) * x, top + (bottom - top) * y)
            leaf = (*where, size * (0.22 + 0.2 * length), angle * 2 * np.pi, growth[int(tone * len(growth))])
            trial = slots.copy()
            things.leaf(ImageDraw.Draw(trial), *leaf, mask_value=0)
            # A single bird is counted inside its box, which is quicker; several may each be covered.
            counts = (trial if len(boxes) > 1 else trial.crop(box)).histogram()
            covered = 1 - counts[slot] / area
            if hidden < covered <= goal + 0.05 and all(counts[1 : len(boxes) + 1]):
                things.leaf(draw, *leaf)
                slots, hidden = trial, covered
    return slots


def _light(
    pixels: np.ndarray,
    coverages: list[np.ndarray],
    boxes: list[tuple[float, ...]],
    rng: np.random.Generator,
    posed: bool,
) -> np.ndarray:
    """Round the birds with light from above, then light the whole: exposure, warmth, contrast, grain."""
    side = len(pixels)
    rows = np.arange(side, dtype=np.float32)[:, None]
    gain = np.ones((side, side), dtype=np.float32)
    for coverage, (_, top, _, bottom) in zip(coverages, boxes, strict=True):
        fall = np.clip((SUPERSAMPLING * rows - top) / max(bottom - top, 1), 0, 1)
        gain = np.where(coverage, 1.10 - 0.26 * fall, gain)
    offset = np.float32(0)
    if posed:
        exposure, warmth, contrast, across, down = rng.random(5, dtype=np.float32)
        lean = 0.16 / side * ((across - 0.5) * (rows.T - side / 2) + (down - 0.5) * (rows - side / 2))
        brightness, steepness = 0.78 + 0.4 * exposure, 0.85 + 0.3 * contrast
        gain *= brightness * steepness + lean
        offset = brightness * (1 - steepness) * MIDDLE_GREY  # contrast turns about the middle grey
        pixels *= np.array([1 + 0.08 * (2 * warmth - 1), 1, 1 - 0.08 * (2 * warmth - 1)], dtype=np.float32)
    pixels *= gain[..., None]
    pixels += offset + 3.0 * rng.standard_normal((side, side, 1), dtype=np.float32)
    return np.clip(pixels, 0, 255, out=pixels).astype(np.uint8)


def background_of(label: int) -> str:
    """The place a class is biased to when backgrounds betray classes."""
    kinds = list(scenery.BACKGROUNDS)
    return kinds[label % len(kinds)]


def quadrants(overlap: float = 0.05) -> list[tuple[float, float, float, float]]:
    """Four frames for the birds of a scene, overlapping a little, so that no bird can hide another."""
    half, edge = 0.5 + overlap, 0.01
    return [
        (left, top, left + half - edge, top + half - edge)
        for left in (edge, 0.5 - overlap)
        for top in (edge, 0.5 - overlap)
    ]
