"""DNNH (Lai et al., CVPR 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cscelab.methods.base import HashMethod, MethodConfig


@dataclass(frozen=True)
class DNNHConfig(MethodConfig):
    name: ClassVar[str] = "dnnh"
    title: ClassVar[str] = "DNNH"
    paper: ClassVar[str] = "Lai et al., CVPR 2015"

    def build(self, n_classes: int, bits: int) -> HashMethod:
        raise NotImplementedError
