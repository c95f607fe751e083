"""Every method beside every other: curves in a panel each, since fifteen in one would hide each other, and the cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cscelab.evaluate import evaluate
from cscelab.experiment import Run
from cscelab.figures.alt import sentences
from cscelab.figures.curves import RADIUS
from cscelab.figures.provenance import SMOKE_MARK, any_smoke, describe_data, mark_smoke
from cscelab.figures.style import BLACK, BLUE, GREY, ORANGE, new_figure, styled, tint
from cscelab.retrieval import ranking
from cscelab.retrieval.measures import reached

COLUMNS = 5
SHARED = "CPU time grows where other work shares the cores"
DEEPEST = 1000  # n of precision@n
OTHERS = tint(GREY, 0.35)
EPOCH, BEFORE, WHOLE = "CPU seconds an epoch", "CPU seconds before the first epoch", "CPU seconds"


@styled()
def precision_recall_panels(runs: Mapping[str, Run]) -> Figure:
    """Mean precision against mean recall within each Hamming radius, one panel a method, by falling mAP.

    The other methods are grey behind it, radius 2 is ringed, and the dotted line is the share of relevant images in the
    database, which is the precision within the largest radius. A query with nothing within the radius counts as
    precision 0, which is why curves of sparse codes begin low.
    """
    curves = {name: run.metrics["report"]["pr_curve"] for name, run in runs.items()}
    lines = {name: (np.array(curve["recall"]), np.array(curve["precision"])) for name, curve in curves.items()}
    figure, panels = _panels(runs, lines)
    said = []
    for name, axes in panels.items():
        recall, precision = (float(values[RADIUS]) for values in lines[name])
        axes.set_xticks([0, 0.5, 1])
        axes.plot(recall, precision, "o", ms=9, mfc="none", mec=BLACK, mew=1.2, zorder=5)
        axes.axhline(float(lines[name][1][-1]), color=BLACK, lw=0.8, ls=":")
        said.append(f"{name} {_score(runs[name])}, {recall:.3f} and {precision:.3f}")
    return _finish(
        figure,
        runs,
        f"Precision and recall within each Hamming radius (ring: radius {RADIUS}; dotted: share of relevant images)",
        "recall: share of the relevant images within the radius",
        "precision (0 where nothing is within the radius)",
        f"mAP, recall and precision at radius {RADIUS}: {'; '.join(said)}",
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


def cost_table(runs: Mapping[str, Run], reference: str = "CSQ") -> pd.DataFrame:
    """What training took, a row a method: CPU seconds an epoch (median), before the first (codes learned from labels,
    shallow methods' whole fitting), altogether, and "ratio", to the reference. Blank for runs that stored no CPU time.

    Raises ValueError where the reference is not among the runs.
    """
    if reference not in runs:
        raise ValueError(f"there is no {reference!r} to compare the cost with; choose from {list(runs)}")
    rows = {}
    for name, run in runs.items():
        epochs = [row.get("cpu_seconds", math.nan) for row in run.history if row["epoch"] > 0]
        before = run.history[0].get("preparation_cpu_seconds", math.nan)
        each = float(np.median(epochs)) if epochs else 0.0
        rows[name] = {"epochs": len(epochs), EPOCH: each, BEFORE: before, WHOLE: before + len(epochs) * each}
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index.name = "method"
    if any_smoke(runs.values()):
        frame["remark"] = SMOKE_MARK
    return frame.assign(ratio=frame[WHOLE] / frame.loc[reference, WHOLE]).sort_values("ratio", kind="stable")


@styled()
def cost_figure(runs: Mapping[str, Run], reference: str = "CSQ") -> Figure:
    """CPU time of a whole training as a multiple of the reference's, the cheapest first; seconds are written beside."""
    frame = cost_table(runs, reference)
    unit = frame.loc[reference, WHOLE]
    known = frame[frame["ratio"].notna()]
    gap = _gap(frame, next(iter(runs.values())).experiment.bits)
    figure = new_figure(9, 1.6 + 0.32 * len(known), layout="constrained")
    axes = figure.subplots()
    places = list(range(len(known)))
    before = known[BEFORE] / unit
    axes.barh(places, known["ratio"] - before, left=before, color=BLUE, label="epochs")
    axes.barh(
        places, before, color=tint(ORANGE, 0.6), hatch="///", edgecolor=BLACK, lw=0.5,
        label="before the first epoch: codes, banks, fitting",
    )  # fmt: skip
    said = []
    for place, (name, row) in zip(places, known.iterrows(), strict=True):
        look: Any = {"va": "center", "fontsize": 9}
        axes.annotate(
            f"{row['ratio']:.2f} ×", (row["ratio"], place), (5, 0), textcoords="offset points",
            bbox={"fc": "white", "ec": "none", "pad": 1}, **look,
        )  # fmt: skip
        axes.text(1.01, place, _seconds(row), transform=axes.get_yaxis_transform(), **look)
        said.append(f"{name} {row['ratio']:.2f} times, {_seconds(row)}")
    if len(known):
        axes.axvline(1, color=BLACK, lw=0.8, ls=":", zorder=1.5)
    axes.set_yticks(places, [str(name) for name in known.index])
    axes.set(
        title=f"CPU time of training, {reference} = 1",
        xlabel=f"CPU time of a whole training over that of {reference}\n{_setting(runs)}; {SHARED}\n{gap}".rstrip(),
        xlim=(0, 1.12 * float(np.nan_to_num(known["ratio"].max(), nan=1.0))),  # room for the number behind a bar
        ylim=(max(len(known), 1) - 0.4, -0.6),
    )
    axes.grid(axis="y", visible=False)
    if len(known):
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    order = f"CPU time of training as a multiple of {reference}'s, the cheapest first"
    figure.alt = sentences([f"{order}: {'; '.join(said) or 'none'}", gap])  # type: ignore[attr-defined]
    return mark_smoke(figure, runs.values())


def _seconds(row: pd.Series) -> str:
    if not row["epochs"]:
        return f"fitted once, {row[BEFORE]:.1f} s"
    before = f" + {row[BEFORE]:.1f} s before" if row[BEFORE] >= 0.5 else ""
    n = int(row["epochs"])
    return f"{n} epoch{'s' * (n > 1)} of {row[EPOCH]:.1f} s{before}"


def _gap(frame: pd.DataFrame, bits: int) -> str:
    """Which rows have no CPU time, and what to do about it."""
    unknown = ", ".join(frame.index[frame[WHOLE].isna()])
    return f"No CPU time was stored for {unknown}: `cscelab train NAME --bits {bits} --retrain`" if unknown else ""


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
