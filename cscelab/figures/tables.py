"""Tables as pictures: our mAP with its intervals on the left, the published numbers apart on the right."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cscelab.figures.alt import sentences
from cscelab.figures.comparison import NO, OTHER, UNCLEAR, YES
from cscelab.figures.mosaic import Mosaic, paragraph_height, width_of, wrap
from cscelab.figures.provenance import stamp
from cscelab.figures.style import BLACK, GREY, styled, tint, verdict
from cscelab.published import LENGTHS
from cscelab.retrieval.bootstrap import LEVEL

SIZE, SMALL = 9.0, 7.5  # points, of a number and of the interval under it
ROW, LINE = 0.4, 0.145  # inches, of a row and from a number down to its interval
MARGIN = 0.15
NOT_OURS = "printed by Xue et al."
VERDICTS = {YES: verdict(True)[:2], NO: verdict(False)[:2], UNCLEAR: (BLACK, "~")}  # colour, mark
NOT_TRAINED = "not trained here"
FROZEN = "°"  # behind the name of a row that uses no labels
REBUILT = "†"  # behind that of a reconstruction
# Behind the colon, of each code length; the last with its 95% limits.
CELLS = ("mAP", "deviation", "low", "high", "seeds", "continuous mAP")
DIFFERENCE = ("difference", "difference low", "difference high")


@styled()
def table_figure(frame: pd.DataFrame, title: str, note: str = "", brief: bool = False) -> Figure:
    """The frame of `comparison_table` as a picture: ours left and upright, the published right, grey and italic.

    Small and grey under a number stands its 95% interval over the queries. The best mean of a column is bold, with all
    within a deviation of it, and only where every row has several seeds. brief: of ours mAP alone, for several code
    lengths at the width of a page; all else is left to the file.
    """
    lengths = _lengths(frame)
    counts = frame[[f"{bits} bits: seeds" for bits in lengths]].to_numpy()
    several = bool(counts[counts > 0].min() > 1)
    against = f"to {frame.attrs.get('reference', 'first row')}"
    heads = {
        "mAP": ("mAP ± s.d." if several else "mAP", 1.2 if several else 1.0),
        "difference": (f"difference\n{against}", max(1.2, width_of(against, SIZE) + 0.2)),
        "continuous mAP": ("cosine", 0.66),
        **{name: (_over_lines(name), 0.6) for name in _further(frame, lengths[0])},
    }
    if brief:
        heads = {"mAP": heads["mAP"]}
    names = {row: _marked(row, frame) for row in frame.index}
    groups = _published_groups(frame)
    name_width = max(width_of(name, SIZE) for name in names.values()) + 0.15
    ours_width = sum(width for _, width in heads.values())
    seeds_width, gap = 0.55, 0.3
    cell = max(0.58, 2.4 / (len(groups) * len(LENGTHS)))
    ours_left = MARGIN + name_width
    ours_right = ours_left + len(lengths) * ours_width + seeds_width
    right_left = ours_right + gap
    width = right_left + len(groups) * len(LENGTHS) * cell + MARGIN

    right_head = wrap(_heading(frame), width - MARGIN - right_left, SIZE, bold=True)
    chance = f"; chance (share of relevant images) {frame.attrs['chance']:.3f}" if "chance" in frame.attrs else ""
    described = f"ours: {frame.attrs.get('ours', '')}\n{_seeds(counts)}{chance}"
    ours_head = wrap(described, ours_right - ours_left, SIZE, bold=True)
    printed = f"Printed: {frame.attrs.get('published', '')}."
    notes = "\n".join(filter(None, [*_legend(frame, several, brief), note, printed]))
    body = 0.5 + max(len(right_head), len(ours_head)) * 0.17 + 0.1 + 0.5 + 2 * LINE + 0.14
    end = body + len(frame) * ROW
    notes_width = width - 2 * MARGIN
    sheet = Mosaic(width, end + 0.2 + paragraph_height(notes_width, notes, SIZE) + 0.05)

    sheet.text(MARGIN, 0.12, title, 12, weight="bold")
    sheet.axes.fill_between([right_left - 0.1, width - 0.05], 0.45, end + 0.06, color=tint(GREY, 0.1), lw=0)
    sheet.text(ours_left, 0.52, "\n".join(ours_head), SIZE, weight="bold")
    sheet.text(right_left, 0.52, "\n".join(right_head), SIZE, color=GREY, style="italic", weight="bold")
    columns: list[tuple[float, str]] = []  # right edge of a column, name
    x, y = ours_left, body - 2 * LINE - 0.12  # the top of the columns' names
    for bits in lengths:
        _span(sheet, x + 0.1, x + ours_width - 0.08, y - 0.27, f"{bits} bits", weight="bold")
        for name, (head, column_width) in heads.items():
            x += column_width
            columns.append((x - 0.08, f"{bits} bits: {name}"))
            sheet.text(x - 0.08, y, head, SIZE, ha="right", multialignment="right")
    sheet.text(ours_right - 0.05, y, "seeds", SIZE, ha="right")
    x = right_left
    for group, theirs in groups.items():
        _span(sheet, x + 0.06, x + cell * len(theirs) - 0.06, y - 0.27, group, color=GREY, style="italic")
        for name in theirs:
            x += cell
            columns.append((x - 0.08, name))
            sheet.text(x - 0.08, y, name.split(", ")[-1], SIZE, ha="right", color=GREY, style="italic")
    for level in (body - 0.06, end + 0.02):
        sheet.axes.plot([MARGIN, width - MARGIN], [level, level], color=GREY, lw=1.0)

    for i, (row, values) in enumerate(frame.iterrows()):
        y = body + i * ROW + 0.17
        sheet.text(MARGIN, y, names[row], SIZE, va="baseline")
        seeds = [int(values[f"{bits} bits: seeds"]) for bits in lengths]
        shown = str(seeds[0] or "–") if len(set(seeds)) == 1 else "/".join(map(str, seeds))
        sheet.text(ours_right - 0.05, y, shown, SIZE, ha="right", va="baseline")
        if not any(seeds):
            sheet.text(ours_left + 0.1, y, NOT_TRAINED, SIZE, va="baseline", color=GREY)
        for x, name in columns:
            not_ours = name.startswith("published")
            if not not_ours and not any(seeds):
                continue
            look: dict[str, Any] = {"color": GREY, "style": "italic"} if not_ours else {}
            if name.endswith(": mAP") and several and _among_best(frame, name, values[name]):
                look["weight"] = "bold"
            if values[name] in VERDICTS:
                look["color"] = VERDICTS[values[name]][0]
            sheet.text(x, y, _cell_text(name, values), SIZE, ha="right", va="baseline", **look)
            if limits := _limits_text(name, values):
                sheet.text(x, y + LINE, limits, SMALL, ha="right", va="baseline", color=GREY)
    sheet.paragraph(MARGIN, end + 0.16, notes_width, notes, SIZE)
    if frame.attrs.get("smoke") or "remark" in frame.columns:
        stamp(sheet.figure)
    sheet.figure.alt = sentences([title, *_in_words(frame, lengths)])  # type: ignore[attr-defined]
    return sheet.figure


def _marked(row: Hashable, frame: pd.DataFrame) -> str:
    """The row's name and its marks."""
    marks = {"unsupervised": FROZEN, "reconstructed": REBUILT}
    return " ".join([str(row), *(mark for name, mark in marks.items() if row in frame.attrs.get(name, ()))])


def _in_words(frame: pd.DataFrame, lengths: Sequence[int]) -> list[str]:
    """Our mAP of every row, what differs for certain from the reference, and what is published."""
    bits = f"{', '.join(map(str, lengths))} bits"
    rows = (
        f"{row} {', '.join(_cell_text(f'{each} bits: mAP', values) for each in lengths)}"
        for row, values in frame.iterrows()
        if any(values[f"{each} bits: seeds"] for each in lengths)
    )
    said = [f"Ours, mAP at {bits}: {'; '.join(rows)}"]
    clear = [
        f"{row} at {each} bits {_signed(values[name])}"
        for each in lengths
        for name in [f"{each} bits: difference"]
        for row, values in frame.iterrows()
        if values[f"{name} low"] > 0 or values[f"{name} high"] < 0
    ]
    against = frame.attrs.get("reference", "the first row")
    said.append(f"Differences to {against} whose interval is clear of 0: {'; '.join(clear) or 'none'}")
    n_published = sum(name.startswith("published, ") for name in frame.columns)
    return [*said, f"Beside them, grey, {n_published} columns of published numbers, which are not ours"]


def _span(sheet: Mosaic, left: float, right: float, y: float, text: str, **look: Any) -> None:
    """A heading over several columns, its lower edge and a rule at y."""
    sheet.text((left + right) / 2, y + 0.13, text, SIZE, ha="center", va="bottom", **look)
    sheet.axes.plot([left, right], [y + 0.17, y + 0.17], color=GREY, lw=0.6)


def _published_groups(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Heading -> published columns under it, from "published, DATA MEASURE, BACKBONE, 16 bits"."""
    groups: dict[str, list[str]] = {}
    for name in frame.columns:
        if name.startswith("published, "):
            _, measured, backbone, _ = name.split(", ")
            groups.setdefault(f"{measured}\n{backbone}", []).append(name)
    return groups


def _heading(frame: pd.DataFrame) -> str:
    other = ", ".join(frame.attrs.get("other", OTHER))
    return f"{NOT_OURS} – {other}: not ours" if other else f"{NOT_OURS}: not ours"


def _seeds(counts: np.ndarray) -> str:
    """Of rows that have runs."""
    least, most = int(counts[counts > 0].min()), int(counts.max())
    return f"{most} seed{'s' * (most > 1)}" if least == most else f"{least} to {most} seeds"


def _lengths(frame: pd.DataFrame) -> list[int]:
    """Code lengths of ours."""
    return [int(name.split()[0]) for name in frame.columns if name.endswith(" bits: mAP")]


def _further(frame: pd.DataFrame, bits: int) -> list[str]:
    """Names behind the colon of what was added to `comparison_table`."""
    names = (name.partition(": ") for name in frame.columns if name.startswith(f"{bits} bits: "))
    return [name for _, _, name in names if name not in (*CELLS, *DIFFERENCE)]


def _over_lines(name: str) -> str:
    """The last word on a line of its own."""
    return "\n".join(name.rsplit(" ", 1))


def _legend(frame: pd.DataFrame, several: bool, brief: bool) -> list[str]:
    lines = [
        f"[ ]: {LEVEL:.0%} bootstrap interval over the queries, paired for differences. It covers which queries were"
        " drawn, not training seeds, nor the database: clear of 0, it tells these trained models apart, not yet the"
        " methods."
    ]
    if brief:
        lines.append(f"Differences to {frame.attrs['reference']} with their intervals stand in the CSV file.")
    else:
        lines.append("cosine: mAP of the continuous outputs, before binarising.")
    marked = [name for name in _further(frame, _lengths(frame)[0]) if name.startswith(("twice ", "above "))]
    if marked and not brief:
        meanings = zip(VERDICTS.values(), ("yes", "no", "the paired interval cannot tell"), strict=True)
        lines.append(f"{marked[0]}: {', '.join(f'{mark} {meaning}' for (_, mark), meaning in meanings)}.")
    if frame.attrs.get("unsupervised"):
        lines.append(f"{FROZEN} no labels are used and the trunk stays frozen.")
    if frame.attrs.get("reconstructed"):
        lines.append(f"{REBUILT} reconstruction: made without the paper's full text and without its authors' code.")
    if several:
        lines.append("± sample standard deviation over seeds. Bold: the best mean and those within a deviation of it.")
    return lines


def _among_best(frame: pd.DataFrame, name: str, value: float) -> bool:
    """Whether a mean lies within a deviation (the larger of the two rows') of its column's best."""
    deviations = frame[re.sub("mAP$", "deviation", name)]
    if pd.isna(value):
        return False
    best = frame[name].idxmax()
    own = deviations[frame[name] == value].max()
    return bool(frame.loc[best, name] - value <= max(deviations[best], own))


def _cell_text(name: str, values: pd.Series) -> str:
    if pd.isna(values[name]):
        return "–"
    if values[name] in VERDICTS:
        return VERDICTS[values[name]][1]
    if name.endswith(": difference") or ": minus " in name:
        return _signed(values[name])
    text = f"{values[name]:.3f}"
    deviation = values.get(name.replace(": mAP", ": deviation")) if name.endswith(": mAP") else None
    return text if deviation is None or pd.isna(deviation) else f"{text} ± {deviation:.3f}"


def _limits_text(name: str, values: pd.Series) -> str:
    """The interval under a number of ours; empty where it has none."""
    if name.endswith(": difference"):
        low, high, written = values[f"{name} low"], values[f"{name} high"], _signed
    elif name.endswith(": mAP"):
        low, high, written = values[re.sub("mAP$", "low", name)], values[re.sub("mAP$", "high", name)], "{:.3f}".format
    else:
        return ""
    return "" if pd.isna(low) else f"[{written(low)}, {written(high)}]"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
