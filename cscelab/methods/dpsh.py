"""DPSH (Li et al., IJCAI 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cscelab.methods.base import HashMethod, MethodConfig


@dataclass(frozen=True)
class DPSHConfig(MethodConfig):
    name: ClassVar[str] = "dpsh"
    title: ClassVar[str] = "DPSH"
    paper: ClassVar[str] = "Li et al., IJCAI 2016"

    def build(self, n_classes: int, bits: int) -> HashMethod:
        raise NotImplementedError
