"""The numbers of a retrieval run: mAP under every convention in use, and a report of the usual measures around it.

Codes rank the database by Hamming distance. Two conventions decide mAP@k as much as the codes do, so each is
named: how tied items are ordered (`ties`) and what the sum of precisions is divided by (`denominator`). The
denominator "retrieved" of the hashing literature rewards missing relevant images: finding fewer can raise it.

The database may be arrays, memory-mapped ones too, or in place of codes and labels an iterable of chunks
(codes, labels) or (codes, labels, ids). With sharded=True under torchrun each rank gives its part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from cscelab.retrieval import inputs, measures
from cscelab.retrieval.cosine import ValuedSide, rank_by_cosine, valued_side
from cscelab.retrieval.diagnostics import CodeStatistics, quantization_error
from cscelab.retrieval.inputs import Array
from cscelab.retrieval.ranking import DENOMINATORS, FROM_HISTOGRAMS, TIES, Histograms, between
from cscelab.retrieval.report import Report
from cscelab.retrieval.shards import Alone, World
from cscelab.retrieval.sides import Database, Queries, two_sides
from cscelab.retrieval.tally import Places, by_index, graded_by_index, tally

Ties = Literal["expected", "index", "best", "worst"]
Denominator = Literal["retrieved", "capped", "relevant"]
Chunks = Iterable[tuple[Any, ...]]


def mean_average_precision(
    query_codes: Array, query_labels: Array, database_codes: Array | Chunks, database_labels: Array | None = None,
    k: int | None = None, ties: Ties = "expected", denominator: Denominator = "retrieved",
    empty: Literal["zero", "drop"] = "zero", bits: int | None = None,
    query_ids: Array | None = None, database_ids: Array | None = None, sharded: bool = False,
) -> float:  # fmt: skip
    """mAP@k of codes (Q, K) against codes (N, K) ranked by Hamming distance; k=None ranks the whole database.

    Codes are {-1, +1} or {0, 1}, or packed uint8 with `bits`, K; labels are class ids (N,) or multi-hot (N, C), and
    two items are relevant to each other when they share one. Items with the query's id are left out of its ranking.
    `empty="drop"` leaves out queries without any relevant item instead of counting 0 (HashNet's code drops more:
    also the queries whose top k holds no relevant item). sharded: the database is this rank's part of it.
    One-hot codes of symbols need nothing more, `bits` being their K columns: twice the symbols that differ orders the
    database as their number does.
    Raises ValueError for input that does not fit together, when "drop" leaves no query, and for ties by index of a
    database that can be read only once.
    """
    inputs.one_of("ties", ties, TIES)
    inputs.one_of("denominator", denominator, DENOMINATORS)
    inputs.one_of("empty", empty, ("zero", "drop"))
    k = inputs.depth("k", k)
    parts = World() if sharded else Alone()
    given = query_codes, query_labels, database_codes, database_labels, bits, query_ids, database_ids, sharded
    queries, database = parts.attempt(lambda: two_sides(*given))
    if ties == "index" and not all(parts.gather(database.again)):
        raise ValueError(
            "ties by index take two passes over the database, and a generator can be read only once; give arrays, "
            "a memory-mapped file or a list of chunks, or choose ties from " + ", ".join(FROM_HISTOGRAMS)
        )
    counts, earlier = _counts(queries, database, parts)
    if ties == "index":
        found = by_index(queries, database, Places(counts, earlier, queries.bits), [k], parts)[k][denominator]
        worst, best = (measures.average_precision(counts, k, policy, denominator) for policy in ("worst", "best"))
        ap = between(found, worst, best)
    else:
        ap = measures.average_precision(counts, k, ties, denominator)
    if empty == "drop":
        ap = ap[counts.n_relevant > 0]
        if not len(ap):
            raise ValueError('no query has a relevant item and empty="drop" leaves none to average; check the labels')
    return float(ap.mean())


def cosine_average_precision(
    query_values: Array, query_labels: Array, database_values: Array, database_labels: Array,
    k: int | None = None, denominator: Denominator = "retrieved",
    query_ids: Array | None = None, database_ids: Array | None = None,
) -> np.ndarray:  # fmt: skip
    """AP@k (Q,) of real values (Q, K) against (N, K) ranked by falling cosine, ties by database index.

    Cosines are rounded to steps of 2^-30, and equal ones are ties. Labels and ids as in `mean_average_precision`.
    Raises ValueError for input that does not fit together.
    """
    inputs.one_of("denominator", denominator, DENOMINATORS)
    k = inputs.depth("k", k)
    inputs.both_ids(query_ids, database_ids)
    queries = valued_side("query", query_values, query_labels, query_ids)
    database = valued_side("database", database_values, database_labels, database_ids)
    return rank_by_cosine(queries, database, [k])[k][denominator]


def evaluate(
    query_codes: Array, query_labels: Array, database_codes: Array | Chunks, database_labels: Array | None = None, *,
    k: int | Sequence[int | None] | None = None,
    query_values: Array | None = None, database_values: Array | None = None,
    bits: int | None = None, query_ids: Array | None = None, database_ids: Array | None = None,
    precision_at: int | Sequence[int] = (1, 10, 100, 1000), radius: int | Sequence[int] = (0, 1, 2),
    ties: str | Sequence[str] = TIES, sharded: bool = False, arity: int | None = None,
) -> Report:  # fmt: skip
    """Every measure of codes against codes, from one pass over the distances; input as `mean_average_precision`.

    k: one depth or several, the first being the report's own; ties: the policies of mAP, of which "index" takes a
    second pass and is left out for a database that can be read only once; query_values (Q, D) and database_values
    (N, D), both or neither, are ranked by cosine for `continuous_map`; precision_at: the n of precision@n and recall@n,
    for multi-hot labels also of ACG@n and NDCG@n; radius: Hamming radii in bits, or in symbols with an arity.
    arity: k where codes are R symbols of k values written one-hot (`cscelab.ordinal`), K = R k columns, which is
    checked of every code: all distances of the report then count symbols, and `bits`, needed for packed codes, are
    those that the symbols tell, R log2(k), as in the report. Raises ValueError.
    """
    ks = list(dict.fromkeys(inputs.depth("k", one) for one in inputs.several(k)))
    if not ks:
        raise ValueError("k is an empty list; give at least one depth, None for the whole ranking")
    policies = [inputs.one_of("ties", policy, TIES) for policy in inputs.several(ties)]
    depths = sorted({inputs.whole_number("precision_at", n) for n in inputs.several(precision_at)})
    radii = sorted({inputs.whole_number("radius", r, least=0) for r in inputs.several(radius)})
    parts = World() if sharded else Alone()
    given = query_codes, query_labels, database_codes, database_labels, bits, query_ids, database_ids, sharded, arity
    queries, database = parts.attempt(lambda: two_sides(*given))
    values = parts.attempt(lambda: _values(queries, database, query_values, database_values, sharded))
    layout = parts.attempt(lambda: inputs.one_hot_layout(queries.packed, queries.bits, arity))
    statistics = CodeStatistics(queries.bits)
    counts, earlier = _counts(queries, database, parts, queries.labels.ndim == 2, statistics)
    statistics.join(parts)
    statistics.check_one_hot(layout)
    ordered = None
    if "index" in policies and all(parts.gather(database.again)):
        ordered = _ordered(queries, database, Places(counts, earlier, queries.bits), ks, depths, parts)
    counts = counts.in_steps(layout.hamming_per_unit, layout.n_symbols)
    maps = list(measures.mean_average_precisions(counts, ks, policies, ordered))
    at_depths = list(measures.at_depths(counts, depths))
    shared = list(measures.graded_measures(counts, ks, depths, policies, ordered))
    near = list(measures.within_radius(counts, radii))
    ap = maps[0].per_query  # expected, retrieved
    if maps[0].ties != "expected":
        ap = measures.average_precision(counts, ks[0], "expected", "retrieved")
    classes = measures.per_class(ap, queries.labels, ks[0])
    error, cosine = None, []
    if values is not None:
        by_cosine = rank_by_cosine(*values, ks[:1])[ks[0]]
        name = measures.depth_name("mAP", ks[0]) + " by cosine"
        cosine = [measures.Measure(name, "index", d, by_cosine[d]) for d in DENOMINATORS]
        if layout.arity is None:
            error = quantization_error(values[1].values, database, queries)
    return Report(
        k=ks[0], bits=layout.bits, arity=layout.arity, n_query=len(queries), n_database=statistics.n_items,
        n_empty=int((counts.n_relevant == 0).sum()),
        map_at={k: _by_convention(maps, measures.depth_name("mAP", k)) for k in ks},
        continuous_map={one.divided_by: one.value for one in cosine} or None,
        precision_at=_by_number(at_depths, "precision@"), recall_at=_by_number(at_depths, "recall@"),
        graded=_by_name(shared),
        radius_precision=_by_number(near, "precision within "), radius_recall=_by_number(near, "recall within "),
        radius_nothing=measures.retrieving_nothing(counts, radii),
        pr_curve=measures.pr_curve(counts),
        map_per_class={c: one.value for c, one in classes.items()},
        average_precision=ap,
        codes=statistics.report(counts, error, layout),
        measures=(*maps, *cosine, *at_depths, *shared, *near, *classes.values()),
        queries=queries.digest,
        histograms=counts,
    )  # fmt: skip


def _counts(
    queries: Queries, database: Database, parts: Alone,
    graded: bool = False, statistics: CodeStatistics | None = None,
) -> tuple[Histograms, Histograms]:  # fmt: skip
    """Histograms of the whole database, and of the shards before this one."""
    if len(set(parts.gather(queries.codes_digest))) > 1:
        raise ValueError("the ranks came with different queries; give every rank the same queries and its own shard")
    counts, earlier = parts.histograms(parts.attempt(lambda: tally(queries, database, graded, statistics)))
    if not counts.items.any():
        raise ValueError("the database is empty: it held no item but the queries themselves; give at least one row")
    return counts, earlier


def _ordered(
    queries: Queries, database: Database, places: Places, ks: Sequence[int | None], depths: Sequence[int], parts: Alone
) -> measures.Ordered:
    if places.counts.graded is None:
        return measures.Ordered(by_index(queries, database, places, ks, parts))
    deepest = max(measures.reached(places.counts, depths), default=0)
    return measures.Ordered(*graded_by_index(queries, database, places, ks, deepest, parts))


def _values(
    queries: Queries, database: Database, query_values: Array | None, database_values: Array | None, sharded: bool
) -> tuple[ValuedSide, ValuedSide] | None:
    if query_values is None and database_values is None:
        return None
    if sharded or database.chunked:
        raise ValueError(
            "values came beside a database in shards or chunks; ranking them by cosine takes the whole database as "
            "arrays in one process: leave query_values and database_values out"
        )
    return (
        valued_side("query", inputs.rows_alike("query", query_values, len(queries)), queries.labels, queries.ids),
        valued_side(
            "database", inputs.rows_alike("database", database_values, len(database.codes)), database.labels,
            database.ids,
        ),
    )  # fmt: skip


def _by_convention(maps: Sequence[measures.Measure], name: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for one in maps:
        if one.name == name:
            found.setdefault(one.ties, {})[one.divided_by] = one.value
    return found


def _by_number(some: Sequence[measures.Measure], prefix: str) -> dict[int, float]:
    return {int(one.name.removeprefix(prefix)): one.value for one in some if one.name.startswith(prefix)}


def _by_name(some: Sequence[measures.Measure]) -> dict[str, dict[str, float]]:
    """ties -> name -> value, the denominator as part of the name where several stand beside each other."""
    found: dict[str, dict[str, float]] = {}
    for one in some:
        name = f"{one.name}, {one.divided_by}" if one.divided_by in DENOMINATORS else one.name
        found.setdefault(one.ties, {})[name] = one.value
    return found
