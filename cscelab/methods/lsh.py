"""LSH (Charikar, STOC 2002)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cscelab.methods.base import HashMethod, MethodConfig


@dataclass(frozen=True)
class LSHConfig(MethodConfig):
    name: ClassVar[str] = "lsh"
    title: ClassVar[str] = "LSH"
    paper: ClassVar[str] = "Charikar, STOC 2002"

    def build(self, n_classes: int, bits: int) -> HashMethod:
        raise NotImplementedError
