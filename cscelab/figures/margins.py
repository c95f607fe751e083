"""Margins of Eq. 12 as curves over the angle between a code and its class's center: logit, loss and pull.

Every curve comes from `losses.margin_logits`, the function that training uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cscelab.figures.style import BLACK, BLUE, GREEN, GREY, VERMILION, new_figure, styled, tint
from cscelab.losses import margin_logits

METHODS = ("CE", "CosFace", "ArcFace", "SphereFace")
# Degrees. Half a step from 0 and 180, where the slope of arccos is infinite and `losses` clamps it.
ANGLES = np.arange(0.25, 180, 0.5)
LOOKS: dict[str, dict[str, Any]] = {
    "CE": {"color": BLACK, "ls": ":", "marker": "o"},
    "CosFace": {"color": BLUE, "ls": "-", "marker": "s"},
    "ArcFace": {"color": VERMILION, "ls": "--", "marker": "^"},
    "SphereFace": {"color": GREEN, "ls": "-.", "marker": "D"},
}
SYMBOLS = {"CosFace": "m₃", "ArcFace": "m₂", "SphereFace": "m₁"}


@dataclass(frozen=True)
class Margins:
    """What the curves depend on; the defaults are the paper's scale and margin.

    cosface: m3; arcface: m2 in radians; sphereface: m1 (the paper gives none but "above 1"; 1.35 is what Deng et al.
    2019 compare with); scale: S; n_classes: C, all but the true one at other_angle degrees from the code (90: their
    cosines are 0); emphasis: the method drawn strongest; printed: whether Eq. 12 is also drawn as printed, where its
    cosine rises again past pi.
    """

    cosface: float = 0.15
    arcface: float = 0.15
    sphereface: float = 1.35
    scale: float = 10.0
    n_classes: int = 20
    other_angle: float = 90.0
    emphasis: str = "CosFace"
    printed: bool = False

    def __post_init__(self) -> None:
        if self.emphasis not in METHODS:
            raise ValueError(f"unknown method {self.emphasis!r}; choose from {list(METHODS)}")
        if self.n_classes < 2:
            raise ValueError(f"{self.n_classes} classes leave no other class; expected at least 2")

    def with_margins_of(self, other: Margins) -> Margins:
        """These settings with the three margins of others."""
        return replace(self, cosface=other.cosface, arcface=other.arcface, sphereface=other.sphereface)

    def of(self, method: str) -> dict[str, float]:
        """m1, m2 and m3 of a method."""
        none = {"m1": 1.0, "m2": 0.0, "m3": 0.0}
        own = {
            "CE": {},
            "CosFace": {"m3": self.cosface},
            "ArcFace": {"m2": self.arcface},
            "SphereFace": {"m1": self.sphereface},
        }
        if method not in own:
            raise ValueError(f"unknown method {method!r}; choose from {list(METHODS)}")
        return none | own[method]


# Where each was proposed: Wang et al. 2018 (CosFace), Deng et al. 2019 (ArcFace), Liu et al. 2017 (SphereFace).
LITERATURE = Margins(cosface=0.35, arcface=0.5, sphereface=4.0)


class Curve(NamedTuple):
    """One method over ANGLES, (A,) each."""

    logits: np.ndarray  # S * psi(theta) of the true class
    losses: np.ndarray  # Eq. 12 of one image
    slopes: np.ndarray  # d loss / d theta, per radian
    boundary: float | None  # degrees where the true class's logit falls to the others'; None where it never crosses


def margin_curve(margins: Margins, method: str, monotone: bool = True) -> Curve:
    """The curves of a method; monotone=False is Eq. 12 as printed. Raises ValueError for an unknown method or scale."""
    m1, m2, m3 = margins.of(method).values()
    return _curve(m1, m2, m3, margins.scale, margins.n_classes, margins.other_angle, monotone)


@lru_cache(maxsize=64)
def _curve(m1: float, m2: float, m3: float, scale: float, n_classes: int, other_angle: float, monotone: bool) -> Curve:
    """`margin_curve`, kept: a slider of one method leaves the others as they were."""
    theta = torch.deg2rad(torch.from_numpy(ANGLES)).requires_grad_()  # float64
    other = torch.cos(torch.deg2rad(torch.full((len(ANGLES), n_classes - 1), other_angle, dtype=torch.float64)))
    cosines = torch.cat([torch.cos(theta)[:, None], other], dim=1)  # (A, C): the true class comes first
    labels = torch.zeros(len(ANGLES), dtype=torch.int64)
    logits = margin_logits(cosines, labels, scale, m1, m2, m3, monotone=monotone)
    losses = F.cross_entropy(logits, labels, reduction="none")
    (slopes,) = torch.autograd.grad(losses.sum(), theta)
    found = logits[:, 0].detach().numpy()
    boundary = crossing(found, scale * float(np.cos(np.deg2rad(other_angle))))
    return Curve(found, losses.detach().numpy(), slopes.numpy(), boundary)


def crossing(heights: np.ndarray, level: float) -> float | None:
    """First of ANGLES, between two by a straight line, at which heights (A,) fall to the level; None where none do."""
    above = heights > level
    falls = np.flatnonzero(above[:-1] & ~above[1:])
    if len(falls) == 0:
        return None
    i = falls[0]
    share = (heights[i] - level) / (heights[i] - heights[i + 1])
    return float(ANGLES[i] + share * (ANGLES[i + 1] - ANGLES[i]))


@styled()
def margin_figure(margins: Margins = Margins()) -> Figure:
    """Logit, loss and slope of the loss against the angle for four methods, with the boundary to another class."""
    curves = {method: margin_curve(margins, method) for method in METHODS}
    figure = new_figure(10, 5)
    logit = figure.add_axes((0.065, 0.11, 0.425, 0.815))
    loss = figure.add_axes((0.57, 0.56, 0.415, 0.365))
    slope = figure.add_axes((0.57, 0.11, 0.415, 0.365))
    _draw(logit, {method: curve.logits for method, curve in curves.items()}, margins)
    _draw(loss, {method: curve.losses for method, curve in curves.items()}, margins)
    _draw(slope, {method: curve.slopes for method, curve in curves.items()}, margins)
    if margins.printed:
        for method in METHODS:
            _draw_printed((logit, loss, slope), margins, method)
    _mark_boundaries(logit, margins, curves)
    logit.set(title="Logit of the true class", xlabel="angle θ to the own center (degrees)", ylabel="S · ψ(θ)")
    loss.set(title=f"Its loss among {margins.n_classes} classes", ylabel="loss (nats)", ylim=(0, None))
    loss.tick_params(labelbottom=False)
    slope.set(
        title="How strongly the loss pulls", xlabel="angle θ to the own center (degrees)",
        ylabel="d loss / d θ (per rad)",
    )  # fmt: skip
    logit.legend(loc="lower left", handlelength=3.2)
    figure.alt = in_words(margins)  # type: ignore[attr-defined]
    return figure


def in_words(margins: Margins) -> str:
    """What the picture shows, in a sentence: where each method's boundary lies."""
    at = []
    for method in METHODS:
        boundary = margin_curve(margins, method).boundary
        at.append(f"{method} {'nowhere' if boundary is None else f'at {boundary:.1f}°'}")
    return (
        f"Logit, loss and slope of the loss against the angle to the own center, at scale {margins.scale:g}. "
        f"A code is won from a class at {margins.other_angle:g}° within the boundary: {', '.join(at)}."
    )


def _look(method: str, margins: Margins) -> dict[str, Any]:
    look = LOOKS[method]
    strong = method == margins.emphasis
    return {
        "color": look["color"] if strong else tint(look["color"], 0.65),
        "ls": look["ls"], "lw": 3 if strong else 1.5, "zorder": 3 if strong else 2,
    }  # fmt: skip


def _draw(axes: Axes, heights: Mapping[str, np.ndarray], margins: Margins) -> None:
    for method, values in heights.items():
        axes.plot(ANGLES, values, **_look(method, margins))
    axes.set(xlim=(0, 180), xticks=range(0, 181, 45))
    axes.yaxis.set_major_locator(MaxNLocator(5))  # few: ticks are most of the picture's time


def _draw_printed(panels: tuple[Axes, Axes, Axes], margins: Margins, method: str) -> None:
    """Adds Eq. 12 as printed where it leaves the curve that training uses."""
    printed, continued = margin_curve(margins, method, monotone=False), margin_curve(margins, method)
    differs = ~np.isclose(printed.logits, continued.logits)
    if not differs.any():
        return
    look = {**_look(method, margins), "lw": 1, "marker": LOOKS[method]["marker"], "ms": 3, "markevery": 12}
    for axes, values in zip(panels, printed[:3], strict=True):
        axes.plot(ANGLES[differs], values[differs], **look)


def _mark_boundaries(axes: Axes, margins: Margins, curves: Mapping[str, Curve]) -> None:
    """The other class's logit as a level, and a mark where each curve falls to it; names and angles in the legend."""
    level = margins.scale * float(np.cos(np.deg2rad(margins.other_angle)))
    axes.axhline(level, color=GREY, lw=1)
    axes.annotate(
        f"logit of a class at {margins.other_angle:g}°", (178, level), (0, 3), textcoords="offset points",
        ha="right", color=GREY, size=9, bbox={"fc": "white", "ec": "none", "pad": 0.5},
    )  # fmt: skip
    own = {"CosFace": margins.cosface, "ArcFace": margins.arcface, "SphereFace": margins.sphereface}
    for method, curve in curves.items():
        margin = f" {SYMBOLS[method]} = {own[method]:g}" if method in own else ", no margin"
        ends = "no boundary" if curve.boundary is None else f"{curve.boundary:.1f}°"
        marked = {"marker": LOOKS[method]["marker"], "mec": "white", "ms": 9 if method == margins.emphasis else 7}
        label = f"{method}{margin}: {ends}"
        axes.plot([], [], label=label, **_look(method, margins), **marked)
        if curve.boundary is not None:
            axes.plot([curve.boundary], [level], **{**_look(method, margins), **marked, "zorder": 4})
