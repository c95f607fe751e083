"""`cscelab figures`: which runs are needed, what is written, and that a second call trains nothing."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from smoke_runs import smoke_data

from cscelab.datasets.lists import ListFiles
from cscelab.figures import build
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.figures.study import study_table
from cscelab.jobs import distinct
from cscelab.methods import METHODS
from cscelab.recipes import EXCHNET_ROWS, OWN_TRUNKS, PART_SWEEP, PROFILES, TABLE1, TABLE2, recipe


@pytest.fixture(autouse=True)
def data_folder(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CSCELAB_DATA", str(tmp_path_factory.getbasetemp() / "build-data"))


def test_quick_needs_sixteen_trainings():
    assert len(distinct(build.needed(build.BY_DEFAULT, "quick"))) == 16


def test_standard_needs_every_length_and_seed_of_both_tables():
    experiments = distinct(build.needed(["table2"], "standard"))
    profile = PROFILES["standard"]
    assert len(experiments) == len(TABLE2) * len(profile.lengths) * len(profile.seeds)


def test_quick_table1_is_every_method_once_on_both_kinds_of_labels():
    experiments = build.needed(["table1"], "quick")
    assert len(distinct(experiments)) == len(experiments) == 2 * len(METHODS)
    assert {(one.bits, one.seed, one.method.backbone.name) for one in experiments} == {(32, 0, "tiny")}
    for scenes in (False, True):
        assert [one.method.name for one in experiments if one.data.scenes is scenes] == list(METHODS)
    assert "table1" not in build.BY_DEFAULT


def test_standard_table1_is_every_length_and_seed():
    experiments = build.needed(["table1"], "standard")
    assert len(distinct(experiments)) == 2 * len(METHODS) * 3 * 3
    assert {one.bits for one in experiments} == {16, 32, 64}
    assert len(build.needed(["table1"], "quick", seeds=3)) == 2 * len(METHODS) * 3


def test_the_papers_table1_has_its_data_depths_and_trunks(monkeypatch):
    monkeypatch.setattr("cscelab.figures.context.absent_lists", lambda data: [])
    experiments = build.needed(["table1"], "paper")
    assert len(set(experiments)) == len(experiments) == 3 * len(TABLE1) * 3 * 3  # hashes need the lists
    assert len(TABLE1) == len(METHODS) + len(OWN_TRUNKS)
    assert {one.map_at for one in experiments} == {1000, 5000}
    assert {one.data.root.split("/")[-1]: one.map_at for one in experiments} == {
        "imagenet100": 1000, "coco": 5000, "nus-wide": 5000,
    }  # fmt: skip
    assert {one.method.backbone.name for one in experiments} == {"resnet50", "vgg16", "gcvit_xxtiny", "vit_b_16"}


def test_data_sets_whose_lists_are_absent_are_left_out_with_a_word(tmp_path, monkeypatch, capsys):
    profile = replace(PROFILES["paper"], data=lists(tmp_path / "a"), multilabel={
        on: replace(one, data=lists(tmp_path / on)) for on, one in PROFILES["paper"].multilabel.items()
    })  # fmt: skip
    monkeypatch.setitem(PROFILES, "paper", profile)
    monkeypatch.setattr(build, "run_all", lambda experiments, **_: pytest.fail(f"{len(experiments)} to train"))
    with pytest.raises(
        ValueError, match=r"none of the split lists \(.*train.txt.*\); lay out .* as data/README.md says"
    ):
        build.build(["table1"], "paper", out=tmp_path)
    (tmp_path / "coco").mkdir()
    for split in ("train", "query", "database"):
        (tmp_path / "coco" / f"{split}.txt").write_text("a.jpg 0 1\n")
    with pytest.raises(pytest.fail.Exception, match=f"^{len(TABLE1) * 3 * 3} to train"):
        build.build(["table1"], "paper", out=tmp_path)
    said = set(capsys.readouterr().out.splitlines())
    assert said == {
        f"Table 1 leaves out {on}: its split lists are absent (data/README.md)" for on in ("single", "nus-wide")
    }
    assert {one.data for one in build.needed(["table1"], "paper")} == {profile.multilabel["coco"].data}


def lists(folder) -> ListFiles:
    return ListFiles(str(folder), *(str(folder / f"{split}.txt") for split in ("train", "query", "database")))


def test_the_cost_alone_needs_no_run(tmp_path):
    assert build.needed(["cost"], "quick") == []
    assert "cost" not in build.BY_DEFAULT


def test_table1_is_written_for_both_kinds_and_the_second_call_trains_nothing(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CSCELAB_DATA", str(smoke_data(tmp_path_factory)))
    monkeypatch.setattr("cscelab.experiment.fit", lambda *_, **__: pytest.fail("trained again"))
    paths = build.build(["table1"], "smoke", out=tmp_path, jobs=1)
    pictures = {path.stem for path in paths if path.suffix == ".png"}
    kinds = ("single", "scenes")
    assert pictures == {
        *(f"table1-{kind}-picture" for kind in kinds),
        *(f"methods-{kind}-{curve}" for kind in kinds for curve in ("precision-recall", "precision-at-n")),
        "methods-cost-picture",
    }
    assert {path.name for path in paths if path.suffix == ".csv"} == {
        "table1-single.csv", "table1-scenes.csv", "methods-cost.csv",
    }  # fmt: skip
    for kind, floor, goal in (("single", "LSH", "twice LSH"), ("scenes", "ITQ", "above ITQ")):
        frame = pd.read_csv(tmp_path / f"table1-{kind}.csv", index_col=0)
        assert list(frame.index) == list(TABLE1)
        ours = frame["16 bits: mAP"]
        assert set(ours.index[ours.isna()]) == {row for row in TABLE1 if row.endswith(")")}
        verdicts = frame[f"16 bits: {goal}"].dropna()
        assert set(verdicts.index) == {config.title for config in METHODS.values()} - {"LSH", "ITQ", "CIBHash"}
        needed = 2 * ours[floor] if kind == "single" else ours[floor]
        clear = verdicts[verdicts != "within the interval"]
        assert list(clear == "yes") == list(ours[clear.index] > needed)
        assert set(frame["remark"]) == {SMOKE_MARK}
    cost = pd.read_csv(tmp_path / "methods-cost.csv", index_col=0)
    assert set(cost.index) == {config.title for config in METHODS.values()}
    assert cost.loc["CSQ", "times the reference"] == 1
    assert set(cost["remark"]) == {SMOKE_MARK}


def test_exchnet_has_all_seeds_at_24_bits_alone():
    experiments = build.needed(["exchnet"], "quick")
    assert len(distinct(experiments)) == len(experiments) == 4 * 4 + 2 + 1
    assert {one.data for one in experiments} == {PROFILES["quick"].finegrained["species40"].data}
    several = build.needed(["exchnet"], "quick", seeds=3)
    assert set(experiments) < set(several)
    further = set(several) - set(experiments)
    assert {(one.bits, one.seed) for one in further} == {(24, 1), (24, 2)}
    assert len(distinct(several)) == len(several) == len(experiments) + 4 * 2
    (searched,) = build.needed(["search-cost"], "quick", seeds=3)
    assert searched == recipe("exchnet", "quick", 24, 0, "species40")
    assert not {"exchnet", "search-cost"} & set(build.BY_DEFAULT)


def test_exchnets_data_sets_whose_lists_are_absent_are_left_out_with_a_word(tmp_path, monkeypatch, capsys):
    paper = PROFILES["paper"]
    finegrained = {on: replace(one, data=lists(tmp_path / on)) for on, one in paper.finegrained.items()}
    monkeypatch.setitem(PROFILES, "paper", replace(paper, finegrained=finegrained))
    monkeypatch.setattr(build, "run_all", lambda experiments, **_: pytest.fail(f"{len(experiments)} to train"))
    for name in ("exchnet", "search-cost"):
        with pytest.raises(ValueError, match=r"ExchNet's figures found none of the split lists \(.*cub.*food101.*\)"):
            build.build([name], "paper", out=tmp_path)
    (tmp_path / "vegfru").mkdir()
    for split in ("train", "query", "database"):
        (tmp_path / "vegfru" / f"{split}.txt").write_text("a.jpg 0\n")
    with pytest.raises(pytest.fail.Exception, match=f"^{4 * 3 + 4 * 3 + 2 + 1} to train"):
        build.build(["exchnet"], "paper", out=tmp_path)
    said = set(capsys.readouterr().out.splitlines())
    assert said == {
        f"ExchNet's figures leave out {on}: its split lists are absent (data/README.md)"
        for on in ("cub", "aircraft", "nabirds", "food101")
    }


def untrained(method, splits, training, folder, seed, *_) -> list[dict[str, float]]:
    """In the place of `fit`: the network as drawn, codes as they start."""
    method.start_training(splits.train, torch.Generator().manual_seed(seed))
    step = {"objective_before": 0.5, "objective": 0.4, "codes_changed": 0.1}
    return [{"epoch": float(epoch), "validation_map": 0.5, **step} for epoch in (1, 2)]


def test_exchnet_and_the_cost_of_searching_are_written_and_nothing_is_trained_twice(tmp_path, monkeypatch):
    smoke = PROFILES["smoke"]
    (benchmark,) = smoke.finegrained.values()
    small = replace(benchmark, data=replace(benchmark.data, n_classes=4, train=24, image_size=48))
    monkeypatch.setitem(PROFILES, "smoke", replace(smoke, finegrained={"species40": small}, finegrained_lengths=(12,)))
    monkeypatch.setattr("cscelab.experiment.fit", untrained)
    paths = build.build(["exchnet", "search-cost"], "smoke", out=tmp_path, jobs=1)
    pictures = ("exchnet-map-by-bits", "exchnet-parts-sweep", "exchnet-objective", "exchnet-attention",
                "exchnet-movement", "search-cost")  # fmt: skip
    tables = ("exchnet", "exchnet-parts-sweep", "exchnet-movement", "search-cost")
    assert sorted(path.name for path in paths) == sorted(
        [f"{stem}.{suffix}" for stem in pictures for suffix in ("png", "svg")] + [f"{stem}.csv" for stem in tables]
    )
    for stem in tables:
        assert set(pd.read_csv(tmp_path / f"{stem}.csv")["remark"]) == {SMOKE_MARK}
    frame = pd.read_csv(tmp_path / "exchnet.csv", index_col=0)
    assert list(frame.index) == list(EXCHNET_ROWS)
    learned = frame["12 bits: learned mAP"]
    assert list(learned.index[learned.isna()]) == ["HashNet"]
    assert pd.read_csv(tmp_path / "exchnet-parts-sweep.csv")["parts"].tolist() == list(PART_SWEEP)
    moved = pd.read_csv(tmp_path / "exchnet-movement.csv")
    assert set(moved["anchor"]) == {"own class", "same genus"}  # four species are of one genus
    monkeypatch.setattr("cscelab.experiment.fit", lambda *_: pytest.fail("trained again"))
    assert len(build.run_all(build.needed(["exchnet"], "smoke"), jobs=1, progress=False)) == 4 + 2 + 1


def test_seeds_can_be_asked_for():
    seeds = {experiment.seed for experiment in build.needed(["table3"], "quick", seeds=3)}
    assert seeds == {0, 1, 2}
    with pytest.raises(ValueError, match="0 seeds were asked for; give at least 1"):
        build.needed(["table3"], "quick", seeds=0)


def test_unknown_figures_and_an_unwritable_folder_are_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "run_all", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(ValueError, match="unknown figure 'fig7'; choose from"):
        build.build(["fig7"], "smoke")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write to"):
        build.build(["fig2"], "smoke", out=tmp_path / "file")


def test_table_and_diagrams_are_written_and_the_second_call_trains_nothing(tmp_path, monkeypatch):
    paths = build.build(["table2", "fig2", "fig3", "fig4"], "smoke", out=tmp_path, jobs=1)
    names = {path.name for path in paths}
    assert names == {
        "table2.csv", "table2-picture.png", "table2-picture.svg", "fig2-network.png", "fig2-network.svg",
        "fig3-windows.png", "fig3-windows.svg", "fig4-aie.png", "fig4-aie.svg",
    }  # fmt: skip
    frame = pd.read_csv(tmp_path / "table2.csv", index_col=0)
    assert list(frame.index) == list(TABLE2)
    assert frame["16 bits: mAP"].between(0, 1).all()
    first = {path.name: path.read_bytes() for path in paths}
    monkeypatch.setattr("cscelab.experiment.fit", lambda *_, **__: pytest.fail("trained again"))
    for path in build.build(["table2", "fig2", "fig3", "fig4"], "smoke", out=tmp_path, jobs=1):
        assert path.read_bytes() == first[path.name]


def test_the_study_reports_what_the_runs_hold():
    runs = build.run_all(build.needed(["fig2"], "smoke"), jobs=1, progress=False)
    frame = study_table({"whole": [runs[0]]})
    assert frame.loc["whole", "validation mAP"] == runs[0].metrics["validation_map"]
    assert frame.loc["whole", "context / f_l"] == pytest.approx(runs[0].history[0]["context_over_local"])
    assert pd.isna(frame.loc["whole", "mAP, deviation"])
