"""How large the groups of an ordinal code should be: mAP at equal bits by the arity k, and what its codes take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cscelab.compare import require_comparable
from cscelab.experiment import Run
from cscelab.figures.alt import sentences
from cscelab.figures.attention_maps import RECONSTRUCTION
from cscelab.figures.curves import looks
from cscelab.figures.doh import precision_of
from cscelab.figures.provenance import SMOKE_MARK, any_smoke, describe, stamp
from cscelab.figures.style import BLACK, new_figure, styled
from cscelab.retrieval.bootstrap import LEVEL

RunsByArity = Mapping[int, Mapping[int, Sequence[Run]]]  # bits -> k -> one run a seed


def arity_table(runs: RunsByArity) -> pd.DataFrame:
    """A row a code length and arity k: "symbols" R = bits / log2(k); "stored bits" and "stored bytes" of the one-hot
    code that is searched, "packed bytes" of its bare symbols; "mAP" (mean over seeds), "deviation" over seeds, blank
    for one, "low", "high" (95% interval over the queries), "seeds"; "paper" says that DOH is a reconstruction.

    With smoke runs a column "remark" says so; `attrs` holds "ours". Raises ValueError for no run, runs that are not
    comparable, or a run that is not of its row's length and arity.
    """
    flat = [run for by_arity in runs.values() for seeds in by_arity.values() for run in seeds]
    if not flat:
        raise ValueError("a sweep of no runs was asked for; give at least one run for one arity")
    require_comparable(flat)
    rows = []
    for bits, by_arity in sorted(runs.items()):
        for arity, seeds in sorted(by_arity.items()):
            layout = seeds[0].experiment.layout
            if (layout.bits, layout.arity) != (bits, arity):
                raise ValueError(f"a run of {layout} came for {bits} bits in groups of {arity}; give runs of these")
            rows.append(
                {
                    "bits": bits, "arity": arity, "symbols": layout.n_symbols, "stored bits": layout.width,
                    "stored bytes": layout.stored_bytes, "packed bytes": layout.packed_bytes,
                    **precision_of(seeds), "paper": seeds[0].experiment.method.paper,
                }
            )  # fmt: skip
    frame = pd.DataFrame(rows).set_index(["bits", "arity"]).astype({"deviation": float})
    frame.attrs = {"ours": describe(flat[0])}
    return frame.assign(remark=SMOKE_MARK) if any_smoke(flat) else frame


@styled()
def arity_figure(frame: pd.DataFrame) -> Figure:
    """An `arity_table`: mAP by arity, one line a code length; below each k the number of symbols at each length."""
    figure = new_figure(8, 4.9, layout="constrained")
    axes = figure.subplots()
    lengths = list(frame.index.unique("bits"))
    arities = sorted(frame.index.unique("arity"))
    middle = (len(lengths) - 1) / 2
    said = ["mAP by arity k at equal bits"]
    for i, (bits, look) in enumerate(zip(lengths, looks(), strict=False)):
        ours = frame.loc[bits].sort_index()
        places = [arities.index(k) + 0.06 * (i - middle) for k in ours.index]
        around = np.abs(ours[["low", "high"]].to_numpy().T - ours["mAP"].to_numpy())
        axes.errorbar(places, ours["mAP"], around, label=f"{bits} bits", capsize=3, **look)
        for place, k, value in zip(places, ours.index, ours["mAP"], strict=True):
            least = value == frame.xs(k, level="arity")["mAP"].min()
            down = least and len(lengths) > 1
            low, high = ours.loc[k, "low"], ours.loc[k, "high"]
            axes.annotate(
                f"{value:.3f}", (place, low if down else high), (0, -7 if down else 5), textcoords="offset points",
                ha="center", va="top" if down else "bottom", fontsize=9,
            )  # fmt: skip
        words = ", ".join(f"{value:.3f} (k = {k})" for k, value in ours["mAP"].items())
        said.append(f"{bits} bits: {words}")
    symbols = frame["symbols"].to_dict()
    labels = [
        "\n".join([f"k = {k}", *(f"{bits} bits: R = {symbols[bits, k]}" for bits in lengths if (bits, k) in symbols)])
        for k in arities
    ]
    axes.set_xticks(range(len(arities)), labels)
    several = int(frame["seeds"].max()) > 1
    seeds = f"means over {frame['seeds'].max()} seeds" if several else "one seed a point"
    bars = f"bars: {LEVEL:.0%} interval over the queries, not over training seeds"
    axes.set(
        title="mAP at equal bits by the number of values in a group",
        xlabel="values a group, k; a code has R = bits / log2(k) symbols\n"
        f"{frame.attrs.get('ours', '')}; {seeds}\n{bars}\n{RECONSTRUCTION}",
        ylabel="mAP",
        xlim=(-0.5, len(arities) - 0.5),
        ylim=(0, 1),  # a cut axis makes noise look like a finding
    )
    figure.legend(loc="outside lower center", ncols=max(1, len(lengths)), labelcolor=BLACK, handlelength=3.5)
    figure.alt = sentences([*said, RECONSTRUCTION])  # type: ignore[attr-defined]
    if "remark" in frame:
        stamp(figure)
    return figure
