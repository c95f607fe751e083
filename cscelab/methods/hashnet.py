"""HashNet (Cao et al., ICCV 2017): h = tanh(kappa u) becomes the sign as kappa rises from epoch to epoch.

Head: one linear layer on pooled stage 4. With theta_ij = alpha h_i . h_j, alpha = 10 / K as released, the loss is the
mean over pairs of w (log(1 + e^theta) - s theta) with w = |S| / |S_1| for similar and |S| / |S_0| for other pairs,
so that the few similar pairs count as much as all the others. There is no quantisation loss: kappa (the paper's beta)
does its work. Multi-label: s = 1 where two images share a label; `overlap=True` further weights similar pairs by the
share of labels they have in common (the paper's c_ij).

Continuation: the released code (github.com/thuml/HashNet) has kappa = sqrt(1 + 0.005 i), renewed every 200 of its
10,000 iterations: sqrt(1 + 50 t) at the share t of the training, from 1 to 7.1. Ours is that curve at any length, one
step an epoch (`kappa_last` is its end). `schedule="geometric"` is kappa_last^t, `schedule="none"` keeps kappa at 1.
The paper trains stages 1 = beta_0 < ... < beta_m, each to convergence; that has no place in a fixed number of epochs.

Departures: weights are those of the batch, not of the whole training set; pairs lie within one batch, without those of
an image with itself, where the released code draws two. Its PyTorch version gives similar pairs one fixed weight, told
on the command line (once 100 for ImageNet, 5 for NUS-WIDE, 1 for COCO, which is `weighted=False`), and trains the hash
layer ten times as fast as the trunk; here `Training.new_lr` says how fast, 1 by default. Ours: features are normalised
over the batch (`feature_norm="none"` for the original), as in DHN.

Evidence, validation mAP (quick, 32 bits, seed 0): .54 without the norm and with alpha = 0.1, .63 as it is; .68 on
scenes. Single-label that is below twice LSH (.690). The four epochs are too few: in the standard profile's eight, on
4,000 images, it reaches .717, and on queries .686, twice the .336 of LSH and more. In a screening of two epochs on a
half frozen trunk (.56): alpha = 0.1 .49; a kappa that ends at 3 .57, and with that the learning rate halved .53 or
doubled .55.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from cscelab.methods.base import HashMethod, HashOutput, MethodConfig, pooled_network
from cscelab.pairs import class_balance, different_images, pair_likelihood, similarity

SCHEDULES = ("released", "geometric", "none")


@dataclass(frozen=True)
class HashNetConfig(MethodConfig):
    """inner_scale: alpha, None for the released 10 / K; weighted: the weights w; overlap: c_ij in them;
    schedule, kappa_last: how kappa rises from 1, and what it would be after the last epoch; feature_norm: "batch"
    or "none"."""

    name: ClassVar[str] = "hashnet"
    title: ClassVar[str] = "HashNet"
    paper: ClassVar[str] = "Cao et al., ICCV 2017"

    inner_scale: float | None = None
    weighted: bool = True
    overlap: bool = False
    schedule: str = "released"
    kappa_last: float = 51**0.5  # sqrt(1 + 0.005 * 10,000)
    feature_norm: str = "batch"

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(f"unknown schedule {self.schedule!r}; choose from {SCHEDULES}")
        if self.kappa_last < 1:
            raise ValueError(f"kappa_last is {self.kappa_last}, but kappa rises from 1; give 1 or more")
        if self.inner_scale is not None and not self.inner_scale > 0:
            raise ValueError(f"inner_scale is {self.inner_scale}; give a number above 0, as 0.1, or None for 10 / bits")
        if self.overlap and not self.weighted:
            raise ValueError("overlap is a part of the weights, but weighted is False; set weighted=True")

    def build(self, n_classes: int, bits: int) -> HashNet:
        return HashNet(self, n_classes, bits)


def continuation(progress: float, schedule: str = "released", last: float = 51**0.5) -> float:
    """kappa at a share `progress` of the training, from 1 at 0 to `last` at 1; it never falls."""
    if schedule == "none":
        return 1.0
    if schedule == "geometric":
        return float(last**progress)
    return float((1 + (last**2 - 1) * progress) ** 0.5)


def label_overlap(labels: Tensor) -> Tensor:
    """c_ij (B, B): labels two images share over labels either has, 1 for images of one class; 0 where none is shared.

    labels: class ids (B,) or multi-hot (B, C).
    """
    if labels.ndim == 1:
        return similarity(labels)
    hot = labels.float()
    shared = hot @ hot.T
    sizes = hot.sum(dim=1)
    return shared / (sizes[:, None] + sizes[None, :] - shared).clamp_min(1)


def weighted_likelihood(
    codes: Tensor, labels: Tensor, alpha: float, weighted: bool = True, overlap: bool = False
) -> Tensor:
    """Mean over pairs of different images of w (log(1 + e^theta) - s theta), theta = alpha h_i . h_j; a scalar.

    codes: h (B, K); labels (B,) or (B, C). Both kinds of pairs weigh the same in all; a kind that a batch lacks adds 0.
    """
    similar = similarity(labels)
    counted = different_images(len(codes), codes.device)
    weights = class_balance(similar, counted) if weighted else counted.to(codes)
    if overlap:
        weights = torch.where(similar > 0, weights * label_overlap(labels), weights)
    terms = pair_likelihood(alpha * codes @ codes.T, similar)
    return (terms * weights).sum() / counted.sum().clamp_min(1)


class HashNet(HashMethod):
    config: HashNetConfig

    def __init__(self, config: HashNetConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        self.network = pooled_network(config, bits, feature_norm=config.feature_norm)
        self.kappa = 1.0  # of the epoch alone: a training that goes on finds it without having stored it
        self.alpha = 10 / bits if config.inner_scale is None else config.inner_scale

    def start_epoch(self, epoch: int, n_epochs: int) -> None:
        self.kappa = continuation(epoch / n_epochs, self.config.schedule, self.config.kappa_last)

    def losses(
        self,
        output: HashOutput,
        labels: Tensor,
        generator: torch.Generator | None = None,
        ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        relaxed = torch.tanh(self.kappa * output.values)
        likelihood = weighted_likelihood(relaxed, labels, self.alpha, self.config.weighted, self.config.overlap)
        return {"likelihood": likelihood}

    @torch.no_grad()
    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Mean |h|, which is 1 where h is the code, and kappa."""
        return {"value_size": float(torch.tanh(self.kappa * self(images).values).abs().mean()), "kappa": self.kappa}
