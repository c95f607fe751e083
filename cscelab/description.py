"""An Experiment: the frozen description of one training and its evaluation, and the hash it is found by."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cscelab.datasets import DATA_SETS, DataConfig, Unlabelled, data_fingerprint
from cscelab.datasets.aviary import Aviary
from cscelab.layout import CodeLayout
from cscelab.methods import METHODS, MethodConfig
from cscelab.methods.csce import CSCEConfig
from cscelab.model.backbone import BackboneConfig, weights_fingerprint
from cscelab.owncode import code_of
from cscelab.steps import Training

# Settings that came after runs were stored: at these values they are as if they were not there, so those are found.
LATER: dict[str, dict[str, Any]] = {"training": {"augmentation": "none"}}


@dataclass(frozen=True)
class Experiment:
    """One training and its evaluation. Two experiments that differ in any setting but the name differ in hash.

    map_at: k of mAP@k, None for the whole database.
    """

    name: str
    data: DataConfig = field(default_factory=Aviary)
    method: MethodConfig = field(default_factory=CSCEConfig)
    bits: int = 16
    training: Training = field(default_factory=Training)
    map_at: int | None = None
    seed: int = 0
    smoke: bool = False  # for tests: its numbers mean nothing and are marked so

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` reads it back."""
        plain = dataclasses.asdict(self)
        plain["data"]["kind"] = _kind_of(self.data)
        plain["method"]["kind"] = self.method.name
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Experiment:
        data, method = dict(plain["data"]), dict(plain["method"])
        data_class, method_class = DATA_SETS[data.pop("kind")], METHODS[method.pop("kind")]
        method["backbone"] = BackboneConfig(**method["backbone"])
        parts = {
            "data": data_class(**_tuples(data)),
            "method": method_class(**_tuples(method)),
            "training": Training(**plain["training"]),
        }
        return cls(**{**plain, **parts})

    def __post_init__(self) -> None:
        if self.bits < 1:
            raise ValueError(f"{self.bits} bits were asked for; give at least 1")
        if self.map_at is not None and self.map_at < 1:
            raise ValueError(f"map_at is {self.map_at}; give at least 1, or None for the whole database")
        if isinstance(self.method, type):
            raise ValueError(f"method is the class {self.method.__name__}; give a config, as {self.method.__name__}()")
        kind, name = type(self.method), getattr(self.method, "name", None)
        if not isinstance(name, str):
            raise ValueError(f'{kind.__name__} has no name; give it one, as name = "mine" in its class')
        if (taken := METHODS.get(name, kind)) is not kind:
            raise ValueError(f"{kind.__name__} has the name {name!r} of {taken.__name__}; give it a name of its own")
        if isinstance(self.data, Unlabelled) and kind.reads_labels:
            *others, last = sorted(one for one, config in METHODS.items() if not config.reads_labels)
            raise ValueError(
                f"{name} learns from labels, and the folder {self.data.path} has none; choose {', '.join(others)} or "
                f"{last}, or sort the images into class folders"
            )
        self.method.layout(self.bits)  # refuses a code length that the method cannot write
        code_of(kind)  # a file is read now, close to its import: it may be edited before the first run

    @property
    def layout(self) -> CodeLayout:
        """How its codes are written."""
        return self.method.layout(self.bits)

    @property
    def fingerprint(self) -> dict[str, str]:
        """The images (see `data_fingerprint`) and the trunk's weights as they are on disk now; of a method from
        elsewhere, its code too."""
        found = {"data": data_fingerprint(self.data), "weights": weights_fingerprint(self.method.backbone)}
        return found | code_of(type(self.method))

    @property
    def hash(self) -> str:
        """Eight hex digits of what makes a result: all settings but the name, the images and the trunk's weights as
        they are on disk, the code of a method from elsewhere. Of split lists their content counts, not the pictures.
        Where the images lie does not matter, nor which version of cscelab trains: metrics.json notes that ("version",
        and "code" of the method's file)."""
        return self.hash_with(self.fingerprint)

    def hash_with(self, fingerprint: Mapping[str, str]) -> str:
        """The hash it has with these images, weights and code, as of a stored run."""
        plain = self.to_dict() | {"fingerprint": dict(fingerprint)}
        del plain["name"]
        for part, defaults in LATER.items():
            for setting, value in defaults.items():
                if plain[part][setting] == value:
                    del plain[part][setting]
        for place in ("path", "root", "train", "query", "database"):
            if isinstance(plain["data"].get(place), str):
                del plain["data"][place]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def folder_name(self) -> str:
        return f"{self.name.replace('/', '-').replace(' ', '_')}-{self.hash}"


def _kind_of(data: DataConfig) -> str:
    return next(kind for kind, config in DATA_SETS.items() if type(data) is config)


def _tuples(plain: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
