"""Pictures and words on one sheet, at places in inches from the top left corner."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from cscelab.figures.style import BLACK, new_figure

POINT = 1 / 72  # inches
LINE = 1.25  # height of a line of text in font sizes
ON_SCREEN = 1.05  # letters on whole pixels: up to so much wider than measured, from 100 dots per inch on
ELLIPSIS = " …"


@cache
def _advance(character: str, bold: bool) -> float:
    """Width of a character in font sizes."""
    font = get_font(findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")))
    font.set_size(100, 72)
    return float(font.load_char(ord(character)).linearHoriAdvance) / 65536 / 100


def width_of(text: str, size: float, bold: bool = False) -> float:
    """Inches that words take at `size` points."""
    return sum(_advance(character, bold) for character in text) * size * POINT


def wrap(text: str, width: float, size: float, most: int | None = None, bold: bool = False) -> list[str]:
    """Lines of `text` no wider than `width` inches at `size` points, on a screen too, broken at spaces, after hyphens
    and where the text is; at most `most`, where an ellipsis then ends the last. A single longer word is left whole."""
    lines = [line for part in text.split("\n") for line in _wrap_line(part, width, size, bold)]
    return lines if most is None or len(lines) <= most else [*lines[: most - 1], lines[most - 1] + ELLIPSIS]


def _wrap_line(text: str, width: float, size: float, bold: bool) -> list[str]:
    lines, width = [""], width / ON_SCREEN
    for piece in re.findall(r"\S+?(?:-(?=\w)|\s+|$)", text):
        if lines[-1] and width_of((lines[-1] + piece).rstrip(), size, bold) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


class Mosaic:
    """A figure whose one set of axes is measured in inches, y downward. One axes for all pictures: quick to draw."""

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height
        self.figure: Figure = new_figure(width, height)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(height, 0)
        self.axes.set_autoscale_on(False)

    def picture(
        self,
        x: float,
        y: float,
        side: float,
        image: np.ndarray,
        edge: str | None = None,
        line: str = "-",
        outline: np.ndarray | None = None,
        **options: Any,
    ) -> None:
        """An image (H, W) or (H, W, 3) in a square; edge, line: a frame's colour and style; outline: a mask (H, W)."""
        place = (x, x + side, y + side, y)  # left, right, bottom, top
        self.axes.imshow(image, extent=place, aspect="auto", **options)
        if outline is not None:
            self.outline(x, y, side, outline)
        if edge is not None:
            corners = [x, x + side, x + side, x, x], [y, y, y + side, y + side, y]
            self.axes.plot(*corners, color=edge, lw=2.2, ls=line, zorder=5, gid="frame")

    def outline(self, x: float, y: float, side: float, mask: np.ndarray) -> None:
        """The edge of a mask (H, W) over a picture at the same place, white on black, to be seen on any ground."""
        inside = np.asarray(mask) > 0
        if not inside.any() or inside.all():
            return
        step = side / len(inside)
        rows, columns = (start + step * (np.arange(len(inside)) + 0.5) for start in (y, x))
        for colour, width in ((BLACK, 2.0), ("white", 0.9)):
            self.axes.contour(columns, rows, inside, levels=[0.5], colors=colour, linewidths=width, zorder=4)

    def text(self, x: float, y: float, text: str, size: float = 9, **options: Any) -> None:
        """Words whose top, unless `va` says otherwise, is at y; `ha` is left by default."""
        settings: dict[str, Any] = {"ha": "left", "va": "top", "color": BLACK, "linespacing": 1.2} | options
        self.axes.text(x, y, text, fontsize=size, zorder=6, **settings)

    def paragraph(self, x: float, y: float, width: float, text: str, size: float = 9, **options: Any) -> float:
        """Words wrapped to `width`; returns the y below them."""
        lines = wrap(text, width, size)
        self.text(x, y, "\n".join(lines), size, **options)
        return y + len(lines) * LINE * size * POINT


def paragraph_height(width: float, text: str, size: float = 9) -> float:
    """Inches that `Mosaic.paragraph` will take."""
    return len(wrap(text, width, size)) * LINE * size * POINT
