"""The two branches of Fig. 2 as drawings: sliding windows over stage 4, receptive fields and attention over stage 3."""

from __future__ import annotations

from typing import cast

from torch import nn

from cscelab.figures.boxes import Box, Canvas, Point, shape_text
from cscelab.figures.style import GREEN, GREY, ORANGE
from cscelab.model.local import LocalBranch
from cscelab.model.windows import SlidingWindows

Shapes = dict[str, tuple[int, ...]]
ABOVE, BELOW = 1.2, 1.1  # inches from a row's middle to its panel's top and bottom
TRUNK_END = 0.95  # inches from stage 4's left to the trunk's right edge: room for the widest shape


def kernel_text(conv: nn.Module) -> str:
    """Kernel size of a convolution: "3×3"."""
    return "×".join(str(size) for size in cast(nn.Conv2d, conv).kernel_size)


def draw_windows(canvas: Canvas, windows: SlidingWindows, shapes: Shapes, stage4: Box) -> Box:
    """Global branch (Eq. 2): a row for each window size, joined in f_g, which is returned."""
    row, left = stage4.centre[1], stage4.left + TRUNK_END + 0.36
    n_sizes = len(windows.sizes)
    joined = canvas.matrix(left + 2.3, row, 0.5, 0.9, ORANGE, f"$f_g$\n{shape_text(shapes['windows'])}")
    for index, (size, count) in enumerate(zip(windows.sizes, windows.counts, strict=True)):
        y = row + 0.95 * ((n_sizes - 1) / 2 - index)
        conv = canvas.block(left, y, f"{kernel_text(windows.reduce[index])} conv", ORANGE, 0.85)
        canvas.caption(conv, shape_text(shapes[f"windows.reduce.{index}"]))
        icon = Box(left + 1.12, y - 0.27, left + 1.66, y + 0.27)
        cell = (icon.right - icon.left) / windows.side
        canvas.rectangle(icon, GREY, 0.1)
        canvas.rectangle(Box(icon.left, icon.top - size * cell, icon.left + size * cell, icon.top), ORANGE, 0.7)
        canvas.grid(icon, windows.side)
        canvas.text(icon.centre[0], icon.bottom - 0.06, f"{count} of {size}×{size}", va="top")
        before, after = left - 0.18, icon.right + 0.37
        canvas.arrow(stage4.east, (before, row), (before, y), conv.west)
        canvas.arrow(conv.east, icon.west)
        canvas.arrow(icon.east, (after, y), (after, row), joined.west)
    panel = Box(stage4.left + TRUNK_END + 0.08, row - BELOW, joined.right + 0.25, row + ABOVE)
    canvas.panel(panel, "global branch", ORANGE)
    return joined


def draw_local(canvas: Canvas, local: nn.Module, shapes: Shapes, fork: Point, row: float) -> Box:
    """Local branch, led from the fork after stage 3 round to the left; returns f_l."""
    edge, left = 0.2, 0.95
    canvas.fork(*fork)
    between = row + 1.57  # under the trunk's panel, above this branch's
    canvas.line(fork, (fork[0], between), (edge, between), (edge, row), (left - 0.25, row))
    if isinstance(local, LocalBranch):
        project = _draw_aspp(canvas, local, shapes, left, row)
    else:
        project = canvas.block(left, row, f"{kernel_text(_first_conv(local))} conv, BN", GREEN, 1.25)
        canvas.arrow((left - 0.25, row), project.west)
        note = "released code: no ASPP; $f_l$ is $f_{MA}$ at unit length per place, weighted"
        canvas.text(edge + 0.35, row - 1.0, note, ha="left")
    shape = shapes["local.context"]
    context = canvas.feature_map(project.right + 0.3, row, shape, GREEN, f"$f_{{MA}}$\n{shape_text(shape)}")
    attend = canvas.block(
        context.right + 0.4,
        row + 0.75,
        f"{kernel_text(cast(nn.Module, local.attend))} conv,\nSoftPlus",
        GREEN,
        1.0,
        0.5,
    )
    canvas.caption(attend, shape_text(shapes["local.attention"]))
    product = canvas.operator(attend.right + 0.25, row, "×")
    canvas.text(attend.centre[0], attend.top + 0.13, "self-attention")
    shape = shapes["local.features"]
    features = canvas.feature_map(product.right + 0.3, row, shape, GREEN, f"$f_l$\n{shape_text(shape)}")

    bend = context.right + 0.2
    canvas.arrow(project.east, context.west)
    canvas.fork(bend, row)
    canvas.arrow((bend, row), (bend, attend.centre[1]), attend.west)
    canvas.arrow(attend.east, (product.centre[0], attend.centre[1]), product.north)
    canvas.arrow(context.east, product.west)
    canvas.arrow(product.east, features.west)
    canvas.panel(Box(edge + 0.2, row - 1.2, features.right + 0.3, row + 1.35), "local branch", GREEN)
    return features


def _draw_aspp(canvas: Canvas, local: LocalBranch, shapes: Shapes, left: float, row: float) -> Box:
    """Dilated convolutions side by side, then the 1x1 convolution over all of them, which is returned."""
    fields = list(local.context.fields)
    project = canvas.block(left + 1.5, row, f"{kernel_text(_first_conv(local.context.project))} conv", GREEN, 0.85)
    for index, field in enumerate(fields):
        y = row + 0.45 * ((len(fields) - 1) / 2 - index)
        conv = _first_conv(field)
        block = canvas.block(left, y, f"{kernel_text(conv)} rate {conv.dilation[0]}", GREEN, 1.05, 0.34)
        canvas.arrow((left - 0.25, row), (left - 0.25, y), block.west)
        canvas.arrow(block.east, (left + 1.25, y), (left + 1.25, row), project.west)
    canvas.caption(block, f"ASPP, each\n{shape_text(shapes['local.context.fields.0'])}")
    return project


def _first_conv(part: nn.Module) -> nn.Conv2d:
    return next(module for module in part.modules() if isinstance(module, nn.Conv2d))
