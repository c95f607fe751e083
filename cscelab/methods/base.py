"""What a hashing method is: a network, loss terms, a way to binarise, and hooks for training."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from cscelab.datasets.base import ImageSet
from cscelab.datasets.loader import every_row
from cscelab.dsf import sign
from cscelab.layout import CodeLayout
from cscelab.model.backbone import BackboneConfig
from cscelab.model.network import HashNetwork, Head, NetworkConfig
from cscelab.model.stages import PartFeatures
from cscelab.model.views import ViewFeatures


class HashOutput(NamedTuple):
    """K is the width of the method's `layout`: the code length, and more for one-hot symbols."""

    values: Tensor  # continuous code (B, K)
    codes: Tensor  # binary code, +-1 (B, K)
    threshold: Tensor | None = None  # t of Eq. 6 (B, 1), where the method has one
    features: Tensor | None = None  # f_e (B, d), what the hash layer sees
    parts: PartFeatures | None = None  # what it is made of, where the method finds parts
    seen: ViewFeatures | None = None  # likewise, where it has a local and a global view


@dataclass(frozen=True)
class MethodConfig:
    """What every method can be told; a method's own config sits beside its class."""

    name: ClassVar[str]
    title: ClassVar[str]  # as tables and figures write it
    paper: ClassVar[str]
    reads_labels: ClassVar[bool] = True  # False: learns from images without labels too

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    image_size: int = 112  # side of the images in pixels; `run` sets it to the data's

    @property
    def code_arity(self) -> int | None:
        """k where codes are symbols of k values; None, as for most methods, where they are plain bits."""
        return None

    def layout(self, bits: int) -> CodeLayout:
        """How a code of so many bits is written. Raises ValueError where the method has no codes of this length."""
        return CodeLayout(bits, self.code_arity)

    def build(self, n_classes: int, bits: int) -> HashMethod:
        raise NotImplementedError


_IN_USE: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


def in_use(method: nn.Module) -> threading.RLock:
    """A lock for `with`: one thread at a time where hooks or modes of a network matter, as in explaining and encoding.

    A notebook's cell and a widget's callback, which JupyterLab runs in another thread, may hold the same network.
    """
    return _IN_USE.setdefault(method, threading.RLock())


@contextmanager
def in_evaluation(method: nn.Module) -> Iterator[None]:
    """The method in evaluation mode and in no other thread's hands inside the block; its mode is restored."""
    with in_use(method):
        was_training = method.training
        method.eval()
        try:
            yield
        finally:
            method.train(was_training)


class HashMethod(nn.Module):
    """A method under training or in use. Subclasses set `network` and define `losses`.

    A method that keeps something between steps (a bank of codes) holds it in buffers that are not persistent: they are
    left out of its weights and stored with the checkpoint a training goes on from. What it needs afterwards, as learned
    database codes, is part of its weights.
    """

    views: ClassVar[int] = 1  # augmented views of an image in a step, each a row of the output: all first, all second
    trains_trunk: ClassVar[bool] = True  # False: the trunk's weights and statistics stay as they were loaded

    network: HashNetwork

    def __init__(self, config: MethodConfig, n_classes: int, bits: int):
        super().__init__()
        self.config, self.n_classes, self.bits = config, n_classes, bits
        self.layout = config.layout(bits)

    def forward(self, images: Tensor) -> HashOutput:
        """images (B, 3, H, W), uint8 or [0, 1] -> HashOutput; plain sign unless a method overrides it."""
        output = self.network(images)
        return HashOutput(output.values, sign(output.values), None, output.features)

    def losses(
        self,
        output: HashOutput,
        labels: Tensor,
        generator: torch.Generator | None = None,
        ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Weighted scalar terms by name; their sum is minimised. labels: class ids (B,) or multi-hot (B, C).

        generator: for terms that draw, on the device of the labels; torch's own where none is given.
        ids: int64 (B,), the images' own, for methods that keep a code of every training image.
        With several views, labels and ids are repeated as the rows of the output are.
        """
        raise NotImplementedError

    def train(self, mode: bool = True) -> HashMethod:
        super().train(mode)
        if not self.trains_trunk:
            self.network.backbone.eval().requires_grad_(False)
        return self

    def start_training(self, train: ImageSet, generator: torch.Generator) -> None:
        """Called once before the first epoch, and again before a training goes on, with the whole training split: for
        codes learned from the labels, banks, and methods that are fitted instead of trained. On the CPU, but for
        methods without a parameter that learns: these stand on the accelerator then."""

    def view(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """A further augmentation of images (B, 3, H, W), drawn anew for each of `views`; none by default."""
        return images

    def epoch_rows(self, n: int, epoch: int, rng: np.random.Generator) -> np.ndarray:
        """Which of n training images an epoch visits, in order: row numbers, of one length in every epoch.

        Drawn from rng alone, so that a resumed training sees the same batches. By default each image once.
        """
        return every_row(n, epoch, rng)

    def start_epoch(self, epoch: int, n_epochs: int) -> None:
        """Called before each epoch (0-based): for schedules."""

    def end_epoch(self, epoch: int, n_epochs: int) -> dict[str, float]:
        """Called after an epoch's steps and before its validation: for what is learned without gradients. Returns
        numbers for the history, by names that it does not have yet (see `train.further`)."""
        return {}

    def learned_codes(self, ids: Tensor) -> tuple[Tensor, Tensor] | None:
        """Codes +-1 (N, K) that training learned for images themselves, without the network, and bool (N,), for which
        images it did; None for methods that learn none. ids: int64 (N,)."""
        return None

    @torch.no_grad()
    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Numbers worth a column in the history, from a batch of validation images."""
        values = self(images).values
        return {"value_size": float(values.abs().mean())}


def pooled_network(config: MethodConfig, bits: int, head: Head = nn.Linear, feature_norm: str = "none") -> HashNetwork:
    """Trunk, pooled stage 4 (the class token of a transformer), and one layer to values: what most methods have."""
    return HashNetwork(pooled_config(config, feature_norm), bits, head)


def pooled_config(config: MethodConfig, feature_norm: str = "none") -> NetworkConfig:
    """Of `pooled_network`. Raises ValueError for an unknown feature_norm."""
    return NetworkConfig(
        config.backbone, config.image_size, structure="baseline", feature_norm=feature_norm, threshold_layer=False
    )


def check_terms(terms: object, where: str) -> None:
    """Raises ValueError where `losses` of a method (where), in training, gave no dict of scalar tensors to learn by."""
    if not isinstance(terms, dict) or not terms:
        found = "no term" if terms == {} else type(terms).__name__
        raise ValueError(f"{where} gave {found}; return a dict of scalar tensors by name")
    for name, term in terms.items():
        if not isinstance(term, Tensor) or term.ndim:
            found = f"a tensor of shape {tuple(term.shape)}" if isinstance(term, Tensor) else type(term).__name__
            raise ValueError(f"{where} gave {found} as {name!r}; return scalar tensors, as a mean over the batch")
    if not any(term.requires_grad for term in terms.values()):
        raise ValueError(
            f"{where} gave no term with a gradient, so nothing would learn; compute a loss from output.values, since "
            "output.codes are signs, which have none"
        )
