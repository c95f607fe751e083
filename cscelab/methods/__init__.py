"""One method, one file. METHODS names their configs; `build` makes a method from one."""

from __future__ import annotations

from cscelab.methods.base import HashMethod, HashOutput, MethodConfig
from cscelab.methods.csce import CSCEConfig
from cscelab.methods.csq import CSQConfig

METHODS: dict[str, type[MethodConfig]] = {config.name: config for config in (CSCEConfig, CSQConfig)}


def build(config: MethodConfig, n_classes: int, bits: int) -> HashMethod:
    """The method of a config, with fresh weights drawn from torch's global generator.

    Raises ValueError where the centers cannot serve so many classes or these bits, or the images are too small.
    """
    return config.build(n_classes, bits)


__all__ = ["METHODS", "HashMethod", "HashOutput", "MethodConfig", "build"]
