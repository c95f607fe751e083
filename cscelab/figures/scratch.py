"""CIFAR-10 from scratch: methods that learn the trunk beside ITQ on the same trunk untrained, from real photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cscelab.compare import paired_difference, require_comparable
from cscelab.experiment import Run
from cscelab.figures.alt import sentences
from cscelab.figures.doh import GROUND, OWN, SEED, precision_of
from cscelab.figures.mosaic import wrap
from cscelab.figures.provenance import SMOKE_MARK, any_smoke, describe, stamp
from cscelab.figures.style import BLACK, ORANGE, new_figure, styled
from cscelab.retrieval.bootstrap import LEVEL

REFERENCE, FLOOR = "CSQ", "ITQ, untrained trunk"
TIMES = 2  # ITQ's mAP that a training is to reach
DIFFERENCE = f"difference to {REFERENCE}"


def scratch_table(rows: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """A row a method at one code length, one run a seed; REFERENCE and FLOOR are rows.

    "mAP" (mean over seeds), "deviation", "low", "high", "seeds", "seed 0", ... as in `doh.precision_of`; "times ITQ";
    DIFFERENCE with "low" and "high" (paired over queries; blank for REFERENCE); means over seeds: "mAP by cosine",
    "validation mAP", "training minutes" (wall time as it was, other work included) and "best epoch". `attrs` holds
    "ours" and "smoke". Raises ValueError where a row has no run, or runs have other queries or databases.
    """
    for needed in (REFERENCE, FLOOR):
        if not rows.get(needed):
            raise ValueError(f"the table has no run of {needed!r} to compare with; its rows are {list(rows)}: add it")
    if empty := [row for row, seeds in rows.items() if not seeds]:
        raise ValueError(f"row {empty[0]!r} has no run; give at least one seed, or leave it out")
    runs = [run for seeds in rows.values() for run in seeds]
    require_comparable(runs)
    floor = float(np.mean([run.mean_average_precision for run in rows[FLOOR]]))
    cells = {}
    for row, seeds in rows.items():
        found = precision_of(seeds)
        gap = None if row == REFERENCE else paired_difference(seeds, rows[REFERENCE])
        cells[row] = {
            **found,
            **{f"seed {run.experiment.seed}": run.mean_average_precision for run in seeds},
            "times ITQ": float(found["mAP"] or 0) / floor,
            DIFFERENCE: None if gap is None else float(gap.value),
            f"{DIFFERENCE}, low": None if gap is None else float(gap.low),
            f"{DIFFERENCE}, high": None if gap is None else float(gap.high),
            "mAP by cosine": _mean(seeds, "continuous_map"),
            "validation mAP": _mean(seeds, "validation_map"),
            "best epoch": _mean(seeds, "best_epoch"),
            "training minutes": float(np.mean([run.metrics["seconds"]["train"] for run in seeds])) / 60,
        }
    frame = pd.DataFrame.from_dict(cells, orient="index").astype({"seeds": int})
    frame.index.name = "row"
    trained = next(run for run in rows[REFERENCE])
    frame.attrs = {"ours": _setting(trained), "smoke": any_smoke(runs)}
    return frame.assign(remark=SMOKE_MARK) if any_smoke(runs) else frame


def _mean(seeds: Sequence[Run], name: str) -> float:
    return float(np.mean([run.metrics[name] for run in seeds]))


def _setting(run: Run) -> str:
    training, splits = run.experiment.training, run.data()
    return (
        f"{describe(run)}, from scratch; {len(splits.train):,} training, {len(splits.validation):,} validation images, "
        f"{len(splits.query):,} queries, database of {len(splits.database):,}, {splits.image_size} px; "
        f"{run.experiment.bits} bits, {training.epochs} epochs"
    )


def goals(frame: pd.DataFrame) -> str:
    """In words, from a `scratch_table`: which rows have TIMES ITQ's mAP, and how long their trainings took."""
    trained = frame.drop(index=FLOOR)
    reached = [str(row) for row in trained.index[trained["times ITQ"] >= TIMES]]
    missed = [str(row) for row in trained.index.difference(pd.Index(reached), sort=False)]
    said = f"At least {TIMES} times the mAP of ITQ on the untrained trunk: {', '.join(reached) or 'none'}"
    behind = f"; not {', '.join(missed)}" if missed else ""
    shortest, longest = trained["training minutes"].min(), trained["training minutes"].max()
    return f"{said}{behind}. A training took {shortest:.0f} to {longest:.0f} minutes, one thread each."


@styled()
def scratch_figure(frame: pd.DataFrame) -> Figure:
    """A `scratch_table`: mAP with every seed and its interval, and differences to REFERENCE."""
    figure = new_figure(9.5, 2.2 + 0.5 * len(frame), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    left.set_yticks(np.arange(len(frame)), [str(row) for row in frame.index], fontsize=10)
    left.set_ylim(len(frame) - 0.5, -0.5)
    _draw_precision(left, frame)
    _draw_differences(right, frame)
    covers = f"Bars: {LEVEL:.0%} interval over the queries, paired for differences; it does not cover training seeds."
    texts = (f"{frame.attrs.get('ours', '')}.", goals(frame), covers)
    lines = [line for text in texts for line in wrap(text, figure.get_figwidth() - 0.3, 9)]
    figure.supxlabel("\n".join(lines), fontsize=9, x=0.01, ha="left")
    figure.alt = sentences([  # type: ignore[attr-defined]
        f"mAP: {'; '.join(f'{row} {value:.3f}' for row, value in frame['mAP'].items())}", goals(frame),
    ])  # fmt: skip
    if "remark" in frame:
        stamp(figure)
    return figure


def _draw_precision(axes: Axes, frame: pd.DataFrame) -> None:
    places = np.arange(len(frame))
    seeds = frame[[name for name in frame.columns if name.startswith("seed ")]].to_numpy(float)
    several = int(frame["seeds"].min()) > 1
    if several:
        axes.plot(seeds.ravel(), places.repeat(seeds.shape[1]), ls="none", label="a seed", **SEED)
    around = np.abs(frame[["low", "high"]].to_numpy(float).T - frame["mAP"].to_numpy(float))
    label = "mean over seeds" if several else "one seed"
    axes.errorbar(frame["mAP"], places, xerr=around, ls="none", capsize=3, label=label, **OWN)
    for place, (value, spread) in enumerate(zip(frame["mAP"], frame["deviation"].astype(float), strict=True)):
        words = f"{value:.3f}" if np.isnan(spread) else f"{value:.3f} ± {spread:.3f}"
        axes.annotate(words, (value, place), (0, 8), textcoords="offset points", ha="center", fontsize=9, bbox=GROUND)
    goal = TIMES * float(frame.loc[FLOOR, "mAP"])
    axes.axvline(goal, color=BLACK, ls="--", lw=1, label=f"{TIMES} x ITQ's")
    axes.set(title="mAP", xlabel="mAP, ± standard deviation over seeds" if several else "mAP")
    axes.set_xlim(0, float(frame["high"].max()) * 1.15)
    axes.legend(fontsize=8.5, loc="lower right")


def _draw_differences(axes: Axes, frame: pd.DataFrame) -> None:
    shown = frame.drop(index=FLOOR)
    names = (f"{DIFFERENCE}, low", f"{DIFFERENCE}, high")
    values = shown[DIFFERENCE].to_numpy(float)
    around = np.abs(shown[list(names)].to_numpy(float).T - values)
    axes.errorbar(values, np.arange(len(shown)), xerr=around, fmt="s", color=ORANGE, ms=6, mfc="white", capsize=3)
    axes.axvline(0, color=BLACK, lw=1)
    axes.set(title=f"Difference to {REFERENCE}", xlabel=f"mAP minus {REFERENCE}'s (ITQ left out)")
    axes.margins(x=0.15)
