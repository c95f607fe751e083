"""Attention constraints (ExchNet Sec. 3.2): parts should look at different places and see different things.

Distances are Hellinger's, between distributions over places or channels. Shapes: B images, M parts, n entries.
"""

import torch
from torch import Tensor

EPSILON = 1e-8  # inside the norm, whose gradient is infinite where two parts coincide


def part_distances(logits: Tensor) -> Tensor:
    """|sqrt(p) - sqrt(q)| / sqrt(2) for each pair of parts, p = softmax(logits): (B, M, n) -> (B, M (M - 1) / 2).

    0 for equal distributions (at most 1e-4), 1 for disjoint ones.
    """
    roots = (logits.log_softmax(dim=2) / 2).exp()  # sqrt(p), whose gradient stays finite where p underflows
    first, second = torch.triu_indices(logits.shape[1], logits.shape[1], offset=1, device=logits.device)
    squared = (roots[:, first] - roots[:, second]).square().sum(dim=2)
    return ((squared + EPSILON) / 2).sqrt()


def spatial_loss(responses: Tensor) -> Tensor:
    """L_sp: 1 - mean distance of parts over places, in [0, 1], a mean over images; 0 for a single part.

    responses (B, M, h, w): what each part's refined feature says of a place, before the softmax over places.
    """
    if responses.shape[1] < 2:
        return responses.sum() * 0
    return 1 - part_distances(responses.flatten(2)).mean()


def channel_loss(features: Tensor, margin: float = 0.4) -> Tensor:
    """L_cp: max(0, margin - mean distance of parts over channels) of each image, a mean over images.

    features f^j (B, M, d), before the softmax over channels; 0 for a single part.
    """
    if features.shape[1] < 2:
        return features.sum() * 0
    return (margin - part_distances(features).mean(dim=1)).clamp_min(0).mean()


def map_overlap(maps: Tensor) -> Tensor:
    """How far parts look at one place, (B,): mean over pairs of the sum of the smaller of two maps, each of sum 1.

    maps (B, M, h, w), not negative; an all-zero map counts as uniform. 0 for disjoint maps, 1 for equal ones. float64
    on the CPU: a number to look at, not a loss. Raises ValueError for a single part.
    """
    n_parts = maps.shape[1]
    if n_parts < 2:
        raise ValueError(f"overlap is between parts, but {n_parts} came; give at least 2")
    flat = maps.flatten(2).cpu().double()  # some accelerators have no float64
    total = flat.sum(dim=2, keepdim=True)
    shares = torch.where(total > 0, flat / total.clamp_min(1e-300), torch.full_like(flat, 1 / flat.shape[2]))
    first, second = torch.triu_indices(n_parts, n_parts, offset=1)
    return torch.minimum(shares[:, first], shares[:, second]).sum(dim=2).mean(dim=1)
