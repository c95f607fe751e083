"""The Cauchy losses (Cao et al., DCH, CVPR 2018): a pair is alike with probability gamma / (gamma + distance).

Equations are numbered as github.com/swuxyj/DeepHash-pytorch quotes the paper.
Distance is the Hamming distance in bits, continued to any values: K / 2 (1 - cosine) (DCH Eq. 6). gamma is the distance
in bits at which a pair is as likely alike as not. Unlike a logistic curve it falls steeply from distance 0 on, so that
similar images gather in a small Hamming ball. Shapes: B images, K bits.
"""

import torch
from torch import Tensor

from cscelab.pairs import class_balance, cosine_distance

# Bits added to the distance of an unlike pair, whose cost is infinite at 0; its gradient as well. Distinct codes are a
# whole bit apart, so that it changes little where codes differ.
CLOSEST = 0.01


def cauchy_pair_loss(values: Tensor, similar: Tensor, gamma: float, counted: Tensor) -> Tensor:
    """Mean over pairs of w [s log(d / gamma) + log(1 + gamma / d)] (DCH Eq. 8): a scalar.

    values (B, K); similar (B, B): s, 1 or 0; counted: bool (B, B), the pairs that take part. The
    weights w give similar and other pairs the same share (Eq. 2, `pairs.class_balance`). Written as log(1 + d / gamma)
    for similar pairs and log(1 + gamma / d) for others: the same, and finite where values coincide. 0 without a pair.
    Raises ValueError where gamma is not above 0 or the shapes differ.
    """
    _check(values, gamma)
    if similar.shape != (len(values), len(values)):
        raise ValueError(
            f"similar {tuple(similar.shape)} does not match values {tuple(values.shape)}; give one row and one column "
            "per image"
        )
    distance = cosine_distance(values, values).clamp_min(0)  # rounding may leave a little less than 0
    cost = torch.where(similar > 0, torch.log1p(distance / gamma), torch.log1p(gamma / (distance + CLOSEST)))
    return (class_balance(similar, counted) * cost).sum() / counted.sum().clamp_min(1)


def cauchy_quantization(values: Tensor, gamma: float) -> Tensor:
    """Mean over images of log(1 + d(|values|, 1) / gamma) (DCH Eq. 9): a scalar, 0 where an image's values are of one
    size. values (B, K). Raises ValueError where gamma is not above 0."""
    _check(values, gamma)
    ones = values.new_ones(1, values.shape[1])
    return torch.log1p(cosine_distance(values.abs(), ones).clamp_min(0) / gamma).mean()


def _check(values: Tensor, gamma: float) -> None:
    if not gamma > 0:
        raise ValueError(f"gamma is {gamma}, expected a number of bits above 0; DCH has 20")
    if values.dim() != 2:
        raise ValueError(f"values have shape {tuple(values.shape)}, expected (B, K); give one row per image")
