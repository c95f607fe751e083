"""CNNH: first codes for the training images, then a network that predicts them (Xia et al., AAAI 2014).

Stage 1 (`start_training`): codes H in [-1, 1]^(N x K) that minimise ||H H^T - K S||^2 with S = +-1, from a
uniform draw, entry by entry in random order: a Newton step, clipped to [-1, 1] (Eqs. 6-8 as
github.com/swuxyj/DeepHash-pytorch quotes them); then H = sign.
Stage 2: the network, one linear layer on pooled stage 4, regresses to H: mean (tanh u - H)^2.
CNNH+, which also predicts the class, is `class_weight` above 0 (cross-entropy, one linear layer more); CNNH is 0.

Departures: the paper takes every clipped Newton step (a reimplementation undoes a whole round where the objective has
risen); here a step that would raise it, its exact change being known in closed form, is not taken, so that the
objective never rises. H H^T - K S, N x N, is never formed: images of equal labels share a row of S, so that sums over
these groups and H^T H give the same derivatives, and (groups)^2 bytes of S are kept. Stage 2's loss is ours; mean
|u - H| is a reimplementation's.
H depends on ids, labels and seed alone, not on the order of the images; a training that goes on learns the same H
again, and then reads the same from its checkpoint.
Multi-label: S is +1 where two images share a label; CNNH+ has a cross-entropy for each class. An image without a label
is like none, by this rule not even itself, so that its code means little: better leave it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

from cscelab.datasets.base import ImageSet
from cscelab.dsf import sign
from cscelab.losses import classification_loss
from cscelab.methods.banks import CodeBank
from cscelab.methods.base import HashMethod, HashOutput, MethodConfig, pooled_network
from cscelab.pairs import similarity


@dataclass(frozen=True)
class CNNHConfig(MethodConfig):
    """sweeps: times that stage 1 goes through all entries of H; class_weight: of CNNH+'s class term."""

    name: ClassVar[str] = "cnnh"
    title: ClassVar[str] = "CNNH"
    paper: ClassVar[str] = "Xia et al., AAAI 2014"

    sweeps: int = 5
    class_weight: float = 0.0

    def build(self, n_classes: int, bits: int) -> CNNH:
        return CNNH(self, n_classes, bits)


def learn_codes(labels: Tensor, bits: int, generator: torch.Generator, sweeps: int = 5) -> tuple[Tensor, list[float]]:
    """Stage 1: relaxed codes float64 (N, K) in [-1, 1], and ||H H^T - K S||^2 at the start and after each sweep.

    labels: class ids (N,) or multi-hot (N, C). The start and the orders of the entries come from the generator.
    """
    kinds, kind = torch.unique(labels, dim=0, return_inverse=True)  # images of equal labels
    alike = (2 * similarity(kinds) - 1).to(torch.int8).numpy()  # S between kinds
    codes = (2 * torch.rand(len(labels), bits, generator=generator, dtype=torch.float64) - 1).numpy()
    gram = codes.T @ codes
    sums = np.stack([np.bincount(kind.numpy(), column) for column in codes.T])  # (K, kinds): sums of H

    def objective() -> float:
        return float((gram**2).sum() - 2 * bits * ((sums @ alike) * sums).sum() + (bits * len(codes)) ** 2)

    objectives = [objective()]
    for _ in range(sweeps):
        order = torch.randperm(codes.size, generator=generator).numpy()
        _sweep(codes, gram, sums, alike, kind.numpy(), order)
        objectives.append(objective())
    return torch.from_numpy(codes), objectives


@njit(nogil=True, cache=True)
def _sweep(
    codes: np.ndarray, gram: np.ndarray, sums: np.ndarray, alike: np.ndarray, kind: np.ndarray, order: np.ndarray
) -> None:
    """A Newton step of every entry of codes, in place, as are gram = H^T H and sums over kinds."""
    bits = codes.shape[1]
    for entry in order:
        i, j = entry // bits, entry % bits
        p, h = kind[i], codes[i, j]
        residual = -bits * float(alike[p, p])  # L_ii = h_i h_i - K S_ii
        slope = 0.0
        for k in range(bits):
            residual += codes[i, k] ** 2
            slope += codes[i, k] * gram[k, j]
        pull = 0.0
        for q in range(alike.shape[0]):
            pull += alike[p, q] * sums[j, q]
        slope = 4 * (slope - bits * pull)  # g' = 4 L_i H_j
        curvature = 4 * (gram[j, j] + h * h + residual)  # g''
        if curvature > 0:
            step = -slope / curvature
        else:
            step = -2.0 if slope > 0 else 2.0  # to the end of the box, downhill
        step = min(max(step, -1 - h), 1 - h)
        if step * (slope + step * (curvature / 2 + step * (4 * h + step))) >= 0:  # the exact change
            continue
        codes[i, j] = h + step
        sums[j, p] += step
        for k in range(bits):
            if k != j:
                gram[k, j] += step * codes[i, k]
                gram[j, k] = gram[k, j]
        gram[j, j] += step * (2 * h + step)


class CNNH(HashMethod):
    config: CNNHConfig

    def __init__(self, config: CNNHConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        if config.sweeps < 1:
            raise ValueError(f"sweeps is {config.sweeps}; give at least 1")
        if config.class_weight < 0:
            raise ValueError(f"class_weight is {config.class_weight}, expected 0 for CNNH or more for CNNH+")
        self.network = pooled_network(config, bits)
        self.bank = CodeBank(bits)  # H
        hash_layer = self.network.hash_layer
        assert isinstance(hash_layer, nn.Linear)
        self.classifier = nn.Linear(hash_layer.in_features, n_classes) if config.class_weight > 0 else None

    def start_training(self, train: ImageSet, generator: torch.Generator) -> None:
        self.bank.start(train)  # by id: whatever their order, the images get the same codes
        codes, _ = learn_codes(self.bank.labels.cpu(), self.bits, generator, self.config.sweeps)
        self.bank.rows = sign(codes).to(self.bank.rows)

    def losses(
        self,
        output: HashOutput,
        labels: Tensor,
        generator: torch.Generator | None = None,
        ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        terms = {"codes": (output.values.tanh() - self.bank.read(ids)).square().mean()}
        if self.classifier is not None:
            logits = self.classifier(output.features)
            terms["classes"] = self.config.class_weight * classification_loss(logits, labels, "bce")
        return terms
