"""Hadamard matrices (Eq. 1 and beyond): square matrices of -1 / +1 whose rows are orthogonal.

Sylvester's (1867) exist for powers of two; Paley's (1933) and Kronecker products give most other multiples
of 4: 12, 20, 24, 28, 36, 40, 44, 48, 60 and so on, but not 92.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from math import isqrt

import numpy as np


@cache
def hadamard_name(order: int) -> str | None:
    """Which construction gives a Hadamard matrix of this order here, None where none does (10, 92, ...)."""
    if order >= 1 and order & (order - 1) == 0:
        return "Sylvester"
    if order % 4 != 0 or order < 4:
        return None
    if _is_field(order - 1):
        return "Paley I"
    if _is_field(order // 2 - 1) and (order // 2 - 1) % 4 == 1:
        return "Paley II"
    return f"Sylvester x {hadamard_name(order // 2)}" if hadamard_name(order // 2) else None


def hadamard(order: int) -> np.ndarray:
    """(n, n) int8 matrix of -1 / +1 with orthogonal rows; Sylvester's (Eq. 1) for powers of two.

    Raises:
        ValueError: no construction here serves this order.
    """
    name = hadamard_name(order)
    if name is None:
        raise ValueError(f"no Hadamard matrix of order {order} here; expected 1, 2 or a multiple of 4 it serves")
    if order == 1:
        return np.ones((1, 1), dtype=np.int8)
    if name == "Paley I":
        return (_conference(order - 1, border=-1) + np.eye(order)).astype(np.int8)
    if name == "Paley II":
        conference = _conference(order // 2 - 1, border=1)
        diagonal = np.kron(np.eye(order // 2), [[1, -1], [-1, -1]])
        return (np.kron(conference, [[1, 1], [1, -1]]) + diagonal).astype(np.int8)
    return np.kron(np.array([[1, 1], [1, -1]], dtype=np.int8), hadamard(order // 2))


def _conference(q: int, border: int) -> np.ndarray:
    """(q + 1, q + 1): quadratic characters of differences in the field of q elements; C^T = border * C."""
    p = q if _is_prime(q) else isqrt(q)
    digits = 1 if p == q else 2
    elements = np.array(list(product(range(p), repeat=digits)))
    squares = {x * x % p for x in range(1, p)}
    character = np.array([0] + [1 if x in squares else -1 for x in range(1, p)])
    difference = (elements[:, None] - elements[None, :]) % p  # (q, q, digits)
    if digits == 2:
        # a + b sqrt(r) is a square in GF(p^2) exactly if its norm a^2 - r b^2 is one in GF(p).
        root = next(x for x in range(2, p) if x not in squares)
        norm = (difference[..., 0] ** 2 - root * difference[..., 1] ** 2) % p
    else:
        norm = difference[..., 0]
    matrix = np.zeros((q + 1, q + 1), dtype=int)
    matrix[0, 1:], matrix[1:, 0], matrix[1:, 1:] = 1, border, character[norm]
    return matrix


def _is_prime(n: int) -> bool:
    return n > 1 and all(n % p for p in range(2, isqrt(n) + 1))


def _is_field(q: int) -> bool:
    """Whether q is an odd prime or its square: the fields whose squares `_conference` knows."""
    return q % 2 == 1 and (_is_prime(q) or (isqrt(q) ** 2 == q and _is_prime(isqrt(q))))
