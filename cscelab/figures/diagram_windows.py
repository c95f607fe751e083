"""Fig. 3, the sliding windows: each size drawn on the traced stage-4 grid, its positions counted and unfolded."""

from __future__ import annotations

from matplotlib.figure import Figure

from cscelab.figures.alt import sentences
from cscelab.figures.boxes import Box, Canvas, shape_text
from cscelab.figures.diagram_branches import Shapes, kernel_text
from cscelab.figures.style import BLACK, BLUE, GREY, ORANGE, VERMILION, styled
from cscelab.model.network import WINDOW_SIZES, HashNetwork, trace_shapes
from cscelab.model.windows import SlidingWindows

# Inches: from one window size to the next, the side of a drawn map, the room below all rows and for the title.
ROW, SQUARE, BELOW, TITLE = 3.0, 1.9, 0.15, 0.3
COLUMNS = 9  # drawn of the unfolded vectors, at most
FIRST, NEXT, LAST = (BLUE, "-"), (VERMILION, "--"), (BLACK, ":")


@styled()
def windows_diagram(network: HashNetwork) -> Figure:
    """Fig. 3 for this network. Raises ValueError for a structure without windows."""
    if not hasattr(network, "windows"):
        raise ValueError(
            f"structure {network.config.structure!r} has no sliding windows; draw one of {sorted(WINDOW_SIZES)}"
        )
    windows, shapes = network.windows, trace_shapes(network)
    top = BELOW + ROW * len(windows.sizes)
    canvas, middle = Canvas(top + TITLE), (BELOW + top) / 2
    shape = shapes["backbone.stage4"]
    stage4 = canvas.feature_map(0.4, middle, shape, BLUE, f"Res4  $f_4$\n{shape_text(shape)}")
    joined = canvas.matrix(9.3, middle, 0.9, 1.7, ORANGE, f"$f_g$\n{shape_text(shapes['windows'])}", 12)
    for index in range(len(windows.sizes)):
        y = top - ROW * (index + 0.5)
        _window_row(canvas, windows, shapes, index, y, stage4, joined)
    title = f"Sliding windows of the {network.config.backbone.name} network at {network.config.image_size} px"
    figure = canvas.finish(10.6, title)
    figure.alt = sentences([  # type: ignore[attr-defined]
        f"Diagram. {title}, over stage 4 ({shape_text(shape)})",
        *(_in_words(windows, shapes, index) for index in range(len(windows.sizes))),
        f"All vectors side by side are f_g, {shape_text(shapes['windows'])}",
    ])  # fmt: skip
    return figure


def _in_words(windows: SlidingWindows, shapes: Shapes, index: int) -> str:
    """One window size as a sentence."""
    size, count, side = windows.sizes[index], windows.counts[index], windows.side
    reduced = shapes[f"windows.reduce.{index}"]
    return (
        f"{size}×{size} windows: a {kernel_text(windows.reduce[index])} convolution to {shape_text(reduced)}, then "
        f"({side} − {size} + 1)² = {count} position{'s' * (count > 1)}, each unfolded to {reduced[1] * size**2} values"
    )


def _window_row(
    canvas: Canvas, windows: SlidingWindows, shapes: Shapes, index: int, y: float, stage4: Box, joined: Box
) -> None:
    """One window size: 1x1 convolution, the map with its windows, the count, the unfolded vectors."""
    size, count, side = windows.sizes[index], windows.counts[index], windows.side
    reduced = shapes[f"windows.reduce.{index}"]
    channels, length = reduced[1], reduced[1] * size**2
    conv = canvas.block(1.8, y, f"{kernel_text(windows.reduce[index])} conv", ORANGE, 0.95)
    canvas.caption(conv, shape_text(reduced))

    square = Box(3.3, y - SQUARE / 2, 3.3 + SQUARE, y + SQUARE / 2)
    canvas.rectangle(square, GREY, 0.08)
    canvas.grid(square, side)
    canvas.caption(
        square, f"{size}×{size} windows, stride 1\n({side} − {size} + 1)² = {count} position{'s' * (count > 1)}"
    )
    columns = min(count, COLUMNS)
    caption = f"{length}×{count}\none window = {channels}×{size}×{size}\n= {length} values"
    unfolded = canvas.matrix(6.6, y, 1.35, 1.5, ORANGE, caption, columns)
    canvas.text(5.9, y + 0.15, "unfold")

    end = side - size  # the last row and column in which a window may begin
    drawn = [(0, 0, 0, "1", FIRST)]
    if end > 0:
        drawn += [(0, 1, 1, "2", NEXT), (end, end, columns - 1, str(count), LAST)]
    for row, column, vector, label, style in drawn:
        _draw_window(canvas, square, side, size, row, column, label, style)
        _draw_vector(canvas, unfolded, columns, vector, label, style)

    before, after = conv.left - 0.35, joined.left - 0.5
    canvas.arrow(stage4.east, (before, stage4.centre[1]), (before, y), conv.west)
    canvas.arrow(conv.east, square.west)
    canvas.arrow(square.east, unfolded.west)
    canvas.arrow(unfolded.east, (after, y), (after, joined.centre[1]), joined.west)


def _draw_window(
    canvas: Canvas, square: Box, side: int, size: int, row: int, column: int, label: str, style: tuple[str, str]
) -> None:
    """A window's outline with its top-left cell at (row, column), its number in a cell that no other one fills."""
    cell, (colour, dashes) = (square.right - square.left) / side, style
    left, top = square.left + column * cell, square.top - row * cell
    window = Box(left, top - size * cell, left + size * cell, top)
    canvas.rectangle(window, colour, fill=False, lw=2.6, ls=dashes, zorder=5)
    # First: top left cell; next: top right; last: bottom right.
    at_right, at_bottom = (row, column) != (0, 0), row > 0
    x, side_of_x = (window.right - cell / 6, "right") if at_right else (window.left + cell / 6, "left")
    y = window.bottom + cell / 2 if at_bottom else window.top - cell / 2
    canvas.text(x, y, label, color=colour, weight="bold", ha=side_of_x)


def _draw_vector(canvas: Canvas, unfolded: Box, columns: int, index: int, label: str, style: tuple[str, str]) -> None:
    """A window's unfolded vector: one column, outlined and numbered as the window is."""
    width, (colour, dashes) = (unfolded.right - unfolded.left) / columns, style
    left = unfolded.left + index * width
    canvas.rectangle(
        Box(left, unfolded.bottom, left + width, unfolded.top), colour, fill=False, lw=2.0, ls=dashes, zorder=5
    )
    canvas.text(left + width / 2, unfolded.top + 0.13, label, color=colour, weight="bold")
