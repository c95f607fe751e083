"""TrainingMonitor: watch a training while it runs, stop it and go on; or see the curves of one that is stored."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from ipywidgets import HTML, BoundedIntText, Button, Dropdown, FloatProgress, HBox, IntSlider, Output, VBox

from cscelab.experiment import Experiment, Run, find_run, unfinished
from cscelab.figures.monitor import Trail, monitor_figure
from cscelab.recipes import METHODS_BY_RECIPE, find_profile, recipe
from cscelab.widgets.shown import attempt, redraw
from cscelab.widgets.worker import Worker, train_in_thread, training_now

FEW_IMAGES = 1000  # to train on: about a minute on two cores
POLL = 0.5  # seconds between looks at a training that runs
SENTENCES = {
    "waiting": "Another process trains this one; its run is shown when it is done.",
    "measuring": "Trained; now coding queries and database, to measure the mAP.",
}
WORDS = {"description_width": "initial"}


class TrainingMonitor(VBox):
    """Controls, a progress bar and a sentence above `monitor_figure(trail)`.

    experiment: one of your own, whose settings are then fixed; else a recipe of the profile is picked in the widget.
    root: the data folder. Nothing is trained before "start" is pressed; `run` is the finished Run, None before that.
    Training runs in a thread of the kernel and the picture follows twice a second; in plain Python, where no event loop
    runs, `refresh()` draws it.
    """

    def __init__(self, experiment: Experiment | None = None, profile: str = "quick", root: Path | None = None) -> None:
        self.given, self.profile, self.root = experiment, profile, root
        self.worker: Worker | None = None
        self.run: Run | None = None
        self._lock = threading.RLock()  # JupyterLab calls back in another thread than that of the cells
        self._polling = False
        self._drawn: tuple[object, ...] = ()
        self._told: Exception | None = None
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        self._controls()
        self.start = Button(button_style="primary", icon="play", layout={"width": "auto"})
        self.stop = Button(
            description="stop", icon="stop", tooltip="after this step; resume goes on after the last finished epoch"
        )
        self.bar = FloatProgress(min=0, max=1, layout={"width": "260px"})
        self.status, self.output, self.notes = HTML(), Output(), Output()
        self.start.on_click(lambda _: attempt(self.notes, self._start))
        self.stop.on_click(lambda _: attempt(self.notes, self._stop))
        rows = [HBox(self.chosen, layout={"flex_flow": "row wrap"})] if experiment is None else []
        buttons = HBox([self.start, self.stop, self.bar], layout={"align_items": "center"})
        super().__init__([*rows, buttons, self.status, self.notes, self.output])
        self._choose()

    def _controls(self) -> None:
        profile = find_profile(self.profile)
        images = getattr(profile.data, "train", None)
        counts = sorted({min(FEW_IMAGES, images), images}) if isinstance(images, int) else []
        choices: list[Any] = [(f"{n:,}", n) for n in counts] or ["all"]
        usual = {*profile.lengths, *profile.gallery}
        bits = sorted(usual.union(profile.arity_lengths))
        self.recipe = Dropdown(options=list(METHODS_BY_RECIPE), value="csce", description="recipe", style=WORDS)
        self.bits = Dropdown(options=bits, value=min(usual), description="bits", style=WORDS, layout={"width": "110px"})
        self.images = Dropdown(
            options=choices,
            description="training images", style=WORDS, layout={"width": "190px"},
            tooltip="the tables train on the most; fewer are sooner done",
        )  # fmt: skip
        # Once released: each stop is another experiment, looked up among the stored runs.
        self.epochs = IntSlider(
            value=profile.training.epochs, min=1, max=2 * max(profile.training.epochs, 4), description="epochs",
            style=WORDS, continuous_update=False,
        )  # fmt: skip
        self.seed = BoundedIntText(min=0, max=9999, description="seed", style=WORDS, layout={"width": "120px"})
        self.chosen = [self.recipe, self.bits, self.images, self.seed, self.epochs]
        for control in self.chosen:
            control.observe(lambda _: self._choose(), "value")

    @property
    def experiment(self) -> Experiment:
        """What start trains."""
        if self.given is not None:
            return self.given
        whole = recipe(self.recipe.value, self.profile, self.bits.value, self.seed.value)
        data = whole.data if self.images.value == "all" else replace(whole.data, train=self.images.value)
        chosen = replace(whole, data=data, training=replace(whole.training, epochs=self.epochs.value))
        return whole if chosen == whole else replace(chosen, name=f"lesson/{whole.name}")

    def _choose(self) -> None:
        """Another experiment: its stored run, its training where it runs, or what an interrupted one left. Where there
        is none, as of a code length that the method cannot write, the reason and nothing to start."""
        with self._lock:
            self.notes.outputs = ()
            self.worker, self.run = None, None
            if self.given is None:
                self.trail = Trail(f"{self.recipe.value}/{self.bits.value}", self.epochs.value)
            self.possible = attempt(self.notes, self._describe)
            if self.possible:
                attempt(self.notes, self._look_up)
            self.refresh()

    def _describe(self) -> None:
        self.trail = Trail.of(self.experiment)

    def _look_up(self) -> None:
        experiment, running = self.experiment, training_now()
        if running and running.trains(experiment, self.root):
            self._follow(running)
        elif run := find_run(experiment, self.root):
            self.run, self.trail = run, Trail.of(experiment, run.history)
        else:
            self.trail = Trail.of(experiment, unfinished(experiment, self.root))

    def _start(self) -> None:
        with self._lock:
            self.notes.outputs = ()
            self._follow(train_in_thread(self.experiment, self.root, self.trail))
            self.refresh()

    def _stop(self) -> None:
        with self._lock:
            if self.worker:
                self.worker.stop()
            self.refresh()

    def _follow(self, worker: Worker) -> None:
        self.worker, self.trail = worker, worker.trail
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin_to_poll)

    def _begin_to_poll(self) -> None:
        if not self._polling:
            self._polling = True
            self._poll()

    def _poll(self) -> None:
        goes_on = self.worker is not None and self.worker.running  # asked first: the last look sees the end
        attempt(self.notes, self.refresh)
        self._polling = goes_on
        if goes_on and self._loop is not None:
            self._loop.call_later(POLL, self._poll)

    def refresh(self) -> None:
        """Shows where the training stands now: sentence, buttons, bar and, where there is news, the picture."""
        with self._lock:
            worker, trail = self.worker, self.trail
            running = worker is not None and worker.running
            news = (trail, len(trail.places), len(trail.history), worker and worker.state)
            if worker is not None and not running:
                self.run = worker.run
                if (error := worker.error) is not None and error is not self._told:
                    self._told = error  # once: what a person does next may empty the notes
                    attempt(self.notes, lambda: _raise(error))
            for control in self.chosen:
                control.disabled = running
            self.start.description = "resume" if trail.at and not running and self.run is None else "start"
            self.start.disabled = running or self.run is not None or not self.possible
            self.stop.disabled = worker is None or not worker.stoppable
            drawing = worker is not None and worker.state == "preparing" and worker.drawn is not None
            self.bar.value = worker.drawn if worker and drawing else min(1.0, trail.at / trail.epochs)
            self.bar.bar_style = "success" if self.run else "warning" if drawing else "info"
            said = sentence(trail, worker, self.run) if self.possible else ""  # the reason stands below
            self.status.value = f'<p role="status" style="margin:4px 0">{escape(said)}</p>'
            if news != self._drawn:
                self._drawn = news
                redraw(self.output, lambda: monitor_figure(trail))


def sentence(trail: Trail, worker: Worker | None, run: Run | None) -> str:
    """What a monitor says of a training: what was stored, where it stands, or how it ended."""
    kept = len(trail.history)
    goes_on = (
        f"resume goes on after epoch {kept} of {trail.epochs}" if kept else "no epoch was finished, resume begins again"
    )
    if run is not None:
        measured = (
            "a smoke run, its numbers mean nothing" if run.experiment.smoke else f"mAP {run.mean_average_precision:.3f}"
        )
        return f"{'Trained' if worker else 'Already trained'}: {measured}; stored as {run.folder.name}."
    if worker is None:
        return f"Stopped earlier; {goes_on}." if kept else "Not trained yet; start trains it here."
    last = trail.last
    if worker.state == "preparing":
        return _of_images(worker)
    if worker.state == "training" and last:
        where = f"Epoch {last.epoch} of {last.epochs}, step {last.step} of {last.steps}"
        left = trail.seconds_left()
        rest = "" if left is None else f"; about {left:.0f} s of training left"
        return f"{where}: {'stopping after this step' if worker.stopping.is_set() else 'training'}{rest}."
    if worker.state in ("stopped", "failed"):
        where = "" if last is None else f" in epoch {last.epoch}" if last.epoch > kept else f" after epoch {kept}"
        return f"{worker.state.capitalize()}{where}; {goes_on}."
    return SENTENCES[worker.state]


def _of_images(worker: Worker) -> str:
    """While there is nothing to train on yet."""
    if worker.drawn is None:
        return "Stopping as soon as the images are ready." if worker.stopping.is_set() else "Getting the images ready."
    done = f"Drawing the images, once: {worker.drawn:.0%} done"
    return f"{done}; stopping after those in hand." if worker.stopping.is_set() else f"{done}."


def _raise(error: Exception) -> None:
    raise error
