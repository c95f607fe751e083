"""Re-ranking: codes make the short list, float features put it in order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cscelab.indexes.inputs import check_ids
from cscelab.indexes.kinds import MISSING
from cscelab.retrieval.inputs import Array, as_numpy, whole_number

_QUERIES_AT_ONCE = 256


class Reranked(NamedTuple):
    """cosines float64 (Q, k), falling; distances int32 (Q, k) in bits; ids int64 (Q, k)."""

    cosines: np.ndarray
    distances: np.ndarray
    ids: np.ndarray


def rerank(
    distances: np.ndarray,
    ids: np.ndarray,
    query_features: Array,
    features: Array,
    feature_ids: Array | None = None,
    k: int | None = None,
) -> Reranked:
    """Order a short list by the cosine of features, then by distance, then by id.

        short = index.search(codes, k=100)
        best = rerank(*short, query_features, features, feature_ids, k=10)

    Args:
        distances: (Q, S) and `ids`: (Q, S), as `CodeIndex.search` returns them.
        query_features: (Q, D) real numbers.
        features: (N, D); a memory map will do, for only the rows on a short list are read.
        feature_ids: (N,) the id of each row of `features`, none twice; by default row i belongs to id i.
        k: how many of the short list to keep; all by default.

    Returns:
        Cosines (0 for a feature of zero length, -inf where the short list is empty), distances and ids.

    Raises:
        ValueError: shapes or types that do not fit, k out of range, an id without a feature, NaN or infinity.
    """
    distances, ids = np.asarray(distances), np.asarray(ids)
    if ids.ndim != 2 or ids.shape != distances.shape:
        raise ValueError(f"distances {distances.shape} and ids {ids.shape} differ; pass both as search returned them")
    if ids.dtype.kind not in "iu":
        raise ValueError(f"ids are {ids.dtype}; expected whole numbers: pass them as search returned them")
    ids = ids.astype(np.int64)
    keep = ids.shape[1] if k is None else whole_number("k", k)
    if not 1 <= keep <= ids.shape[1]:
        raise ValueError(f"k={k} of a short list of {ids.shape[1]}; expected 1 to {ids.shape[1]}: search for more")
    query, rows = as_numpy("query features", query_features), as_numpy("features", features)
    if query.ndim != 2 or rows.ndim != 2 or rows.size == 0 or len(query) != len(ids) or query.shape[1] != rows.shape[1]:
        raise ValueError(
            f"query features {query.shape} and features {rows.shape} do not fit {len(ids)} queries; "
            f"expected ({len(ids)}, D) and (N, D) with the same D"
        )
    own = np.arange(len(rows)) if feature_ids is None else check_ids(feature_ids, len(rows), name="feature_ids")
    places = _places(ids, own)
    cosines = np.empty(ids.shape)
    for start in range(0, len(ids), _QUERIES_AT_ONCE):
        block = slice(start, start + _QUERIES_AT_ONCE)
        cosines[block] = _cosines(query[block], np.asarray(rows[places[block]]))
    cosines[ids == MISSING] = -np.inf
    order = np.lexsort((ids, distances, -cosines), axis=-1)[:, :keep]
    return Reranked(*(np.take_along_axis(array, order, axis=1) for array in (cosines, distances, ids)))


def _cosines(query: np.ndarray, listed: np.ndarray) -> np.ndarray:
    """(Q, D) and (Q, S, D) -> (Q, S)."""
    query, listed = query.astype(np.float64), listed.astype(np.float64)
    if not (np.isfinite(query).all() and np.isfinite(listed).all()):
        raise ValueError("features hold NaN or infinity; expected finite numbers: check the network that made them")
    lengths = np.linalg.norm(query, axis=1)[:, None] * np.linalg.norm(listed, axis=2)
    return np.einsum("qd,qsd->qs", query, listed) / np.where(lengths == 0, 1, lengths)


def _places(ids: np.ndarray, feature_ids: np.ndarray) -> np.ndarray:
    """The row of each id in the features, (Q, S); any row for a MISSING id."""
    order = np.argsort(feature_ids, kind="stable")
    at = np.searchsorted(feature_ids, ids, sorter=order)
    places = order[np.minimum(at, len(order) - 1)]
    unknown = (feature_ids[places] != ids) & (ids != MISSING)
    if unknown.any():
        raise ValueError(f"id {ids[unknown][0]} has no row in feature_ids; give the features of every indexed item")
    return np.asarray(places)
