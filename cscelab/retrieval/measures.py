"""The measures of a report, query by query, from histograms and from what an ordered pass has found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cscelab.retrieval import graded, ranking
from cscelab.retrieval.ranking import DENOMINATORS, FROM_HISTOGRAMS, TIES, Histograms

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


@dataclass(frozen=True, eq=False)
class Ordered:
    """What a walk in database order found: AP by k and denominator, and where labels are multi-hot weighted AP and the
    grades of the first ranks (Q, n)."""

    average_precision: Mapping[int | None, ByDenominator]
    weighted: Mapping[int | None, ByDenominator] | None = None
    ranked: np.ndarray | None = None


class PRCurve(NamedTuple):
    """Recall and precision within each Hamming radius 0..K, (K+1,) each, averaged over the queries."""

    recall: np.ndarray
    precision: np.ndarray


def depth_name(measure: str, k: int | None) -> str:
    return f"{measure}@{'all' if k is None else k}"


def average_precision(counts: Histograms, k: int | None, ties: str, denominator: str) -> np.ndarray:
    """`ranking.average_precision` (Q,), the expected one held within the worst and the best."""
    if ties != "expected":
        return ranking.average_precision(counts, k, ties, denominator)
    expected, worst, best = (
        ranking.average_precision(counts, k, p, denominator) for p in ("expected", "worst", "best")
    )
    return ranking.between(expected, worst, best)


def mean_average_precisions(
    counts: Histograms, ks: Sequence[int | None], ties: Sequence[str], ordered: Ordered | None
) -> Iterator[Measure]:
    """mAP@k by k, policy and denominator."""
    for k in dict.fromkeys(ks):
        by_name = {}
        for name in DENOMINATORS:
            found = {policy: ranking.average_precision(counts, k, policy, name) for policy in FROM_HISTOGRAMS}
            if ordered is not None:
                found["index"] = ordered.average_precision[k][name]
            by_name[name] = list(_by_policy(depth_name("mAP", k), name, found, ties))
        yield from (one for same_policy in zip(*by_name.values(), strict=True) for one in same_policy)


def at_depths(counts: Histograms, depths: Sequence[int]) -> Iterator[Measure]:
    """precision@n and recall@n, expected under ties, for the n that every ranking reaches."""
    for n in reached(counts, depths):
        hits = ranking.expected_hits(counts, n)
        yield Measure(f"precision@{n}", "expected", "n", hits / n)
        yield Measure(f"recall@{n}", "expected", "relevant", ranking.ratio(hits, counts.n_relevant))


def reached(counts: Histograms, depths: Sequence[int]) -> list[int]:
    shortest = int(counts.items.sum(axis=1).min())
    return [n for n in depths if n <= shortest]


def graded_measures(
    counts: Histograms, ks: Sequence[int | None], depths: Sequence[int], ties: Sequence[str], ordered: Ordered | None
) -> Iterator[Measure]:
    """ACG@n, NDCG@n and weighted mAP@k where the histograms tell the number of shared labels."""
    if counts.graded is None:
        return
    ranked = None if ordered is None else ordered.ranked
    for n in (*reached(counts, depths), None):
        found = {policy: graded.ndcg(counts, n, policy) for policy in FROM_HISTOGRAMS}
        if n is not None:
            gains = {policy: graded.average_cumulative_gain(counts, n, policy) for policy in FROM_HISTOGRAMS}
            if ranked is not None:
                found["index"] = graded.ndcg_of(ranked[:, :n], counts)
                gains["index"] = ranked[:, :n].sum(axis=1) / n
            yield from _by_policy(f"ACG@{n}", "n", gains, ties)
        yield from _by_policy(depth_name("NDCG", n), "ideal", found, ties)
    for k in dict.fromkeys(ks):
        weighted = {policy: graded.weighted_by_denominator(counts, k, policy) for policy in FROM_HISTOGRAMS}
        if ordered is not None and ordered.weighted is not None:
            weighted["index"] = dict(ordered.weighted[k])
        for name in DENOMINATORS:
            by_policy = {policy: by[name] for policy, by in weighted.items()}
            yield from _by_policy(depth_name("weighted mAP", k), name, by_policy, ties)


def _by_policy(name: str, divided_by: str, found: dict[str, np.ndarray], ties: Sequence[str]) -> Iterator[Measure]:
    """One measure under each of the policies asked for. `found` has worst and best, and any other lies between them."""
    for policy in (policy for policy in TIES if policy in ties and policy in found):
        yield Measure(name, policy, divided_by, ranking.between(found[policy], found["worst"], found["best"]))


def within_radius(counts: Histograms, radii: Sequence[int]) -> Iterator[Measure]:
    """Precision and recall within Hamming radii; a query that retrieves nothing has precision 0."""
    precision, recall = ranking.radius_curves(counts)
    last = precision.shape[1] - 1  # beyond K bits lies nothing more
    for r in radii:
        yield Measure(f"precision within {r}", "-", "in radius", precision[:, min(r, last)])
        yield Measure(f"recall within {r}", "-", "relevant", recall[:, min(r, last)])


def retrieving_nothing(counts: Histograms, radii: Sequence[int]) -> dict[int, int]:
    """Queries without any item within each radius."""
    retrieved = np.cumsum(counts.items, axis=1)
    return {r: int((retrieved[:, min(r, retrieved.shape[1] - 1)] == 0).sum()) for r in radii}


def pr_curve(counts: Histograms) -> PRCurve:
    precision, recall = ranking.radius_curves(counts)
    return PRCurve(recall.mean(axis=0), precision.mean(axis=0))


def per_class(ap: np.ndarray, labels: np.ndarray, k: int | None) -> dict[int, Measure]:
    """mAP of the queries of each class that has any; a query counts for each of its labels.

    None where each of several queries has a class of its own, as where there are no labels: AP tells it already.
    """
    classes = np.unique(labels) if labels.ndim == 1 else np.flatnonzero(labels.any(axis=0))
    if labels.ndim == 1 and len(classes) == len(labels) > 1:
        return {}
    return {
        int(c): Measure(
            f"{depth_name('mAP', k)} class {c}", "expected", "retrieved", ap,
            labels == c if labels.ndim == 1 else labels[:, c],
        )
        for c in classes
    }  # fmt: skip
