"""`cscelab figures`: which runs each figure needs, and what is drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import torch

from cscelab.datasets.aviary import Aviary
from cscelab.experiment import Experiment
from cscelab.figures import cams, comparison, curves, diagrams, galleries, sheets, tables
from cscelab.figures.context import (
    Context,
    Drawn,
    benchmarks_at_hand,
    compared_recipes,
    finegrained_at_hand,
    recipe_of,
    seeded,
)
from cscelab.figures.doh_group import doh_needed, draw_doh
from cscelab.figures.exchnet_group import draw_exchnet, draw_search_cost, exchnet_needed, search_cost_needed
from cscelab.figures.scratch_group import draw_scratch, scratch_needed
from cscelab.figures.study import study_table
from cscelab.figures.style import save
from cscelab.figures.table1_group import draw_cost, draw_table1, training_note
from cscelab.jobs import run_all
from cscelab.neighbours import name_of
from cscelab.paths import make_folder
from cscelab.recipes import TABLE2, TABLE3, recipe, study

OUT = "choose another folder with --out"


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
    table, frame_of = (TABLE2, comparison.structure_table) if number == 2 else (TABLE3, comparison.loss_table)
    frame = frame_of(context.rows(table))
    title = f"Table {number}: " + ("what each part of the structure brings" if number == 2 else "what each loss brings")
    stem = f"table{number}{context.seeds_suffix}"
    return {stem: frame, f"{stem}-picture": tables.table_figure(frame, title, training_note(context))}


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
    "table1": (
        "every method, single- and multi-label, with curves and training cost (drawn only when named: half an hour)",
        draw_table1,
    ),
    "cost": ("Table 1's training cost alone, measured anew: on a quiet machine (drawn only when named)", draw_cost),
    "table2": ("structures", lambda context: _table(context, 2)),
    "table3": ("losses", lambda context: _table(context, 3)),
    "curves": ("training curves, precision-recall, mAP by code length", _curves),
    "aviary": ("contact sheets of the embedded data", _sheets),
    "study": ("what trains AIE: its scale, a norm, the mixer's start; three seeds (drawn only when named)", _study),
    "exchnet": (
        "ExchNet's parts, exchange and learned codes beside ADSH and HashNet (drawn only when named)",
        draw_exchnet,
    ),
    "doh": (
        "Deep Ordinal Hashing, a reconstruction: views, attention, head and arity, beside CSQ (drawn only when named)",
        draw_doh,
    ),
    "cifar10": (
        "CSCE-Net, CSQ, OrthoHash and the baseline from scratch on CIFAR-10, beside ITQ (drawn only when named)",
        draw_scratch,
    ),
    "search-cost": (
        "precision, speed and bytes of ways to search, measured anew: on a quiet machine (drawn only when named)",
        draw_search_cost,
    ),
}
WHEN_NAMED = ("table1", "cost", "study", "exchnet", "doh", "cifar10", "search-cost")
GROUPS = {
    "exchnet": exchnet_needed,
    "doh": doh_needed,
    "cifar10": scratch_needed,
    "search-cost": search_cost_needed,
}
WITHOUT_CSCE = (*WHEN_NAMED, "table2", "table3")  # all others show CSCE-Net at the first gallery length
BY_DEFAULT = tuple(name for name in FIGURES if name not in WHEN_NAMED)
TITLES = {name: title for name, (title, _) in FIGURES.items()}


def needed(names: Iterable[str], profile_name: str, seeds: int | None = None) -> list[Experiment]:
    """Every experiment these figures are drawn from.

    Of Table 1's and ExchNet's data sets those whose split lists are there. Raises ValueError where there is none.
    """
    profile, names = seeded(profile_name, seeds), set(names)
    first = profile.seeds[0]
    experiments = []
    if names - set(WITHOUT_CSCE):
        experiments.append(recipe("csce", profile_name, profile.gallery[0], first))
    if names & {"fig1", "fig6"}:
        experiments.append(recipe("table2/baseline", profile_name, profile.gallery[0], first))
    if names & {"fig5", "curves"}:
        experiments += [recipe(n, profile_name, b, first) for b in profile.gallery for n in ("csce", "csq")]
    if "table1" in names:
        experiments += [
            recipe(name, profile_name, bits, seed, on)
            for on in benchmarks_at_hand(profile)
            for name in compared_recipes(profile)
            for bits in profile.compared
            for seed in profile.seeds
        ]
    for name, needed_by in GROUPS.items():
        if name in names:
            experiments += needed_by(profile, profile_name)
    if "study" in names:
        experiments += [one for row in study(profile_name).values() for one in row]
    rows = {
        **(TABLE2 if names & {"table2", "curves"} else {}),
        **(TABLE3 if "table3" in names else {}),
    }
    for method in rows.values():
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
    """Trains what is missing, draws the named figures (by default all but WHEN_NAMED), returns the files written.

    out: figures/ for quick, figures/PROFILE otherwise; seeds: of the tables, whose names then say so.
    Raises ValueError for an unknown figure.
    """
    names = tuple(only) or BY_DEFAULT
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        raise ValueError(f"unknown figure {unknown[0]!r}; choose from {list(FIGURES)}")
    if "table1" in names:
        for on in seeded(profile, seeds).benchmarks.keys() - benchmarks_at_hand(seeded(profile, seeds)).keys():
            print(f"Table 1 leaves out {on}: its split lists are absent (data/README.md)")
    if "exchnet" in names:
        for on in seeded(profile, seeds).finegrained.keys() - finegrained_at_hand(seeded(profile, seeds)).keys():
            print(f"ExchNet's figures leave out {on}: its split lists are absent (data/README.md)")
    folder = make_folder(out or (Path("figures") if profile == "quick" else Path("figures") / profile), OUT)
    runs = run_all(needed(names, profile, seeds), jobs=jobs, root=root)
    context = Context(profile, {run.experiment.hash: run for run in runs}, seeds)
    torch.manual_seed(0)
    return [path for name in names for path in write(FIGURES[name][1](context), folder)]


def write(drawn: Drawn, folder: Path) -> list[Path]:
    """Every picture as PNG and SVG, every table as CSV; returns the files."""
    paths = []
    for stem, drawings in drawn.items():
        for made in drawings if isinstance(drawings, tuple) else (drawings,):
            if isinstance(made, pd.DataFrame):
                path = folder / f"{stem}.csv"
                made.to_csv(path, float_format="%.4f")
                paths.append(path)
            else:
                paths += save(made, folder / stem)
    return paths
