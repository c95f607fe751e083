"""What a quantisation loss does to continuous codes: how far the values of runs lie from the signs they become."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from cscelab.dsf import sign
from cscelab.experiment import Run
from cscelab.figures.alt import sentences
from cscelab.figures.curves import looks
from cscelab.figures.provenance import SMOKE_MARK, any_smoke, mark_smoke
from cscelab.figures.style import GREY, new_figure, styled
from cscelab.losses import quantization_loss

BINS = 60
LARGEST = 3.0  # |v| drawn; shares are of all values
SMALL = 0.1  # values so near 0 flip easily


@styled()
def value_figure(runs: Mapping[str, Run]) -> Figure:
    """Share of all values of the database at each size |v|, and below each size: name -> run. The sign is size 1.

    Raises ValueError for ordinal codes, as `value_table` does.
    """
    _check_signs(runs)
    figure = new_figure(10, 4.2)
    density, below = figure.add_axes((0.07, 0.24, 0.41, 0.67)), figure.add_axes((0.57, 0.24, 0.41, 0.67))
    edges = np.linspace(0, LARGEST, BINS + 1)
    said = ["Sizes |v| of the database's values, as a histogram and added up from 0; a sign has size 1"]
    for (name, run), look in zip(runs.items(), looks(), strict=False):
        sizes = np.abs(run.codes["database_values"]).ravel()
        shares = np.histogram(sizes, edges)[0] / len(sizes)
        middles = (edges[:-1] + edges[1:]) / 2
        density.plot(middles, shares, label=name, markevery=6, **look)
        below.plot(edges[1:], np.cumsum(shares), markevery=6, **look)
        said.append(f"{name}: median {np.median(sizes):.2f}, {(sizes <= SMALL).mean():.1%} of values up to {SMALL:g}")
    for axes in (density, below):
        axes.axvline(1, color=GREY, lw=1)
        axes.set(xlabel="size of a value |v|", xlim=(0, LARGEST), ylim=(0, None))
    density.annotate("a sign", (1, 1), (4, -3), xycoords=("data", "axes fraction"), textcoords="offset points",
                     color=GREY, va="top")  # fmt: skip
    density.set(title="How large the values are", ylabel=f"share of values a bin of {LARGEST / BINS:g}")
    below.set(title="Values near 0 flip easily", ylabel="share of values at most so large")
    figure.legend(*density.get_legend_handles_labels(), loc="lower center", ncols=4, handlelength=3.5)
    figure.alt = sentences(said)  # type: ignore[attr-defined]
    return mark_smoke(figure, runs.values())


def value_table(runs: Mapping[str, Run]) -> pd.DataFrame:
    """A row a run: Eq. 14 of its database values by mean and by sum, their mean size, the cosine to their signs, the
    share within .1 of 0, mAP by cosine of the values and by Hamming distance of the codes; SMOKE_MARK where it applies.
    """
    _check_signs(runs)
    rows = {}
    for name, run in runs.items():
        values = torch.from_numpy(run.codes["database_values"]).double()
        codes = sign(values)
        rows[name] = {
            "Eq. 14, mean": float(quantization_loss(values, codes)),
            "Eq. 14, sum": float(quantization_loss(values, codes, reduction="sum")),
            "mean |v|": float(values.abs().mean()),
            "cosine to signs": 1 - float(quantization_loss(values, codes, "cosine")),
            "|v| < .1": float((values.abs() < SMALL).double().mean()),
            "mAP of values": float(run.metrics["continuous_map"]),
            "mAP of codes": run.mean_average_precision,
        }
    table = pd.DataFrame(rows).T
    return table.assign(note=SMOKE_MARK) if any_smoke(runs.values()) else table


def _check_signs(runs: Mapping[str, Run]) -> None:
    for name, run in runs.items():
        if run.experiment.layout.arity is not None:
            raise ValueError(
                f"{name} puts out symbols, not signs, so its values are drawn to no sign; leave it out, or give a run "
                "of plain bits"
            )
