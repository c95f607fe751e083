"""The one style of all figures: type, colours everybody can tell apart, and files whose bytes are repeatable."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from io import BytesIO
from pathlib import Path
from threading import RLock
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from cscelab.figures.alt import alt_text as alt_text

# Okabe & Ito (2008): eight colours that stay apart under every common colour blindness.
BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#6B6B6B"
PALETTE = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, BLACK)

# Nothing is told by colour alone: each verdict has a colour, a mark and a line style.
RIGHT, RIGHT_MARK, RIGHT_LINE = GREEN, "✓", "-"
WRONG, WRONG_MARK, WRONG_LINE = VERMILION, "✗", "--"

DPI = 150
DRAWING = RLock()
LARGE_PNG = 1_500_000  # bytes before hard compression; figures are committed
# Any: matplotlib types the keys of such a dict in some versions and not in others.
STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=PALETTE),
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 100,
    # Text as outlines: the same picture wherever the fonts differ. The salt makes identifiers repeatable.
    "svg.fonttype": "path",
    "svg.hashsalt": "cscelab",
}


@contextmanager
def styled() -> Iterator[None]:
    """The style for a `with` block, or as `@styled()` for one function; matplotlib's settings come back afterwards.

    Those settings are one set a process, and JupyterLab runs widgets' callbacks in a thread beside the cells': one
    thread draws at a time.
    """
    with DRAWING, matplotlib.rc_context(STYLE):
        yield


class Picture(Figure):
    """A Figure outside pyplot's register of figures that still displays itself as a notebook cell's value."""

    alt: str = ""  # what a screen reader says; `alt_text` composes it where it is empty

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        with styled():
            self.savefig(buffer, format="png", dpi=self.dpi)
        return buffer.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return shown(self)


def shown(figure: Figure) -> dict[str, str]:
    """A figure as Jupyter's display data: an HTML image, since JupyterLab gives bare PNGs no alt text, and the PNG."""
    buffer = BytesIO()
    with styled():  # little compression: a widget's picture is looked at once, and packing it takes longer than sending
        figure.savefig(buffer, format="png", dpi=figure.dpi, pil_kwargs={"compress_level": 1})
    png = b64encode(buffer.getvalue()).decode("ascii")
    alt = alt_text(figure)
    html = f'<img alt="{escape(alt)}" src="data:image/png;base64,{png}" style="max-width:100%;background:white">'
    return {"text/html": html, "image/png": png, "text/plain": alt}


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """An empty Figure of width x height inches; nothing to close, headless, safe to make in any thread."""
    return Picture(figsize=(width, height), **options)


def tint(colour: str, strength: float) -> tuple[float, float, float]:
    """The colour mixed with white: strength 0 is white, 1 the colour itself."""
    if not 0 <= strength <= 1:
        raise ValueError(f"a tint of strength {strength} was asked for; give a number from 0 (white) to 1")
    red, green, blue = (1 - strength * (1 - channel) for channel in to_rgb(colour))
    return red, green, blue


def verdict(is_right: bool) -> tuple[str, str, str]:
    """(colour, mark, line style) of a right or a wrong answer."""
    return (RIGHT, RIGHT_MARK, RIGHT_LINE) if is_right else (WRONG, WRONG_MARK, WRONG_LINE)


def save(figure: Figure, path: str | Path) -> list[Path]:
    """Writes path.png (150 dots per inch) and path.svg, makes the folder, and returns both paths.

    The same figure gives the same bytes: no dates, no program versions, repeatable SVG identifiers.
    Raises ValueError where the path already ends in .png or .svg.
    """
    path = Path(path)
    if path.suffix.lower() in (".png", ".svg"):
        raise ValueError(f"{path} has a suffix; give the path without it, both .png and .svg are written")
    path.parent.mkdir(parents=True, exist_ok=True)
    png, svg = (path.with_name(path.name + suffix) for suffix in (".png", ".svg"))
    drawn = BytesIO()
    with styled():
        figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None}, pil_kwargs={"compress_level": 1})
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
    with Image.open(drawn) as full:
        picture: Image.Image = full.convert("RGB")
    if drawn.tell() > LARGE_PNG:  # many small pictures: 256 colours, dithered, look the same at a third of the size
        picture = picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
    picture.save(png, compress_level=6, dpi=(DPI, DPI))
    return [png, svg]
