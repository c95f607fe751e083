"""What diagrams are made of: blocks, feature maps, matrices and arrows on a canvas measured in inches."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle
from matplotlib.path import Path as Outline

from cscelab.figures.style import BLACK, GREY, new_figure, tint

FONT = 10.5  # points: about 10 pixels high when a 14 inch figure is shown 1000 pixels wide
SLANT = 0.16  # inches by which the back of a feature map is shifted

Point = tuple[float, float]


class Box(NamedTuple):
    """A rectangle in inches; arrows start and end at the middle of its sides."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def centre(self) -> Point:
        return (self.left + self.right) / 2, (self.bottom + self.top) / 2

    @property
    def west(self) -> Point:
        return self.left, self.centre[1]

    @property
    def east(self) -> Point:
        return self.right, self.centre[1]

    @property
    def north(self) -> Point:
        return self.centre[0], self.top

    @property
    def south(self) -> Point:
        return self.centre[0], self.bottom


def shape_text(shape: Sequence[int]) -> str:
    """A traced shape without its batch dimension: (1, 64, 7, 7) -> "64×7×7"."""
    return "×".join(str(size) for size in shape[1:])


class Canvas:
    """A figure drawn at true size: x to the right and y upward in inches, width fixed at the end."""

    def __init__(self, height: float):
        self.height = height
        self.figure: Figure = new_figure(1, height)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()

    def finish(self, width: float, title: str) -> Figure:
        """Fixes the width, writes the title and returns the figure."""
        self.text(0.2, self.height - 0.22, title, size=FONT + 2, ha="left", weight="bold")
        self.figure.set_size_inches(width, self.height)
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(0, self.height)
        return self.figure

    def text(self, x: float, y: float, text: str, size: float = FONT, **options: Any) -> None:
        settings: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "color": BLACK,
            "zorder": 6,
            "linespacing": 1.25,
        } | options
        self.axes.text(x, y, text, fontsize=size, **settings)

    def caption(self, box: Box, text: str) -> None:
        """Lines under a box."""
        self.text(box.centre[0], box.bottom - 0.06, text, va="top")

    def block(
        self, x: float, y: float, title: str, colour: str, width: float, height: float = 0.44, caption: str = ""
    ) -> Box:
        """An operation: a rounded block whose west is at (x, y)."""
        box = Box(x, y - height / 2, x + width, y + height / 2)
        self._rounded(box, tint(colour, 0.28), colour, 1.2, 3)
        self.text(*box.centre, title)
        self.caption(box, caption)
        return box

    def feature_map(self, x: float, y: float, shape: Sequence[int], colour: str, caption: str) -> Box:
        """A slab as high as its map's side and as thick as its channels, both on a log scale; shape (1, C, H, W)."""
        thickness, face = 0.04 + 0.04 * log2(shape[1]), 0.08 + 0.15 * log2(1 + shape[-1])
        front = Box(x, y - face / 2, x + thickness, y + face / 2)
        left, bottom, right, top = front
        sides = {
            0.35: [(left, bottom), (right, bottom), (right, top), (left, top)],
            0.2: [(left, top), (right, top), (right + SLANT, top + SLANT), (left + SLANT, top + SLANT)],
            0.55: [(right, bottom), (right, top), (right + SLANT, top + SLANT), (right + SLANT, bottom + SLANT)],
        }
        for strength, corners in sides.items():
            self.axes.add_patch(Polygon(corners, fc=tint(colour, strength), ec=colour, lw=1.1, zorder=3))
        self.text((left + right + SLANT) / 2, bottom - 0.06, caption, va="top")
        return Box(left, bottom, right + SLANT, top)

    def matrix(
        self, x: float, y: float, width: float, height: float, colour: str, caption: str, columns: int = 6
    ) -> Box:
        """A matrix or, with one column, a vector: a rectangle with its columns ruled."""
        box = Box(x, y - height / 2, x + width, y + height / 2)
        self.rectangle(box, colour)
        for column in range(1, columns):
            at = x + width * column / columns
            self.axes.plot([at, at], [box.bottom, box.top], color=colour, lw=0.6, zorder=4)
        self.caption(box, caption)
        return box

    def code(self, x: float, y: float, caption: str) -> Box:
        """A binary code around (x, y): cells with a sign each, dark for + and light for -."""
        signs, cell = "+−−+−", 0.19
        box = Box(x - len(signs) * cell / 2, y - 0.13, x + len(signs) * cell / 2, y + 0.13)
        for index, sign in enumerate(signs):
            left = box.left + index * cell
            self.rectangle(Box(left, box.bottom, left + cell, box.top), BLACK, 0.75 if sign == "+" else 0.05)
            self.text(left + cell / 2, y, sign, color="white" if sign == "+" else BLACK)
        self.caption(box, caption)
        return box

    def picture(self, box: Box, image: Any) -> None:
        """An (H, W, 3) uint8 image stretched over a box."""
        extent = (box.left, box.right, box.bottom, box.top)
        self.axes.imshow(image, extent=extent, zorder=4, aspect="auto", interpolation="antialiased")

    def rectangle(self, box: Box, colour: str, strength: float = 0.35, **options: Any) -> None:
        settings: dict[str, Any] = {"fc": tint(colour, strength), "ec": colour, "lw": 1.1, "zorder": 3} | options
        width, height = box.right - box.left, box.top - box.bottom
        self.axes.add_patch(Rectangle((box.left, box.bottom), width, height, **settings))

    def grid(self, box: Box, side: int) -> None:
        """Rules of a side x side map over a square."""
        cell = (box.right - box.left) / side
        for index in range(side + 1):
            x, y = box.left + index * cell, box.bottom + index * cell
            self.axes.plot([x, x], [box.bottom, box.top], color=GREY, lw=0.5, zorder=4)
            self.axes.plot([box.left, box.right], [y, y], color=GREY, lw=0.5, zorder=4)

    def operator(self, x: float, y: float, symbol: str, radius: float = 0.15) -> Box:
        """A circled sign around (x, y): a product, a difference, a concatenation."""
        self.axes.add_patch(Circle((x, y), radius, fc="white", ec=BLACK, lw=1.2, zorder=5))
        self.text(x, y, symbol, size=FONT + 1)
        return Box(x - radius, y - radius, x + radius, y + radius)

    def panel(self, box: Box, title: str, colour: str) -> None:
        """A tinted field behind the parts that belong together, its title in the top left corner."""
        self._rounded(box, tint(colour, 0.07), tint(colour, 0.6), 1.0, 1)
        self.text(box.left + 0.08, box.top - 0.16, title, ha="left", weight="bold", color=BLACK)

    def arrow(self, *points: Point) -> None:
        """A line along the points, with its head at the last."""
        self.axes.add_patch(
            FancyArrowPatch(path=Outline(points), arrowstyle="-|>", mutation_scale=10, color=BLACK, lw=1.1, zorder=4)
        )

    def line(self, *points: Point) -> None:
        self.axes.plot(*zip(*points, strict=True), color=BLACK, lw=1.1, zorder=4, solid_capstyle="butt")

    def fork(self, x: float, y: float) -> None:
        """A dot where one line becomes two."""
        self.axes.add_patch(Circle((x, y), 0.035, fc=BLACK, ec=BLACK, zorder=5))

    def _rounded(self, box: Box, fill: Any, edge: Any, width: float, zorder: int) -> None:
        size = box.right - box.left, box.top - box.bottom
        style = "round,pad=0,rounding_size=0.07"
        self.axes.add_patch(
            FancyBboxPatch((box.left, box.bottom), *size, style, fc=fill, ec=edge, lw=width, zorder=zorder)
        )
