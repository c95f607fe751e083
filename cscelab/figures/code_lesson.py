"""A code step by hand, drawn: one bit of all codes at a time, every matrix, and the terms of one row in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from torch import Tensor

from cscelab.asymmetric import negative_weight
from cscelab.figures.alt import sentences
from cscelab.figures.code_problem import CLASSES, BitStep, bit_steps, number, objectives, spelled_out
from cscelab.figures.code_problem import SmallProblem as SmallProblem  # where its picture is, the problem is found too
from cscelab.figures.code_problem import small_problem as small_problem
from cscelab.figures.mosaic import POINT, Mosaic
from cscelab.figures.style import BLACK, BLUE, GREY, ORANGE, VERMILION, YELLOW, styled, tint

WIDTH, HEIGHT, CELL = 9.8, 5.2, 0.42  # inches, as is all below
TOP, GRAM_TOP = 1.0, 3.32  # of the matrices; of U^T U below U
LEFTS = {"U": 0.5, "S": 2.35, "V": 4.55, "pull": 6.12, "others": 6.87, "score": 7.62, "new": 8.37}
PLUS, MINUS = tint(BLUE, 0.35), tint(ORANGE, 0.35)
SIZE, HEAD_SIZE = 9, 8  # points, of numbers and of the words over and before them
Word = tuple[str, float, float]  # and its middle
WORDS = (2.15, 3.98)  # left and top of the row spelled out
CHART = (7.25, 4.15, 2.35, 0.75)  # left, top, width, height


@styled()
def code_step_figure(
    problem: SmallProblem | None = None, bit: int = 0, printed: bool = False, row: int | None = None
) -> Figure:
    """Bit `bit` (from 0) of the code step: matrices, the terms of each row, one row spelled out, the objective.

    problem: `small_problem()` by default; printed: Eq. 17 with its sign as printed; row: of V, the one spelled out, by
    default the first whose bit changes. Raises ValueError for a bit or row that is not there.
    """
    problem = small_problem() if problem is None else problem
    n, bits = problem.codes.shape
    for name, chosen, count in (("bit", bit, bits), ("row", 0 if row is None else row, n)):
        if not 0 <= chosen < count:
            raise ValueError(f"there is no {name} {chosen}; choose from 0 to {count - 1}")
    step = bit_steps(problem, printed)[bit]
    if row is None:
        row = int(step.flipped[0]) if len(step.flipped) else 0
    sheet = Mosaic(WIDTH, HEIGHT)
    which = "with the sign of Eq. 17 as printed" if printed else "with the sign that lowers the objective"
    sheet.text(0.12, 0.12, f"Code step, bit k = {bit + 1} of {bits}, {which}", 12, weight="bold")
    _matrices(sheet, problem, step, bit, row, printed)
    lines = spelled_out(problem, bit, row, printed)
    courses = {sign: objectives(problem, sign) for sign in (False, True)}
    course = courses[printed]
    before, after = course[bit : bit + 2]
    moved = "rises" if after > before else "falls" if after < before else "stays"
    lines.append(f"objective Σ (uᵢ·vⱼ − K Sᵢⱼ)² {moved}: {before:.2f} → {after:.2f}")
    sheet.text(*WORDS, "\n".join(lines), 9, linespacing=1.8)
    _chart(sheet.figure, bit, courses, printed)
    sheet.figure.alt = sentences([  # type: ignore[attr-defined]
        f"Code step on {n} database codes of {bits} bits, bit {bit + 1}, {which}",
        f"Matrices U, S, V, the two terms of every row, their difference and the new V; bits that flip: "
        f"{', '.join(f'v{r + 1}' for r in step.flipped) or 'none'}",
        lines[2],
        f"The objective goes from {before:.2f} to {after:.2f}; over the whole step "
        f"{', '.join(f'{value:.2f}' for value in course)}",
    ])  # fmt: skip
    return sheet.figure


def _matrices(sheet: Mosaic, problem: SmallProblem, step: BitStep, bit: int, row: int, printed: bool) -> None:
    """U and S^T, then, row by row of V: the code, the two terms, their difference and the new code."""
    n, bits = problem.codes.shape
    drawn = [f"u{i + 1} {CLASSES[int(label)]}" for i, label in enumerate(problem.labels)]
    stored = [f"v{j + 1} {CLASSES[int(label)]}" for j, label in enumerate(problem.database_labels)]
    every, one = [f"k={k + 1}" for k in range(bits)], [f"k={bit + 1}"]
    weight = negative_weight(problem.labels, problem.database_labels)
    heads = _grid(sheet, "U", "U: values of\nthe drawn images", problem.values, every, drawn)
    titled = f"Sᵀ: 1 alike,\n−r = −{number(weight)} otherwise"
    heads += _grid(sheet, "S", titled, problem.targets.T, [name.split()[0] for name in drawn])
    heads += _grid(sheet, "V", "V: codes\nbefore", step.before, every, stored)
    heads += _grid(sheet, "pull", "pull:\nK Sᵀ U", step.pull[:, None], one)
    heads += _grid(sheet, "others", "other\nbits", step.others[:, None], one)
    heads += _grid(sheet, "score", "others\n− pull" if printed else "pull −\nothers", step.score[:, None], one)
    heads += _grid(sheet, "new", "V: codes after:\nthe score's sign", step.after, every)
    heads += _grid(sheet, "U", "Uᵀ U, among bits", problem.gram, every, every, GRAM_TOP)
    sheet.axes.add_artist(PathPatch(outlines(heads, HEAD_SIZE), fc=GREY, lw=0, zorder=6, gid="heads"))
    for name, height, top in (("U", len(drawn), TOP), ("U", bits, GRAM_TOP), ("V", n, TOP), ("new", n, TOP)):
        _box(sheet, LEFTS[name] + bit * CELL, top, CELL, height * CELL, BLACK)
    for j in step.flipped:
        _box(sheet, LEFTS["new"] + bit * CELL + 0.04, TOP + j * CELL + 0.04, CELL - 0.08, CELL - 0.08, VERMILION)
    left, right = LEFTS["S"] - 0.06, LEFTS["new"] + bits * CELL + 0.06
    _box(sheet, left, TOP + row * CELL, right - left, CELL, BLACK, "--")
    below = TOP + n * CELL + 0.06
    sheet.text(right, below, "flipped: boxed" if len(step.flipped) else "nothing flips", 8.5, ha="right")
    sheet.text(left, below, f"dashed: v{row + 1}, spelled out below", 8.5)


def _grid(
    sheet: Mosaic,
    name: str,
    title: str,
    matrix: Tensor,
    columns: Sequence[str],
    rows: Sequence[str] = (),
    top: float = TOP,
) -> list[Word]:
    """A matrix as cells with their numbers, blue above 0, orange below; the words over columns and before rows."""
    left, (height, width) = LEFTS[name], matrix.shape
    right, bottom = left + width * CELL, top + height * CELL
    colours = ListedColormap([MINUS, (1.0, 1.0, 1.0), PLUS])
    extent = (left, right, bottom, top)
    sheet.axes.imshow(matrix.sign(), cmap=colours, vmin=-1, vmax=1, extent=extent, aspect="auto", gid=name)
    sheet.axes.vlines(left + CELL * np.arange(width + 1), top, bottom, color="white", lw=1.2)
    sheet.axes.hlines(top + CELL * np.arange(height + 1), left, right, color="white", lw=1.2)
    words = [
        (number(value, sign=True), left + (j + 0.5) * CELL, top + (i + 0.5) * CELL)
        for (i, j), value in np.ndenumerate(matrix.numpy())
    ]
    # One artist a matrix, not one a number: a click redraws this.
    sheet.axes.add_artist(PathPatch(outlines(words), fc=BLACK, lw=0, zorder=6, gid=name))
    sheet.text(left, top - 0.22, title, 8.5, va="bottom")
    over = [(word, left + (j + 0.5) * CELL, top - 0.1) for j, word in enumerate(columns)]
    before = [(word, left - 0.05 - _width(word) / 2, top + (i + 0.5) * CELL) for i, word in enumerate(rows)]
    return over + before


def outlines(words: Sequence[Word], size: float = SIZE) -> Path:
    """Outlines of words of so many points around places (x, y) of a sheet in inches, y downward."""
    moved = [Path(_glyphs(word, size).vertices + np.array([x, y]), _glyphs(word, size).codes) for word, x, y in words]
    return Path.make_compound_path(*moved)


@lru_cache(maxsize=1024)
def _glyphs(word: str, size: float) -> Path:
    """Outline of a word, its middle at (0, 0), in inches, y downward."""
    path = TextPath((0, 0), word, size=size, prop=FontProperties(family="DejaVu Sans"))
    digit = TextPath((0, 0), "0", size=size, prop=FontProperties(family="DejaVu Sans")).get_extents()
    box = path.get_extents()
    middle = (box.x0 + box.x1) / 2, (digit.y0 + digit.y1) / 2  # one line for all words, whatever their height
    return Path((path.vertices - middle) * (POINT, -POINT), path.codes)


@lru_cache(maxsize=1024)
def _width(word: str) -> float:
    """Inches that a word of HEAD_SIZE takes."""
    return float(_glyphs(word, HEAD_SIZE).get_extents().width)


def _box(
    sheet: Mosaic, left: float, top: float, width: float, height: float, colour: str, line: str = "-"
) -> None:  # fmt: skip
    right, bottom = left + width, top + height
    corners = [left, right, right, left, left], [top, top, bottom, bottom, top]
    sheet.axes.plot(*corners, color=colour, ls=line, lw=1.8 if line == "-" else 1.0, zorder=5)


def _chart(figure: Figure, bit: int, courses: dict[bool, list[float]], printed: bool) -> None:
    """The objective after each bit, with the sign that was asked for and, thin, with the other one."""
    left, top, width, height = CHART
    axes = figure.add_axes((left / WIDTH, 1 - (top + height) / HEIGHT, width / WIDTH, height / HEIGHT))
    for sign, course in courses.items():
        colour, line, marker = (VERMILION, "--", "s") if sign else (BLUE, "-", "o")
        size, thickness = (6, 2.0) if sign == printed else (3, 1.0)
        label = "as printed" if sign else "corrected (ours)"
        axes.plot(course, color=colour, ls=line, marker=marker, ms=size, lw=thickness, label=label)
    for place, value in enumerate(courses[printed]):
        now = place in (bit, bit + 1)
        axes.annotate(f"{value:.1f}", (place, value), (0, 6 if printed else -14), textcoords="offset points",
                      ha="center", fontsize=8.5, weight="bold" if now else "normal")  # fmt: skip
    axes.axvspan(bit, bit + 1, color=tint(YELLOW, 0.35), zorder=0)
    axes.set_xticks(range(len(courses[printed])), ["before", *(f"k={k}" for k in range(1, len(courses[printed])))])
    axes.tick_params(labelsize=8)
    axes.set_title("objective after each bit", fontsize=8.5, pad=16, weight="normal")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.95), ncols=2, fontsize=8, borderpad=0, handlelength=2.2)
    axes.margins(x=0.12, y=0.6)
