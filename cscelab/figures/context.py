"""What figures are drawn from: the finished runs of a profile, found by recipe, code length, seed and data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pandas as pd
from matplotlib.figure import Figure

from cscelab.datasets import DataConfig, Splits
from cscelab.datasets.lists import LISTS, ListFiles
from cscelab.experiment import Run
from cscelab.figures.comparison import RunsByRow
from cscelab.methods.base import MethodConfig
from cscelab.model.network import HashNetwork
from cscelab.profiles import SINGLE, Benchmark, Profile, find_profile
from cscelab.recipes import METHODS_BY_RECIPE, OWN_TRUNKS, TABLE1, recipe

B = TypeVar("B", bound=Benchmark)
# File stem -> picture, table that becomes a CSV, or both.
Drawn = dict[str, Figure | pd.DataFrame | tuple[pd.DataFrame, Figure]]


@dataclass(frozen=True)
class Context:
    """The finished runs of a profile, found by experiment."""

    profile_name: str
    runs: Mapping[str, Run]  # by hash
    seeds: int | None = None  # of the tables; None for the profile's own

    @property
    def profile(self) -> Profile:
        return seeded(self.profile_name, self.seeds)

    @property
    def seeds_suffix(self) -> str:
        """Of the names of files that the seeds change, where a number of seeds was asked for."""
        return f"-{len(self.profile.seeds)}seeds" if self.seeds else ""

    @cached_property
    def splits(self) -> Splits:
        return self.whole.data()

    @property
    def whole(self) -> Run:
        """CSCE-Net at the shortest gallery length, first seed: what Figs. 2 to 4 and 6 are drawn from."""
        return self.run("csce", self.profile.gallery[0])

    def run(self, name: str, bits: int, seed: int | None = None, on: str = SINGLE) -> Run:
        seed = self.profile.seeds[0] if seed is None else seed
        return self.runs[recipe(name, self.profile_name, bits, seed, on).hash]

    def rows(self, table: Mapping[str, MethodConfig]) -> RunsByRow:
        """Runs of a table: row -> bits -> one run a seed."""
        return {row: self.seeds_of(recipe_of(method), self.profile.lengths) for row, method in table.items()}

    def compared(self, on: str) -> RunsByRow:
        """Runs of Table 1 on one of the profile's benchmarks; none in rows that the profile does not train."""
        trained = compared_recipes(self.profile)
        names = {row: recipe_of(method) for row, method in TABLE1.items()}
        return {
            row: self.seeds_of(name, self.profile.compared, on) if name in trained else {}
            for row, name in names.items()
        }

    def seeds_of(self, name: str, lengths: Iterable[int], on: str = SINGLE) -> dict[int, list[Run]]:
        """Bits -> the runs of a recipe, one a seed."""
        return {bits: [self.run(name, bits, seed, on) for seed in self.profile.seeds] for bits in lengths}

    @cached_property
    def network(self) -> HashNetwork:
        return self.whole.model().network


def seeded(profile_name: str, seeds: int | None) -> Profile:
    """The profile, with seeds 0 to seeds - 1 where a number is given. Raises ValueError for less than one."""
    profile = find_profile(profile_name)
    if seeds is None:
        return profile
    if seeds < 1:
        raise ValueError(f"{seeds} seeds were asked for; give at least 1")
    return replace(profile, seeds=tuple(range(seeds)))


def middle_length(profile: Profile) -> int:
    """The middle one of the code lengths at which methods are compared: of curves, costs and ablations."""
    return profile.compared[len(profile.compared) // 2]


def benchmarks_at_hand(profile: Profile) -> dict[str, Benchmark]:
    """The data sets of Table 1 without those whose split lists are absent.

    Raises ValueError where that is all of them.
    """
    return _at_hand(profile.benchmarks, "Table 1")


def finegrained_at_hand(profile: Profile) -> dict[str, Benchmark]:
    """The data sets of ExchNet's figures without those whose split lists are absent.

    Raises ValueError where that is all of them.
    """
    return _at_hand(profile.finegrained, "ExchNet's figures")


def _at_hand(benchmarks: Mapping[str, B], what: str) -> dict[str, B]:
    found = {on: one for on, one in benchmarks.items() if not absent_lists(one.data)}
    if not found:
        lists = [absent_lists(one.data)[0] for one in benchmarks.values()]
        raise ValueError(
            f"{what} found none of the split lists ({', '.join(map(str, lists))}); lay out at least one data set as"
            " data/README.md says"
        )
    return found


def absent_lists(data: DataConfig) -> list[Path]:
    """Split lists that a data set names and that are not there."""
    named = [Path(getattr(data, split)) for split in LISTS] if isinstance(data, ListFiles) else []
    return [file for file in named if not file.is_file()]


def compared_recipes(profile: Profile) -> list[str]:
    """Recipes of Table 1 that the profile trains: where it downloads no weights, none with a trunk of its own."""
    names = (recipe_of(method) for method in TABLE1.values())
    return [name for name in names if profile.downloads or name not in OWN_TRUNKS]


def recipe_of(method: MethodConfig) -> str:
    """The recipe that holds exactly this method."""
    return next(name for name, known in METHODS_BY_RECIPE.items() if known == method)
