"""Watching a training: what a watch is told after every step and every epoch, and how it ends the training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint


class TrainingStopped(Exception):
    """Raised by a watch to end a training after the step it was told of; `fit` and `run` raise it on with a sentence
    that says where the same call goes on. It is no error: every epoch that was finished is kept."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    epoch: the one in hand, from 1; step: steps of it that are done, of `steps`; terms: the loss terms of the last step;
    history: a row for each finished epoch, those before a resumption too; seconds: since this call began to train.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    terms: dict[str, float]
    history: tuple[dict[str, float], ...]
    seconds: float

    @property
    def at(self) -> float:
        """Epochs trained so far, a part of one for its steps."""
        return self.epoch - 1 + self.step / self.steps


Watch = Callable[[Progress], object]


class FirstSteps:
    """A watch that keeps what it hears of the first n steps, and ends the training there.

    Raises ValueError for n below 1.
    """

    def __init__(self, n: int) -> None:
        if n < 1:
            raise ValueError(f"{n} steps were asked for; give at least 1")
        self.n = n
        self.heard: list[Progress] = []

    def __call__(self, progress: Progress) -> None:
        if not self.heard or progress.at > self.heard[-1].at:  # an epoch's end repeats its last step
            self.heard.append(progress)
        if len(self.heard) == self.n:
            raise TrainingStopped


class TellWatch(Checkpoint):
    """Tells a watch after every step and epoch. A Checkpoint, because Lightning calls those last, in the order given:
    an epoch that the watch hears of is saved."""

    def __init__(self, watch: Watch, history: Callable[[], list[dict[str, float]]]) -> None:
        self.watch, self.history = watch, history
        self.started = time.perf_counter()
        self.terms: dict[str, float] = {}

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        self.terms = outputs["terms"]
        self._tell(trainer, index + 1)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._tell(trainer, int(trainer.num_training_batches))

    def _tell(self, trainer: L.Trainer, step: int) -> None:
        progress = Progress(
            trainer.current_epoch + 1,
            int(trainer.max_epochs or 0),
            step,
            int(trainer.num_training_batches),
            self.terms,
            tuple(self.history()),
            time.perf_counter() - self.started,
        )
        try:
            self.watch(progress)
        except TrainingStopped:
            raise TrainingStopped(_where(progress)) from None


def _where(progress: Progress) -> str:
    kept = len(progress.history)
    here = f"epoch {progress.epoch} of {progress.epochs} after step {progress.step} of {progress.steps}"
    return f"stopped in {here}; the same call {f'goes on after epoch {kept}' if kept else 'begins again'}"
