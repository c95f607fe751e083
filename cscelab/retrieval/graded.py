"""ACG, NDCG and weighted AP of rankings full of ties, in closed form from histograms per number of shared labels.

The grade of an item is the number of labels that it shares with the query; relevant items have a grade above 0.
For one query, a bucket holds the n items at one distance, r of them relevant, with grades that sum to G; N_ items
whose grades sum to G_ lie nearer; the depth cuts the ranking after t of the n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from cscelab.retrieval.discounts import discount_between
from cscelab.retrieval.ranking import (
    DENOMINATORS,
    FROM_HISTOGRAMS,
    Buckets,
    Histograms,
    SumsOfKept,
    buckets_of,
    divided_by_retrieved,
    divisor,
    for_blocks,
    harmonic_between,
    nearer,
    ratio,
    sum_in_order,
)

GAINS = ("exponential", "linear")
_LARGEST_EXPONENT = 900  # of a gain; NDCG is a ratio, so gains may share any factor

SumBetween = Callable[[np.ndarray, np.ndarray], np.ndarray]


def average_cumulative_gain(counts: Histograms, n: int, ties: str = "expected") -> np.ndarray:
    """ACG@n of every query, (Q,): the sum of the grades of the first n items over n.

    A ranking shorter than n is still divided by n, as precision@n is. ties: "expected" is the mean over all orders
    of tied items, "best" and "worst" the largest and smallest value that an order gives, each query on its own.
    Raises ValueError for ties by index, for histograms without grades and for n < 1.
    """
    _check(counts, ties, "n", n)

    def total(part: Histograms) -> np.ndarray:
        graded = _graded(part)
        return _gain_sums(ties, buckets_of(part, n), graded, _grades(graded), lambda before, taken: taken)

    return _by_block(counts, total) / n


def ndcg(counts: Histograms, n: int | None = None, ties: str = "expected", gain: str = "exponential") -> np.ndarray:
    """NDCG@n of every query, (Q,), 0 where nothing is relevant; n=None takes the whole ranking.

    DCG@n = sum_{j<=n} gain(grade_j) / log2(1+j), with gain(g) = 2^g - 1 ("exponential") or g ("linear"), over the
    DCG@n of the query's items in order of falling grade. ties and errors as in `average_cumulative_gain`.
    """
    _check(counts, ties, "n", n)
    check_gain(gain)

    def normalised(part: Histograms) -> np.ndarray:
        graded = _graded(part)
        gains = _gains(gain, _grades(graded), graded.shape[1])
        dcg = _gain_sums(ties, buckets_of(part, n), graded, gains, discount_between)
        return ratio(dcg, _ideal_dcg(part, n, gains))

    return _by_block(counts, normalised)


def ndcg_of(ranked: np.ndarray, counts: Histograms, gain: str = "exponential") -> np.ndarray:
    """NDCG@n (Q,) of grades in rank order, ranked (Q, n) int; counts hold the grades of the whole database."""
    check_gain(gain)
    largest = _graded(counts).shape[1]
    discounts = 1 / np.log2(np.arange(2, ranked.shape[1] + 2))

    def ideal(part: Histograms) -> np.ndarray:
        return _ideal_dcg(part, ranked.shape[1], _gains(gain, _grades(_graded(part)), largest))

    return ratio(sum_in_order(_gains(gain, ranked, largest) * discounts), _by_block(counts, ideal))


def _gains(gain: str, grades: np.ndarray, largest: int) -> np.ndarray:
    """2^grade - 1 or grade; divided by a power of two where 2^largest is no longer a float64."""
    if gain == "linear":
        return grades.astype(np.float64)
    shift = max(0, largest - _LARGEST_EXPONENT)
    return np.exp2(grades - float(shift)) - np.exp2(-float(shift))


def _ideal_dcg(part: Histograms, n: int | None, gains: np.ndarray) -> np.ndarray:
    """DCG@n in order of falling grade, where all items are one bucket, at its best."""
    together = Histograms(*(h.sum(axis=-1, keepdims=True) for h in (part.items, part.relevant, _graded(part))))
    return _gain_sums("best", buckets_of(together, n), _graded(together), gains, discount_between)


def weighted_average_precision(
    counts: Histograms, k: int | None = None, ties: str = "expected", denominator: str = "retrieved"
) -> np.ndarray:
    """Weighted AP@k of every query, (Q,), 0 where nothing is relevant; k=None takes the whole ranking.

    (1/D) sum_{j<=k} [grade_j > 0] ACG@j, the weighted mAP of Zhao et al., "Deep semantic ranking based hashing"
    (CVPR 2015), where D is the number of relevant items in the top k ("retrieved"), min(k, N) ("capped") or N
    ("relevant"), N all relevant items. ties and errors as in `average_cumulative_gain`.
    """
    if denominator not in DENOMINATORS:
        raise ValueError(f"unknown denominator {denominator!r}; choose from {', '.join(DENOMINATORS)}")
    return weighted_by_denominator(counts, k, ties)[denominator]


def weighted_by_denominator(counts: Histograms, k: int | None = None, ties: str = "expected") -> dict[str, np.ndarray]:
    """`weighted_average_precision` under each denominator, from the same sums."""
    _check(counts, ties, "k", k)
    result = {name: np.empty(len(counts)) for name in DENOMINATORS}

    def fill(rows: slice) -> None:
        part = counts[rows]
        buckets, grades = buckets_of(part, k), _grades_of(_graded(part))
        sums = _precision_sums(ties, buckets, grades)
        result["retrieved"][rows] = divided_by_retrieved(ties, sums, buckets, _kept_sums(ties, buckets, grades))
        for name in ("capped", "relevant"):
            result[name][rows] = ratio(sum_in_order(sums), divisor(name, part.n_relevant, k))

    for_blocks(fill, len(counts), _graded(counts)[0].size)
    return result


class _Grades(NamedTuple):
    """What the module's first lines call G and G_, (Q, D), and how many items of a bucket have each grade."""

    total: np.ndarray
    before: np.ndarray
    graded: np.ndarray  # (Q, G, D): [:, g-1] counts grade g


def _grades_of(graded: np.ndarray) -> _Grades:
    total = np.einsum("qgd,g->qd", graded, _grades(graded))
    return _Grades(total, nearer(total), graded)


def _grades(graded: np.ndarray) -> np.ndarray:
    return np.arange(1, graded.shape[1] + 1)


def _runs(ties: str, b: Buckets, graded: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The relevant items among the first t of each bucket as runs of one grade: (grade, items before it, length).

    Best: the highest grades first, then the items of grade 0; worst: grade 0 first, then the lowest grades. With a
    discount that falls with the rank, exchanging two neighbours towards this order never makes a sum of gains
    smaller (best) or larger (worst). Weighted AP too: a relevant item that trades places with the irrelevant one
    before it keeps its cumulative grade and lowers its rank, and the sum for m relevant ones at fixed ranks is
    sum_i grade_i sum_{j>=i} 1/rank_j, whose weights fall with i.
    """
    left = np.minimum(b.r, b.t) if ties == "best" else np.maximum(0, b.t - (b.n - b.r))
    start = b.before if ties == "best" else b.before + b.t - left
    for grade in _grades(graded)[:: -1 if ties == "best" else 1]:
        length = np.minimum(graded[:, grade - 1], left)
        yield int(grade), start, length
        start, left = start + length, left - length


def _gain_sums(ties: str, b: Buckets, graded: np.ndarray, gains: np.ndarray, sum_between: SumBetween) -> np.ndarray:
    """Sum (Q,) of gain x discount over the top n; `sum_between` sums the discounts of consecutive ranks."""
    if ties == "expected":
        mean = ratio(np.einsum("qgd,g->qd", graded, gains), b.n)
        return sum_in_order(mean * sum_between(b.before, b.t))
    total = np.zeros(b.n.shape)
    for grade, start, length in _runs(ties, b, graded):
        total += gains[grade - 1] * sum_between(start, length)
    return sum_in_order(total)


def _precision_sums(ties: str, b: Buckets, grades: _Grades) -> np.ndarray:
    """What the first t of a bucket add to sum [grade_j > 0] ACG@j: the mean over its orders, or an extreme."""
    if ties == "expected":
        # At the i-th place E[rel_i] = r/n, E[rel_i grade_i] = G/n and E[rel_i grade_j] = (r-1) G / (n (n-1)), so
        # the sum is (1/n) sum_{i=1..t} [r G_ + G + (i-1) G (r-1)/(n-1)] / (N_+i); sum (i-1)/(N_+i) = t - (N_+1) A.
        stretch = harmonic_between(b.before, b.t)  # A
        earlier_ties = grades.total * ratio(b.r - 1, b.n - 1) * (b.t - (b.before + 1) * stretch)
        return ratio((b.r * grades.before + grades.total) * stretch + earlier_ties, b.n)
    total, held = np.zeros(b.r.shape), grades.before
    for grade, start, length in _runs(ties, b, grades.graded):
        # sum_{i=1..c} (C + i g) / (s+i), c items of grade g behind s items whose grades sum to C
        total += grade * length + (held - grade * start) * harmonic_between(start, length)
        held = held + grade * length
    return total


def _kept_sums(ties: str, b: Buckets, grades: _Grades) -> SumsOfKept:
    """What cut buckets add: the t kept, m of them relevant, are buckets of their own."""

    def kept(queries: np.ndarray, at: np.ndarray, cut: Buckets, m: np.ndarray) -> np.ndarray:
        mass = m * ratio(grades.total[queries, at], b.r[queries, at])[:, None]
        part = _Grades(mass, grades.before[queries, at][:, None], grades.graded[queries, :, at][:, :, None])
        return _precision_sums(ties, cut._replace(n=cut.t, r=m), part)

    return kept


def _by_block(counts: Histograms, measure: Callable[[Histograms], np.ndarray]) -> np.ndarray:
    """measure (Q,) over runs of queries, so that temporaries stay small however many queries there are."""
    result = np.empty(len(counts))

    def fill(rows: slice) -> None:
        result[rows] = measure(counts[rows])

    for_blocks(fill, len(counts), _graded(counts)[0].size)
    return result


def _check(counts: Histograms, ties: str, name: str, depth: int | None) -> None:
    if ties not in FROM_HISTOGRAMS:
        raise ValueError(f"ties={ties!r} cannot be had from histograms; choose from {', '.join(FROM_HISTOGRAMS)}")
    _graded(counts)
    check_depth(name, depth)


def _graded(counts: Histograms) -> np.ndarray:
    if counts.graded is None:
        raise ValueError("these histograms have no grades; count them from multi-hot labels (one column a label)")
    return counts.graded


def check_depth(name: str, depth: int | None) -> None:
    """Raises ValueError unless the depth is None or at least 1."""
    if depth is not None and depth < 1:
        raise ValueError(f"{name}={depth} ranks nothing; expected an integer of at least 1")


def check_gain(gain: str) -> None:
    """Raises ValueError unless GAINS has the gain."""
    if gain not in GAINS:
        raise ValueError(f"unknown gain {gain!r}; choose from {', '.join(GAINS)}")
