"""Galleries of retrieved images: top tens of two methods (Fig. 5) and two cases where one errs (Fig. 1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from cscelab.datasets.base import ImageSet, Splits
from cscelab.experiment import Run
from cscelab.figures.alt import sentences
from cscelab.figures.choices import Choice, check_pair, pick_cases, pick_query, title_of
from cscelab.figures.hits import GAP, TEXT, Hits, hits_of
from cscelab.figures.mosaic import LINE, POINT, Mosaic, paragraph_height, wrap
from cscelab.figures.provenance import describe_data, mark_smoke
from cscelab.figures.style import BLUE, GREY, styled
from cscelab.neighbours import name_of, retrieve, unit_of

WIDTH = 10.0  # inches: shown 1000 pixels wide, type of 7.5 points is 10 pixels high
HEAD = 0.34  # height of a heading
MARGIN = 0.12


@dataclass(frozen=True)
class GalleryEntry:
    """Runs of one code length, drawn as rows one under the other, all with the same query."""

    runs: tuple[Run, ...]
    query: Choice

    @property
    def bits(self) -> int:
        return self.runs[0].experiment.bits


def gallery_entry(run: Run, other: Run, rule: str = "small target", queries: ImageSet | None = None) -> GalleryEntry:
    """`run` over `other`, with the query that the rule picks. Raises ValueError where their code lengths differ."""
    lengths = run.experiment.bits, other.experiment.bits
    if lengths[0] != lengths[1]:
        raise ValueError(f"{lengths[0]} and {lengths[1]} bits in one entry; give two runs of the same code length")
    return GalleryEntry((run, other), pick_query(run, other, rule, queries))


@styled()
def top10_gallery(entries: Sequence[GalleryEntry], splits: Splits | None = None, k: int = 10) -> Figure:
    """Fig. 5: for each code length one query and the k nearest images of each method, marked right or wrong.

    splits: those of the runs, loaded where not given; all entries must come from one data set.
    """
    splits = entries[0].runs[0].data() if splits is None else splits
    frame = _Frame(splits, k, query_side=1.2, label_width=0.72)
    blocks = [frame.block(entry.query.row, entry.runs) for entry in entries]
    note = (
        f"Under each image: mark, {_distance(run for entry in entries for run in entry.runs)}, class. "
        "Equal distances rank by database id. "
        f"{describe_data(entries[0].runs[0])}."
    )
    notes = "\n".join([*(f"{entry.bits} bits. {entry.query.reason}" for entry in entries), note])
    title_height, text_width = 0.42, WIDTH - 2 * MARGIN
    heights = [HEAD + block.height for block in blocks]
    sheet = Mosaic(WIDTH, title_height + sum(heights) + paragraph_height(text_width, notes, TEXT) + 0.15)
    sheet.text(MARGIN, 0.1, f"Top {k} of the database for one query a code length", 12, weight="bold")
    y = title_height
    for entry, block, height in zip(entries, blocks, heights, strict=True):
        sheet.text(MARGIN, y + 0.08, f"{entry.bits} bits: query", TEXT + 1, weight="bold")
        sheet.text(frame.left, y + 0.08, "nearest first", TEXT, color=GREY)
        frame.draw(sheet, y + HEAD, block)
        y += height
    sheet.paragraph(MARGIN, y + 0.06, text_width, notes, TEXT)
    sheet.figure.alt = sentences(  # type: ignore[attr-defined]
        [f"Top {k} of the database", *(f"{e.bits} bits: {b.in_words}" for e, b in zip(entries, blocks, strict=True))]
    )
    return mark_smoke(sheet.figure, [run for entry in entries for run in entry.runs])


@styled()
def two_cases(run: Run, baseline: Run, splits: Splits | None = None, k: int = 5) -> Figure:
    """Fig. 1: two queries where the baseline errs and `run` does not, and how often the reverse is so.

    The cases come from `pick_cases`, whose rule and counts are printed under each.
    """
    check_pair(run, baseline)
    splits = run.data() if splits is None else splits
    frame = _Frame(splits, k, query_side=1.9, label_width=0.95, outlined=True)
    cases = pick_cases(run, baseline, splits.query, k)
    blocks = [frame.block(case.row, (baseline, run)) for case in cases]
    text_width = WIDTH - 2 * MARGIN
    heights = [
        HEAD + block.height + paragraph_height(text_width, case.reason, TEXT) + 0.2
        for case, block in zip(cases, blocks, strict=True)
    ]
    note = (
        f"{'' if splits.query.masks is None else 'White outline: the target. '}"
        f"Under each image: mark, {_distance((run, baseline))}, class. {run.experiment.bits} bits. "
        f"{describe_data(run)}."
    )
    sheet = Mosaic(WIDTH, 0.08 + sum(heights) + paragraph_height(text_width, note, TEXT) + 0.05)
    y = 0.08
    for case, block, height in zip(cases, blocks, heights, strict=True):
        sheet.text(MARGIN, y, case.title, 12, weight="bold")
        frame.draw(sheet, y + HEAD, block)
        sheet.paragraph(MARGIN, y + HEAD + block.height, text_width, case.reason, TEXT)
        y += height
    sheet.paragraph(MARGIN, y, text_width, note, TEXT, color=GREY)
    sheet.figure.alt = sentences(  # type: ignore[attr-defined]
        [
            *(f"{case.title}: {block.in_words}" for case, block in zip(cases, blocks, strict=True)),
            *(f"{case.title.split(':')[0]}: {case.reason}" for case in cases),
        ]
    )
    return mark_smoke(sheet.figure, [run, baseline])


def _distance(runs: Iterable[Run]) -> str:
    """What d is, and whose is counted in symbols, where any is."""
    layouts = {title_of(run): run.experiment.layout for run in runs}
    unit = unit_of(layouts.values(), list(layouts))
    return "Hamming distance d" if unit == "bits" else f"Hamming distance d in {unit}"


@dataclass(frozen=True)
class _Row:
    """One method's results and what stands before them."""

    label: str
    hits: Hits
    in_words: str


@dataclass(frozen=True)
class _Block:
    """A query, its wrapped class name, and a row of results a method."""

    query_row: int
    name: list[str]
    rows: list[_Row]
    height: float

    @property
    def in_words(self) -> str:
        """The query's class and how many of each method's results are right."""
        return f"query of class {' '.join(self.name)}; {'; '.join(row.in_words for row in self.rows)}"


@dataclass(frozen=True)
class _Frame:
    """Where things stand: the query on the left, the methods' names, then k results. Lengths in inches."""

    splits: Splits
    k: int
    query_side: float
    label_width: float
    outlined: bool = False  # the query's target

    @property
    def left(self) -> float:
        """Where the results begin."""
        return MARGIN + self.query_side + 2 * GAP + self.label_width

    @property
    def side(self) -> float:
        """Of a result."""
        return (WIDTH - MARGIN - self.left - (self.k - 1) * GAP) / self.k

    def block(self, query_row: int, runs: Sequence[Run]) -> _Block:
        """What is to be drawn, and how high it is."""
        rows = [self._row(query_row, run) for run in runs]
        query = self.splits.query
        name = wrap(name_of(query.labels[query_row], self.splits.class_names), self.query_side, TEXT, bold=True)
        query_height = self.query_side + (len(name) * TEXT) * LINE * POINT + 0.15
        return _Block(query_row, name, rows, max(query_height, sum(row.hits.height for row in rows)))

    def _row(self, query_row: int, run: Run) -> _Row:
        found = retrieve(run, query_row, self.k)
        label = "\n".join(wrap(title_of(run), self.label_width, TEXT, bold=True))
        near, far = (int(distance) for distance in found.distances[[0, -1]])
        span = str(near) if near == far else f"{near} to {far}"
        away = f"{span} {run.experiment.layout.unit} away"
        words = f"{title_of(run)} finds {int(found.right.sum())} right of {len(found.rows)}, {away}"
        return _Row(label, hits_of(found, self.splits.database, self.splits.class_names, self.side), words)

    def draw(self, sheet: Mosaic, y: float, block: _Block) -> None:
        """The block with its top at y."""
        query, row = self.splits.query, block.query_row
        mask = query.masks[row] if self.outlined and query.masks is not None else None
        sheet.picture(MARGIN, y, self.query_side, query.images[row], edge=BLUE, outline=mask)
        sheet.text(MARGIN, y + self.query_side + 0.06, "\n".join(block.name), TEXT, weight="bold")
        for results in block.rows:
            at = self.left - GAP, y + self.side / 2
            sheet.text(*at, results.label, TEXT, ha="right", va="center", weight="bold")
            results.hits.draw(sheet, self.left, y)
            y += results.hits.height
