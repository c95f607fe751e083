"""Average precision of rankings full of ties, in closed form from two histograms over distance per query.

K bits give only K+1 distances, so most items are tied and the order within a tie decides the number. For one
query, a bucket holds the n items at one distance, r of them relevant; N_ items with R_ relevant lie nearer; k
cuts the ranking after t of the n. With H(j) = 1 + 1/2 + ... + 1/j, A = H(N_+t) - H(N_) = sum_{i=1..t} 1/(N_+i).
S_k is the sum of the precisions at the relevant ranks up to k, H_k their number, N all the relevant items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cscelab.retrieval.threads import over_threads

TIES = ("expected", "index", "best", "worst")
FROM_HISTOGRAMS = ("expected", "best", "worst")
DENOMINATORS = ("retrieved", "capped", "relevant")
_BLOCK_CELLS = 2**19  # float64 numbers of a temporary array, of which a dozen live at once
_TABLED = 1024  # harmonic numbers kept as a table
_HARMONIC = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, _TABLED + 1, dtype=np.longdouble))]).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Histograms:
    """How many items, and how many relevant items, lie at each distance from each query: int64 (Q, K+1) both.

    graded (Q, G, K+1), where asked for: graded[:, g-1] counts the items that share exactly g labels with the query.
    Histograms of the same queries against two parts of a database add up to those of the whole, exactly.
    """

    items: np.ndarray
    relevant: np.ndarray
    graded: np.ndarray | None = None

    def __add__(self, other: Histograms) -> Histograms:
        if (self.graded is None) != (other.graded is None):
            raise ValueError("one of the histograms to add tells grades and the other does not; count both alike")
        graded = None if self.graded is None or other.graded is None else self.graded + other.graded
        return Histograms(self.items + other.items, self.relevant + other.relevant, graded)

    def __getitem__(self, queries: slice | np.ndarray) -> Histograms:
        return Histograms(
            self.items[queries], self.relevant[queries], None if self.graded is None else self.graded[queries]
        )

    def __len__(self) -> int:
        return len(self.items)

    def in_steps(self, step: int, longest: int) -> Histograms:
        """Distances 0, step, ..., longest * step counted as 0, 1, ..., longest; no item may lie at any other."""
        if step == 1:
            return self
        parts = (self.items, self.relevant, *(() if self.graded is None else (self.graded,)))
        return Histograms(*(np.ascontiguousarray(part[..., : longest * step + 1 : step]) for part in parts))

    @property
    def n_relevant(self) -> np.ndarray:
        """Relevant items in the whole database (N), (Q,)."""
        return self.relevant.sum(axis=1)


def blocks(n_rows: int, width: int) -> Iterator[slice]:
    """Consecutive runs of rows, each small enough that a temporary array of rows x width stays within a few MB."""
    step = max(1, _BLOCK_CELLS // max(width, 1))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def sum_in_order(terms: np.ndarray) -> np.ndarray:
    """Sum over the last axis, one term after another: zeros before or behind change no bit of it.

    NumPy's own sum pairs terms by their number, so that a query's sum would depend on its neighbours' widths.
    """
    return np.cumsum(terms, axis=-1)[..., -1]


def for_blocks(fill: Callable[[slice], None], n_rows: int, width: int) -> None:
    """fill(rows) for all `blocks`, on several threads."""

    def part(first: int, last: int) -> None:
        for rows in blocks(last - first, width):
            fill(slice(first + rows.start, first + rows.stop))

    over_threads(part, n_rows)


def harmonic_between(before: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """H(before + taken) - H(before) elementwise, float64: a table up to 1024, Euler and Maclaurin beyond."""
    after = before + taken
    low, high = np.minimum(before, _TABLED), np.minimum(after, _TABLED)
    a, b = np.maximum(before, _TABLED).astype(np.float64), np.maximum(after, _TABLED).astype(np.float64)
    fall, total = 1 / b - 1 / a, 1 / b + 1 / a
    # H(n) = ln n + 1/2n - 1/12n^2 + 1/120n^4 - ..., whose next term is below 1e-20 here.
    beyond = np.log1p((b - a) / a) + fall * (0.5 - total / 12 + total * (total**2 + fall**2) / 240)
    return _HARMONIC[high] - _HARMONIC[low] + beyond


class Buckets(NamedTuple):
    """What the module's first lines call n, r, t, N_ and R_, of one shape."""

    n: np.ndarray
    r: np.ndarray
    t: np.ndarray
    before: np.ndarray
    relevant_before: np.ndarray


def buckets_of(counts: Histograms, k: int | None) -> Buckets:
    """The buckets (Q, K+1) of every query's ranking, cut after k."""
    before = nearer(counts.items)
    taken = counts.items if k is None else np.clip(k - before, 0, counts.items)
    return Buckets(counts.items, counts.relevant, taken, before, nearer(counts.relevant))


def average_precision(
    counts: Histograms, k: int | None = None, ties: str = "expected", denominator: str = "retrieved"
) -> np.ndarray:
    """AP@k of every query, (Q,) float64, 0 where nothing is relevant; k=None ranks everything.

    ties: "expected" is the mean over all orders of tied items, "best" and "worst" the largest and smallest AP
    that an order gives, each query on its own. denominator: "retrieved" S_k / H_k, "capped" S_k / min(k, N),
    "relevant" S_k / N. Raises ValueError for ties by index, which histograms do not know.
    """
    if ties not in FROM_HISTOGRAMS:
        raise ValueError(f"ties={ties!r} cannot be had from histograms; choose from {', '.join(FROM_HISTOGRAMS)}")
    result = np.empty(len(counts))
    reached = np.flatnonzero(counts.items.any(axis=0))
    near = slice(int(reached[0]), int(reached[-1]) + 1) if len(reached) else slice(0, 1)  # no item lies elsewhere

    def kept(queries: np.ndarray, at: np.ndarray, cut: Buckets, m: np.ndarray) -> np.ndarray:
        return precision_sums(ties, cut._replace(n=cut.t, r=m))  # the t kept are a bucket of their own

    def fill(rows: slice) -> None:
        part = Histograms(counts.items[rows, near], counts.relevant[rows, near])
        buckets = buckets_of(part, k)
        sums = precision_sums(ties, buckets)
        if denominator == "retrieved":
            result[rows] = divided_by_retrieved(ties, sums, buckets, kept)
        else:
            result[rows] = ratio(sum_in_order(sums), divisor(denominator, part.n_relevant, k))

    for_blocks(fill, len(counts), counts.items.shape[1])
    return result


def divisor(denominator: str, n_relevant: np.ndarray, k: int | None) -> np.ndarray:
    """What S_k is divided by where that does not depend on the order: min(k, N) or N, (Q,)."""
    return n_relevant if denominator == "relevant" or k is None else np.minimum(k, n_relevant)


def between(ap: np.ndarray, worst: np.ndarray, best: np.ndarray) -> np.ndarray:
    """AP held within the worst and the best: it lies there, but for a rounding in the last bit where they coincide."""
    return np.clip(ap, worst, best)


def precision_sums(ties: str, b: Buckets) -> np.ndarray:
    """What the first t of a bucket add to S_k: the mean over its orders, the largest or the smallest."""
    if ties == "expected":
        # (r/n) sum_{i=1..t} [R_ + 1 + (i-1)(r-1)/(n-1)] / (N_+i), where sum (i-1)/(N_+i) = t - (N_+1) A.
        stretch = harmonic_between(b.before, b.t)  # A
        earlier_ties = ratio(b.r - 1, b.n - 1) * (b.t - (b.before + 1) * stretch)
        return ratio(b.r, b.n) * ((b.relevant_before + 1) * stretch + earlier_ties)
    # All m relevant that fall among the t come in a run behind s items:
    # sum_{i=1..m} (R_+i) / (s+i) = m + (R_-s) (H(s+m) - H(s)).
    m = np.minimum(b.r, b.t) if ties == "best" else np.maximum(0, b.t - (b.n - b.r))
    s = b.before if ties == "best" else b.before + b.t - m
    return m + (b.relevant_before - s) * harmonic_between(s, m)


class Cut(NamedTuple):
    """The bucket that k cuts, of the queries that have one: rows (q,) of queries and columns (q,) of distances."""

    rows: np.ndarray
    columns: np.ndarray


def cut_of(b: Buckets) -> Cut:
    is_cut = (b.t > 0) & (b.t < b.n)  # one bucket of a query at most
    rows = np.flatnonzero(is_cut.any(axis=1))
    return Cut(rows, is_cut[rows].argmax(axis=1))


# Of some queries' cut buckets: (queries (q,), columns (q,), the buckets (q, 1), m (q, M)) -> what they add (q, M).
SumsOfKept = Callable[[np.ndarray, np.ndarray, Buckets, np.ndarray], np.ndarray]


def divided_by_retrieved(ties: str, sums: np.ndarray, b: Buckets, kept: SumsOfKept) -> np.ndarray:
    """Sums (Q, D) over the relevant items retrieved, S_k / H_k (Q,).

    Where k cuts a bucket H_k varies too: go through the m relevant that can be kept of it, which add `kept`.
    """
    whole = b.t == b.n
    total = sum_in_order(np.where(whole, sums, 0.0))
    result = ratio(total, np.where(whole, b.r, 0).sum(axis=1))
    rows, columns = cut_of(b)
    result[rows] = START[ties]
    for part, m, possible in kept_relevant(ties, Buckets(*(counts[rows, columns] for counts in b))):
        queries, at = rows[part], columns[part]
        cut = Buckets(*(counts[queries, at][:, None] for counts in b))  # (Q, D) -> (q, 1)
        values = ratio(total[queries, None] + kept(queries, at, cut, m), cut.relevant_before + m)
        result[queries] = over_kept(ties, result[queries], values, m, possible, cut)
    return result


def kept_relevant(ties: str, b: Buckets) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """(queries, m (q, M), whether m is possible (q, M)): how many relevant items the first t of a cut bucket can hold.

    b: the cut buckets (q,). All m come, some queries and some m at a time; for the mean only those within 12 standard
    deviations and 12 more, all at once: the others weigh less than 1e-20.
    """
    lowest, highest = np.maximum(0, b.t - (b.n - b.r)), np.minimum(b.r, b.t)
    if ties == "expected":
        share = ratio(b.r, b.n)
        reach = np.ceil(12 * np.sqrt(b.t * share * (1 - share))).astype(np.int64) + 12
        middle = (b.t * share).astype(np.int64)
        lowest, highest = np.maximum(lowest, middle - reach), np.minimum(highest, middle + reach)
    for part in blocks(len(b.t), int((highest - lowest).max(initial=0)) + 1):
        first, last = lowest[part, None], highest[part, None]  # (q,) -> (q, 1)
        width = int((last - first).max()) + 1
        for some in [slice(0, width)] if ties == "expected" else blocks(width, 1):
            m = first + np.arange(some.start, some.stop)  # (q, M)
            yield part, np.minimum(m, last), m <= last


START = {"expected": 0.0, "best": -np.inf, "worst": np.inf}


def over_kept(
    ties: str, so_far: np.ndarray, values: np.ndarray, m: np.ndarray, possible: np.ndarray, cut: Buckets
) -> np.ndarray:
    """The mean, maximum or minimum (q,) of values (q, M) over the possible m, joined with what came so far (q,)."""
    if ties == "best":  # the most relevant is not always best: a late one lowers the mean precision
        return np.maximum(so_far, np.where(possible, values, -np.inf).max(axis=1))
    if ties == "worst":
        return np.minimum(so_far, np.where(possible, values, np.inf).min(axis=1))
    return so_far + sum_in_order(_hypergeometric(m, possible, cut) * values)


def _hypergeometric(m: np.ndarray, possible: np.ndarray, b: Buckets) -> np.ndarray:
    """Pr(m relevant among t drawn from n of which r are), (q, M), from the ratios of neighbouring m."""
    up, down = (b.r - m) * (b.t - m), (m + 1) * (b.n - b.r - b.t + m + 1)  # Pr(m+1) / Pr(m) = up / down
    steps = np.log(np.maximum(up, 1)) - np.log(np.maximum(down, 1))
    logs = np.cumsum(steps, axis=1) - steps  # log Pr(m) but for a constant
    logs = np.where(possible, logs, -np.inf)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    return weights / sum_in_order(weights)[:, None]


def expected_hits(counts: Histograms, n: int) -> np.ndarray:
    """Relevant items in the top n, mean over all orders of tied items, (Q,)."""
    taken = np.clip(n - nearer(counts.items), 0, counts.items)
    return sum_in_order(ratio(taken * counts.relevant, counts.items))


def radius_curves(counts: Histograms) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall within each Hamming radius 0..K, (Q, K+1); the precision of nothing is 0."""
    retrieved, hits = np.cumsum(counts.items, axis=1), np.cumsum(counts.relevant, axis=1)
    return ratio(hits, retrieved), ratio(hits, counts.n_relevant[:, None])


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator as float64, 0 where the denominator is 0."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    return np.divide(numerator, denominator, out=np.zeros(shape), where=denominator != 0)


def nearer(counts: np.ndarray) -> np.ndarray:
    """Items in nearer buckets: the cumulative sum that leaves the bucket itself out, (Q, K+1)."""
    return np.cumsum(counts, axis=1) - counts
