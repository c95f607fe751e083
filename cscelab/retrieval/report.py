"""The Report of a retrieval run: every measure query by query, its mean, its interval, and its convention in words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cscelab.layout import CodeLayout
from cscelab.retrieval import bootstrap
from cscelab.retrieval.diagnostics import CodeReport
from cscelab.retrieval.measures import Measure, PRCurve
from cscelab.retrieval.ranking import Histograms

CONVENTIONS = {
    "retrieved": "retrieved = relevant items in the top k. It rewards missing relevant images: finding fewer can raise "
    "it.",
    "capped": "capped = min(k, relevant items); relevant = relevant items in the database; in radius = items within "
    "it.",
    "others": "n = the n first; ideal = the same sum in the best order there could be.",
    "expected": "ties expected: the mean over all orders of tied items; best, worst: the largest and smallest value an "
    "order gives, query by query; index: tied items in database order.",
    "graded": "ACG: mean number of shared labels in the top n; NDCG: gain 2^shared - 1; weighted mAP: precision with "
    "shared labels as weights.",
    "interval": "low, high: 95% interval over the draw of the queries (bootstrap); training seeds and database are "
    "held fixed.",
}


@dataclass(frozen=True, eq=False)
class Report:
    """Every measure of one retrieval run; means run over all queries, the `n_empty` without a relevant item as 0.

    bits: q, what a code tells; arity: k where codes are R = q / log2(k) one-hot symbols, None where they are plain
    bits. Distances are in `unit`s: radii, the curve by radius, histograms (Q, R+1) and what `codes` says. mAP and all
    that goes by rank is the same by either.

    map_at: k -> ties -> denominator -> mAP@k, map the one of the first k asked for; continuous_map: denominator ->
    mAP@k of the unbinarised values by cosine (the difference is what binarising costs) or None; precision_at,
    recall_at: n -> expected under ties, for the n that every ranking reaches; graded: ties -> name -> value, as
    "NDCG@10", where labels are multi-hot; radius_precision, radius_recall: Hamming radius -> mean, where the
    radius_nothing[r] queries that retrieve nothing have precision 0; map_per_class (a query counts for each of its
    labels) and average_precision (Q,): expected ties, denominator "retrieved".
    measures: all of these query by query. queries: a digest of the queries' labels and ids, by which reports can be
    paired. histograms: what other k, n and radii can still be had from (`cscelab.retrieval.ranking`, `.graded`).
    """

    k: int | None
    bits: int
    arity: int | None
    n_query: int
    n_database: int
    n_empty: int
    map_at: dict[int | None, dict[str, dict[str, float]]]
    continuous_map: dict[str, float] | None
    precision_at: dict[int, float]
    recall_at: dict[int, float]
    graded: dict[str, dict[str, float]]
    radius_precision: dict[int, float]
    radius_recall: dict[int, float]
    radius_nothing: dict[int, int]
    pr_curve: PRCurve
    map_per_class: dict[int, float]
    average_precision: np.ndarray
    codes: CodeReport
    measures: tuple[Measure, ...]
    queries: str
    histograms: Histograms

    @property
    def layout(self) -> CodeLayout:
        """How the codes are written."""
        return CodeLayout(self.bits, self.arity)

    @property
    def unit(self) -> str:
        """What distances are counted in: "bits" or "symbols"."""
        return self.layout.unit

    @property
    def map(self) -> dict[str, dict[str, float]]:
        """ties -> denominator -> mAP@k of the first k."""
        return self.map_at[self.k]

    def measure(self, name: str, ties: str | None = None, divided_by: str | None = None) -> Measure:
        """One measure by its name in the table, as "mAP@all" or "precision@10"; where ties or divisor are not told, the
        first in the table, which has expected ties where there are any. Raises ValueError for what it does not have.
        """
        for one in self.measures:
            if one.name == name and ties in (None, one.ties) and divided_by in (None, one.divided_by):
                return one
        asked = ", ".join([repr(name), *(f"{part!r}" for part in (ties, divided_by) if part is not None)])
        same = [f"{one.name} ({one.ties}, {one.divided_by})" for one in self.measures if one.name == name]
        known = same or list(dict.fromkeys(one.name for one in self.measures))
        raise ValueError(f"this report has no measure {asked}; it has {', '.join(known)}")

    def difference(
        self, other: Report, name: str, ties: str | None = None, divided_by: str | None = None
    ) -> bootstrap.Interval:
        """This run minus another on the same queries in the same order, with its paired interval.

        Measures within a radius are compared at the same number, though a radius in symbols reaches elsewhere than one
        in bits.

        Raises ValueError for a report on other queries and for a measure that one of them does not have.
        """
        if self.queries != other.queries:
            raise ValueError(
                f"a report on {self.n_query} queries cannot be paired with one on {other.n_query} others: their labels "
                "or ids differ; evaluate both runs on the same queries in the same order"
            )
        mine, theirs = (report.measure(name, ties, divided_by) for report in (self, other))
        return bootstrap.difference(mine.per_query, theirs.per_query, mine.counted)

    @cached_property
    def intervals(self) -> bootstrap.Interval:
        """95% intervals over queries, one for each of `measures`, all from the same resamples."""
        every = np.ones(self.n_query, bool)
        return bootstrap.interval(
            np.stack([one.per_query for one in self.measures], axis=1),
            np.stack([every if one.counted is None else one.counted for one in self.measures], axis=1),
        )

    def rows(self) -> list[dict[str, Any]]:
        """One row a number: measure, ties, divided_by, value, and low and high of its interval."""
        return [
            {"measure": one.name, "ties": one.ties, "divided_by": one.divided_by}
            | {"value": one.value, "low": float(low), "high": float(high)}
            for one, low, high in zip(self.measures, self.intervals.low, self.intervals.high, strict=True)
        ]

    def table(self) -> str:
        """Plain text: every number beside its convention and interval, then what the conventions mean."""
        codes, line = self.codes, "{:<24}{:<10}{:<12}{:>8}{:>10}{:>8}".format
        within, between = ("-" if d is None else f"{d:.2f}" for d in (codes.within_distance, codes.between_distance))
        distinct = f"{'' if codes.distinct_counted else 'at least '}{codes.distinct_codes}"
        error = codes.quantization_error
        share = f"{codes.bit_balance.min():.2f} to {codes.bit_balance.max():.2f} of the database"
        balance, bits = f"A bit is +1 in {share}", "two bits"
        if self.arity is not None:
            balance = f"A symbol of a group stands in {share}, {1 / self.arity:.2f} if all are used alike"
            bits = "bits of two groups"
        return "\n".join([
            f"{self.layout}, {self.n_query} queries against {self.n_database} items",
            line("measure", "ties", "divided by", "value", "low", "high"),
            *(
                line(r["measure"], r["ties"], r["divided_by"], *(f"{r[name]:.4f}" for name in ("value", "low", "high")))
                for r in self.rows()
            ),
            *(text for name, text in CONVENTIONS.items() if name != "graded" or self.graded),
            *([] if self.arity is None else ["Radii and distances count the symbols that differ."]),
            f"{self.n_empty} queries have no relevant item and count as 0.",
            *(f"{n} queries retrieve nothing within {r} (precision 0)." for r, n in self.radius_nothing.items()),
            f"Codes: {distinct} distinct in the database; {codes.collisions} pairs of query and item"
            f" collide across classes, {codes.colliding_queries} queries in them.",
            f"{balance}; mean absolute correlation of {bits} {codes.mean_correlation:.2f}.",
            f"Mean distance within classes {within} {self.unit}, between classes {between} {self.unit}.",
            *([] if error is None else [f"Mean squared difference of values and codes {error:.3f}."]),
        ])  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """In JSON's own types, keys as strings: all but the histograms, the bits' correlations and, but for
        `average_precision`, the values of single queries.
        """
        kept = {
            name: value
            for name, value in vars(self).items()
            if name not in ("measures", "histograms", "codes", "intervals")
        }
        codes = {name: value for name, value in vars(self.codes).items() if name != "bit_correlation"}
        return _plain(kept | {"unit": self.unit, "map": self.map, "codes": codes, "rows": self.rows()})

    def to_frame(self) -> Any:
        """`rows()` as a pandas DataFrame; pandas is imported here only."""
        import pandas as pd

        return pd.DataFrame(self.rows())


def _plain(value: Any) -> Any:
    if isinstance(value, PRCurve):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {"all" if key is None else str(key): _plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value
