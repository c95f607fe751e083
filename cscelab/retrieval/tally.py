"""Fills the histograms of a retrieval run in one pass over the database, and walks it again where the order counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cscelab.retrieval.counting import bins, count
from cscelab.retrieval.countingtorch import DeviceCounter
from cscelab.retrieval.diagnostics import CodeStatistics
from cscelab.retrieval.ranking import DENOMINATORS, Histograms, divisor, nearer, ratio
from cscelab.retrieval.shards import Alone
from cscelab.retrieval.sides import Database, Queries, tiles_of
from cscelab.retrieval.walking import GradedWalk, Walk

ByDenominator = dict[str, np.ndarray]


def tally(
    queries: Queries, database: Database, graded: bool = False, statistics: CodeStatistics | None = None
) -> Histograms:
    """Histograms over Hamming distance of every query, `graded` ones too where asked for.

    On the CPU by bit planes, on a GPU by matrix products there; statistics, where given, see every block.
    """
    n_grades = queries.most_labels if graded else 1
    device = queries.device if queries.device.type != "cpu" else database.device
    on_device = DeviceCounter(queries, n_grades, device) if device.type == "cuda" else None
    items = np.zeros((len(queries), bins(queries.bits)), np.int64)
    by_grade = np.zeros((n_grades, *items.shape), np.int64)
    for piece in database.batches(queries):
        if on_device is not None:
            on_device.add(piece)
        if on_device is None or statistics is not None:
            tiles, itself = tiles_of(piece, queries)
            if on_device is None:
                count(tiles, queries.asked, itself, items, by_grade)
            if statistics is not None:
                statistics.add(tiles)
    if on_device is not None:
        items, by_grade = on_device.totals()
    # Views: the filling up of the kernels' columns costs less than a copy.
    items, by_grade = (counts[..., : queries.bits + 1] for counts in (items, by_grade))
    relevant = by_grade[0] if n_grades == 1 else by_grade.sum(axis=0)
    return Histograms(items, relevant, by_grade.transpose(1, 0, 2) if graded else None)


@dataclass(frozen=True)
class Places:
    """What every item's rank is counted from: the whole database's histograms, and those of the shards before this."""

    counts: Histograms
    earlier: Histograms
    bits: int

    def before(self, counted: np.ndarray, earlier: np.ndarray) -> np.ndarray:
        """Of the items that rank before this part's first at each distance, (Q, bins): nearer ones and earlier ties."""
        result = np.zeros((len(counted), bins(self.bits)), np.int64)
        result[:, : self.bits + 1] = nearer(counted) + earlier
        return result

    @property
    def longest(self) -> int:
        return max(1, int(self.counts.items.sum(axis=1).max(initial=0)))

    def depths(self, ks: Sequence[int | None]) -> list[int]:
        """The different depths in increasing order, none beyond the longest ranking."""
        return sorted({self.column_of(k) for k in ks})

    def column_of(self, k: int | None) -> int:
        return min(k or self.longest, self.longest)


def by_index(
    queries: Queries, database: Database, places: Places, ks: Sequence[int | None], shards: Alone
) -> dict[int | None, ByDenominator]:
    """AP (Q,) by k and denominator with ties by database index, from a second pass over the database."""
    walk = Walk(*_start(places), np.array(places.depths(ks)))
    _pass(walk, queries, database, shards)
    return _divided(*walk.sums(), places, ks)


class GradedByIndex(NamedTuple):
    """AP and weighted AP (Q,) by k and denominator, and the grades of the first n ranks (Q, n), ties by index."""

    average_precision: dict[int | None, ByDenominator]
    weighted: dict[int | None, ByDenominator]
    ranked: np.ndarray


def graded_by_index(
    queries: Queries, database: Database, places: Places, ks: Sequence[int | None], n: int, shards: Alone
) -> GradedByIndex:
    """`by_index` and what grades give with it, in the same pass. places: of histograms with grades."""
    counts, earlier = places.counts.graded, places.earlier.graded
    if counts is None or earlier is None:
        raise ValueError("the histograms hold no grades; count them with graded=True")
    grades = np.arange(1, counts.shape[1] + 1)
    gained = places.before(*(np.einsum("g,qgd->qd", grades, part) for part in (counts, earlier)))
    walk = GradedWalk(*_start(places), gained, np.array(places.depths(ks)), n)
    _pass(walk, queries, database, shards)
    sums, found = walk.sums()
    return GradedByIndex(
        _divided(sums, found, places, ks), _divided(walk.weighted_sums(), found, places, ks), walk.ranked
    )


def _start(places: Places) -> tuple[np.ndarray, np.ndarray]:
    """Items and relevant items that rank before this part's first at each distance."""
    counts, earlier = places.counts, places.earlier
    return places.before(counts.items, earlier.items), places.before(counts.relevant, earlier.relevant)


def _pass(walk: Walk, queries: Queries, database: Database, shards: Alone) -> None:
    """Takes the walk through this shard and joins it with those of the other ranks."""

    def through() -> None:
        for piece in database.batches(queries):
            tiles, itself = tiles_of(piece, queries, in_order=True)
            walk.add(tiles, queries.asked, itself)

    shards.attempt(through)
    walk.join(lambda part: shards.sums(part)[0])


def _divided(
    sums: np.ndarray, found: np.ndarray, places: Places, ks: Sequence[int | None]
) -> dict[int | None, ByDenominator]:
    """Sums of (weighted) precisions over each denominator; found: hits at each depth."""
    depths, n_relevant = places.depths(ks), places.counts.n_relevant
    result: dict[int | None, ByDenominator] = {}
    for k in ks:
        column = depths.index(places.column_of(k))
        by = {name: divisor(name, n_relevant, k) for name in DENOMINATORS} | {"retrieved": found[:, column]}
        result[k] = {name: ratio(sums[:, column], by[name]) for name in DENOMINATORS}
    return result
