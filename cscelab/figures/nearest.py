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
from cscelab.photoindex.notes import notes
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
    check_queries(len(answers))
    unit = index.layout.unit
    blocks = [_Block(answer) for answer in answers]
    size = f"{index.layout} by {index.encoder}, {len(index.photos):,} images"
    said = [f"Codes of {size}. Shown are the centre squares that the encoder sees.", *map(_sentence, notes(index))]
    lines = [line for text in said for line in fitted(text, WIDTH - 2 * MARGIN, SMALL, NAME_LINES)]
    sheet = Mosaic(WIDTH, HEAD + sum(block.height for block in blocks) + FOOT + (len(lines) - 1) * SMALL * LINE * POINT)
    sheet.text(MARGIN, 0.12, "Query", 12, weight="bold")
    sheet.text(LEFT, 0.12, f"Nearest images, by distance d in {unit}", 12, weight="bold")
    y = HEAD
    for block in blocks:
        block.draw(sheet, y, index)
        y += block.height
    sheet.text(MARGIN, y + 0.02, "\n".join(lines), SMALL, color=GREY, parse_math=False)
    sheet.figure.alt = sentences(_in_words(answer, unit) for answer in answers)  # type: ignore[attr-defined]
    return sheet.figure


def save_png(figure: Figure, path: Path) -> Path:
    """Writes one PNG file, whole or not at all. Raises as `check_png`."""
    check_png(path)
    drawn = BytesIO()
    with styled():
        figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(drawn.getvalue())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def check_png(path: Path) -> None:
    """Makes the folder of a gallery. Raises ValueError where the name doesn't end in .png or is a folder's, OSError
    where nothing can be written there."""
    if path.suffix.lower() != ".png":
        raise ValueError(f"the gallery was to be written to {path}; give a name that ends in .png")
    if path.is_dir():
        raise ValueError(f"the gallery was to be written to the folder {path}; name a file with --gallery")
    make_folder(path.parent, "name another file with --gallery")


def check_queries(n: int) -> None:
    """Raises ValueError where a gallery does not hold so many."""
    if not 0 < n <= MOST_QUERIES:
        raise ValueError(f"a gallery of {n} queries was asked for; give 1 to {MOST_QUERIES}")


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
        self.left_out = _left_out(answer)
        self.names = [fitted(shown(hit.path), SIDE, SMALL, NAME_LINES) for hit in self.hits]
        rows = [self.names[start : start + COLUMNS] for start in range(0, len(self.names), COLUMNS)]
        self.rows = [SIDE + (TEXT + SMALL * max(map(len, row))) * LINE * POINT + SPACE for row in rows]
        under = (len(self.name) + bool(self.left_out) * 2) * SMALL * LINE * POINT
        self.height = max(QUERY + under + SPACE, sum(self.rows))

    def draw(self, sheet: Mosaic, top: float, index: PhotoIndex) -> None:
        _picture(sheet, MARGIN, top, QUERY, self.answer.query, edge=BLUE)
        _write(sheet, MARGIN, top + QUERY + 0.06, [*self.name, "", self.left_out] if self.left_out else self.name)
        if not self.hits:
            sheet.text(LEFT, top + QUERY / 2, "nothing was found", TEXT, color=GREY, va="center")
        for place, (hit, name) in enumerate(zip(self.hits, self.names, strict=True)):
            x, y = LEFT + place % COLUMNS * (SIDE + GAP), top + sum(self.rows[: place // COLUMNS])
            _picture(sheet, x, y, SIDE, index.path(hit.id), edge=BLUE if hit.itself else None)
            below = y + SIDE + 0.05
            remark = " itself" if hit.itself else " same bytes" if hit.copy else ""
            sheet.text(x, below, f"d={hit.distance}{remark}", TEXT, weight="bold")
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


def _left_out(answer: Answer) -> str:
    """What the answer has beyond what is drawn: "" where that is nothing."""
    if len(answer.hits) > MOST_HITS:
        return f"first {MOST_HITS} of {len(answer.hits):,} found"
    return f"{answer.tied:,} more at d={answer.hits[-1].distance}" if answer.tied else ""


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _in_words(answer: Answer, unit: str) -> str:
    found = "; ".join(
        f"{shown(os.path.basename(hit.path))} at {hit.distance} {unit}" for hit in answer.hits[:MOST_HITS]
    )
    rest = f"; {_left_out(answer)}" if _left_out(answer) else ""
    return f"Query {shown(answer.query.name)}: {found or 'nothing was found'}{rest}"
