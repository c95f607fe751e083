"""Self-checks of the notebooks' exercises: an answer is right, not right yet with a hint, or not given yet.

Conditions live here, not in the notebooks, so that a question does not show its own solution: `codes` for notebooks 00
to 02, `networks` for 03 to 05, `evidence` for 06 to 09, `compared` for 10, `parts` for 11, `ordinal` for 12.
"""

from __future__ import annotations

import reprlib
from typing import Any

from cscelab.figures.exercises import codes, compared, evidence, networks, ordinal, parts
from cscelab.figures.exercises.answers import Exercise, Unfit

EXERCISES: dict[str, Exercise] = (
    codes.EXERCISES | networks.EXERCISES | evidence.EXERCISES | compared.EXERCISES | parts.EXERCISES | ordinal.EXERCISES
)


def check(exercise: str, answer: Any, **given: Any) -> None:
    """Prints "not answered yet" for None, "right", or "not right yet: ..." with the exercise's hint.

    exercise: notebook and number, as "00-3"; given: what of the notebook its condition needs, by name.
    Raises ValueError for an exercise that does not exist, or other names than its condition needs.
    """
    if exercise not in EXERCISES:
        raise ValueError(f"unknown exercise {exercise!r}; choose from {sorted(EXERCISES)}")
    asked = EXERCISES[exercise]
    if set(given) != set(asked.needs):
        raise ValueError(f"exercise {exercise} was given {sorted(given)}; it needs {sorted(asked.needs)}")
    if answer is None:
        print("not answered yet")
        return
    try:
        right = asked.condition(answer, **given)
    except Unfit as reason:
        print(f"not right yet: {_short(answer)} {reason}. Hint: {asked.hint}")
        return
    print("right" if right else f"not right yet: {_short(answer)}. Hint: {asked.hint}")


def _short(answer: Any) -> str:
    return " ".join(reprlib.repr(answer).split())
