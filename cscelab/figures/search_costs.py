"""What searching costs, after ExchNet's Table 1: precision@10, speed and bytes of each way to search one database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from cscelab.figures.alt import sentences
from cscelab.figures.provenance import SMOKE_MARK, stamp
from cscelab.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, new_figure, styled, tint
from cscelab.searchcost import BATCH, SearchCost, SearchSetting
from cscelab.searchways import LINEAR

PRECISION, EXPECTED = "precision@10", "precision@10, expected over ties"
SPEED, SLOWER, FASTER = "times faster", "times faster, lower quartile", "times faster, upper quartile"
TIME, BYTES, SHARED = "ms a query", "bytes an image", "bytes of codebooks"
BEHIND = 4.0  # times the longest bar of a logarithmic axis: room for the number behind it


def search_cost_table(costs: Sequence[SearchCost], smoke: bool) -> pd.DataFrame:
    """A row a way to search, in the order measured. "times faster" than linear search of floats: median and quartiles
    of the ratios within a round; "queries": those that precision is of. `attrs` holds "setting", "rounds" and "smoke".
    Raises ValueError for no costs."""
    if not costs:
        raise ValueError("no search costs came; give what measure_search_costs returned")
    rows = {}
    for cost in costs:
        low, middle, high = np.quantile(cost.speed_ups, (0.25, 0.5, 0.75))
        rows[cost.name] = {
            PRECISION: cost.precision,
            EXPECTED: np.nan if cost.expected is None else cost.expected,
            SPEED: middle,
            SLOWER: low,
            FASTER: high,
            TIME: cost.milliseconds,
            BYTES: cost.bytes_per_image,
            SHARED: cost.shared_bytes,
        }
    setting = costs[0].setting
    frame = pd.DataFrame.from_dict(rows, orient="index").assign(
        bits=setting.bits, queries=setting.n_asked, database=setting.n_database, timed=setting.n_rows
    )
    frame.index.name = "search"
    if smoke:
        frame["remark"] = SMOKE_MARK
    frame.attrs = {"setting": setting, "rounds": len(costs[0].speed_ups), "smoke": smoke}
    return frame


@styled()
def search_cost_figure(frame: pd.DataFrame, setting: str) -> Figure:
    """The frame of `search_cost_table`, a row a way: what it finds, how fast, how large. setting: data, trunk, method
    and code length, in words."""
    places = np.arange(len(frame))
    figure = new_figure(10.5, 2.6 + 0.34 * len(frame), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12)  # type: ignore[union-attr, call-arg]
    found, speed, size = figure.subplots(1, 3, sharey=True)
    _draw_precision(found, places, frame)
    around = np.abs(frame[[SLOWER, FASTER]].to_numpy().T - frame[SPEED].to_numpy())
    spread = {"ecolor": BLACK, "capsize": 2, "lw": 1}
    speed.barh(places, frame[SPEED] - 1, left=1, color=tint(ORANGE, 0.6), xerr=around, error_kw=spread)
    size.barh(places, frame[BYTES], color=tint(GREEN, 0.5), hatch="///", edgecolor=BLACK, lw=0.5)
    for axes, column, ends in ((speed, SPEED, FASTER), (size, BYTES, BYTES)):
        axes.set_xscale("log")
        lowest = 0.7 * min(1.0, float(frame[SLOWER].min())) if column == SPEED else 1.0
        axes.set_xlim(lowest, BEHIND * float(frame[ends].max()))
        axes.xaxis.set_major_locator(LogLocator(10, numticks=5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        unit = " ×" if column == SPEED else ""
        for place, value, end in zip(range(len(frame)), frame[column], frame[ends], strict=True):
            _word(axes, f"{_figures(value)}{unit}", max(end, 1.0), place)  # bars start at 1
    speed.axvline(1, color=BLACK, lw=0.8, ls=":", zorder=1)
    found.set(title="What is found", xlabel=PRECISION, xlim=(0, 1.19), xticks=np.linspace(0, 1, 6))
    speed.set(title="How fast", xlabel="times faster than linear float search\n(log scale)")
    size.set(title="How large", xlabel="bytes an image\n(log scale)")
    found.set_yticks(places, [str(name) for name in frame.index])
    found.set_ylim(len(frame) - 0.4, -0.6)
    for axes in (found, speed, size):
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
    note = caption(frame)
    figure.supxlabel("\n".join(filter(None, [*note, setting])), fontsize=8.5, ha="left", x=0.01)
    shared: SearchSetting = frame.attrs["setting"]
    head = (
        f"{PRECISION} ({shared.n_asked:,} queries, {shared.n_database:,} images), times faster than linear float "
        f"search (one thread, {shared.n_rows:,} rows), bytes an image"
    )
    said = "; ".join(
        f"{name} {row[PRECISION]:.3f}, {_figures(row[SPEED])} ×, {_figures(row[BYTES])}"
        for name, row in frame.iterrows()
    )
    figure.alt = sentences([f"{head}: {said}", *note])  # type: ignore[attr-defined]
    if frame.attrs["smoke"]:
        stamp(figure)
    return figure


def caption(frame: pd.DataFrame) -> list[str]:
    """What precision and time are of, line by line."""
    setting: SearchSetting = frame.attrs["setting"]
    scaled = "scaled to length 1 (by cosine)" if setting.unit_length else "as they are (by L2)"
    n_rounds = frame.attrs["rounds"]
    rounds = f"median and quartiles of {n_rounds} rounds" if n_rounds > 1 else "one round"
    ivf = any(" ivf" in str(name) for name in frame.index)
    asked = f"{setting.n_asked:,} queries"
    if setting.n_asked < setting.n_queries:
        asked = f"{setting.n_asked:,} of {setting.n_queries:,} queries, drawn by the seed,"
    lines = [
        f"Precision: {asked} among the {setting.n_database:,} images of the run's database; "
        "dot: ties in the index's order, ring: expected over ties.",
        f"Time: CPU time on one thread, {BATCH} queries at once, database repeated to {setting.n_rows:,} rows; all in "
        f"turn, {rounds}." + (" That of ivf depends on the codes." if ivf else ""),
        f"Floats: {setting.n_features:,} numbers that the hash layer sees, {scaled}, as the validation split prefers. "
        f"Not counted: codebooks, {frame[SHARED].max() / 1e6:.2g} MB.",
    ]
    if ivf:
        lines.append("CodeIndex is the project's own: it keeps ids, and exact search gives ties to the lowest id.")
    if setting.learned:
        lines.append("Binary codes of the database are the learned ones, unless the network's.")
    return lines


def _draw_precision(axes: Axes, places: np.ndarray, frame: pd.DataFrame) -> None:
    axes.hlines(places, 0, frame[PRECISION], color=tint(GREY, 0.4), lw=1)
    axes.plot(frame[EXPECTED], places, "o", mfc="none", mec=BLACK, ms=9, mew=1, ls="none")
    axes.plot(frame[PRECISION], places, "o", color=BLUE, ms=5, ls="none")
    axes.axvline(frame.loc[LINEAR, PRECISION], color=BLACK, lw=0.8, ls=":", zorder=1)
    ends = frame[[PRECISION, EXPECTED]].max(axis=1)
    for place, value, end in zip(range(len(frame)), frame[PRECISION], ends, strict=True):
        _word(axes, f"{value:.3f}", end, place, 9)


def _word(axes: Axes, text: str, x: float, y: float, gap: float = 5) -> None:
    look: dict[str, Any] = {"va": "center", "fontsize": 8.5, "bbox": {"fc": "white", "ec": "none", "pad": 0.5}}
    axes.annotate(text, (x, y), (gap, 0), textcoords="offset points", **look)


def _figures(value: float) -> str:
    """Two figures below 10, else whole."""
    return f"{value:.2g}" if value < 9.95 else f"{value:,.0f}"
