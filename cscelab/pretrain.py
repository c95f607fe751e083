"""The shipped trunk: `tiny` pretrained as a classifier on Aviary species that occur in no benchmark split.

The stand-in for ImageNet weights. Made by `cscelab pretrain`; stored in half precision (under 1.5 MB).
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from cscelab.datasets.aviary import Aviary, load_aviary
from cscelab.methods.base import HashMethod, HashOutput, MethodConfig
from cscelab.model.backbone import BackboneConfig
from cscelab.model.network import HashNetwork, NetworkConfig
from cscelab.paths import data_root, make_folder
from cscelab.train import Training, fit, quiet_lightning, weights_of


@dataclass(frozen=True)
class ClassifierConfig(MethodConfig):
    """A plain softmax classifier on pooled stage 4, trained from scratch; its logits stand where values do."""

    name: ClassVar[str] = "classifier"
    title: ClassVar[str] = "Classifier"
    paper: ClassVar[str] = "none"
    backbone: BackboneConfig = field(default_factory=lambda: BackboneConfig(weights="none"))

    def build(self, n_classes: int, bits: int) -> Classifier:
        return Classifier(self, n_classes, bits)


class Classifier(HashMethod):
    def __init__(self, config: ClassifierConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        self.network = HashNetwork(
            NetworkConfig(config.backbone, config.image_size, "baseline", threshold_layer=False), bits
        )

    def losses(
        self,
        output: HashOutput,
        labels: Tensor,
        generator: torch.Generator | None = None,
        ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        return {"classes": F.cross_entropy(output.values, labels)}


PRETRAINING = Aviary(
    n_classes=100,
    population="pretraining",
    scale=(0.25, 0.7),
    clutter=16,
    occlusion=0.15,
    train=16_000,
    validation=500,
    query=20,
    database=20,
    seed=1,
)
SCHEDULE = Training(epochs=8, batch_size=64, optimizer="adam", lr=3e-3, weight_decay=1e-5, threads=2)


def pretrain(
    target: Path, data: Aviary = PRETRAINING, schedule: Training = SCHEDULE, root: Path | None = None
) -> list[dict[str, float]]:
    """Trains the trunk and writes its half-precision weights to target; returns one history row an epoch.

    What a resume needs lies under root (the data folder), keyed by data and schedule, until the weights are written.
    """
    quiet_lightning()
    torch.set_num_threads(schedule.threads)
    root = root or data_root()
    make_folder(target.parent, "name another file")
    splits = load_aviary(data, root)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = ClassifierConfig(image_size=data.image_size).build(splits.n_classes, splits.n_classes)
    key = hashlib.sha256(repr((data, schedule)).encode()).hexdigest()[:8]
    work = root / f"pretraining-{key}"
    history = fit(classifier, splits, schedule, work)
    weights = weights_of(classifier.network.backbone)
    save_file({k: v.half() if v.is_floating_point() else v for k, v in weights.items()}, target)
    shutil.rmtree(work)
    return history
