"""Bootstrap over queries: how much a mean, or the difference of two runs, depends on which queries were drawn.

Resample the queries with replacement, average again, many times: the middle 95% of those averages is the percentile
interval of Efron & Tibshirani (1993, chapter 13). Two runs on the same queries are resampled together, because hard
queries are hard for both (Sakai, SIGIR 2006; Smucker, Allan & Carterette, CIKM 2007).
An interval covers the draw of the queries, and neither training seeds nor the database: those were held fixed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

LEVEL = 0.95
N_RESAMPLES = 2000
LEAST_RESAMPLES = 100  # fewer leave nothing to take percentiles of
BLOCK = 1_000_000  # resampled queries drawn at once, 24 bytes each


class Interval(NamedTuple):
    """A mean over queries and its percentile interval: floats for one measure, arrays (M,) for M measures."""

    value: Any
    low: Any
    high: Any


def interval(
    per_query: np.ndarray, counted: np.ndarray | None = None, *,
    level: float = LEVEL, n_resamples: int = N_RESAMPLES, seed: int = 0,
) -> Interval:  # fmt: skip
    """Mean over queries, with its interval, of one measure (Q,) or of M measures (Q, M).

    counted: bool, (Q,) for all measures or the shape of per_query; each measure is the mean of the queries counted,
    as in mAP per class, and a resample that counts none is left out. What is not counted is never read.
    The same seed draws the same resamples for every measure and call. One query gives low = high = value.
    Raises ValueError for other shapes, values that are not finite, a measure that counts no query, a level outside
    (0, 1) and less than 100 resamples.
    """
    if not 0 < level < 1:
        raise ValueError(f"an interval of level {level} was asked for; give a number between 0 and 1, such as {LEVEL}")
    if n_resamples < LEAST_RESAMPLES:
        raise ValueError(f"{n_resamples} resamples were asked for; give at least {LEAST_RESAMPLES}")
    values, weights, shape = _columns(per_query, counted)
    value = (values * weights).sum(axis=0) / weights.sum(axis=0)  # (M,)
    values = (values - value) * weights  # around the mean: rounding cannot move what never varies
    moved = np.full((n_resamples, len(value)), np.nan)  # mean of a resample, from the value
    start = 0
    for counts in _resamples(len(values), n_resamples, seed):
        n_counted = counts @ weights  # (block, M), or (block, 1) where every measure counts the same queries
        found = moved[start : start + len(counts)]
        np.divide(counts @ values, n_counted, out=found, where=n_counted > 0)
        start += len(counts)
    tail = (1 - level) / 2
    low, high = value + np.nanquantile(moved, (tail, 1 - tail), axis=0)
    return Interval(*(part.reshape(shape)[()] for part in (value, low, high)))  # [()]: shape () becomes a float


def difference(
    first: np.ndarray, second: np.ndarray, counted: np.ndarray | None = None, *,
    level: float = LEVEL, n_resamples: int = N_RESAMPLES, seed: int = 0,
) -> Interval:  # fmt: skip
    """Mean of first minus mean of second, with its paired interval: every resample takes the same queries of both.

    Both are (Q,) or (Q, M), row by row of the same queries (`require_same_queries`); the rest as `interval`.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape:
        raise ValueError(
            f"results of shape {first.shape} came with results of shape {second.shape}; a paired difference needs the"
            " same queries and measures in both"
        )
    return interval(first - second, counted, level=level, n_resamples=n_resamples, seed=seed)


def require_same_queries(
    first_ids: np.ndarray, first_labels: np.ndarray, second_ids: np.ndarray, second_labels: np.ndarray
) -> None:
    """Raises ValueError unless two runs have the same ids (Q,) and labels (Q,) or (Q, C), in the same order."""
    if len(first_ids) != len(second_ids):
        raise ValueError(
            f"{len(first_ids)} queries cannot be paired with {len(second_ids)}; give runs on the same queries"
        )
    if not np.array_equal(first_ids, second_ids):
        if np.array_equal(np.sort(first_ids), np.sort(second_ids)):
            raise ValueError("the queries are the same in another order; sort both by id before pairing them")
        n_shared = len(np.intersect1d(first_ids, second_ids))
        raise ValueError(
            f"of {len(first_ids)} queries only {n_shared} have an id in both; give runs on the same queries"
        )
    if not np.array_equal(first_labels, second_labels):
        raise ValueError("the queries have the same ids and other labels; give runs on the same labels")


def _columns(per_query: np.ndarray, counted: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Values (Q, M), weights of 0 and 1 (Q, M) or (Q, 1), and the shape of a result."""
    values = np.asarray(per_query, np.float64)
    if values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(f"results of shape {values.shape} came; expected (queries,) or (queries, measures), not empty")
    chosen = np.ones(len(values), bool) if counted is None else np.asarray(counted)
    if chosen.dtype != bool or chosen.shape not in ((len(values),), values.shape):
        raise ValueError(
            f"`counted` is {chosen.dtype} of shape {chosen.shape}; expected bool of shape ({len(values)},)"
            f" or {values.shape}"
        )
    shape, values = values.shape[1:], values.reshape(len(values), -1)
    chosen = chosen.reshape(len(values), -1)
    if not chosen.any(axis=0).all():
        raise ValueError(f"measure {int(chosen.any(axis=0).argmin())} counts no query; leave it out")
    values = np.where(chosen, values, 0.0)
    if not np.isfinite(values).all():
        raise ValueError(f"{(~np.isfinite(values)).sum()} results are NaN or infinite; mark them as not counted")
    return values, chosen.astype(np.float64), shape


def _resamples(n_queries: int, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each query is drawn, (block, Q) in a row of its own for every resample, block by block."""
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK // n_queries)
    for start in range(0, n_resamples, block):
        rows = min(block, n_resamples - start)
        drawn = rng.integers(n_queries, size=(rows, n_queries)) + n_queries * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * n_queries)
        yield counts.reshape(rows, n_queries).astype(np.float64)
