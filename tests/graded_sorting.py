"""ACG, NDCG and weighted AP of rankings by an explicit stable sort: ties fall in the order of the database."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cscelab.retrieval.graded import check_depth, check_gain
from cscelab.retrieval.ranking import DENOMINATORS, blocks, ratio

GAINS = {"exponential": lambda grades: np.exp2(grades) - 1.0, "linear": lambda grades: grades.astype(np.float64)}


@dataclass(frozen=True, eq=False)
class GradedMeasures:
    """ACG@n (Q,), NDCG@n (Q,) and, for each denominator, weighted AP@k (Q,)."""

    average_cumulative_gain: np.ndarray
    ndcg: np.ndarray
    weighted_average_precision: dict[str, np.ndarray]


def graded_by_sorting(
    distances: np.ndarray, grades: np.ndarray, n: int | None = None, k: int | None = None,
    gain: str = "exponential", bits: int | None = None,
) -> GradedMeasures:  # fmt: skip
    """The measures of `cscelab.retrieval.graded` for distances and grades (Q, N), smallest first, ties by column.

    n is the depth of ACG and NDCG, k that of weighted AP; None takes the whole ranking. With `bits`, an item at a
    distance of more than that is left out of its query's ranking (the query itself). Raises ValueError.
    """
    if distances.ndim != 2 or distances.shape != grades.shape:
        raise ValueError(f"distances {distances.shape} and grades {grades.shape} must both be (queries, items)")
    check_depth("n", n)
    check_depth("k", k)
    check_gain(gain)
    parts = [
        _sorted_block(distances[rows], grades[rows], n, k, gain, bits)
        for rows in blocks(len(distances), distances.shape[1])
    ]
    acg, gains, precisions = zip(*parts, strict=True) if parts else ((), (), ())
    empty = [np.zeros(0)]
    return GradedMeasures(
        np.concatenate([*empty, *acg]),
        np.concatenate([*empty, *gains]),
        {name: np.concatenate([*empty, *(p[name] for p in precisions)]) for name in DENOMINATORS},
    )


def _sorted_block(
    distances: np.ndarray, grades: np.ndarray, n: int | None, k: int | None, gain: str, bits: int | None
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    ranked = np.ones(distances.shape, dtype=bool) if bits is None else distances <= bits
    # An item left out comes last, where a grade of 0 counts for nothing. int64: bytes have no -g and no exact 2^g.
    grades = np.where(ranked, grades, 0).astype(np.int64)
    order = np.argsort(distances, axis=1, kind="stable")
    in_order, ideal = np.take_along_axis(grades, order, axis=1), -np.sort(-grades, axis=1)
    ranks = np.arange(1, grades.shape[1] + 1)
    cumulative = np.cumsum(in_order, axis=1)

    acg = in_order[:, :n].sum(axis=1) / (ranked.sum(axis=1) if n is None else n)
    discounts = 1 / np.log2(1 + ranks[:n])
    # Not a matrix product, whose last bit depends on how many queries it has.
    dcg, best_dcg = ((GAINS[gain](ranking[:, :n]) * discounts).sum(axis=1) for ranking in (in_order, ideal))

    relevant = in_order > 0
    total = (relevant * cumulative / ranks)[:, :k].sum(axis=1)
    hits, n_relevant = relevant[:, :k].sum(axis=1), relevant.sum(axis=1)
    capped = n_relevant if k is None else np.minimum(k, n_relevant)
    divisors = {"retrieved": hits, "capped": capped, "relevant": n_relevant}
    return acg, ratio(dcg, best_dcg), {name: ratio(total, divisors[name]) for name in DENOMINATORS}
