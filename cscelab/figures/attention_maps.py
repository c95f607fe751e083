"""Where DOH's local view looks: its spatial attention over images, and how much of it falls on the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cscelab.datasets.base import ImageSet
from cscelab.datasets.loader import as_tensor
from cscelab.experiment import Run
from cscelab.explain import OwnAndOthers, code_cams, own_and_others
from cscelab.figures.cams import map_rows
from cscelab.figures.part_maps import enlarged, first_of_each, outputs, rule_of
from cscelab.figures.provenance import SMOKE_MARK, any_smoke, describe_data, mark_smoke
from cscelab.figures.style import styled
from cscelab.methods.base import HashMethod, MethodConfig
from cscelab.methods.doh import DOHConfig
from cscelab.model.views import LocalView
from cscelab.neighbours import name_of
from cscelab.retrieval.bootstrap import interval

RECONSTRUCTION = "DOH is a reconstruction from its paper's abstract; no number of the paper is shown."
SHOWN = 8  # images of the figure
ATTENTION = "attention"  # of the local view; other maps are class activation maps of the codes
KEY = "each map's own scale"
HEADING = "DOH's attention, and where its bits come from"
ON_TARGET = "attention on target"
COLUMNS = (ON_TARGET, f"{ON_TARGET}, low", f"{ON_TARGET}, high", f"{ON_TARGET}, others", "attention inside", "target")


def looks_locally(method: MethodConfig) -> bool:
    """Whether the method has a local view, and so an attention map."""
    return isinstance(method, DOHConfig) and method.views != "global"


def local_views(method: HashMethod, images: np.ndarray, name: str = "") -> Iterator[LocalView]:
    """What the local view sees in images uint8 (N, H, W, 3), a batch at a time.

    Raises ValueError, calling the method by its name, by default its title, where it has no local view.
    """
    for output in outputs(method, images):
        if output.seen is None or output.seen.local is None:
            called = name or method.config.title
            raise ValueError(f"{called} has no local view; give a run of DOH whose views are both or local")
        yield output.seen.local


def attention_maps(method: HashMethod, images: np.ndarray) -> np.ndarray:
    """alpha: the weight of each place, float32 (N, h, w), of sum 1 over an image. Arguments, errors: `local_views`."""
    return np.concatenate([view.attention.float().cpu().numpy() for view in local_views(method, images)])


def as_large(maps: np.ndarray, side: int) -> np.ndarray:
    """Maps (N, h, w) at the size of the images (N, side, side), bilinear, each in shares of its maximum."""
    return enlarged(maps[:, None], side)[:, 0]


def attention_over(method: HashMethod, images: np.ndarray) -> np.ndarray:
    """`attention_maps` of images uint8 (N, H, W, 3) at their size, `as_large`."""
    return as_large(attention_maps(method, images), images.shape[1])


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
    """`target_numbers` of all queries, a row for each of rows (run, kind as in `maps_of`), and "queries", how many;
    "paper" says that DOH is a reconstruction. None without masks."""
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
    frame = frame.assign(queries=len(queries), paper=[run.experiment.method.paper for run, _ in rows.values()])
    return frame.assign(remark=SMOKE_MARK) if any_smoke(run for run, _ in rows.values()) else frame


@styled()
def attention_figure(
    rows: Mapping[str, tuple[Run, str]],
    queries: ImageSet,
    class_names: tuple[str, ...],
    frame: pd.DataFrame | None = None,
    n: int = SHOWN,
    also: pd.DataFrame | None = None,
) -> Figure:
    """The first query of each of n classes, below them a row of maps for each of rows (run, kind as in `maps_of`).

    Of images with several labels, the first n queries. frame: `attention_table`'s of these rows, for the note; by
    default it is measured here, where there are masks. also: further rows of one, of other images, which the note says.
    """
    frame = attention_table(rows, queries) if frame is None else frame
    first = first_of_each(queries, n)
    images, masks = queries.images[first], None if queries.masks is None else queries.masks[first]
    maps = {row: maps_of(run, kind, images) for row, (run, kind) in rows.items()}
    figure = map_rows(
        maps, images, masks, [name_of(label, class_names) for label in queries.labels[first]],
        heading=HEADING, key=KEY, said=HEADING,
        note=_note(rows, queries, len(images), frame, also),
    )  # fmt: skip
    return mark_smoke(figure, [run for run, _ in rows.values()])


def _note(
    rows: Mapping[str, tuple[Run, str]],
    queries: ImageSet,
    shown: int,
    frame: pd.DataFrame | None,
    also: pd.DataFrame | None,
) -> str:
    run = next(iter(rows.values()))[0]
    _, shape4 = run.model().network.backbone.trace_shapes(queries.images.shape[1])
    places = " x ".join(map(str, shape4[2:]))
    lines = [
        f"{rule_of(queries, shown)} {describe_data(run)}; {run.experiment.layout}, seed {run.experiment.seed}. "
        f"Stage 4 has {places} places: all maps are enlarged bilinearly. {RECONSTRUCTION}"
    ]
    if frame is not None:
        lines += [
            "Under a map: share of its mass on the target (outlined) over the target's share of the image; a uniform "
            "map has 1.",
            f"Mean over all {len(queries)} queries, [95% interval over them], and what the other queries' maps have on "
            f"the same targets: {_means(frame)}. On average targets take {frame['target'].iloc[0]:.1%} of their "
            f"image; of the first row's mass {frame['attention inside'].iloc[0]:.1%} lie on them.",
        ]
    if also is not None:
        lines.append(
            f"Not drawn, {_means(also)}; of its mass {also['attention inside'].iloc[0]:.1%} lie on targets, which take "
            f"{also['target'].iloc[0]:.1%} of their image: what speaks for one class may speak against another there."
        )
    return "\n".join(lines)


def _means(frame: pd.DataFrame) -> str:
    """The rows of an `attention_table` in words."""
    return "; ".join(
        f"{row}: {values[ON_TARGET]:.2f} [{values[f'{ON_TARGET}, low']:.2f}, {values[f'{ON_TARGET}, high']:.2f}], "
        f"other queries' maps {values[f'{ON_TARGET}, others']:.2f}"
        for row, values in frame.iterrows()
    )
