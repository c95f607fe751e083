"""Experiments: cached by content, resumable, deterministic, and nothing lost when something goes wrong."""

import hashlib
import json
import os
import shutil
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_runs import image_set, make_run
from PIL import Image

from cscelab import __version__, compare, listing, train
from cscelab.datasets import Folder, ListFiles, data_fingerprint, folder_fingerprint, load_data
from cscelab.datasets.loader import SeededShuffle, augment
from cscelab.experiment import (
    Experiment,
    Run,
    find_run,
    fresh_method,
    is_training,
    report,
    run,
    stored_runs,
    unfinished,
)
from cscelab.jobs import distinct, run_all
from cscelab.methods import METHODS
from cscelab.methods.csce import CSCEConfig
from cscelab.model.backbone import SHIPPED_TRUNK, BackboneConfig
from cscelab.owncode import digest_of
from cscelab.owndata import parse_data
from cscelab.recipes import PROFILES, RECIPES, TABLE2, TABLE3, recipe
from cscelab.retrieval.bootstrap import difference, interval
from cscelab.shipped import export_encoder, load_encoder
from cscelab.train import NotFiniteLossError, Training, fit
from cscelab.watch import FirstSteps, TrainingStopped

ON_CTRL_C = []  # what answers it before and after the first training
SMOKE = recipe("csce", "smoke")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def smoke_run(root):
    ON_CTRL_C.append(signal.getsignal(signal.SIGINT))
    trained = run(SMOKE, root=root, progress=False)
    ON_CTRL_C.append(signal.getsignal(signal.SIGINT))
    return trained


class TestExperiment:
    @pytest.mark.parametrize("name", sorted(RECIPES))
    @pytest.mark.parametrize("profile", sorted(PROFILES))
    def test_survives_json(self, name, profile):
        experiment = recipe(name, profile, bits=48, seed=2)  # a whole number of symbols of 3 bits too
        again = Experiment.from_dict(json.loads(json.dumps(experiment.to_dict())))
        assert again == experiment
        assert again.hash == experiment.hash

    def test_hash_changes_with_anything_that_is_run_but_not_with_the_name(self):
        assert replace(SMOKE, name="other").hash == SMOKE.hash
        changed = [
            replace(SMOKE, seed=1),
            replace(SMOKE, bits=32),
            replace(SMOKE, map_at=10),
            replace(SMOKE, method=CSCEConfig(margin=0.2)),
            replace(SMOKE, training=Training(epochs=2)),
            replace(SMOKE, data=replace(SMOKE.data, clutter=3)),
        ]
        assert len({experiment.hash for experiment in [SMOKE, *changed]}) == 7

    def test_the_whole_method_is_the_last_row_of_both_tables(self):
        assert recipe("table2/aie").hash == recipe("csce").hash == recipe("table3/cf+dsf").hash
        assert len(TABLE2) == len(TABLE3) == 6

    def test_unknown_names_list_the_choices(self):
        with pytest.raises(ValueError, match="unknown recipe 'cnn'; choose from .*csce"):
            recipe("cnn")
        with pytest.raises(ValueError, match="unknown profile 'fast'; choose from"):
            recipe("csce", "fast")
        with pytest.raises(ValueError, match="unknown data set 'imagenet'; give 'aviary', 'scenes' or 'folder:PATH'"):
            parse_data("imagenet", SMOKE.data)

    def test_fresh_weights_come_from_the_seed_alone(self):
        before = torch.get_rng_state()
        first, again = fresh_method(SMOKE, 4), fresh_method(SMOKE, 4)
        other = fresh_method(replace(SMOKE, seed=1), 4)
        assert torch.equal(torch.get_rng_state(), before)
        weight = first.network.hash_layer.weight
        assert torch.equal(weight, again.network.hash_layer.weight)
        assert not torch.equal(weight, other.network.hash_layer.weight)

    def test_of_lists_the_content_counts(self, tmp_path, monkeypatch):
        def lists(folder: str, text: str) -> ListFiles:
            (tmp_path / folder).mkdir(exist_ok=True)
            files = [tmp_path / folder / name for name in ("train.txt", "test.txt", "database.txt")]
            for file in files:
                file.write_text(f"{file.stem}.jpg {text}\n")
            return ListFiles(str(tmp_path / folder), *map(str, files))

        mine, theirs, other = lists("mine", "0"), lists("theirs", "0"), lists("other", "1")
        os.utime(tmp_path / "theirs" / "train.txt", ns=(1, 1))
        today = data_fingerprint(mine)
        # Two people with one split, whatever its pictures' names, times and places: SHA-256 of the three lists.
        lines = b"train.jpg 0\n\0test.jpg 0\n\0database.jpg 0\n"
        assert today == data_fingerprint(theirs) == hashlib.sha256(lines).hexdigest()[:16] != data_fingerprint(other)
        assert replace(SMOKE, data=mine).hash == replace(SMOKE, data=theirs).hash
        monkeypatch.setattr("cscelab.datasets.DECODING", 4)
        assert data_fingerprint(mine) == f"{today}, decoding 4"
        (tmp_path / "mine" / "test.txt").unlink()
        assert data_fingerprint(mine) == "absent"

    def test_hash_follows_the_images_and_the_weights_but_not_their_place(self, tmp_path, monkeypatch):
        for place in ("here", "there"):
            for kind in ("a", "b"):
                folder = tmp_path / place / kind
                folder.mkdir(parents=True)
                Image.new("RGB", (8, 8)).save(folder / "1.png")
                os.utime(folder / "1.png", ns=(1, 1))
        here, there = (replace(SMOKE, data=Folder(path=str(tmp_path / place))) for place in ("here", "there"))
        assert here.hash == there.hash
        Image.new("RGB", (9, 9)).save(tmp_path / "there" / "a" / "2.png")
        folder_fingerprint.cache_clear()
        assert here.hash != there.hash

        today = here.hash
        assert here.fingerprint["data"] == folder_fingerprint(tmp_path / "here")  # as runs were stored
        monkeypatch.setattr("cscelab.datasets.DECODING", 4)
        assert here.fingerprint["data"] == f"{folder_fingerprint(tmp_path / 'here')}, decoding 4"
        assert here.hash != today

        weights = tmp_path / "trunk.safetensors"
        shutil.copy(SHIPPED_TRUNK, weights)
        method = replace(SMOKE.method, backbone=BackboneConfig("tiny", str(weights)))
        before = replace(SMOKE, method=method).hash
        weights.write_bytes(weights.read_bytes() + b" ")
        assert replace(SMOKE, method=method).hash != before

    def test_bits_below_one_are_refused_before_any_work(self):
        with pytest.raises(ValueError, match="0 bits were asked for; give at least 1"):
            replace(SMOKE, bits=0)

    def test_bits_that_the_method_cannot_write_are_refused_before_any_work(self):
        symbols = recipe("doh/8-ary", "smoke", bits=24)
        assert str(symbols.layout) == "24 bits (8 symbols of 8)"
        with pytest.raises(ValueError, match="32 bits are no whole number of symbols of 3 bits .* as 30, or another"):
            replace(symbols, bits=32)
        with pytest.raises(ValueError, match="25 bits are no whole number of symbols of 3 bits .* as 24, or another"):
            Experiment.from_dict(symbols.to_dict() | {"bits": 25})


class TestRun:
    def test_stores_everything_and_reads_it_back(self, smoke_run):
        names = {path.name for path in smoke_run.folder.iterdir()}
        assert names == {"experiment.json", "metrics.json", "history.csv", "codes.npz", "model.safetensors"}
        assert smoke_run.metrics["smoke"] is True
        assert len(smoke_run.history) == 1
        assert {"loss_metric", "loss_quantization", "gradient_backbone", "threshold", "context_over_local"} <= set(
            smoke_run.history[0]
        )

    def test_codes_are_those_of_the_stored_model(self, smoke_run, root):
        splits = load_data(SMOKE.data, root, progress=False)
        images = torch.from_numpy(np.asarray(splits.query.images)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            output = smoke_run.model()(images)
        torch.testing.assert_close(output.values.numpy(), smoke_run.codes["query_values"], atol=1e-5, rtol=1e-4)
        assert (output.codes.numpy() == smoke_run.codes["query_codes"]).mean() > 0.99

    def test_metrics_are_those_of_the_stored_codes(self, smoke_run):
        fresh = report(smoke_run)
        assert fresh.map["expected"]["retrieved"] == pytest.approx(smoke_run.metrics["map"], abs=1e-12)
        assert fresh.continuous_map["retrieved"] == pytest.approx(smoke_run.metrics["continuous_map"], abs=1e-12)

    def test_the_same_experiment_is_not_run_twice_and_its_name_does_not_matter(self, smoke_run, root, monkeypatch):
        monkeypatch.setattr("cscelab.experiment.fit", lambda *_, **__: pytest.fail("trained again"))
        again = run(replace(SMOKE, name="another name"), root=root, progress=False)
        assert again.folder == smoke_run.folder

    def test_the_same_experiment_gives_the_same_bits(self, smoke_run, root, tmp_path):
        os.symlink(next(root.glob("aviary-*")), tmp_path / next(root.glob("aviary-*")).name)
        again = run(SMOKE, root=tmp_path, progress=False)
        assert again.metrics["map"] == smoke_run.metrics["map"]
        for name, array in again.codes.items():
            np.testing.assert_array_equal(array, smoke_run.codes[name])

    @pytest.mark.parametrize("name", ["csce", "csce-released"])  # the second draws elastic margins
    def test_an_interrupted_run_goes_on_to_the_same_result(self, smoke_run, root, tmp_path, monkeypatch, name):
        os.symlink(next(root.glob("aviary-*")), tmp_path / next(root.glob("aviary-*")).name)
        experiment = replace(recipe(name, "smoke"), training=replace(SMOKE.training, epochs=3))
        whole = run(experiment, root=root, progress=False)

        keep = train.ValidateAndKeepBest.on_train_epoch_start

        def stop_at_the_last_epoch(self, trainer, module):
            if module.current_epoch == 2:
                raise KeyboardInterrupt
            keep(self, trainer, module)

        monkeypatch.setattr(train.ValidateAndKeepBest, "on_train_epoch_start", stop_at_the_last_epoch)
        with pytest.raises(KeyboardInterrupt):
            run(experiment, root=tmp_path, progress=False)
        assert find_run(experiment, tmp_path) is None
        monkeypatch.setattr(train.ValidateAndKeepBest, "on_train_epoch_start", keep)
        resumed = run(experiment, root=tmp_path, progress=False)
        assert [row["epoch"] for row in resumed.history] == [1, 2, 3]
        np.testing.assert_array_equal(resumed.codes["query_values"], whole.codes["query_values"])

    def test_a_loss_that_is_not_finite_stops_with_its_step_and_keeps_the_good_epoch(self, root, monkeypatch):
        experiment = replace(SMOKE, seed=7, training=replace(SMOKE.training, epochs=2))
        from cscelab.methods.csce import CSCENet

        real = CSCENet.losses

        def poisoned(self, *arguments):
            terms = real(self, *arguments)
            poisoned.calls += 1
            return {**terms, "metric": terms["metric"] * float("nan")} if poisoned.calls > 2 else terms

        poisoned.calls = 0
        monkeypatch.setattr(CSCENet, "losses", poisoned)
        with pytest.raises(
            NotFiniteLossError, match=r"the loss became nan at epoch 2, step 1 .*best.safetensors"
        ) as error:
            run(experiment, root=root, progress=False)
        assert "\n" not in str(error.value)
        partial = root / "runs" / (experiment.folder_name + ".partial")
        assert (partial / "best.safetensors").is_file()
        assert find_run(experiment, root) is None

    def test_an_unwritable_folder_is_one_sentence(self, tmp_path):
        (tmp_path / "runs").write_text("a file where a folder should be")
        with pytest.raises(OSError, match="cannot write to .*runs.*choose another folder"):
            run(SMOKE, root=tmp_path, progress=False)

    def test_ctrl_c_works_again_after_training(self, smoke_run):
        before, after = ON_CTRL_C
        assert after is before

    def test_images_that_changed_since_are_noticed(self, smoke_run, monkeypatch):
        monkeypatch.setattr("cscelab.stored.data_fingerprint", lambda _: "other drawing")
        with pytest.raises(ValueError, match="the images of csce/16 have changed since it ran; run it again"):
            smoke_run.data()

    @pytest.mark.parametrize("name", ["codes.npz", "metrics.json"])
    def test_a_corrupt_file_is_named(self, smoke_run, tmp_path, name):
        copy = shutil.copytree(smoke_run.folder, tmp_path / "copy")
        (copy / name).write_bytes(b"nothing")
        with pytest.raises(ValueError, match=f"{name} cannot be read .* run again"):
            _ = Run(SMOKE, copy).codes, Run(SMOKE, copy).metrics

    def test_a_corrupt_model_file_is_named(self, smoke_run, tmp_path):
        copy = shutil.copytree(smoke_run.folder, tmp_path / "copy")
        (copy / "model.safetensors").write_bytes(b"nothing")
        with pytest.raises(ValueError, match="model.safetensors cannot be loaded .* run again"):
            Run(SMOKE, copy).model()


@pytest.mark.parametrize("name", ["csce", "csq"])
def test_scenes_train_with_multi_hot_labels(name, root):
    experiment = recipe(name, "smoke")
    done = run(replace(experiment, data=parse_data("scenes", experiment.data)), root=root, progress=False)
    labels = done.codes["query_labels"]
    assert labels.ndim == 2
    assert (labels.sum(axis=1) >= 2).all()
    assert 0 < done.metrics["map"] <= 1


def drawn_in(folder, root):
    """A data folder that has the images of another."""
    drawn = next(root.glob("aviary-*"))
    os.symlink(drawn, folder / drawn.name)
    return folder


class TestWatch:
    """Two epochs of two steps: what is told is (epoch, step, finished epochs)."""

    EXPERIMENT = replace(SMOKE, training=replace(SMOKE.training, epochs=2))
    TOLD = ((1, 1, 0), (1, 2, 0), (1, 2, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2))

    @pytest.fixture(scope="class")
    def unwatched(self, smoke_run, root, tmp_path_factory):
        return run(self.EXPERIMENT, root=drawn_in(tmp_path_factory.mktemp("unwatched"), root), progress=False)

    def test_hears_of_every_step_and_every_epoch_and_changes_no_bit(self, unwatched, root, tmp_path):
        heard = []
        watched = run(self.EXPERIMENT, root=drawn_in(tmp_path, root), progress=False, watch=heard.append)
        assert tuple((p.epoch, p.step, len(p.history)) for p in heard) == self.TOLD
        assert {(p.epochs, p.steps) for p in heard} == {(2, 2)}
        assert [p.at for p in heard] == [0.5, 1.0, 1.0, 1.5, 2.0, 2.0]
        seconds = [p.seconds for p in heard]
        assert seconds == sorted(seconds)
        first = [p.terms["metric"] for p in heard[:2]]
        assert watched.history[0]["loss_metric"] == pytest.approx(sum(first) / 2)
        assert [row["epoch"] for row in heard[-1].history] == [1, 2]
        for name, array in unwatched.codes.items():
            np.testing.assert_array_equal(array, watched.codes[name])
        unheard = run(self.EXPERIMENT, root=tmp_path, progress=False, watch=lambda _: pytest.fail("trained again"))
        assert unheard.folder == watched.folder

    @pytest.mark.parametrize("place", [(1, 1, 0), (1, 2, 1), (2, 1, 1), (2, 2, 2)])
    def test_stopped_anywhere_it_goes_on_to_the_same_bits(self, unwatched, root, tmp_path, place):
        here = drawn_in(tmp_path, root)

        def stop(progress):
            if (progress.epoch, progress.step, len(progress.history)) == place:
                raise TrainingStopped

        epoch, step, kept = place
        goes_on = f"goes on after epoch {kept}" if kept else "begins again"
        sentence = f"stopped in epoch {epoch} of 2 after step {step} of 2; the same call {goes_on}$"
        with pytest.raises(TrainingStopped, match=sentence):
            run(self.EXPERIMENT, root=here, progress=False, watch=stop)
        assert find_run(self.EXPERIMENT, here) is None
        assert [row["epoch"] for row in unfinished(self.EXPERIMENT, here)] == list(range(1, kept + 1))
        resumed = run(self.EXPERIMENT, root=here, progress=False)
        assert [row["epoch"] for row in resumed.history] == [1, 2]
        for name, array in unwatched.codes.items():
            np.testing.assert_array_equal(array, resumed.codes[name])
        assert unfinished(self.EXPERIMENT, here) == []

    def test_the_first_steps_alone(self, unwatched, root, tmp_path):
        first, splits = FirstSteps(3), load_data(SMOKE.data, root, progress=False)
        with pytest.raises(TrainingStopped, match="stopped in epoch 2 of 2 after step 1 of 2"):
            fit(fresh_method(SMOKE, 4), splits, self.EXPERIMENT.training, tmp_path, progress=False, watch=first)
        assert [(p.epoch, p.step) for p in first.heard] == [(1, 1), (1, 2), (2, 1)]
        assert first.heard[2].history[0]["loss_metric"] == unwatched.history[0]["loss_metric"]
        with pytest.raises(ValueError, match="0 steps were asked for; give at least 1"):
            FirstSteps(0)

    def test_what_a_watch_raises_by_mistake_is_raised_as_it_is(self, smoke_run, root, tmp_path):
        with pytest.raises(ZeroDivisionError):
            run(self.EXPERIMENT, root=drawn_in(tmp_path, root), progress=False, watch=lambda _: 1 / 0)

    def test_is_training_while_it_trains_and_not_after(self, smoke_run, root, tmp_path):
        here, while_training = drawn_in(tmp_path, root), set()
        assert not is_training(SMOKE, here)
        run(SMOKE, root=here, progress=False, watch=lambda _: while_training.add(is_training(SMOKE, here)))
        assert while_training == {True}
        assert not is_training(SMOKE, here)


class TestJobs:
    def test_two_processes_give_what_one_gives(self, smoke_run, root, tmp_path):
        os.symlink(next(root.glob("aviary-*")), tmp_path / next(root.glob("aviary-*")).name)
        other = replace(SMOKE, seed=3)
        runs = run_all([SMOKE, other, replace(SMOKE, name="again")], jobs=2, root=tmp_path, progress=False)
        assert [r.experiment.name for r in runs] == [SMOKE.name, SMOKE.name, "again"]
        assert len(list(stored_runs(tmp_path))) == 2
        np.testing.assert_array_equal(runs[0].codes["query_values"], smoke_run.codes["query_values"])

    def test_repeats_under_another_name_count_once(self):
        assert len(distinct([recipe("csce"), recipe("table2/aie"), recipe("csq")])) == 2


class TestCompare:
    def test_finds_lists_and_prunes(self, smoke_run, root):
        assert compare.find_stored(SMOKE.hash, root).folder == smoke_run.folder
        with pytest.raises(ValueError, match="no stored run is called 'nothing'"):
            compare.find_stored("nothing", root)
        leftover = root / "runs" / "broken-12345678.partial"
        leftover.mkdir(parents=True, exist_ok=True)
        assert leftover in compare.prunable(root)
        assert smoke_run.folder not in compare.prunable(root)
        compare.remove([leftover])
        assert not leftover.exists()
        with pytest.raises(ValueError, match="not in a runs folder; nothing was removed"):
            compare.remove([root])

    def test_runs_of_settings_that_changed_are_passed_over_and_pruned_those_of_changed_images_are_not(
        self, smoke_run, tmp_path
    ):
        """A field that came later gets its default on reading: not what was trained."""

        def listed() -> set[str]:
            return {stored.folder.name for stored in stored_runs(tmp_path)}

        copy = shutil.copytree(smoke_run.folder, tmp_path / "runs" / smoke_run.folder.name)
        metrics = json.loads((copy / "metrics.json").read_text())
        metrics["fingerprint"] |= {"data": "other images", "weights": "another trunk"}
        moved = copy.rename(copy.with_name(f"{SMOKE.name}-{SMOKE.hash_with(metrics['fingerprint'])}".replace("/", "-")))
        (moved / "metrics.json").write_text(json.dumps(metrics))
        assert listed() == {moved.name}
        assert compare.prunable(tmp_path) == []
        settings = json.loads((moved / "experiment.json").read_text())
        del settings["method"]["margin"]
        settings["training"]["epochs"] = 9
        (moved / "experiment.json").write_text(json.dumps(settings))
        assert listed() == set()
        assert compare.prunable(tmp_path) == [moved]

    def test_the_version_and_the_methods_file_are_noted_and_are_no_part_of_the_hash(self, smoke_run):
        assert smoke_run.metrics["version"] == __version__
        assert smoke_run.metrics["code"] == digest_of(CSCEConfig)
        assert set(smoke_run.metrics["fingerprint"]) == {"data", "weights"}
        assert len({digest_of(config) for config in METHODS.values()}) == len(METHODS)

    def test_differences_are_the_settings_that_differ(self, smoke_run):
        other = Run(replace(SMOKE, bits=32, method=replace(SMOKE.method, margin=0.3)), smoke_run.folder)
        assert compare.differences([smoke_run, other]) == {"bits": [16, 32], "method.margin": [0.15, 0.3]}
        arc = Run(replace(smoke_run.experiment, method=replace(smoke_run.experiment.method, metric="arcface")), root)
        assert compare.differences([smoke_run, arc]) == {"method.metric": [None, "arcface"]}
        assert compare.differences([smoke_run, arc], resolved=True) == {"method.metric": ["cosface", "arcface"]}

    def test_paired_difference_averages_seeds_before_it_draws_queries(self, tmp_path, splits):
        good, bad = ([make_run(tmp_path, splits, noise, seed) for seed in (1, 2)] for noise in (0.1, 0.3))
        found = compare.paired_difference(good, bad)
        maps = [np.mean([run.mean_average_precision for run in runs]) for runs in (good, bad)]
        assert found.value == pytest.approx(maps[0] - maps[1])
        ap = [compare.average_precision(runs) for runs in (good, bad)]
        assert found == difference(*ap)
        assert ap[0] == pytest.approx(sum(np.array(run.metrics["report"]["average_precision"]) for run in good) / 2)

    def test_only_runs_of_one_measure_on_one_data_set_are_compared(self, tmp_path, splits):
        run = make_run(tmp_path, splits, seed=1)
        with pytest.raises(ValueError, match="run1 and run2 were measured by mAP@all and mAP@5; compare runs of one"):
            compare.paired_difference([run], [make_run(tmp_path, splits, seed=2, map_at=5)])
        fewer = replace(splits, query=image_set(7, 1000, 1))
        with pytest.raises(ValueError, match="run1 and run3 cannot be compared: 12 queries cannot be paired with 7"):
            compare.require_comparable([run, make_run(tmp_path, fewer, seed=3)])
        fewer = replace(splits, database=image_set(30, 0, 2))
        with pytest.raises(ValueError, match="run1 and run4 ranked different databases; compare runs on the same data"):
            compare.require_comparable([run, make_run(tmp_path, fewer, seed=4)])

    def test_list_and_compare_print_intervals_over_queries(
        self, smoke_run, root, tmp_path, splits, monkeypatch, capsys
    ):
        monkeypatch.setenv("CSCELAB_DATA", str(root))
        listing.list_runs((SMOKE.hash,))
        out = capsys.readouterr().out
        _, low, high = interval(np.array(smoke_run.metrics["report"]["average_precision"]))
        assert f"[{low:.4f}, {high:.4f}]" in out
        assert "not over training seeds" in out
        listing.compare_runs((SMOKE.hash, SMOKE.hash))
        assert "run 2 - run 1: mAP +0.0000 [+0.0000, +0.0000]\n" in capsys.readouterr().out
        other = make_run(tmp_path, splits)
        other.metrics.update(validation_map=0.5, seconds={"train": 60})
        stored = {"smoke": smoke_run, "other": other}
        monkeypatch.setattr(compare, "find_stored", stored.get)
        listing.compare_runs(("smoke", "other"))
        assert "run 2 - run 1: no paired difference: " in capsys.readouterr().out


def test_an_exported_encoder_gives_nearly_the_same_values(smoke_run, tmp_path):
    path = export_encoder(smoke_run, tmp_path / "encoder.safetensors")
    method, experiment = load_encoder(path)
    assert experiment == SMOKE
    images = torch.rand(4, 3, 112, 112)
    with torch.inference_mode():
        exported, stored = method(images), smoke_run.model()(images)
    assert torch.corrcoef(torch.stack([exported.values.flatten(), stored.values.flatten()]))[0, 1] > 0.999
    assert (exported.codes == stored.codes).float().mean() > 0.95
    path.write_bytes(b"\x00" * 100)
    with pytest.raises(ValueError, match="is no exported encoder"):
        load_encoder(path)


class TestLoader:
    def test_shuffle_depends_on_seed_and_epoch_alone(self):
        sampler, same = SeededShuffle(50, seed=1), SeededShuffle(50, seed=1)
        first = list(sampler)
        assert sorted(first) == list(range(50))
        assert first == list(same)
        sampler.set_epoch(1)
        assert list(sampler) != first
        assert list(SeededShuffle(50, seed=2)) != first

    def test_augmentation_moves_and_mirrors_each_image_by_itself(self):
        ramp = torch.arange(16).expand(16, 16)
        images = torch.stack([ramp, ramp, ramp]).to(torch.uint8).expand(64, 3, 16, 16)
        out = augment(images, torch.Generator().manual_seed(0), shift=2)
        assert out.shape == images.shape
        assert out.dtype == torch.uint8
        slopes = (out[:, 0, 8, 8].int() - out[:, 0, 8, 7].int()).tolist()
        assert set(slopes) == {-1, 1}  # some mirrored, some not
        offsets = {int(image[0, 8, 8]) for image in out}
        assert offsets == {5, 6, 7, 8, 9, 10}  # 8 moved by up to 2, or its mirror image 7
        assert torch.equal(augment(images, torch.Generator().manual_seed(0), flip=False, shift=0), images)


def test_models_built_in_other_threads_do_not_change_the_first_weights():
    """torch has one generator a process; a widget that opens a model while another trains must not draw from it."""
    other, stop = replace(SMOKE, seed=1), threading.Event()
    alone = fresh_method(SMOKE, 4).state_dict()

    def build() -> None:
        while not stop.is_set():
            fresh_method(other, 4)

    thread = threading.Thread(target=build)
    thread.start()
    try:
        built = [fresh_method(SMOKE, 4).state_dict() for _ in range(10)]
    finally:
        stop.set()
        thread.join()
    assert all(torch.equal(alone[name], weights[name]) for weights in built for name in alone)
