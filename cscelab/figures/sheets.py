"""Contact sheets: what a data set looks like, and the species of Aviary side by side."""

from __future__ import annotations

from collections import Counter

import numpy as np
from matplotlib.figure import Figure

from cscelab.datasets.aviary import draw_species
from cscelab.datasets.base import ImageSet, Splits
from cscelab.datasets.species import SPECIES_PER_GENUS, species_list
from cscelab.figures.alt import sentences
from cscelab.figures.mosaic import LINE, POINT, Mosaic, wrap
from cscelab.figures.style import styled
from cscelab.neighbours import name_of

WIDTH, MARGIN, GAP = 10.0, 0.15, 0.1  # inches
SIZE = 8.5
MOST_LINES = 8  # of a name: four birds of a scene


@styled()
def contact_sheet(
    data: Splits | ImageSet,
    class_names: tuple[str, ...] | None = None,
    n: int = 24,
    columns: int = 8,
    outlined: bool = False,
    title: str = "",
    rows: np.ndarray | None = None,
) -> Figure:
    """n images with their classes below; outlined: with the edges of their targets.

    data: the training images of a data set, or any images with `class_names`; rows: which images, by default the first.
    Raises ValueError where names or masks are wanted and not known.
    """
    images = data.train if isinstance(data, Splits) else data
    names = data.class_names if isinstance(data, Splits) else class_names
    if names is None:
        raise ValueError("images alone do not know what their classes are called; give class_names=")
    if outlined and images.masks is None:
        raise ValueError("these images have no target masks; leave outlined=False")
    shown = images.subset(np.arange(min(n, len(images))) if rows is None else rows)
    captions = [name_of(label, names) for label in shown.labels]
    outlines = shown.masks if outlined else None
    return _sheet(shown.images, captions, columns, title, "classes", outlines)


@styled()
def species_sheet(n_classes: int = 20, population: str = "benchmark", size: int = 168, title: str = "") -> Figure:
    """Portraits of the first species of a population, a genus a row, so that what tells them apart can be seen."""
    species = species_list(n_classes, population)
    portraits = np.stack([draw_species(kind, size) for kind in species])
    return _sheet(portraits, [kind.name for kind in species], SPECIES_PER_GENUS, title, "species, a genus a row")


def _sheet(
    images: np.ndarray, captions: list[str], columns: int, title: str, kind: str, outlines: np.ndarray | None = None
) -> Figure:
    """kind: what the captions name, for those who hear it."""
    columns = min(columns, len(images))
    side = min(1.8, (WIDTH - 2 * MARGIN - (columns - 1) * GAP) / columns)
    width = 2 * MARGIN + columns * side + (columns - 1) * GAP
    lines = [wrap(caption, side, SIZE, MOST_LINES) for caption in captions]
    n_rows = -(-len(images) // columns)
    line = LINE * SIZE * POINT
    heights = [side + 0.14 + line * max(map(len, lines[r * columns : (r + 1) * columns])) for r in range(n_rows)]
    head = 0.45 if title else MARGIN
    sheet = Mosaic(width, head + sum(heights))
    if title:
        sheet.text(MARGIN, 0.1, title, 12, weight="bold")
    for i, image in enumerate(images):
        x, y = MARGIN + (i % columns) * (side + GAP), head + sum(heights[: i // columns])
        sheet.picture(x, y, side, image, outline=None if outlines is None else outlines[i])
        sheet.text(x + side / 2, y + side + 0.04, "\n".join(lines[i]), SIZE, ha="center")
    counts = Counter(captions)
    edges = ", the targets outlined" if outlines is not None else ""
    sheet.figure.alt = sentences([  # type: ignore[attr-defined]
        f"{title or 'Contact sheet'}: {len(images)} images in {n_rows} row{'s' * (n_rows > 1)}{edges}",
        f"{len(counts)} {kind}: "
        + "; ".join(f"{name} ({n})" if n > 1 else name for name, n in counts.most_common()),
    ])  # fmt: skip
    return sheet.figure
