"""CNNH (Xia et al., AAAI 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cscelab.methods.base import HashMethod, MethodConfig


@dataclass(frozen=True)
class CNNHConfig(MethodConfig):
    name: ClassVar[str] = "cnnh"
    title: ClassVar[str] = "CNNH"
    paper: ClassVar[str] = "Xia et al., AAAI 2014"

    def build(self, n_classes: int, bits: int) -> HashMethod:
        raise NotImplementedError
