"""GreedyHash (Su et al., NeurIPS 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cscelab.methods.base import HashMethod, MethodConfig


@dataclass(frozen=True)
class GreedyHashConfig(MethodConfig):
    name: ClassVar[str] = "greedyhash"
    title: ClassVar[str] = "GreedyHash"
    paper: ClassVar[str] = "Su et al., NeurIPS 2018"

    def build(self, n_classes: int, bits: int) -> HashMethod:
        raise NotImplementedError
