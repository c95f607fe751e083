"""Every method beside every other: curves in a panel each, since all in one would hide each other."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cscelab.evaluate import evaluate
from cscelab.experiment import Run
from cscelab.figures.alt import sentences
from cscelab.figures.curves import RADIUS, radius_units, ringed
from cscelab.figures.provenance import describe_data, mark_smoke
from cscelab.figures.style import BLACK, BLUE, GREY, new_figure, styled, tint
from cscelab.retrieval import ranking
from cscelab.retrieval.measures import reached

COLUMNS = 5
DEEPEST = 1000  # n of precision@n
OTHERS = tint(GREY, 0.35)


@styled()
def precision_recall_panels(runs: Mapping[str, Run]) -> Figure:
    """Mean precision against mean recall within each Hamming radius, one panel a method, by falling mAP.

    The other methods are grey behind it, radius 2 is ringed, and the dotted line is the share of relevant images in the
    database, which is the precision within the largest radius. A query with nothing within the radius counts as
    precision 0, which is why curves of sparse codes begin low; of ordinal codes a radius is a number of symbols, and
    where both are drawn only codes of bits have a ring.
    """
    unit, ring = ringed(run.experiment.layout for run in runs.values())
    curves = {name: run.metrics["report"]["pr_curve"] for name, run in runs.items()}
    lines = {name: (np.array(curve["recall"]), np.array(curve["precision"])) for name, curve in curves.items()}
    figure, panels = _panels(runs, lines)
    said = []
    for name, axes in panels.items():
        axes.set_xticks([0, 0.5, 1])
        words = f"{name} {_score(runs[name])}"
        if runs[name].experiment.layout.unit == unit:
            recall, precision = (float(values[RADIUS]) for values in lines[name])
            axes.plot(recall, precision, "o", ms=9, mfc="none", mec=BLACK, mew=1.2, zorder=5)
            words += f", {recall:.3f} and {precision:.3f}"
        axes.axhline(float(lines[name][1][-1]), color=BLACK, lw=0.8, ls=":")
        said.append(words)
    return _finish(
        figure,
        runs,
        f"Precision and recall within each Hamming radius ({ring}; dotted: share of relevant images)",
        f"recall: share of the relevant images within the radius{radius_units(runs)}",
        "precision (0 where nothing is within the radius)",
        f"mAP, recall and precision at the ring: {'; '.join(said)}",
    )


@styled()
def precision_panels(runs: Mapping[str, Run], deepest: int = DEEPEST) -> Figure:
    """Mean precision among the n nearest images, expected over ties, one panel a method as `precision_recall_panels`;
    the dotted line is the share of relevant images in the database."""
    lines, chance = {}, {}
    for name, run in runs.items():
        precision, chance[name] = precision_at_each(run, deepest)
        lines[name] = np.arange(1, len(precision) + 1), precision
    figure, panels = _panels(runs, lines)
    said = []
    for name, axes in panels.items():
        axes.axhline(chance[name], color=BLACK, lw=0.8, ls=":")
        precision = lines[name][1]
        said.append(f"{name} {_score(runs[name])}, from {precision[0]:.3f} to {precision[-1]:.3f}")
    n = max(len(precision) for _, precision in lines.values())
    return _finish(
        figure,
        runs,
        "Precision among the n nearest images (dotted: share of relevant images)",
        "n nearest images, ties in every order alike",
        "precision@n",
        f"mAP, and precision from n = 1 to {n}: {'; '.join(said)}",
    )


def precision_at_each(run: Run, deepest: int = DEEPEST) -> tuple[np.ndarray, float]:
    """Precision@n for n = 1, 2, ... (n,), the mean over queries of what is expected over ties, and that of all images.

    It ends at `deepest` or with the shortest ranking.
    """
    codes = Run(run.experiment, run.folder).codes  # a copy of the run: a figure would keep the codes of all its runs
    counts = evaluate(
        codes["query_codes"], codes["query_labels"], codes["database_codes"], codes["database_labels"],
        query_ids=codes["query_ids"], database_ids=codes["database_ids"], ties="expected", precision_at=(), radius=(),
    ).histograms  # fmt: skip
    depths = reached(counts, range(1, deepest + 1))
    everything = float((counts.n_relevant / counts.items.sum(axis=1)).mean())
    return np.array([ranking.expected_hits(counts, n).mean() / n for n in depths]), everything


def _setting(runs: Mapping[str, Run]) -> str:
    run = next(iter(runs.values()))
    return f"{describe_data(run)}; {run.experiment.bits} bits"


def _panels(
    runs: Mapping[str, Run], lines: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> tuple[Figure, dict[str, Axes]]:
    """A panel a run, by falling mAP: its line in colour over all others in grey."""
    ranked = sorted(runs, key=lambda name: -runs[name].mean_average_precision)
    n_rows = math.ceil(len(ranked) / COLUMNS)
    columns = min(COLUMNS, len(ranked))
    figure = new_figure(2.2 * columns + 0.6, 2.05 * n_rows + 1.2, layout="constrained")
    grid: list[Axes] = list(figure.subplots(n_rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for axes in grid[len(ranked) :]:
        axes.set_axis_off()
    for place, (name, axes) in enumerate(zip(ranked, grid, strict=False), 1):
        for other in ranked:
            if other != name:
                axes.plot(*lines[other], color=OTHERS, lw=0.8)
        axes.plot(*lines[name], color=BLUE, lw=2.2, zorder=4, label=name)
        axes.tick_params(labelbottom=place + columns > len(ranked))  # below it is no other
        axes.set_title(f"{place}. {name} {_score(runs[name])}", fontsize=9)
        axes.set_ylim(-0.02, 1.04)
    return figure, dict(zip(ranked, grid, strict=False))


def _finish(figure: Figure, runs: Mapping[str, Run], title: str, xlabel: str, ylabel: str, said: str) -> Figure:
    order = "panels by falling mAP, beside the name; grey: the other methods"
    figure.suptitle(title, fontsize=11, weight="bold", x=0.01, ha="left")
    figure.supxlabel(f"{xlabel}\n{order}; {_setting(runs)}", fontsize=10)
    figure.supylabel(ylabel, fontsize=10)
    figure.alt = sentences([title, f"A panel a method: {said}"])  # type: ignore[attr-defined]
    return mark_smoke(figure, runs.values())


def _score(run: Run) -> str:
    return f"{run.mean_average_precision:.3f}"
