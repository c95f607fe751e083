"""A query and its neighbours explained: what in the query speaks for its own code, and for each neighbour's."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from cscelab.codes import hamming_distance
from cscelab.datasets.base import Splits
from cscelab.datasets.loader import as_tensor
from cscelab.experiment import Run
from cscelab.explain import code_cams
from cscelab.figures.alt import sentences
from cscelab.figures.mosaic import LINE, POINT, Mosaic, wrap
from cscelab.figures.overlay import overlaid
from cscelab.figures.provenance import mark_smoke
from cscelab.figures.style import BLUE, styled, verdict
from cscelab.neighbours import name_of

SIDE, GAP, MARGIN, SIZE = 1.7, 0.15, 0.15, 8.5  # inches, and points


@styled()
def explained_pairs(
    run: Run, query_row: int, database_rows: list[int], splits: Splits, layer: str = "stage4"
) -> Figure:
    """Top: the query and database images; below: maps on the query, of its own code and of each image's code.

    The maps answer "what in the query agrees with that code?"; each has its own scale.
    """
    query, database = splits.query.subset(np.array([query_row])), splits.database.subset(np.array(database_rows))
    own, others = run.codes["query_codes"][[query_row]], run.codes["database_codes"][np.array(database_rows)]
    codes = torch.from_numpy(np.concatenate([own, others])).float()  # (1 + n, K)
    repeated = as_tensor(query.images).expand(len(codes), -1, -1, -1)
    cams = code_cams(run.model(), repeated, layer, codes=codes).numpy()
    layout = run.experiment.layout
    distances = hamming_distance(own, others)[0] // layout.hamming_per_unit
    unit = "" if layout.arity is None else f" {layout.unit}"
    right = database.labels == query.labels if not splits.multilabel else (database.labels * query.labels).any(axis=1)

    text = LINE * SIZE * POINT
    captions = [f"query: {name_of(query.labels[0], splits.class_names)}"] + [
        f"{verdict(bool(is_right))[1]} d={distance}{unit}: {name_of(label, splits.class_names)}"
        for distance, is_right, label in zip(distances, right, database.labels, strict=True)
    ]
    lines = [wrap(caption, SIDE, SIZE) for caption in captions]
    below = 0.55 + SIDE + max(map(len, lines)) * text + 0.45
    sheet = Mosaic(2 * MARGIN + len(codes) * (SIDE + GAP), below + SIDE + 0.15)
    sheet.text(MARGIN, 0.12, f"What in the query agrees with each code ({layer})", 12, weight="bold")
    outline = None if query.masks is None else query.masks[0]
    for i, image in enumerate([query.images[0], *database.images]):
        x = MARGIN + i * (SIDE + GAP)
        colour, line = (BLUE, "-") if i == 0 else verdict(bool(right[i - 1]))[::2]
        sheet.picture(x, 0.5, SIDE, image, edge=colour, line=line)
        sheet.text(x, 0.56 + SIDE, "\n".join(lines[i]), SIZE)
        sheet.text(x, below - 0.22, "its own code" if i == 0 else f"code of image {i}", SIZE, weight="bold")
        sheet.picture(x, below, SIDE, overlaid(query.images, cams[[i]])[0], outline=outline)
    sheet.figure.alt = sentences([  # type: ignore[attr-defined]
        f"Top: the query and {len(database_rows)} database images; below: maps on the query of what agrees with each "
        f"code ({layer})",
        *(
            f"{name}; map's center of mass at {across:.0%} from the left, {down:.0%} from the top"
            for name, (across, down) in zip(captions, map(_middle, cams), strict=True)
        ),
    ])  # fmt: skip
    return mark_smoke(sheet.figure, [run])


def _middle(cam: np.ndarray) -> tuple[float, float]:
    """Center of mass of a map (h, w): shares of the width and of the height; the middle of an empty one."""
    total = cam.sum()
    if not total:
        return 0.5, 0.5
    height, width = cam.shape
    across, down = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    return float(cam.sum(axis=0) @ across / total), float(cam.sum(axis=1) @ down / total)
