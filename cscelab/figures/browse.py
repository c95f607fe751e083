"""What the query browser shows, as pictures and a table: the nearest images of a query, and the bits of one pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from cscelab.collection import Collection, Query, check_same_images
from cscelab.datasets.loader import as_tensor
from cscelab.explain import code_cams
from cscelab.figures.hits import GAP, TEXT, Hits, hits_of
from cscelab.figures.mosaic import LINE, POINT, Mosaic, wrap
from cscelab.figures.overlay import overlaid as overlaid  # a browser lays its own
from cscelab.figures.pairbits import bits_figure as bits_figure  # the third picture of a browser
from cscelab.figures.provenance import stamp
from cscelab.figures.style import BLUE, GREY, styled
from cscelab.neighbours import Neighbours, name_in_line, unit_of

WIDTH, MARGIN = 10.0, 0.12  # inches
HEAD = 0.27  # height of a method's heading
QUERY_SIDE = 1.25
PER_LINE = 10
SCALE = 2  # of an exported picture to the screen's
INK = TEXT * LINE * POINT  # inches that a line of text takes


@styled()
def browse_figure(
    collections: Sequence[Collection],
    query: Query,
    k: int = 10,
    among: np.ndarray | None = None,
    cams: bool = False,
) -> Figure:
    """The query and, for each method, the k nearest database images: mark, distance, class; ten in a line.

    among: rows of the database to choose from; cams: with the places that speak for the query's code laid over each
    image (`speaking_maps`). Raises ValueError where the collections hold different images or k < 1.
    """
    check_same_images(collections)
    blocks = [_block(collection, query, k, among, cams) for collection in collections]
    size = len(collections[0].splits.database)
    chosen = f"{size:,}" if among is None else f"{len(among):,} chosen of {size:,}"
    judged = query.label is not None
    unit = unit_of(collection.layout for collection in collections)
    notes = [
        f"Nearest first, of {chosen} database images; equal distances rank by id.",
        f"Under each: {'mark, ' if judged else ''}Hamming distance d in {unit}, class. "
        + ("✓ solid: shares a class with the query; ✗ dashed: does not." if judged else "No label, so no marks."),
    ]
    if cams:
        notes += [
            "Bright (yellow): what speaks for the query's code, by GradCAM at stage 4. Each map has its own scale."
        ]
    left = MARGIN + QUERY_SIDE + 0.2
    lines = [line for note in notes for line in wrap(note, WIDTH - left - MARGIN, TEXT)]
    title = wrap(query.title, WIDTH - left - MARGIN, 12, bold=True)
    head = MARGIN + max(QUERY_SIDE, len(title) * 12 * LINE * POINT + 0.1 + len(lines) * INK) + 0.18
    sheet = Mosaic(WIDTH, head + sum(block.height for block in blocks))
    sheet.picture(MARGIN, MARGIN, QUERY_SIDE, query.image, edge=BLUE)
    sheet.text(left, MARGIN, "\n".join(title), 12, weight="bold")
    sheet.text(left, MARGIN + len(title) * 12 * LINE * POINT + 0.1, "\n".join(lines), TEXT, color=GREY)
    y = head
    for block in blocks:
        block.draw(sheet, y)
        y += block.height
    sheet.figure.alt = f"Query: {query.title}. " + " ".join(block.alt for block in blocks)  # type: ignore[attr-defined]
    if any(collection.smoke for collection in collections):
        stamp(sheet.figure)
    return sheet.figure


def speaking_maps(collection: Collection, query: Query, rows: np.ndarray) -> np.ndarray:
    """What in each image speaks for the query's code: (1 + k, H, W) in [0, 1], the query's map first, then those of
    these rows of the database, each on its own scale."""
    images = np.concatenate([query.image[None], np.asarray(collection.splits.database.images[rows])])
    code = torch.from_numpy(collection.code_of(query)[0]).float()
    return code_cams(collection.method, as_tensor(images), codes=code.expand(len(images), -1)).numpy()


def ranking(
    collections: Sequence[Collection], query: Query, k: int | None = None, among: np.ndarray | None = None
) -> pd.DataFrame:
    """The k nearest by each method, the whole database where k is None: a row each, as it is exported to CSV.

    Columns: method, bits, rank (from 1), distance, database row, id, class, right (empty for an image of one's own),
    and the file's path where the data set knows it, relative to its folder; "unit" of the distance, where a method has
    ordinal codes.
    """
    check_same_images(collections)
    has_unit = any(collection.layout.arity is not None for collection in collections)
    tables = []
    for collection in collections:
        database = collection.splits.database
        found = collection.find(query, len(database) if k is None else k, among)
        right = pd.array(found.right if query.label is not None else [pd.NA] * len(found.rows), dtype="boolean")
        columns = {
            "method": collection.title,
            "bits": collection.bits,
            "rank": np.arange(1, len(found.rows) + 1),
            "distance": found.distances,
            "database row": found.rows,
            "id": database.ids[found.rows],
            "class": [_class(label, collection) for label in database.labels[found.rows]],
            "right": right,
        }
        if has_unit:
            columns["unit"] = collection.layout.unit
        if "path" in database.attributes:
            columns["path"] = database.attributes["path"][found.rows]
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def gallery_png(figure: Figure) -> bytes:
    """A gallery as a file: twice the size it has on screen, 2,000 pixels wide, for a page or a slide."""
    buffer = BytesIO()
    with styled():
        figure.savefig(buffer, format="png", dpi=SCALE * figure.dpi, metadata={"Software": None})
    return buffer.getvalue()


@dataclass(frozen=True)
class _Block:
    """One method's results: a heading, lines of hits, and the query's own map before the first where there are maps."""

    heading: str
    lines: list[Hits]
    query_map: np.ndarray | None
    alt: str

    @property
    def height(self) -> float:
        return HEAD + (sum(line.height for line in self.lines) or INK) + 0.08

    def draw(self, sheet: Mosaic, y: float) -> None:
        sheet.text(MARGIN, y, self.heading, TEXT + 1, weight="bold")
        y += HEAD
        if not self.lines:
            sheet.text(MARGIN, y, "No other image to choose from.", TEXT)
            return
        side = self.lines[0].side
        x = MARGIN if self.query_map is None else MARGIN + side + 2.5 * GAP
        if self.query_map is not None:
            sheet.picture(MARGIN, y, side, self.query_map, edge=BLUE)
            sheet.text(MARGIN, y + side + 0.05, "query", TEXT, color=BLUE, weight="bold")
        for line in self.lines:
            line.draw(sheet, x, y)
            y += line.height


def _block(collection: Collection, query: Query, k: int, among: np.ndarray | None, cams: bool) -> _Block:
    splits, judged = collection.splits, query.label is not None
    found = collection.find(query, k, among)
    columns = PER_LINE + cams
    side = (WIDTH - 2 * MARGIN - (columns - 1) * GAP - cams * 1.5 * GAP) / columns
    hits = hits_of(found, splits.database, collection.class_names, side, judged)
    query_map = None
    if cams and len(found.rows):
        shown = overlaid(np.concatenate([query.image[None], hits.images]), speaking_maps(collection, query, found.rows))
        query_map, hits = shown[0], replace(hits, images=shown[1:])
    heading = f"{collection.title}, {collection.layout}"
    if query.origin == "query" and query.row is not None:
        heading += f", AP of this query over the whole database {collection.average_precision[query.row]:.3f}"
    right = f", {int(found.right.sum())} right" if judged else ""
    each = ", ".join(
        f"{f'{_mark(ok)} ' if judged else ''}{_class(label, collection)} at {distance}"
        for label, ok, distance in zip(splits.database.labels[found.rows], found.right, found.distances, strict=True)
    )
    lines = [_part(hits, start) for start in range(0, len(found.rows), PER_LINE)]
    return _Block(heading, lines, query_map, f"{heading}: {len(found.rows)} nearest{right}: {each or 'none'}.")


def _part(hits: Hits, start: int) -> Hits:
    line = slice(start, start + PER_LINE)
    return replace(
        hits, found=Neighbours(*(each[line] for each in hits.found)), images=hits.images[line], names=hits.names[line]
    )


def _mark(is_right: bool) -> str:
    return "right" if is_right else "wrong"


def _class(label: np.ndarray, collection: Collection) -> str:
    return name_in_line(label, collection.class_names)
