"""DOH's spatial attention on one image, step by step: class scores of places, evidence, and the softmax of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from cscelab.datasets.base import Splits
from cscelab.experiment import Run
from cscelab.explain import mass_inside
from cscelab.figures.alt import rounded, sentences
from cscelab.figures.attention_maps import as_large, local_views
from cscelab.figures.mosaic import Mosaic
from cscelab.figures.provenance import mark_smoke
from cscelab.figures.style import GREY, styled
from cscelab.methods.doh import DOHConfig
from cscelab.neighbours import name_of

SIDE, GAP, MARGIN, TOP = 1.78, 0.16, 0.12, 0.92  # inches
SIGNED = "PuOr_r"  # orange is more, purple less than nothing
MOST_LIKELY = 2  # classes shown


class AttentionSteps(NamedTuple):
    """One image on its way to a weight for each place. C classes, h x w places."""

    image: np.ndarray  # uint8 (H, W, 3)
    mask: np.ndarray | None  # (H, W)
    weights: np.ndarray  # p: how much each class counts (C,)
    place_scores: np.ndarray  # (C, h, w)
    evidence: np.ndarray  # m (h, w)
    attention: np.ndarray  # alpha (h, w), the softmax of scale * m
    scale: float = 1.0

    def on_target(self) -> float | None:
        """Share of the attention on the target over the target's share of the image; None without a visible target."""
        if self.mask is None or not np.any(self.mask):
            return None
        return float(mass_inside(as_large(self.attention[None], len(self.image)), self.mask[None])[0])


def attention_steps(run: Run, row: int = 0, splits: Splits | None = None) -> AttentionSteps:
    """Of one query of a run. Raises ValueError for a row that is not there, and a run without a local view or without
    attention."""
    queries = (run.data() if splits is None else splits).query
    if not 0 <= row < len(queries):
        raise ValueError(f"there is no query {row}; choose from 0 to {len(queries) - 1}")
    name, method = run.experiment.name, run.model()
    (local,) = local_views(method, queries.images[row : row + 1], name)
    if local.class_weights is None or local.evidence is None:
        raise ValueError(f'{name} weighs every place the same; give a run of DOH whose attention is "spatial"')
    found = (local.class_weights, local.place_scores, local.evidence, local.attention)
    mask = None if queries.masks is None else queries.masks[row]
    weights, scores, evidence, attention = (one[0].float().cpu().numpy() for one in found)
    assert isinstance(run.experiment.method, DOHConfig)  # nothing else has class weights
    scale = run.experiment.method.attention_scale
    return AttentionSteps(queries.images[row], mask, weights, scores, evidence, attention, scale)


@styled()
def attention_steps_figure(run: Run, row: int = 0, splits: Splits | None = None) -> Figure:
    """A query, the class scores of its places for the two likeliest classes, the evidence, and the attention.

    Arguments and what is raised as in `attention_steps`.
    """
    splits = run.data() if splits is None else splits
    steps = attention_steps(run, row, splits)
    likeliest = steps.weights.argsort()[::-1][:MOST_LIKELY]
    reach = float(np.abs([*steps.place_scores[likeliest], steps.evidence]).max())
    panels: list[tuple[str, str, np.ndarray | None]] = [
        ("the image", "outlined: the target" if steps.mask is not None else "", None)
    ]
    for label in likeliest:
        name = name_of(label, splits.class_names)
        panels.append((f"scores of\n{name}", f"p = {steps.weights[label]:.2f}", steps.place_scores[label]))
    panels.append(("evidence m: scores of\nall classes, each times its p", _span(steps.evidence), steps.evidence))
    uniform, most = 1 / steps.attention.size, float(steps.attention.max())
    of_what = "" if steps.scale == 1 else f" of {steps.scale:g} m"
    panels.append(
        (f"attention: softmax{of_what}\nover the places", f"largest {most:.3f}, uniform {uniform:.3f}", steps.attention)
    )
    sheet = Mosaic(2 * MARGIN + len(panels) * (SIDE + GAP) - GAP, TOP + SIDE + 0.85)
    title = f"Query {row}, {name_of(splits.query.labels[row], splits.class_names)}: from scores to attention"
    sheet.text(MARGIN, 0.12, title, 11, weight="bold")
    for index, (heading, below, values) in enumerate(panels):
        left = MARGIN + index * (SIDE + GAP)
        sheet.text(left, TOP - 0.05, heading, 8.5, va="bottom")
        sheet.text(left, TOP + SIDE + 0.04, below, 8.5)
        if values is None:
            sheet.picture(left, TOP, SIDE, steps.image, outline=steps.mask)
        elif values is steps.attention:
            sheet.picture(
                left, TOP, SIDE, values, outline=steps.mask, cmap="viridis", vmin=0, vmax=most, gid="attention"
            )
        else:
            sheet.picture(
                left, TOP, SIDE, values, outline=steps.mask, cmap=SIGNED, vmin=-reach, vmax=reach, gid="score"
            )
    ratio = steps.on_target()
    told = "" if ratio is None else f"On the target lies {ratio:.2f} times what a uniform map has there. "
    key = (
        f"Scores and evidence: orange above 0, purple below, one scale to ±{rounded(reach)}. Attention: light is more."
    )
    sheet.text(MARGIN, TOP + SIDE + 0.36, f"{told}\n{key}".strip(), 8.5, color=GREY, linespacing=1.5)
    named = "; ".join(f"{name_of(label, splits.class_names)} {steps.weights[label]:.2f}" for label in likeliest)
    sheet.figure.alt = sentences([  # type: ignore[attr-defined]
        f"{title}, {steps.attention.shape[0]} by {steps.attention.shape[1]} places",
        f"Likeliest classes: {named}",
        f"Evidence {_span(steps.evidence)}; largest attention {most:.3f} of a place, uniform {uniform:.3f}",
        told,
    ])  # fmt: skip
    return mark_smoke(sheet.figure, [run])


def _span(values: np.ndarray) -> str:
    low, high = (f"{value:.1f}".replace("-", "−") for value in (values.min(), values.max()))
    return f"from {low} to {high}"
