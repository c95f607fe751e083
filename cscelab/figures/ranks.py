"""One query's ranking, drawn: its distances, its ties as blocks, and its AP at k under every convention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from cscelab.evaluate import evaluate
from cscelab.figures.conventions import MEANINGS
from cscelab.figures.provenance import stamp
from cscelab.figures.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILION, new_figure, styled, tint
from cscelab.retrieval.inputs import whole_number
from cscelab.retrieval.ranking import DENOMINATORS, Histograms, nearer

MANTISSAS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)  # steps of a decade; both caps of a threshold, .005 and .01, among them
OTHER = tint(GREY, 0.35)
LOOKS: Mapping[str, Mapping[str, Any]] = {  # in the order of the legend
    "best": {"color": GREEN, "ls": "-.", "marker": "^"},
    "expected": {"color": BLACK, "ls": "-", "marker": "o"},
    "index": {"color": PURPLE, "ls": ":", "marker": "x"},
    "worst": {"color": VERMILION, "ls": "--", "marker": "v"},
}
GAP = 0.07  # between the panels of two denominators, in widths of one
MOST_NAMES = 14  # blocks whose distance is written above them


@dataclass(frozen=True, eq=False)
class Ranking:
    """The ranking of one query.

    counts: of this query alone, (1, K+1); at: k -> ties -> denominator -> AP@k; title, image: what it is of; unit: of
    the distances, bits or symbols.
    """

    counts: Histograms
    at: Mapping[int, Mapping[str, Mapping[str, float]]]
    title: str = ""
    image: np.ndarray | None = None
    smoke: bool = False
    unit: str = "bits"

    @cached_property
    def items(self) -> np.ndarray:
        """Images at each distance, (K+1,)."""
        return self.counts.items[0]

    @cached_property
    def relevant(self) -> np.ndarray:
        """Of them the relevant ones."""
        return self.counts.relevant[0]

    @cached_property
    def before(self) -> np.ndarray:
        """Images nearer than each distance."""
        return nearer(self.counts.items)[0]

    @property
    def n_items(self) -> int:
        return int(self.items.sum())

    def block_of(self, k: int) -> int:
        """The distance of the image at rank k, from 1; of the last one where there are fewer."""
        return int(np.searchsorted(np.cumsum(self.items), min(k, self.n_items)))


def depth_steps(n_items: int) -> tuple[int, ...]:
    """1, 2, 3, 5, 7, 10, 15, ... up to the whole database of n_items, which is the last. Raises ValueError for none."""
    n_items = whole_number("the number of database images", n_items)
    steps = {int(10**power * mantissa) for power in range(len(str(n_items))) for mantissa in MANTISSAS}
    return (*sorted(step for step in steps if step < n_items), n_items)


def rank_query(
    query_codes: np.ndarray, query_labels: np.ndarray, database_codes: np.ndarray, database_labels: np.ndarray,
    row: int = 0, query_ids: np.ndarray | None = None, database_ids: np.ndarray | None = None,
    title: str = "", image: np.ndarray | None = None, smoke: bool = False, arity: int | None = None,
) -> Ranking:  # fmt: skip
    """AP of one query at every depth of `depth_steps` and under every convention, by `evaluate`.

    Codes, labels, ids and arity as `evaluate` takes them. Raises ValueError for a row that is not there.
    """
    if not 0 <= row < len(query_codes):
        raise ValueError(f"row {row} of the queries was asked for; there are rows 0 to {len(query_codes) - 1}")
    one = slice(row, row + 1)
    report = evaluate(
        query_codes[one], query_labels[one], database_codes, database_labels, k=depth_steps(len(database_codes)),
        query_ids=None if query_ids is None else query_ids[one], database_ids=database_ids,
        arity=arity,
    )  # fmt: skip
    at = {k: by_ties for k, by_ties in report.map_at.items() if k is not None}
    return Ranking(report.histograms, at, title or f"query {row}", image, smoke, report.unit)


@styled()
def rank_figure(ranking: Ranking, k: int | None = None) -> Figure:
    """Distances by relevance; the ranking as blocks of ties, cut by k; AP over k by denominator, a line a tie policy.

    k: one of those measured, the whole database by default. Raises ValueError for another.
    """
    k = max(ranking.at) if k is None else k
    if k not in ranking.at:
        raise ValueError(f"AP@{k} was not measured; choose k from {', '.join(map(str, ranking.at))}")
    figure = new_figure(10, 5.8)
    left = 0.055
    if ranking.image is not None:
        left = 0.235
        photo = figure.add_axes((0.005, 0.585, 0.165, 0.265))
        photo.imshow(ranking.image)
        photo.axis("off")
    heading = f"{ranking.title}; {int(ranking.relevant.sum()):,} of {ranking.n_items:,} images are relevant"
    figure.text(0.01, 0.965, heading, weight="bold", fontsize=11, va="center")
    figure.text(0.01, 0.92, cut_sentence(ranking, k), va="center")
    histogram = figure.add_axes((left, 0.6, 0.52 - left, 0.235))
    strip = figure.add_axes((0.585, 0.6, 0.395, 0.235))
    _histogram(histogram, ranking, k)
    _blocks(strip, ranking, k)
    _precision(figure.add_axes((0.055, 0.245, 0.925, 0.215)), ranking, k)
    figure.legend(handles=_keys(), loc="lower center", ncols=7, handlelength=2.6, bbox_to_anchor=(0.5, 0))
    if ranking.smoke:
        stamp(figure)
    values = "; ".join(
        f"divided by {name}: " + ", ".join(f"{ties} {ranking.at[k][ties][name]:.3f}" for ties in LOOKS)
        for name in DENOMINATORS
    )
    figure.alt = (  # type: ignore[attr-defined]
        f"Ranking of {ranking.title}, {ranking.n_items:,} images, {int(ranking.relevant.sum()):,} relevant. "
        f"{cut_sentence(ranking, k)}. AP@{k}, {values}."
    )
    return figure


def cut_sentence(ranking: Ranking, k: int) -> str:
    """Where k falls in the ranking: within a block of tied images, or between two."""
    at = ranking.block_of(k)
    n, r = int(ranking.items[at]), int(ranking.relevant[at])
    taken = min(k, ranking.n_items) - int(ranking.before[at])
    if taken == n:
        return f"k = {k:,} ends with the block at distance {at}: it cuts no tie"
    return f"k = {k:,} takes {taken:,} of the {n:,} images tied at distance {at}; {r:,} of the {n:,} are relevant"


def _boxes(axes: Axes, left: np.ndarray, width: Any, bottom: Any, height: np.ndarray, **look: Any) -> None:
    """Bars as one collection, which draws many times faster than as many patches."""
    x0, y0 = np.broadcast_arrays(left, bottom)
    x1, y1 = x0 + width, y0 + height
    corners = np.stack([np.stack([x0, x0, x1, x1], 1), np.stack([y0, y1, y1, y0], 1)], axis=2)  # (n, 4, 2)
    axes.add_collection(PolyCollection(list(corners.astype(float)), **look))


def _histogram(axes: Axes, ranking: Ranking, k: int) -> None:
    at = np.flatnonzero(ranking.items)
    items, relevant = ranking.items[at], ranking.relevant[at]
    _boxes(axes, at - 0.42, 0.84, 0, relevant, fc=BLUE, gid="relevant")
    _boxes(axes, at - 0.42, 0.84, relevant, items - relevant, fc=OTHER, ec="white", hatch="////", lw=0, gid="other")
    top = items.max()
    axes.plot(ranking.block_of(k), 1.12 * top, marker="v", ms=9, color=BLACK, ls="", gid="k")
    axes.set(xlim=(-0.7, len(ranking.items) - 0.3), ylim=(0, 1.22 * top))
    axes.set(xlabel=f"Hamming distance ({ranking.unit})", ylabel="images")
    axes.set_title("Distances (▼ where k falls)")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _blocks(axes: Axes, ranking: Ranking, k: int) -> None:
    """The ranking from rank 1 to a little beyond k: a block's width is its images, its filled share the relevant."""
    cut = ranking.block_of(k)
    end = int(ranking.before[cut] + ranking.items[cut])
    limit = min(ranking.n_items, max(2 * k, end + end // 10 + 1))
    at = np.flatnonzero((ranking.items > 0) & (ranking.before < limit))
    start, width = ranking.before[at], ranking.items[at]
    share = ranking.relevant[at] / width
    _boxes(axes, start, width, share, 1 - share, fc=OTHER, ec="white", hatch="////", lw=0, gid="other")
    _boxes(axes, start, width, 0, share, fc=BLUE, ec="none", gid="relevant")
    _boxes(axes, start, width, 0, np.ones(len(at)), fc="none", ec=GREY, lw=1, gid="block")
    if min(k, ranking.n_items) < end:
        _boxes(axes, ranking.before[[cut]], ranking.items[cut], 0, np.ones(1), fc="none", ec=BLACK, lw=2.5, gid="cut")
    wide = at[(np.minimum(start + width, limit) - start) > limit / 16][:MOST_NAMES]
    for distance in wide:
        middle = (ranking.before[distance] + min(ranking.before[distance] + ranking.items[distance], limit)) / 2
        axes.text(middle, 1.03, str(distance), ha="center", fontsize=8)
    axes.axvline(min(k, ranking.n_items), color=BLACK, lw=2)
    axes.set(xlim=(0, limit), ylim=(0, 1.16), yticks=(0, 0.5, 1), ylabel="share relevant")
    axes.set_xlabel("rank (blocks: images at one distance, in numbers above)")
    axes.set_title("The ranking as blocks of ties")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(visible=False)


def _precision(axes: Axes, ranking: Ranking, k: int) -> None:
    """Three panels in one axes, a denominator each: a slider redraws this many times a second."""
    depths = np.array(list(ranking.at))
    longest = np.log10(max(depths[-1], 2))
    starts = np.arange(len(DENOMINATORS)) * (1 + GAP)
    places = np.append(np.log10(depths) / longest, np.nan)  # NaN lifts the pen between panels
    x = (starts[:, None] + places).ravel()
    curves = {ties: np.ravel([[*(ranking.at[depth][ties][d] for depth in depths), np.nan] for d in DENOMINATORS])
              for ties in LOOKS}  # fmt: skip
    axes.fill_between(x, curves["worst"], curves["best"], color=tint(GREY, 0.18), lw=0)
    for ties, values in curves.items():
        axes.plot(x, values, label=ties, **{**LOOKS[ties], "ms": 3.5, "lw": 1.4})
    axes.vlines(starts + np.log10(k) / longest, 0, 1, color=BLACK, lw=1)
    powers = 10 ** np.arange(int(longest) + 1)
    axes.set_xticks((starts[:, None] + np.log10(powers) / longest).ravel(), [f"{p:,}" for p in powers] * len(starts))
    axes.set(xlim=(-0.02, starts[-1] + 1.02), ylim=(-0.02, 1.04), yticks=(0, 0.5, 1), ylabel="AP@k")
    for start, denominator in zip(starts, DENOMINATORS, strict=True):
        now = {ties: f"{ties} {by[denominator]:.3f}" for ties, by in ranking.at[k].items()}
        said = f"k, here {k:,}\n{now['best']}   {now['expected']}\n{now['index']}   {now['worst']}"
        axes.text(start, 1.12, f"{denominator}: / {MEANINGS[denominator]}", weight="bold", fontsize=9)
        axes.text(start + 0.5, -0.24, said, ha="center", va="top", linespacing=1.35)


def _keys() -> list[Any]:
    lines = [Line2D([], [], label=f"ties: {ties}", **{**look, "ms": 4}) for ties, look in LOOKS.items()]
    return [Patch(fc=BLUE, label="relevant"), Patch(fc=OTHER, ec="white", hatch="////", label="not relevant"), *lines]
