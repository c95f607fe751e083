"""What sorting does to ties: every sort's mAP over rearranged databases, beside the exact value that stands still."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cscelab.figures.alt import course, sentences
from cscelab.figures.curves import looks
from cscelab.figures.provenance import stamp
from cscelab.figures.style import BLACK, GREY, new_figure, styled, tint
from cscelab.retrieval.ranking import average_precision
from cscelab.retrieval.sorters import SORTS, Pairs, histograms, rearranged, sorted_map

LONGEST_TRAIL = 12  # arrangements that a picture has room for
BAND = tint(GREY, 0.25)


@dataclass(frozen=True)
class Arrangement:
    """An order of the database: its name (`sorters.ARRANGEMENTS`) and the seed of "shuffled"."""

    name: str = "as stored"
    seed: int = 0

    def __str__(self) -> str:
        return f"shuffled {self.seed}" if self.name == "shuffled" else self.name


@dataclass(frozen=True)
class Trail:
    """Arrangements tried one after another, the last one now, and the mAP@k that all of them are measured by."""

    arrangements: tuple[Arrangement, ...] = field(default=(Arrangement(),))
    k: int | None = None
    denominator: str = "retrieved"

    @property
    def now(self) -> Arrangement:
        return self.arrangements[-1]

    def then(self, arrangement: Arrangement) -> Trail:
        """One step on; repeating the present arrangement is no step, and the oldest ones fall off."""
        if arrangement == self.now:
            return self
        return replace(self, arrangements=(*self.arrangements, arrangement)[-LONGEST_TRAIL:])

    def shuffled(self) -> Trail:
        """One step on to the next seed."""
        return self.then(Arrangement("shuffled", self.now.seed + 1))


@dataclass(frozen=True)
class Measured:
    """mAP@k of one arrangement: by_sort (name of the sort -> mAP), and the exact values from distances alone."""

    by_sort: Mapping[str, float]
    expected: float
    best: float
    worst: float


@lru_cache(maxsize=64)  # moving one control measures one arrangement again, not the whole trail
def measured(pairs: Pairs, arrangement: Arrangement, k: int | None, denominator: str) -> Measured:
    """Every sort of one arrangement, and the closed form computed anew from the rearranged rows. Raises ValueError."""
    rows = rearranged(pairs, arrangement.name, arrangement.seed)
    counts = histograms(rows)
    expected, best, worst = (
        float(average_precision(counts, k, ties, denominator).mean()) for ties in ("expected", "best", "worst")
    )
    by_sort = {sort: sorted_map(rows, sort, k, denominator) for sort in SORTS}
    return Measured(by_sort, expected, best, worst)


def exact_sentence(pairs: Pairs, trail: Trail) -> str:
    """The expected mAP to 17 digits, and whether every arrangement of the trail gave the same bits."""
    values = {measured(pairs, a, trail.k, trail.denominator).expected for a in trail.arrangements}
    tried = len(trail.arrangements)
    verdict = f"the same bits in all {tried} arrangements" if tried > 1 else "one arrangement so far"
    if len(values) > 1:
        verdict = f"NOT the same bits: {len(values)} values in {tried} arrangements"
    now = measured(pairs, trail.now, trail.k, trail.denominator).expected
    return f"expected mAP@{trail.k or 'all'} = {now:.17f} ({verdict})"


@styled()
def ties_figure(pairs: Pairs, trail: Trail | None = None, smoke: bool = False) -> Figure:
    """mAP@k of every sort: now, on the whole scale, with the band from worst to best; and over the trail, enlarged.

    trail: `Trail()`, the database as stored, by default; smoke: the codes are a test's, and the picture says so.
    """
    trail = trail or Trail()
    results = [measured(pairs, a, trail.k, trail.denominator) for a in trail.arrangements]
    figure = new_figure(10, 4.8, layout="constrained")
    whole, steps = figure.subplots(1, 2, width_ratios=[1, 3.2])
    _over_trail(steps, trail, results)
    _now(whole, results[-1], steps.get_ylim())
    whole.set(title="Now", ylabel=f"mAP@{trail.k or 'all'} ({trail.denominator})")
    steps.set(title="Same codes, database rearranged (the bracketed part)", xlabel=exact_sentence(pairs, trail))
    steps.xaxis.label.set(color=BLACK, weight="bold", size=9.5)
    handles, _ = steps.get_legend_handles_labels()
    names = [f"{sort}: {value:.4f}" for sort, value in results[-1].by_sort.items()]
    names.append(f"expected: {results[-1].expected:.4f}")
    names.append(f"worst {results[-1].worst:.4f} to best {results[-1].best:.4f}")
    figure.legend([*handles, Patch(color=BAND)], names, loc="outside lower center", ncols=3, handlelength=3)
    figure.alt = sentences([  # type: ignore[attr-defined]
        f"mAP@{trail.k or 'all'} of the same codes, database rearranged {len(results)} times; now {trail.now}",
        exact_sentence(pairs, trail),
        f"All orders of ties lie between {results[-1].worst:.4f} and {results[-1].best:.4f}",
        *(f"{sort}: {course([result.by_sort[sort] for result in results])}" for sort in SORTS),
    ])  # fmt: skip
    if smoke:
        stamp(figure)
    return figure


def _now(axes: Axes, result: Measured, enlarged: tuple[float, float]) -> None:
    axes.bar(0, result.best - result.worst, 1.6, bottom=result.worst, color=BAND)
    axes.hlines(result.expected, -0.8, 0.8, color=BLACK, lw=2)
    places = np.linspace(-0.5, 0.5, len(SORTS))
    for place, value, look in zip(places, result.by_sort.values(), looks(), strict=False):
        axes.plot(place, value, **{**look, "ms": 7})
    axes.plot([0.93] * 2, enlarged, color=GREY, lw=1.2, marker="_", ms=9, clip_on=False)  # what the right side shows
    axes.set(xlim=(-1, 1), ylim=(0, 1.02), xticks=[])


def _over_trail(axes: Axes, trail: Trail, results: list[Measured]) -> None:
    at = np.arange(len(results))
    first, last = -0.5, max(len(results), 4) - 0.5  # room, so that one arrangement does not fill the picture
    shifts = np.linspace(-0.12, 0.12, len(SORTS))  # beside, not upon each other
    for sort, look, shift in zip(SORTS, looks(), shifts, strict=False):
        values = [result.by_sort[sort] for result in results]
        axes.plot(at + shift, values, label=sort, alpha=0.85, **look)
        axes.plot(at[-1] + shift, values[-1], **{**look, "ms": 9, "mec": BLACK})
    axes.plot([first, last], [results[-1].expected] * 2, color=BLACK, lw=2, label="expected", zorder=1.5)
    shown = [value for result in results for value in (*result.by_sort.values(), result.expected)]
    margin = max(0.15 * (max(shown) - min(shown)), 0.002)
    low, high = max(min(shown) - margin, -0.02), min(max(shown) + margin, 1.02)
    axes.set(xlim=(first, last), ylim=(low, high))
    many = len(results) > 6
    axes.set_xticks(at, [str(a) if many else str(a).replace(", ", ",\n") for a in trail.arrangements])
    if many:
        axes.tick_params(axis="x", labelrotation=35)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
