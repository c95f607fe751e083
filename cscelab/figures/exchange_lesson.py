"""One training image, its parts, and what becomes of its values when a part is exchanged for an anchor (ExchNet)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from cscelab.datasets.base import Splits
from cscelab.experiment import Run
from cscelab.figures.alt import sentences
from cscelab.figures.mosaic import Mosaic, width_of
from cscelab.figures.overlay import overlaid
from cscelab.figures.part_exchange import replaced
from cscelab.figures.part_maps import enlarged, part_batches
from cscelab.figures.provenance import mark_smoke
from cscelab.figures.style import BLACK, GREY, styled
from cscelab.methods.base import in_use
from cscelab.methods.exchnet import ExchNet, class_anchors

WIDTH, MARGIN, GAP = 9.8, 0.12, 0.1  # inches, as is all below
TOP, MOST_SIDE = 0.78, 1.7  # of the pictures
LEFT, RIGHT_SIDE, ROW = 2.45, 1.35, 0.27  # words beside the values, height of a row of these
EVERY = 4  # bits are numbered
SIGNED = "PuOr_r"  # orange is more, purple less than nothing
CROSS = "×"  # on a bit that flips


class Exchanged(NamedTuple):
    """One image of class `own`, its attention, and its values with parts exchanged."""

    image: np.ndarray  # uint8 (H, W, 3)
    attention: np.ndarray  # (M, h, w), at least 0
    values: dict[str, np.ndarray]  # what was exchanged -> tanh(u) (K,); first nothing
    own: str  # name of the class
    other: str  # of the class whose anchors are the stranger's

    def flips(self, name: str) -> np.ndarray:
        """bool (K,): the bits whose sign the exchange changes."""
        first = next(iter(self.values.values()))
        return (self.values[name] >= 0) != (first >= 0)


@torch.no_grad()
def exchange_parts(run: Run, row: int = 0, other: int | None = None, splits: Splits | None = None) -> Exchanged:
    """A training image's values as they are, and with each part, then all, exchanged for anchors of two classes.

    row: of the training split; other: the second class, by default the one half of all classes further on: on Aviary a
    species of another genus. Anchors are means
    over the training images of the stored network. Raises ValueError for a run without parts, for images of several
    classes, and for a row or class that is not there.
    """
    method = run.model()
    if not isinstance(method, ExchNet):
        raise ValueError(f"{run.experiment.name} is of {run.experiment.method.title}, which has no parts; give ExchNet")
    splits = run.data() if splits is None else splits
    train, names = splits.train, splits.class_names
    if train.multilabel:
        raise ValueError(f"images of {run.experiment.name} have several classes; give a run of one class an image")
    if not 0 <= row < len(train):
        raise ValueError(f"there is no training image {row}; choose from 0 to {len(train) - 1}")
    label = int(train.labels[row])
    other = (label + max(1, len(names) // 2)) % len(names) if other is None else other
    if other == label or not 0 <= other < len(names):
        raise ValueError(f"class {other} cannot be the other class of an image of class {label}; choose from 0 to "
                         f"{len(names) - 1}")  # fmt: skip
    anchors = class_anchors(method, train.subset(np.flatnonzero(np.isin(train.labels, (label, other)))))
    (parts,) = part_batches(method, train.images[row : row + 1])
    rows = {"nothing": parts.local}
    for owner, number in (("own", label), ("other", other)):
        for part in range(parts.local.shape[1]):
            rows[f"part {part + 1}, {owner}"] = replaced(parts.local, anchors, torch.tensor([number]), part)
        rows[f"all parts, {owner}"] = anchors[number].unsqueeze(0)
    joined = torch.cat([parts.joined(local) for local in rows.values()])
    with in_use(method):
        values = method.network.values(joined).tanh().numpy()
    return Exchanged(
        train.images[row], parts.attention[0].numpy(), dict(zip(rows, values, strict=True)), names[label], names[other]
    )


@styled()
def exchange_lesson_figure(run: Run, row: int = 0, other: int | None = None, splits: Splits | None = None) -> Figure:
    """One training image, its attention maps, and its values under each exchange; bits that flip are crossed.

    Arguments and what is raised as in `exchange_parts`.
    """
    found = exchange_parts(run, row, other, splits)
    n_parts, bits = len(found.attention), len(found.values["nothing"])
    side = min(MOST_SIDE, (WIDTH - 2 * MARGIN - n_parts * GAP) / (n_parts + 1))
    values_top = TOP + side + 0.75
    sheet = Mosaic(WIDTH, values_top + (len(found.values) + 1) * ROW + 0.85)
    sheet.text(MARGIN, 0.12, f"A training image of {found.own}, its {n_parts} parts, and exchanges", 12, weight="bold")
    sheet.text(MARGIN, 0.38, "attention: light where a part looks, no colour where it does not; each map over its own "
               "largest value", 8.5, color=GREY)  # fmt: skip
    dead = _pictures(sheet, found, side)
    step = (WIDTH - LEFT - RIGHT_SIDE) / bits
    sheet.text(MARGIN, values_top - 0.1, f"Values tanh(u) of {bits} bits, {CROSS} where a bit flips",
               11, weight="bold", va="bottom")  # fmt: skip
    sheet.text(WIDTH - RIGHT_SIDE + 0.1, values_top - 0.1, "flips, mean\n|Δ tanh(u)|", 8.5, va="bottom")
    first, said, top = found.values["nothing"], [], values_top
    for name, values in found.values.items():
        if name in ("part 1, own", "part 1, other"):
            top += ROW / 2  # sets the two classes apart
        extent = (LEFT, LEFT + bits * step, top + ROW - 0.03, top)
        sheet.axes.imshow(values[None], cmap=SIGNED, vmin=-1, vmax=1, extent=extent, aspect="auto", gid=name)
        for bit in np.flatnonzero(found.flips(name)):
            ground = [withStroke(linewidth=2, foreground="white")]
            sheet.text(LEFT + (bit + 0.5) * step, top + ROW / 2 - 0.015, CROSS, 13, ha="center", va="center",
                       weight="bold", gid="flip", path_effects=ground)  # fmt: skip
        sheet.text(LEFT - 0.08, top + ROW / 2, _words(name, found), 8.5, ha="right", va="center")
        if name != "nothing":
            change = float(np.abs(values - first).mean())
            sheet.text(WIDTH - RIGHT_SIDE + 0.1, top + ROW / 2, f"{int(found.flips(name).sum())}, {change:.2f}", 9,
                       va="center")  # fmt: skip
            said.append(f"{name}: {int(found.flips(name).sum())} flips, mean change {change:.2f}")
        top += ROW
    for bit in {0, *range(EVERY - 1, bits, EVERY)}:
        sheet.text(LEFT + (bit + 0.5) * step, top + 0.02, str(bit + 1), 8, ha="center", color=GREY)
    _key(sheet, top + 0.3)
    experiment = run.experiment
    source = f"{experiment.method.title}, {type(experiment.data).__name__}, {bits} bits, seed {experiment.seed}"
    sheet.text(MARGIN, top + 0.62, source, 8.5, color=GREY)
    sheet.figure.alt = sentences([  # type: ignore[attr-defined]
        f"A training image of {found.own} and its {n_parts} attention maps"
        + (f", of which {dead} are zero everywhere" if dead else ""),
        f"Its {bits} values as they are and with parts exchanged for anchors of its own class and of {found.other}",
        "; ".join(said),
    ])  # fmt: skip
    return mark_smoke(sheet.figure, [run])


def _words(name: str, found: Exchanged) -> str:
    """A row of values in words: "part 2 → anchor of its class"."""
    if name == "nothing":
        return "nothing exchanged"
    part, owner = name.split(", ")
    return f"{part} → anchor of {'its class' if owner == 'own' else 'the other class'}"


def _pictures(sheet: Mosaic, found: Exchanged, side: float) -> int:
    """The image and its maps in a row; returns how many maps are zero everywhere."""
    left = MARGIN
    sheet.text(left, TOP - 0.03, "the image", 9, va="bottom")
    sheet.picture(left, TOP, side, found.image)
    shown = enlarged(found.attention[None], len(found.image))[0]
    highest = shown.max(axis=(1, 2))
    pictures = overlaid(np.repeat(found.image[None], len(shown), axis=0), shown)
    for number, (picture, most) in enumerate(zip(pictures, highest, strict=True), start=1):
        left += side + GAP
        words = f"part {number}" + ("" if most > 0 else ": zero everywhere")
        sheet.text(left, TOP - 0.03, words, 9, va="bottom")
        sheet.picture(left, TOP, side, picture)
    sheet.text(MARGIN, TOP + side + 0.05, f"its class: {found.own}; the other class: {found.other}", 9)
    return int((highest <= 0).sum())


def _key(sheet: Mosaic, top: float) -> None:
    """A bar of the values' colours, with its ends in words."""
    x, width = LEFT, 1.6
    before, after = "−1 (dark purple)", "+1 (dark orange)"
    x += width_of(before, 8.5) + 0.1
    sheet.text(LEFT, top + 0.08, before, 8.5, va="center")
    ramp = np.linspace(-1, 1, 64)[None]
    sheet.axes.imshow(ramp, cmap=SIGNED, vmin=-1, vmax=1, extent=(x, x + width, top + 0.15, top), aspect="auto")
    sheet.axes.plot([x + width / 2] * 2, [top, top + 0.15], color=BLACK, lw=0.8)
    sheet.text(x + width + 0.1, top + 0.08, after, 8.5, va="center")
