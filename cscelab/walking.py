"""The ranking with ties by database index: a walk through the database that knows how many items lie nearer.

An item's rank is the number of items at smaller distances, known from the histograms, plus its place among the items
at its own distance, counted on the way. Sums of precisions are kept as whole numbers, so that they are exact to the
last bit in whatever chunks or shards the database comes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from cscelab.bitplanes import popcount
from cscelab.counting import Asked, Itself, Tiles, _any_label, _keep, over_threads

_LOW = 27  # bits of a precision, 53 bits long, that go to the low of two sums


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
            _walk(
                tiles.labels, tiles.valid, tiles.words, asked.words, asked.starts, asked.rows, *itself,
                self.seen, self.hits, self.ks, self.high, self.low, self.found, first, last,
            )  # fmt: skip

        over_threads(part, len(asked.words))

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """S_k float64 and H_k int64, (Q, n) each."""
        high, low = np.cumsum(self.high, axis=1), np.cumsum(self.low, axis=1)
        return high * 2.0 ** (_LOW - 53) + low * 2.0**-53, np.cumsum(self.found, axis=1)


@njit(nogil=True, cache=True)
def _walk(  # type: ignore[no-untyped-def]
    labels, valid, words, asked, starts, rows, self_starts, self_items, seen, hits, ks, high, low, found, first, last
):
    n_tiles, width = valid.shape
    n_words, deepest = words.shape[1], ks[-1]
    present, relevant = np.zeros(width, np.uint64), np.zeros(width, np.uint64)
    for tile in range(n_tiles):
        for q in range(first, last):
            _keep(valid[tile], tile, self_items[self_starts[q] : self_starts[q + 1]], present)
            _any_label(labels[tile], rows[starts[q] : starts[q + 1]], present, relevant)
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
                                precision = np.int64(hit / rank * 2.0**53)
                                high[q, depth] += precision >> 27
                                low[q, depth] += precision & 0x7FFFFFF
                                found[q, depth] += 1
                    here >>= np.uint64(1)
                    good >>= np.uint64(1)
                    item += 1
