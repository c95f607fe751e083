"""Average precision of rankings full of ties, in closed form from two histograms over distance per query.

K bits give only K+1 distances, so most items are tied and the order within a tie decides the number. For one
query, a bucket holds the n items at one distance, r of them relevant; N_ items with R_ relevant lie nearer; k
cuts the ranking after t of the n. With H(j) = 1 + 1/2 + ... + 1/j, A = H(N_+t) - H(N_) = sum_{i=1..t} 1/(N_+i).
S_k is the sum of the precisions at the relevant ranks up to k, H_k their number, N all the relevant items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

TIES = ("expected", "index", "best", "worst")
DENOMINATORS = ("retrieved", "capped", "relevant")
BLOCK_CELLS = 2**21  # queries x items held at once; with its temporaries a block takes about 100 MB


@dataclass(frozen=True, eq=False)
class Sides:
    """Queries (Q, K) and a database (N, K), codes of -1 and +1 or real values, with labels and perhaps ids.

    Labels are class ids (Q,), (N,) or multi-hot (Q, C), (N, C). Both ids or neither: an item never ranks itself.
    """

    query: np.ndarray
    database: np.ndarray
    query_labels: np.ndarray
    database_labels: np.ndarray
    query_ids: np.ndarray | None = None
    database_ids: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Histograms:
    """How many items, and how many relevant items, lie at each distance from each query: int64 (Q, K+1) both.

    Histograms of the same queries against two parts of a database add up to those of the whole, exactly.
    """

    items: np.ndarray
    relevant: np.ndarray

    def __add__(self, other: Histograms) -> Histograms:
        return Histograms(self.items + other.items, self.relevant + other.relevant)

    @property
    def n_relevant(self) -> np.ndarray:
        """Relevant items in the whole database (N), (Q,)."""
        return self.relevant.sum(axis=1)


def blocks(n_queries: int, n_items: int) -> Iterator[slice]:
    """Consecutive runs of queries, each small enough that queries x items stays within BLOCK_CELLS."""
    step = max(1, BLOCK_CELLS // max(n_items, 1))
    for start in range(0, n_queries, step):
        yield slice(start, min(start + step, n_queries))


def relevance(query_labels: np.ndarray, database_labels: np.ndarray) -> np.ndarray:
    """Whether a query and an item share at least one label, bool (Q, N)."""
    if query_labels.ndim == 1:
        return query_labels[:, None] == database_labels[None, :]
    return query_labels.astype(np.float32) @ database_labels.astype(np.float32).T > 0


def rank_codes(sides: Sides, k: int | None = None, sort: bool = False) -> tuple[Histograms, dict[str, np.ndarray]]:
    """Histograms over Hamming distance and, where `sort`, AP@k (Q,) under each denominator with ties by index."""
    bits = sides.query.shape[1]
    database = sides.database.astype(np.float32).T  # codes are checked and converted once, not once a block
    counts, sorted_ap = [], []
    for rows, relevant, itself in _relevance_blocks(sides):
        # Each equal bit adds 1 to the inner product and each differing bit -1; exact in float32.
        distances = ((bits - sides.query[rows].astype(np.float32) @ database) / 2).astype(np.int16)
        distances[itself] = bits + 1
        counts.append(_histograms(distances, relevant, bits))
        if sort:
            sorted_ap.append(sorted_average_precision(distances, relevant, k))
    whole = Histograms(np.concatenate([c.items for c in counts]), np.concatenate([c.relevant for c in counts]))
    return whole, _joined(sorted_ap)


def rank_values(sides: Sides, k: int | None = None) -> dict[str, np.ndarray]:
    """AP@k (Q,) under each denominator of real values ranked by falling cosine, ties by index."""
    query, database = (
        v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) for v in (sides.query, sides.database)
    )
    parts = []
    for rows, relevant, itself in _relevance_blocks(sides):
        # Rounded, so that equal cosines stay tied whatever the order of summation.
        scores = np.round(-(query[rows] @ database.T), 12)
        scores[itself] = np.inf
        parts.append(sorted_average_precision(scores, relevant, k))
    return _joined(parts)


def _relevance_blocks(sides: Sides) -> Iterator[tuple[slice, np.ndarray, tuple[np.ndarray, ...]]]:
    """(rows, relevance without self-matches (q, N), positions of the self-matches) for each block of queries."""
    for rows in blocks(len(sides.query), len(sides.database)):
        relevant = relevance(sides.query_labels[rows], sides.database_labels)
        itself: tuple[np.ndarray, ...] = (np.empty(0, np.int64),) * 2
        if sides.query_ids is not None and sides.database_ids is not None:
            itself = np.nonzero(sides.query_ids[rows][:, None] == sides.database_ids[None, :])
            relevant[itself] = False
        yield rows, relevant, itself


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in DENOMINATORS} if parts else {}


def _histograms(distances: np.ndarray, relevant: np.ndarray, bits: int) -> Histograms:
    """Counts per distance of distances (q, N) and relevance (q, N); a distance of bits + 1 is left out."""
    n_queries, width = len(distances), bits + 2
    key = distances + width * np.arange(n_queries)[:, None]  # one number for (query, distance) ...
    key = 2 * key + relevant  # ... and relevance, so that one count fills both histograms
    counts = np.bincount(key.ravel(), minlength=2 * n_queries * width).reshape(n_queries, width, 2)[:, :-1]
    return Histograms(counts.sum(axis=2), counts[:, :, 1].copy())


def sorted_average_precision(scores: np.ndarray, relevant: np.ndarray, k: int | None = None) -> dict[str, np.ndarray]:
    """AP@k (Q,) under each denominator by a stable sort of scores (Q, N), smallest first, ties by column."""
    n_relevant = relevant.sum(axis=1)
    k = scores.shape[1] if k is None else min(k, scores.shape[1])
    order = np.argsort(scores, axis=1, kind="stable")[:, :k]
    rows, positions = np.nonzero(np.take_along_axis(relevant, order, axis=1))
    hits = np.bincount(rows, minlength=len(scores))  # H_k
    ordinal = np.arange(1, len(rows) + 1) - (np.cumsum(hits) - hits)[rows]  # 1st, 2nd, ... hit of its query
    total = np.bincount(rows, weights=ordinal / (positions + 1), minlength=len(scores))  # S_k
    largest = {"retrieved": hits, "capped": np.minimum(k, n_relevant), "relevant": n_relevant}
    return {name: ratio(total, largest[name]) for name in DENOMINATORS}


class _Buckets(NamedTuple):
    """What the module's first lines call n, r, t, N_ and R_, of one shape."""

    n: np.ndarray
    r: np.ndarray
    t: np.ndarray
    before: np.ndarray
    relevant_before: np.ndarray


def average_precision(
    counts: Histograms, k: int | None = None, ties: str = "expected", denominator: str = "retrieved"
) -> np.ndarray:
    """AP@k of every query, (Q,) float64, 0 where nothing is relevant; k=None ranks everything.

    ties: "expected" is the mean over all orders of tied items, "best" and "worst" the largest and smallest AP
    that an order gives, each query on its own. denominator: "retrieved" S_k / H_k, "capped" S_k / min(k, N),
    "relevant" S_k / N. Raises ValueError for ties by index, which histograms do not know.
    """
    if ties not in ("expected", "best", "worst"):
        raise ValueError(f"ties={ties!r} cannot be had from histograms; choose from expected, best, worst")
    longest = int(counts.items.sum(axis=1).max(initial=0))
    k = longest if k is None else min(k, longest)
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, longest + 1))])
    before = _nearer(counts.items)
    taken = np.clip(k - before, 0, counts.items)
    buckets = _Buckets(counts.items, counts.relevant, taken, before, _nearer(counts.relevant))
    sums = _precision_sums(ties, buckets, harmonic)
    if denominator == "retrieved":
        return _divided_by_retrieved(ties, sums, buckets, harmonic)
    return ratio(sums.sum(axis=1), np.minimum(k, counts.n_relevant) if denominator == "capped" else counts.n_relevant)


def _precision_sums(ties: str, b: _Buckets, harmonic: np.ndarray) -> np.ndarray:
    """What the first t of a bucket add to S_k: the mean over its orders, the largest or the smallest."""
    if ties == "expected":
        # (r/n) sum_{i=1..t} [R_ + 1 + (i-1)(r-1)/(n-1)] / (N_+i), where sum (i-1)/(N_+i) = t - (N_+1) A.
        stretch = harmonic[b.before + b.t] - harmonic[b.before]  # A
        earlier_ties = ratio(b.r - 1, b.n - 1) * (b.t - (b.before + 1) * stretch)
        return ratio(b.r, b.n) * ((b.relevant_before + 1) * stretch + earlier_ties)
    # All m relevant that fall among the t come in a run behind s items:
    # sum_{i=1..m} (R_+i) / (s+i) = m + (R_-s) (H(s+m) - H(s)).
    m = np.minimum(b.r, b.t) if ties == "best" else np.maximum(0, b.t - (b.n - b.r))
    s = b.before if ties == "best" else b.before + b.t - m
    return m + (b.relevant_before - s) * (harmonic[s + m] - harmonic[s])


def _divided_by_retrieved(ties: str, sums: np.ndarray, b: _Buckets, harmonic: np.ndarray) -> np.ndarray:
    """S_k / H_k (Q,). Where k cuts a bucket H_k varies too: go through the m relevant that can be kept of it."""
    whole = b.t == b.n
    total = np.where(whole, sums, 0.0).sum(axis=1)
    result = ratio(total, np.where(whole, b.r, 0).sum(axis=1))
    is_cut = ~whole & (b.t > 0)  # one bucket of a query at most
    rows = np.flatnonzero(is_cut.any(axis=1))
    columns = is_cut[rows].argmax(axis=1)
    widest = int(b.t[rows, columns].max(initial=0)) + 1
    for part in blocks(len(rows), 4 * widest):  # 4: about a dozen float64 temporaries
        queries = rows[part]
        cut = _Buckets(*(counts[queries, columns[part]][:, None] for counts in b))  # (Q, K+1) -> (q, 1)
        result[queries] = _cut_average_precision(ties, total[queries], cut, harmonic)
    return result


def _cut_average_precision(ties: str, total: np.ndarray, cut: _Buckets, harmonic: np.ndarray) -> np.ndarray:
    """AP (q,): the mean, maximum or minimum over m of (S + term(m)) / (R_ + m), S from the buckets before."""
    lowest, highest = np.maximum(0, cut.t - (cut.n - cut.r)), np.minimum(cut.r, cut.t)
    m = lowest + np.arange(int((highest - lowest).max()) + 1)  # (q, 1) -> (q, M)
    possible = m <= highest
    m = np.minimum(m, highest)
    added = _precision_sums(ties, cut._replace(n=cut.t, r=m), harmonic)  # the t kept are a bucket of their own
    values = ratio(total[:, None] + added, cut.relevant_before + m)
    if ties == "best":  # the most relevant is not always best: a late one lowers the mean precision
        return np.where(possible, values, -np.inf).max(axis=1)
    if ties == "worst":
        return np.where(possible, values, np.inf).min(axis=1)
    return (_hypergeometric(m, possible, cut) * values).sum(axis=1)


def _hypergeometric(m: np.ndarray, possible: np.ndarray, b: _Buckets) -> np.ndarray:
    """Pr(m relevant among t drawn from n of which r are), (q, M), from the ratios of neighbouring m."""
    up, down = (b.r - m) * (b.t - m), (m + 1) * (b.n - b.r - b.t + m + 1)  # Pr(m+1) / Pr(m) = up / down
    steps = np.log(np.maximum(up, 1)) - np.log(np.maximum(down, 1))
    logs = np.cumsum(steps, axis=1) - steps  # log Pr(m) but for a constant
    logs = np.where(possible, logs, -np.inf)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def expected_hits(counts: Histograms, n: int) -> np.ndarray:
    """Relevant items in the top n, mean over all orders of tied items, (Q,)."""
    taken = np.clip(n - _nearer(counts.items), 0, counts.items)
    return ratio(taken * counts.relevant, counts.items).sum(axis=1)


def radius_curves(counts: Histograms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and number retrieved within each Hamming radius 0..K, (Q, K+1); the precision of none is 0."""
    retrieved, hits = np.cumsum(counts.items, axis=1), np.cumsum(counts.relevant, axis=1)
    return ratio(hits, retrieved), ratio(hits, counts.n_relevant[:, None]), retrieved


@dataclass(frozen=True, eq=False)
class CodeReport:
    """What the codes look like; a pair is a query and a database item.

    bit_balance: share of database codes whose bit is +1, (K,); distinct_codes: how many the database holds;
    collisions: pairs with the same code and no label in common; colliding_queries: queries in such a pair;
    within_distance, between_distance: mean distance in bits of pairs that share a label, that share none, or None.
    """

    bit_balance: np.ndarray
    distinct_codes: int
    collisions: int
    colliding_queries: int
    within_distance: float | None
    between_distance: float | None


def mean_per_class(ap: np.ndarray, labels: np.ndarray) -> dict[int, float]:
    """Mean AP of the queries of each class that has any."""
    if labels.ndim == 1:
        return {int(c): float(ap[labels == c].mean()) for c in np.unique(labels)}
    return {int(c): float(ap[labels[:, c] > 0].mean()) for c in np.flatnonzero(labels.any(axis=0))}


def code_report(database: np.ndarray, counts: Histograms) -> CodeReport:
    """What the database's codes (N, K) of -1 and +1, and the distances to them, look like."""
    bits, other = np.arange(database.shape[1] + 1), counts.items - counts.relevant
    mean = [float(h.sum(axis=0) @ bits / h.sum()) if h.any() else None for h in (counts.relevant, other)]
    return CodeReport(
        bit_balance=(database > 0).mean(axis=0),
        distinct_codes=len(np.unique(np.packbits(database > 0, axis=1), axis=0)),
        collisions=int(other[:, 0].sum()),
        colliding_queries=int((other[:, 0] > 0).sum()),
        within_distance=mean[0],
        between_distance=mean[1],
    )


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator as float64, 0 where the denominator is 0."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    return np.divide(numerator, denominator, out=np.zeros(shape), where=denominator != 0)


def _nearer(counts: np.ndarray) -> np.ndarray:
    """Items in nearer buckets: the cumulative sum that leaves the bucket itself out, (Q, K+1)."""
    return np.cumsum(counts, axis=1) - counts
