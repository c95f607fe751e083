"""`cscelab photographs`: gallery, activation maps and numbers of runs on one's own photographs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cscelab.compare import average_precision, paired_difference
from cscelab.experiment import Experiment, Run
from cscelab.figures import cams, galleries
from cscelab.figures.build import OUT, write
from cscelab.figures.choices import title_of
from cscelab.jobs import run_all
from cscelab.neighbours import name_of
from cscelab.paths import make_folder
from cscelab.retrieval.bootstrap import interval


def _row(title: str, run: Run, reference: Run) -> dict[str, object]:
    """One line of photographs.csv, with 95% intervals over the queries."""
    spread, difference = interval(average_precision([run])), paired_difference([run], [reference])
    return {
        "method": title,
        "bits": run.experiment.bits,
        "mAP": run.mean_average_precision,
        "mAP low": float(spread.low),
        "mAP high": float(spread.high),
        f"difference to {title_of(reference)}": float(difference.value),
        "difference low": float(difference.low),
        "difference high": float(difference.high),
        "mAP by cosine": run.metrics["continuous_map"],
        "validation mAP": run.metrics["validation_map"],
        "training minutes": run.metrics["seconds"]["train"] / 60,
    }


def photographs(experiments: Mapping[str, Experiment], out: Path, jobs: int | None = None) -> list[Path]:
    """Gallery, activation maps and numbers of runs on photographs, by method title."""
    folder = make_folder(out, OUT)
    runs = dict(zip(experiments, run_all(list(experiments.values()), jobs=jobs), strict=True))
    splits = next(iter(runs.values())).data()
    first, second = runs.values()
    entries = [galleries.gallery_entry(first, second, rule, splits.query) for rule in ("easiest", "median", "hardest")]
    names = [name_of(label, splits.class_names) for label in splits.query.labels[:8]]
    rows = [_row(title, run, first) for title, run in runs.items()]
    return write(
        {
            "photographs-top10": galleries.top10_gallery(entries, splits),
            "photographs-cam": cams.cam_figure(runs, splits.query.images[:8], None, names),
            "photographs": pd.DataFrame(rows).set_index("method"),
        },
        folder,
    )
