"""Notebook 10: what losses on pairs cost, and two methods query by query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cscelab.figures.exercises.answers import Exercise, near, whole
from cscelab.figures.pair_losses import pair_costs
from cscelab.figures.side_by_side import Coded

UNLIKE = 1  # row of `pair_costs`


def cost_of_an_unlike_pair(answer: Any) -> bool:
    bits, differing = 16, 6
    return near(answer, pair_costs(bits)["DHN"][UNLIKE, differing])


def distance_that_costs_nothing(answer: Any) -> bool:
    return whole(answer) == int(np.flatnonzero(pair_costs(48)["DSH, m = 2 K"][UNLIKE] == 0)[0])


def queries_where_lsh_is_as_good(answer: Any, compared: Mapping[str, Coded]) -> bool:
    unlearned, learned = (compared[title].average_precision for title in ("LSH", "CSQ"))
    return whole(answer) == int((unlearned >= learned).sum())


EXERCISES = {
    "10-1": Exercise(cost_of_an_unlike_pair, "the inner product of codes is K - 2 d, and s is 0: log(1 + e^theta)"),
    "10-2": Exercise(distance_that_costs_nothing, "m = 2 K, and a bit that differs adds 2^2 to the squared distance"),
    "10-3": Exercise(queries_where_lsh_is_as_good, "compare the two arrays of AP, entry by entry, and count"),
}
