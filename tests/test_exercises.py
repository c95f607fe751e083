"""Exercises: every solution passes, in every usual type; wrong answers and wrong types get a hint, no traceback."""

import math
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from fake_runs import make_run

from cscelab.centers import hash_centers
from cscelab.codes import hamming_distance
from cscelab.collection import Collection
from cscelab.datasets.loader import as_tensor, training_loader
from cscelab.evaluate import mean_average_precision
from cscelab.experiment import Run, fresh_method
from cscelab.explain import mass_inside
from cscelab.figures.browse import ranking
from cscelab.figures.choices import target_shares
from cscelab.figures.exercises import EXERCISES, check
from cscelab.figures.exercises.answers import Unfit, names, number, numbers, whole
from cscelab.figures.side_by_side import Coded
from cscelab.hadamard import hadamard_name
from cscelab.methods.doh import DOHConfig
from cscelab.neighbours import nearest
from cscelab.recipes import recipe

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))
SEVERAL = {"02-1", "04-3", "05-1", "08-2"}  # whose answers are not one number
WRONG = {  # answers of the right kind, among them those that slipped through, or ended in a traceback, before
    "00-1": [27, -22, 5, 21.5],
    "00-2": [-1, 10**6, 0.5],
    "00-3": [0.6, 0.85, 13 / 3],
    "01-1": [16, -8, 8.5],
    "01-2": [20, 41, 50, 39.5, 0],
    "01-3": [0, -60, 4, 30, 32, 64, 58, 10**15, 60.5],
    "02-1": [[1, 1, -1, -1, -1], [1, 1, -1, -1], [1, 1, -1, -1, 1, 1], [0.3, 0.05, -0.4, -0.5, -0.05]],
    "02-2": [0.25, -1, 1.0625],
    "02-3": [0.0025, -1, math.inf],
    "03-1": [52, 102, 117],
    "03-2": [0, 1, -14, 13, 15, 13.5],
    "03-3": [0, 2, 5],
    "04-1": [90, math.acos(0.5), 0],
    "04-2": [0, math.log1p(99 * math.exp(-10)), 1],
    "04-3": [(), [2.5], (2.5, 0.625, 99), (0.625, 2.5), (2.5, 2.5)],
    "05-1": [["CF+DSF", "CF+DSF"], {"CF+DSF"}, {"Baseline + AIE", "CF+DFS"}, {"CE", "CF"}, ["Baseline + AIE", 3]],
    "05-2": [0, -1, 10**6],
    "05-3": [],
    "06-1": [1, 0.1, 100],
    "06-2": [0, 1e6],
    "06-3": [-1, 12, 0.5],
    "07-1": [-1, 13, 0.5],
    "07-2": [0, 17.5, 41],
    "07-3": [-1, 12, 0.5],
    "08-1": [1, 1 / 3, 0.5],
    "08-2": [[1, 0, 0, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0, 2], [1, 0, 0, 0, 0.5], [0, 0, 0, 0, 0]],
    "08-3": [0, 51, 2.5],
    "09-1": [-1, 13, 0.5],
    "09-2": [-1, 17, 0.5],
    "09-3": [0, -1, 2.5],
    "10-1": [2, -2, math.log1p(math.exp(-2))],
    "10-2": [12, 96, 23.5],
    "10-3": [-1, 13, 0.5],
    "11-1": [0.04, 0.28, -0.2, 1],
    "11-2": [-0.2, 1.4, 1.6, -1],
    "11-3": [-1, 41, 0.5],
    "12-1": [48, 16, 384, 127.5],
    "12-2": [0.067, 0.85, -0.144, 0, 0.145, 0.1434],
    "12-3": [-1, 41, 0.5],
}
STRANGE = [
    "22", "", b"x", [], (), {}, set(), {1: 2}, object(), int, len, 1 + 2j, math.nan, True, 10**400, [None], ["a", "b"],
    [[1], [2, 3]], np.zeros((3, 3)), np.array("a"), torch.zeros(0), torch.zeros(3, 3), pd.DataFrame({"a": [1, 2]}),
    pd.NA, slice(3), range(9), ("a", ["b"]), np.datetime64("2022-12-01"),
]  # fmt: skip


def source_of(name, tag):
    notebook, index = name.split("-")
    (path,) = [path for path in NOTEBOOKS if path.stem.startswith(notebook)]
    cells = [cell for cell in nbformat.read(path, 4).cells if tag in cell.metadata.get("tags", [])]
    return cells[int(index) - 1].source


@pytest.fixture(scope="module")
def network():
    """A method as a fresh run has it, in evaluation mode, and its experiment."""
    experiment = recipe("csce", "smoke")
    return fresh_method(experiment, 3).eval(), experiment


@pytest.fixture
def notebook(pair, splits, network, tmp_path):
    """What notebooks have named by the time of their exercises, on small data."""
    csce, csq = pair
    collection, other = (Collection(title, run.experiment, splits, run.codes, run)
                         for title, run in zip(("CSCE-Net", "CSQ"), pair, strict=True))  # fmt: skip
    code, _ = collection.code_of(collection.query(0))
    method, experiment = network
    images = as_tensor(np.random.default_rng(3).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8))
    with torch.no_grad():
        output = method(images)
    cams = np.random.default_rng(4).random(splits.query.masks.shape)
    sides = ("query_codes", "query_labels", "database_codes", "database_labels")
    hard = collection.query(int(collection.average_precision.argmin()))
    exchnet, otherwise = Run(csq.experiment, csq.folder), csq.codes["database_codes"].copy()
    otherwise[:7, :2] *= -1  # seven images that the network codes otherwise, in two bits each
    exchnet.__dict__["codes"] = csq.codes | {"network_codes": otherwise, "network_values": otherwise.astype(float)}
    doh = make_run(tmp_path, splits, 0.2, 3, method=DOHConfig(), bits=16)
    return {
        "np": np, "math": math, "replace": replace, "hadamard_name": hadamard_name, "nearest": nearest,
        "collection": collection, "code": code, "database": collection.codes["database_codes"],
        "experiment": experiment, "splits": splits, "method": method, "images": images, "output": output,
        "cams": cams, "queries": splits.query, "by_hand": mass_inside(cams, splits.query.masks), "csce": csce,
        "distances": hamming_distance(csce.codes["query_codes"][:1], csce.codes["database_codes"])[0],
        "sizes": target_shares(splits.query), "trained": {side: csce.codes[side] for side in sides},
        "gap": 0.05, "at_ten": [0.2, 0.5, 0.8, 0.9, 1.0], "ap": collection.average_precision, "hard": hard,
        "table": ranking([collection, other], hard), "compared": {"LSH": Coded(other), "CSQ": Coded(collection)},
        "exchnet": exchnet, "doh": doh, "hamming_distance": hamming_distance, "torch": torch,
    }  # fmt: skip


def given(name, notebook):
    return {one: notebook[one] for one in EXERCISES[name].needs}


@pytest.fixture
def solve(notebook, capsys):
    """A function exercise -> the answer of the notebook's solution cell, run as it stands, with its own check."""

    def execute(name):
        namespace = notebook | {"check": check, "mean_average_precision": mean_average_precision}
        exec(source_of(name, "solution"), namespace)
        assert capsys.readouterr().out == "right\n"
        return namespace["answer"]

    return execute


def said(capsys, name, answer, notebook):
    check(name, answer, **given(name, notebook))
    return capsys.readouterr().out


def test_every_exercise_of_the_course_has_a_condition_and_the_other_way_round():
    assert sorted(EXERCISES) == sorted(WRONG) == [f"{path.stem[:2]}-{n}" for path in NOTEBOOKS for n in (1, 2, 3)]
    assert all(exercise.hint and exercise.hint[-1] not in ". " for exercise in EXERCISES.values())


@pytest.mark.parametrize("name", EXERCISES)
def test_a_question_waits_and_its_solution_is_right(name, solve, notebook, capsys):
    assert solve(name) is not None
    assert said(capsys, name, None, notebook) == "not answered yet\n"
    exec(source_of(name, "self-check"), notebook | {"check": check})  # as the student finds it
    assert capsys.readouterr().out == "not answered yet\n"


@pytest.mark.parametrize("name", sorted(set(EXERCISES) - SEVERAL - {"05-3"}))
def test_one_number_may_come_in_any_type(name, solve, notebook, capsys):
    answer = float(solve(name))
    kinds = [answer, Fraction(answer), np.float64(answer), np.array(answer), np.array([answer]), [answer],
             torch.tensor(answer, dtype=torch.float64, requires_grad=True), pd.Series([answer])]  # fmt: skip
    if answer.is_integer():
        kinds += [int(answer), np.int64(answer), np.uint8(answer) if answer >= 0 else np.int8(answer),
                  torch.tensor(int(answer))]  # fmt: skip
    for kind in kinds:
        assert said(capsys, name, kind, notebook) == "right\n", type(kind)


@pytest.mark.parametrize("name", sorted(SEVERAL))
def test_several_may_come_in_any_type(name, solve, notebook, capsys):
    answer = list(solve(name))
    kinds = [answer, tuple(answer), np.array(answer), pd.Series(answer)]
    if name == "05-1":
        kinds += [set(answer), frozenset(answer), answer[::-1], dict.fromkeys(answer).keys()]
    else:
        kinds += [torch.tensor(answer), torch.tensor([answer]), np.array(answer, dtype=np.float32)]
    kinds += [np.array(answer, dtype=bool)] if name == "08-2" else []
    for kind in kinds:
        assert said(capsys, name, kind, notebook) == "right\n", type(kind)


@pytest.mark.parametrize("name", EXERCISES)
def test_wrong_answers_get_the_hint(name, solve, notebook, capsys):
    right = solve(name)
    for answer in [*WRONG[name], *STRANGE]:
        text = said(capsys, name, answer, notebook)
        assert re.fullmatch(r"not right yet: .+\. Hint: .+\n", text), answer
        assert text.endswith(f". Hint: {EXERCISES[name].hint}\n")
        assert len(text) < 300
    if name not in SEVERAL | {"05-3"}:
        assert said(capsys, name, str(right), notebook).startswith(f"not right yet: '{right}'"[:30])


def test_an_experiment_must_be_the_one_asked_for(notebook, capsys):
    experiment = notebook["experiment"]
    for other in (experiment, replace(experiment, seed=2), replace(experiment, seed=1, bits=32)):
        assert "Hint: dataclasses.replace" in said(capsys, "05-3", other, notebook)
    assert "is not an Experiment. Hint" in said(capsys, "05-3", "csce, seed 1", notebook)
    assert said(capsys, "05-3", recipe("csce", "smoke", seed=1), notebook) == "right\n"


def test_what_came_is_said_beside_the_hint(notebook, capsys):
    assert said(capsys, "00-1", "22", notebook).startswith("not right yet: '22' is not one number. Hint: d = ")
    assert said(capsys, "01-2", 39.5, notebook).startswith("not right yet: 39.5 is not a whole number. ")
    assert said(capsys, "01-3", 1e300, notebook).startswith("not right yet: 1e+300 is too large. ")
    assert said(capsys, "01-3", 10**4, notebook).startswith("not right yet: 10000 is more than the 4,096 bits ")
    assert said(capsys, "04-3", [2.5], notebook).startswith("not right yet: [2.5] is not 2 numbers in a row. ")
    assert "names no row of either table: 'CF+DFS'" in said(capsys, "05-1", ["CF+DSF", "CF+DFS"], notebook)
    assert "is not 2 different names" in said(capsys, "05-1", ["CF+DSF", "CF+DSF"], notebook)
    assert said(capsys, "00-1", np.zeros((200, 200)), notebook).count("\n") == 1


def test_other_right_answers_are_right_too(notebook, capsys):
    for bits in (36, 40, 60):
        assert said(capsys, "01-3", bits, notebook) == "right\n"
    for marks in ([1, 1, 0, 0, 1], [0, 1, 0, 0, 1]):
        assert said(capsys, "08-2", marks, notebook) == "right\n"
    assert said(capsys, "00-3", 0.867, notebook) == "right\n"  # three decimals, as the question says
    assert said(capsys, "04-1", 60.04, notebook) == "right\n"


def test_conditions_agree_with_what_they_ask_about(notebook):
    """The largest number of classes works, and one more does not; the steps are those that a training takes."""
    assert len(hash_centers(40, 20, "hadamard")) == 40
    with pytest.raises(ValueError, match="41 classes at 20 bits"):
        hash_centers(41, 20, "hadamard")
    experiment, splits = notebook["experiment"], notebook["splits"]
    batches = training_loader(splits.train, experiment.training.batch_size, experiment.seed)
    assert EXERCISES["05-2"].condition(sum(1 for _ in batches), experiment, splits)


def test_the_conditions_of_notebook_11_are_what_a_hand_gets(notebook, capsys):
    """Hellinger: 1 - 2 sqrt(.64 .36) = .04, its root .2; the bit: 3 (-.25) .8 - (.6 + .4) .8; seven images."""
    for name, answer in {"11-1": 0.2, "11-2": -1.4, "11-3": 7}.items():
        assert said(capsys, name, answer, notebook) == "right\n"


def test_the_conditions_of_notebook_12_are_what_a_hand_gets(notebook, capsys):
    """16 symbols of 8 bits; Phi(-.6 / (.4 sqrt 2)) = erfc(.75) / 2; symbols compared one by one."""
    codes = (notebook["doh"].codes[f"{side}_codes"].reshape(-1, 8, 4).argmax(axis=2) for side in ("query", "database"))
    (query, *_), database = codes
    near = sum(sum(a != b for a, b in zip(query, code, strict=True)) <= 2 for code in database)
    assert 0 < near < len(database)
    for name, answer in {"12-1": 128, "12-2": math.erfc(0.75) / 2, "12-3": near}.items():
        assert said(capsys, name, answer, notebook) == "right\n"
    assert said(capsys, "12-2", 0.144, notebook) == "right\n"  # rounded as asked
    with pytest.raises(ValueError, match="are plain bits; give a run of symbols, as `doh`"):
        check("12-3", near, doh=notebook["csce"])


def test_mistakes_of_a_notebook_are_one_sentence():
    with pytest.raises(ValueError, match=r"unknown exercise '00-4'; choose from \['00-1', '00-2'"):
        check("00-4", 1)
    with pytest.raises(ValueError, match=r"exercise 05-3 was given \['runs'\]; it needs \['experiment'\]"):
        check("05-3", None, runs=3)


def test_kinds_of_answers():
    assert number(Fraction(1, 4)) == number(np.array([[0.25]])) == 0.25
    assert whole(torch.tensor(20.0)) == 20
    assert numbers(((1, 2),), 2) == [1.0, 2.0]
    assert numbers([True, False], 2) == [1.0, 0.0]
    assert names(("a", "b"), 2) == {"a", "b"}
    for wrong in ("1", True, [1, 2], 1j, None):
        with pytest.raises(Unfit, match="is not one number"):
            number(wrong)
