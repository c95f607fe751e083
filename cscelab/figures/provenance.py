"""What a picture must say about the runs behind it: on which data they were made, and whether they mean anything."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from cscelab.datasets import ListFiles, Unlabelled
from cscelab.experiment import Run
from cscelab.figures.style import VERMILION

SMOKE_MARK = "SMOKE RUN: numbers mean nothing"


def any_smoke(runs: Iterable[Run]) -> bool:
    """Whether any of the runs is a test's."""
    return any(run.experiment.smoke for run in runs)


def mark_smoke(figure: Figure, runs: Iterable[Run]) -> Figure:
    """Writes SMOKE_MARK across the figure if any run is a test's; returns the figure."""
    if any_smoke(runs):
        stamp(figure)
    return figure


def stamp(figure: Figure) -> None:
    """Writes SMOKE_MARK across the figure."""
    width, height = figure.get_size_inches()
    size = min(3.2 * width, 9 * height)
    figure.text(
        0.5, 0.5, SMOKE_MARK, size=size, rotation=12, ha="center", va="center",
        color=VERMILION, alpha=0.6, weight="bold", zorder=20,
        path_effects=[withStroke(linewidth=3, foreground="white", alpha=0.6)],
    )  # fmt: skip


def describe_data(run: Run) -> str:
    """Data and trunk of a run: "Aviary scenes, 20 classes; tiny trunk", "300 unlabelled images; tiny trunk"."""
    trunk = f"{run.experiment.method.backbone.name} trunk"
    if isinstance(run.experiment.data, Unlabelled):
        return f"{run.metrics['n_classes']} unlabelled images; {trunk}"
    scenes = " scenes" if getattr(run.experiment.data, "scenes", False) else ""
    config = run.experiment.data
    name = Path(config.root).name if isinstance(config, ListFiles) else type(config).__name__
    data = f"{name}{scenes}, {run.metrics['n_classes']} classes"
    return f"{data}; {trunk}"


def describe(run: Run) -> str:
    """Data, trunk and measure of a run: "Aviary, 20 classes; tiny trunk; mAP@all"."""
    what = " of originals by altered copies" if isinstance(run.experiment.data, Unlabelled) else ""
    return f"{describe_data(run)}; mAP@{run.experiment.map_at or 'all'}{what}"
