"""The ranking with ties by database index: a walk through the database that knows how many items lie nearer.

An item's rank is the number of items at smaller distances, known from the histograms, plus its place among the items
at its own distance, counted on the way. Sums of precisions are kept as whole numbers, so that they are exact to the
last bit in whatever chunks or shards the database comes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit

from cscelab.retrieval.bitplanes import popcount
from cscelab.retrieval.counting import Asked, Itself, Tiles, any_label, keep, sum_labels
from cscelab.retrieval.threads import over_threads

_SCALE = 53  # bits after the point of a precision
_LOW = 27  # of them that go to the low of two sums
_LOW_BITS = (1 << _LOW) - 1
_GRADED = 44  # bits after the point of a weighted precision, which may be as large as the number of labels


class Walk:
    """Sums of precisions S_k and hits H_k of every query at several k, from one walk in database order.

    seen, hits: items and relevant items at smaller distances, (Q, bins) int64, plus what earlier shards hold at the
    same distance; changed on the way. ks: (n,) increasing.
    """

    def __init__(self, seen: np.ndarray, hits: np.ndarray, ks: np.ndarray) -> None:
        self.seen, self.hits, self.ks = seen, hits, ks
        self.high, self.low, self.found = (np.zeros((len(seen), len(ks)), np.int64) for _ in range(3))

    def add(self, tiles: Tiles, asked: Asked, itself: Itself) -> None:
        """The next items of the database."""

        def part(first: int, last: int) -> None:
            arrays = *self._given(tiles, asked, itself), self.hits, *self._kept()
            _walk(*arrays, first, last)  # type: ignore[call-arg]

        over_threads(part, len(asked.words))

    def join(self, total: Callable[[np.ndarray], np.ndarray]) -> None:
        """Takes in the walks through other shards: total sums an array over all of them."""
        self.high, self.low, self.found = total(self.high), total(self.low), total(self.found)

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """S_k float64 and H_k int64, (Q, n) each."""
        return _joined(self.high, self.low, _SCALE), np.cumsum(self.found, axis=1)

    def _given(self, tiles: Tiles, asked: Asked, itself: Itself) -> tuple[np.ndarray, ...]:
        return tiles.labels, tiles.valid, tiles.words, asked.words, asked.starts, asked.rows, *itself, self.seen

    def _kept(self) -> tuple[np.ndarray, ...]:
        return self.ks, self.high, self.low, self.found


class GradedWalk(Walk):
    """The same walk, which also looks at grades: the number of labels that query and item share.

    gained: the grades of the items at smaller distances, summed, (Q, bins), and those of earlier shards at the same
    distance; ranked (Q, n) int64: the grade at each of the first n ranks.
    """

    def __init__(self, seen: np.ndarray, hits: np.ndarray, gained: np.ndarray, ks: np.ndarray, n: int) -> None:
        super().__init__(seen, hits, ks)
        self.gained, self.ranked = gained, np.zeros((len(seen), n), np.int64)
        self.weighted_high, self.weighted_low = (np.zeros((len(seen), len(ks)), np.int64) for _ in range(2))

    def add(self, tiles: Tiles, asked: Asked, itself: Itself) -> None:
        graded = self.gained, self.weighted_high, self.weighted_low, self.ranked

        def part(first: int, last: int) -> None:
            arrays = *self._given(tiles, asked, itself), self.hits, *self._kept(), *graded
            _walk_graded(*arrays, first, last)  # type: ignore[call-arg]

        over_threads(part, len(asked.words))

    def join(self, total: Callable[[np.ndarray], np.ndarray]) -> None:
        super().join(total)
        self.weighted_high, self.weighted_low = total(self.weighted_high), total(self.weighted_low)
        self.ranked = total(self.ranked)  # every rank of the ranking is known to one shard, and 0 to the others

    def weighted_sums(self) -> np.ndarray:
        """S_k with precisions that weigh items by their grades, float64 (Q, n)."""
        return _joined(self.weighted_high, self.weighted_low, _GRADED)


def _joined(high: np.ndarray, low: np.ndarray, scale: int) -> np.ndarray:
    """Sums up to each depth of numbers kept in two parts, `scale` bits after the point."""
    return np.cumsum(high, axis=1) * 2.0 ** (_LOW - scale) + np.cumsum(low, axis=1) * 2.0**-scale


@njit(nogil=True, cache=True)
def _walk(  # type: ignore[no-untyped-def]
    labels, valid, words, asked, starts, rows, self_starts, self_items, seen, hits, ks, high, low, found, first, last
):
    n_tiles, width = valid.shape
    n_words, deepest = words.shape[1], ks[-1]
    present, relevant = np.zeros(width, np.uint64), np.zeros(width, np.uint64)
    for tile in range(n_tiles):
        for q in range(first, last):
            keep(valid[tile], tile, self_items[self_starts[q] : self_starts[q + 1]], present)
            any_label(labels[tile], rows[starts[q] : starts[q + 1]], present, relevant)
            for w in range(width):
                here, good = present[w], relevant[w]
                item = (tile * width + w) * 64
                while here:
                    if here & np.uint64(1):
                        distance = np.uint64(0)
                        for c in range(n_words):
                            distance += popcount(words[item, c] ^ asked[q, c])
                        rank = seen[q, distance] + 1
                        seen[q, distance] = rank
                        if good & np.uint64(1):
                            hit = hits[q, distance] + 1
                            hits[q, distance] = hit
                            if rank <= deepest:
                                depth = 0
                                while rank > ks[depth]:
                                    depth += 1
                                precision = np.int64(hit / rank * 2.0**_SCALE)
                                high[q, depth] += precision >> _LOW
                                low[q, depth] += precision & _LOW_BITS
                                found[q, depth] += 1
                    here >>= np.uint64(1)
                    good >>= np.uint64(1)
                    item += 1


@njit(nogil=True, cache=True)
def _walk_graded(  # type: ignore[no-untyped-def]
    labels, valid, words, asked, starts, rows, self_starts, self_items,
    seen, hits, ks, high, low, found, gained, weighted_high, weighted_low, ranked, first, last,
):  # fmt: skip
    n_tiles, width = valid.shape
    n_words, deepest, n_ranked = words.shape[1], ks[-1], ranked.shape[1]
    most_labels = 0
    for q in range(first, last):
        most_labels = max(most_labels, starts[q + 1] - starts[q])
    n_bits = 1
    while (1 << n_bits) <= most_labels:
        n_bits += 1
    shared = np.zeros((n_bits, width), np.uint64)
    present, carry = np.zeros(width, np.uint64), np.zeros(width, np.uint64)
    for tile in range(n_tiles):
        for q in range(first, last):
            keep(valid[tile], tile, self_items[self_starts[q] : self_starts[q + 1]], present)
            n_bits = sum_labels(labels[tile], rows[starts[q] : starts[q + 1]], shared, carry)
            for w in range(width):
                here, item, bit = present[w], (tile * width + w) * 64, np.uint64(0)
                good = np.uint64(0)
                for p in range(n_bits):
                    good |= shared[p, w]
                while here:
                    if here & np.uint64(1):
                        distance = np.uint64(0)
                        for c in range(n_words):
                            distance += popcount(words[item, c] ^ asked[q, c])
                        rank = seen[q, distance] + 1
                        seen[q, distance] = rank
                        if (good >> bit) & np.uint64(1):
                            grade = np.int64(0)
                            for p in range(n_bits):
                                grade += np.int64((shared[p, w] >> bit) & np.uint64(1)) << p
                            if rank <= n_ranked:
                                ranked[q, rank - 1] = grade
                            hit, gain = hits[q, distance] + 1, gained[q, distance] + grade
                            hits[q, distance], gained[q, distance] = hit, gain
                            if rank <= deepest:
                                depth = 0
                                while rank > ks[depth]:
                                    depth += 1
                                precision = np.int64(hit / rank * 2.0**_SCALE)
                                high[q, depth] += precision >> _LOW
                                low[q, depth] += precision & _LOW_BITS
                                weighted = np.int64(gain / rank * 2.0**_GRADED)
                                weighted_high[q, depth] += weighted >> _LOW
                                weighted_low[q, depth] += weighted & _LOW_BITS
                                found[q, depth] += 1
                    here >>= np.uint64(1)
                    bit += np.uint64(1)
                    item += 1
