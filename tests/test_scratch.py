"""CIFAR-10 from scratch: the table and its picture say what the runs hold; what the profile and its figure ask for."""

import json

import numpy as np
import pytest
from fake_runs import make_run, make_splits, texts, unwrapped

from cscelab.datasets.lists import ListFiles
from cscelab.experiment import Experiment
from cscelab.figures import build, scratch_group
from cscelab.figures.context import seeded
from cscelab.figures.scratch import DIFFERENCE, FLOOR, REFERENCE, goals, scratch_figure, scratch_table
from cscelab.figures.style import alt_text
from cscelab.methods.csq import CSQConfig
from cscelab.methods.itq import ITQConfig
from cscelab.profiles import SCRATCH, find_profile
from cscelab.recipes import recipe
from cscelab.steps import Training

NOISE = {"CSCE-Net": 0.1, REFERENCE: 0.2, FLOOR: 0.5}
METHODS = {REFERENCE: CSQConfig(), FLOOR: ITQConfig()}
SECONDS = 90.0


@pytest.fixture
def rows(tmp_path):
    splits = make_splits()
    rows = {}
    for row, noise in NOISE.items():
        rows[row] = []
        for seed in (0, 1):
            method = {"method": METHODS[row]} if row in METHODS else {}
            run = make_run(tmp_path, splits, noise, seed, name=f"{row}{seed}".replace(",", ""), **method)
            told = {"validation_map": 0.5 + seed, "best_epoch": 3.0, "seconds": {"train": SECONDS, "encode": 1.0}}
            (run.folder / "metrics.json").write_text(json.dumps(run.metrics | told))
            run.__dict__.pop("metrics", None)
            run.__dict__["data"] = lambda: splits
            rows[row].append(run)
    return rows


def test_the_table_holds_means_over_seeds_and_paired_differences(rows):
    frame = scratch_table(rows)
    found = {row: [run.mean_average_precision for run in seeds] for row, seeds in rows.items()}
    for row, values in found.items():
        assert frame.loc[row, "mAP"] == pytest.approx(np.mean(values))
        assert frame.loc[row, "deviation"] == pytest.approx(np.std(values, ddof=1))
        assert frame.loc[row, "times ITQ"] == pytest.approx(np.mean(values) / np.mean(found[FLOOR]))
        assert frame.loc[row, "seed 1"] == values[1]
    assert frame.loc["CSCE-Net", DIFFERENCE] == pytest.approx(np.mean(found["CSCE-Net"]) - np.mean(found[REFERENCE]))
    assert np.isnan(frame.loc[REFERENCE, DIFFERENCE])
    assert (frame["training minutes"] == SECONDS / 60).all()
    assert (frame["validation mAP"] == 1.0).all()
    several = [[run.metrics["continuous_map"] for run in rows[REFERENCE]]]
    assert frame.loc[REFERENCE, "mAP by cosine"] == pytest.approx(np.mean(several))


def test_goals_name_who_reached_twice_the_floor_and_who_did_not(rows):
    frame = scratch_table(rows)
    frame["times ITQ"] = [2.0, 1.99, 1.0]
    said = goals(frame)
    assert "untrained trunk: CSCE-Net; not CSQ." in said
    assert "took 2 to 2 minutes" in said  # 1.5, rounded
    frame["times ITQ"] = [1.9, 1.99, 1.0]
    assert "untrained trunk: none; not CSCE-Net, CSQ." in goals(frame)


def test_the_picture_shows_every_mean_the_goal_and_the_setting(rows):
    frame = scratch_table(rows)
    figure = scratch_figure(frame)
    left, right = figure.axes
    shown = " ".join(text.get_text() for text in left.texts)
    for row in NOISE:
        assert f"{frame.loc[row, 'mAP']:.3f} ± {frame.loc[row, 'deviation']:.3f}" in shown
    (goal,) = [line for line in left.lines if line.get_linestyle() == "--"]
    assert goal.get_xdata()[0] == pytest.approx(2 * frame.loc[FLOOR, "mAP"])
    assert [label.get_text() for label in left.get_yticklabels()] == list(NOISE)
    assert "40 training" in unwrapped(figure._supxlabel.get_text())
    assert REFERENCE in right.get_title(loc="left")
    assert f"CSCE-Net {frame.loc['CSCE-Net', 'mAP']:.3f}" in alt_text(figure)
    assert not any("SMOKE" in text for text in texts(figure))


def test_what_the_table_refuses(rows):
    with pytest.raises(ValueError, match="no run of 'CSQ' to compare with"):
        scratch_table({row: seeds for row, seeds in rows.items() if row != REFERENCE})
    with pytest.raises(ValueError, match="row 'Empty' has no run"):
        scratch_table(rows | {"Empty": []})


def test_the_profile_trains_an_untrained_trunk_on_enlarged_pictures():
    experiment = recipe("csce", SCRATCH, 32)
    assert isinstance(experiment.data, ListFiles)
    assert (experiment.data.image_size, experiment.data.resize) == (64, 64)
    assert experiment.method.backbone.weights == "none"
    assert experiment.map_at is None
    other = recipe("csce", SCRATCH, 32, on="cifar10-50000")
    assert other.training == experiment.training
    assert other.data.root.endswith("cifar10-50000")
    assert "cifar10-50000" not in find_profile(SCRATCH).benchmarks  # no column of Table 1


def test_the_figure_needs_every_row_with_every_seed_or_says_what_to_prepare(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch_group, "absent_lists", lambda data: [])
    needed = build.needed(["cifar10"], "quick", seeds=3)
    assert [one.name for one in needed[:3]] == ["csce/32"] * 3
    assert [one.seed for one in needed] == [0, 1, 2] * len(scratch_group.ROWS)
    assert all(one.method.backbone.weights == "none" for one in needed)
    monkeypatch.undo()
    monkeypatch.setattr(scratch_group, "absent_lists", lambda data: [tmp_path / "train.txt"])
    with pytest.raises(ValueError, match="cscelab data prepare cifar10 --root PATH"):
        build.needed(["cifar10"], "quick")
    assert seeded("quick", 3).seeds == (0, 1, 2)


def test_settings_that_came_later_leave_the_hash_of_earlier_runs_alone():
    fingerprint = {"data": "birds", "weights": "none"}
    plain, told = Experiment("a"), Experiment("a", training=Training(augmentation="none"))
    other = Experiment("a", training=Training(augmentation="crop"))
    assert plain.hash_with(fingerprint) == told.hash_with(fingerprint) != other.hash_with(fingerprint)
    assert Experiment.from_dict(other.to_dict()) == other
    earlier = plain.to_dict()
    del earlier["training"]["augmentation"]  # as it is in a run's experiment.json of before
    assert Experiment.from_dict(earlier) == plain
