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
    """A data set of Table 1 or of ExchNet's figures. map_at: k of mAP@k, None for all; published: the paper's data
    sets shown beside it; samples: drawn in an outer iteration of ADSH and ExchNet, None for the profile's."""

    data: DataConfig
    map_at: int | None
    published: tuple[str, ...]
    samples: int | None = None


@dataclass(frozen=True)
class Alternation:
    """How ADSH and ExchNet are trained: outer iterations (training.epochs), images drawn in each, passes over them."""

    training: Training
    samples: int
    passes: int


@dataclass(frozen=True)
class Profile:
    """What a recipe runs on. lengths: code lengths of Tables 2 and 3; gallery: those of Fig. 5, with the first seed;
    compared: those of Table 1; multilabel: its further data sets, by name; alternation: of methods that alternate;
    finegrained, finegrained_lengths: data sets and code lengths of ExchNet's figures; arity_lengths: code lengths at
    which group sizes of ordinal codes are compared; further: data sets of no table, which only `--on` names."""

    data: DataConfig
    training: Training
    alternation: Alternation
    lengths: tuple[int, ...]
    seeds: tuple[int, ...]
    gallery: tuple[int, ...] = (16, 32, 64)
    compared: tuple[int, ...] = (16, 32, 64)
    multilabel: Mapping[str, Benchmark] = field(default_factory=dict)
    finegrained: Mapping[str, Benchmark] = field(default_factory=dict)
    finegrained_lengths: tuple[int, ...] = (12, 24, 32, 48)
    further: Mapping[str, Benchmark] = field(default_factory=dict)
    arity_lengths: tuple[int, ...] = (24, 48)  # whole numbers of symbols of 1 to 4 bits
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    map_at: int | None = None
    smoke: bool = False
    downloads: bool = False  # whether rows on trunks of their own, whose weights are a download, are trained

    @property
    def benchmarks(self) -> dict[str, Benchmark]:
        """The data sets of Table 1: the profile's own, then the multi-label ones."""
        return {SINGLE: Benchmark(self.data, self.map_at, ("ImageNet100",)), **self.multilabel}

    def find(self, on: str, called: str | None = None) -> Benchmark:
        """A data set by name, of Table 1 or fine-grained. called: the profile's own name, for messages. Raises
        ValueError naming the choices."""
        known = {**self.benchmarks, **self.finegrained, **self.further}
        if on not in known:
            profile = "the profile" if called is None else f"profile {called!r}"
            raise ValueError(f"{profile} has no benchmark {on!r}; choose from {sorted(known)}")
        return known[on]


SCRATCH = "scratch"  # the profile of real photographs on a CPU
SINGLE = "single"  # what a profile's own data set is called among its benchmarks


def _scenes(data: Aviary) -> dict[str, Benchmark]:
    """The same drawings with several species an image."""
    return {"scenes": Benchmark(replace(data, scenes=True), None, ("MS COCO", "NUS-WIDE"))}


def _species40(data: Aviary) -> dict[str, Benchmark]:
    """More species, so that fewer parts tell them apart, and the training images as the database."""
    return {"species40": Benchmark(replace(data, n_classes=40, database=None), None, ("CUB-200-2011",))}


def _lists(folder: str, database: str = "database.txt") -> ListFiles:
    """The field's split lists under data/FOLDER (data/README.md)."""
    root = data_root() / folder
    return ListFiles(
        root=str(root), train=str(root / "train.txt"), query=str(root / "test.txt"), database=str(root / database)
    )


def _upsampled(folder: str) -> ListFiles:
    """Lists of small images, enlarged to 64 px: CSCE-Net's 4x4 windows need that on the tiny trunk."""
    return replace(_lists(folder), image_size=64, resize=64)


def _fine_grained(folder: str, title: str, samples: int | None = None) -> Benchmark:
    """ExchNet Sec. 4.1: queries are the test split, the database is the training split, mAP over all of it."""
    return Benchmark(_lists(folder, database="train.txt"), None, (title,), samples)


DRAWN = Aviary(train=3000, validation=400, query=500, database=3000)
MORE = Aviary(train=4000, validation=400, query=1000, database=4000)
FEW = Aviary(n_classes=4, train=64, validation=24, query=24, database=48)
BRIEF = Training(epochs=4, batch_size=32, lr=2e-3, threads=1)
PATIENT = Training(epochs=60, batch_size=64, lr=2e-3, threads=1, augmentation="trivial")
QUICK = Profile(
    data=DRAWN,
    training=BRIEF,
    # As many images pass through the network as in four epochs of 3,000.
    alternation=Alternation(replace(BRIEF, epochs=12), samples=1000, passes=1),
    lengths=(16,),
    seeds=(0,),
    compared=(32,),
    multilabel=_scenes(DRAWN),
    finegrained=_species40(DRAWN),
)
PROFILES: dict[str, Profile] = {
    "quick": QUICK,
    "standard": replace(
        QUICK,
        data=MORE,
        training=replace(BRIEF, epochs=8),
        alternation=Alternation(replace(BRIEF, epochs=16), samples=2000, passes=1),
        lengths=(16, 32, 64),
        seeds=(0, 1, 2),
        compared=(16, 32, 64),
        multilabel=_scenes(MORE),
        finegrained=_species40(MORE),
    ),
    # Sec. 4.2: ResNet-50, RMSProp, 1e-5, batch 128, 100 epochs, resize 256, centre crop 224, mAP@1000 and @5000.
    "paper": Profile(
        data=_lists("imagenet100"),
        training=Training(
            epochs=100, batch_size=128, optimizer="rmsprop", lr=1e-5, weight_decay=1e-5, schedule="constant",
            flip=False, shift=0, threads=8,
        ),
        # ExchNet Sec. 4.1; momentum .9 and mirrored images are ours.
        alternation=Alternation(
            Training(
                epochs=100, batch_size=64, optimizer="sgd", lr=1e-3, weight_decay=1e-4, schedule="steps",
                flip=True, shift=0, threads=8,
            ),
            samples=2000,
            passes=20,
        ),
        lengths=(16, 32, 64),
        seeds=(0, 1, 2),
        multilabel={
            "coco": Benchmark(_lists("coco"), 5000, ("MS COCO",)),
            "nus-wide": Benchmark(_lists("nus-wide"), 5000, ("NUS-WIDE",)),
        },
        finegrained={
            "cub": _fine_grained("cub-200-2011", "CUB-200-2011"),
            "aircraft": _fine_grained("fgvc-aircraft", "FGVC-Aircraft"),
            "nabirds": _fine_grained("nabirds", "NABirds", samples=4000),
            "vegfru": _fine_grained("vegfru", "VegFru", samples=4000),
            "food101": _fine_grained("food-101", "Food-101"),
        },
        further={
            "cifar10": Benchmark(_lists("cifar10"), None, ()),
            "cifar10-59000": Benchmark(_lists("cifar10-59000"), None, ()),
            "cifar10-50000": Benchmark(_lists("cifar10-50000"), None, ()),
            "nus-wide-81": Benchmark(_lists("nus-wide-81"), 5000, ()),
            "mirflickr": Benchmark(_lists("mirflickr25k"), None, ()),
            **{name: Benchmark(_lists(name), None, ()) for name in ("flowers-102", "stanford-cars", "oxford-pets")},
        },
        backbone=BackboneConfig("resnet50"),
        map_at=1000,
        downloads=True,
    ),
    # CIFAR-10 on two cores, nothing pretrained. Chosen on validation images with CSQ, 32 bits, seed 0: README.
    SCRATCH: Profile(
        data=_upsampled("cifar10"),
        training=PATIENT,
        alternation=Alternation(PATIENT, samples=2000, passes=2),
        lengths=(16, 32, 64),
        seeds=(0,),
        compared=(32,),
        further={name: Benchmark(_upsampled(name), None, ()) for name in ("cifar10-59000", "cifar10-50000")},
        backbone=BackboneConfig("tiny", "none"),
    ),
    "smoke": replace(
        QUICK,
        data=FEW,
        training=replace(BRIEF, epochs=1),
        alternation=Alternation(replace(BRIEF, epochs=2), samples=32, passes=1),
        gallery=(16,),
        compared=(16,),
        multilabel=_scenes(FEW),
        finegrained={"species40": Benchmark(replace(FEW, database=None), None, ("CUB-200-2011",))},
        finegrained_lengths=(12, 24),
        arity_lengths=(12,),
        smoke=True,
    ),
}  # fmt: skip


def find_profile(name: str) -> Profile:
    if name not in PROFILES:
        raise ValueError(f"unknown profile {name!r}; choose from {sorted(PROFILES)}")
    return PROFILES[name]
