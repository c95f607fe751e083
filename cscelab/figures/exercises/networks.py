"""Notebooks 03 to 05: windows and what AIE subtracts, losses and margins, experiments and training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from cscelab.datasets import Splits
from cscelab.datasets.loader import training_loader
from cscelab.dsf import sign
from cscelab.experiment import Experiment
from cscelab.figures.anatomy import taps_inside
from cscelab.figures.build import recipe_of
from cscelab.figures.exercises.answers import Exercise, Unfit, names, near, numbers, whole
from cscelab.figures.margins import Margins, margin_curve
from cscelab.losses import margin_loss, quantization_loss
from cscelab.model.aie import repeated_context
from cscelab.recipes import TABLE2, TABLE3


def number_of_windows(answer: Any) -> bool:
    side, sizes = 9, (2, 4, 6)
    return whole(answer) == sum((side - size + 1) ** 2 for size in sizes)


def smallest_blind_rate(answer: Any) -> bool:
    rate, side = whole(answer), 14
    return rate > 1 and taps_inside(rate, side).max() == 1 < taps_inside(rate - 1, side).max()


def longest_subtrahend(answer: Any) -> bool:
    alike, along = torch.ones(1, 8, 5), torch.ones(1, 8, 1, 1)  # five windows, one place
    reached = float(repeated_context(along, alike, "frobenius").norm() / along.norm())
    return near(answer, reached, 1e-6)


def boundary_of_cosface(answer: Any) -> bool:
    boundary = margin_curve(Margins(cosface=0.5), "CosFace").boundary
    assert boundary is not None, "at this margin there is one"
    return near(answer, boundary, 0.1)  # degrees


def least_margin_loss(answer: Any) -> bool:
    cosines = torch.eye(100)[:1]  # of a code that lies on its center
    return near(answer, float(margin_loss(cosines, torch.tensor([0]))))


def quantisation_as_sum_and_mean(answer: Any) -> bool:
    values = torch.tensor([[0.5, -0.5, 2, -2]])
    pair = numbers(answer, 2)
    reductions = ("sum", "mean")
    losses = [float(quantization_loss(values, sign(values), reduction=reduction)) for reduction in reductions]
    return all(near(mine, loss, 1e-6) for mine, loss in zip(pair, losses, strict=True))


def rows_of_one_experiment(answer: Any) -> bool:
    rows = {**TABLE2, **TABLE3}
    chosen = names(answer, 2)
    if unknown := sorted(chosen - set(rows)):
        raise Unfit(f"names no row of either table: {unknown[0]!r}")
    return len({recipe_of(rows[name]) for name in chosen}) == 1


def steps_of_an_epoch(answer: Any, experiment: Experiment, splits: Splits) -> bool:
    return whole(answer) == len(training_loader(splits.train, experiment.training.batch_size, experiment.seed))


def experiment_with_seed_one(answer: Any, experiment: Experiment) -> bool:
    if not isinstance(answer, Experiment):
        raise Unfit("is not an Experiment")
    return answer == replace(experiment, seed=1) and answer.hash != experiment.hash


EXERCISES = {
    "03-1": Exercise(number_of_windows, "(side - size + 1)^2 for each size"),
    "03-2": Exercise(smallest_blind_rate, "the farthest two places of a row are 13 apart"),
    "03-3": Exercise(longest_subtrahend, "the largest eigenvalue of f_g f_g^T is at most its trace"),
    "04-1": Exercise(boundary_of_cosface, "where is cos(theta) - 0.5 = 0?"),
    "04-2": Exercise(least_margin_loss, "the floor of Eq. 11, with S (1 - alpha) in place of S"),
    "04-3": Exercise(quantisation_as_sum_and_mean, "each value's distance to its own sign, squared; two numbers"),
    "05-1": Exercise(rows_of_one_experiment, "AIE is the whole network; which loss do all rows of Table 2 use?"),
    "05-2": Exercise(steps_of_an_epoch, "training images over the batch size, rounded down"),
    "05-3": Exercise(experiment_with_seed_one, "dataclasses.replace, or an argument of recipe"),
}
