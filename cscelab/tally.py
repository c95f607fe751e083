"""Fills the histograms of a retrieval run in one pass over the database, and walks it again where the order counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cscelab import countingtorch
from cscelab.counting import bins, count
from cscelab.diagnostics import CodeStatistics
from cscelab.ranking import DENOMINATORS, Histograms, average_precision, between, divisor, nearer, ratio
from cscelab.shards import Alone
from cscelab.sides import Database, Queries
from cscelab.walking import Walk

ByDenominator = dict[str, np.ndarray]


def tally(
    queries: Queries, database: Database, graded: bool = False, statistics: CodeStatistics | None = None
) -> Histograms:
    """Histograms over Hamming distance of every query, `graded` ones too where asked for.

    On the CPU by bit planes, on another device by matrix products there; statistics, where given, see every block.
    """
    n_grades = queries.most_labels if graded else 1
    device = queries.device if queries.device.type != "cpu" else database.device
    if device.type != "cpu":
        if statistics is not None:
            for tiles, _ in database.blocks(queries):
                statistics.add(tiles)
        return countingtorch.tally(queries, database, n_grades, graded, device)
    items = np.zeros((len(queries), bins(queries.bits)), np.int64)
    by_grade = np.zeros((len(queries), n_grades, items.shape[1]), np.int64)
    for tiles, itself in database.blocks(queries):
        count(tiles, queries.asked, itself, items, by_grade)
        if statistics is not None:
            statistics.add(tiles)
    items, by_grade = (counts[..., : queries.bits + 1].copy() for counts in (items, by_grade))
    return Histograms(items, by_grade.sum(axis=1), by_grade if graded else None)


def by_index(
    queries: Queries,
    database: Database,
    counts: Histograms,
    earlier: Histograms,
    ks: Sequence[int | None],
    shards: Alone,
) -> dict[int | None, ByDenominator]:
    """AP (Q,) by k and denominator with ties by database index, from a second pass over the database.

    counts: of the whole database; earlier: of the shards before this one, whose items come first among the tied.
    """
    longest = max(1, int(counts.items.sum(axis=1).max(initial=0)))
    depths = sorted({min(k or longest, longest) for k in ks})
    seen, hits = (np.zeros((len(queries), bins(queries.bits)), np.int64) for _ in range(2))
    seen[:, : queries.bits + 1] = nearer(counts.items) + earlier.items
    hits[:, : queries.bits + 1] = nearer(counts.relevant) + earlier.relevant
    walk = Walk(seen, hits, np.array(depths))
    for tiles, itself in database.blocks(queries, in_order=True):
        walk.add(tiles, queries.asked, itself)
    walk.high, walk.low, walk.found = (shards.sums(part)[0] for part in (walk.high, walk.low, walk.found))
    sums, found = walk.sums()
    result: dict[int | None, ByDenominator] = {}
    for k in ks:
        column = depths.index(min(k or longest, longest))
        result[k] = {}
        for name in DENOMINATORS:
            divided_by = found[:, column] if name == "retrieved" else divisor(name, counts.n_relevant, k)
            worst, best = (average_precision(counts, k, ties, name) for ties in ("worst", "best"))
            result[k][name] = between(ratio(sums[:, column], divided_by), worst, best)
    return result
