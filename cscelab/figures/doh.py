"""Deep Ordinal Hashing, reconstructed: what its views, its attention and its head bring, and mAP by the arity k.

No number of the paper is shown: it is not at hand (`cscelab.methods.doh`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cscelab.compare import average_precision, paired_difference, require_comparable
from cscelab.experiment import Run
from cscelab.figures.alt import sentences
from cscelab.figures.attention_maps import ON_TARGET, RECONSTRUCTION, on_target
from cscelab.figures.curves import precision_recall
from cscelab.figures.mosaic import wrap
from cscelab.figures.provenance import SMOKE_MARK, any_smoke, describe, stamp
from cscelab.figures.style import BLACK, BLUE, GREY, ORANGE, new_figure, styled
from cscelab.recipes import DOH_ROWS
from cscelab.retrieval.bootstrap import LEVEL, Interval, interval

RunsByRow = Mapping[str, Sequence[Run]]  # row -> one run a seed

REFERENCE = "CSQ"
WHOLE = next(row for row, name in DOH_ROWS.items() if name == "doh")
BEHIND = 0.03  # mAP by which DOH may lie below CSQ
TWICE = 2  # attention on the target, in times a uniform map, that is asked for
OWN: dict[str, Any] = {"marker": "o", "color": BLUE, "ms": 6}
OTHER: dict[str, Any] = {"marker": "s", "color": ORANGE, "ms": 6, "mfc": "white"}
SEED: dict[str, Any] = {"marker": "|", "color": GREY, "ms": 9, "mew": 1.4}

GROUND = {"fc": "white", "ec": "none", "pad": 0.5}  # under words that lines would cross


def doh_table(rows: RunsByRow) -> pd.DataFrame:
    """A row a method at one code length; REFERENCE and WHOLE are rows whose differences are shown.

    "mAP" (mean over seeds), its sample "deviation", blank for one seed, "low", "high" (95% interval over the queries),
    "seeds" and "seed 0", ...; "difference to CSQ" and "difference to DOH" with "low" and "high": paired intervals,
    blank for the row itself; "symbols", "arity", and bytes of a code, "stored bytes" (one-hot) and "packed bytes"; for
    rows with a local view `attention_maps.COLUMNS`; "paper" says that DOH is a reconstruction. With smoke runs a column
    "remark" says so.
    `attrs` holds "ours", "layout" (of the whole DOH) and "smoke". Raises ValueError where a row has no run, REFERENCE
    or WHOLE is no row, or runs are of other lengths, queries, databases or k.
    """
    for needed in (REFERENCE, WHOLE):
        if not rows.get(needed):
            raise ValueError(f"the table has no run of {needed!r} to compare with; its rows are {list(rows)}: add it")
    runs = [run for seeds in rows.values() for run in seeds]
    if empty := [row for row, seeds in rows.items() if not seeds]:
        raise ValueError(f"row {empty[0]!r} has no run; give at least one seed, or leave it out")
    if len(lengths := sorted({run.experiment.bits for run in runs})) > 1:
        raise ValueError(f"runs of {', '.join(map(str, lengths))} bits came; compare at one code length")
    require_comparable(runs)
    queries = runs[0].data().query
    cells = {}
    for row, seeds in rows.items():
        layout = seeds[0].experiment.layout
        cells[row] = {
            **precision_of(seeds),
            **{f"seed {run.experiment.seed}": run.mean_average_precision for run in seeds},
            **_limits(f"difference to {REFERENCE}", None if row == REFERENCE else (seeds, rows[REFERENCE])),
            **_limits("difference to DOH", None if row == WHOLE else (seeds, rows[WHOLE])),
            "symbols": layout.n_symbols if layout.arity else None,
            "arity": layout.arity,
            "stored bytes": layout.stored_bytes,
            "packed bytes": layout.packed_bytes,
            **on_target(seeds, queries),
        }
    frame = pd.DataFrame.from_dict(cells, orient="index")
    frame.index.name = "row"
    whole = {"seeds": int, "symbols": "Int64", "arity": "Int64", "stored bytes": int, "packed bytes": int}
    frame = frame.astype({name: whole.get(name, float) for name in frame.columns})
    frame["paper"] = [seeds[0].experiment.method.paper for seeds in rows.values()]
    frame.attrs = {
        "ours": describe(runs[0]), "layout": str(rows[WHOLE][0].experiment.layout), "smoke": any_smoke(runs),
    }  # fmt: skip
    return frame.assign(remark=SMOKE_MARK) if any_smoke(runs) else frame


def precision_of(seeds: Sequence[Run]) -> dict[str, float | int | None]:
    """What tables say of a row's mAP: "mAP" (mean over seeds), its sample "deviation", None for one, "low", "high" (95%
    interval over the queries), and "seeds", how many."""
    found = [run.mean_average_precision for run in seeds]
    limits = interval(average_precision(seeds))
    return {
        "mAP": float(np.mean(found)),
        "deviation": float(np.std(found, ddof=1)) if len(found) > 1 else None,
        "low": float(limits.low),
        "high": float(limits.high),
        "seeds": len(found),
    }


def _limits(name: str, compared: tuple[Sequence[Run], Sequence[Run]] | None) -> dict[str, float | None]:
    found: Any = Interval(None, None, None) if compared is None else Interval(*map(float, paired_difference(*compared)))
    return {name: found.value, f"{name}, low": found.low, f"{name}, high": found.high}


def goals(frame: pd.DataFrame) -> str:
    """In words, from a `doh_table`: whether DOH's mAP is at least CSQ's less BEHIND, and its attention TWICE a
    uniform map's."""
    gap, low, high = (frame.loc[WHOLE, f"difference to {REFERENCE}{end}"] for end in ("", ", low", ", high"))
    sure = "the interval agrees" if low >= -BEHIND or high < -BEHIND else "the interval cannot tell"
    said = (
        f"mAP of the whole DOH at least {REFERENCE}'s less {BEHIND}: {'yes' if gap >= -BEHIND else 'no'} "
        f"({_signed(gap)} [{_signed(low)}, {_signed(high)}], {sure})"
    )
    seeds = [name for name in frame.columns if name.startswith("seed ")]
    if len(seeds) > 1:
        each = frame.loc[WHOLE, seeds].astype(float) - frame.loc[REFERENCE, seeds].astype(float)
        said += f"; seed by seed {', '.join(map(_signed, each))}"
    if ON_TARGET in frame and not np.isnan(found := frame.loc[WHOLE, ON_TARGET]):
        held, others = "yes" if found >= TWICE else "no", frame.loc[WHOLE, f"{ON_TARGET}, others"]
        said += (
            f". Its attention on the target at least {TWICE} times a uniform map's: {held} ({found:.2f}; other images' "
            f"maps, which know nothing of the image, have {others:.2f}: its own have {found / others:.1f} times that)"
        )
    return f"{said}."


@styled()
def doh_figure(frame: pd.DataFrame) -> Figure:
    """A `doh_table`: mAP with every seed, differences with their paired intervals, and where the attention lies.

    The last panel is left out where nothing was measured, as without masks.
    """
    measured = ON_TARGET in frame and bool(frame[ON_TARGET].notna().any())
    several = int(frame["seeds"].min()) > 1
    figure = new_figure(12 if measured else 9, 2 + 0.42 * len(frame), layout="constrained")
    panels: list[Axes] = list(figure.subplots(1, 3 if measured else 2, sharey=True))
    places = np.arange(len(frame))
    panels[0].set_yticks(places, [str(row) for row in frame.index], fontsize=10)
    panels[0].set_ylim(len(frame) - 0.5, -0.5)
    _draw_precision(panels[0], frame, several)
    _draw_differences(panels[1], frame)
    if measured:
        _draw_attention(panels[2], frame)
    note = f"{frame.attrs.get('ours', '')}; the whole DOH: {frame.attrs.get('layout', '')}. {RECONSTRUCTION}"
    covers = f"Bars: {LEVEL:.0%} interval over the queries, paired for differences; it does not cover training seeds."
    width = figure.get_figwidth() - 0.3
    lines = [line for text in (note, goals(frame), covers) for line in wrap(text, width, 9)]
    figure.supxlabel("\n".join(lines), fontsize=9, x=0.01, ha="left")
    attention = frame[ON_TARGET].dropna() if measured else pd.Series(dtype=float)
    figure.alt = sentences([  # type: ignore[attr-defined]
        f"mAP: {'; '.join(f'{row} {value:.3f}' for row, value in frame['mAP'].items())}",
        goals(frame),
        f"Attention on the target: {'; '.join(f'{row} {value:.2f}' for row, value in attention.items()) or 'none'}",
        RECONSTRUCTION,
    ])  # fmt: skip
    if "remark" in frame:
        stamp(figure)
    return figure


def precision_recall_figure(runs: Mapping[str, Run]) -> Figure:
    """`curves.precision_recall` of runs by title at equal bits, their codes behind the title: of DOH R + 1 points."""
    figure = precision_recall({f"{title}, {run.experiment.layout}": run for title, run in runs.items()})
    (axes,) = figure.axes
    seeds = sorted({run.experiment.seed for run in runs.values()})
    which = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    axes.set_xlabel(f"{axes.get_xlabel()}\n{which}. {RECONSTRUCTION}")
    return figure


def _draw_precision(axes: Axes, frame: pd.DataFrame, several: bool) -> None:
    places = np.arange(len(frame))
    seeds = frame[[name for name in frame.columns if name.startswith("seed ")]].to_numpy(float)
    if several:
        axes.plot(seeds.ravel(), places.repeat(seeds.shape[1]), ls="none", label="a seed", **SEED)
    axes.errorbar(
        frame["mAP"], places, xerr=_around(frame, "mAP", "low", "high"), ls="none", capsize=3,
        label="mean over seeds" if several else "one seed", **OWN,
    )  # fmt: skip
    for place, (value, spread) in enumerate(zip(frame["mAP"], frame["deviation"], strict=True)):
        words = f"{value:.3f}" if np.isnan(spread) else f"{value:.3f} ± {spread:.3f}"
        axes.annotate(words, (value, place), (0, 7), textcoords="offset points", ha="center", fontsize=8.5, bbox=GROUND)
    goal = float(frame.loc[REFERENCE, "mAP"]) - BEHIND
    axes.axvline(goal, color=BLACK, ls="--", lw=1, label=f"{REFERENCE} less {BEHIND}")
    axes.set(title="mAP (axis cut)", xlabel="mAP, ± standard deviation over seeds" if several else "mAP")
    axes.margins(x=0.12)
    _legend(axes)


def _draw_differences(axes: Axes, frame: pd.DataFrame) -> None:
    places = np.arange(len(frame))
    for other, look, shift in ((REFERENCE, OWN, -0.14), ("DOH", OTHER, 0.14)):
        name = f"difference to {other}"
        around = _around(frame, name, f"{name}, low", f"{name}, high")
        label = f"to {other}" if other == REFERENCE else "to the whole DOH"
        axes.errorbar(frame[name], places + shift, xerr=around, ls="none", capsize=3, label=label, **look)
    axes.axvline(0, color=BLACK, lw=1)
    axes.axvline(-BEHIND, color=BLACK, ls="--", lw=1, label=f"−{BEHIND} (to {REFERENCE})")
    axes.set(title="Difference in mAP", xlabel="mAP minus the other's")
    _legend(axes)


def _draw_attention(axes: Axes, frame: pd.DataFrame) -> None:
    places = np.arange(len(frame))
    around = _around(frame, ON_TARGET, f"{ON_TARGET}, low", f"{ON_TARGET}, high")
    axes.errorbar(frame[ON_TARGET], places, xerr=around, ls="none", capsize=3, label="own image's map", **OWN)
    axes.plot(frame[f"{ON_TARGET}, others"], places, ls="none", label="other images' maps", **OTHER)
    for place, value in enumerate(frame[ON_TARGET]):
        words = "no local view" if np.isnan(value) else f"{value:.2f}"
        axes.annotate(words, (1 if np.isnan(value) else value, place), (0, 7), textcoords="offset points", ha="center",
                      fontsize=8.5, color=GREY if np.isnan(value) else BLACK, bbox=GROUND)  # fmt: skip
    axes.axvline(1, color=BLACK, lw=1, ls=":", label="a uniform map")
    axes.axvline(TWICE, color=BLACK, ls="--", lw=1, label=f"{TWICE} times that")
    axes.set(title="Attention on the target", xlabel="mass on the target, times a uniform map's")
    axes.set_xlim(0, None)
    axes.margins(x=0.1)
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Above the title: what is measured first, then the lines it is held against."""
    handles, labels = axes.get_legend_handles_labels()
    lines = [isinstance(handle, Line2D) and handle.get_linestyle() != "None" for handle in handles]
    bars = [not isinstance(handle, Line2D) for handle in handles]  # what is measured has its interval
    order = sorted(range(len(labels)), key=lambda i: (lines[i], not bars[i]))
    axes.legend(
        [handles[i] for i in order], [labels[i] for i in order], loc="lower left", bbox_to_anchor=(0, 1.1), ncols=2,
        borderaxespad=0, fontsize=8.5, columnspacing=1.2,
    )  # fmt: skip


def _around(frame: pd.DataFrame, name: str, low: str, high: str) -> np.ndarray:
    """How far the limits lie from a number, (2, rows)."""
    value = frame[name].to_numpy(float)
    return np.abs(np.stack([value - frame[low].to_numpy(float), frame[high].to_numpy(float) - value]))


def _signed(value: float) -> str:
    """With three decimals, or one that is not 0 where these would hide on which side of 0 it lies."""
    text = f"{value:+.3f}"
    if value and not float(text):
        text = np.format_float_positional(value, precision=1, fractional=False, sign=True)
    return text.replace("-", "−")
