"""ExchNet beside ADSH and HashNet: mAP by learned and by the network's codes, over bits, over parts, and training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cscelab.compare import paired_difference, require_comparable
from cscelab.experiment import Run
from cscelab.figures.alt import rounded, sentences
from cscelab.figures.comparison import RunsByRow
from cscelab.figures.part_maps import overlap_and_empty
from cscelab.figures.provenance import SMOKE_MARK, any_smoke, describe, describe_data, mark_smoke
from cscelab.figures.style import BLACK, GREY, PALETTE, new_figure, styled
from cscelab.methods.adsh import ADSHConfig
from cscelab.methods.exchnet import ExchNetConfig
from cscelab.published import EXCHNET, MEASURES
from cscelab.retrieval.bootstrap import difference

LEARNED, NETWORK = "learned", "network"  # what the database is coded by
REFERENCE = "ADSH"
MARKERS = "osD^vP"
BY_LOOK: dict[str, dict[str, Any]] = {LEARNED: {"ls": "-"}, NETWORK: {"ls": "--", "mfc": "white"}}
BY_WORDS = {LEARNED: "learned database codes", NETWORK: "the network's codes"}
PUBLISHED = ("CUB-200-2011",)
PRINTED_PARTS = 4  # M of the paper's ExchNet

STEP = 0.45  # of an outer iteration, how long its code step is drawn
NETWORK_STEP: dict[str, Any] = {"color": PALETTE[0], "ls": "-", "lw": 1.4}
CODE_STEP: dict[str, Any] = {"color": PALETTE[3], "ls": "--", "lw": 2.2, "marker": "o", "ms": 4, "markevery": [1]}
STEPS = {"the network's steps": NETWORK_STEP, "the code step (ends at the dot)": {**CODE_STEP, "markevery": None}}
UNIT = (
    "Mean of (u·v − K S)² over pairs of a drawn and a database image, over K²: 1 is off by a whole code.\n"
    "Every iteration draws other images, which moves it too"
)
OWN_TERM = "; ADSH's includes its own term, |v − u|²"


def by_database(run: Run) -> dict[str, dict[str, Any]]:
    """What metrics.json says of the database by LEARNED codes, where training learned any, and by the NETWORK's."""
    metrics = run.metrics
    return {LEARNED: metrics, NETWORK: metrics["network"]} if "network" in metrics else {NETWORK: metrics}


def exchnet_table(rows: RunsByRow, data_sets: Sequence[str] = PUBLISHED) -> pd.DataFrame:
    """A row a method; columns "24 bits: learned mAP", after the colon what follows here, then the published numbers.

    "learned mAP", "network mAP": by what the database is coded by (blank where nothing was learned), each with its
    "deviation", the sample deviation over seeds, blank for one; "difference", "difference low", "difference high": mAP
    of the database each method is searched by, learned where there is one, minus that of ADSH with the paired 95%
    interval over the queries; "network difference" and its limits: the same by the network's codes of both; "seeds".
    With smoke runs a column "remark" says so. `attrs` holds "ours", "reference", "published" (the source) and "smoke".
    Raises ValueError where there is no run, none of ADSH, or runs on other queries, databases or k.
    """
    runs = [run for by_bits in rows.values() for seeds in by_bits.values() for run in seeds]
    if not runs:
        raise ValueError("a table of no runs was asked for; give at least one run for one row")
    if REFERENCE not in rows:
        raise ValueError(f"the table has no row {REFERENCE!r} to compare with; its rows are {list(rows)}: add it")
    require_comparable(runs)
    lengths = sorted({bits for by_bits in rows.values() for bits in by_bits})
    cells: dict[str, dict[str, Any]] = {}
    for row, by_bits in rows.items():
        cells[row] = {}
        for bits in lengths:
            against = () if row == REFERENCE else rows[REFERENCE].get(bits, ())
            cells[row] |= {
                f"{bits} bits: {name}": value for name, value in _cells(by_bits.get(bits, ()), against).items()
            }
        for data_set in data_sets:
            for bits in EXCHNET.lengths:
                name = f"published, {data_set} {MEASURES[data_set]}, {bits} bits"
                cells[row][name] = EXCHNET.value(row, data_set, bits)
        if any_smoke(runs):
            cells[row]["remark"] = SMOKE_MARK
    frame = pd.DataFrame.from_dict(cells, orient="index")
    frame.index.name = "row"
    numbers = [name for name in frame.columns if name != "remark" and not name.endswith("seeds")]
    frame[numbers] = frame[numbers].astype(float)
    frame.attrs = {
        "ours": describe(runs[0]), "reference": REFERENCE, "published": EXCHNET.source, "smoke": any_smoke(runs),
    }  # fmt: skip
    return frame


def _cells(runs: Sequence[Run], reference: Sequence[Run]) -> dict[str, float | int | None]:
    cells: dict[str, float | int | None] = {}
    for by in (LEARNED, NETWORK):
        cells[f"{by} mAP"], cells[f"{by} deviation"] = mean_and_deviation(runs, by)
    as_searched = paired_difference(runs, reference) if runs and reference else None
    by_network = difference(_network_ap(runs), _network_ap(reference)) if runs and reference else None
    for name, found in {"difference": as_searched, "network difference": by_network}.items():
        cells[name] = float(found.value) if found else None
        cells |= {f"{name} {limit}": float(getattr(found, limit)) if found else None for limit in ("low", "high")}
    return cells | {"seeds": len(runs)}


def mean_and_deviation(runs: Sequence[Run], by: str) -> tuple[float | None, float | None]:
    """mAP over seeds and its sample deviation; None where there is no such database, or a single run."""
    found = [measured[by]["map"] for run in runs if by in (measured := by_database(run))]
    return float(np.mean(found)) if found else None, float(np.std(found, ddof=1)) if len(found) > 1 else None


def _network_ap(runs: Sequence[Run]) -> np.ndarray:
    """AP of every query (Q,) by the network's codes, a mean over seeds."""
    return np.mean([by_database(run)[NETWORK]["report"]["average_precision"] for run in runs], axis=0)


@styled()
def code_length_figure(rows: RunsByRow) -> Figure:
    """mAP by code length: the database by learned codes (solid, filled) and by the network's (dashed, hollow).

    Means over seeds, bars of one sample standard deviation where there are several.
    """
    runs = [run for by_bits in rows.values() for seeds in by_bits.values() for run in seeds]
    lengths = sorted({bits for by_bits in rows.values() for bits in by_bits})
    figure = new_figure(8.5, 5, layout="constrained")
    axes = figure.subplots()
    said = [f"mAP by code length ({', '.join(map(str, lengths))} bits)"]
    middle = (len(rows) - 1) / 2
    for i, (row, by_bits) in enumerate(rows.items()):
        for by in (LEARNED, NETWORK):
            found = {bits: mean_and_deviation(by_bits[bits], by) for bits in lengths if by_bits.get(bits)}
            points = {bits: (mean, spread) for bits, (mean, spread) in found.items() if mean is not None}
            if not points:
                continue
            # A length that is missing breaks the line.
            places = [n + 0.04 * (i - middle) for n in range(len(lengths))]
            drawn = [points.get(bits, (math.nan, None)) for bits in lengths]
            _line(axes, places, drawn, i, by, label=f"{row}, {BY_WORDS[by]}")
            said.append(f"{row}, {BY_WORDS[by]}: {', '.join(f'{mean:.3f}' for mean, _ in points.values())}")
    axes.set_xticks(range(len(lengths)), [str(bits) for bits in lengths])
    axes.set(
        title="mAP by code length",
        xlabel=f"code length (bits)\n{describe(runs[0])}\n{_seeds_note(rows, lengths)}",
        ylabel="mAP",
        xlim=(-0.5, len(lengths) - 0.5),
        ylim=(0, 1),  # a cut axis makes noise look like a finding
    )
    figure.legend(loc="outside lower center", ncols=2, labelcolor=BLACK, handlelength=4)
    figure.alt = sentences(said)  # type: ignore[attr-defined]
    return mark_smoke(figure, runs)


def _line(
    axes: Axes, places: Sequence[float], points: Sequence[tuple[float, float | None]], i: int, by: str, label: str
) -> None:
    means, spread = [mean for mean, _ in points], [deviation or 0.0 for _, deviation in points]
    bars = [deviation if deviation else np.nan for deviation in spread]
    look = {"color": PALETTE[i], "marker": MARKERS[i], "ms": 6, "capsize": 3, **BY_LOOK[by]}
    axes.errorbar(places, means, bars, label=label, **look)


def _seeds_note(rows: RunsByRow, lengths: Sequence[int]) -> str:
    """How many runs a point is of, by code length."""
    counts = {bits: max((len(by_bits.get(bits, ())) for by_bits in rows.values()), default=0) for bits in lengths}
    several = [f"{count} at {bits} bits" for bits, count in counts.items() if count > 1]
    if not several:
        return "one seed a point: no deviation is known"
    alone = "one seed a point, " if min(counts.values()) == 1 else "seeds: "
    return f"{alone}{', '.join(several)} (bars: one standard deviation)"


def part_sweep_table(runs: Mapping[int, Sequence[Run]], data_sets: Sequence[str] = PUBLISHED) -> pd.DataFrame:
    """A row a number of parts M: mAP by learned and by the network's codes with deviations over seeds; "overlap" of the
    attention maps of the queries (`cscelab.diversity.map_overlap`; a mean over images, then seeds) with its deviation
    over seeds; "empty maps", the share that is zero everywhere; "seeds"; published numbers at the same code length."""
    rows = {}
    for n_parts, seeds in sorted(runs.items()):
        cells: dict[str, Any] = {}
        for by in (LEARNED, NETWORK):
            cells[f"{by} mAP"], cells[f"{by} deviation"] = mean_and_deviation(seeds, by)
        found = np.array([overlap_and_empty(run) for run in seeds])
        cells["overlap"], cells["empty maps"] = found.mean(axis=0)
        cells["overlap deviation"] = float(found[:, 0].std(ddof=1)) if len(seeds) > 1 else None
        cells["seeds"] = len(seeds)
        bits = seeds[0].experiment.bits
        for data_set in data_sets:
            row = "ExchNet" if n_parts == PRINTED_PARTS else f"ExchNet, {n_parts} parts"
            name = f"published, {data_set} {MEASURES[data_set]}, {bits} bits"
            cells[name] = EXCHNET.value(row, data_set, bits)
        if any_smoke(seeds):
            cells["remark"] = SMOKE_MARK
        rows[n_parts] = cells
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index.name = "parts"
    return frame


@styled()
def part_sweep_figure(runs: Mapping[int, Sequence[Run]], frame: pd.DataFrame | None = None) -> Figure:
    """mAP over the number of parts M, and beside it how far their attention maps overlap. frame: `part_sweep_table`'s
    of these runs, where it is there already."""
    frame = part_sweep_table(runs) if frame is None else frame
    figure = new_figure(9, 4, layout="constrained")
    precision, overlap = figure.subplots(1, 2)
    places = list(frame.index)
    for by in (LEARNED, NETWORK):
        if frame[f"{by} mAP"].notna().any():
            columns = frame[[f"{by} mAP", f"{by} deviation"]].astype(float).to_numpy()
            shift = 0.04 if by == NETWORK else -0.04
            _line(precision, [place + shift for place in places], columns.tolist(), 0, by, BY_WORDS[by])
    columns = frame[["overlap", "overlap deviation"]].astype(float).to_numpy()
    overlap.errorbar(
        places, columns[:, 0], columns[:, 1], color=PALETTE[2], marker="s", ms=6, capsize=3, label="overlap"
    )
    for place, value in zip(places, columns[:, 0], strict=True):
        overlap.annotate(f"{value:.2f}", (place, value), (0, 12), textcoords="offset points", ha="center")
    first = next(iter(runs.values()))[0]
    bits = first.experiment.bits
    precision.set(title=f"mAP, {bits} bits", ylabel="mAP", ylim=(0, 1))
    overlap.set(title="Overlap of the attention maps", ylabel="mass in common (0 none, 1 equal)", ylim=(0, 1))
    precision.legend(loc="lower right", handlelength=4)
    for axes in (precision, overlap):
        axes.set_xlabel("parts M")
        axes.set_xticks(places)
        axes.set_xlim(min(places) - 0.6, max(places) + 0.6)
    several = frame["seeds"].max() > 1
    note = "bars: one standard deviation over seeds" if several else "one run a point: no deviation is known"
    figure.supxlabel(f"{describe(first)}; {note}", fontsize=9)
    return mark_smoke(figure, [run for seeds in runs.values() for run in seeds])


@styled()
def objective_figure(runs: Mapping[str, Run]) -> Figure:
    """The objective over outer iterations as a zigzag, each run a panel: up or down the network's steps, down the code
    step; below, the share of the database's bits that the code step changed. A line marks where exchange starts.

    Raises ValueError for a run whose history has no code step.
    """
    figure = new_figure(1.2 + 3.3 * len(runs), 5.6, layout="constrained")
    grid = figure.subplots(2, len(runs), sharex="col", sharey="row", squeeze=False, height_ratios=(2.2, 1))
    said = ["Objective over outer iterations, after the network's steps and after the code step"]
    for (title, run), (upper, lower) in zip(runs.items(), grid.T, strict=True):
        history = [row for row in run.history if "objective" in row]
        if not history:
            raise ValueError(f"{run.experiment.name} has no code step in its history; give runs of ExchNet or ADSH")
        columns = ("epoch", "objective_before", "objective", "codes_changed")
        iterations, before, after, changed = (np.array([row[name] for row in history]) for name in columns)
        for i in range(len(history)):
            if i:
                upper.plot([iterations[i - 1], iterations[i] - STEP], [after[i - 1], before[i]], **NETWORK_STEP)
            upper.plot([iterations[i] - STEP, iterations[i]], [before[i], after[i]], **CODE_STEP)
        upper.set_title(title)
        lower.bar(iterations, changed, width=0.6, color=PALETTE[3], hatch="///", edgecolor=BLACK, lw=0.5)
        lower.set(xlabel="outer iteration", xlim=(iterations[0] - 0.9, iterations[-1] + 0.5))
        lower.xaxis.get_major_locator().set_params(integer=True)
        for axes in (upper, lower):
            if (start := exchange_start(run)) is not None:
                axes.axvline(start + 0.25, color=GREY, ls=":", lw=1.5, gid="exchange")
        if start is not None:
            upper.text(
                start + 0.4, 0.98, "parts are\nexchanged\nfrom here", transform=upper.get_xaxis_transform(), va="top",
                fontsize=8.5, color=GREY,
            )  # fmt: skip
        said.append(
            f"{title}: from {rounded(before[0])} to {rounded(after[-1])}; bits changed from {changed[0]:.0%} to "
            f"{changed[-1]:.0%}"
        )
    grid[0, 0].set_ylabel("objective / K² (mean over pairs)\naxis cut")
    grid[1, 0].set_ylabel("bits changed\n(share)")
    handles = [Line2D([], [], label=label, **look) for label, look in STEPS.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, handlelength=4)
    run = next(iter(runs.values()))
    own = OWN_TERM if any(isinstance(each.experiment.method, ADSHConfig) for each in runs.values()) else ""
    kept = ", ".join(f"iteration {each.metrics['best_epoch']:.0f} ({title})" for title, each in runs.items())
    figure.supxlabel(
        f"{UNIT}{own}.\n{describe_data(run)}; {run.experiment.bits} bits, seed {run.experiment.seed}; kept: {kept}",
        fontsize=9,
    )
    figure.alt = sentences(said)  # type: ignore[attr-defined]
    return mark_smoke(figure, runs.values())


def exchange_start(run: Run) -> int | None:
    """Outer iterations before parts are exchanged; None where they never are."""
    method, epochs = run.experiment.method, run.experiment.training.epochs
    if not isinstance(method, ExchNetConfig):
        return None
    start = math.ceil(method.exchange_from * epochs)
    return start if start < epochs else None
