"""A query and its nearest images out of the index of a folder, with distances and file names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cscelab.datasets.decoding import UnreadableImageError, decode
from cscelab.figures.alt import sentences
from cscelab.figures.mosaic import LINE, ON_SCREEN, POINT, Mosaic, width_of
from cscelab.figures.style import BLUE, DPI, GREY, styled
from cscelab.paths import make_folder
from cscelab.photoindex.answers import Answer
from cscelab.photoindex.lookup import PhotoIndex
from cscelab.photoindex.walk import shown

WIDTH, MARGIN, GAP = 10.0, 0.15, 0.12  # inches
QUERY = 2.0  # side of a query's picture
COLUMNS, MOST_HITS, MOST_QUERIES = 5, 10, 40
HEAD, FOOT, SPACE = 0.5, 0.35, 0.2  # above, below, and between rows
TEXT, SMALL = 9.0, 7.5  # points: of distances, of file names
NAME_LINES = 3
PIXELS = 256  # side of a picture as it is drawn
LEFT = MARGIN + QUERY + 3 * GAP  # where the results begin
SIDE = (WIDTH - LEFT - MARGIN - (COLUMNS - 1) * GAP) / COLUMNS  # of a result
EMPTY_SHADE = 236


@styled()
def nearest_gallery(index: PhotoIndex, answers: Sequence[Answer]) -> Figure:
    """Each query on the left, its nearest MOST_HITS images on the right, nearest first, row by row.

    Pictures are read from their files now: the centre square, as the encoder sees it. A file that is gone or damaged
    since it was indexed is an empty square that says so. Raises ValueError for more than MOST_QUERIES queries.
    """
    if not 0 < len(answers) <= MOST_QUERIES:
        raise ValueError(f"a gallery of {len(answers)} queries was asked for; give 1 to {MOST_QUERIES}")
    unit = index.layout.unit
    blocks = [_Block(answer) for answer in answers]
    sheet = Mosaic(WIDTH, HEAD + sum(block.height for block in blocks) + FOOT)
    sheet.text(MARGIN, 0.12, "Query", 12, weight="bold")
    sheet.text(LEFT, 0.12, f"Nearest images, by distance d in {unit}", 12, weight="bold")
    y = HEAD
    for block in blocks:
        block.draw(sheet, y, index)
        y += block.height
    size = f"{index.layout} by {index.encoder}, {len(index.photos):,} images"
    note = f"Codes of {size}. Shown are the centre squares that the encoder sees."
    sheet.text(MARGIN, y + 0.02, note, SMALL, color=GREY, parse_math=False)
    sheet.figure.alt = sentences(_in_words(answer, unit) for answer in answers)  # type: ignore[attr-defined]
    return sheet.figure


def save_png(figure: Figure, path: Path) -> Path:
    """Writes one PNG file, whole or not at all. Raises ValueError where the name doesn't end in .png, OSError where it
    cannot be written."""
    check_png(path)
    make_folder(path.parent, "name another file with --gallery")
    drawn = BytesIO()
    with styled():
        figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(drawn.getvalue())
    temporary.replace(path)
    return path


def check_png(path: Path) -> None:
    """Raises ValueError where the name doesn't end in .png."""
    if path.suffix.lower() != ".png":
        raise ValueError(f"the gallery was to be written to {path}; give a name that ends in .png")


def fitted(name: str, width: float, size: float, most: int) -> list[str]:
    """A file's name in at most so many lines of `width` inches, broken behind a / or one of _-. and space where that is
    not far, else anywhere; of a longer one the end, which tells files apart, behind an ellipsis."""
    lines = _broken(name, width / ON_SCREEN, size)
    cut = name
    while len(lines) > most:
        cut = cut[max(1, len(cut) // 20) :]
        lines = _broken("…" + cut, width / ON_SCREEN, size)
    return lines


def _broken(name: str, width: float, size: float) -> list[str]:
    lines, line = [], ""
    for character in name:
        if line and width_of(line + character, size) > width:
            ends = [line.rfind("/") + 1, max(map(line.rfind, "_-. ")) + 1, len(line)]
            end = next(end for end in ends if end > len(line) / 2)
            lines.append(line[:end])
            line = line[end:]
        line += character
    return [*lines, line]


class _Block:
    """A query and its results: the lines of their names, and how high everything is, in inches."""

    def __init__(self, answer: Answer):
        self.answer, self.hits = answer, answer.hits[:MOST_HITS]
        self.name = fitted(shown(str(answer.query)), QUERY, SMALL, NAME_LINES)
        self.names = [fitted(shown(hit.path), SIDE, SMALL, NAME_LINES) for hit in self.hits]
        rows = [self.names[start : start + COLUMNS] for start in range(0, len(self.names), COLUMNS)]
        self.rows = [SIDE + (TEXT + SMALL * max(map(len, row))) * LINE * POINT + SPACE for row in rows]
        self.height = max(QUERY + len(self.name) * SMALL * LINE * POINT + SPACE, sum(self.rows))

    def draw(self, sheet: Mosaic, top: float, index: PhotoIndex) -> None:
        _picture(sheet, MARGIN, top, QUERY, self.answer.query, edge=BLUE)
        _write(sheet, MARGIN, top + QUERY + 0.06, self.name)
        if not self.hits:
            sheet.text(LEFT, top + QUERY / 2, "nothing was found", TEXT, color=GREY, va="center")
        for place, (hit, name) in enumerate(zip(self.hits, self.names, strict=True)):
            x, y = LEFT + place % COLUMNS * (SIDE + GAP), top + sum(self.rows[: place // COLUMNS])
            _picture(sheet, x, y, SIDE, index.path(hit.id), edge=BLUE if hit.itself else None)
            below = y + SIDE + 0.05
            sheet.text(x, below, f"d={hit.distance}" + (" itself" if hit.itself else ""), TEXT, weight="bold")
            _write(sheet, x, below + TEXT * LINE * POINT, name)


def _write(sheet: Mosaic, x: float, y: float, lines: list[str]) -> None:
    sheet.text(x, y, "\n".join(lines), SMALL, parse_math=False)  # a $ in a name is no mathematics


def _picture(sheet: Mosaic, x: float, y: float, side: float, file: Path, edge: str | None) -> None:
    try:
        sheet.picture(x, y, side, decode(file.read_bytes(), PIXELS, PIXELS), edge=edge)
    except (OSError, UnreadableImageError) as error:
        blank = np.full((1, 1, 3), EMPTY_SHADE, np.uint8)
        sheet.picture(x, y, side, blank, edge=edge)
        why = "file is gone" if isinstance(error, FileNotFoundError) else "cannot be read"
        sheet.text(x + side / 2, y + side / 2, why, TEXT, ha="center", va="center", color=GREY)


def _in_words(answer: Answer, unit: str) -> str:
    found = "; ".join(
        f"{shown(os.path.basename(hit.path))} at {hit.distance} {unit}" for hit in answer.hits[:MOST_HITS]
    )
    return f"Query {shown(answer.query.name)}: {found or 'nothing was found'}"
