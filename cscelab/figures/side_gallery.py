"""One query and the top k of several methods, a row each: ticks and crosses, distances, and what the wrong ones are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from cscelab.collection import Query
from cscelab.figures.alt import sentences
from cscelab.figures.hits import SMALL, TEXT
from cscelab.figures.mosaic import LINE, POINT, Mosaic, wrap
from cscelab.figures.side_by_side import Coded, check_comparable, mark
from cscelab.figures.style import BLUE, GREY, styled, verdict
from cscelab.neighbours import Neighbours, name_in_line, name_of, unit_of

WIDTH, MARGIN, GAP = 10.0, 0.12, 0.06  # inches
LABEL = 1.5  # width of a method's name and score
QUERY_SIDE = 0.95
NAME_LINES = 3  # of a wrong image's class


@styled()
def gallery_figure(coded: Sequence[Coded], row: int = 0, k: int = 10) -> Figure:
    """The k nearest images of a query (`row` of the queries) by each method; equal distances rank by id.

    Under each image a tick or a cross and its Hamming distance, and under a wrong one its class. Raises ValueError for
    a row that is not there or k < 1.
    """
    check_comparable(coded)
    query = coded[0].collection.query(row)
    found = [one.collection.find(query, k) for one in coded]
    left = MARGIN + LABEL
    side = (WIDTH - MARGIN - left - (k - 1) * GAP) / k
    names = [_wrong_names(one, hits, side) for one, hits in zip(coded, found, strict=True)]
    below = [0.1 + (TEXT + max(map(len, each), default=0) * SMALL) * LINE * POINT for each in names]
    head = MARGIN + QUERY_SIDE + 0.16
    sheet = Mosaic(WIDTH, head + sum(side + space for space in below) + GAP * len(coded))
    unit = unit_of(one.layout for one in coded)
    _head(sheet, query, len(coded[0].collection.splits.database), unit)
    said = [f"Query: {query.title}"]
    corners: dict[bool, list[Any]] = {True: [], False: []}
    y = head
    for one, hits, wrong, space in zip(coded, found, names, below, strict=True):
        precision = one.average_precision[row]
        name = wrap(one.method, LABEL - 0.1, TEXT, bold=True)
        below_name = [*wrap(str(one.layout), LABEL - 0.1, TEXT), f"AP {precision:.3f}"]
        sheet.text(MARGIN, y, "\n".join(name), TEXT, weight="bold")
        sheet.text(MARGIN, y + len(name) * TEXT * LINE * POINT, "\n".join(below_name), TEXT, color=GREY)
        images = one.collection.splits.database.images[hits.rows]
        _strip(sheet, left, y, side, images)
        for place, (distance, right, lines) in enumerate(zip(hits.distances, hits.right, wrong, strict=True)):
            x = left + place * (side + GAP)
            colour, sign, _ = verdict(bool(right))
            corners[bool(right)].append([(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)])
            sheet.text(x, y + side + 0.04, f"{sign} d={distance}", TEXT, color=colour, weight="bold")
            if lines:
                sheet.text(x, y + side + 0.04 + TEXT * LINE * POINT, "\n".join(lines), SMALL)
        said.append(_in_words(one, hits, precision))
        y += side + space + GAP
    for right, frames in corners.items():
        colour, _, line = verdict(right)
        sheet.axes.add_collection(LineCollection(frames, colors=colour, linestyles=line, linewidths=2.2, zorder=5))
    sheet.figure.alt = sentences(said)  # type: ignore[attr-defined]
    return mark(sheet.figure, coded)


def _head(sheet: Mosaic, query: Query, n_database: int, unit: str) -> None:
    sheet.picture(MARGIN, MARGIN, QUERY_SIDE, query.image, edge=BLUE)
    x, width = MARGIN + QUERY_SIDE + 0.18, WIDTH - 2 * MARGIN - QUERY_SIDE - 0.18
    title = wrap(query.title, width, 12, bold=True)
    sheet.text(x, MARGIN, "\n".join(title), 12, weight="bold")
    note = (
        f"Nearest first, of {n_database:,} database images; d: {unit} that differ. ✓ solid: shares a class with the "
        "query; ✗ dashed: does not, and its class is named."
    )
    sheet.paragraph(x, MARGIN + len(title) * 12 * LINE * POINT + 0.08, width, note, TEXT, color=GREY)


def _strip(sheet: Mosaic, x: float, y: float, side: float, images: np.ndarray) -> None:
    """Images (k, H, W, 3) in a row, as one picture: a dozen times quicker to draw than one by one."""
    n, height, width = images.shape[:3]
    gap = max(1, round(GAP / side * width))
    strip = np.full((height, n * width + (n - 1) * gap, 3), 255, np.uint8)
    for place, image in enumerate(images):
        start = place * (width + gap)
        strip[:, start : start + width] = image
    right = x + n * side + (n - 1) * GAP
    sheet.axes.imshow(strip, extent=(x, right, y + side, y), aspect="auto", gid="strip")


def _wrong_names(one: Coded, hits: Neighbours, side: float) -> list[list[str]]:
    """Wrapped class names of the wrong images, nothing for the right ones."""
    labels, classes = one.collection.splits.database.labels[hits.rows], one.collection.class_names
    return [
        [] if right else wrap(name_of(label, classes), side, SMALL, NAME_LINES)
        for label, right in zip(labels, hits.right, strict=True)
    ]


def _in_words(one: Coded, hits: Neighbours, precision: float) -> str:
    labels = one.collection.splits.database.labels[hits.rows]
    wrong = [
        f"{name_in_line(label, one.collection.class_names)} at rank {rank}"
        for rank, (label, right) in enumerate(zip(labels, hits.right, strict=True), 1)
        if not right
    ]
    listed = f"; wrong: {', '.join(wrong)}" if wrong else ""
    return f"{one.name}: AP {precision:.3f}, {int(hits.right.sum())} of {len(hits.rows)} right{listed}"
