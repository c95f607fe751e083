"""Pairs of images: which are alike, and the likelihood of that under an inner product of codes.

Shapes: A and B images of two sides (the same batch twice, or a batch and a bank), K bits, C classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def similarity(labels: Tensor, others: Tensor | None = None) -> Tensor:
    """s_ij as float (A, B): 1 where two images share at least one label, else 0. others: `labels` by default.

    Labels are class ids (A,) or multi-hot (A, C). Raises ValueError where the two sides are of different kinds.
    """
    others = labels if others is None else others
    if labels.ndim != others.ndim or labels.shape[1:] != others.shape[1:]:
        raise ValueError(
            f"labels {tuple(labels.shape)} and {tuple(others.shape)} cannot be compared; give class ids (N,) on both "
            "sides or multi-hot (N, C) on both"
        )
    if labels.ndim == 1:
        return (labels[:, None] == others[None, :]).float()
    return (labels.float() @ others.float().T > 0).float()


def different_images(n: int, device: torch.device | None = None) -> Tensor:
    """bool (n, n): every pair of a batch but those of an image with itself."""
    return ~torch.eye(n, dtype=torch.bool, device=device)


def pair_likelihood(theta: Tensor, similar: Tensor) -> Tensor:
    """log(1 + e^theta) - s theta, elementwise: the negative log-likelihood of s under sigmoid(theta).

    DHN, DPSH, HashNet. Stable for any theta; theta and similar (A, B) -> (A, B).
    """
    return F.softplus(theta) - similar * theta


def class_balance(similar: Tensor, counted: Tensor) -> Tensor:
    """Weights (A, B): |S| / |S_1| for similar pairs and |S| / |S_0| for the others (HashNet; DCH Eq. 2).

    counted: bool (A, B), the pairs that take part. A kind of pair that does not occur has weight 0.
    """
    everything = counted.sum()
    alike = (similar * counted).sum()
    weights = torch.where(similar > 0, everything / alike.clamp_min(1), everything / (everything - alike).clamp_min(1))
    return weights * counted


def cosine_distance(values: Tensor, others: Tensor) -> Tensor:
    """K / 2 (1 - cos), (A, B): Hamming distance of codes, continued to any values (DCH Eq. 6). values (A, K)."""
    return values.shape[1] / 2 * (1 - F.normalize(values) @ F.normalize(others).T)
