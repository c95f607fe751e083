"""Self-checks of the notebooks' exercises: an answer is right, wrong with a hint, or not given yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def check(answer: Any, is_right: Callable[[Any], bool], hint: str) -> None:
    """Prints "not answered yet" for None and "right" for a right answer. Raises AssertionError with the hint else."""
    if answer is None:
        print("not answered yet")
        return
    assert is_right(answer), f"{answer!r} is not right yet: {hint}"
    print("right")
