"""One method, one file. METHODS names their configs, in the order of their papers; `build` makes a method from one."""

from __future__ import annotations

import inspect

from cscelab.methods.adsh import ADSHConfig
from cscelab.methods.base import HashMethod, HashOutput, MethodConfig
from cscelab.methods.cibhash import CIBHashConfig
from cscelab.methods.cnnh import CNNHConfig
from cscelab.methods.csce import CSCEConfig
from cscelab.methods.csq import CSQConfig
from cscelab.methods.dch import DCHConfig
from cscelab.methods.dhn import DHNConfig
from cscelab.methods.dnnh import DNNHConfig
from cscelab.methods.doh import DOHConfig
from cscelab.methods.dpsh import DPSHConfig
from cscelab.methods.dsh import DSHConfig
from cscelab.methods.exchnet import ExchNetConfig
from cscelab.methods.greedyhash import GreedyHashConfig
from cscelab.methods.hashnet import HashNetConfig
from cscelab.methods.itq import ITQConfig
from cscelab.methods.lsh import LSHConfig
from cscelab.methods.orthohash import OrthoHashConfig
from cscelab.methods.transhash import TransHashConfig

# Shallow, unsupervised, then supervised by year: the order of rows in tables.
METHODS: dict[str, type[MethodConfig]] = {
    config.name: config
    for config in (
        LSHConfig,
        ITQConfig,
        CIBHashConfig,
        CNNHConfig,
        DNNHConfig,
        DHNConfig,
        DPSHConfig,
        DSHConfig,
        HashNetConfig,
        ADSHConfig,
        DCHConfig,
        GreedyHashConfig,
        DOHConfig,
        CSQConfig,
        ExchNetConfig,
        OrthoHashConfig,
        TransHashConfig,
        CSCEConfig,
    )
}


def build(config: MethodConfig, n_classes: int, bits: int) -> HashMethod:
    """The method of a config, with fresh weights drawn from torch's global generator.

    Raises ValueError where the centers cannot serve so many classes or these bits, the images are too small, or what
    the config builds is no method with a network for these bits and with losses of four arguments.
    """
    method = config.build(n_classes, bits)
    if not isinstance(method, HashMethod):
        raise ValueError(f"{type(config).__name__}.build gave {type(method).__name__}; return a HashMethod")
    if not hasattr(method, "network"):
        raise ValueError(
            f"{type(method).__name__} has no network; set self.network = pooled_network(config, bits) in its __init__"
        )
    network_bits = getattr(method.network, "bits", bits)
    if network_bits != bits and type(method).forward is HashMethod.forward:
        raise ValueError(
            f"the network of {type(method).__name__} gives {network_bits} values, but {bits} bits were asked for; "
            "give it the bits that build was given"
        )
    try:
        inspect.signature(method.losses).bind("output", "labels", "generator", "ids")
    except TypeError:
        raise ValueError(
            f"{type(method).__name__}.losses{inspect.signature(method.losses)} cannot be called with output, labels, "
            "generator and ids; define it as losses(self, output, labels, generator=None, ids=None)"
        ) from None
    return method.train()


__all__ = ["METHODS", "HashMethod", "HashOutput", "MethodConfig", "build"]
