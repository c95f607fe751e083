"""A training as it runs: loss terms step by step, validation mAP epoch by epoch, and how long the rest takes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cscelab.experiment import Experiment, Run
from cscelab.figures.curves import looks
from cscelab.figures.provenance import stamp
from cscelab.figures.style import GREY, VERMILION, new_figure, styled, tint
from cscelab.watch import Progress

SMOOTH = 9  # steps in a mean of the loss
MOST_POINTS = 600  # of a curve: more cannot be told apart
TITLE_AT = 1.0  # given, because matplotlib's search for a place takes a third of the drawing
HEADROOM = 1.25  # of the loss axis, for the legend


@dataclass
class Trail:
    """What a training has told so far: loss terms where it stood, in epochs, and a row for each finished epoch."""

    title: str
    epochs: int
    history: Sequence[dict[str, float]] = ()
    smoke: bool = False
    places: list[float] = field(default_factory=list)
    losses: list[dict[str, float]] = field(default_factory=list)
    began: Progress | None = None  # first record of the call that trains now; None where the next one is that
    last: Progress | None = None
    _adding: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    @classmethod
    def of(cls, experiment: Experiment, history: Sequence[dict[str, float]] = ()) -> Trail:
        return cls(described(experiment), experiment.training.epochs, history, experiment.smoke)

    @property
    def at(self) -> float:
        """Epochs trained."""
        return self.last.at if self.last else float(len(self.history))

    def add(self, progress: Progress) -> None:
        """Takes a record in. At the first of a call, steps past the last finished epoch go: they are trained again."""
        with self._adding:
            if self.began is None:
                self.began = progress
                keep = sum(place <= len(self.history) for place in self.places)
                del self.places[keep:], self.losses[keep:]
            if not self.places or progress.at > self.places[-1]:  # that of an epoch's end repeats its last step
                self.places.append(progress.at)
                self.losses.append(progress.terms)
            self.history, self.last = progress.history, progress

    def snapshot(self) -> Trail:
        """A copy that stands still while the training goes on in its own thread: what is drawn."""
        with self._adding:
            return replace(self, places=list(self.places), losses=list(self.losses), history=list(self.history))

    def seconds_left(self) -> float | None:
        """Until the last epoch is done, at the pace of this call so far; None before its second step."""
        if self.began is None or self.last is None or self.last.at <= self.began.at:
            return None
        pace = (self.last.seconds - self.began.seconds) / (self.last.at - self.began.at)
        return pace * (self.epochs - self.last.at)


def described(experiment: Experiment) -> str:
    """In a line: "csce/16, seed 0, 3,000 training images, 4 epochs"."""
    images = getattr(experiment.data, "train", None)
    epochs = experiment.training.epochs
    parts = [experiment.name, f"seed {experiment.seed}"]
    parts += [f"{images:,} training images"] if isinstance(images, int) else []
    return ", ".join([*parts, f"{epochs} epoch{'s' if epochs > 1 else ''}"])


def best_row(history: Sequence[dict[str, float]]) -> dict[str, float]:
    """The epoch that is kept: the first with the highest validation mAP."""
    return max(history, key=lambda row: row["validation_map"])


@styled()
def monitor_figure(trained: Run | Trail) -> Figure:
    """Left the loss terms, of every step and smoothed, and their means over epochs; right mAP on the validation split
    with the epoch that is kept. Of a Trail as it is now, or of a stored run, which keeps means over epochs alone."""
    trail = Trail.of(trained.experiment, trained.history) if isinstance(trained, Run) else trained.snapshot()
    figure = new_figure(10, 4)
    figure.subplots_adjust(left=0.06, right=0.985, bottom=0.135, top=0.825, wspace=0.17)
    figure.text(0.06, 0.935, trail.title, size=11)
    loss, precision = figure.subplots(1, 2)
    words = _draw_losses(loss, trail)
    words += _draw_precision(precision, trail)
    for axes in (loss, precision):
        axes.set_xlim(0, 1.03 * trail.epochs)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        if 0 < trail.at < trail.epochs:
            axes.axvline(trail.at, color=GREY, ls=":", lw=1.2)
    if trail.smoke:
        stamp(figure)
        words.append("A smoke run: its numbers mean nothing.")
    figure.alt = f"{trail.title}: trained for {trail.at:.1f} of {trail.epochs} epochs. {' '.join(words)}"  # type: ignore[attr-defined]
    return figure


def _draw_losses(axes: Axes, trail: Trail) -> list[str]:
    """Draws the loss terms and returns them in words."""
    named = [name.removeprefix("loss_") for row in trail.history[:1] for name in row if name.startswith("loss_")]
    places, words, top = np.array(trail.places), [], 0.0
    for name, look in zip(named or list(dict.fromkeys(n for t in trail.losses for n in t)), looks(), strict=False):
        marks, line = {**look, "ls": ""}, {**look, "marker": ""}
        means = [row[f"loss_{name}"] for row in trail.history]
        if len(places):
            steps = np.array([terms[name] for terms in trail.losses])
            smooth, few = running_mean(steps, SMOOTH), slice(None, None, -(-len(steps) // MOST_POINTS))
            axes.plot(places[few], steps[few], color=tint(look["color"], 0.35), lw=0.8)
            axes.plot(places[few], smooth[few], **line, label=name)
            words.append(f"Loss term {name}: from {steps[0]:.3g} to {smooth[-1]:.3g}.")
            top = max(top, float(steps.max()))
        elif means:
            words.append(f"Loss term {name}, means of epochs: {', '.join(f'{mean:.3g}' for mean in means)}.")
        if means:
            middles = [row["epoch"] - 0.5 for row in trail.history]
            axes.plot(middles, means, **({**marks, "ms": 6} if len(places) else {**look, "label": name}))
            top = max(top, *means)
    how = (
        f" (faint: each step; line: mean of {SMOOTH}; marks: means of epochs)"
        if len(places)
        else " (marks: means of epochs)"
    )
    axes.set_title("Loss terms", y=TITLE_AT)
    axes.set(xlabel=f"epoch{how if words else ''}", ylabel="loss", ylim=(0, HEADROOM * top or 1))
    if words:
        box = {"frameon": True, "facecolor": "white", "edgecolor": "none", "framealpha": 1}
        axes.legend(loc="upper right", ncols=3, handlelength=3, **box)
    else:
        _empty(axes, "no step yet")
    return words


def _draw_precision(axes: Axes, trail: Trail) -> list[str]:
    """Draws validation mAP by epoch and returns it in words."""
    axes.set(xlabel="epoch", ylabel="mAP on the validation split", ylim=(0, 1.02))
    axes.set_title("Validation mAP", y=TITLE_AT)
    if not trail.history:
        _empty(axes, "no epoch finished yet")
        return ["No epoch is finished."]
    look, best = next(looks()), best_row(trail.history)
    maps = [row["validation_map"] for row in trail.history]
    axes.plot([row["epoch"] for row in trail.history], maps, **look)
    axes.plot(best["epoch"], best["validation_map"], "o", ms=13, mfc="none", mec=VERMILION, mew=1.6)
    kept = f"{best['validation_map']:.3f} in epoch {best['epoch']:.0f}"
    axes.set_title(f"Validation mAP: {kept} is kept", y=TITLE_AT)
    axes.set_xlabel(f"epoch (ring: the one kept{' so far' if trail.at < trail.epochs else ''})")
    return [f"Validation mAP by epoch: {', '.join(f'{value:.3f}' for value in maps)}; {kept} is kept."]


def _empty(axes: Axes, sentence: str) -> None:
    axes.text(0.5, 0.5, sentence, transform=axes.transAxes, ha="center", va="center", color=GREY)


def running_mean(values: np.ndarray, n: int) -> np.ndarray:
    """Mean of each value (N,) and up to n - 1 before it."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - n, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)
