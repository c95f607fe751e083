"""OrthoHash (Hoe et al., NeurIPS 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cscelab.methods.base import HashMethod, MethodConfig


@dataclass(frozen=True)
class OrthoHashConfig(MethodConfig):
    name: ClassVar[str] = "orthohash"
    title: ClassVar[str] = "OrthoHash"
    paper: ClassVar[str] = "Hoe et al., NeurIPS 2021"

    def build(self, n_classes: int, bits: int) -> HashMethod:
        raise NotImplementedError
