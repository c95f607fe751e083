"""Where DOH's local view looks: its spatial attention over images, and how much of it falls on the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cscelab.datasets.base import ImageSet
from cscelab.datasets.loader import as_tensor
from cscelab.experiment import Run
from cscelab.explain import OwnAndOthers, code_cams, own_and_others
from cscelab.figures.cams import map_rows
from cscelab.figures.part_maps import RULE, enlarged, first_of_each, outputs
from cscelab.figures.provenance import SMOKE_MARK, any_smoke, describe_data, mark_smoke
from cscelab.figures.style import styled
from cscelab.methods.base import HashMethod, MethodConfig
from cscelab.methods.doh import DOHConfig
from cscelab.neighbours import name_of
from cscelab.retrieval.bootstrap import interval

RECONSTRUCTION = "DOH is a reconstruction from its paper's abstract; no number of the paper is shown."
SHOWN = 8  # images of the figure
ATTENTION = "attention"  # of the local view; other maps are class activation maps of the codes
KEY = "each map's own scale"
HEADING = "Where DOH's local view looks: spatial attention on stage 4"
ON_TARGET = "attention on target"
COLUMNS = (ON_TARGET, f"{ON_TARGET}, low", f"{ON_TARGET}, high", f"{ON_TARGET}, others", "attention inside", "target")


def looks_locally(method: MethodConfig) -> bool:
    """Whether the method has a local view, and so an attention map."""
    return isinstance(method, DOHConfig) and method.views != "global"


def attention_maps(method: HashMethod, images: np.ndarray) -> np.ndarray:
    """alpha: the weight of each place, float32 (N, h, w), of sum 1 over an image. images uint8 (N, H, W, 3).

    Raises ValueError for a method without a local view.
    """
    found = []
    for output in outputs(method, images):
        if output.seen is None or output.seen.local is None:
            raise ValueError(f"{method.config.title} has no local view here; give a DOH whose views are both or local")
        found.append(output.seen.local.attention.float().cpu().numpy())
    return np.concatenate(found)


def attention_over(method: HashMethod, images: np.ndarray) -> np.ndarray:
    """`attention_maps` at the size of the images (N, H, W), bilinear, each in shares of its maximum."""
    return enlarged(attention_maps(method, images)[:, None], images.shape[1])[:, 0]


def target_numbers(scores: Sequence[OwnAndOthers], masks: np.ndarray) -> dict[str, float]:
    """COLUMNS: how much of the maps lies on the targets, a mean over runs, then over queries with a visible target.

    `mass_inside` in times a uniform map, with its 95% interval over the queries, and what the other queries' maps have
    on the same targets; then shares: of the map that lies on the target, and of the image that the target takes.
    scores: of each run; masks (Q, H, W).
    """
    shares = (np.asarray(masks) > 0).mean(axis=(1, 2))
    own, others = (np.mean([getattr(score, name) for score in scores], axis=0) for name in OwnAndOthers._fields)
    known = ~np.isnan(own) & ~np.isnan(others)
    if not known.any():
        return dict.fromkeys(COLUMNS, float("nan"))
    own, others, shares = own[known], others[known], shares[known]
    limits = interval(own)
    found = (limits.value, limits.low, limits.high, others.mean(), (own * shares).mean(), shares.mean())
    return dict(zip(COLUMNS, map(float, found), strict=True))


def on_target(runs: Sequence[Run], queries: ImageSet) -> dict[str, float]:
    """`target_numbers` of the attention of runs of one setting, over all queries; empty where there is no local view,
    or the queries have no masks."""
    if queries.masks is None or not all(looks_locally(run.experiment.method) for run in runs):
        return {}
    masks = queries.masks
    scores = [own_and_others(attention_over(run.model(), queries.images), masks) for run in runs]
    return target_numbers(scores, masks)


def maps_of(run: Run, kind: str, images: np.ndarray) -> np.ndarray:
    """Maps (N, H, W) in [0, 1]: the run's ATTENTION, or the class activation maps of its codes by an extractor."""
    method = run.model()
    if kind == ATTENTION:
        return attention_over(method, images)
    return code_cams(method, as_tensor(images), extractor=kind).numpy()


def attention_table(rows: Mapping[str, tuple[Run, str]], queries: ImageSet) -> pd.DataFrame | None:
    """`target_numbers` of all queries, a row for each of rows (run, kind as in `maps_of`); None without masks."""
    masks = queries.masks
    if masks is None:
        return None
    frame = pd.DataFrame.from_dict(
        {
            row: target_numbers([own_and_others(maps_of(run, kind, queries.images), masks)], masks)
            for row, (run, kind) in rows.items()
        },
        orient="index",
    )
    frame.index.name = "map"
    return frame.assign(remark=SMOKE_MARK) if any_smoke(run for run, _ in rows.values()) else frame


@styled()
def attention_figure(
    rows: Mapping[str, tuple[Run, str]],
    queries: ImageSet,
    class_names: tuple[str, ...],
    frame: pd.DataFrame | None = None,
    n: int = SHOWN,
) -> Figure:
    """The first query of each of n classes, below them a row of maps for each of rows (run, kind as in `maps_of`).

    frame: `attention_table`'s of these rows, for the note; by default it is measured here, where there are masks.
    """
    frame = attention_table(rows, queries) if frame is None else frame
    first = first_of_each(queries, n)
    images, masks = queries.images[first], None if queries.masks is None else queries.masks[first]
    maps = {row: maps_of(run, kind, images) for row, (run, kind) in rows.items()}
    figure = map_rows(
        maps, images, masks, [name_of(label, class_names) for label in queries.labels[first]],
        heading=HEADING, key=KEY, said="Attention of DOH's local view",
        note=_note(rows, images, len(queries), frame),
    )  # fmt: skip
    return mark_smoke(figure, [run for run, _ in rows.values()])


def _note(rows: Mapping[str, tuple[Run, str]], images: np.ndarray, n_queries: int, frame: pd.DataFrame | None) -> str:
    run = next(iter(rows.values()))[0]
    _, shape4 = run.model().network.backbone.trace_shapes(images.shape[1])
    places = " x ".join(map(str, shape4[2:]))
    lines = [
        f"{RULE.format(len(images))} {describe_data(run)}; {run.experiment.layout}, seed {run.experiment.seed}. "
        f"Stage 4 has {places} places: all maps are enlarged bilinearly. {RECONSTRUCTION}"
    ]
    if frame is not None:
        means = "; ".join(
            f"{row}: {values[ON_TARGET]:.2f} [{values[f'{ON_TARGET}, low']:.2f}, {values[f'{ON_TARGET}, high']:.2f}], "
            f"other queries' maps {values[f'{ON_TARGET}, others']:.2f}"
            for row, values in frame.iterrows()
        )
        lines += [
            "Under a map: share of its mass on the target (outlined) over the target's share of the image; a uniform "
            "map has 1.",
            f"Mean over all {n_queries} queries, [95% interval over them], and what the other queries' maps have on "
            f"the same targets: {means}. On average targets take {frame['target'].iloc[0]:.1%} of their image; of the "
            f"first row's mass {frame['attention inside'].iloc[0]:.1%} lie on them.",
        ]
    return "\n".join(lines)
