"""What the codes look like: balance and correlation of bits, distinct codes, collisions, distances, quantisation.

And whether they are what they were said to be: one-hot symbols, of all items, from the same counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from cscelab.layout import CodeLayout
from cscelab.retrieval.bitplanes import counted_rows, popcount
from cscelab.retrieval.counting import Tiles
from cscelab.retrieval.ranking import Histograms, ratio
from cscelab.retrieval.shards import Alone
from cscelab.retrieval.sides import Database, Queries
from cscelab.retrieval.threads import over_threads

_MOST_DISTINCT_BYTES = 2**23  # of distinct codes that are remembered
_ONE_HOT = "expected exactly one: give one-hot codes of this arity, or leave the arity out for codes of plain bits"


@dataclass(frozen=True, eq=False)
class CodeReport:
    """What the codes look like; a pair is a query and a database item.

    bit_balance: share of database codes whose bit is +1, (K,); bit_correlation: Pearson's between the bits of the
    database, (K, K), 0 for a bit that never changes; mean_correlation: its mean absolute value between different bits;
    distinct_codes: how many the database holds, at least that many where distinct_counted is False (their memory is
    bounded); collisions: pairs with the same code and no label in common; colliding_queries: queries in such a pair;
    within_histogram, between_histogram: pairs at each distance 0..K that share a label, that share none, (K+1,);
    within_distance, between_distance: their means, None without pairs; quantization_error: mean squared
    difference between a value and its bit of -1 or +1 over the database, None where no values of K columns were given.

    Of codes with an arity k, R one-hot symbols, K = R k: bit_balance at r k + c is the share of the database whose
    symbol r is c, 1/k where all are used alike; mean_correlation runs over bits of different groups, since those of one
    group exclude each other; distances are 0..R symbols; quantization_error is None, since values are scores that only
    choose a symbol and never come near -1 or +1.
    """

    bit_balance: np.ndarray
    bit_correlation: np.ndarray
    mean_correlation: float
    distinct_codes: int
    distinct_counted: bool
    collisions: int
    colliding_queries: int
    within_histogram: np.ndarray
    between_histogram: np.ndarray
    within_distance: float | None
    between_distance: float | None
    quantization_error: float | None


class CodeStatistics:
    """Gathers, block by block, what needs the codes themselves; statistics of two shards add up.

    ones (rows,): set bits of each row of the planes; differing (rows, rows): items in which two bits differ.
    """

    def __init__(self, bits: int) -> None:
        self.bits, self.n_items, self.counted = bits, 0, True
        rows = counted_rows(bits)
        self.ones = np.zeros(rows, np.int64)
        self.differing = np.zeros((rows, rows), np.int64)
        self.distinct: np.ndarray | None = None
        self._waiting: list[np.ndarray] = []

    def add(self, tiles: Tiles) -> None:
        self.n_items += len(tiles.words)
        self.ones += np.bitwise_count(tiles.planes).sum(axis=(0, 2), dtype=np.int64)

        def part(first: int, last: int) -> None:
            _count_differing(tiles.planes, self.differing, first, last)

        over_threads(part, len(self.ones))
        if self.counted:
            self._waiting.append(_unique(tiles.words))
            if sum(codes.nbytes for codes in self._waiting) > _MOST_DISTINCT_BYTES // 4:
                self.settle()

    def settle(self) -> None:
        """Joins what waits with the distinct codes known so far, and gives up remembering beyond the bound."""
        known = [] if self.distinct is None else [self.distinct]
        if self._waiting:
            self.distinct = _unique(np.concatenate([*known, *self._waiting]))
            self._waiting = []
        if self.distinct is not None and self.distinct.nbytes > _MOST_DISTINCT_BYTES:
            self.counted = False

    def join(self, shards: Alone) -> None:
        """Takes in what the other ranks have seen."""
        self.settle()
        self.n_items = sum(shards.gather(self.n_items))
        self.ones, self.differing = (shards.sums(part)[0] for part in (self.ones, self.differing))
        self.counted = all(shards.gather(self.counted))
        for theirs in shards.gather(self.distinct):
            if theirs is not None and theirs is not self.distinct:
                self._waiting.append(theirs)
        self.settle()

    def of_bits(self) -> tuple[np.ndarray, np.ndarray]:
        """(`ones` (K,), `differing` (K, K)) in the order of the code's bits."""
        # Row 8 b + 7 - j of the planes is bit 8 b + j of the code: packed bytes hold the first bit highest.
        bit = np.arange(self.bits)
        rows = bit // 8 * 8 + 7 - bit % 8
        return self.ones[rows], (self.differing + self.differing.T)[np.ix_(rows, rows)]

    def check_one_hot(self, layout: CodeLayout) -> None:
        """Raises ValueError unless every code of the database has exactly one +1 in each group of the layout's arity.

        No item has two where no two bits of a group are ever set together, and then none has none where a group's set
        bits are as many as the items.
        """
        if layout.arity is None:
            return
        ones, differing = self.of_bits()
        together = (ones[:, None] + ones - differing) // 2  # items that have both bits
        groups = (layout.n_symbols, layout.arity)
        n_set = ones.reshape(groups).sum(axis=1)  # (K,) -> (R,)
        n_together = np.einsum("rirj->r", together.reshape(*groups, *groups))  # of bits of one group, (R,)
        several = n_together > n_set  # more than every bit with itself
        wrong = np.flatnonzero(several | (n_set != self.n_items))
        if len(wrong):
            found = "several bits" if several[wrong[0]] else "no bit"
            raise ValueError(
                f"database codes: some have {found} of +1 in group {wrong[0]}, of {layout.arity} bits; {_ONE_HOT}"
            )

    def report(self, counts: Histograms, quantization_error: float | None, layout: CodeLayout) -> CodeReport:
        """counts: in the layout's units of distance."""
        self.settle()
        ones, differing = self.of_bits()
        balance = ones / self.n_items
        mean = 2 * balance - 1  # of bits written as -1 and +1
        covariance = 1 - 2 * differing / self.n_items - np.outer(mean, mean)
        spread = np.sqrt(np.maximum(1 - mean**2, 0))
        correlation = np.clip(ratio(covariance, np.outer(spread, spread)), -1, 1)
        group = np.arange(self.bits) // (layout.arity or 1)
        apart = group[:, None] != group
        other = counts.items - counts.relevant
        within, between = counts.relevant.sum(axis=0), other.sum(axis=0)
        return CodeReport(
            bit_balance=balance,
            bit_correlation=correlation,
            mean_correlation=float(np.abs(correlation[apart]).mean()) if apart.any() else 0.0,
            distinct_codes=0 if self.distinct is None else len(self.distinct),
            distinct_counted=self.counted,
            collisions=int(other[:, 0].sum()),
            colliding_queries=int((other[:, 0] > 0).sum()),
            within_histogram=within,
            between_histogram=between,
            within_distance=_mean_distance(within),
            between_distance=_mean_distance(between),
            quantization_error=quantization_error,
        )


def quantization_error(values: np.ndarray, database: Database, queries: Queries) -> float | None:
    """Mean squared difference of a database's values (N, K) and its codes of -1 and +1; None for other widths."""
    if values.shape[1] != queries.bits:
        return None
    total, start = 0.0, 0
    for piece in database.pieces(queries):
        rows = slice(start, start + len(piece.packed))
        signs = np.unpackbits(piece.packed, axis=1, count=queries.bits).astype(np.int8) * 2 - 1
        total, start = total + float(((values[rows] - signs) ** 2).sum()), rows.stop
    return total / values.size


def _mean_distance(histogram: np.ndarray) -> float | None:
    return float(histogram @ np.arange(len(histogram)) / histogram.sum()) if histogram.any() else None


def _unique(words: np.ndarray) -> np.ndarray:
    """Distinct rows: of one word (n,) uint64, of several (n,) of raw bytes."""
    if words.ndim == 2:
        words = words[:, 0] if words.shape[1] == 1 else np.ascontiguousarray(words).view(f"V{words.shape[1] * 8}")[:, 0]
    return np.unique(words)


@njit(nogil=True, cache=True)
def _count_differing(planes, differing, first, last):  # type: ignore[no-untyped-def]
    """Adds, for rows i in first..last and j < i, the items whose bits i and j differ."""
    n_tiles, width = planes.shape[0], planes.shape[2]
    for tile in range(n_tiles):
        for i in range(first, last):
            for j in range(i):
                total = np.uint64(0)
                for w in range(width):
                    total += popcount(planes[tile, i, w] ^ planes[tile, j, w])
                differing[i, j] += total
