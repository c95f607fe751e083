"""Alt texts: what is drawn and its numbers in words, for those who do not see the picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.category import StrCategoryFormatter
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter

MOST_TEXTS = 12  # of a mosaic
LONGEST = 600  # characters: what is longer, nobody listens to
FEW = 5  # points of a curve that are all said
SYMBOLS = {"Vert": "‖", "neq": "≠", "times": "×", "pm": "±", "theta": "θ", "psi": "ψ", "cdot": "·", "leq": "≤",
           "geq": "≥", "infty": "∞", "to": "→"}  # fmt: skip
WORDLESS = r"\\(?:(?:mathrm|mathbf|mathit|bf|rm|it|text|left|right)(?![A-Za-z])|[,;:! ])"


def alt_text(figure: Figure) -> str:
    """The figure's own `alt`; else its titles, axes, and the numbers of its labelled curves and its bars."""
    if own := getattr(figure, "alt", ""):
        return own
    panels = [words for axes in figure.axes if (words := _panel(axes))]
    if not panels:  # a mosaic of pictures: its texts say what stands where
        panels = [text.get_text() for axes in figure.axes for text in axes.texts][:MOST_TEXTS]
    said = sentences([figure.get_suptitle(), *panels])
    n_pictures = sum(len(axes.images) for axes in figure.axes)
    kind = f"{n_pictures} picture{'s' * (n_pictures > 1)}" if n_pictures else "Drawing"
    return said or f"{kind} without words."


def sentences(parts: Iterable[str], most: int = LONGEST) -> str:
    """Parts as sentences in one line of plain words; where that grows longer than `most`, later clauses (behind
    semicolons) and sentences are left out, and the last words say so."""
    said = ""
    for part in parts:
        clauses, joint = plain(part).rstrip(".").split("; "), " " if said else ""
        if not clauses[0]:
            continue
        for clause in clauses:
            if said and len(said) + len(joint) + len(clause) > most:
                return f"{said.rstrip('.')}; and more."
            said, joint = f"{said}{joint}{clause}", "; "
        said += "."
    return said


def plain(text: str) -> str:
    """Mathematics as plain words and symbols, in one line: "$f_l - \\,f_g^T f_{t2}$" -> "f_l - f_g^T f_t2"."""
    return " ".join(re.sub(r"\$([^$]*)\$", lambda found: _symbols(found[1]), text).replace("$", "").split())


def _symbols(mathematics: str) -> str:
    words = re.sub(WORDLESS, " ", mathematics)
    words = re.sub(r"\\([A-Za-z]+)", lambda found: SYMBOLS.get(found[1], found[1]), words)
    return re.sub(r"[{}\\]", "", words)


def rounded(value: float) -> str:
    """A number in three figures."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}".replace("-", "−")


def _panel(axes: Axes) -> str:
    """One set of axes: "title: y by x; curves"."""
    title = next((axes.get_title(loc) for loc in ("left", "center", "right") if axes.get_title(loc)), "")
    measured = " by ".join(label for label in (axes.get_ylabel(), axes.get_xlabel()) if label)
    head = ": ".join(words for words in (title, measured) if words)
    return "; ".join([*filter(None, [head]), *_curves(axes), *_bars(axes)])


def _curves(axes: Axes) -> list[str]:
    """Every labelled line, or a single one without a label."""
    bound = {
        id(part.lines[0]): str(part.get_label()) for part in axes.containers if isinstance(part, ErrorbarContainer)
    }
    named: list[tuple[str, Line2D]] = []
    for line in axes.lines:
        label = bound.get(id(line), str(line.get_label()))
        if not label.startswith("_") and len(np.atleast_1d(line.get_ydata())):
            named.append((label, line))
    if not named and not axes.containers and len(axes.lines) == 1:
        named = [("the curve", axes.lines[0])]
    return [f"{label} {course(np.asarray(line.get_ydata(), float))}" for label, line in named]


def course(values: np.ndarray | Sequence[float]) -> str:
    """How numbers go: all where they are few, else first and last, with the lowest and highest beyond these."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    if not len(known):
        return "nowhere"
    if len(known) == 1 or (known == known[0]).all():
        return f"at {rounded(known[0])}"
    if len(known) <= FEW:
        return ", ".join(rounded(value) for value in known)
    said = f"from {rounded(known[0])} to {rounded(known[-1])}"
    if known.min() < min(known[0], known[-1]):
        said += f", lowest {rounded(known.min())}"
    if known.max() > max(known[0], known[-1]):
        said += f", highest {rounded(known.max())}"
    return said


def _bars(axes: Axes) -> list[str]:
    """Every group of bars: how many, and the largest with its place."""
    said = []
    for group in axes.containers:
        if not isinstance(group, BarContainer) or not len(group.patches):
            continue
        upright = group.orientation != "horizontal"
        sizes = np.array([bar.get_height() if upright else bar.get_width() for bar in group.patches])
        at = int(np.abs(sizes).argmax())
        bar = group.patches[at]
        middle = bar.get_x() + bar.get_width() / 2 if upright else bar.get_y() + bar.get_height() / 2
        place = _named(axes.xaxis if upright else axes.yaxis).get(round(float(middle), 9), rounded(float(middle)))
        label = str(group.get_label())
        name = "bars" if label.startswith("_") else f"bars ({label})"
        said.append(f"{len(sizes)} {name}, the largest {rounded(sizes[at])} at {place}")
    return said


def _named(axis: Axis) -> dict[float, str]:
    """Place -> name of an axis whose places have names; empty for one of numbers."""
    if not isinstance(axis.get_major_formatter(), (FixedFormatter, StrCategoryFormatter)):
        return {}
    return dict(zip(axis.get_ticklocs(), (label.get_text() for label in axis.get_ticklabels()), strict=False))
