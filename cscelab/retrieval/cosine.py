"""The ranking of real values by falling cosine: what the codes would give if they were not binarised.

Cosines are rounded to 2^-30 and sorted together with the item's number and its relevance in one 64-bit word, which is
several times faster than an argsort and orders equal cosines by database index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cscelab.retrieval import inputs
from cscelab.retrieval.inputs import Array
from cscelab.retrieval.ranking import DENOMINATORS, blocks, divisor, ratio

_STEPS = 2**30  # of a cosine


class ValuedSide(NamedTuple):
    """values float64 (N, D), labels (N,) or (N, C), ids (N,) or None: checked."""

    values: np.ndarray
    labels: np.ndarray
    ids: np.ndarray | None


def valued_side(side: str, values: Array, labels: Array, ids: Array | None) -> ValuedSide:
    """Raises ValueError with one sentence for what does not fit."""
    checked = inputs.checked_values(side, values)
    return ValuedSide(
        checked,
        inputs.checked_labels(side, labels, len(checked)),
        None if ids is None else inputs.checked_ids(side, ids, len(checked)),
    )


def rank_by_cosine(
    queries: ValuedSide, database: ValuedSide, ks: Sequence[int | None]
) -> dict[int | None, dict[str, np.ndarray]]:
    """AP (Q,) by k and denominator, ties by database index. Raises ValueError for sides that do not fit together."""
    inputs.same_width("columns", queries.values.shape[1], database.values.shape[1])
    inputs.same_kind(queries.labels, database.labels)
    their_values, relevance = _normalised(database.values).T, _relevance(queries.labels, database.labels)
    index = np.arange(len(database.values), dtype=np.uint64) << np.uint64(1)
    parts = []
    for rows in blocks(len(queries.values), len(index)):
        distance = np.rint((1 - _normalised(queries.values[rows]) @ their_values) * _STEPS)
        keys = (np.maximum(distance, 0).astype(np.uint64) << np.uint64(32)) | index | relevance(rows)
        if queries.ids is not None and database.ids is not None:
            itself = queries.ids[rows, None] == database.ids[None]
            keys[itself] = np.uint64(2**64 - 2)  # last, and relevant to nobody
        keys.sort(axis=1)
        ranked = (keys & np.uint64(1)).astype(bool)
        parts.append({k: _average_precision(ranked, k) for k in ks})
    return {k: {name: np.concatenate([part[k][name] for part in parts]) for name in DENOMINATORS} for k in ks}


def _relevance(query_labels: np.ndarray, database_labels: np.ndarray) -> Callable[[slice], np.ndarray]:
    """Whether a query and an item share at least one label, bool (q, N), of some rows of queries."""
    if query_labels.ndim == 1:
        return lambda rows: query_labels[rows, None] == database_labels[None]
    shown = database_labels.astype(np.float32).T
    return lambda rows: query_labels[rows].astype(np.float32) @ shown > 0


def _normalised(values: np.ndarray) -> np.ndarray:
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def _average_precision(ranked: np.ndarray, k: int | None) -> dict[str, np.ndarray]:
    """AP@k (q,) under each denominator of relevance in rank order (q, N)."""
    n_relevant = ranked.sum(axis=1)
    rows, positions = np.nonzero(ranked[:, :k])
    hits = np.bincount(rows, minlength=len(ranked))  # H_k
    ordinal = np.arange(1, len(rows) + 1) - (np.cumsum(hits) - hits)[rows]  # 1st, 2nd, ... hit of its query
    total = np.bincount(rows, weights=ordinal / (positions + 1), minlength=len(ranked))  # S_k
    return {name: ratio(total, hits if name == "retrieved" else divisor(name, n_relevant, k)) for name in DENOMINATORS}
