"""Methods side by side: what was chosen to be compared, its measures, and its curves, from codes that are stored.

`side_gallery` and `side_codes` draw the same codes as images and bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from cscelab.collection import Collection, check_same_images, collection_of
from cscelab.evaluate import Report, evaluate
from cscelab.experiment import find_run
from cscelab.figures.alt import sentences
from cscelab.figures.curves import RADIUS, looks, ringed
from cscelab.figures.provenance import SMOKE_MARK, stamp
from cscelab.figures.style import BLACK, GREY, new_figure, styled
from cscelab.layout import CodeLayout
from cscelab.neighbours import unit_of
from cscelab.profiles import SINGLE
from cscelab.recipes import TABLE1, recipe
from cscelab.retrieval.bootstrap import interval
from cscelab.shelf import SHIPPED

MOST = 8  # codes in one picture: so many curves have a colour, a line and a mark of their own
COMMAND = "cscelab figures table1"  # trains every method, once
# Methods whose loss draws the stored values themselves to -1 and +1; the others bound them first or see angles alone.
DRAWN_TO_ONE = ("dpsh", "dsh", "greedyhash", "csce")
VIEWS = ("curves", "gallery", "codes", "table")
SIDES = ("query_codes", "query_labels", "database_codes", "database_labels", "query_ids", "database_ids")
DEPTHS = tuple(step * 10**power for power in range(5) for step in (1, 2, 5))  # n of precision at n


@dataclass(frozen=True)
class Choice:
    """What to compare: methods and code lengths of one data set; what there is of their product is shown.

    reference: the method that the others are compared with, the first where it is empty; row: of the query in the
    gallery. Raises ValueError for an unknown view.
    """

    data: str
    methods: tuple[str, ...]
    bits: tuple[int, ...]
    reference: str = ""
    view: str = "curves"
    row: int = 0

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise ValueError(f"unknown view {self.view!r}; choose from {list(VIEWS)}")

    @property
    def in_order(self) -> tuple[str, ...]:
        """The methods, the reference first."""
        return tuple(sorted(self.methods, key=lambda method: method != self.reference))


@dataclass(frozen=True, eq=False)
class Coded:
    """One method's codes of one length, measured once: expected ties, the whole ranking."""

    collection: Collection

    @property
    def method(self) -> str:
        return self.collection.title

    @property
    def bits(self) -> int:
        return self.collection.bits

    @property
    def name(self) -> str:
        return f"{self.method}, {self.layout}"

    @property
    def layout(self) -> CodeLayout:
        return self.collection.layout

    @cached_property
    def report(self) -> Report:
        codes = {side: self.collection.codes[side] for side in SIDES}
        depths = tuple(n for n in DEPTHS if n <= len(codes["database_codes"]))
        return evaluate(**codes, ties="expected", precision_at=depths, arity=self.layout.arity)  # type: ignore[arg-type]

    @property
    def average_precision(self) -> np.ndarray:
        """Of every query, (Q,)."""
        return self.report.average_precision

    @cached_property
    def quantization_error(self) -> float | None:
        """Mean squared difference of a value from its bit, over the database; None for a method that is not among
        DRAWN_TO_ONE, whose values may be of any size."""
        if self.collection.experiment.method.name not in DRAWN_TO_ONE:
            return None
        values = self.collection.codes["database_values"].astype(np.float32)
        return float(np.square(values - self.collection.codes["database_codes"]).mean())


def stored_codes(names: Iterable[str], profile: str = "quick", bits: int = 32, on: str = SINGLE) -> dict[str, Coded]:
    """Title -> codes of the recipes whose runs are stored, in their order; they share their images. Trains nothing.

    on: the profile's benchmark, as `recipe` takes it. `missing` says what is not there.
    """
    experiments = [recipe(name, profile, bits, on=on) for name in names]
    runs = {one.method.title: run for one in experiments if (run := find_run(one)) is not None}
    if not runs:
        return {}
    splits = next(iter(runs.values())).data()
    return {title: Coded(collection_of(run, splits, title)) for title, run in runs.items()}


def missing(names: Iterable[str], profile: str = "quick", bits: int = 32, on: str = SINGLE) -> str:
    """Which of these recipes have no stored run, and the command that trains them; "" where all have one."""
    lacking = [name for name in names if find_run(recipe(name, profile, bits, on=on)) is None]
    chosen = "" if profile == "quick" else f" --profile {profile}"
    return f"no stored run of {', '.join(lacking)}; `{COMMAND}{chosen}` trains them" if lacking else ""


def check_comparable(coded: Sequence[Coded], most: int | None = MOST) -> None:
    """Raises ValueError where nothing was chosen, too much for one picture, or codes of different images."""
    if not coded:
        raise ValueError("no codes were chosen; choose at least one method that has this code length")
    if most is not None and len(coded) > most:
        raise ValueError(
            f"{len(coded)} sets of codes were chosen; choose at most {most}, as many as can be told apart in a picture"
        )
    check_same_images([one.collection for one in coded])


def disagreement(coded: Sequence[Coded]) -> np.ndarray:
    """Of every query (Q,), the largest AP less the smallest among the methods: 0 where all rank equally well."""
    return np.ptp([one.average_precision for one in coded], axis=0)


def score_table(coded: Sequence[Coded]) -> pd.DataFrame:
    """mAP of each and its difference from the first, with 95% intervals over the same resampled queries.

    A row each; columns: "mAP@all", "low", "high", "minus " and the first's name, "from", "to", and "on other queries":
    whether the difference of these trained models would be expected to stay "higher" or "lower", or is "open".
    """
    check_comparable(coded, most=None)
    precision = np.stack([one.average_precision for one in coded], axis=1)  # (Q, M)
    columns = np.concatenate([precision, precision - precision[:, :1]], axis=1)
    found = interval(columns)
    scores, gaps = (np.stack(part, axis=1) for part in zip(*(np.split(one, 2) for one in found), strict=True))
    index = pd.Index([one.name for one in coded], name="codes")
    table = pd.DataFrame(scores, index, ["mAP@all", "low", "high"])
    table[[f"minus {coded[0].name}", "from", "to"]] = gaps
    table["on other queries"] = np.where(gaps[:, 1] > 0, "higher", np.where(gaps[:, 2] < 0, "lower", "open"))
    table.iloc[0, 3:] = np.nan
    return table.assign(note=SMOKE_MARK) if _any_smoke(coded) else table


def codes_table(coded: Sequence[Coded]) -> pd.DataFrame:
    """What the codes look like, a row each: distinct codes of the database, pairs of different classes with one code
    ("collisions"), mean distance within and between classes, recall within RADIUS, correlation of bits, and the
    quantisation error, NaN where it means nothing (DRAWN_TO_ONE). Distances and RADIUS are in the unit of each row's
    codes. Of symbols the bits are one-hot: balanced at 1/k, correlated with those of other symbols.

    Where the rows count in different units, distances are shares of the largest, recall is left out, and so is the
    balance of symbols, which is none of bits."""
    check_comparable(coded, most=None)
    unit, *others = dict.fromkeys(one.layout.unit for one in coded)
    apart = "share of the largest distance" if others else f"{unit} apart"
    radius = f"radius {RADIUS}" if unit == "bits" else f"radius {RADIUS} in {unit}"
    rows = {}
    for one in coded:
        codes, farthest = one.report.codes, one.layout.n_symbols
        scale = farthest if others else 1
        within, between = (
            None if mean is None else mean / scale for mean in (codes.within_distance, codes.between_distance)
        )
        balance = float(np.abs(codes.bit_balance - 1 / (one.layout.arity or 2)).max())
        rows[one.name] = {
            "distinct codes": codes.distinct_codes,
            "collisions": codes.collisions,
            f"{apart} within classes": within,
            "between classes": between,
            f"recall within {radius}": one.report.pr_curve.recall[min(RADIUS, farthest)],
            "mean |correlation| of bits": codes.mean_correlation,
            "farthest bit from balance": np.nan if others and one.layout.arity else balance,
            "quantisation error": np.nan if one.quantization_error is None else one.quantization_error,
        }
        if others:
            del rows[one.name][f"recall within {radius}"]
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("codes")
    return table.assign(note=SMOKE_MARK) if _any_smoke(coded) else table


@styled()
def curves_figure(coded: Sequence[Coded]) -> Figure:
    """Precision against recall within each Hamming radius, in the unit of each one's codes, and precision of the first
    n, one curve for each."""
    check_comparable(coded)
    layouts = [one.layout for one in coded]
    (unit, ring), counted = ringed(layouts), unit_of(layouts, [one.method for one in coded])
    recall = "recall: share of the relevant images" + ("" if counted == "bits" else f"; radii in {counted}")
    columns = 3 if len(coded) > 4 else 2
    below = 0.62 + 0.22 * ceil(len(coded) / columns)  # inches for labels and legend
    height = 3.9 + below
    figure = new_figure(10, height)
    radius = figure.add_axes((0.065, below / height, 0.42, 3.5 / height))
    first = figure.add_axes((0.565, below / height, 0.42, 3.5 / height))
    said = [f"Precision within each Hamming radius ({ring}) and of the first 10"]
    handles = []
    for one, look in zip(coded, looks(), strict=False):
        curve, at = one.report.pr_curve, one.report.precision_at
        score = f"{one.name}: mAP {one.average_precision.mean():.3f}"
        handles += radius.plot(curve.recall, curve.precision, label=score, **{**look, "ms": 3.5})
        said.append(score)
        if one.layout.unit == unit and len(curve.recall) > RADIUS:
            look_of_ring: dict[str, Any] = {"ms": 11, "mfc": "none", "mec": look["color"], "mew": 1.5}
            radius.plot(curve.recall[RADIUS], curve.precision[RADIUS], "o", **look_of_ring)
            said[-1] += f", {curve.precision[RADIUS]:.3f} at recall {curve.recall[RADIUS]:.3f}"
        first.plot(list(at), list(at.values()), **{**look, "ms": 4})
        said[-1] += f", {at[10]:.3f}" if 10 in at else ""
    radius.set(
        title=f"Within each Hamming radius ({ring})", xlim=(-0.02, 1.02), ylim=(-0.02, 1.04),
        xlabel=recall, ylabel="precision (0 where nothing is found)",
    )  # fmt: skip
    first.set_xscale("log")
    depths = list(coded[0].report.precision_at)
    shown = [n for n in depths if str(n)[0] == "1"]
    first.xaxis.set(major_locator=FixedLocator(shown), major_formatter=FixedFormatter([f"{n:,}" for n in shown]))
    first.xaxis.set_minor_locator(NullLocator())
    first.set(title="Of the first n", xlabel="n (expected over ties)", ylabel="precision", ylim=(-0.02, 1.04))
    size = _relevant(coded[0])
    if depths[0] < size < depths[-1]:
        first.axvline(size, color=GREY, lw=1, ls=":")
        first.text(size, 1.0, f" {size:.0f} are relevant, on average", color=GREY, fontsize=8.5, va="top",
                   ha="left" if size < depths[-1] ** 0.5 else "right")  # fmt: skip
    figure.legend(handles=handles, loc="lower center", ncols=columns, labelcolor=BLACK, handlelength=3.5)
    figure.alt = sentences(said)  # type: ignore[attr-defined]
    return mark(figure, coded)


def mark(figure: Figure, coded: Sequence[Coded]) -> Figure:
    """Stamps a figure of a test's codes; returns it."""
    if _any_smoke(coded):
        stamp(figure)
    return figure


def _any_smoke(coded: Sequence[Coded]) -> bool:
    return any(one.collection.smoke for one in coded)


def _relevant(one: Coded) -> float:
    """Relevant images of a query, the mean over queries."""
    return float(one.report.histograms.n_relevant.mean())


def in_table_order(methods: Sequence[str]) -> list[str]:
    """The shipped encoder, the rows of Table 1, then the others as they come."""
    order = list(TABLE1)

    def place(method: str) -> int:
        if method.startswith(SHIPPED):
            return -1
        return order.index(method) if method in order else len(order)

    return sorted(methods, key=place)
