"""Tables as numbers: our mAP with its intervals, differences to a reference row, and the published numbers beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cscelab import published
from cscelab.compare import average_precision, require_comparable
from cscelab.datasets import ListFiles
from cscelab.experiment import Run
from cscelab.figures.provenance import SMOKE_MARK, any_smoke, describe
from cscelab.published import LENGTHS, RESNET, PublishedTable
from cscelab.recipes import TABLE1, TRUNK_TITLES, UNSUPERVISED
from cscelab.retrieval.bootstrap import difference, interval

RunsByRow = Mapping[str, Mapping[int, Sequence[Run]]]  # row -> bits -> one run a seed

OTHER = ("other data", "other backbone")
REFERENCE = "CSCE-Net"  # what Table 1 compares every method with
YES, NO, UNCLEAR = "yes", "no", "within the interval"  # verdicts: on which side of its goal a row's interval lies


def structure_table(runs_by_row: RunsByRow) -> pd.DataFrame:
    """Table 2, by row and code length."""
    return comparison_table(runs_by_row, published.TABLE2)


def loss_table(runs_by_row: RunsByRow) -> pd.DataFrame:
    """Table 3, by row and code length."""
    return comparison_table(runs_by_row, published.TABLE3)


def comparison_table(runs_by_row: RunsByRow, printed: PublishedTable, reference: str | None = None) -> pd.DataFrame:
    """A row a method; columns "16 bits: mAP", and after the colon what follows here, then the published numbers.

    "deviation": sample standard deviation over seeds, blank for one; "low", "high": 95% interval of mAP over the
    queries; "seeds"; "continuous mAP": of the outputs before binarising, by cosine; "difference", "difference low",
    "difference high": mAP minus that of the reference (a row, by default the first) and its paired 95% interval, AP
    averaged over seeds before queries are drawn (`cscelab.retrieval.bootstrap`), blank for the reference itself.
    A published cell is blank where the paper has no such row, one of ours where the row has no run. With smoke runs a
    column "remark" says so.
    `attrs` holds "ours" (data, trunk, measure), "reference", "published" (the source), "other" and "smoke";
    other: what sets ours apart from the published setting, as ("other data", "other backbone").
    Raises ValueError where there is no run, no such reference, or runs on other queries, databases or k.
    """
    runs = [run for by_bits in runs_by_row.values() for seeds in by_bits.values() for run in seeds]
    if not runs:
        raise ValueError("a table of no runs was asked for; give at least one run for one row")
    reference = next(iter(runs_by_row)) if reference is None else reference
    if reference not in runs_by_row:
        raise ValueError(f"the table has no row {reference!r} to compare with; choose from {list(runs_by_row)}")
    require_comparable(runs)
    lengths = sorted({bits for by_bits in runs_by_row.values() for bits in by_bits})
    rows = {}
    for row, by_bits in runs_by_row.items():
        cells: dict[str, Any] = {}
        for bits in lengths:
            other = () if row == reference else runs_by_row[reference].get(bits, ())
            cells |= {f"{bits} bits: {name}": value for name, value in _cells(by_bits.get(bits, ()), other).items()}
        for data_set in printed.data_sets:
            for bits in LENGTHS:
                cells[f"{printed.label(data_set)}, {bits} bits"] = printed.value(row, data_set, bits)
        if any_smoke(runs):
            cells["remark"] = SMOKE_MARK
        rows[row] = cells
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index.name = "row"
    numbers = [name for name in frame.columns if name != "remark" and not name.endswith("seeds")]
    frame[numbers] = frame[numbers].astype(float)
    frame.attrs = {
        "ours": _described(runs),
        "reference": reference,
        "published": printed.source,
        "other": _other(runs_by_row, printed),
        "smoke": any_smoke(runs),
    }
    return frame


def _described(runs: Sequence[Run]) -> str:
    """Data, trunk and measure of ours; rows may name another trunk."""
    trunk = f"{runs[0].experiment.method.backbone.name} trunk"
    several = len({run.experiment.method.backbone.name for run in runs}) > 1
    return describe(runs[0]).replace(trunk, f"{trunk} unless named" if several else trunk)


def _other(runs_by_row: RunsByRow, printed: PublishedTable) -> tuple[str, ...]:
    """In what our runs differ from the published ones: split lists on a ResNet-50 or the trunk that the row names."""
    runs = [(row, run) for row, by_bits in runs_by_row.items() for seeds in by_bits.values() for run in seeds]
    differs = {
        OTHER[0]: any(not isinstance(run.experiment.data, ListFiles) for _, run in runs),
        OTHER[1]: any(
            TRUNK_TITLES.get(run.experiment.method.backbone.name) != printed.backbones.get(row, RESNET)
            for row, run in runs
        ),
    }
    return tuple(name for name, so in differs.items() if so)


def _cells(runs: Sequence[Run], reference: Sequence[Run]) -> dict[str, float | int | None]:
    """Our numbers of one row and code length, against the reference row's runs of that length."""
    ours = [run.mean_average_precision for run in runs]
    continuous = [found for run in runs if (found := run.metrics["continuous_map"]) is not None]
    per_query = average_precision(runs) if runs else None
    limits = interval(per_query) if per_query is not None else None
    against = difference(per_query, average_precision(reference)) if per_query is not None and reference else None
    return {
        "mAP": float(np.mean(ours)) if ours else None,
        "deviation": float(np.std(ours, ddof=1)) if len(ours) > 1 else None,
        "low": float(limits.low) if limits else None,
        "high": float(limits.high) if limits else None,
        "seeds": len(ours),
        "continuous mAP": float(np.mean(continuous)) if continuous else None,
        "difference": float(against.value) if against else None,
        "difference low": float(against.low) if against else None,
        "difference high": float(against.high) if against else None,
    }


def method_table(runs_by_row: RunsByRow, data_sets: Sequence[str], multilabel: bool) -> pd.DataFrame:
    """Table 1 on one of our data sets: `comparison_table` against CSCE-Net, and how far each row is above a floor.

    data_sets: the paper's whose numbers stand beside. After the differences of a code length follow "times LSH" and,
    for supervised rows, "twice LSH": YES or NO where the paired interval of mAP less twice the floor's is clear of 0,
    else UNCLEAR; on multi-label data, where chance is high, "minus ITQ" and "above ITQ". Rows on other trunks than the
    floor's are held against nothing. The column "labels" says which rows learn from them, the last, "paper", which
    are reconstructions. `attrs` also holds "chance" (share of relevant images), "unsupervised", "reconstructed" (rows)
    and "floor".
    Raises ValueError where the floor or CSCE-Net has no row, and as `comparison_table`.
    """
    floor = "ITQ" if multilabel else "LSH"
    if not runs_by_row.get(floor):
        raise ValueError(f"no run of {floor} came, which the rows are held against; give its runs too")
    frame = comparison_table(runs_by_row, published.TABLE1.beside(*data_sets), REFERENCE)
    held = [row for row, runs in runs_by_row.items() if row != floor and _trunks(runs) == _trunks(runs_by_row[floor])]
    unsupervised = [row for row in runs_by_row if TABLE1[row].name in UNSUPERVISED]
    for bits in sorted({bits for by_bits in runs_by_row.values() for bits in by_bits}):
        ours = frame[f"{bits} bits: mAP"]
        differences = [name for name in frame.columns if name.startswith(f"{bits} bits: difference")]
        frame.loc[~frame.index.isin([*held, floor]), differences] = np.nan
        above = (ours - ours[floor] if multilabel else ours / ours[floor]).where(ours.index.isin(held))
        verdicts = {
            row: _verdict(runs_by_row[row][bits], runs_by_row[floor][bits], 1 if multilabel else 2)
            for row in held
            if row not in unsupervised and runs_by_row[row].get(bits) and runs_by_row[floor].get(bits)
        }
        place = frame.columns.get_loc(f"{bits} bits: difference high")
        assert isinstance(place, int)
        frame.insert(place + 1, f"{bits} bits: {'minus' if multilabel else 'times'} {floor}", above)
        goal = f"{bits} bits: {'above' if multilabel else 'twice'} {floor}"
        frame.insert(place + 2, goal, pd.Series(verdicts, dtype=object).reindex(frame.index))
    frame["labels"] = [NO if row in unsupervised else YES for row in runs_by_row]
    frame["paper"] = [TABLE1[row].paper for row in runs_by_row]
    reconstructed = [row for row in runs_by_row if "reconstruction" in TABLE1[row].paper]
    first = next(seeds[0] for seeds in runs_by_row[floor].values() if seeds)
    chance = float(first.metrics["report"]["pr_curve"]["precision"][-1])  # within the largest radius: of all images
    frame.attrs |= {"chance": chance, "unsupervised": unsupervised, "reconstructed": reconstructed, "floor": floor}
    return frame


def _trunks(runs: Mapping[int, Sequence[Run]]) -> set[str]:
    return {run.experiment.method.backbone.name for seeds in runs.values() for run in seeds}


def _verdict(ours: Sequence[Run], floor: Sequence[Run], times: float) -> str:
    """Whether mAP is above so many times the floor's, by the paired interval over the queries."""
    gap = difference(average_precision(ours), times * average_precision(floor))
    return YES if gap.low > 0 else NO if gap.high < 0 else UNCLEAR


def goals(frame: pd.DataFrame) -> str:
    """In words, which supervised rows of a `method_table` are above what they are held against, at each code length."""
    said = []
    for name in frame.columns:
        bits, _, goal = name.partition(": ")
        if not goal.startswith(("twice ", "above ")):
            continue
        told = frame[name].dropna()
        rows = {verdict: list(told.index[told == verdict]) for verdict in (YES, NO, UNCLEAR)}
        what = f"{goal.replace('twice', 'more than twice')}'s"
        line = f"At {bits} the mAP of {len(rows[YES])} of {len(told)} supervised methods is {what}"
        if rows[NO]:
            line += f"; below it: {', '.join(rows[NO])}"
        if rows[UNCLEAR]:
            line += f"; the interval cannot tell for {', '.join(rows[UNCLEAR])}"
        said.append(f"{line}.")
    return " ".join(said)
