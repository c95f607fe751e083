"""What a screen reader says of every figure that the notebooks draw: what is to be seen with its numbers, in words."""

import importlib
import inspect
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_runs import NAMES, image_set, make_run
from matplotlib.figure import Figure

from cscelab.centers import hash_centers
from cscelab.collection import Collection
from cscelab.cost import Costs
from cscelab.datasets.aviary import Aviary
from cscelab.datasets.base import Splits
from cscelab.experiment import Experiment, Run, fresh_method
from cscelab.figures import (
    aie_lesson,
    anatomy,
    arity,
    attention_lesson,
    attention_maps,
    browse,
    cams,
    centers,
    code_lesson,
    comparison,
    costs,
    curves,
    diagrams,
    doh,
    exchnet,
    explained,
    galleries,
    lessons,
    margins,
    methods,
    monitor,
    ordinal_lesson,
    pairbits,
    pairs,
    part_exchange,
    part_lesson,
    part_maps,
    quantisation,
    ranks,
    search_costs,
    sheets,
    tables,
    thresholds,
    tie_lessons,
    ties,
    tour,
    trials,
)
from cscelab.figures import learning_map as course_map
from cscelab.figures.alt import alt_text
from cscelab.figures.dissection import dissect
from cscelab.figures.pair_losses import pair_losses_figure
from cscelab.figures.side_by_side import Coded, curves_figure
from cscelab.figures.side_codes import codes_figure
from cscelab.figures.side_gallery import gallery_figure
from cscelab.figures.threshold_trials import population
from cscelab.methods.csce import CSCEConfig
from cscelab.methods.doh import DOHConfig
from cscelab.methods.exchnet import ExchNetConfig
from cscelab.model.backbone import BackboneConfig
from cscelab.retrieval.sorters import pair_up
from cscelab.searchcost import LINEAR, SearchCost, SearchSetting

SIDE = 64
IMPORT = r"^from (cscelab\.figures\.\w+) import (\([^)]+\)|.+)$"  # in one line, or in parentheses over several
LONGEST = 620  # characters
NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
STEPS = {"CSQ": np.array([1.0, 2.0]), "DHN": np.array([1.5, 2.5])}  # seconds, by round
COSTS = Costs(STEPS, {"CSQ": 0.0, "DHN": 0.0, "LSH": 3.0}, "CPU", 94)
GRADIENTS = ("gradient_backbone", "gradient_hash_layer", "gradient_threshold_layer", "context_over_local")


def draw_exchnet(folder: Path, splits: Splits) -> dict[str, Callable[[], Figure]]:
    """ExchNet's figures, of two untrained runs of two parts with made-up histories and measures."""
    config = ExchNetConfig(backbone=BackboneConfig(weights="none"), image_size=SIDE, n_parts=2, feature_norm="none")
    runs = [make_run(folder, splits, noise, seed, method=config, bits=16) for seed, noise in ((3, 0.1), (4, 0.3))]
    method = fresh_method(runs[0].experiment, 3).eval()
    for run, network in zip(runs, reversed(runs), strict=True):
        run.__dict__["model"], run.__dict__["data"] = lambda: method, lambda: splits
        run.__dict__["history"] = [
            {"epoch": row["epoch"], "objective_before": 0.9, "objective": 0.6 / row["epoch"], "codes_changed": 0.25}
            for row in run.history
        ]
        run.__dict__["metrics"] = run.metrics | {"best_epoch": 2.0, "network": dict(network.metrics)}
    run, other = runs
    queries = splits.query.subset(part_maps.first_of_each(splits.query, 2))
    moved = {"with exchange": part_exchange.code_movement(method, splits.query, splits.train)}
    setting = SearchSetting("run", 16, 6, 6, 24, 1_000, 128, True, True)
    ways = [
        SearchCost(LINEAR, 0.6, None, 512.0, 0, np.ones(3), 20.0, setting),
        SearchCost("binary codes, faiss", 0.7, 0.65, 2.0, 0, np.array([90.0, 120.0, 100.0]), 0.2, setting),
    ]
    return {
        "code_length_figure": lambda: exchnet.code_length_figure({"ExchNet": {16: [run]}, "ADSH": {16: [other]}}),
        "code_step_figure": code_lesson.code_step_figure,
        "coincidence_figure": part_lesson.coincidence_figure,
        "constraint_figure": part_lesson.constraint_figure,
        "exchange_figure": lambda: part_exchange.exchange_figure(
            part_exchange.movement_table(moved), {"with exchange": run}
        ),
        "exchange_lesson_figure": lambda: part_lesson.exchange_lesson_figure(run),
        "objective_figure": lambda: exchnet.objective_figure({"ExchNet": run}),
        "part_maps_figure": lambda: part_maps.part_maps_figure(
            {"ExchNet": run}, queries.images, queries.masks, NAMES[:2]
        ),
        "part_sweep_figure": lambda: exchnet.part_sweep_figure({2: [run], 4: [other]}),
        "search_cost_figure": lambda: search_costs.search_cost_figure(
            search_costs.search_cost_table(ways, smoke=False), "quick profile; ExchNet, 16 bits"
        ),
    }


def draw_ordinal(folder: Path, splits: Splits) -> dict[str, Callable[[], Figure]]:
    """The figures of ordinal codes, of made-up runs whose network is untrained."""
    config = DOHConfig(backbone=BackboneConfig(weights="none"), image_size=SIDE)
    run = make_run(folder, splits, 0.1, 5, method=config, bits=16)
    two = make_run(folder, splits, 0.1, 6, method=replace(config, arity=2), bits=16)
    csq = make_run(folder, splits, 0.3, 5, bits=16)
    method = fresh_method(run.experiment, 3).eval()
    for one in (run, two):
        one.__dict__["model"], one.__dict__["data"] = lambda: method, lambda: splits
    csq.__dict__["data"] = lambda: splits
    rows = {doh.WHOLE: [run], doh.REFERENCE: [csq]}
    return {
        "arity_figure": lambda: arity.arity_figure(arity.arity_table({16: {2: [two], 4: [run]}})),
        "precision_recall_figure": lambda: doh.precision_recall_figure({"DOH": run, "k = 2": two}),
        "attention_figure of DOH": lambda: attention_maps.attention_figure(
            {"DOH": (run, attention_maps.ATTENTION)}, splits.query, NAMES, n=3
        ),
        "attention_steps_figure": lambda: attention_lesson.attention_steps_figure(run),
        "doh_figure": lambda: doh.doh_figure(doh.doh_table(rows)),
        "noise_figure": lambda: ordinal_lesson.noise_figure((2, 4)),
        "ordinal_figure": ordinal_lesson.ordinal_figure,
        "relaxation_figure": ordinal_lesson.relaxation_figure,
    }


@pytest.fixture(scope="module")
def draw(tmp_path_factory):
    """Name of a figure function -> a call that draws it with data made up on the spot."""
    torch.manual_seed(0)
    parts = [image_set(n, first, n) for n, first in ((6, 1000), (24, 0))]
    rng = np.random.default_rng(0)
    for part in parts:  # of the size that the network takes
        object.__setattr__(part, "images", rng.integers(0, 256, (len(part), SIDE, SIDE, 3), dtype=np.uint8))
        object.__setattr__(part, "masks", part.masks.repeat(3, axis=1).repeat(3, axis=2)[:, :SIDE, :SIDE])
    query, database = parts
    splits = Splits(database, query, query, database, NAMES)
    config = CSCEConfig(BackboneConfig("tiny", "none"), SIDE)
    method = config.build(3, 16).eval()
    folder = tmp_path_factory.mktemp("runs")
    runs = [make_run(folder, splits, noise, seed, method=config) for seed, noise in ((1, 0.1), (2, 0.3))]
    for run in runs:
        run.__dict__["model"] = lambda: method
        run.__dict__["history"] = [row | dict.fromkeys(GRADIENTS, 1 / row["epoch"]) for row in run.history]
        run.codes.update({f"{s}_thresholds": np.full(len(run.codes[f"{s}_codes"]), 0.1) for s in ("query", "database")})
    run, other = runs
    by_name = {"CSCE-Net": run, "CSQ": other}
    by_row = {"Baseline": {16: [other]}, "Baseline + AIE": {16: [run]}}
    sides = {s: run.codes[s] for s in ("query_codes", "query_labels", "database_codes", "database_labels")}
    compared = pair_up(**sides)
    collection = Collection("a method", run.experiment, splits, run.codes, run)
    collection.__dict__["method"] = method
    asked = collection.query(0)
    coded = [Coded(collection), Coded(Collection("another", other.experiment, splits, other.codes, other))]
    opened = dissect(method, asked.image, asked.title)
    values = collection.code_of(asked)[1]
    sweep = trials.threshold_sweep(torch.randn(20, 16), [0.0, 0.1, 0.2], balance_weight=1.0)
    names = [NAMES[int(label)] for label in query.labels]
    made = Experiment("test", method=config, bits=16, data=Aviary(n_classes=3))
    return {
        "aie_diagram": lambda: diagrams.aie_diagram(method.network),
        "attention_figure": lambda: anatomy.attention_figure(opened),
        "bits_figure": lambda: pairbits.bits_figure(collection, asked, 3),
        "browse_figure": lambda: browse.browse_figure([collection], asked, k=5),
        "cam_figure": lambda: cams.cam_figure(method, query.images, query.masks, names),
        "center_figure": lambda: centers.center_figure(hash_centers(8, 16)),
        "codes_figure": lambda: codes_figure(coded),
        "curves_figure": lambda: curves_figure(coded),
        "gallery_figure": lambda: gallery_figure(coded, k=5),
        "pair_losses_figure": lambda: pair_losses_figure(16),
        "code_figure": lambda: tour.code_figure(collection, asked),
        "cost_figure": lambda: costs.cost_figure(costs.cost_table(COSTS), "quick profile"),
        "contact_sheet": lambda: sheets.contact_sheet(query, NAMES, outlined=True),
        "decoding_figure": lambda: centers.decoding_figure({"best": {0.0: 0.0, 0.1: 0.25}}),
        "denominators_figure": lambda: tie_lessons.denominators_figure(compared, 5),
        "distances_figure": lambda: tour.distances_figure(collection, asked),
        "dynamic_sign_figure": lambda: lessons.dynamic_sign_figure([0.9, -0.7, 0.05, 0.6], 0.1),
        "explained_figure": lambda: explained.explained_figure({"CSCE-Net": collection}),
        "explained_pairs": lambda: pairs.explained_pairs(run, 0, [1, 2], splits),
        "fields_figure": lambda: anatomy.fields_figure((3, 18), 14),
        "gradient_figure": lambda: lessons.gradient_figure(run, by_name),
        "learning_map": course_map.learning_map,
        "map_by_code_length": lambda: curves.map_by_code_length(by_row),
        "margin_figure": margins.margin_figure,
        "monitor_figure": lambda: monitor.monitor_figure(monitor.Trail.of(made, run.history)),
        "network_diagram": lambda: diagrams.network_diagram(method.network),
        "place_figure": lambda: aie_lesson.place_figure(opened),
        "precision_panels": lambda: methods.precision_panels(by_name),
        "precision_recall": lambda: curves.precision_recall(by_name),
        "precision_recall_panels": lambda: methods.precision_recall_panels(by_name),
        "rank_figure": lambda: ranks.rank_figure(ranks.rank_query(**sides), k=5),
        "species_sheet": lambda: sheets.species_sheet(5, size=32),
        "table_figure": lambda: tables.table_figure(comparison.structure_table(by_row), "Table 2: structure"),
        "threshold_figure": lambda: thresholds.threshold_figure(values, 0.1, asked.image, asked.title),
        "threshold_population": lambda: lessons.threshold_population(by_name),
        "threshold_population_figure": lambda: thresholds.threshold_population_figure(
            population(run.codes, [0.0, 0.1, 0.2], "a method"), 0.1
        ),
        "threshold_reasons": lambda: lessons.threshold_reasons(sweep, {"soft": [0.5, 0.3, 0.1]}),
        "tie_sizes_figure": lambda: tie_lessons.tie_sizes_figure({"trained": compared}),
        "ties_figure": lambda: ties.ties_figure(compared, ties.Trail().shuffled()),
        "top10_gallery": lambda: galleries.top10_gallery(
            [galleries.GalleryEntry((run, other), galleries.pick_query(run, other, "hardest", query))], splits
        ),
        "training_curves": lambda: curves.training_curves(by_name),
        "two_cases": lambda: galleries.two_cases(run, other, splits),
        "value_figure": lambda: quantisation.value_figure(by_name),
        "window_figure": lambda: aie_lesson.window_figure(opened),
        "windows_diagram": lambda: diagrams.windows_diagram(method.network),
        **draw_exchnet(folder, splits),
        **draw_ordinal(folder, splits),
    }


def in_notebooks() -> set[str]:
    """The functions of cscelab.figures that notebooks import and that return a Figure."""
    found = set()
    for path in NOTEBOOKS:
        for cell in json.loads(path.read_text())["cells"]:
            for module, names in re.findall(IMPORT, "".join(cell["source"]), re.M):
                for name in re.findall(r"\w+", names):
                    called = getattr(importlib.import_module(module), name)
                    if inspect.isfunction(called) and inspect.signature(called).return_annotation in ("Figure", Figure):
                        found.add(name)
    return found


def test_every_figure_of_the_notebooks_is_looked_at(draw):
    drawn = in_notebooks()
    assert len(drawn) > 20
    assert drawn <= draw.keys()


def test_alts_say_what_is_seen_in_plain_words_and_numbers(draw):
    said = {name: alt_text(call()) for name, call in draw.items()}
    assert not {name: text for name, text in said.items() if re.search(r"\$|\\|\n|  |^Figure:", text)}
    assert not {name: text for name, text in said.items() if not 40 <= len(text) <= LONGEST}
    # Numbers beyond those of the words around them: no mere list of titles and axes.
    assert not {name: text for name, text in said.items() if len(re.findall(r"\d+", text)) < 3}
    assert len(set(said.values())) == len(said)


def test_alts_of_runs_hold_the_runs_numbers(draw):
    run: Run = inspect.getclosurevars(draw["explained_pairs"]).nonlocals["run"]
    value = f"{run.mean_average_precision:.3f}"
    assert f"Baseline + AIE {value}" in alt_text(draw["table_figure"]())
    assert f"Baseline + AIE: {value}" in alt_text(draw["map_by_code_length"]())
    assert "loss from 4 to 1.25, mAP 0.750 in epoch 2 of 3" in alt_text(draw["training_curves"]())
    assert re.search(r"query of class [\w -]+; CSCE-Net finds \d+ right of 10, ", alt_text(draw["top10_gallery"]()))
