"""What losses on pairs ask of a distance: the cost of an alike and of an unlike pair of codes, bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from cscelab.cauchy import cauchy_pair_loss
from cscelab.figures.alt import sentences
from cscelab.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION, new_figure, styled
from cscelab.methods.dch import DCHConfig
from cscelab.methods.dhn import DHNConfig, batch_likelihood
from cscelab.methods.dsh import DSHConfig, contrastive_loss
from cscelab.methods.hashnet import HashNetConfig
from cscelab.pairs import different_images, pair_likelihood

LOOKS: dict[str, dict[str, Any]] = {
    "DHN": {"color": BLUE, "ls": "-", "marker": "o"},
    "HashNet": {"color": GREEN, "ls": "-.", "marker": "D"},
    "DSH, m = K": {"color": VERMILION, "ls": "--", "marker": "s"},
    "DSH, m = 2 K": {"color": ORANGE, "ls": (0, (5, 1, 1, 1, 1, 1)), "marker": "v"},
    "DCH": {"color": BLACK, "ls": ":", "marker": "^"},
}


def pair_costs(bits: int = 32) -> dict[str, np.ndarray]:
    """Loss -> (2, K + 1): of an alike (row 0) and an unlike pair (row 1) of codes that differ in 0, 1, ..., K bits.

    Each by its method's own function and defaults, DSH with our margin of K and with the paper's of 2 K, on codes of
    -1 and +1, the two images being the whole batch. DCH's unlike pair at 0 bits costs inf, as its equation has it.
    Raises ValueError for less than one bit.
    """
    if bits < 1:
        raise ValueError(f"codes of {bits} bits were asked for; give at least 1")
    others = different_images(2)
    alpha = HashNetConfig().inner_scale or 10 / bits
    costs: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "DHN": lambda codes, similar: batch_likelihood(codes, similar, DHNConfig().inner_scale),
        "HashNet": lambda codes, similar: pair_likelihood(alpha * codes @ codes.T, similar)[0, 1],
        "DSH, m = K": lambda codes, similar: contrastive_loss(codes, similar, DSHConfig().margin * bits, others),
        "DSH, m = 2 K": lambda codes, similar: contrastive_loss(codes, similar, 2.0 * bits, others),
        "DCH": lambda codes, similar: cauchy_pair_loss(codes, similar, DCHConfig().gamma, others),
    }
    found = {name: np.zeros((2, bits + 1)) for name in costs}
    for distance in range(bits + 1):
        codes = torch.ones(2, bits)
        codes[1, :distance] = -1
        for row, alike in enumerate((1.0, 0.0)):
            similar = torch.full((2, 2), alike).fill_diagonal_(1.0)
            for name, cost in costs.items():
                found[name][row, distance] = float(cost(codes, similar))
    found["DCH"][1, 0] = np.inf  # CLOSEST, which keeps a training finite there, would set the scale of the curve
    return found


def cost_shares(costs: np.ndarray) -> np.ndarray:
    """Costs (2, K + 1) as shares of the largest finite one of their row; NaN where they are infinite."""
    finite = np.where(np.isfinite(costs), costs, np.nan)
    return finite / np.nanmax(finite, axis=1, keepdims=True)


@styled()
def pair_losses_figure(bits: int = 32) -> Figure:
    """Left an alike, right an unlike pair: each loss against the bits that differ, as a share of its largest value.

    A curve begins where its loss is finite.
    """
    shares = {name: cost_shares(costs) for name, costs in pair_costs(bits).items()}
    figure = new_figure(10, 4.2)
    alike, unlike = figure.add_axes((0.075, 0.24, 0.405, 0.66)), figure.add_axes((0.575, 0.24, 0.405, 0.66))
    handles = []
    for name, by_kind in shares.items():
        look = {**LOOKS[name], "ms": 5, "markevery": max(1, bits // 8)}
        handles += alike.plot(by_kind[0], label=name, **look)
        unlike.plot(by_kind[1], **look)
    _finish(alike, "An alike pair", bits)
    _finish(unlike, "An unlike pair", bits)
    alike.set_ylabel("loss / its largest value")
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), handlelength=3.5)
    half = bits // 2
    figure.alt = sentences([  # type: ignore[attr-defined]
        f"Loss of a pair of {bits}-bit codes against the bits that differ, as a share of its largest value",
        *(
            f"{name}: at {half} bits {by_kind[0, half]:.2f} if alike, {by_kind[1, half]:.2f} if unlike; at 1 bit "
            f"{by_kind[0, 1]:.2f} and {by_kind[1, 1]:.2f}"
            + ("; infinite at 0 bits if unlike" if np.isnan(by_kind[1, 0]) else "")
            for name, by_kind in shares.items()
        ),
    ])  # fmt: skip
    return figure


def _finish(axes: Axes, title: str, bits: int) -> None:
    axes.axvline(bits / 2, color=GREY, lw=1, ls=(0, (1, 2)))
    axes.text(bits / 2, 1.02, " half: unrelated codes", color=GREY, fontsize=8.5, va="bottom")
    axes.set(title=title, xlabel="bits that differ", xlim=(0, bits), ylim=(-0.03, 1.12))
    axes.set_xticks(sorted({0, bits // 4, bits // 2, 3 * bits // 4, bits}))
