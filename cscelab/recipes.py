"""Named experiments: the rows of Tables 2 and 3, CSCE-Net and CSQ for the galleries, under three profiles."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from cscelab.datasets import DataConfig
from cscelab.datasets.aviary import Aviary
from cscelab.datasets.folder import Folder
from cscelab.datasets.lists import ListFiles
from cscelab.experiment import Experiment
from cscelab.methods import METHODS
from cscelab.methods.base import MethodConfig
from cscelab.methods.csce import CSCEConfig
from cscelab.methods.csq import CSQConfig
from cscelab.model.backbone import BackboneConfig
from cscelab.paths import data_root
from cscelab.train import Training


@dataclass(frozen=True)
class Profile:
    """What a recipe runs on. lengths: code lengths of the tables; gallery: those of Fig. 5, with the first seed."""

    data: DataConfig
    training: Training
    lengths: tuple[int, ...]
    seeds: tuple[int, ...]
    gallery: tuple[int, ...] = (16, 32, 64)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    map_at: int | None = None
    smoke: bool = False
    adjusted: bool = True  # whether methods' own settings of training are taken over


IMAGENET100 = data_root() / "imagenet100"
QUICK = Profile(
    data=Aviary(train=3000, validation=400, query=500, database=3000),
    training=Training(epochs=4, batch_size=32, lr=2e-3, threads=1),
    lengths=(16,),
    seeds=(0,),
)
PROFILES: dict[str, Profile] = {
    "quick": QUICK,
    "standard": replace(
        QUICK,
        data=Aviary(train=4000, validation=400, query=1000, database=4000),
        training=replace(QUICK.training, epochs=8),
        lengths=(16, 32, 64),
        seeds=(0, 1, 2),
    ),
    # Sec. 4.2: ResNet-50, RMSProp, 1e-5, batch 128, 100 epochs, resize 256, centre crop 224, mAP@1000.
    "paper": Profile(
        data=ListFiles(
            root=str(IMAGENET100),
            train=str(IMAGENET100 / "train.txt"),
            query=str(IMAGENET100 / "test.txt"),
            database=str(IMAGENET100 / "database.txt"),
        ),
        training=Training(
            epochs=100, batch_size=128, optimizer="rmsprop", lr=1e-5, weight_decay=1e-5, schedule="constant",
            flip=False, shift=0, threads=8,
        ),
        lengths=(16, 32, 64),
        seeds=(0, 1, 2),
        backbone=BackboneConfig("resnet50"),
        map_at=1000,
        adjusted=False,
    ),
    "smoke": replace(
        QUICK,
        data=Aviary(n_classes=4, train=64, validation=24, query=24, database=48),
        training=replace(QUICK.training, epochs=1, batch_size=32),
        gallery=(16,),
        smoke=True,
    ),
}  # fmt: skip

# Two settings beside the paper's text, chosen by validation mAP over seeds (STUDY below; README, "What trains"):
# Eq. 3 as printed subtracts a context thousands of times larger than f_l, and plain f_e lets it reach the hash layer.
CSCE = CSCEConfig(aie_normalize="frobenius", feature_norm="batch")
PRINTED = replace(CSCE, aie_normalize=None)  # as the variant says: the paper's

# What decides whether the whole structure trains: the scale of Eq. 3, a norm before the hash layer, the mixer's start,
# the learning rate of new parts (a factor). Row -> method, factor.
STUDY = {
    "Eq. 3 as printed": (replace(PRINTED, feature_norm="none"), 1.0),
    "Eq. 3 as printed, norm": (PRINTED, 1.0),
    "Eq. 3 over ||f_g||^2": (replace(CSCE, feature_norm="none"), 1.0),
    "Eq. 3 over ||f_g||^2, norm (ours)": (CSCE, 1.0),
    "ours, mixer starts at random": (replace(CSCE, mixer_start="default"), 1.0),
    "ours, new parts three times as fast": (CSCE, 3.0),
    "Baseline": (replace(PRINTED, structure="baseline", feature_norm="none"), 1.0),
    "Baseline, norm (ours)": (replace(CSCE, structure="baseline"), 1.0),
}

# Table 2: one network, six structures, the loss of Sec. 3.5 throughout.
STRUCTURE_ROWS = {
    "Baseline": "baseline",
    "Baseline + local": "local",
    "Baseline + global-sw2": "sw2",
    "Baseline + global-sw4": "sw4",
    "Baseline + global-sw2 + global-sw4": "sw2+sw4",
    "Baseline + AIE": "aie",
}
TABLE2 = {row: replace(CSCE, structure=structure) for row, structure in STRUCTURE_ROWS.items()}

# Table 3: six losses on the whole network. "Qua" is Eq. 14 with plain sign, "DSF" with the dynamic sign.
TABLE3 = {
    "CE": replace(CSCE, metric="ce", quantization="none", sign="plain"),
    "CE+Qua": replace(CSCE, metric="ce", sign="plain"),
    "CF": replace(CSCE, quantization="none", sign="plain"),
    "CF+Qua": replace(CSCE, sign="plain"),
    # The threshold as released: no gradient ever reaches it.
    "CF+DSF": CSCE,
    # Ours: a threshold that learns, straight through, because the metric loss and the balance also judge the codes;
    # the cap of .005 would leave it next to nothing to decide, so it may reach .5.
    "CF+DSF learned": replace(
        CSCE, estimator="straight_through", threshold_cap=0.5, code_weight=0.5, balance_weight=0.1
    ),
}

METHODS_BY_RECIPE: dict[str, MethodConfig] = {
    "csce": CSCE,
    "csce-released": CSCEConfig(variant="released"),
    "csq": CSQConfig(),
    **{f"table2/{method.structure}": method for method in TABLE2.values()},
    **{f"table3/{row.lower().replace(' ', '-')}": method for row, method in TABLE3.items()},
}
METHODS_BY_RECIPE |= {name: config() for name, config in METHODS.items() if name not in METHODS_BY_RECIPE}


def recipe(name: str, profile: str = "quick", bits: int = 16, seed: int = 0) -> Experiment:
    """The experiment of a recipe under a profile. Raises ValueError naming the choices where either is unknown."""
    if name not in METHODS_BY_RECIPE:
        raise ValueError(f"unknown recipe {name!r}; choose from {sorted(METHODS_BY_RECIPE)}")
    chosen = find_profile(profile)
    method = replace(METHODS_BY_RECIPE[name], backbone=chosen.backbone)
    training = replace(chosen.training, **(method.training if chosen.adjusted else {}))
    return Experiment(f"{name}/{bits}", chosen.data, method, bits, training, chosen.map_at, seed, chosen.smoke)


def study(profile: str = "quick", seeds: tuple[int, ...] = (0, 1, 2)) -> dict[str, list[Experiment]]:
    """The rows of STUDY at the profile's shortest code length, one experiment a seed."""
    rows: dict[str, list[Experiment]] = {}
    for row, (method, new_lr) in STUDY.items():
        rows[row] = []
        for seed in seeds:
            whole = recipe("csce", profile, find_profile(profile).lengths[0], seed)
            chosen = replace(method, backbone=whole.method.backbone)
            training = replace(whole.training, new_lr=new_lr)
            rows[row].append(replace(whole, name=f"study/{slug(row)}", method=chosen, training=training))
    return rows


def slug(text: str) -> str:
    """Lower case, words joined by hyphens: part of a folder's name."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def find_profile(name: str) -> Profile:
    if name not in PROFILES:
        raise ValueError(f"unknown profile {name!r}; choose from {sorted(PROFILES)}")
    return PROFILES[name]


def parse_data(
    text: str,
    default: DataConfig,
    image_size: int | None = None,
    train: int | None = None,
    query: int | None = None,
    database: int | None = None,
) -> DataConfig:
    """Data named on the command line: "aviary", "scenes" (several species an image, multi-label) or "folder:PATH".

    Raises ValueError for anything else.
    """
    kind, _, path = text.partition(":")
    if kind == "folder" and path:
        # Absolute, so that a notebook, which runs in another folder, finds the images of a stored run too.
        whole = str(Path(path).expanduser().resolve())
        return Folder(path=whole, image_size=image_size or 64, train=train, query=query, database=database)
    if (image_size, train, query, database) != (None, None, None, None):
        raise ValueError(f"sizes were given for {text!r}, but they are for photographs; give --data folder:PATH too")
    drawn = default if isinstance(default, Aviary) else QUICK.data
    assert isinstance(drawn, Aviary)
    if kind in ("aviary", "scenes"):
        return replace(drawn, scenes=kind == "scenes")
    raise ValueError(f"unknown data set {text!r}; give 'aviary', 'scenes' or 'folder:PATH', a folder of class folders")


def photographs(
    text: str, image_size: int, train: int | None, query: int | None, database: int | None, bits: int, epochs: int
) -> dict[str, Experiment]:
    """CSCE-Net and CSQ on a folder of photographs, by title; the shipped trunk of drawn birds is where both start."""
    data = parse_data(text, QUICK.data, image_size, train, query, database)
    training = replace(QUICK.training, epochs=epochs)
    return {
        METHODS_BY_RECIPE[name].title: replace(
            recipe(name, bits=bits), name=f"photographs/{name}/{bits}", data=data, training=training
        )
        for name in ("csce", "csq")
    }


def describe() -> dict[str, str]:
    """Recipe -> the settings in which it differs from its method's defaults."""
    texts = {}
    for name, method in METHODS_BY_RECIPE.items():
        plain = type(method)()
        changed = {
            f.name: getattr(method, f.name) for f in fields(method) if getattr(method, f.name) != getattr(plain, f.name)
        }
        settings = ", ".join(f"{key}={value}" for key, value in changed.items())
        texts[name] = f"{method.title} ({method.paper})" + (f": {settings}" if settings else "")
    return texts


RECIPES: dict[str, Experiment] = {name: recipe(name) for name in METHODS_BY_RECIPE}
