"""Class activation maps of codes (Fig. 6): where the bits come from, as pictures and as one number a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from cscelab.datasets.base import ImageSet
from cscelab.datasets.loader import as_tensor
from cscelab.experiment import Run
from cscelab.explain import OwnAndOthers, code_cams, mass_inside, own_and_others
from cscelab.figures.alt import sentences
from cscelab.figures.choices import title_of
from cscelab.figures.mosaic import LINE, POINT, Mosaic, paragraph_height, wrap
from cscelab.figures.overlay import key_colours, overlaid
from cscelab.figures.provenance import mark_smoke
from cscelab.figures.style import styled
from cscelab.methods.base import HashMethod
from cscelab.retrieval.bootstrap import LEVEL, N_RESAMPLES, Interval, interval

WIDTH = 10.0  # inches, at most
LARGEST, GAP, MARGIN = 1.15, 0.1, 0.15  # inches; the first is the side of an image where there are few
LABELS, BAR = 1.15, 0.75  # inches for the names of rows, and for the colour bar
SIZE = 8.5

Explained = HashMethod | Run


@styled()
def cam_figure(
    methods: Explained | Mapping[str, Explained],
    images: np.ndarray,
    masks: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    layer: str = "stage4",
    extractor: str = "GradCAM",
) -> Figure:
    """Fig. 6: the images on top, below them a row of maps for each method, then the names, bold as in the paper.

    methods: one, or several by name (baseline and AIE, say); images: uint8 (N, H, W, 3); masks: (N, H, W), non-zero on
    the target, drawn as outlines and measured: the number under a map is `mass_inside`, in times a uniform map; the
    note below says what the other images' maps have there.
    """
    given = methods if isinstance(methods, Mapping) else {_name(methods): methods}
    maps = {name: code_cams(_method(one), as_tensor(images), layer, extractor).numpy() for name, one in given.items()}
    what = f"{extractor} of the codes"
    figure = map_rows(
        maps, images, masks, names,
        heading=f"Where the bits come from: {what}, {layer}",
        key="activation, each map's own scale",
        said=f"{what} at {layer}",
        note="" if masks is None else _note(maps, masks),
    )  # fmt: skip
    return mark_smoke(figure, [method for method in given.values() if isinstance(method, Run)])


def map_rows(
    maps: Mapping[str, np.ndarray], images: np.ndarray, masks: np.ndarray | None, names: Sequence[str] | None, *,
    heading: str, key: str, said: str, note: str,
) -> Figure:  # fmt: skip
    """Images on top, below them a row for each name of maps (N, H, W) in [0, 1], laid over the images.

    masks: drawn and measured as in `cam_figure`; key: of the colour bar; said: begins the alt text; note: below.
    """
    n, columns = len(images), range(len(images))
    side = min(LARGEST, (WIDTH - 2 * MARGIN - LABELS - BAR) / n - GAP)
    text = LINE * SIZE * POINT
    step = side + (text + 0.12 if masks is not None else GAP)
    lines = [wrap(name, side, SIZE, bold=True) for name in names or [""] * n]
    head, foot = 0.5, max(len(line) for line in lines) * text + 0.1
    width = 2 * MARGIN + LABELS + n * (side + GAP) + BAR
    top = head + side + GAP
    bottom = top + len(maps) * step
    noted = paragraph_height(width - 2 * MARGIN, note, SIZE) if note else 0.0
    sheet = Mosaic(width, bottom + foot + noted + 0.1)
    sheet.text(MARGIN, 0.12, heading, 12, weight="bold")
    lefts = [MARGIN + LABELS + i * (side + GAP) for i in columns]
    sheet.text(MARGIN, head + side / 2, "image", SIZE + 1, va="center", weight="bold")
    for i in columns:
        sheet.picture(lefts[i], head, side, images[i], outline=None if masks is None else masks[i])
    measured = {}
    for row, (name, found) in enumerate(maps.items()):
        y = top + row * step
        label = "\n".join(wrap(name, LABELS - 0.1, SIZE + 1, bold=True))
        sheet.text(MARGIN, y + side / 2, label, SIZE + 1, va="center", weight="bold")
        ratios = None if masks is None else mass_inside(found, masks)
        if ratios is not None and not np.isnan(ratios).all():
            measured[name] = ratios
        covered = overlaid(images, found)
        for i in columns:
            outline = None if masks is None else masks[i]
            sheet.picture(lefts[i], y, side, covered[i], outline=outline)
            if ratios is not None:
                shown = "no target" if np.isnan(ratios[i]) else f"{ratios[i]:.1f} × uniform"
                sheet.text(lefts[i] + side / 2, y + side + 0.04, shown, SIZE, ha="center")
    for left, name_lines in zip(lefts, lines, strict=True):
        sheet.text(left + side / 2, bottom, "\n".join(name_lines), SIZE, ha="center", weight="bold")
    if note:
        sheet.paragraph(MARGIN, bottom + foot, width - 2 * MARGIN, note, SIZE)
    _colour_bar(sheet, width - MARGIN - BAR + 0.1, top, min(bottom - top, 2 * side), key)
    sheet.figure.alt = sentences([  # type: ignore[attr-defined]
        f"{said}: {n} images, below them a row of maps each for {', '.join(maps)}",
        *(
            f"{name}: share of the map on the target from {np.nanmin(found):.1f} to {np.nanmax(found):.1f} times that "
            f"of a uniform map, mean {np.nanmean(found):.1f}"
            for name, found in measured.items()
        ),
        note,
    ])  # fmt: skip
    return sheet.figure


def _note(maps: Mapping[str, np.ndarray], masks: np.ndarray) -> str:
    """What the numbers under the maps are, and what the other images' maps (the control) have instead."""
    note = "Under each map: share of its mass on the target over the target's share of the image; a uniform map has 1."
    if len(masks) < 2:
        return note
    scores = {name: own_and_others(cams, masks).others for name, cams in maps.items()}
    means = {name: float(np.nanmean(score)) for name, score in scores.items() if not np.isnan(score).all()}
    if not means:
        return note
    said = ", ".join(f"{mean:.1f} ({name})" if len(maps) > 1 else f"{mean:.1f}" for name, mean in means.items())
    return f"{note} On the same targets the maps of the other images drawn here have {said} on average."


def _colour_bar(sheet: Mosaic, x: float, y: float, height: float, key: str) -> None:
    place = (x / sheet.width, 1 - (y + height) / sheet.height, 0.14 / sheet.width, height / sheet.height)
    bar = sheet.figure.colorbar(
        ScalarMappable(Normalize(0, 1), key_colours()), cax=sheet.figure.add_axes(place), ticks=[0, 0.5, 1]
    )
    bar.set_label(key, size=SIZE)


def cam_numbers(
    run: Explained, n: int = 200, queries: ImageSet | None = None, extractor: str = "GradCAM"
) -> dict[str, str | int | float]:
    """Means of `own_and_others` over n queries spread evenly over the split, by layer.

    Returns "structure", "n" (queries whose target is visible and whose map is not empty), and for the layer "stage4"
    and, where the structure has a local branch, "local": under the layer's name the mean of the queries' own maps, in
    times a uniform map; " others", the mean of the other queries' maps on the same targets; " own over others", the
    first mean over the second. Each comes with " low" and " high" of its 95% interval over queries (the maps that make
    up the control are held fixed).
    queries: taken from the run's data where not given.
    Raises ValueError where the queries have no masks or a bare method comes without queries.
    """
    if queries is None:
        if not isinstance(run, Run):
            raise ValueError("a method alone does not know its data; give queries=")
        queries = run.data().query
    if queries.masks is None:
        raise ValueError("these queries have no target masks, so that maps cannot be measured; use Aviary's")
    method = _method(run)
    rows = np.unique(np.linspace(0, len(queries) - 1, min(n, len(queries))).astype(int))
    part = queries.subset(rows)
    assert part.masks is not None
    numbers: dict[str, str | int | float] = {"structure": method.network.config.structure}
    for layer in ("stage4", "local") if hasattr(method.network, "local") else ("stage4",):
        cams = code_cams(method, as_tensor(part.images), layer, extractor)
        numbers |= _measured(layer, own_and_others(cams, part.masks), numbers)
    return numbers


def _measured(layer: str, found: OwnAndOthers, numbers: Mapping[str, str | int | float]) -> dict[str, int | float]:
    """The columns of one layer; "n" is that of the first layer."""
    known = ~np.isnan(found.own) & ~np.isnan(found.others)
    own, others = found.own[known], found.others[known]
    nothing = Interval(*(np.array(np.nan),) * 3)
    columns = {
        layer: interval(own) if len(own) else nothing,
        f"{layer} others": interval(others) if len(own) else nothing,
        f"{layer} own over others": _ratio_of_means(own, others) if len(own) else nothing,
    }
    measured: dict[str, int | float] = {} if "n" in numbers else {"n": len(own)}
    for name, column in columns.items():
        measured |= {name: float(column.value), f"{name} low": float(column.low), f"{name} high": float(column.high)}
    return measured


def _ratio_of_means(first: np.ndarray, second: np.ndarray) -> Interval:
    """Mean of first over mean of second, both (Q,), with the percentile interval of resampled queries."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(len(first), np.full(len(first), 1 / len(first)), size=N_RESAMPLES)  # (resamples, Q)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile((counts @ first) / (counts @ second), (tail, 1 - tail))
    return Interval(first.mean() / second.mean(), low, high)


def _method(explained: Explained) -> HashMethod:
    return explained.model() if isinstance(explained, Run) else explained


def _name(explained: Explained) -> str:
    return title_of(explained) if isinstance(explained, Run) else explained.config.title
