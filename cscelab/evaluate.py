"""The numbers of a retrieval run: mAP under every convention in use, and a report of the usual measures around it.

Codes rank the database by Hamming distance. Two conventions decide mAP@k as much as the codes do, so each is
named: how tied items are ordered (`ties`) and what the sum of precisions is divided by (`denominator`). The
denominator "retrieved" of the hashing literature rewards missing relevant images: finding fewer can raise it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Integral
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from cscelab import ranking
from cscelab.codes import as_signs, unpack
from cscelab.ranking import DENOMINATORS, TIES, CodeReport, Sides

Array = np.ndarray | torch.Tensor
Ties = Literal["expected", "index", "best", "worst"]
Denominator = Literal["retrieved", "capped", "relevant"]


def mean_average_precision(
    query_codes: Array, query_labels: Array, database_codes: Array, database_labels: Array,
    k: int | None = None, ties: Ties = "expected", denominator: Denominator = "retrieved",
    empty: Literal["zero", "drop"] = "zero", bits: int | None = None,
    query_ids: Array | None = None, database_ids: Array | None = None,
) -> float:  # fmt: skip
    """mAP@k of codes (Q, K) against codes (N, K) ranked by Hamming distance; k=None ranks the whole database.

    Codes are {-1, +1} or {0, 1}, or packed uint8 with `bits`; labels are class ids (N,) or multi-hot (N, C), and
    two items are relevant to each other when they share one. Items with the query's id are left out of its ranking.
    `empty="drop"` leaves out queries without any relevant item instead of counting 0 (HashNet's code drops more:
    also the queries whose top k holds no relevant item).
    Raises ValueError for input that does not fit together, and when "drop" leaves no query.
    """
    _one_of("ties", ties, TIES)
    _one_of("denominator", denominator, DENOMINATORS)
    _one_of("empty", empty, ("zero", "drop"))
    k = _count("k", k)
    query, database = _codes("query", query_codes, bits), _codes("database", database_codes, bits)
    sides = _sides("bits", query, query_labels, database, database_labels, query_ids, database_ids)
    counts, by_index = ranking.rank_codes(sides, k, sort=ties == "index")
    ap = by_index[denominator] if ties == "index" else ranking.average_precision(counts, k, ties, denominator)
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
    """AP@k (Q,) of real values (Q, K) against (N, K) ranked by falling cosine, ties by database index."""
    _one_of("denominator", denominator, DENOMINATORS)
    query, database = _values("query", query_values), _values("database", database_values)
    sides = _sides("columns", query, query_labels, database, database_labels, query_ids, database_ids)
    return ranking.rank_values(sides, _count("k", k))[denominator]


class PRCurve(NamedTuple):
    """Recall and precision within each Hamming radius 0..K, (K+1,) each, averaged over the queries."""

    recall: np.ndarray
    precision: np.ndarray


@dataclass(frozen=True, eq=False)
class Report:
    """Every measure of one retrieval run; means run over all queries, the `n_empty` without a relevant item as 0.

    map: ties -> denominator -> mAP@k; continuous_map: denominator -> mAP@k of the unbinarised values by cosine
    (the difference is what binarising costs) or None; precision_at, recall_at: n -> expected under ties, for the
    n that every ranking reaches; radius_precision, radius_recall: Hamming radius -> mean, where the
    radius_nothing[r] queries that retrieve nothing have precision 0; map_per_class (a query counts for each of
    its labels) and average_precision (Q,): expected ties, denominator "retrieved".
    """

    k: int | None
    bits: int
    n_query: int
    n_database: int
    n_empty: int
    map: dict[str, dict[str, float]]
    continuous_map: dict[str, float] | None
    precision_at: dict[int, float]
    recall_at: dict[int, float]
    radius_precision: dict[int, float]
    radius_recall: dict[int, float]
    radius_nothing: dict[int, int]
    pr_curve: PRCurve
    map_per_class: dict[int, float]
    average_precision: np.ndarray
    codes: CodeReport

    def rows(self) -> list[dict[str, Any]]:
        """One row per number: measure, ties, divided_by, value."""
        depth = f"mAP@{self.k or 'all'}"
        numbers = [(depth, ties, name, value) for ties, by in self.map.items() for name, value in by.items()]
        numbers += [(f"{depth} by cosine", "index", d, value) for d, value in (self.continuous_map or {}).items()]
        numbers += [(f"precision@{n}", "expected", "n", value) for n, value in self.precision_at.items()]
        numbers += [(f"recall@{n}", "expected", "relevant", value) for n, value in self.recall_at.items()]
        numbers += [(f"precision within {r}", "-", "in radius", v) for r, v in self.radius_precision.items()]
        numbers += [(f"recall within {r}", "-", "relevant", v) for r, v in self.radius_recall.items()]
        numbers += [(f"{depth} class {c}", "expected", "retrieved", v) for c, v in self.map_per_class.items()]
        return [dict(zip(("measure", "ties", "divided_by", "value"), row, strict=True)) for row in numbers]

    def table(self) -> str:
        """Plain text: every number beside its convention, then what the conventions mean."""
        codes, line = self.codes, "{:<24}{:<10}{:<12}{:>8}".format
        within, between = ("-" if d is None else f"{d:.2f}" for d in (codes.within_distance, codes.between_distance))
        return "\n".join([
            f"{self.bits} bits, {self.n_query} queries against {self.n_database} items",
            line("measure", "ties", "divided by", "value"),
            *(line(r["measure"], r["ties"], r["divided_by"], f"{r['value']:.4f}") for r in self.rows()),
            "retrieved = relevant items in the top k. It rewards missing relevant images: finding fewer can raise it.",
            "capped = min(k, relevant items); relevant = relevant items in the database; in radius = items retrieved.",
            "ties expected: the mean over all orders of tied items; ties index: tied items in database order.",
            f"{self.n_empty} queries have no relevant item and count as 0.",
            *(f"{n} queries retrieve nothing within {r} (precision 0)." for r, n in self.radius_nothing.items()),
            f"Codes: {codes.distinct_codes} distinct in the database; {codes.collisions} pairs of query and item"
            f" collide across classes, {codes.colliding_queries} queries in them.",
            f"A bit is +1 in {codes.bit_balance.min():.2f} to {codes.bit_balance.max():.2f} of the database.",
            f"Mean distance within classes {within} bits, between classes {between} bits.",
        ])  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Everything in JSON's own types: arrays become lists and the keys of dictionaries strings."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    def to_frame(self) -> Any:
        """`rows()` as a pandas DataFrame; pandas is imported here only."""
        import pandas as pd

        return pd.DataFrame(self.rows())


def evaluate(
    query_codes: Array, query_labels: Array, database_codes: Array, database_labels: Array, *,
    k: int | None = None, query_values: Array | None = None, database_values: Array | None = None,
    bits: int | None = None, query_ids: Array | None = None, database_ids: Array | None = None,
    precision_at: Sequence[int] = (1, 10, 100, 1000), radius: Sequence[int] = (0, 1, 2),
) -> Report:  # fmt: skip
    """Every measure of codes against codes, from one pass over the distances; input as `mean_average_precision`.

    query_values (Q, D) and database_values (N, D), both or neither, are ranked by cosine for `continuous_map`;
    precision_at: the n of precision@n and recall@n; radius: Hamming radii in bits. Raises ValueError.
    """
    k = _count("k", k)
    depths = [n for n in (_count("precision_at", n) for n in precision_at) if n is not None]
    radii = [_count("radius", r, least=0) or 0 for r in radius]
    query, database = _codes("query", query_codes, bits), _codes("database", database_codes, bits)
    sides = _sides("bits", query, query_labels, database, database_labels, query_ids, database_ids)
    continuous = _continuous_map(sides, query_values, database_values, k)
    counts, by_index = ranking.rank_codes(sides, k, sort=True)
    expected = {d: ranking.average_precision(counts, k, "expected", d) for d in DENOMINATORS}
    shortest = int(counts.items.sum(axis=1).min())
    hits = {n: ranking.expected_hits(counts, n) for n in depths if n <= shortest}
    precision, recall, retrieved = ranking.radius_curves(counts)
    curve = PRCurve(recall.mean(axis=0), precision.mean(axis=0))
    n_bits = query.shape[1]
    within = {r: min(r, n_bits) for r in radii}  # beyond K bits lies nothing more
    return Report(
        k=k, bits=n_bits, n_query=len(query), n_database=len(database),
        n_empty=int((counts.n_relevant == 0).sum()),
        map={"expected": _means(expected), "index": _means(by_index)},
        continuous_map=continuous,
        precision_at={n: float(found.mean() / n) for n, found in hits.items()},
        recall_at={n: float(ranking.ratio(found, counts.n_relevant).mean()) for n, found in hits.items()},
        radius_precision={r: float(curve.precision[column]) for r, column in within.items()},
        radius_recall={r: float(curve.recall[column]) for r, column in within.items()},
        radius_nothing={r: int((retrieved[:, column] == 0).sum()) for r, column in within.items()},
        pr_curve=curve,
        map_per_class=ranking.mean_per_class(expected["retrieved"], sides.query_labels),
        average_precision=expected["retrieved"],
        codes=ranking.code_report(database, counts),
    )  # fmt: skip


def _means(by_denominator: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(ap.mean()) for name, ap in by_denominator.items()}


def _continuous_map(
    sides: Sides, query_values: Array | None, database_values: Array | None, k: int | None
) -> dict[str, float] | None:
    if query_values is None and database_values is None:
        return None
    query, database = _values("query", query_values), _values("database", database_values)
    for side, values, codes in (("query", query, sides.query), ("database", database, sides.database)):
        if len(values) != len(codes):
            raise ValueError(f"{len(values)} {side} values came with {len(codes)} codes; give one row for each")
    _same_width("columns", query, database)
    return _means(ranking.rank_values(replace(sides, query=query, database=database), k))


def _plain(value: Any) -> Any:
    if isinstance(value, PRCurve):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value


def _one_of(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"unknown {name} {value!r}; choose from {', '.join(choices)}")


def _count(name: str, value: Any, least: int = 1) -> int | None:
    if value is not None and (not isinstance(value, Integral) or isinstance(value, bool) or value < least):
        raise ValueError(f"{name} is {value!r}; expected a whole number of at least {least}")
    return None if value is None else int(value)


def _numpy(name: str, array: Any) -> np.ndarray:
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu()
        array = (array.float() if array.dtype == torch.bfloat16 else array).numpy()
    array = np.asarray(array)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} are of type {array.dtype}; expected an array of numbers: convert them")
    if array.size == 0:
        raise ValueError(f"{name} are empty, of shape {array.shape}; give at least one row")
    return array


def _codes(side: str, codes: Array, bits: int | None) -> np.ndarray:
    """int8 -1 / +1 (N, K) from codes of either alphabet, or from packed bytes where `bits` is given."""
    bits, array = _count("bits", bits), _numpy(f"{side} codes", codes)
    is_byte, width = array.dtype == np.uint8, array.shape[-1] if array.ndim else 0
    # One uint8 column of 0 and 1 with bits=1 is a code written out: packed, its bit would be 128.
    packed = is_byte and bits is not None and width == -(-bits // 8) and (width != bits or array.max() > 1)
    try:
        signs = unpack(array, bits) if packed and bits is not None else as_signs(array)
    except (ValueError, TypeError) as error:
        hint = "; packed uint8 codes need bits=, their number of bits" if is_byte and not packed else ""
        raise ValueError(f"{side} codes: {error}{hint}") from None
    if bits is not None and signs.shape[1] != bits:
        raise ValueError(f"{side} codes have {signs.shape[1]} columns, but bits={bits}; give codes of {bits} bits")
    return signs


def _values(side: str, values: Any) -> np.ndarray:
    if values is None:
        raise ValueError(f"{side}_values are missing; give the values of both queries and database, or neither")
    array = _numpy(f"{side} values", values)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise ValueError(f"{side} values of shape {array.shape}; expected finite numbers (N, K), no NaN or infinity")
    return array.astype(np.float64)


def _labels(side: str, labels: Array, n_rows: int) -> np.ndarray:
    array = _numpy(f"{side} labels", labels)
    if array.ndim not in (1, 2) or len(array) != n_rows:
        expected = f"{n_rows} class ids ({n_rows},) or multi-hot ({n_rows}, C), one row for each item"
        raise ValueError(f"{side} labels have shape {array.shape}; expected {expected}")
    if array.ndim == 2 and not ((array == 0) | (array == 1)).all():
        raise ValueError(f"{side} labels (N, C) hold other values than 0 and 1; give class ids as (N,) or multi-hot")
    if not (np.isfinite(array) & (array == np.round(array))).all():
        raise ValueError(f"{side} labels hold NaN or fractions; expected whole class ids (N,)")
    return array.astype(np.int64 if array.ndim == 1 else np.uint8)


def _sides(
    unit: str, query: np.ndarray, query_labels: Array, database: np.ndarray, database_labels: Array,
    query_ids: Array | None, database_ids: Array | None,
) -> Sides:  # fmt: skip
    _same_width(unit, query, database)
    labels = _labels("query", query_labels, len(query)), _labels("database", database_labels, len(database))
    if labels[0].shape[1:] != labels[1].shape[1:]:
        raise ValueError(
            f"query labels {labels[0].shape} and database labels {labels[1].shape} differ in kind; "
            "expected class ids (N,) for both or multi-hot (N, C) of the same classes for both"
        )
    if (query_ids is None) != (database_ids is None):
        raise ValueError("ids came for one side only; give both query_ids and database_ids, or neither")
    return Sides(query, database, *labels, _ids("query", query_ids, query), _ids("database", database_ids, database))


def _ids(side: str, ids: Array | None, rows: np.ndarray) -> np.ndarray | None:
    if ids is None:
        return None
    array = _numpy(f"{side} ids", ids)
    if array.shape != (len(rows),) or array.dtype.kind not in "iu":
        raise ValueError(f"{side} ids are {array.dtype} {array.shape}; expected whole numbers ({len(rows)},)")
    return array


def _same_width(unit: str, query: np.ndarray, database: np.ndarray) -> None:
    if query.shape[1] != database.shape[1]:
        widths = f"{query.shape[1]} {unit} and the database {database.shape[1]}"
        raise ValueError(f"queries have {widths}; expected the same for both: encode both with one model")
