"""The measures of a report, query by query, from histograms and from what an ordered pass has found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cscelab import graded, ranking
from cscelab.ranking import DENOMINATORS, FROM_HISTOGRAMS, TIES, Histograms

ByDenominator = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Measure:
    """One measure under one convention: per_query (Q,), averaged over the queries `counted` (Q,), all where None."""

    name: str
    ties: str
    divided_by: str
    per_query: np.ndarray
    counted: np.ndarray | None = None

    @property
    def value(self) -> float:
        return float((self.per_query if self.counted is None else self.per_query[self.counted]).mean())


class PRCurve(NamedTuple):
    """Recall and precision within each Hamming radius 0..K, (K+1,) each, averaged over the queries."""

    recall: np.ndarray
    precision: np.ndarray


def depth_name(measure: str, k: int | None) -> str:
    return f"{measure}@{'all' if k is None else k}"


def average_precisions(
    counts: Histograms, k: int | None, denominator: str, ties: Sequence[str]
) -> dict[str, np.ndarray]:
    """AP@k (Q,) under each of the policies that histograms know; the expected is held within worst and best."""
    found = {}
    if "expected" in ties:
        found = {policy: ranking.average_precision(counts, k, policy, denominator) for policy in FROM_HISTOGRAMS}
        found["expected"] = ranking.between(found["expected"], found["worst"], found["best"])
    return {
        policy: found[policy] if found else ranking.average_precision(counts, k, policy, denominator)
        for policy in ties
        if policy in FROM_HISTOGRAMS
    }


def mean_average_precisions(
    counts: Histograms, ks: Sequence[int | None], ties: Sequence[str], ordered: Mapping[int | None, ByDenominator]
) -> Iterator[Measure]:
    """mAP@k by k, policy and denominator; ordered: AP by k and denominator with ties by index, where it is known."""
    for k in dict.fromkeys(ks):
        found = {name: average_precisions(counts, k, name, ties) for name in DENOMINATORS}
        for policy in (policy for policy in TIES if policy in ties):
            for name in DENOMINATORS:
                if policy != "index":
                    yield Measure(depth_name("mAP", k), policy, name, found[name][policy])
                elif ordered:
                    yield Measure(depth_name("mAP", k), policy, name, ordered[k][name])


def at_depths(counts: Histograms, depths: Sequence[int]) -> Iterator[Measure]:
    """precision@n and recall@n, expected under ties, for the n that every ranking reaches."""
    for n in reached(counts, depths):
        hits = ranking.expected_hits(counts, n)
        yield Measure(f"precision@{n}", "expected", "n", hits / n)
        yield Measure(f"recall@{n}", "expected", "relevant", ranking.ratio(hits, counts.n_relevant))


def reached(counts: Histograms, depths: Sequence[int]) -> list[int]:
    shortest = int(counts.items.sum(axis=1).min())
    return [n for n in depths if n <= shortest]


def graded_measures(counts: Histograms, ks: Sequence[int | None], depths: Sequence[int]) -> Iterator[Measure]:
    """ACG@n, NDCG@n and weighted mAP@k where the histograms tell the number of shared labels."""
    if counts.graded is None:
        return
    for ties in FROM_HISTOGRAMS:
        for n in reached(counts, depths):
            yield Measure(f"ACG@{n}", ties, "n", graded.average_cumulative_gain(counts, n, ties))
        for depth in (*reached(counts, depths), None):
            yield Measure(depth_name("NDCG", depth), ties, "ideal", graded.ndcg(counts, depth, ties))
        for k in dict.fromkeys(ks):
            for name in DENOMINATORS:
                values = graded.weighted_average_precision(counts, k, ties, name)
                yield Measure(depth_name("weighted mAP", k), ties, name, values)


def within_radius(counts: Histograms, radii: Sequence[int]) -> Iterator[Measure]:
    """Precision and recall within Hamming radii; a query that retrieves nothing has precision 0."""
    precision, recall, _ = ranking.radius_curves(counts)
    last = precision.shape[1] - 1  # beyond K bits lies nothing more
    for r in radii:
        yield Measure(f"precision within {r}", "-", "in radius", precision[:, min(r, last)])
        yield Measure(f"recall within {r}", "-", "relevant", recall[:, min(r, last)])


def retrieving_nothing(counts: Histograms, radii: Sequence[int]) -> dict[int, int]:
    """Queries without any item within each radius."""
    retrieved = np.cumsum(counts.items, axis=1)
    return {r: int((retrieved[:, min(r, retrieved.shape[1] - 1)] == 0).sum()) for r in radii}


def pr_curve(counts: Histograms) -> PRCurve:
    precision, recall, _ = ranking.radius_curves(counts)
    return PRCurve(recall.mean(axis=0), precision.mean(axis=0))


def per_class(ap: np.ndarray, labels: np.ndarray, k: int | None) -> dict[int, Measure]:
    """mAP of the queries of each class that has any; a query counts for each of its labels."""
    classes = np.unique(labels) if labels.ndim == 1 else np.flatnonzero(labels.any(axis=0))
    return {
        int(c): Measure(
            f"{depth_name('mAP', k)} class {c}", "expected", "retrieved", ap,
            labels == c if labels.ndim == 1 else labels[:, c],
        )
        for c in classes
    }  # fmt: skip
