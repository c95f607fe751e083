"""`cscelab figures`: which runs each figure needs, and what is drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure

from cscelab.datasets import Splits
from cscelab.datasets.aviary import Aviary
from cscelab.experiment import Experiment, Run
from cscelab.figures import cams, curves, diagrams, galleries, sheets, tables
from cscelab.figures.study import study_table
from cscelab.figures.style import save
from cscelab.jobs import run_all
from cscelab.methods.base import MethodConfig
from cscelab.model.network import HashNetwork
from cscelab.neighbours import name_of
from cscelab.paths import make_folder
from cscelab.recipes import METHODS_BY_RECIPE, TABLE2, TABLE3, Profile, find_profile, recipe, study

OUT = "choose another folder with --out"
Drawn = dict[str, Figure | pd.DataFrame]  # file stem -> picture, or table that becomes a CSV
RunsByRow = dict[str, dict[int, list[Run]]]


@dataclass(frozen=True)
class Context:
    """The finished runs of a profile, found by experiment."""

    profile_name: str
    runs: Mapping[str, Run]  # by hash
    seeds: int | None = None  # of the tables; None for the profile's own

    @property
    def profile(self) -> Profile:
        return seeded(self.profile_name, self.seeds)

    @cached_property
    def splits(self) -> Splits:
        return self.whole.data()

    @property
    def whole(self) -> Run:
        """CSCE-Net at the shortest gallery length, first seed: what Figs. 2 to 4 and 6 are drawn from."""
        return self.run("csce", self.profile.gallery[0])

    def run(self, name: str, bits: int, seed: int | None = None) -> Run:
        seed = self.profile.seeds[0] if seed is None else seed
        return self.runs[recipe(name, self.profile_name, bits, seed).hash]

    def rows(self, table: Mapping[str, MethodConfig]) -> RunsByRow:
        """Runs of a table: row -> bits -> one run a seed."""
        return {
            row: {
                bits: [self.run(recipe_of(method), bits, seed) for seed in self.profile.seeds]
                for bits in self.profile.lengths
            }
            for row, method in table.items()
        }

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


def recipe_of(method: MethodConfig) -> str:
    """The recipe that holds exactly this method."""
    return next(name for name, known in METHODS_BY_RECIPE.items() if known == method)


def _fig1(context: Context) -> Drawn:
    bits = context.profile.gallery[0]
    return {
        "fig1-two-cases": galleries.two_cases(
            context.run("csce", bits), context.run("table2/baseline", bits), context.splits
        )
    }


def _fig2(context: Context) -> Drawn:
    return {"fig2-network": diagrams.network_diagram(context.network, context.splits.query.images[0])}


def _fig3(context: Context) -> Drawn:
    return {"fig3-windows": diagrams.windows_diagram(context.network)}


def _fig4(context: Context) -> Drawn:
    return {"fig4-aie": diagrams.aie_diagram(context.network)}


def _fig5(context: Context) -> Drawn:
    entries = [
        galleries.gallery_entry(context.run("csce", bits), context.run("csq", bits), rule, context.splits.query)
        for bits, rule in zip(context.profile.gallery, ("small target", "hardest", "median"), strict=False)
    ]
    return {"fig5-top10": galleries.top10_gallery(entries, context.splits)}


def _fig6(context: Context) -> Drawn:
    bits = context.profile.gallery[0]
    compared = {"Baseline": context.run("table2/baseline", bits), "CSCE-Net": context.whole}
    queries = context.splits.query
    rows = list(range(8))  # the first eight queries: no choosing
    names = [name_of(label, context.splits.class_names) for label in queries.labels[rows]]
    masks = None if queries.masks is None else queries.masks[rows]
    figure = cams.cam_figure(compared, queries.images[rows], masks, names)
    if masks is None:
        return {"fig6-cam": figure}
    numbers = [{"method": title, **cams.cam_numbers(run, queries=queries)} for title, run in compared.items()]
    return {"fig6-cam": figure, "fig6-mass-inside": pd.DataFrame(numbers).set_index("method")}


def _table(context: Context, number: int) -> Drawn:
    table, frame_of = (TABLE2, tables.structure_table) if number == 2 else (TABLE3, tables.loss_table)
    seeds, epochs = len(context.profile.seeds), context.profile.training.epochs
    frame = frame_of(context.rows(table))
    title = f"Table {number}: " + ("what each part of the structure brings" if number == 2 else "what each loss brings")
    trunk = context.profile.backbone
    start = {"none": "scratch", "default": "the shipped trunk" if trunk.name == "tiny" else "ImageNet weights"}
    noise = "s." if seeds > 1 else ": differences of a few hundredths are noise."
    source = start.get(trunk.weights, trunk.weights)
    note = f"{context.profile_name} profile: {epochs} epochs from {source}, {seeds} seed{noise}"
    stem = f"table{number}" + (f"-{seeds}seeds" if context.seeds else "")
    return {stem: frame, f"{stem}-picture": tables.table_figure(frame, title, note)}


def _curves(context: Context) -> Drawn:
    bits, seed = context.profile.lengths[0], context.profile.seeds[0]
    structures = {row: context.run(recipe_of(method), bits, seed) for row, method in TABLE2.items()}
    whole = {
        f"{name}, {n} bits": context.run(key, n)
        for name, key in (("CSCE-Net", "csce"), ("CSQ", "csq"))
        for n in context.profile.gallery
    }
    return {
        "training-curves": curves.training_curves(structures),
        "precision-recall": curves.precision_recall(whole),
        "map-by-bits": curves.map_by_code_length(
            {
                name: {n: [context.run(key, n)] for n in context.profile.gallery}
                for name, key in (("CSCE-Net", "csce"), ("CSQ", "csq"))
            }
        ),
    }


def _sheets(context: Context) -> Drawn:
    if not isinstance(context.profile.data, Aviary):
        return {"contact-sheet": sheets.contact_sheet(context.splits)}
    return {
        "aviary-species": sheets.species_sheet(context.profile.data.n_classes),
        "aviary-images": sheets.contact_sheet(context.splits),
    }


def _study(context: Context) -> Drawn:
    rows = study(context.profile_name).items()
    return {"study": study_table({row: [context.runs[one.hash] for one in experiments] for row, experiments in rows})}


FIGURES: dict[str, tuple[str, Callable[[Context], Drawn]]] = {
    "fig1": ("two queries where plain CNN + sign errs and CSCE-Net does not, and how often the reverse", _fig1),
    "fig2": ("the network, drawn from the live model", _fig2),
    "fig3": ("sliding windows on stage 4", _fig3),
    "fig4": ("attention guided information extraction", _fig4),
    "fig5": ("top-10 galleries, CSCE-Net over CSQ, at three code lengths", _fig5),
    "fig6": ("class activation maps of codes, with the share that falls on the target", _fig6),
    "table2": ("structures", lambda context: _table(context, 2)),
    "table3": ("losses", lambda context: _table(context, 3)),
    "curves": ("training curves, precision-recall, mAP by code length", _curves),
    "aviary": ("contact sheets of the embedded data", _sheets),
    "study": ("what trains AIE: its scale, a norm, the mixer's start; three seeds (drawn only when named)", _study),
}
BY_DEFAULT = tuple(name for name in FIGURES if name != "study")
TITLES = {name: title for name, (title, _) in FIGURES.items()}


def needed(names: Iterable[str], profile_name: str, seeds: int | None = None) -> list[Experiment]:
    """Every experiment these figures are drawn from."""
    profile, names = seeded(profile_name, seeds), set(names)
    first = profile.seeds[0]
    experiments = [recipe("csce", profile_name, profile.gallery[0], first)]
    if names & {"fig1", "fig6"}:
        experiments.append(recipe("table2/baseline", profile_name, profile.gallery[0], first))
    if names & {"fig5", "curves"}:
        experiments += [recipe(n, profile_name, b, first) for b in profile.gallery for n in ("csce", "csq")]
    if "study" in names:
        experiments += [one for row in study(profile_name).values() for one in row]
    methods = {
        **(TABLE2 if names & {"table2", "curves"} else {}),
        **(TABLE3 if "table3" in names else {}),
    }
    for method in methods.values():
        experiments += [
            recipe(recipe_of(method), profile_name, bits, seed) for bits in profile.lengths for seed in profile.seeds
        ]
    return experiments


def build(
    only: Iterable[str] = (),
    profile: str = "quick",
    out: Path | None = None,
    jobs: int | None = None,
    root: Path | None = None,
    seeds: int | None = None,
) -> list[Path]:
    """Trains what is missing, draws the named figures (all but the study by default) and returns the files written.

    out: figures/ for quick, figures/PROFILE otherwise; seeds: of the tables, whose names then say so.
    Raises ValueError for an unknown figure.
    """
    names = tuple(only) or BY_DEFAULT
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        raise ValueError(f"unknown figure {unknown[0]!r}; choose from {list(FIGURES)}")
    folder = make_folder(out or (Path("figures") if profile == "quick" else Path("figures") / profile), OUT)
    runs = run_all(needed(names, profile, seeds), jobs=jobs, root=root)
    context = Context(profile, {run.experiment.hash: run for run in runs}, seeds)
    torch.manual_seed(0)
    return [path for name in names for path in write(FIGURES[name][1](context), folder)]


def write(drawn: Drawn, folder: Path) -> list[Path]:
    """Every picture as PNG and SVG, every table as CSV; returns the files."""
    paths = []
    for stem, made in drawn.items():
        if isinstance(made, pd.DataFrame):
            path = folder / f"{stem}.csv"
            made.to_csv(path, float_format="%.4f")
            paths.append(path)
        else:
            paths += save(made, folder / stem)
    return paths
