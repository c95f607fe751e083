"""CSQ: central similarity quantisation (Yuan et al., CVPR 2020): pull every image to its class's hash center.

Head: one linear layer on pooled stage 4. Loss: binary cross-entropy between (tanh v + 1) / 2 and the bits of the
center, plus 1e-4 times the squared distance of |tanh v| from 1. A multi-label center is the sign of the sum of the
image's class centers; on a tie a bit takes a random sign, drawn once and the same for all images, as released, so
that an image keeps its center from epoch to epoch (ours: the draw is the same for every seed of the training).
Departures: centers of the largest minimum distance by default (`centers`), "published" gives the paper's. The squared
distance is that of the authors' script and of re-implementations; of that script not the pairwise term it adds (weight
0.2), nor its weight of 0.05 on the quantisation, nor its hidden layers in the head.
An image without a label has no center, and is refused by its id before training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from cscelab.centers import hash_centers, multilabel_centers
from cscelab.datasets.base import ImageSet
from cscelab.losses import center_bce, distance_to_one
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

    def start_training(self, train: ImageSet, generator: torch.Generator) -> None:
        """Raises ValueError, with their ids, where images have no label."""
        bare = train.ids[~train.labels.any(axis=1)] if train.labels.ndim == 2 else train.ids[:0]
        if len(bare):
            raise ValueError(
                f"{len(bare)} training images have no label, so no center (the first ids: {bare[:5].tolist()}); give "
                "each at least one label or leave them out"
            )

    def losses(
        self,
        output: HashOutput,
        labels: Tensor,
        generator: torch.Generator | None = None,
        ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        targets = self.centers[labels] if labels.ndim == 1 else multilabel_centers(labels, self.centers)
        quantization = distance_to_one(output.values.tanh(), "l2")
        return {
            "central": center_bce(2 * output.values, targets),
            "quantization": self.config.quantization_weight * quantization,
        }

    @torch.no_grad()
    def diagnostics(self, images: Tensor) -> dict[str, float]:
        return {"value_size": float(self(images).values.tanh().abs().mean())}
