"""Dynamic Sign Function (Sec. 3.4, Eqs. 5-8): the unsure bits of an image take its minority sign.

One sentence holds the whole function: where s is the sign given to the band (Eq. 7), Eq. 6 is
`sign(values + s * threshold)`: each image moves its own step from 0 to +t or -t. The soft form uses this.
"""

import torch
from torch import Tensor

COUNTS = ("outside", "all")
INTERVALS = ("closed", "open")
ESTIMATORS = ("detached", "straight_through", "soft")

PAPER_CAP = 0.005  # upper bound of t, Sec. 3.4
RELEASED_CAP = 0.01
RELEASED_MAJORITY = 32  # 64 / 2, hard-coded in the released code whatever the code length


def sign(values: Tensor) -> Tensor:
    """Plain sign (Eq. 5), any shape: +1 where values > 0, else -1, also at 0. Same dtype; no gradient."""
    return (values > 0).to(values.dtype) * 2 - 1


def straight_through(values: Tensor, carrier: Tensor) -> Tensor:
    """The exact sign of values forward, the gradient of `carrier` backward; any shape, the same for both."""
    # The two equal values must cancel before the sign is added: carrier + (sign - carrier) would round.
    return sign(values).detach() + (carrier - carrier.detach())


def band(values: Tensor, threshold: Tensor | float, interval: str = "closed") -> Tensor:
    """Bool mask (B, K) of the unsure values: |value| <= threshold ("closed", Eq. 6) or < threshold ("open").

    A negative threshold has an empty band; threshold 0 has the exact zeros in it when closed, none when open.
    """
    threshold = _checked_threshold(values, threshold)
    _check_choice("interval", interval, INTERVALS)
    return values.abs() <= threshold if interval == "closed" else values.abs() < threshold


def band_sign(
    values: Tensor,
    threshold: Tensor | float,
    count: str = "outside",
    interval: str = "closed",
    majority: int | None = None,
) -> Tensor:
    """The sign (B, 1) that each image gives to its band (Eq. 7): -1 where +1 is the majority, else +1.

    count="outside" compares the +1 and the -1 outside the band, as in the paper; count="all" asks whether
    more than `majority` of all values are above 0 (K / 2 unless given; the released code has 32 at every K).
    """
    _check_choice("count", count, COUNTS)
    if majority is not None and count != "all":
        raise ValueError(f"majority={majority} needs count='all', got count={count!r}; change one of the two")
    inside = band(values, threshold, interval)
    if count == "outside":
        excess = sign(values).masked_fill(inside, 0).sum(dim=1, keepdim=True)
    else:
        limit = values.shape[1] / 2 if majority is None else majority
        excess = (values > 0).sum(dim=1, keepdim=True) - limit
    return -sign(excess).to(values.dtype)


def dynamic_sign(
    values: Tensor,
    threshold: Tensor | float,
    count: str = "outside",
    interval: str = "closed",
    estimator: str = "detached",
    temperature: float = 0.1,
    majority: int | None = None,
) -> Tensor:
    """Codes (B, K) of continuous codes: sign outside the band [-t, t], one sign for all inside (Eqs. 6-7).

    Args:
        values: (B, K) floating point, v in the paper.
        threshold: (B, 1), or one number for all images; t in Eq. 6. Negative: plain sign.
        count, interval, majority: see `band_sign` and `band`; the released code is ("all", "open", 32).
        estimator: which gradient the codes carry.
            "detached": none, the codes are constants (as released: a threshold that never learns).
            "soft": tanh((values + s * t) / temperature) with the band's sign s held constant: codes in
            (-1, 1), differentiable in values and threshold, that become Eq. 6 as temperature -> 0 (except
            where values = -s * t exactly: 0).
            "straight_through": the exact codes forward, the gradient of "soft" backward.
        temperature: width of the soft step, in the units of values; not used by "detached".

    Raises:
        ValueError: unknown option, wrong shape or dtype, temperature <= 0, or majority without count="all".
    """
    _check_choice("estimator", estimator, ESTIMATORS)
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, expected a number above 0; 0.1 is the default")
    threshold = _checked_threshold(values, threshold)
    fixed_values, fixed_threshold = values.detach(), threshold.detach()
    minority = band_sign(fixed_values, fixed_threshold, count, interval, majority)
    # sign(values + s * t) alone would misplace one edge of either interval; the mask has both right.
    codes = torch.where(band(fixed_values, fixed_threshold, interval), minority, sign(fixed_values))
    if estimator == "detached":
        return codes
    soft = torch.tanh((values + minority * threshold.clamp(min=0)) / temperature)
    return soft if estimator == "soft" else codes + (soft - soft.detach())


def learned_threshold(logit: Tensor, cap: float = PAPER_CAP) -> Tensor:
    """(B, 1) in (0, cap) with a gradient everywhere: cap * sigmoid(logit), logit the output of fc_t."""
    return _checked_cap(cap) * torch.sigmoid(logit)


def clamped_threshold(logit: Tensor, cap: float = RELEASED_CAP) -> Tensor:
    """The released threshold (B, 1): logit clamped to [-cap, cap]. Below 0: plain sign."""
    return logit.clamp(-_checked_cap(cap), cap)


def _checked_threshold(values: Tensor, threshold: Tensor | float) -> Tensor:
    """The threshold as a tensor (B, 1) or () of the values' dtype, with its gradient."""
    if values.dim() != 2 or not values.is_floating_point():
        raise ValueError(
            f"values are {values.dtype} of shape {tuple(values.shape)}, expected floating point (B, K); "
            "pass one row of continuous codes per image"
        )
    threshold = torch.as_tensor(threshold, dtype=values.dtype, device=values.device)
    if threshold.shape not in ((), (len(values), 1)):
        raise ValueError(
            f"threshold has shape {tuple(threshold.shape)}, expected ({len(values)}, 1) or one number; "
            "pass one threshold per image as a column"
        )
    return threshold


def _checked_cap(cap: float) -> float:
    if not cap >= 0:
        raise ValueError(f"cap is {cap}, expected a number of at least 0; the paper has {PAPER_CAP}")
    return cap


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"unknown {name} {value!r}; choose from {list(choices)}")
