"""OrthoHash (Hoe et al., NeurIPS 2021): one loss, the cosine of an image's values with its class's fixed target.

Head: one linear layer without bias on pooled stage 4, its weights started at N(0, 0.01), then batch normalisation of
every bit, which balances it over the images. Loss: softmax cross-entropy over the classes with logits
scale * (cos(v, c_y) - margin) for the true class, scale * cos(v, c) for the others; scale 8, margin 0.2; no
quantisation loss, because a small angle to a target of +-1 already is a small quantisation error. Multi-label: the
cross-entropy against labels / labels.sum, the margin on every positive class, as released.
Departures: the targets have the largest minimum distance by default (`centers`), because random ones lie close where
bits are few; "bernoulli", each bit a fair coin, is the released default. Batch, learning rate and epochs (released:
256, Adam at 1e-4, 100) are the profile's, the same for all methods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from cscelab.centers import hash_centers
from cscelab.losses import cosines, margin_loss
from cscelab.methods.base import HashMethod, HashOutput, MethodConfig, pooled_network

START_STD = 0.01  # of the hash layer's weights; batch normalisation makes the values' size independent of it


@dataclass(frozen=True)
class OrthoHashConfig(MethodConfig):
    """centers: a kind of `hash_centers`; scale, margin: S and m of the loss."""

    name: ClassVar[str] = "orthohash"
    title: ClassVar[str] = "OrthoHash"
    paper: ClassVar[str] = "Hoe et al., NeurIPS 2021"

    centers: str = "best"
    scale: float = 8.0
    margin: float = 0.2

    def build(self, n_classes: int, bits: int) -> OrthoHash:
        return OrthoHash(self, n_classes, bits)


def balanced_head(n_features: int, bits: int) -> nn.Sequential:
    """Features (B, d) -> values (B, K), each bit of mean 0 and deviation 1 over a batch, then a learned affine map."""
    linear = nn.Linear(n_features, bits, bias=False)
    nn.init.normal_(linear.weight, std=START_STD)
    return nn.Sequential(linear, nn.BatchNorm1d(bits))


class OrthoHash(HashMethod):
    config: OrthoHashConfig
    centers: Tensor

    def __init__(self, config: OrthoHashConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        self.network = pooled_network(config, bits, head=balanced_head)
        self.register_buffer("centers", hash_centers(n_classes, bits, config.centers))

    def losses(
        self,
        output: HashOutput,
        labels: Tensor,
        generator: torch.Generator | None = None,
        ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        config = self.config
        similarity = cosines(output.values, self.centers)
        return {"cosine": margin_loss(similarity, labels, config.scale, m3=config.margin)}
