"""Tables 2 and 3: our mAP over seeds on the left, the published numbers apart on the right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cscelab.datasets import ListFiles
from cscelab.experiment import Run
from cscelab.figures.mosaic import Mosaic, paragraph_height, width_of, wrap
from cscelab.figures.provenance import SMOKE_MARK, any_smoke, describe, stamp
from cscelab.figures.style import GREY, styled, tint
from cscelab.published import LENGTHS, TABLE2, TABLE3, PublishedTable

RunsByRow = Mapping[str, Mapping[int, Sequence[Run]]]  # row -> bits -> one run a seed

SIZE = 9.0
ROW = 0.27  # inches
MARGIN = 0.15
NOT_OURS = "published by the authors"
OTHER = ("other data", "other backbone")


def structure_table(runs_by_row: RunsByRow) -> pd.DataFrame:
    """Table 2, by row and code length."""
    return comparison_table(runs_by_row, TABLE2)


def loss_table(runs_by_row: RunsByRow) -> pd.DataFrame:
    """Table 3, by row and code length."""
    return comparison_table(runs_by_row, TABLE3)


def comparison_table(runs_by_row: RunsByRow, published: PublishedTable) -> pd.DataFrame:
    """A row a method; columns "16 bits: mAP", "... deviation", "... seeds", "... continuous mAP", then the published.

    deviation: sample standard deviation over seeds, blank for one; continuous mAP: of the outputs before binarising,
    by cosine. A published cell is blank where the paper has no such row. With smoke runs a column "remark" says so.
    `attrs` holds "ours" (data, trunk, measure), "published" (the source), "other" and "smoke";
    other: what sets ours apart from the published setting, as ("other data", "other backbone").
    Raises ValueError where there is no run.
    """
    runs = [run for by_bits in runs_by_row.values() for seeds in by_bits.values() for run in seeds]
    if not runs:
        raise ValueError("a table of no runs was asked for; give at least one run for one row")
    lengths = sorted({bits for by_bits in runs_by_row.values() for bits in by_bits})
    rows = {}
    for row, by_bits in runs_by_row.items():
        cells: dict[str, Any] = {}
        for bits in lengths:
            cells |= {f"{bits} bits: {name}": value for name, value in _cells(by_bits.get(bits, ())).items()}
        for data_set in published.data_sets:
            for bits in LENGTHS:
                cells[f"{published.label(data_set)}, {bits} bits"] = published.value(row, data_set, bits)
        if any_smoke(runs):
            cells["remark"] = SMOKE_MARK
        rows[row] = cells
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index.name = "row"
    numbers = [name for name in frame.columns if name != "remark" and not name.endswith("seeds")]
    frame[numbers] = frame[numbers].astype(float)
    frame.attrs = {
        "ours": describe(runs[0]),
        "published": published.source,
        "other": _other(runs),
        "smoke": any_smoke(runs),
    }
    return frame


def _other(runs: Sequence[Run]) -> tuple[str, ...]:
    """In what our runs differ from the published ones: split lists on a ResNet-50."""
    differs = {
        OTHER[0]: any(not isinstance(run.experiment.data, ListFiles) for run in runs),
        OTHER[1]: any(run.experiment.method.backbone.name != "resnet50" for run in runs),
    }
    return tuple(name for name, so in differs.items() if so)


def _cells(runs: Sequence[Run]) -> dict[str, float | int | None]:
    """Our numbers of one row and code length."""
    ours = [run.mean_average_precision for run in runs]
    continuous = [found for run in runs if (found := run.metrics["continuous_map"]) is not None]
    return {
        "mAP": float(np.mean(ours)) if ours else None,
        "deviation": float(np.std(ours, ddof=1)) if len(ours) > 1 else None,
        "seeds": len(ours),
        "continuous mAP": float(np.mean(continuous)) if continuous else None,
    }


@styled()
def table_figure(frame: pd.DataFrame, title: str, note: str = "") -> Figure:
    """The frame of `comparison_table` as a picture: ours left and upright, the published right, grey and italic.

    The best mean of a column is bold, with all within a deviation of it, and only where every row has several seeds.
    """
    lengths = [int(name.split()[0]) for name in frame.columns if name.endswith(": mAP")]
    several = bool(frame[[f"{bits} bits: seeds" for bits in lengths]].to_numpy().min() > 1)
    groups = _published_groups(frame)
    name_width = max(width_of(str(row), SIZE) for row in frame.index) + 0.15
    ours_width = (1.15 if several else 0.6, 0.62)  # mAP, continuous
    seeds_width, gap = 0.55, 0.3
    cell = max(0.58, 2.4 / (len(groups) * len(LENGTHS)))
    ours_left = MARGIN + name_width
    ours_right = ours_left + len(lengths) * sum(ours_width) + seeds_width
    right_left = ours_right + gap
    width = right_left + len(groups) * len(LENGTHS) * cell + MARGIN

    heading = _heading(frame)
    right_head = wrap(heading, width - MARGIN - right_left, SIZE, bold=True)
    ours_head = wrap(
        f"ours: {frame.attrs.get('ours', '')}; {_seeds(frame, lengths)}", ours_right - ours_left, SIZE, bold=True
    )
    notes = "\n".join(filter(None, [*_legend(several), note, f"Published: {frame.attrs.get('published', '')}."]))
    head_height = max(len(right_head), len(ours_head)) * 0.17 + 0.1
    body = 0.5 + head_height + 3 * ROW + 0.04
    end = body + len(frame) * ROW
    sheet = Mosaic(width, end + 0.2 + paragraph_height(width - 2 * MARGIN, notes, SIZE) + 0.05)

    sheet.text(MARGIN, 0.12, title, 12, weight="bold")
    sheet.axes.fill_between([right_left - 0.1, width - 0.05], 0.45, end + 0.06, color=tint(GREY, 0.1), lw=0)
    sheet.text(ours_left, 0.52, "\n".join(ours_head), SIZE, weight="bold")
    sheet.text(right_left, 0.52, "\n".join(right_head), SIZE, color=GREY, style="italic", weight="bold")
    columns: list[tuple[float, str]] = []  # right edge of a column, name
    x, y = ours_left, 0.5 + head_height
    for bits in lengths:
        _span(sheet, x + 0.1, x + sum(ours_width) - 0.08, y + ROW, f"{bits} bits", weight="bold")
        for part, name in zip(ours_width, ("mAP", "continuous mAP"), strict=True):
            x += part
            columns.append((x - 0.08, f"{bits} bits: {name}"))
            heads = {"mAP": "mAP ± s.d." if several else "mAP", "continuous mAP": "cosine"}
            sheet.text(x - 0.08, y + 2 * ROW, heads[name], SIZE, ha="right")
    sheet.text(ours_right - 0.05, y + 2 * ROW, "seeds", SIZE, ha="right")
    x = right_left
    for group, names in groups.items():
        _span(sheet, x + 0.06, x + cell * len(names) - 0.06, y + ROW, group, color=GREY, style="italic")
        for name in names:
            x += cell
            columns.append((x - 0.08, name))
            sheet.text(x - 0.08, y + 2 * ROW, name.split(", ")[-1], SIZE, ha="right", color=GREY, style="italic")
    for level, weight in ((body - 0.06, 1.0), (end + 0.02, 1.0)):
        sheet.axes.plot([MARGIN, width - MARGIN], [level, level], color=GREY, lw=weight)

    for i, (row, values) in enumerate(frame.iterrows()):
        y = body + (i + 0.5) * ROW + 0.045
        sheet.text(MARGIN, y, str(row), SIZE, va="baseline")
        seeds = [int(values[f"{bits} bits: seeds"]) for bits in lengths]
        shown = str(seeds[0]) if len(set(seeds)) == 1 else "/".join(map(str, seeds))
        sheet.text(ours_right - 0.05, y, shown, SIZE, ha="right", va="baseline")
        for x, name in columns:
            theirs = name.startswith("published")
            look: dict[str, Any] = {"color": GREY, "style": "italic"} if theirs else {}
            if name.endswith(": mAP") and several and _among_best(frame, name, values[name]):
                look["weight"] = "bold"
            sheet.text(x, y, _cell_text(name, values), SIZE, ha="right", va="baseline", **look)
    sheet.paragraph(MARGIN, end + 0.16, width - 2 * MARGIN, notes, SIZE)
    if frame.attrs.get("smoke") or "remark" in frame.columns:
        stamp(sheet.figure)
    return sheet.figure


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


def _seeds(frame: pd.DataFrame, lengths: Sequence[int]) -> str:
    counts = frame[[f"{bits} bits: seeds" for bits in lengths]].to_numpy()
    least, most = int(counts.min()), int(counts.max())
    return f"{most} seed{'s' * (most > 1)}" if least == most else f"{least} to {most} seeds"


def _legend(several: bool) -> list[str]:
    lines = ["cosine: mAP of the continuous outputs, before binarising."]
    if several:
        lines.append("± sample standard deviation over seeds. Bold: the best mean and those within a deviation of it.")
    return lines


def _among_best(frame: pd.DataFrame, name: str, value: float) -> bool:
    """Whether a mean lies within a deviation (the larger of the two rows') of its column's best."""
    deviations = frame[re.sub("mAP$", "deviation", name)]
    best = frame[name].idxmax()
    own = deviations[frame[name] == value].max()
    return bool(frame.loc[best, name] - value <= max(deviations[best], own))


def _cell_text(name: str, values: pd.Series) -> str:
    if pd.isna(values[name]):
        return "–"
    text = f"{values[name]:.3f}"
    deviation = values.get(name.replace(": mAP", ": deviation")) if name.endswith(": mAP") else None
    return text if deviation is None or pd.isna(deviation) else f"{text} ± {deviation:.3f}"
