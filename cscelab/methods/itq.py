"""ITQ: iterative quantisation (Gong and Lazebnik, CVPR 2011): turn the principal components until signs fit them best.

On centred features X of a frozen trunk (pooled stage 4): V = X W of the K principal directions, then the
rotation R that minimises ||B - V R||_F^2, by turns: B = sign(V R), and R from the singular vectors of B^T V,
`iterations` times (50, the paper's) from a random rotation drawn from the experiment's seed. values =
R^T W^T (f - mean), codes = sign(values). No gradient, no epoch; labels, single or multiple, are never read.
Departure, on purpose: faiss gives the directions and the first rotation, but its alternation (ITQMatrix of
1.15.1) multiplies the singular vectors as U V where the minimum is at U V^T, so the error jumps instead of falling.
`solver="faiss"` is its ITQTransform all the same, which also scales centred features to length 1 before it fits.
Measured on the quick profile's validation images at 32 bits, mean of 5 seeds: .435 (ours) against .406 (faiss).
Bits: at most as many as the trunk has features. Fewer images than features are repeated, which leaves the covariance
as it is, and directions without variance fill up the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from cscelab.dsf import sign
from cscelab.methods.base import MethodConfig
from cscelab.methods.shallow import Shallow, faiss_alone, matrix_of

SOLVERS = ("paper", "faiss")


@dataclass(frozen=True)
class ITQConfig(MethodConfig):
    name: ClassVar[str] = "itq"
    title: ClassVar[str] = "ITQ"
    paper: ClassVar[str] = "Gong and Lazebnik, CVPR 2011"
    reads_labels: ClassVar[bool] = False

    solver: str = "paper"
    iterations: int = 50

    def build(self, n_classes: int, bits: int) -> ITQ:
        return ITQ(self, n_classes, bits)


class ITQ(Shallow):
    config: ITQConfig

    def __init__(self, config: ITQConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        n_features = len(self.hash_layer.center)
        if bits > n_features:
            raise ValueError(
                f"ITQ was asked for {bits} bits of the {n_features} features of {config.backbone.name}; "
                f"give at most {n_features} bits or a wider backbone"
            )
        if config.solver not in SOLVERS:
            raise ValueError(f"unknown solver {config.solver!r}; choose from {SOLVERS}")
        if config.iterations < 1:
            raise ValueError(f"ITQ was given {config.iterations} iterations; give at least 1")

    def fit_projection(self, centred: Tensor, seed: int) -> Tensor:
        n_images, n_features = centred.shape
        centred = centred.repeat(-(-n_features // n_images), 1)
        with faiss_alone() as faiss:
            if self.config.solver == "faiss":
                whole = faiss.ITQTransform(n_features, self.bits, True)
                whole.itq.seed, whole.itq.max_iter = seed, self.config.iterations
                whole.train(centred.numpy())
                return matrix_of(faiss, whole.pca_then_itq)
            principal = faiss.PCAMatrix(n_features, self.bits)
            principal.train(centred.numpy())
            start = faiss.RandomRotationMatrix(self.bits, self.bits)
            start.init(seed)
            directions, first = matrix_of(faiss, principal), matrix_of(faiss, start)  # W^T (K, d), R (K, K)
        return best_rotation(centred @ directions.T, first, self.config.iterations).T @ directions


def best_rotation(components: Tensor, rotation: Tensor, iterations: int) -> Tensor:
    """The rotation R for components V (N, K), from a first rotation (K, K): no step raises ||sign(V R) - V R||^2.

    Worked out in float64, so that rounding turns no bits; comes back in the type of V.
    """
    exact, rotation = components.double(), rotation.double()
    for _ in range(iterations):
        left, _, right = torch.linalg.svd(sign(exact @ rotation).T @ exact)  # B^T V = S D S'^T
        rotation = (left @ right).T  # R = S' S^T
    return rotation.to(components)
