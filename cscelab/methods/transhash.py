"""TransHash (Chen et al., ICMR 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cscelab.methods.base import HashMethod, MethodConfig


@dataclass(frozen=True)
class TransHashConfig(MethodConfig):
    name: ClassVar[str] = "transhash"
    title: ClassVar[str] = "TransHash"
    paper: ClassVar[str] = "Chen et al., ICMR 2022"

    def build(self, n_classes: int, bits: int) -> HashMethod:
        raise NotImplementedError
