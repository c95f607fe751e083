"""What exchange is for: how far a code moves when one part gives way to an anchor, its own class's or another's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from cscelab.datasets.base import ImageSet
from cscelab.dsf import sign
from cscelab.experiment import Run
from cscelab.figures.alt import sentences
from cscelab.figures.part_maps import part_batches
from cscelab.figures.provenance import SMOKE_MARK, describe_data, mark_smoke
from cscelab.figures.style import BLACK, BLUE, ORANGE, VERMILION, new_figure, styled
from cscelab.methods.exchnet import ExchNet, class_anchors

OWN, GENUS, OTHER_GENUS, OTHER = "own class", "same genus", "another genus", "another class"
# Kind of anchor -> colour and marker.
LOOKS = {OWN: (BLUE, "o"), GENUS: (ORANGE, "s"), OTHER_GENUS: (VERMILION, "^"), OTHER: (VERMILION, "^")}
MEAN, DEVIATION, LOW, HIGH = "bits that flip", "deviation", "lower quartile", "upper quartile"
MOVED = "share of images that flip any"
LEAST = 1.0  # bits the axis reaches at least: where no code moves, it still has a height


def code_movement(method: ExchNet, images: ImageSet, train_images: ImageSet, seed: int = 0) -> pd.DataFrame:
    """Bits of an image's code that flip when one of its parts is replaced by an anchor: a row an image, part and kind.

    Columns "id", "part" (from 1), "anchor" (OWN; GENUS and OTHER_GENUS where the images have an attribute "genus",
    else OTHER) and "bits". Anchors are means over the training images; which other class stands for a kind is drawn for
    each image. A kind that no class is of (a single genus) has no rows. Raises ValueError for images with several
    labels and for a method that finds no parts.
    """
    if images.multilabel:
        raise ValueError("these images have several labels, so that no class is their own; give single-label images")
    whose = anchor_classes(images, train_images, method.n_classes, np.random.default_rng(seed))
    batches = list(part_batches(method, images.images))
    anchors = class_anchors(method, train_images)
    found, start = [], 0
    for parts in batches:
        here = slice(start, start + len(parts.local))
        start = here.stop
        before = sign(_values(method, parts.joined()))
        for kind, classes in whose.items():
            for part in range(parts.local.shape[1]):
                local = replaced(parts.local, anchors, torch.from_numpy(classes[here]), part)
                flipped = (sign(_values(method, parts.joined(local))) != before).sum(dim=1)
                cells = {"id": images.ids[here], "part": part + 1, "anchor": kind, "bits": flipped.cpu().numpy()}
                found.append(pd.DataFrame(cells))
    return pd.concat(found, ignore_index=True)


def anchor_classes(
    images: ImageSet, train_images: ImageSet, n_classes: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Kind of anchor -> the class (N,) whose anchors stand for it at each image: its own, or one drawn of that kind."""
    labels, classes = np.asarray(images.labels), np.arange(n_classes)
    others = labels[:, None] != classes
    if "genus" in train_images.attributes:
        genus = np.full(n_classes, -1)
        genus[train_images.labels] = train_images.attributes["genus"]
        alike = genus[labels][:, None] == genus
        kinds = {GENUS: others & alike, OTHER_GENUS: ~alike}
    else:
        kinds = {OTHER: others}
    drawn = {OWN: labels}
    for kind, members in kinds.items():
        members = members & np.isin(classes, train_images.labels)  # a class without images has no anchor
        if members.any(axis=1).all():
            drawn[kind] = np.where(members, rng.random(members.shape), -1).argmax(axis=1)
    return drawn


def replaced(local: Tensor, anchors: Tensor, classes: Tensor, part: int) -> Tensor:
    """Part features (B, M, d) with one part (from 0) of each image replaced by its class's anchor; classes (B,)."""
    changed = local.clone()
    changed[:, part] = anchors[classes.to(anchors.device), part].to(local)
    return changed


@torch.inference_mode()
def _values(method: ExchNet, features: Tensor) -> Tensor:
    return method.network.values(features)


def movement_table(movements: Mapping[str, pd.DataFrame], smoke: bool = False) -> pd.DataFrame:
    """Of the frames of `code_movement`, by training, part and anchor: MEAN over images, its sample DEVIATION and
    quartiles, MOVED, and "images". smoke: a column "remark" says that the numbers mean nothing."""
    rows = []
    for training, movement in movements.items():
        for (part, kind), bits in movement.groupby(["part", "anchor"], sort=False)["bits"]:
            low, high = bits.quantile([0.25, 0.75])
            cells = {MEAN: bits.mean(), DEVIATION: bits.std(ddof=1), LOW: low, HIGH: high, MOVED: (bits > 0).mean()}
            rows.append({"training": training, "part": part, "anchor": kind, **cells, "images": len(bits)})
    frame = pd.DataFrame(rows).sort_values(["training", "part"], kind="stable", key=_in_order(movements))
    return frame.assign(**({"remark": SMOKE_MARK} if smoke else {})).set_index(["training", "part", "anchor"])


def _in_order(movements: Mapping[str, pd.DataFrame]) -> Callable[[pd.Series], pd.Series]:
    order = list(movements)
    return lambda column: column.map(order.index) if column.name == "training" else column


@styled()
def exchange_figure(frame: pd.DataFrame, runs: Mapping[str, Run]) -> Figure:
    """The frame of `movement_table`: a panel a training, for each part the bits that flip by the kind of anchor.

    runs: by training, those the frame was measured on. Which iteration training kept is said, as it may be one before
    exchange starts.
    """
    trainings = list(dict.fromkeys(frame.index.get_level_values("training")))
    kinds = list(dict.fromkeys(frame.index.get_level_values("anchor")))
    figure = new_figure(1.5 + 3.9 * len(trainings), 4.2, layout="constrained")
    panels = figure.subplots(1, len(trainings), sharey=True, squeeze=False)[0]
    said = []
    for axes, training in zip(panels, trainings, strict=True):
        for place, kind in enumerate(kinds):
            found = frame.loc[training].xs(kind, level="anchor")
            colour, marker = LOOKS[kind]
            x = found.index.to_numpy(float) + 0.2 * (place - (len(kinds) - 1) / 2)
            axes.vlines(x, found[LOW], found[HIGH], color=colour, lw=5, alpha=0.35, gid="quartiles")
            axes.plot(x, found[MEAN], ls="none", marker=marker, color=colour, mec=BLACK, mew=0.6, ms=7, label=kind)
            said.append(f"{training}, {kind}: mean {', '.join(f'{mean:.1f}' for mean in found[MEAN])}")
        parts = sorted(set(frame.loc[training].index.get_level_values("part")))
        epoch, epochs = runs[training].metrics["best_epoch"], runs[training].experiment.training.epochs
        kept = f"iteration {epoch:.0f} of {epochs} was kept"
        axes.set(title=training, xlabel=f"part that is replaced\n({kept})", xlim=(parts[0] - 0.5, parts[-1] + 0.5))
        axes.set_xticks(parts)
        axes.grid(axis="x", visible=False)
    run = next(iter(runs.values()))
    panels[0].set_ylabel(f"bits of {run.experiment.bits} that flip\nwhen a part becomes an anchor")
    panels[0].set_ylim(0, 1.08 * max(LEAST, frame[HIGH].max(), frame[MEAN].max()))
    images = int(frame["images"].iloc[0])
    figure.supxlabel(
        f"marks: mean over {images} queries; bars: their middle half\n{describe_data(run)}; seed {run.experiment.seed}",
        fontsize=9,
    )
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, [f"anchor of {label}" for label in labels], loc="outside upper left", ncols=len(labels))
    figure.alt = sentences([  # type: ignore[attr-defined]
        f"Bits of {run.experiment.bits} that flip when one part of a query becomes an anchor, parts in order, mean "
        f"over {images} queries",
        *said,
    ])  # fmt: skip
    return mark_smoke(figure, runs.values())
