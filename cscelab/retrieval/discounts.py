"""Sums of the discounts 1/log2(1+i) of NDCG over consecutive ranks, without a table as long as the ranking.

Up to rank TABLED the sums stand in a table; beyond it the midpoint form of the Euler-Maclaurin formula is exact to
about 1e-13:

    sum_{i=a+1..b} f(i) = integral of f from a+1/2 to b+1/2  -  (f'(b+1/2) - f'(a+1/2)) / 24  +  ...
"""

from __future__ import annotations

import numpy as np

TABLED = 512
_SUMS = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, TABLED + 2)))])  # over the first 0, 1, ..., TABLED
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)  # on [-1, 1]


def discount_between(before: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Sum of 1/log2(1+i) over the ranks i = before+1 .. before+taken, elementwise, float64 of the broadcast shape."""
    before, end = np.broadcast_arrays(before, np.add(before, taken))
    result = np.array(_SUMS[np.minimum(end, TABLED)] - _SUMS[np.minimum(before, TABLED)])
    beyond = (end > TABLED) & (end > before)  # most runs of one grade are empty
    start = np.maximum(before[beyond], TABLED)
    result[beyond] += _beyond_table(start, end[beyond] - start)
    return result


def _beyond_table(before: np.ndarray, taken: np.ndarray) -> np.ndarray:
    # f(i) = ln 2 / ln y with y = 1 + i. With y = low e^v the integral is that of low e^v / (ln low + v), by
    # Gauss-Legendre; v stays below 17 up to ten billion ranks, where 24 nodes are exact in float64.
    low, high = before + 1.5, before + taken + 1.5
    log_low, half = np.log(low), np.log1p(taken / low) / 2
    integral = np.zeros(low.shape)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        v = half * (1 + node)
        integral += weight * np.exp(v) / (log_low + v)
    slopes = 1 / (high * np.log(high) ** 2) - 1 / (low * log_low**2)
    return np.log(2) * (low * half * integral + slopes / 24)
