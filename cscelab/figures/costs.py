"""What training costs, method beside method, as a table and as bars with their spread (`cscelab.cost`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cscelab.cost import Costs
from cscelab.figures.alt import sentences
from cscelab.figures.provenance import SMOKE_MARK, stamp
from cscelab.figures.style import BLACK, BLUE, ORANGE, new_figure, styled, tint

REFERENCE = "CSQ"
RATIO, LOW, HIGH = "times the reference", "times the reference, lower quartile", "times the reference, upper quartile"
STEP, BEFORE, BEFORE_STEPS = "seconds a step", "seconds before the first epoch", "before, in steps of the reference"
GROUND = {"fc": "white", "ec": "none", "pad": 1}  # under words that lines would cross
LEAST = 0.5  # steps before the first epoch from which on they are said
LEFT_OUT = "without validation, encoding and what is done between epochs"


def cost_table(costs: Costs, reference: str = REFERENCE, smoke: bool = False) -> pd.DataFrame:
    """A row a method, the cheapest first; those that take no steps, being fitted once, come before all and are blank.

    "times the reference": median over rounds of the ratio within a round, then its quartiles; "seconds a step": median;
    "seconds before the first epoch", and the same in steps of the reference. `attrs` holds "reference", "clock",
    "epoch" (steps), "rounds" and "smoke". Raises ValueError as `Costs.ratios`.
    """
    ratios = costs.ratios(reference)
    unit = float(np.median(costs.steps[reference]))
    rows = {}
    for name, before in costs.before.items():
        found = ratios.get(name, np.array([np.nan]))
        low, middle, high = np.quantile(found, (0.25, 0.5, 0.75))
        step = float(np.median(costs.steps[name])) if name in costs.steps else np.nan
        rows[name] = {RATIO: middle, LOW: low, HIGH: high, STEP: step, BEFORE: before, BEFORE_STEPS: before / unit}
    frame = pd.DataFrame.from_dict(rows, orient="index").assign(clock=costs.clock)
    frame.index.name = "method"
    if smoke:
        frame["remark"] = SMOKE_MARK
    frame = frame.sort_values([RATIO, BEFORE], kind="stable", na_position="first")
    n_rounds = len(costs.steps[reference])
    frame.attrs = {
        "reference": reference, "clock": costs.clock, "epoch": costs.epoch, "rounds": n_rounds, "smoke": smoke,
    }  # fmt: skip
    return frame


@styled()
def cost_figure(frame: pd.DataFrame, setting: str = "") -> Figure:
    """The frame of `cost_table`: on the left a step over one of the reference in the same round, on the right what
    comes before the first epoch. setting: data, trunk and code length, in words."""
    reference, clock = frame.attrs["reference"], frame.attrs["clock"]
    places = np.arange(len(frame))
    figure = new_figure(9, 1.9 + 0.3 * len(frame), layout="constrained")
    step, before = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1.4))
    around = np.abs(frame[[LOW, HIGH]].to_numpy().T - frame[RATIO].to_numpy())
    step.barh(places, frame[RATIO], color=tint(BLUE, 0.7), xerr=around, error_kw={"ecolor": BLACK, "capsize": 3})
    step.axvline(1, color=BLACK, lw=0.8, ls=":", zorder=1.5)
    before.barh(places, frame[BEFORE_STEPS], color=tint(ORANGE, 0.6), hatch="///", edgecolor=BLACK, lw=0.5)
    look: dict[str, Any] = {"va": "center", "fontsize": 8.5, "textcoords": "offset points", "bbox": GROUND}
    said = []
    for place, (name, row) in zip(places, frame.iterrows(), strict=True):
        text = f"{row[RATIO]:.2f} × ({row[STEP]:.2f} s)" if row[RATIO] > 0 else "fitted once, no steps"
        step.annotate(text, (np.nan_to_num(row[HIGH]), place), (6, 0), **look)
        first = f"{row[BEFORE_STEPS]:.0f} ({row[BEFORE]:.1f} s)" if row[BEFORE_STEPS] >= LEAST else ""
        before.annotate(first, (row[BEFORE_STEPS], place), (5, 0), **look)
        said.append(f"{name} {text}" + (f", before it {first.split(' ')[0]} steps of {reference}" if first else ""))
    step.set_yticks(places, [str(name) for name in frame.index])
    step.set(
        title=f"A training step, {reference} = 1",
        xlabel=f"{clock} time of a step over that of {reference}\nin the same round",
        xlim=(0, 1.4 * float(frame[HIGH].max())),  # room for the words behind a bar
        ylim=(len(frame) - 0.4, -0.6),
    )
    before.set(
        title="Before the first epoch",
        xlabel=f"steps of {reference}; measured once\n(an epoch has {frame.attrs['epoch']})",
        xlim=(0, 1.9 * max(1.0, float(frame[BEFORE_STEPS].max()))),
    )
    for axes in (step, before):
        axes.grid(axis="y", visible=False)
    n_rounds = frame.attrs["rounds"]
    rounds = f"median and quartiles of {n_rounds} rounds" if n_rounds > 1 else "one round"
    note = f"Steps of all methods in turn, in one call: {rounds}; {LEFT_OUT}."
    figure.supxlabel(f"{note}\n{setting}".rstrip(), fontsize=9)
    title = f"{clock} time of a training step as a multiple of {reference}'s, {rounds}, the cheapest first"
    figure.alt = sentences([f"{title}: {'; '.join(said)}", f"{LEFT_OUT[0].upper()}{LEFT_OUT[1:]}"])  # type: ignore[attr-defined]
    if frame.attrs["smoke"]:
        stamp(figure)
    return figure
