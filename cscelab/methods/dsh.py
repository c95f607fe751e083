"""DSH (Liu et al., CVPR 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cscelab.methods.base import HashMethod, MethodConfig


@dataclass(frozen=True)
class DSHConfig(MethodConfig):
    name: ClassVar[str] = "dsh"
    title: ClassVar[str] = "DSH"
    paper: ClassVar[str] = "Liu et al., CVPR 2016"

    def build(self, n_classes: int, bits: int) -> HashMethod:
        raise NotImplementedError
