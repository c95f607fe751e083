"""DCH: deep Cauchy hashing (Cao et al., CVPR 2018): similar images gather in a small Hamming ball.

Head: one linear layer on pooled stage 4 and tanh, the paper's hash layer (`activation="none"` leaves tanh out, as a
common reimplementation does). Loss (`cauchy`), with d = K / 2 (1 - cosine), Hamming distance continued: the mean over
pairs of w [s log(d / gamma) + log(1 + gamma / d)], plus 0.1 times the mean over images of log(1 + d(|u|, 1) / gamma).
gamma = 20 is in bits: the distance at which a pair is as likely alike as not. Unlike codes lie near K / 2, so that
below 40 bits even they count as rather alike than not; gamma = 20 K / 48 keeps the share it has at 48 bits.

Departures: means for sums, so that the weights mean the same at every batch; pairs of an image with itself are left
out, as in the authors' code; w gives similar and other pairs the same share, where the authors' code raises the
similar ones only; the distance of unlike pairs is kept off 0 (`cauchy.CLOSEST`), where their cost is infinite.
The authors train the hash layer ten times as fast as the trunk; here `Training.new_lr` says how fast, 1 by default.
Multi-label: two images are alike where they share a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from cscelab.cauchy import cauchy_pair_loss, cauchy_quantization
from cscelab.methods.base import HashMethod, HashOutput, MethodConfig, pooled_network
from cscelab.pairs import different_images, similarity

ACTIVATIONS = ("tanh", "none")


@dataclass(frozen=True)
class DCHConfig(MethodConfig):
    """gamma: in bits, see above; activation: "tanh" | "none"."""

    name: ClassVar[str] = "dch"
    title: ClassVar[str] = "DCH"
    paper: ClassVar[str] = "Cao et al., CVPR 2018"

    gamma: float = 20.0
    quantization_weight: float = 0.1
    activation: str = "tanh"

    def build(self, n_classes: int, bits: int) -> DCH:
        return DCH(self, n_classes, bits)


def tanh_layer(n_features: int, bits: int) -> nn.Module:
    """Features (B, d) -> values in (-1, 1), (B, K)."""
    return nn.Sequential(nn.Linear(n_features, bits), nn.Tanh())


class DCH(HashMethod):
    config: DCHConfig

    def __init__(self, config: DCHConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        if not config.gamma > 0:
            raise ValueError(f"gamma is {config.gamma}, expected a number of bits above 0; the paper has 20")
        if config.activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation {config.activation!r}; choose from {ACTIVATIONS}")
        self.network = pooled_network(config, bits, head=tanh_layer if config.activation == "tanh" else nn.Linear)

    def losses(
        self,
        output: HashOutput,
        labels: Tensor,
        generator: torch.Generator | None = None,
        ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        values, gamma = output.values, self.config.gamma
        counted = different_images(len(values), device=values.device)
        return {
            "pairs": cauchy_pair_loss(values, similarity(labels), gamma, counted),
            "quantization": self.config.quantization_weight * cauchy_quantization(values, gamma),
        }
