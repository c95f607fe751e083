"""Database codes that training learned: whose they are, what is measured by them, and that they survive a stop."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from cscelab import train
from cscelab.cli import main
from cscelab.codes import pack, unpack
from cscelab.datasets import Aviary, load_data
from cscelab.encode import Encoded, encode, with_learned
from cscelab.evaluate import mean_average_precision
from cscelab.experiment import find_run, report, run, stored_runs
from cscelab.layout import CodeLayout
from cscelab.methods import HashMethod, MethodConfig
from cscelab.recipes import recipe
from cscelab.shipped import export_encoder, load_encoder

OWN = recipe("adsh", "smoke", 12, on="species40")  # its database is the training images
OTHER = recipe("adsh", "smoke", 12)  # its database is other images
SCENES = replace(OWN, name="scenes/adsh/12", data=Aviary(train=40, validation=12, query=12, database=None, scenes=True))


class Knows(HashMethod):
    """Learned the codes +1 +1 -1 of images 5 and 7, and of no other."""

    def __init__(self, known: tuple[int, ...] = (5, 7)):
        super().__init__(MethodConfig(), 2, 3)
        self.known = torch.tensor(known, dtype=torch.int64)
        self.network = torch.nn.Linear(1, 1)

    def learned_codes(self, ids):
        return torch.tensor([[1.0, 1, -1]]).expand(len(ids), 3), torch.isin(ids, self.known)


class TestWithLearned:
    DATABASE = Encoded(
        pack(np.array([[-1, -1, -1], [1, -1, 1], [-1, 1, 1], [-1, -1, 1]])),
        np.array([[-0.1, -0.2, -0.3], [0.4, -0.5, 0.6], [-0.7, 0.8, 0.9], [-1, -2, 3]], np.float32),
        np.full(4, 0.01, np.float32),
        np.array([0, 1, 1, 0]),
        np.array([4, 7, 9, 5]),
        CodeLayout(3),
    )  # fmt: skip

    def test_known_images_take_their_learned_codes_and_the_others_keep_the_networks(self):
        found = with_learned(Knows(), self.DATABASE)
        assert unpack(found.codes, 3).tolist() == [[-1, -1, -1], [1, 1, -1], [-1, 1, 1], [1, 1, -1]]
        expected = [[-0.1, -0.2, -0.3], [1, 1, -1], [-0.7, 0.8, 0.9], [1, 1, -1]]
        np.testing.assert_array_equal(found.values, np.array(expected, np.float32))
        assert found.thresholds is None
        assert found.labels is self.DATABASE.labels
        assert found.ids is self.DATABASE.ids

    def test_the_networks_codes_are_left_as_they_were(self):
        before = self.DATABASE.codes.copy(), self.DATABASE.values.copy()
        with_learned(Knows(), self.DATABASE)
        np.testing.assert_array_equal(self.DATABASE.codes, before[0])
        np.testing.assert_array_equal(self.DATABASE.values, before[1])
        assert self.DATABASE.thresholds is not None

    def test_none_where_no_image_is_known_or_nothing_is_learned(self):
        assert with_learned(Knows(known=(1, 2)), self.DATABASE) is None
        method = Knows()
        method.learned_codes = lambda ids: None
        assert with_learned(method, self.DATABASE) is None


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def own(root):
    return run(OWN, root=root, progress=False)


@pytest.fixture(scope="module")
def other(root):
    return run(OTHER, root=root, progress=False)


def by_hand(stored, database_codes, k=None) -> float:
    """mAP@k of the run's queries against its database in these codes."""
    codes = stored.codes
    return mean_average_precision(
        codes["query_codes"], codes["query_labels"], database_codes, codes["database_labels"], k=k,
        query_ids=codes["query_ids"], database_ids=codes["database_ids"],
    )  # fmt: skip


class TestRun:
    def test_the_database_is_coded_by_v_and_by_the_network_and_both_are_measured(self, own, root):
        splits = load_data(OWN.data, root, progress=False)
        method, codes = own.model(), own.codes
        v = method.database.read(torch.from_numpy(splits.train.ids)).numpy()
        network = encode(method, splits.train)
        np.testing.assert_array_equal(codes["database_ids"], splits.train.ids)
        np.testing.assert_array_equal(codes["database_codes"], v)
        np.testing.assert_array_equal(codes["database_values"], v)
        np.testing.assert_array_equal(codes["network_codes"], unpack(network.codes, 12))
        np.testing.assert_allclose(codes["network_values"], network.values, atol=1e-5)
        assert not np.array_equal(codes["database_codes"], codes["network_codes"])
        assert own.metrics["map"] == own.mean_average_precision == pytest.approx(by_hand(own, v), abs=1e-12)
        network_map = own.metrics["network"]["map"]
        assert network_map == pytest.approx(by_hand(own, unpack(network.codes, 12)), abs=1e-12)
        assert network_map != own.metrics["map"]

    def test_a_naive_ranking_by_v_gives_the_same_number(self, own):
        """Every query against V in plain numpy: precision at each relevant rank, each tied order as likely."""
        codes, precisions = own.codes, []
        for code, label in zip(codes["query_codes"], codes["query_labels"], strict=True):
            distance = (12 - codes["database_codes"].astype(int) @ code.astype(int)) // 2
            relevant, total, before, found = codes["database_labels"] == label, 0.0, 0, 0
            for value in np.unique(distance):
                tied = relevant[distance == value]
                n, r = len(tied), int(tied.sum())
                for place in range(1, n + 1):  # a relevant item at this place, r - 1 spread over the others
                    among = (r - 1) * (place - 1) / (n - 1) if n > 1 else 0.0
                    total += r / n * (found + among + 1) / (before + place)
                before, found = before + n, found + r
            precisions.append(total / found)
        assert own.metrics["map"] == pytest.approx(np.mean(precisions), abs=1e-9)

    def test_the_code_steps_are_in_the_stored_history(self, own):
        with (own.folder / "history.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(own.history) == 2
        for row in rows:
            assert float(row["objective"]) <= float(row["objective_before"])
            assert 0 <= float(row["codes_changed"]) <= 1

    def test_a_report_is_of_the_database_that_is_asked_for(self, own):
        by_v, by_network = report(own), report(own, database="network")
        assert by_v.map["expected"]["retrieved"] == pytest.approx(own.metrics["map"], abs=1e-12)
        assert report(own, database="learned").map == by_v.map
        assert by_network.map["expected"]["retrieved"] == pytest.approx(own.metrics["network"]["map"], abs=1e-12)
        at5 = by_hand(own, own.codes["network_codes"], 5)
        assert report(own, 5, "network").map["expected"]["retrieved"] == pytest.approx(at5, abs=1e-12)

    def test_databases_by_name(self, own, other):
        codes = own.codes
        for by, side in ((None, "database"), ("learned", "database"), ("network", "network")):
            found = own.database(by)
            np.testing.assert_array_equal(found[0], codes[f"{side}_codes"])
            np.testing.assert_array_equal(found[1], codes[f"{side}_values"])
        for by in (None, "network"):
            np.testing.assert_array_equal(other.database(by)[0], other.codes["database_codes"])
        with pytest.raises(ValueError, match=r"unknown database 'v'; choose from \('learned', 'network'\)"):
            own.database("v")
        with pytest.raises(ValueError, match="adsh/12 learned no codes of its database; ask for 'network', or train"):
            report(other, database="learned")

    def test_a_database_of_other_images_is_coded_by_the_network_alone(self, other):
        assert not {"network_codes", "network_values"} & other.codes.keys()
        assert "network" not in other.metrics
        assert not set(other.codes["database_ids"]) & set(other.model().database.ids.tolist())

    def test_an_interrupted_run_ends_with_the_same_database_codes(self, own, root, tmp_path, monkeypatch):
        for drawn in root.glob("aviary-*"):
            (tmp_path / drawn.name).symlink_to(drawn)
        begin = train.ValidateAndKeepBest.on_train_epoch_start

        def stop_at_the_last_epoch(self, trainer, module):
            if module.current_epoch == 1:
                raise KeyboardInterrupt
            begin(self, trainer, module)

        monkeypatch.setattr(train.ValidateAndKeepBest, "on_train_epoch_start", stop_at_the_last_epoch)
        with pytest.raises(KeyboardInterrupt):
            run(OWN, root=tmp_path, progress=False)
        assert find_run(OWN, tmp_path) is None
        monkeypatch.setattr(train.ValidateAndKeepBest, "on_train_epoch_start", begin)
        resumed = run(OWN, root=tmp_path, progress=False)
        for name, array in own.codes.items():
            np.testing.assert_array_equal(array, resumed.codes[name], err_msg=name)
        for row, again in zip(own.history, resumed.history, strict=True):
            assert {k: v for k, v in row.items() if k != "seconds"} == {
                k: v for k, v in again.items() if k != "seconds"
            }

    def test_images_of_several_labels_learn_codes_and_resume_too(self, tmp_path, monkeypatch):
        whole = run(SCENES, root=tmp_path / "whole", progress=False)
        codes, method = whole.codes, whole.model()
        assert codes["database_labels"].shape == (40, SCENES.data.n_classes)
        assert codes["database_labels"].sum(axis=1).max() > 1
        v = method.database.read(torch.from_numpy(codes["database_ids"])).numpy()
        np.testing.assert_array_equal(codes["database_codes"], v)
        assert whole.metrics["map"] == pytest.approx(by_hand(whole, v), abs=1e-12)
        assert all(row["objective"] <= row["objective_before"] for row in whole.history)
        begin = train.ValidateAndKeepBest.on_train_epoch_start

        def stop_at_the_last_epoch(self, trainer, module):
            if module.current_epoch == 1:
                raise KeyboardInterrupt
            begin(self, trainer, module)

        monkeypatch.setattr(train.ValidateAndKeepBest, "on_train_epoch_start", stop_at_the_last_epoch)
        with pytest.raises(KeyboardInterrupt):
            run(SCENES, root=tmp_path / "halves", progress=False)
        monkeypatch.setattr(train.ValidateAndKeepBest, "on_train_epoch_start", begin)
        resumed = run(SCENES, root=tmp_path / "halves", progress=False)
        for name, array in codes.items():
            np.testing.assert_array_equal(array, resumed.codes[name], err_msg=name)

    def test_an_exported_encoder_keeps_the_learned_codes(self, own, tmp_path):
        method, experiment = load_encoder(export_encoder(own, tmp_path / "encoder.safetensors"))
        assert experiment == OWN
        ids = torch.from_numpy(own.codes["database_ids"])
        codes, known = method.learned_codes(ids)
        assert known.all()
        np.testing.assert_array_equal(codes.numpy(), own.codes["database_codes"])


class TestCommandLine:
    @pytest.fixture(autouse=True)
    def here(self, root, own, other, monkeypatch):
        monkeypatch.setenv("CSCELAB_DATA", str(root))

    def test_evaluates_by_either_database(self, own, capsys):
        tables = {}
        for by in ("learned", "network"):
            main(["evaluate", OWN.hash, "--database", by])
            tables[by] = capsys.readouterr().out
            assert tables[by].strip() == report(own, database=by).table().strip()
        main(["evaluate", OWN.hash])
        assert capsys.readouterr().out == tables["learned"] != tables["network"]

    def test_codes_that_were_not_learned_are_one_sentence(self, capsys):
        with pytest.raises(SystemExit) as stop:
            main(["evaluate", OTHER.hash, "--database", "learned"])
        assert stop.value.code == 2
        err = capsys.readouterr().err
        assert err.startswith("cscelab: adsh/12 learned no codes of its database; ask for 'network'")
        assert err.count("\n") == 1

    def test_training_on_a_named_data_set_says_both_numbers(self, own, capsys, monkeypatch):
        monkeypatch.setattr("cscelab.experiment.fit", lambda *_, **__: pytest.fail("trained again"))
        main(["train", "adsh", "--profile", "smoke", "--bits", "12", "--on", "species40"])
        out = capsys.readouterr().out
        assert f"mAP {own.metrics['network']['map']:.4f} (cscelab evaluate {OWN.hash} --database network)" in out
        assert str(own.folder) in out
        main(["train", "adsh", "--profile", "smoke", "--bits", "12", "--on", "single"])
        assert "--database network" not in capsys.readouterr().out


def test_runs_with_learned_codes_are_listed_with_the_others(own, other, root):
    assert {stored.experiment.hash for stored in stored_runs(root)} == {OWN.hash, OTHER.hash}
    stored = json.loads((own.folder / "experiment.json").read_text())
    assert stored["data"]["database"] is None
    assert replace(OWN, data=replace(OWN.data, database=48)).hash != OWN.hash
