"""DHN (Zhu et al., AAAI 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cscelab.methods.base import HashMethod, MethodConfig


@dataclass(frozen=True)
class DHNConfig(MethodConfig):
    name: ClassVar[str] = "dhn"
    title: ClassVar[str] = "DHN"
    paper: ClassVar[str] = "Zhu et al., AAAI 2016"

    def build(self, n_classes: int, bits: int) -> HashMethod:
        raise NotImplementedError
