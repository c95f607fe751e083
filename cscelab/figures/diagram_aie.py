"""Fig. 4, AIE step by step (Eqs. 3-4): the context that windows and places share is taken from the local detail."""

from __future__ import annotations

from matplotlib.figure import Figure

from cscelab.figures.alt import sentences
from cscelab.figures.boxes import Canvas, shape_text
from cscelab.figures.style import GREEN, ORANGE, PURPLE, SKY, styled
from cscelab.model.network import HashNetwork, trace_shapes

TOP, MIDDLE, BOTTOM = 4.05, 2.6, 1.0  # rows, inches from the bottom


@styled()
def aie_diagram(network: HashNetwork) -> Figure:
    """Fig. 4 for this network. Raises ValueError for a structure without AIE."""
    if not hasattr(network, "aie"):
        raise ValueError(f"structure {network.config.structure!r} has no AIE; draw structure 'aie'")
    shapes, canvas = trace_shapes(network), Canvas(5.0)
    windows, local = shapes["windows"], shapes["local.features"]
    _, channels, n_windows = windows
    height, width = local[2:]
    divided = "\\,/\\,\\Vert f_g\\Vert_F^2" if network.aie.normalize == "frobenius" else ""

    global_ = canvas.matrix(0.5, TOP, 0.7, 0.9, ORANGE, f"$f_g$\n{shape_text(windows)}")
    detail = canvas.feature_map(0.5, BOTTOM, local, GREEN, f"$f_l$\n{shape_text(local)}")
    first = canvas.operator(2.2, MIDDLE, "×")
    overlap_caption = f"$f_g^T f_l$\n{n_windows}×{height * width}"
    overlap = canvas.matrix(3.0, MIDDLE, 1.15, 0.5, SKY, overlap_caption, 12)
    second = canvas.operator(5.0, MIDDLE, "×")
    context = canvas.feature_map(
        5.7, MIDDLE, local, SKY, f"$f_{{t2}} = f_g\\,f_g^T f_l{divided}$\n{channels}×{height}×{width}"
    )
    minus = canvas.operator(7.5, BOTTOM, "−")
    left = canvas.feature_map(8.1, BOTTOM, local, PURPLE, f"$f_{{t3}}$\n{shape_text(local)}")
    pool = canvas.block(9.3, BOTTOM, "mean pool", PURPLE, 1.0, caption=str(channels))
    mix = canvas.block(7.0, TOP, f"conv1d over the\n{network.aie.mix.in_channels} windows", ORANGE, 1.45, 0.56)
    canvas.caption(mix, shape_text(shapes["aie.mix"]))
    concat = canvas.operator(11.0, MIDDLE, "c")
    canvas.text(concat.left - 0.08, MIDDLE, "concat", ha="right")
    features = canvas.matrix(11.6, MIDDLE, 0.24, 1.6, PURPLE, f"$f_e$\n{shape_text(shapes['aie'])}", columns=1)

    # What meets in the first product, the repeated context's way round, then the difference and the two halves of f_e.
    for operator in (first, second):
        canvas.fork(operator.centre[0], TOP)
        canvas.arrow((operator.centre[0], TOP), operator.north)
    canvas.fork(first.centre[0], BOTTOM)
    canvas.arrow((first.centre[0], BOTTOM), first.south)
    canvas.text(first.right + 0.02, (TOP + MIDDLE) / 2, "transposed", ha="left")
    canvas.arrow(first.east, overlap.west)
    canvas.arrow(overlap.east, second.west)
    canvas.arrow(second.east, context.west)
    canvas.arrow(context.east, (minus.centre[0], MIDDLE), minus.north)
    canvas.arrow(detail.east, minus.west)
    canvas.arrow(minus.east, left.west)
    canvas.arrow(left.east, pool.west)
    canvas.arrow(pool.east, (concat.centre[0], BOTTOM), concat.south)
    canvas.arrow(global_.east, mix.west)
    canvas.arrow(mix.east, (concat.centre[0], TOP), concat.north)
    canvas.arrow(concat.east, features.west)
    title = f"AIE of the {network.config.backbone.name} network at {network.config.image_size} px"
    figure = canvas.finish(12.3, title)
    divisor = ", divided by ‖f_g‖²" if divided else ""
    figure.alt = sentences([  # type: ignore[attr-defined]
        f"Diagram. {title}",
        f"The {n_windows} windows f_g ({shape_text(windows)}), transposed, times the local features f_l "
        f"({shape_text(local)}) give their overlap ({n_windows}×{height * width}); f_g times the overlap gives the "
        f"repeated context f_t2{divisor}; f_l minus f_t2 leaves f_t3 ({shape_text(local)})",
        f"Its mean over places ({channels} values), joined with a conv1d over the windows "
        f"({shape_text(shapes['aie.mix'])}), is f_e ({shape_text(shapes['aie'])} values)",
    ])  # fmt: skip
    return figure
