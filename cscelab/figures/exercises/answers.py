"""What an answer may look like: one number, one whole number, several numbers or names, in any of their usual types."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

EXACT = 2**53  # beyond it a float no longer tells whole numbers apart


class Unfit(ValueError):
    """An answer of another kind than was asked for: "is not one number"."""


@dataclass(frozen=True)
class Exercise:
    """condition: an answer, and by name what it needs of the notebook -> whether it is right; it may raise Unfit."""

    condition: Callable[..., bool]
    hint: str

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.condition).parameters)[1:]


def number(answer: Any) -> float:
    """One number: of Python, numpy or torch, or an array of one element. Raises Unfit for anything else."""
    values = _array(answer)
    if values is None or values.size != 1 or values.dtype == bool:
        raise Unfit("is not one number")
    return float(values.reshape(()))


def whole(answer: Any) -> int:
    """One whole number; 20.0 is one. Raises Unfit for anything else."""
    value = number(answer)
    if not value.is_integer():
        raise Unfit("is not a whole number")
    if abs(value) > EXACT:
        raise Unfit("is too large")
    return int(value)


def numbers(answer: Any, n: int) -> list[float]:
    """n numbers in order: a list, a tuple, an array, a tensor or a Series. Raises Unfit for anything else."""
    values = _array(answer)
    values = None if values is None else values.squeeze()  # a batch of one is one
    if values is None or values.shape != (n,):
        raise Unfit(f"is not {n} numbers in a row")
    return [float(value) for value in values]


def names(answer: Any, n: int) -> set[str]:
    """n different strings in a set, a list, a tuple or an array. Raises Unfit for anything else."""
    several = answer.tolist() if isinstance(answer, np.ndarray) else answer
    if isinstance(several, str) or not isinstance(several, Collection):
        raise Unfit(f"is not {n} names")
    if not all(isinstance(one, str) for one in several) or len(several) != n or len(set(several)) != n:
        raise Unfit(f"is not {n} different names")
    return set(several)


def near(answer: Any, value: float, within: float = 1e-3) -> bool:
    """Whether an answer is this number up to rounding; by default to three decimals."""
    return math.isclose(number(answer), value, rel_tol=0, abs_tol=within)


def _array(answer: Any) -> np.ndarray | None:
    """Numbers of any kind as an array, else None."""
    if not isinstance(answer, Real | list | tuple) and not hasattr(answer, "__array__"):
        return None
    if hasattr(answer, "detach"):  # a tensor may carry a gradient, and lie on another device
        answer = answer.detach().cpu()
    try:
        values = np.asarray(answer)
        return values if values.dtype == bool else values.astype(np.float64) if values.dtype.kind in "iufO" else None
    except (TypeError, ValueError, OverflowError):  # rows of different lengths, objects that are no numbers, 10**400
        return None
