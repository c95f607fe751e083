"""DCH (Cao et al., CVPR 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cscelab.methods.base import HashMethod, MethodConfig


@dataclass(frozen=True)
class DCHConfig(MethodConfig):
    name: ClassVar[str] = "dch"
    title: ClassVar[str] = "DCH"
    paper: ClassVar[str] = "Cao et al., CVPR 2018"

    def build(self, n_classes: int, bits: int) -> HashMethod:
        raise NotImplementedError
