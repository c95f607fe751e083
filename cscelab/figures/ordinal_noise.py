"""What noise flips: the symbol of a group of k values, and the signs of such values.

To each value comes noise of its own, normal, of one standard deviation s. A sign flips with probability Phi(-|v| / s).
Two values keep their order but for Phi(-gap / (s sqrt 2)): the noise of both acts. Of k values the largest has k - 1
rivals, and the chance is one integral over its own noise, taken by Gauss-Hermite quadrature.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cscelab.dsf import sign
from cscelab.experiment import Run
from cscelab.layout import bits_of_symbol
from cscelab.ordinal import grouped, symbols_of

DRAWS = 2000
LEAST_NOISE, REACH, STEP = 0.05, 6.0, 0.02  # of the grid of `mean_symbol_flips`, in units of the values' spread
_nodes, _weights = np.polynomial.hermite_e.hermegauss(64)
NODES, WEIGHTS = torch.from_numpy(_nodes), torch.from_numpy(_weights / _weights.sum())


class Flips(NamedTuple):
    """Chances, or shares of draws, in [0, 1]."""

    symbol: float  # the symbol becomes another
    margin: float  # a sign flips whose value is as far from 0 as the largest value from the runner-up
    same_bits: float  # any flips of as many signs as the symbol has bits, mean over which of the group's k signs
    any_sign: float  # any of the k signs flips


class Drawn(NamedTuple):
    """What draws of noise did."""

    flips: Flips
    wins: np.ndarray  # share of draws in which each value was the largest (k,)


def drawn_group(arity: int = 4, seed: int = 0) -> Tensor:
    """k values (k,), float64, standard normal: their spread is 1."""
    bits_of_symbol(arity)  # refuses what is no power of two
    return torch.randn(arity, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def stored_groups(run: Run) -> Tensor:
    """Values of a run's queries, float64 (Q, R, k), in units of their spread, the standard deviation of all of them.

    Raises ValueError for a run whose codes are no symbols.
    """
    layout = run.experiment.layout
    if layout.arity is None:
        raise ValueError(f"codes of {run.experiment.name} are plain bits, which have no groups; give a run of symbols")
    values = torch.from_numpy(run.codes["query_values"]).double()
    return grouped(values / values.std(), layout.arity)


def ranks(values: Tensor) -> Tensor:
    """Rank of each of k values, 1 for the largest; of equal ones the last is ranked first, as in `symbols_of`."""
    last_first = values.flip(0)
    order = last_first.argsort(descending=True, stable=True)
    return (order.argsort() + 1).flip(0)


def margin(values: Tensor) -> Tensor:
    """The largest of k values less the runner-up: (..., k) -> (...)."""
    first, second = values.topk(2).values.unbind(dim=-1)
    return first - second


def symbol_flips(values: Tensor, noise: float) -> Tensor:
    """Chance that the largest of k values is not the largest with noise, (..., k) -> (...); noise: its deviation."""
    if noise == 0:
        return torch.zeros(values.shape[:-1], dtype=values.dtype)
    largest, at = values.max(dim=-1, keepdim=True)
    ahead = ((largest - values) / noise).scatter(-1, at, math.inf)  # it is always ahead of itself
    # The largest's own noise z leaves each rival behind with Phi(ahead + z), independently.
    stays = torch.special.ndtr(ahead.unsqueeze(-2) + NODES.to(values)[:, None]).prod(dim=-1) @ WEIGHTS.to(values)
    return (1 - stays).clamp(0, 1)


def sign_flips(values: Tensor, noise: float) -> Tensor:
    """Chance that each value's sign flips, Phi(-|v| / s)."""
    return torch.special.ndtr(-values.abs() / noise) if noise > 0 else torch.zeros_like(values)


def exact_flips(values: Tensor, noise: float) -> Flips:
    """The chances of one group's values (k,), floating point.

    Raises ValueError for whole numbers, noise that is below 0 or not finite, and fewer than two values.
    """
    _check(values, noise)
    stays = 1 - sign_flips(values, noise)
    return Flips(
        float(symbol_flips(values, noise)),
        float(sign_flips(margin(values), noise)),
        1 - _mean_of_products(stays),
        1 - float(stays.prod()),
    )


def drawn_flips(values: Tensor, noise: float, draws: int = DRAWS, seed: int = 0) -> Drawn:
    """The same, counted in so many draws of noise. Raises ValueError as `exact_flips`."""
    _check(values, noise)
    k = len(values)
    generator = torch.Generator().manual_seed(seed)
    moved = noise * torch.randn(draws, k + 1, generator=generator, dtype=values.dtype)  # one more for the lone sign
    noisy = values + moved[:, :k]
    symbols = symbols_of(noisy, k)[:, 0]
    kept = (sign(noisy) == sign(values)).sum(dim=1)
    n = bits_of_symbol(k)
    same_bits = [math.comb(count, n) / math.comb(k, n) for count in range(k + 1)]  # of the choices, those all kept
    flips = Flips(
        float((symbols != symbols_of(values[None], k)).double().mean()),
        float((margin(values) + moved[:, k] < 0).double().mean()),
        1 - float(torch.tensor(same_bits)[kept].mean()),
        float((kept < k).double().mean()),
    )
    return Drawn(flips, torch.bincount(symbols, minlength=k).numpy() / draws)


def mean_symbol_flips(arity: int, noise: float) -> float:
    """Chance that a symbol changes, mean over all groups of k standard normal values, to 2e-4.

    It stays with k E[F(x, y)^(k - 1)]: x is any of the values, y the same with its noise, F the share of rivals that
    are behind in both. Summed over a grid of x and y. Raises ValueError for noise between 0 and LEAST_NOISE.
    """
    if noise == 0:
        return 0.0
    if not LEAST_NOISE <= noise < math.inf:
        raise ValueError(
            f"noise {noise:g}; give 0 or a deviation of at least {LEAST_NOISE}, for which the grid is made"
        )
    step = min(STEP, noise / 10)
    x = torch.arange(-REACH, REACH, step, dtype=torch.float64)[:, None]
    y = math.hypot(1, noise) * x.T
    share = torch.exp(-(x**2 + ((y - x) / noise) ** 2) / 2)
    share /= share.sum()
    behind = share
    for axis in (0, 1):
        behind = behind.cumsum(axis) - behind / 2  # half of what is level
    return 1 - arity * float((share * behind ** (arity - 1)).sum())


def mean_sign_flips(n: int, noise: float) -> float:
    """Chance that any of n signs of standard normal values flips.

    A value and the noisy one are normal and correlate by 1 / sqrt(1 + s^2), so that one flips with arctan(s) / pi.
    """
    return 1 - (1 - math.atan(noise) / math.pi) ** n


def _mean_of_products(stays: Tensor) -> float:
    """Mean, over all choices of log2(k) of k chances, of their product: a coefficient of prod_j (1 + p_j x)."""
    polynomial = np.ones(1)
    for chance in stays.tolist():
        polynomial = np.convolve(polynomial, (1.0, chance))
    n = bits_of_symbol(len(stays))
    return float(polynomial[n]) / math.comb(len(stays), n)


def _check(values: Tensor, noise: float) -> None:
    if values.ndim != 1 or len(values) < 2 or not values.is_floating_point() or not 0 <= noise < math.inf:
        raise ValueError(
            f"noise {noise:g} on values of shape {tuple(values.shape)} of {values.dtype}; give a finite deviation of "
            "at least 0 and the values (k,) of one group, floating point"
        )
