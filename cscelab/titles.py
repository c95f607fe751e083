"""What runs and data sets are called where people choose among them: short, and never the same for two."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from cscelab.compare import differences
from cscelab.datasets import Aviary, DataConfig, ListFiles, Unlabelled
from cscelab.experiment import Run
from cscelab.methods import METHODS
from cscelab.methods.base import MethodConfig
from cscelab.methods.csce import CSCEConfig
from cscelab.profiles import QUICK
from cscelab.recipes import CSCE, METHODS_BY_RECIPE, PROFILES, RECIPES, TABLE3, recipe, titled

K = TypeVar("K", bound=Hashable)
SIZES = ("train", "validation", "query", "database")
# Settings of the recipes and of STUDY, in its words.
WORDS = {
    "aie_normalize=None": "Eq. 3 as printed",
    "feature_norm=none": "without norm",
    "mixer_start=default": "mixer starts at random",
    "new_lr=3.0": "new parts three times as fast",
    "variant=released": "as released",
    "views=global": "global view alone",
    "views=local": "local view alone",
    "attention=none": "without attention",
    "head=sign": "tanh and sign",
    "balance=True": "balanced pairs",
    "arity=2": "groups of 2",
    "arity=8": "groups of 8",
    "arity=16": "groups of 16",
}
# The settings in which the rows of Table 3 differ.
LOSS = [f.name for f in fields(CSCE) if len({getattr(row, f.name) for row in TABLE3.values()}) > 1]


def title_of(run: Run) -> str:
    """Method as figures write it, "CSCE-Net (VGG16)"; the lesser structures of Table 2 by the names of their rows."""
    structure = getattr(run.experiment.method, "structure", "aie")
    if structure == "aie":
        return titled(run.experiment.method)
    return "Baseline" if structure == "baseline" else f"Baseline + {structure}"


def loss_of(method: MethodConfig) -> str:
    """The row of Table 3 whose loss this is; "" for CSCE-Net's own, for other losses and for other methods."""
    if not isinstance(method, CSCEConfig):
        return ""
    rows = (row for row, of in TABLE3.items() if all(getattr(method, name) == getattr(of, name) for name in LOSS))
    row = next(rows, "")
    return "" if row and TABLE3[row] == CSCE else row


def usual_titles() -> list[str]:
    """Titles of the recipes, the rows of Tables 2 and 3 among them, in their order: what most people look for. Runs
    with other settings and further seeds have words added."""
    titles = []
    for name in METHODS_BY_RECIPE:
        run = Run(RECIPES[name], Path())
        titles.append(", ".join(filter(None, (title_of(run), loss_of(run.experiment.method)))))
    return list(dict.fromkeys(titles))


def method_titles(runs: Sequence[Run]) -> list[str]:
    """A title for each run on one data set: `title_of`; where runs that differ in more than bits would share one, the
    loss, then other settings, then the seed are added, each only where it is not the usual one."""
    # A symbol: the shortest code that every method can write.
    keys = [replace(run.experiment, name="", bits=run.experiment.layout.symbol_bits) for run in runs]
    first = {key: run for run, key in reversed(list(zip(runs, keys, strict=True)))}
    titles = {key: title_of(first[key]) for key in dict.fromkeys(keys)}
    every = {(p, name): recipe(name, p, RECIPES[name].bits) for p in PROFILES for name in METHODS_BY_RECIPE}
    usual = {(e.method, e.training) for e in every.values()}
    plain = {(e.method, e.training) for (_, name), e in every.items() if name in METHODS}

    def settings(same: Sequence[Any]) -> list[str]:
        told = [(key.method, key.training) for key in same]
        reference = next((i for known in (plain, usual) for i, one in enumerate(told) if one in known), 0)
        table = differences([Run(key, Path()) for key in same])
        table = {name: values for name, values in table.items() if name not in ("seed", "bits")}
        return _changed(table, reference, len(same))

    tell_apart(titles, lambda same: [loss_of(key.method) for key in same])
    tell_apart(titles, settings)
    tell_apart(titles, lambda same: [f"seed {key.seed}" if key.seed else "" for key in same])
    return [titles[key] for key in keys]


def data_titles(data: Mapping[DataConfig, int | None]) -> dict[DataConfig, str]:
    """Data set -> title; data: to the number of classes, None where it is not known.

    Where two would share one, the profile is added, and then what differs from the first.
    """
    titles = {config: _data_title(config, n_classes) for config, n_classes in data.items()}
    profiles = {profile.data: name for name, profile in reversed(PROFILES.items()) if profile.data != QUICK.data}

    def settings(same: Sequence[Any]) -> list[str]:
        names = dict.fromkeys(f.name for config in same for f in fields(config))
        return _changed({name: [getattr(config, name, None) for config in same] for name in names}, 0, len(same))

    tell_apart(titles, lambda same: [f"{profiles[one]} profile" if one in profiles else "" for one in same])
    tell_apart(titles, settings)
    return titles


def tell_apart(titles: dict[K, str], words_for: Callable[[Sequence[K]], Sequence[str]]) -> None:
    """Adds words to the titles that several things share; words_for: those things -> words for each, "" for none."""
    for title in dict.fromkeys(titles.values()):
        same = [key for key, value in titles.items() if value == title]
        words = words_for(same) if len(same) > 1 else []
        if len(set(words)) > 1:
            titles |= {key: f"{title}, {word}" for key, word in zip(same, words, strict=True) if word}


def _data_title(data: DataConfig, n_classes: int | None) -> str:
    if isinstance(data, Aviary):
        return f"Aviary{' scenes' if data.scenes else ''}, {data.n_classes} species"
    name = Path(data.root if isinstance(data, ListFiles) else data.path).name
    what = "unlabelled images" if isinstance(data, Unlabelled) else "classes"
    counted = "" if n_classes is None else f", {n_classes} {what}"
    return f"{name}{counted}, {data.image_size} px"


def _changed(table: Mapping[str, Sequence[Any]], reference: int, count: int) -> list[str]:
    """Setting -> value for each of `count` things; the settings of each that are not the reference's, in words."""
    return [
        ", ".join(_setting(name, values[i]) for name, values in table.items() if values[i] != values[reference])
        for i in range(count)
    ]


def _setting(name: str, value: Any) -> str:
    if name in SIZES and isinstance(value, int):
        return f"{value:,} {name}"
    setting = f"{name.split('.')[-1]}={value}"
    return WORDS.get(setting, setting)
