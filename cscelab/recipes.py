"""Named experiments: the rows of Tables 1 to 3, every method and CSCE-Net's variants, under any profile."""

from __future__ import annotations

from dataclasses import fields, replace

from cscelab.experiment import Experiment
from cscelab.layout import bits_of_symbol
from cscelab.methods import METHODS
from cscelab.methods.alternating import AlternatingConfig
from cscelab.methods.base import MethodConfig
from cscelab.methods.cibhash import CIBHashConfig
from cscelab.methods.csce import CSCEConfig
from cscelab.methods.csq import CSQConfig
from cscelab.methods.doh import DOHConfig
from cscelab.methods.exchnet import ExchNetConfig
from cscelab.model.backbone import BackboneConfig
from cscelab.profiles import PROFILES as PROFILES  # all four are also found here, where recipes are
from cscelab.profiles import SINGLE, Alternation, Benchmark, find_profile
from cscelab.profiles import Profile as Profile
from cscelab.published import GC, RESNET, VGG, VIT
from cscelab.steps import Training

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

# ExchNet and what it is made of, beside the methods it is compared with. Row -> recipe.
EXCHNET = ExchNetConfig()
EXCHNET_RECIPES: dict[str, MethodConfig] = {
    "exchnet/no-exchange": replace(EXCHNET, exchange_from=1.0),
    "exchnet/no-constraints": replace(EXCHNET, spatial_weight=0.0, channel_weight=0.0),
    "exchnet/2-parts": replace(EXCHNET, n_parts=2),
    "exchnet/6-parts": replace(EXCHNET, n_parts=6),
}
EXCHNET_ROWS = {
    "ExchNet": "exchnet",
    "ExchNet without exchange": "exchnet/no-exchange",
    "ADSH": "adsh",
    "HashNet": "hashnet",
}
PART_SWEEP = {2: "exchnet/2-parts", 4: "exchnet", 6: "exchnet/6-parts"}  # M -> recipe, as the paper sweeps it

# Deep Ordinal Hashing and what it is made of. Row -> recipe.
DOH = DOHConfig()
DOH_RECIPES: dict[str, MethodConfig] = {
    "doh/global": replace(DOH, views="global"),
    "doh/local": replace(DOH, views="local"),
    "doh/local-no-attention": replace(DOH, views="local", attention="none"),
    "doh/no-attention": replace(DOH, attention="none"),
    "doh/sign": replace(DOH, head="sign"),
    "doh/balanced": replace(DOH, balance=True, pair_weight=4.0),
    "doh/2-ary": replace(DOH, arity=2),
    "doh/8-ary": replace(DOH, arity=8),
    "doh/16-ary": replace(DOH, arity=16),
}
DOH_ROWS = {
    "Global view only": "doh/global",
    "Local view without attention": "doh/local-no-attention",
    "Local view with attention": "doh/local",
    "Both views without attention": "doh/no-attention",
    "Both views with attention (DOH)": "doh",
    "Both, tanh and sign": "doh/sign",
    "Both, balanced pairs, pair weight 4": "doh/balanced",
}
ARITY_SWEEP = {2: "doh/2-ary", 4: "doh", 8: "doh/8-ary", 16: "doh/16-ary"}  # k -> recipe

# CIBHash with the views its authors trained on photographs with; ours are off for drawn birds.
RELEASED_VIEWS = CIBHashConfig(smallest_crop=0.5, jitter=0.4, hue=0.1, grey=0.2, blur=0.5)

# Table 1: rows on trunks of their own beside those on the profile's. Recipe -> method, trunk.
OWN_TRUNKS = {
    "cibhash-vgg16": ("cibhash", "vgg16"),
    "cibhash-gcvit": ("cibhash", "gcvit_xxtiny"),
    "transhash-vit": ("transhash", "vit_b_16"),
    "csce-vgg16": ("csce", "vgg16"),
    "csce-gcvit": ("csce", "gcvit_xxtiny"),
}
TRUNK_TITLES = {"resnet50": RESNET, "vgg16": VGG, "gcvit_xxtiny": GC, "vit_b_16": VIT}
UNSUPERVISED = tuple(name for name, config in METHODS.items() if not config.reads_labels)

METHODS_BY_RECIPE: dict[str, MethodConfig] = {
    "csce": CSCE,
    "csce-released": CSCEConfig(variant="released"),
    "csq": CSQConfig(),
    **{f"table2/{method.structure}": method for method in TABLE2.values()},
    **{f"table3/{row.lower().replace(' ', '-')}": method for row, method in TABLE3.items()},
}
METHODS_BY_RECIPE |= EXCHNET_RECIPES | DOH_RECIPES
METHODS_BY_RECIPE["cibhash/released-views"] = RELEASED_VIEWS
METHODS_BY_RECIPE |= {name: config() for name, config in METHODS.items() if name not in METHODS_BY_RECIPE}
METHODS_BY_RECIPE |= {
    name: replace(METHODS_BY_RECIPE[method], backbone=BackboneConfig(trunk))
    for name, (method, trunk) in OWN_TRUNKS.items()
}


def titled(method: MethodConfig) -> str:
    """The method as tables write it, with its trunk where that is one of OWN_TRUNKS: "CSCE-Net (VGG16)"."""
    trunk = method.backbone.name
    own = any(trunk == name for _, name in OWN_TRUNKS.values())
    return f"{method.title} ({TRUNK_TITLES[trunk]})" if own else method.title


# Each method, and below it the same on trunks of its own.
TABLE1 = {
    titled(METHODS_BY_RECIPE[name]): METHODS_BY_RECIPE[name]
    for method in METHODS
    for name in (method, *(name for name, (of, _) in OWN_TRUNKS.items() if of == method))
}


def recipe(name: str, profile: str = "quick", bits: int = 16, seed: int = 0, on: str = SINGLE) -> Experiment:
    """The experiment of a recipe under a profile, on one of its benchmarks, by default its single-label data.

    Recipes of OWN_TRUNKS keep theirs; methods that alternate are trained by the profile's alternation. Raises
    ValueError naming the choices where one is unknown.
    """
    chosen, method = find_profile(profile), _method(name)
    where, training = chosen.find(on, profile), chosen.training
    if name not in OWN_TRUNKS:
        method = replace(method, backbone=chosen.backbone)
    if isinstance(method, AlternatingConfig):
        method, training = alternating(method, chosen.alternation, where)
    whole = f"{name}/{bits}" if on == SINGLE else f"{on}/{name}/{bits}"
    return Experiment(whole, where.data, method, bits, training, where.map_at, seed, chosen.smoke)


def _method(name: str) -> MethodConfig:
    if name not in METHODS_BY_RECIPE:
        raise ValueError(f"unknown recipe {name!r}; choose from {sorted(METHODS_BY_RECIPE)}")
    return METHODS_BY_RECIPE[name]


def alternating(
    method: AlternatingConfig, alternation: Alternation, where: Benchmark
) -> tuple[AlternatingConfig, Training]:
    """The method with what the profile draws in an outer iteration of this data set, and its training."""
    samples = where.samples or alternation.samples
    return replace(method, samples=samples, passes=alternation.passes), alternation.training


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


def describe() -> dict[str, str]:
    """Recipe -> the settings in which it differs from its method's defaults; a trunk of its own is in the title, and
    with it the profile that has images of the size it is made for."""
    texts = {}
    for name, method in METHODS_BY_RECIPE.items():
        plain = replace(type(method)(), backbone=method.backbone)
        changed = {
            f.name: getattr(method, f.name) for f in fields(method) if getattr(method, f.name) != getattr(plain, f.name)
        }
        settings = ", ".join(f"{key}={value}" for key, value in changed.items())
        profile = "; --profile paper" if name in OWN_TRUNKS else ""
        texts[name] = f"{titled(method)} ({method.paper}{profile})" + (f": {settings}" if settings else "")
    return texts


def usual_length(name: str) -> int:
    """16 bits, or the next length that the method can write, as 18 for symbols of 3. Raises ValueError as `recipe`."""
    symbol_bits = bits_of_symbol(_method(name).code_arity)
    return -(-16 // symbol_bits) * symbol_bits


RECIPES: dict[str, Experiment] = {name: recipe(name, bits=usual_length(name)) for name in METHODS_BY_RECIPE}
