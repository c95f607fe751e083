"""CIBHash (Qiu et al., IJCAI 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cscelab.methods.base import HashMethod, MethodConfig


@dataclass(frozen=True)
class CIBHashConfig(MethodConfig):
    name: ClassVar[str] = "cibhash"
    title: ClassVar[str] = "CIBHash"
    paper: ClassVar[str] = "Qiu et al., IJCAI 2021"

    def build(self, n_classes: int, bits: int) -> HashMethod:
        raise NotImplementedError
