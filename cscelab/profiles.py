"""What experiments run on: data, training, code lengths and seeds, from a test's seconds to the paper's setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cscelab.datasets import DataConfig
from cscelab.datasets.aviary import Aviary
from cscelab.datasets.lists import ListFiles
from cscelab.model.backbone import BackboneConfig
from cscelab.paths import data_root
from cscelab.steps import Training


@dataclass(frozen=True)
class Benchmark:
    """A data set of Table 1. map_at: k of mAP@k, None for all; published: the paper's data sets shown beside it."""

    data: DataConfig
    map_at: int | None
    published: tuple[str, ...]


@dataclass(frozen=True)
class Profile:
    """What a recipe runs on. lengths: code lengths of Tables 2 and 3; gallery: those of Fig. 5, with the first seed;
    compared: those of Table 1; multilabel: its further data sets, by name."""

    data: DataConfig
    training: Training
    lengths: tuple[int, ...]
    seeds: tuple[int, ...]
    gallery: tuple[int, ...] = (16, 32, 64)
    compared: tuple[int, ...] = (16, 32, 64)
    multilabel: Mapping[str, Benchmark] = field(default_factory=dict)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    map_at: int | None = None
    smoke: bool = False
    downloads: bool = False  # whether rows on trunks of their own, whose weights are a download, are trained

    @property
    def benchmarks(self) -> dict[str, Benchmark]:
        """The data sets of Table 1: the profile's own, then the multi-label ones."""
        return {SINGLE: Benchmark(self.data, self.map_at, ("ImageNet100",)), **self.multilabel}


SINGLE = "single"  # what a profile's own data set is called among its benchmarks


def _scenes(data: Aviary) -> dict[str, Benchmark]:
    """The same drawings with several species an image."""
    return {"scenes": Benchmark(replace(data, scenes=True), None, ("MS COCO", "NUS-WIDE"))}


def _lists(folder: str) -> ListFiles:
    """The field's split lists under data/FOLDER (data/README.md)."""
    root = data_root() / folder
    return ListFiles(
        root=str(root), train=str(root / "train.txt"), query=str(root / "test.txt"), database=str(root / "database.txt")
    )


DRAWN = Aviary(train=3000, validation=400, query=500, database=3000)
MORE = Aviary(train=4000, validation=400, query=1000, database=4000)
FEW = Aviary(n_classes=4, train=64, validation=24, query=24, database=48)
QUICK = Profile(
    data=DRAWN,
    training=Training(epochs=4, batch_size=32, lr=2e-3, threads=1),
    lengths=(16,),
    seeds=(0,),
    compared=(32,),
    multilabel=_scenes(DRAWN),
)
PROFILES: dict[str, Profile] = {
    "quick": QUICK,
    "standard": replace(
        QUICK,
        data=MORE,
        training=replace(QUICK.training, epochs=8),
        lengths=(16, 32, 64),
        seeds=(0, 1, 2),
        compared=(16, 32, 64),
        multilabel=_scenes(MORE),
    ),
    # Sec. 4.2: ResNet-50, RMSProp, 1e-5, batch 128, 100 epochs, resize 256, centre crop 224, mAP@1000 and @5000.
    "paper": Profile(
        data=_lists("imagenet100"),
        training=Training(
            epochs=100, batch_size=128, optimizer="rmsprop", lr=1e-5, weight_decay=1e-5, schedule="constant",
            flip=False, shift=0, threads=8,
        ),
        lengths=(16, 32, 64),
        seeds=(0, 1, 2),
        multilabel={
            "coco": Benchmark(_lists("coco"), 5000, ("MS COCO",)),
            "nus-wide": Benchmark(_lists("nus-wide"), 5000, ("NUS-WIDE",)),
        },
        backbone=BackboneConfig("resnet50"),
        map_at=1000,
        downloads=True,
    ),
    "smoke": replace(
        QUICK,
        data=FEW,
        training=replace(QUICK.training, epochs=1, batch_size=32),
        gallery=(16,),
        compared=(16,),
        multilabel=_scenes(FEW),
        smoke=True,
    ),
}  # fmt: skip


def find_profile(name: str) -> Profile:
    if name not in PROFILES:
        raise ValueError(f"unknown profile {name!r}; choose from {sorted(PROFILES)}")
    return PROFILES[name]
