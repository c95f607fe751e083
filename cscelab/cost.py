"""What training costs, method beside method: all take their steps in turn in one call, so that what else the machine
does slows all alike, and what is compared lies seconds apart."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from cscelab.datasets import Splits, load_data
from cscelab.datasets.loader import Batch, training_loader
from cscelab.encode import best_device
from cscelab.experiment import Experiment, fresh_method
from cscelab.steps import LightningHash

ROUNDS, STEPS = 9, 2  # a minute for Table 1's methods under the quick profile on a quiet machine


@dataclass(frozen=True)
class Costs:
    """steps: method -> seconds of a step, the mean of each round (R,), of methods that are trained by steps;
    before: method -> seconds before the first epoch, measured once: codes learned from labels, banks, fitting;
    clock: "CPU" seconds, of all threads, or "wall" seconds on an accelerator; epoch: steps in an epoch.
    """

    steps: dict[str, np.ndarray]
    before: dict[str, float]
    clock: str
    epoch: int

    def ratios(self, reference: str) -> dict[str, np.ndarray]:
        """Method -> cost of a step over the reference's in the same round (R,).

        Raises ValueError where the reference takes no steps or is not there.
        """
        if reference not in self.steps:
            raise ValueError(f"no steps of {reference!r} to compare the cost with; choose from {list(self.steps)}")
        return {name: seconds / self.steps[reference] for name, seconds in self.steps.items()}


class Trainee:
    """A method as `train.fit` starts it, and the seconds that its start took; it learns from any batch it is given.

    The learning rate stays as it is at first: a schedule costs nothing.
    """

    def __init__(self, experiment: Experiment, splits: Splits, device: torch.device):
        training = replace(experiment.training, schedule="constant")
        self.method = fresh_method(experiment, splits.n_classes).to(memory_format=torch.channels_last)
        started = seconds(torch.device("cpu"))
        self.method.train().start_training(splits.train, torch.Generator().manual_seed(experiment.seed))
        self.before = seconds(torch.device("cpu")) - started
        self.device = device
        self.learns = any(parameter.requires_grad for parameter in self.method.parameters())
        self.module = LightningHash(self.method.to(device), training, experiment.seed)
        self.module.on_train_epoch_start()
        self.optimizer = self.module.configure_optimizers() if self.learns else None

    def learn(self, batches: Sequence[Batch]) -> float:
        """A step on each batch (augmentation, forward, losses, backward, optimiser); returns the seconds of a step."""
        assert self.optimizer is not None
        started = seconds(self.device)
        for index, batch in enumerate(batches):
            loss = self.module.training_step(Batch(*(part.to(self.device) for part in batch)), index)["loss"]
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
        return (seconds(self.device) - started) / len(batches)


def measure_costs(
    experiments: Mapping[str, Experiment], rounds: int = ROUNDS, steps: int = STEPS, warm_up: int = 1,
    root: Path | None = None, progress: bool = True,
) -> Costs:  # fmt: skip
    """Each experiment's method, by name, taken `steps` training steps further in every round, all on the same batches.

    Validation, encoding and the history's gradient norms are left out; float32 whatever the precision. warm_up: rounds
    before those that count. Nothing is stored. Raises ValueError for experiments of other data, batches or threads.
    """
    if min(rounds, steps) < 1:
        raise ValueError(f"{rounds} rounds of {steps} steps were asked for; give at least 1 of each")
    alike = {(one.data, one.training.batch_size, one.training.threads, one.seed) for one in experiments.values()}
    if len(alike) != 1:
        raise ValueError(f"{len(alike)} settings of data, batch, threads and seed; give experiments that share theirs")
    ((data, batch_size, threads, seed),) = alike
    splits, device = load_data(data, root, progress), best_device()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        bar = tqdm(experiments.items(), desc="cost", unit="method", disable=not progress)
        trainees = {name: Trainee(experiment, splits, device) for name, experiment in bar}
        loader = training_loader(splits.train, batch_size, seed)
        batches = chain.from_iterable(repeat(loader))  # epoch after epoch
        taken: dict[str, list[float]] = {name: [] for name, trainee in trainees.items() if trainee.learns}
        for _ in tqdm(range(warm_up + rounds), desc="cost", unit="round", disable=not progress):
            ours = list(islice(batches, steps))
            for name, found in taken.items():
                found.append(trainees[name].learn(ours))
    finally:
        torch.set_num_threads(before)
    return Costs(
        {name: np.array(found[warm_up:]) for name, found in taken.items()},
        {name: trainee.before for name, trainee in trainees.items()},
        "CPU" if device.type == "cpu" else "wall",
        len(loader),
    )


def seconds(device: torch.device) -> float:
    """A clock: CPU time of this process, which other processes do not move; on an accelerator, which CPU time does not
    see, wall time when all of its work is done."""
    if device.type == "cpu":
        return time.process_time()
    torch.accelerator.synchronize(device)
    return time.perf_counter()
