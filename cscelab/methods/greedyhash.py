"""GreedyHash (Su et al., NeurIPS 2018): classify the codes themselves; the sign hands its gradient on unchanged.

Head: one linear layer on pooled stage 4, giving u; the code b = sign(u) goes through a linear classifier W without
bias, which is used for training only. Loss: cross-entropy of W b + `penalty_weight` * mean ||u| - 1|^3.
The sign is exact forward and the identity backward, so the trunk learns from what the codes get wrong.
Default: penalty weight 0.1, as released for CIFAR-10; the released ImageNet script has 1.
Departures: sign(0) is -1, as everywhere here (the released code would put out 0). Multi-label, on which paper and
released code are silent: by default the cross-entropy against labels / labels.sum, as OrthoHash and CSCE-Net have it;
`multilabel="bce"` is a sigmoid a class. A later re-implementation trains on an image's first label alone; we do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from cscelab.dsf import straight_through
from cscelab.losses import MULTILABEL, classification_loss
from cscelab.methods.base import HashMethod, HashOutput, MethodConfig, pooled_network


@dataclass(frozen=True)
class GreedyHashConfig(MethodConfig):
    """penalty_weight: of the cubic penalty; multilabel: "softmax" | "bce", the loss of multi-hot labels."""

    name: ClassVar[str] = "greedyhash"
    title: ClassVar[str] = "GreedyHash"
    paper: ClassVar[str] = "Su et al., NeurIPS 2018"

    penalty_weight: float = 0.1
    multilabel: str = "softmax"

    def __post_init__(self) -> None:
        if self.multilabel not in MULTILABEL:
            raise ValueError(f"unknown multilabel {self.multilabel!r}; choose from {MULTILABEL}")

    def build(self, n_classes: int, bits: int) -> GreedyHash:
        return GreedyHash(self, n_classes, bits)


def greedy_sign(values: Tensor) -> Tensor:
    """The exact sign forward, the identity backward, any shape."""
    return straight_through(values, values)


def cubic_penalty(values: Tensor) -> Tensor:
    """mean ||u| - 1|^3: next to nothing near +-1, steep far away."""
    return (values.abs() - 1).abs().pow(3).mean()


class GreedyHash(HashMethod):
    config: GreedyHashConfig

    def __init__(self, config: GreedyHashConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        self.network = pooled_network(config, bits)
        self.classifier = nn.Linear(bits, n_classes, bias=False)

    def losses(
        self,
        output: HashOutput,
        labels: Tensor,
        generator: torch.Generator | None = None,
        ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        logits = self.classifier(greedy_sign(output.values))
        return {
            "classification": classification_loss(logits, labels, self.config.multilabel),
            "penalty": self.config.penalty_weight * cubic_penalty(output.values),
        }
