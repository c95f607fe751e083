"""CSQ: central similarity quantisation (Yuan et al., CVPR 2020): pull every image to its class's hash center.

Head: one linear layer on pooled stage 4. Loss: binary cross-entropy between (tanh v + 1) / 2 and the bits of the
center, plus 1e-4 times the squared distance of |tanh v| from 1. A multi-label center is the sign of the sum of the
image's class centers; on a tie a bit takes a random sign, drawn once and the same for all images, as released, so
that an image keeps its center from epoch to epoch (ours: the draw is the same for every seed of the training).
Departures: centers of the largest minimum distance by default (`centers`), "published" gives the paper's; the squared
distance, as re-implementations have it and the authors' script, in place of the paper's log cosh; of that script not
the pairwise term it adds (weight 0.2), nor its weight of 0.05 on the quantisation, nor its hidden layers in the head.
An image without a label has no center: multilabel_centers raises ValueError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from cscelab.centers import hash_centers, multilabel_centers
from cscelab.methods.base import HashMethod, HashOutput, MethodConfig, pooled_network


@dataclass(frozen=True)
class CSQConfig(MethodConfig):
    name: ClassVar[str] = "csq"
    title: ClassVar[str] = "CSQ"
    paper: ClassVar[str] = "Yuan et al., CVPR 2020"

    centers: str = "best"
    quantization_weight: float = 1e-4

    def build(self, n_classes: int, bits: int) -> CSQ:
        return CSQ(self, n_classes, bits)


class CSQ(HashMethod):
    config: CSQConfig
    centers: Tensor

    def __init__(self, config: CSQConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        self.network = pooled_network(config, bits)
        self.register_buffer("centers", hash_centers(n_classes, bits, config.centers))

    def losses(
        self,
        output: HashOutput,
        labels: Tensor,
        generator: torch.Generator | None = None,
        ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        targets = self.centers[labels] if labels.ndim == 1 else multilabel_centers(labels, self.centers)
        bounded = output.values.tanh()
        # (tanh v + 1) / 2 = sigmoid(2 v): the numerically safe form of the same cross-entropy.
        central = F.binary_cross_entropy_with_logits(2 * output.values, (targets + 1) / 2)
        quantization = (bounded.abs() - 1).square().mean()
        return {"central": central, "quantization": self.config.quantization_weight * quantization}

    @torch.no_grad()
    def diagnostics(self, images: Tensor) -> dict[str, float]:
        return {"value_size": float(self(images).values.tanh().abs().mean())}
