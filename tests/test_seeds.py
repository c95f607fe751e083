"""The tables of three seeds are found from anywhere, and stored seeds are compared one by one."""

import numpy as np
import pytest
from fake_runs import make_run, make_splits

from cscelab.figures import seeds
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.figures.seeds import by_seed, stored_table, three_seeds
from cscelab.recipes import TABLE2, TABLE3


def test_the_table_is_found_where_a_notebook_was_copied_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stored_table("table3").index.name == "row"


def test_a_table_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(FileNotFoundError, match="no table 'table4'; choose from .*study.*table3-3seeds"):
        stored_table("table4")


@pytest.mark.parametrize(("name", "rows"), [("table2", TABLE2), ("table3", TABLE3)])
def test_three_seeds_are_ours_alone_and_their_differences_are_to_the_first_row(name, rows):
    table = three_seeds(name)
    assert list(table.index) == list(rows)
    assert set(table["seeds"]) == {3}
    assert not [column for column in table.columns if "published" in column or "bits" in column]
    np.testing.assert_allclose(table["difference"][1:], (table["mAP"] - table["mAP"].iloc[0])[1:], atol=1.01e-4)


def test_a_code_length_without_numbers_is_named():
    with pytest.raises(ValueError, match=r"table3-3seeds.csv has no numbers at 32 bits"):
        three_seeds("table3", bits=32)


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Two recipes with seeds 0 and 1, noisy and less noisy; seed 1 of the second is missing."""
    splits = make_splits()
    runs = {
        (name, seed): make_run(tmp_path, splits, noise, seed, name=name)
        for name, noise, seed in (("csq/16", 0.4, 0), ("csq/16", 0.3, 1), ("csce/16", 0.05, 0))
    }
    monkeypatch.setattr(seeds, "find_run", lambda experiment: runs.get((experiment.name, experiment.seed)))
    return runs


def test_each_stored_seed_answers_on_its_own(stored):
    table = by_seed({"csce or csq?": ("csce", "csq"), "csq again": ("csq", "csq")})
    gain = stored["csce/16", 0].mean_average_precision - stored["csq/16", 0].mean_average_precision
    assert gain > 0.05
    assert table.loc["csce or csq?", "seed 0"] == pytest.approx(gain)
    assert table.loc["csce or csq?"].isna().tolist() == [False, True, True]
    assert table.loc["csq again", ["seed 0", "seed 1"]].tolist() == [0, 0]


def test_smoke_runs_are_marked(stored):
    assert by_seed({"csq again": ("csq", "csq")}, "smoke")["note"].tolist() == [SMOKE_MARK]
