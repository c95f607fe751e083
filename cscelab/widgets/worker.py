"""A training in a thread of its own, one at a time in a process: start it, stop it, see what it has told so far."""

from __future__ import annotations

import atexit
import threading
from pathlib import Path
from typing import Literal

from cscelab.datasets.processes import listening
from cscelab.experiment import Experiment, Run, is_training, run, unfinished
from cscelab.figures.monitor import Trail
from cscelab.watch import Progress, TrainingStopped

State = Literal["waiting", "preparing", "training", "measuring", "stopped", "failed", "done"]
ENDED = ("stopped", "failed", "done")
AT_EXIT = 5.0  # seconds a closing kernel waits for the step in hand
LOOK_AGAIN = 1.0  # seconds between looks at a training of another process

_starting = threading.Lock()
_current: Worker | None = None


class Worker:
    """Runs an experiment in a thread, so that methods defined in a notebook work, and draws nothing there.

    trail: what it has told; state: "waiting" while another process trains the same, "preparing" the images,
    "training", "measuring" queries and database, then "done" with `run`, "stopped", or "failed" with `error`.
    """

    def __init__(self, experiment: Experiment, root: Path | None, trail: Trail) -> None:
        self.experiment, self.root, self.trail = experiment, root, trail
        self.state: State = "preparing"
        self.trail.began = None  # a call that begins
        self.drawn: float | None = None  # share of the images, where they have to be drawn first
        self.stopping = threading.Event()
        self.run: Run | None = None
        self.error: Exception | None = None
        # Not waited for when the kernel ends: what is not finished lies in a partial folder, to go on from.
        self.thread = threading.Thread(target=self._work, name=f"training {experiment.name}", daemon=True)

    @property
    def running(self) -> bool:
        return self.state not in ENDED

    def trains(self, experiment: Experiment, root: Path | None) -> bool:
        """Whether it is the one of this experiment."""
        return self.experiment.hash == experiment.hash and self.root == root

    def stop(self) -> None:
        """Asks for the end of the training after the step in hand; what is only measured is finished."""
        self.stopping.set()

    @property
    def stoppable(self) -> bool:
        return self.running and self.state != "measuring" and not self.stopping.is_set()

    def wait(self, seconds: float | None = None) -> None:
        """Until the thread has ended."""
        self.thread.join(seconds)

    def _work(self) -> None:
        try:
            while is_training(self.experiment, self.root):
                self.state = "waiting"
                if self.stopping.wait(LOOK_AGAIN):
                    raise TrainingStopped
            self.state = "preparing" if len(self.trail.history) < self.trail.epochs else "measuring"
            with listening(self._draw):
                self.run = run(self.experiment, root=self.root, progress=False, watch=self._hear)
            self.state = "done"
        except TrainingStopped:
            self.state = "stopped"
        except BaseException as error:  # SystemExit too, which would end the thread without a word
            self.error = error if isinstance(error, Exception) else RuntimeError(f"the training ended with {error!r}")
        finally:
            if self.running:
                self.state = "failed"

    def _draw(self, share: float) -> None:
        """Images drawn so far are given up where the training is stopped."""
        self.drawn = share
        if self.stopping.is_set():
            raise TrainingStopped

    def _hear(self, progress: Progress) -> None:
        self.trail.add(progress)
        finished = len(progress.history) == progress.epochs
        self.state = "measuring" if finished else "training"
        if self.stopping.is_set() and not finished:
            raise TrainingStopped


def training_now() -> Worker | None:
    """The training of this process, if one is running."""
    return _current if _current and _current.running else None


def train_in_thread(experiment: Experiment, root: Path | None = None, trail: Trail | None = None) -> Worker:
    """A worker that trains this experiment from here on, or the one that does so already; trail: to be continued.

    Raises ValueError where another experiment is training: torch's number of threads is one per process, so that two
    at a time would change each other's numbers.
    """
    global _current
    with _starting:
        if running := training_now():
            if running.trains(experiment, root):
                return running
            raise ValueError(f"{running.experiment.name} is training in this kernel; stop it, or wait until it is done")
        _current = Worker(experiment, root, trail or Trail.of(experiment, unfinished(experiment, root)))
        _current.thread.start()
        return _current


@atexit.register
def _stop_at_exit() -> None:
    if running := training_now():
        running.stop()
        running.wait(AT_EXIT)
