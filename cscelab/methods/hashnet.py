"""HashNet (Cao et al., ICCV 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cscelab.methods.base import HashMethod, MethodConfig


@dataclass(frozen=True)
class HashNetConfig(MethodConfig):
    name: ClassVar[str] = "hashnet"
    title: ClassVar[str] = "HashNet"
    paper: ClassVar[str] = "Cao et al., ICCV 2017"

    def build(self, n_classes: int, bits: int) -> HashMethod:
        raise NotImplementedError
