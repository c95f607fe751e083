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
from cscelab.explain import code_cams, mass_inside
from cscelab.figures.choices import title_of
from cscelab.figures.mosaic import LINE, POINT, Mosaic, paragraph_height, wrap
from cscelab.figures.provenance import mark_smoke
from cscelab.figures.style import styled
from cscelab.methods.base import HashMethod
from cscelab.retrieval.bootstrap import Interval, interval

COLOURS = "viridis"  # perceptually uniform, and in order of lightness for those who see no colours
COVER = 0.6  # opacity of the map over the grey image
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
    the target, drawn as outlines and measured: the number under a map is `mass_inside`, where 1 is chance.
    """
    given = methods if isinstance(methods, Mapping) else {_name(methods): methods}
    n, columns = len(images), range(len(images))
    side = min(LARGEST, (WIDTH - 2 * MARGIN - LABELS - BAR) / n - GAP)
    text = LINE * SIZE * POINT
    step = side + (text + 0.12 if masks is not None else GAP)
    lines = [wrap(name, side, SIZE, bold=True) for name in names or [""] * n]
    head, foot = 0.5, max(len(line) for line in lines) * text + 0.1
    note = "Under each map: share of its mass on the target over the target's share of the image; 1 is chance."
    width = 2 * MARGIN + LABELS + n * (side + GAP) + BAR
    top = head + side + GAP
    height = (
        top
        + len(given) * step
        + foot
        + (paragraph_height(width - 2 * MARGIN, note, SIZE) + 0.1 if masks is not None else 0.1)
    )
    sheet = Mosaic(width, height)
    sheet.text(MARGIN, 0.12, f"Where the bits come from: {extractor} of the codes, {layer}", 12, weight="bold")
    lefts = [MARGIN + LABELS + i * (side + GAP) for i in columns]
    sheet.text(MARGIN, head + side / 2, "image", SIZE + 1, va="center", weight="bold")
    for i in columns:
        sheet.picture(lefts[i], head, side, images[i], outline=None if masks is None else masks[i])
    grey = np.repeat(images.mean(axis=3, keepdims=True), 3, axis=3).astype(np.uint8)
    for row, (name, method) in enumerate(given.items()):
        y = top + row * step
        label = "\n".join(wrap(name, LABELS - 0.1, SIZE + 1, bold=True))
        sheet.text(MARGIN, y + side / 2, label, SIZE + 1, va="center", weight="bold")
        cams = code_cams(_method(method), as_tensor(images), layer, extractor).numpy()
        ratios = None if masks is None else mass_inside(cams, masks)
        for i in columns:
            sheet.picture(lefts[i], y, side, grey[i])
            outline = None if masks is None else masks[i]
            sheet.picture(lefts[i], y, side, cams[i], cmap=COLOURS, vmin=0, vmax=1, alpha=COVER, outline=outline)
            if ratios is not None:
                shown = "no target" if np.isnan(ratios[i]) else f"{ratios[i]:.1f} × chance"
                sheet.text(lefts[i] + side / 2, y + side + 0.04, shown, SIZE, ha="center")
    bottom = top + len(given) * step
    for left, name_lines in zip(lefts, lines, strict=True):
        sheet.text(left + side / 2, bottom, "\n".join(name_lines), SIZE, ha="center", weight="bold")
    if masks is not None:
        sheet.paragraph(MARGIN, bottom + foot, width - 2 * MARGIN, note, SIZE)
    _colour_bar(sheet, width - MARGIN - BAR + 0.1, top, min(bottom - top, 2 * side))
    return mark_smoke(sheet.figure, [method for method in given.values() if isinstance(method, Run)])


def _colour_bar(sheet: Mosaic, x: float, y: float, height: float) -> None:
    place = (x / sheet.width, 1 - (y + height) / sheet.height, 0.14 / sheet.width, height / sheet.height)
    bar = sheet.figure.colorbar(
        ScalarMappable(Normalize(0, 1), COLOURS), cax=sheet.figure.add_axes(place), ticks=[0, 0.5, 1]
    )
    bar.set_label("activation, each map's own scale", size=SIZE)


def cam_numbers(
    run: Explained, n: int = 200, queries: ImageSet | None = None, extractor: str = "GradCAM"
) -> dict[str, str | int | float]:
    """Mean of `mass_inside` (1 is chance) over n queries spread evenly over the split, by layer.

    Returns "structure", "n" (queries whose target is visible and whose map is not empty), "stage4" and, where the
    structure has a local branch, "local", each with " low" and " high" of its 95% interval over queries.
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
        ratios = mass_inside(cams, part.masks)
        known = ratios[~np.isnan(ratios)]
        numbers.setdefault("n", len(known))
        found = interval(known) if len(known) else Interval(*(np.array(np.nan),) * 3)
        numbers |= {layer: float(found.value), f"{layer} low": float(found.low), f"{layer} high": float(found.high)}
    return numbers


def _method(explained: Explained) -> HashMethod:
    return explained.model() if isinstance(explained, Run) else explained


def _name(explained: Explained) -> str:
    return title_of(explained) if isinstance(explained, Run) else explained.config.title
