"""ITQ (Gong and Lazebnik, CVPR 2011)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cscelab.methods.base import HashMethod, MethodConfig


@dataclass(frozen=True)
class ITQConfig(MethodConfig):
    name: ClassVar[str] = "itq"
    title: ClassVar[str] = "ITQ"
    paper: ClassVar[str] = "Gong and Lazebnik, CVPR 2011"

    def build(self, n_classes: int, bits: int) -> HashMethod:
        raise NotImplementedError
