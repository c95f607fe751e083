"""`cscelab figures`: which runs are needed, what is written, and that a second call trains nothing."""

import pandas as pd
import pytest

from cscelab.figures import build
from cscelab.figures.study import study_table
from cscelab.jobs import distinct
from cscelab.recipes import PROFILES, TABLE2


@pytest.fixture(autouse=True)
def data_folder(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CSCELAB_DATA", str(tmp_path_factory.getbasetemp() / "build-data"))


def test_quick_needs_sixteen_trainings():
    assert len(distinct(build.needed(build.BY_DEFAULT, "quick"))) == 16


def test_standard_needs_every_length_and_seed_of_both_tables():
    experiments = distinct(build.needed(["table2"], "standard"))
    profile = PROFILES["standard"]
    assert len(experiments) == len(TABLE2) * len(profile.lengths) * len(profile.seeds)


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
