"""Fig. 2, the whole network, drawn from a live one: every shape is traced, every number read off its modules."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from torch import nn

from cscelab.figures.alt import sentences
from cscelab.figures.boxes import Box, Canvas, Point, shape_text
from cscelab.figures.diagram_branches import ABOVE, BELOW, TRUNK_END, Shapes, draw_local, draw_windows
from cscelab.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, styled, tint
from cscelab.model.local import LocalBranch
from cscelab.model.network import HashNetwork, trace_shapes

# Inches: the canvas, and its rows measured from the bottom, for two branches and for one.
HEIGHT_TWO, ROW_GLOBAL, ROW_LOCAL = 5.9, 4.3, 1.42
HEIGHT_ONE, ROW_ALONE = 4.8, 2.15
STRUCTURE_WORDS = {
    "baseline": "trunk and hash layer alone",
    "local": "with the local branch",
    "sw2": "with 2×2 windows",
    "sw4": "with 4×4 windows",
    "sw2+sw4": "with 2×2 and 4×4 windows",
    "aie": "windows, local branch and AIE",
}


@styled()
def network_diagram(network: HashNetwork, image: np.ndarray | None = None) -> Figure:
    """Fig. 2 for this network: trunk, branches, AIE, hash and threshold layers, losses; absent parts are left out.

    image: optional (H, W, 3) uint8, shown as the input. Raises ValueError for an image of another form and for a trunk
    of one scale, whose stages 3 and 4 cannot be drawn.
    """
    shapes, config = trace_shapes(network), network.config
    if network.backbone.stage3 is None:
        raise ValueError(
            f"Fig. 2 shows a trunk's stages 3 and 4, but {config.backbone.name} has one scale; draw another backbone"
        )
    has_local = hasattr(network, "local")
    canvas = Canvas(HEIGHT_TWO if has_local else HEIGHT_ONE)

    fork, stage4 = _trunk(canvas, network, shapes, ROW_GLOBAL if has_local else ROW_ALONE, image)
    if hasattr(network, "windows"):
        ends = [draw_windows(canvas, network.windows, shapes, stage4)]
    else:
        ends = [_pool(canvas, stage4, shapes["backbone.stage4"], ORANGE, stage4.left + TRUNK_END + 0.3)]
    if has_local:
        ends.append(draw_local(canvas, network.local, shapes, fork, ROW_LOCAL))
    features = _join(canvas, network, shapes, ends)
    right = _heads(canvas, network, shapes, features)
    title = (
        f"The {config.backbone.name} network for {network.bits} bits at {config.image_size} px: "
        f"{STRUCTURE_WORDS[config.structure]}"
    )
    figure = canvas.finish(right + 0.2, title)
    figure.alt = sentences([f"Diagram. {title}", *_in_words(network, shapes)])  # type: ignore[attr-defined]
    return figure


def _in_words(network: HashNetwork, shapes: Shapes) -> list[str]:
    """The way of an image through the network, part by part."""
    stages = (shape_text(shapes[name]) for name in ("images", "backbone.stem", "backbone.stage3", "backbone.stage4"))
    words = ["Trunk: image {}, stem {}, stage 3 {}, stage 4 {}".format(*stages)]
    if hasattr(network, "windows"):
        windows = " and ".join(
            f"{count} windows of {size}×{size}"
            for size, count in zip(network.windows.sizes, network.windows.counts, strict=True)
        )
        words.append(f"Global branch over stage 4: {windows} make f_g, {shape_text(shapes['windows'])}")
    if hasattr(network, "local"):
        words.append(
            f"Local branch over stage 3: dilated convolutions and self-attention make f_l, "
            f"{shape_text(shapes['local.features'])}"
            if isinstance(network.local, LocalBranch)
            else f"Local branch over stage 3: a convolution and self-attention make f_l, "
            f"{shape_text(shapes['local.features'])}"
        )
    if network.config.structure == "aie":
        words.append("AIE takes what the windows share away from f_l")
    threshold = "; a threshold layer gives t for the dynamic sign" if network.threshold_layer is not None else ""
    words.append(
        f"All joins in f_e, {shape_text(shapes['norm'])} values; the hash layer makes {network.bits} values v, which "
        f"the metric loss draws to hash centers and the quantisation loss to their signs b{threshold}"
    )
    return words


def _trunk(
    canvas: Canvas, network: HashNetwork, shapes: Shapes, row: float, image: np.ndarray | None
) -> tuple[Point, Box]:
    """Image to stage 4; returns the point between stages 3 and 4 where the local branch leaves, and stage 4."""
    before = Box(0.32, row - 0.4, 1.12, row + 0.4)
    _input(canvas, before, image)
    canvas.text(before.centre[0], before.bottom - 0.06, f"image\n{shape_text(shapes['images'])}", va="top")
    fork = before.east
    for x, name, words in (
        (1.7, "stem", "stem"),
        (2.85, "stage3", "Res3  $f_3$"),
        (4.05, "stage4", "Res4  $f_4$"),
    ):
        shape = shapes[f"backbone.{name}"]
        stage = canvas.feature_map(x, row, shape, BLUE, f"{words}\n{shape_text(shape)}")
        canvas.arrow(before.east, stage.west)
        fork = ((before.right + stage.left) / 2, row)
        before = stage
    panel = Box(0.15, row - BELOW, before.left + TRUNK_END, row + ABOVE)
    canvas.panel(panel, f"trunk: {network.config.backbone.name}", BLUE)
    return fork, before


def _input(canvas: Canvas, box: Box, image: np.ndarray | None) -> None:
    """The given picture, or a drawn landscape in its place."""
    if image is not None:
        image = np.asarray(image)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(
                f"an image of shape {image.shape} and type {image.dtype} was given; give one (H, W, 3) of uint8"
            )
        canvas.picture(box, image)
        canvas.rectangle(box, GREY, fill=False, zorder=5)
        return
    canvas.rectangle(box, SKY, 0.25)
    width, height = box.right - box.left, box.top - box.bottom
    hills = [(0, 0), (0, 0.35), (0.3, 0.65), (0.5, 0.4), (0.7, 0.55), (1, 0.25), (1, 0)]
    xs, ys = zip(*((box.left + x * width, box.bottom + y * height) for x, y in hills), strict=True)
    canvas.axes.fill(xs, ys, color=tint(GREEN, 0.5), zorder=4)
    canvas.axes.scatter(box.right - 0.2, box.top - 0.18, s=60, color=ORANGE, zorder=4)


def _pool(canvas: Canvas, source: Box, shape: tuple[int, ...], colour: str, left: float) -> Box:
    """Mean over places of a (1, C, h, w) map."""
    pool = canvas.block(left, source.centre[1], "mean pool", colour, 0.95, caption=str(shape[1]))
    canvas.arrow(source.east, pool.west)
    return pool


def _join(canvas: Canvas, network: HashNetwork, shapes: Shapes, ends: list[Box]) -> Box:
    """The branches' ends -> f_e, by the structure's row of Table 2."""
    structure, mid = network.config.structure, sum(end.centre[1] for end in ends) / len(ends)
    last = ends[-1]
    if structure == "aie":
        left = max(end.right for end in ends) + 0.4
        divided = "\\,/\\,\\Vert f_g\\Vert_F^2" if network.aie.normalize == "frobenius" else ""
        words = f"$\\bf{{AIE}}$\n\n$f_l - f_g\\,f_g^T f_l{divided}$\nconv1d, pool,\nconcat"
        last = canvas.block(left, mid, words, PURPLE, 1.75 if divided else 1.35, 1.4)
        for end, port in zip(ends, (last.north, last.south), strict=True):
            canvas.arrow(end.east, (port[0], end.centre[1]), port)
    elif structure == "local":
        detail = _pool(canvas, last, shapes["local.features"], GREEN, last.right + 0.5)
        last = canvas.operator(detail.right + 0.4, mid, "c")
        canvas.text(last.left - 0.08, mid, "concat", ha="right")
        for end, port in zip((ends[0], detail), (last.north, last.south), strict=True):
            canvas.arrow(end.east, (port[0], end.centre[1]), port)
    elif hasattr(network, "windows"):
        last = canvas.block(last.right + 0.45, mid, "conv1d over\nwindows", ORANGE, 1.15, 0.6)
        canvas.caption(last, str(shapes["mix"][-1]))
        canvas.arrow(ends[0].east, last.west)
    normed = ", BN" if isinstance(network.norm, nn.BatchNorm1d) else ""
    caption = f"$f_e${normed}\n{shape_text(shapes['norm'])}"
    features = canvas.matrix(last.right + 0.35, mid, 0.22, 1.5, PURPLE, caption, columns=1)
    canvas.arrow(last.east, features.west)
    return features


def _heads(canvas: Canvas, network: HashNetwork, shapes: Shapes, features: Box) -> float:
    """Hash layer, threshold layer and sign, code and losses; returns the right edge."""
    x, mid = features.right + 0.45, features.centre[1]
    row_metric, row_hash, row_code = mid + 1.75, mid + 0.5, mid - 1.3
    bend = features.right + 0.25
    bits = shape_text(shapes["hash_layer"])
    hashed = canvas.block(x, row_hash, "hash layer", BLUE, 1.0, caption=f"$v$: {bits}")
    canvas.arrow(features.east, (bend, mid), (bend, row_hash), hashed.west)

    column = hashed.right + 0.75
    metric = canvas.block(column - 0.5, row_metric, "metric loss", VERMILION, 1.0)
    centers = canvas.matrix(hashed.left + 0.25, row_metric, 0.5, 0.5, GREY, f"hash centers $h$\n$C$×{bits}", 4)
    canvas.arrow(centers.east, metric.west)
    quantisation = canvas.block(column + 0.55, row_hash, "quantisation\nloss", VERMILION, 1.15, 0.56)
    name = "$\\mathrm{sign}_d$" if network.threshold_layer is not None else "sign"
    sign = canvas.block(column - 0.35, row_code, name, PURPLE, 0.7)
    code = canvas.code(quantisation.centre[0], row_code, f"$b$: {bits}")

    canvas.fork(column, row_hash)
    canvas.arrow(hashed.east, quantisation.west)
    canvas.arrow((column, row_hash), (column, metric.bottom))
    canvas.arrow((column, row_hash), (column, sign.top))
    canvas.arrow(sign.east, code.west)
    canvas.arrow(code.north, quantisation.south)
    right = max(quantisation.right, code.right)
    if network.threshold_layer is not None:
        words = f"$t$: {shape_text(shapes['threshold_layer'])}"
        threshold = canvas.block(x, row_code, "threshold\nlayer", PURPLE, 1.0, caption=words)
        canvas.arrow(features.east, (bend, mid), (bend, row_code), threshold.west)
        canvas.arrow(threshold.east, sign.west)
        canvas.panel(Box(x - 0.12, row_code - 0.55, right + 0.12, row_code + 0.6), "DSF", PURPLE)
    return right + 0.12
