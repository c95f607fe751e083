"""Shallow hashing: a frozen trunk and one affine map, fitted to the features of the training images before any epoch.

There is nothing to train: no parameter requires a gradient, labels are never read, and encoding needs torch alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cscelab.datasets.base import ImageSet
from cscelab.datasets.loader import encoding_loader
from cscelab.methods.base import HashMethod, MethodConfig, in_evaluation, pooled_network


class CentredProjection(nn.Module):
    """features (B, d) -> values (B, K) = (features - center) projection^T. Both are buffers, so that they are stored
    with the weights and load into a fresh method; zeros until they are fitted."""

    center: Tensor
    projection: Tensor

    def __init__(self, n_features: int, bits: int):
        super().__init__()
        self.register_buffer("center", torch.zeros(n_features))
        self.register_buffer("projection", torch.zeros(bits, n_features))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.center) @ self.projection.T


class Shallow(HashMethod):
    """A method that is fitted, not trained, on pooled stage 4 of a frozen trunk. Subclasses define `fit_projection`."""

    trains_trunk: ClassVar[bool] = False

    def __init__(self, config: MethodConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        self.network = pooled_network(config, bits, head=CentredProjection)

    @property
    def hash_layer(self) -> CentredProjection:
        layer = self.network.hash_layer
        assert isinstance(layer, CentredProjection)
        return layer

    def fit_projection(self, centred: Tensor, seed: int) -> Tensor:
        """Centred features of the training images (N, d) -> the map's rows (K, d). seed: of all that is drawn."""
        raise NotImplementedError

    @torch.no_grad()
    def start_training(self, train: ImageSet, generator: torch.Generator) -> None:
        """Fits the map. Raises ValueError where faiss is not installed."""
        device = self.hash_layer.center.device
        with in_evaluation(self):
            features = torch.cat(
                [self.network(batch.images.to(device)).features.cpu() for batch in encoding_loader(train)]
            )  # faiss works on the CPU
        seed = int(torch.randint(2**31, (), generator=generator))  # faiss takes a seed, no generator
        center = features.mean(dim=0)
        self.hash_layer.center.copy_(center)
        self.hash_layer.projection.copy_(self.fit_projection(features - center, seed))


@contextmanager
def faiss_alone() -> Iterator[Any]:
    """The faiss module, on one thread inside the block: sums in another order would give other bits.

    Raises ValueError, in one sentence, where it is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise ValueError("LSH and ITQ are fitted by faiss, which is not installed; pip install faiss-cpu") from None
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield faiss
    finally:
        faiss.omp_set_num_threads(before)


def matrix_of(faiss: Any, transform: Any) -> Tensor:
    """The matrix of a linear transform of faiss, (outputs, inputs)."""
    return torch.from_numpy(faiss.vector_to_array(transform.A).copy()).view(transform.d_out, transform.d_in)
