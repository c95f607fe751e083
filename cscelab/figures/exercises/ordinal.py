"""Notebook 12: what a code takes one-hot, how often noise flips a symbol of two, and a radius in symbols."""

from __future__ import annotations

from typing import Any

import torch

from cscelab.experiment import Run
from cscelab.figures.exercises.answers import Exercise, near, whole
from cscelab.figures.ordinal_noise import symbol_flips
from cscelab.layout import CodeLayout
from cscelab.ordinal import differing_symbols, read_one_hot

THREE_DECIMALS = 5e-4


def bits_one_hot(answer: Any) -> bool:
    return whole(answer) == CodeLayout(48, 8).width


def flips_of_two_values(answer: Any) -> bool:
    return near(answer, float(symbol_flips(torch.tensor([0.6, 0.0], dtype=torch.float64), 0.4)), THREE_DECIMALS)


def images_within_two_symbols(answer: Any, doh: Run) -> bool:
    arity = doh.experiment.layout.arity
    if arity is None:
        raise ValueError(f"codes of {doh.experiment.name} are plain bits; give a run of symbols, as `doh`")
    query, database = (read_one_hot(doh.codes[f"{side}_codes"], arity) for side in ("query", "database"))
    return whole(answer) == int((differing_symbols(query[:1], database) <= 2).sum())


EXERCISES = {
    "12-1": Exercise(bits_one_hot, "a symbol of 8 is worth 3 bits, and takes 8 one-hot"),
    "12-2": Exercise(flips_of_two_values, "the noise of a difference of two values is sqrt(2) times that of one"),
    "12-3": Exercise(images_within_two_symbols, "one-hot codes differ in two bits where their symbols differ"),
}
