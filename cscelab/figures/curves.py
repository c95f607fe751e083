"""Curves of runs: how training went, precision against recall, mAP by code length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cscelab.experiment import Run
from cscelab.figures.alt import rounded, sentences
from cscelab.figures.provenance import describe, describe_data, mark_smoke
from cscelab.figures.style import BLACK, PALETTE, new_figure, styled
from cscelab.layout import CodeLayout
from cscelab.neighbours import unit_of
from cscelab.titles import title_of

RADIUS = 2  # the Hamming radius that hash tables look into, set off in the curves


def looks() -> Iterator[dict[str, Any]]:
    """Colour, line and marker for one curve after another, so that none is told by its colour alone."""
    lines, markers = cycle(["-", "--", "-.", ":"]), cycle("osD^vPX*")
    for colour in cycle(PALETTE):
        yield {"color": colour, "ls": next(lines), "marker": next(markers), "ms": 5}


@styled()
def training_curves(runs: Mapping[str, Run]) -> Figure:
    """Total loss, and mAP on the validation split with the epoch that was kept, by epoch; one curve a run, with the mAP
    of that epoch in the legend. Curves of one task lie close together, so the mAP's axis is cut, and says so."""
    figure = new_figure(10, 4.6, layout="constrained")
    loss, precision = figure.subplots(1, 2)
    said = ["Training by epoch: the sum of the loss terms, and mAP on the validation split with the epoch kept"]
    for (name, run), look in zip(runs.items(), looks(), strict=False):
        history = run.history
        epochs = [row["epoch"] for row in history]
        total = [sum(value for key, value in row.items() if key.startswith("loss_")) for row in history]
        validation = [row["validation_map"] for row in history]
        best = int(np.argmax(validation))
        loss.plot(epochs, total, label=f"{name}: {validation[best]:.3f}", **look)
        precision.plot(epochs, validation, label=name, **look)
        precision.plot(epochs[best], validation[best], "o", ms=12, mfc="none", mec=look["color"], mew=1.5)
        said.append(
            f"{name}: loss from {rounded(total[0])} to {rounded(total[-1])}, mAP {validation[best]:.3f} in epoch "
            f"{epochs[best]:.0f} of {len(epochs)}"
        )
    loss.set(title="Training", xlabel="epoch", ylabel="sum of the loss terms, mean over steps", ylim=(0, None))
    precision.set(
        title="Validation (ring: the epoch kept; axis cut)", xlabel="epoch", ylabel="mAP on the validation split"
    )
    precision.margins(y=0.1)
    for axes in (loss, precision):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure, loss, "name of the run: validation mAP of the epoch kept")
    figure.alt = sentences(said)  # type: ignore[attr-defined]
    return mark_smoke(figure, runs.values())


def radius_units(runs: Mapping[str, Run]) -> str:
    """What radii count, behind a semicolon, where there are ordinal codes among those of the runs; else ""."""
    unit = unit_of((run.experiment.layout for run in runs.values()), [title_of(run) for run in runs.values()])
    return "" if unit == "bits" else f"; radii in {unit}"


def ringed(layouts: Iterable[CodeLayout]) -> tuple[str, str]:
    """Codes of which unit have RADIUS ringed, and what the ring is, in words. Two symbols are not two bits: where both
    are drawn, codes of bits alone have a ring."""
    units = {layout.unit for layout in layouts}
    return ("bits", f"ring: {RADIUS} bits") if len(units) > 1 else (units.pop(), f"ring: radius {RADIUS}")


@styled()
def precision_recall(runs: Mapping[str, Run]) -> Figure:
    """Mean precision against mean recall within each Hamming radius 0, 1, ..., K; radius 2 is ringed and written out.

    A query with nothing within the radius counts as precision 0, which is why curves of sparse codes begin low. Of
    ordinal codes a radius is a number of symbols, and the curve ends at R; for the ring see `ringed`.
    """
    units = radius_units(runs)
    unit, ring = ringed(run.experiment.layout for run in runs.values())
    figure = new_figure(8, 5.2, layout="constrained")
    axes = figure.subplots()
    data = describe_data(next(iter(runs.values())))
    said = [f"Precision against recall within each Hamming radius{units}; {ring}"]
    for (name, run), look in zip(runs.items(), looks(), strict=False):
        curve = run.metrics["report"]["pr_curve"]
        axes.plot(curve["recall"], curve["precision"], label=name, **{**look, "ms": 4})
        if run.experiment.layout.unit == unit and len(curve["recall"]) > RADIUS:
            point = curve["recall"][RADIUS], curve["precision"][RADIUS]
            axes.plot(*point, "o", ms=12, mfc="none", mec=look["color"], mew=1.5)
            said.append(f"{name}: recall {point[0]:.3f}, precision {point[1]:.3f}")
        else:
            said.append(f"{name}: no ring")
    axes.set(
        title=f"Precision and recall within each Hamming radius ({ring})",
        xlabel=f"recall: share of the relevant images within the radius\n{data}{units}",
        ylabel="precision (0 where nothing is within the radius)",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.04),
    )
    _legend(figure, axes)
    figure.alt = sentences(said)  # type: ignore[attr-defined]
    return mark_smoke(figure, runs.values())


@styled()
def map_by_code_length(runs_by_row: Mapping[str, Mapping[int, Sequence[Run]]]) -> Figure:
    """mAP by code length: mean over seeds, bars of one sample standard deviation where there are several seeds."""
    figure = new_figure(8, 4.6, layout="constrained")
    axes = figure.subplots()
    runs = [run for by_bits in runs_by_row.values() for seeds in by_bits.values() for run in seeds]
    lengths = sorted({bits for by_bits in runs_by_row.values() for bits in by_bits})
    middle = (len(runs_by_row) - 1) / 2
    said = [f"mAP by code length ({', '.join(map(str, lengths))} bits), mean over seeds"]
    for i, ((row, by_bits), look) in enumerate(zip(runs_by_row.items(), looks(), strict=False)):
        ours = {bits: [run.mean_average_precision for run in seeds] for bits, seeds in sorted(by_bits.items()) if seeds}
        # Beside, not upon each other, so that bars can be told apart.
        places = [lengths.index(bits) + 0.06 * (i - middle) for bits in ours]
        spread = [float(np.std(values, ddof=1)) if len(values) > 1 else 0.0 for values in ours.values()]
        said.append(f"{row}: {', '.join(f'{np.mean(values):.3f}' for values in ours.values())}")
        axes.errorbar(places, [np.mean(values) for values in ours.values()], spread, label=row, capsize=3, **look)
    axes.set_xticks(range(len(lengths)), [str(bits) for bits in lengths])
    seeds = sorted({len(found) for by_bits in runs_by_row.values() for found in by_bits.values()})
    counts = " to ".join(str(count) for count in dict.fromkeys((seeds[0], seeds[-1])))
    bars = "bars: one standard deviation" if seeds[-1] > 1 else "one run a point: no deviation is known"
    axes.set(
        title="mAP by code length",
        xlabel=f"code length (bits)\n{describe(runs[0])}; seeds: {counts}; {bars}",
        ylabel="mAP",
        xlim=(-0.5, len(lengths) - 0.5),
        ylim=(0, 1),  # a cut axis makes noise look like a finding
    )
    _legend(figure, axes)
    figure.alt = sentences(said)  # type: ignore[attr-defined]
    return mark_smoke(figure, runs)


def _legend(figure: Figure, axes: Axes, title: str | None = None) -> None:
    handles, labels = axes.get_legend_handles_labels()
    columns = min(3, max(1, len(labels)))
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, labelcolor=BLACK, handlelength=3.5, title=title,
        title_fontsize=9,
    )  # fmt: skip
