"""What a hashing method is: a network, loss terms, a way to binarise, and hooks for training."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from cscelab.dsf import sign
from cscelab.model.backbone import BackboneConfig
from cscelab.model.network import HashNetwork


class HashOutput(NamedTuple):
    values: Tensor  # continuous code (B, K)
    codes: Tensor  # binary code, +-1 (B, K)
    threshold: Tensor | None = None  # t of Eq. 6 (B, 1), where the method has one
    features: Tensor | None = None  # f_e (B, d), what the hash layer sees


@dataclass(frozen=True)
class MethodConfig:
    """What every method can be told; a method's own config sits beside its class."""

    name: ClassVar[str]
    title: ClassVar[str]  # as tables and figures write it
    paper: ClassVar[str]

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    image_size: int = 112  # side of the images in pixels; `run` sets it to the data's

    def build(self, n_classes: int, bits: int) -> HashMethod:
        raise NotImplementedError


_IN_USE: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


def in_use(method: nn.Module) -> threading.RLock:
    """A lock for `with`: one thread at a time where hooks or modes of a network matter, as in explaining and encoding.

    A notebook's cell and a widget's callback, which JupyterLab runs in another thread, may hold the same network.
    """
    return _IN_USE.setdefault(method, threading.RLock())


class HashMethod(nn.Module):
    """A method under training or in use. Subclasses set `network` and define `losses`."""

    network: HashNetwork

    def __init__(self, config: MethodConfig, n_classes: int, bits: int):
        super().__init__()
        self.config, self.n_classes, self.bits = config, n_classes, bits

    def forward(self, images: Tensor) -> HashOutput:
        """images (B, 3, H, W), uint8 or [0, 1] -> HashOutput; plain sign unless a method overrides it."""
        output = self.network(images)
        return HashOutput(output.values, sign(output.values), None, output.features)

    def losses(self, output: HashOutput, labels: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Weighted scalar terms by name; their sum is minimised. labels: ids (B,) or multi-hot (B, C).

        generator: for terms that draw, on the device of the labels; torch's own where none is given.
        """
        raise NotImplementedError

    def start_epoch(self, epoch: int, n_epochs: int) -> None:
        """Called before each epoch (0-based): for schedules."""

    @torch.no_grad()
    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Numbers worth a column in the history, from a batch of validation images."""
        values = self(images).values
        return {"value_size": float(values.abs().mean())}
