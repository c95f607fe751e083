"""Watching a training: what a watch hears and how it stops, the picture of it, the widget, and the thread behind it."""

import os
import threading
from dataclasses import replace
from operator import mul

import numpy as np
import pytest
import torch
from fake_runs import make_run, texts
from matplotlib.axes import Axes

from cscelab.datasets import load_data
from cscelab.datasets.processes import unordered
from cscelab.experiment import find_run, run, unfinished
from cscelab.figures.monitor import SMOOTH, Trail, best_row, described, monitor_figure, running_mean
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.recipes import recipe
from cscelab.train import NotFiniteLossError
from cscelab.watch import Progress
from cscelab.widgets import TrainingMonitor, checked, worker
from cscelab.widgets.monitor import _raise as raise_in_the_package
from cscelab.widgets.monitor import sentence
from cscelab.widgets.worker import Worker, train_in_thread, training_now

SMOKE = recipe("csce", "smoke")
TWO_EPOCHS = replace(SMOKE, training=replace(SMOKE.training, epochs=2))
PATIENCE = 60.0  # seconds before a test gives a thread up
ROWS = tuple(
    {"epoch": epoch, "validation_map": value, "loss_a": 4 - epoch, "loss_b": 0.5}
    for epoch, value in ((1.0, 0.25), (2.0, 0.75), (3.0, 0.5))
)


def told(epoch, step, history=(), seconds=0.0, a=1.0):
    return Progress(epoch, 3, step, 4, {"a": a, "b": 0.5}, tuple(history), seconds)


@pytest.fixture
def trail():
    return Trail("csce/16, seed 0", 3)


class TestTrail:
    def test_takes_each_step_once(self, trail):
        for record in (told(1, 1), told(1, 2), told(1, 3), told(1, 4), told(1, 4, ROWS[:1]), told(2, 1, ROWS[:1])):
            trail.add(record)
        assert trail.places == [0.25, 0.5, 0.75, 1.0, 1.25]
        assert len(trail.losses) == 5
        assert trail.history == ROWS[:1]
        assert trail.at == 1.25

    def test_a_call_that_goes_on_trains_the_broken_epoch_again(self, trail):
        trail.add(told(1, 4))
        trail.add(told(1, 4, ROWS[:1]))
        trail.add(told(2, 1, ROWS[:1], a=7.0))
        trail.add(told(2, 2, ROWS[:1], a=7.0))
        trail.began = None
        trail.add(told(2, 1, ROWS[:1], a=3.0))
        assert trail.places == [1.0, 1.25]
        assert [terms["a"] for terms in trail.losses] == [1.0, 3.0]

    def test_time_left_follows_the_pace_of_this_call(self, trail):
        assert trail.seconds_left() is None
        trail.history = ROWS[:1]
        trail.add(told(2, 1, ROWS[:1], seconds=10.0))  # what came before the first step is no pace
        assert trail.seconds_left() is None
        trail.add(told(2, 3, ROWS[:1], seconds=14.0))  # half an epoch in 4 s, and 1.25 epochs to go
        assert trail.seconds_left() == pytest.approx(10.0)

    def test_describes_an_experiment_in_a_line(self):
        assert described(SMOKE) == "csce/16, seed 0, 64 training images, 1 epoch"
        assert described(replace(TWO_EPOCHS, seed=3)) == "csce/16, seed 3, 64 training images, 2 epochs"

    def test_the_first_of_the_best_epochs_is_kept(self):
        assert best_row(ROWS)["epoch"] == 2
        assert best_row((*ROWS, {**ROWS[1], "epoch": 4.0}))["epoch"] == 2

    def test_running_mean_by_hand(self):
        assert running_mean(np.array([6.0, 2.0, 4.0, 9.0]), 3).tolist() == [6.0, 4.0, 4.0, 5.0]


class TestFigure:
    def test_before_training_it_says_so(self, trail):
        figure = monitor_figure(trail)
        assert {"no step yet", "no epoch finished yet", "csce/16, seed 0"} <= set(texts(figure))
        assert figure.alt == "csce/16, seed 0: trained for 0.0 of 3 epochs. No epoch is finished."

    def test_while_training_steps_means_and_the_ring(self, trail):
        for step in (1, 2, 3, 4):
            trail.add(told(1, step, a=float(step)))
        trail.add(told(2, 2, ROWS[:2], a=10.0))
        loss, precision = monitor_figure(trail).axes
        raw, smooth, means, *_, here = loss.lines
        assert list(raw.get_xdata()) == [0.25, 0.5, 0.75, 1.0, 1.5]
        assert list(raw.get_ydata()) == [1, 2, 3, 4, 10]
        assert list(smooth.get_ydata()) == [1, 1.5, 2, 2.5, 4]
        assert list(means.get_xdata()) == [0.5, 1.5]  # the middles of the epochs
        assert list(means.get_ydata()) == [3, 2]
        assert here.get_xdata()[0] == 1.5
        assert [text.get_text() for text in loss.get_legend().get_texts()] == ["a", "b"]
        assert f"mean of {SMOOTH}" in loss.get_xlabel()
        curve, ring, _ = precision.lines
        assert list(curve.get_ydata()) == [0.25, 0.75]
        assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (2, 0.75)
        assert precision.get_title("left") == "Validation mAP: 0.750 in epoch 2 is kept"
        assert precision.get_xlabel() == "epoch (ring: the one kept so far)"

    def test_a_stored_run_shows_means_and_what_was_kept(self, tmp_path, splits):
        stored = make_run(tmp_path, splits, training=replace(SMOKE.training, epochs=3))
        figure = monitor_figure(stored)
        loss, precision = figure.axes
        assert [list(line.get_ydata()) for line in loss.lines] == [[3, 2, 1], [1, 0.5, 0.25]]
        assert precision.get_title("left") == "Validation mAP: 0.750 in epoch 2 is kept"
        assert precision.get_xlabel() == "epoch (ring: the one kept)"
        assert "Loss term a, means of epochs: 3, 2, 1." in figure.alt
        assert "Validation mAP by epoch: 0.500, 0.750, 0.600; 0.750 in epoch 2 is kept." in figure.alt

    def test_long_trainings_draw_few_points(self, trail):
        trail.places = [step / 1000 for step in range(1, 3001)]
        trail.losses = [{"a": 1.0}] * 3000
        assert all(len(line.get_xdata()) <= 600 for line in monitor_figure(trail).axes[0].lines)

    def test_smoke_is_marked(self):
        assert SMOKE_MARK in texts(monitor_figure(Trail.of(SMOKE)))
        assert SMOKE_MARK not in texts(monitor_figure(Trail.of(recipe("csce"))))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data folder with the smoke images drawn and nothing trained."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def data(root, tmp_path):
    """A data folder of this test, with the images of `root`."""
    load_data(SMOKE.data, root, progress=False)
    drawn = next(root.glob("aviary-*"))
    os.symlink(drawn, tmp_path / drawn.name)
    yield tmp_path
    if left := training_now():  # of a test that failed
        left.stop()
        left.wait(PATIENCE)


def at(monkeypatch, epoch, step, action):
    """Calls the action in the thread that trains, when it is told of this step, before the worker hears of it."""
    hear = Worker._hear

    def heard(self, progress):
        if (progress.epoch, progress.step) == (epoch, step) and len(progress.history) < epoch:
            action()
        hear(self, progress)

    monkeypatch.setattr(Worker, "_hear", heard)


def finish(monitor):
    monitor.worker.wait(PATIENCE)
    assert not monitor.worker.thread.is_alive()
    monitor.refresh()
    return checked(monitor)


class TestMonitor:
    def test_nothing_is_trained_before_start(self, data):
        monitor = checked(TrainingMonitor(profile="smoke", root=data))
        assert "Not trained yet; start trains it here." in monitor.status.value
        assert (monitor.start.disabled, monitor.stop.disabled, monitor.run) == (False, True, None)
        assert training_now() is None
        assert not (data / "runs").exists()

    def test_start_stop_resume_give_the_bits_of_an_uninterrupted_run(self, data, tmp_path_factory, monkeypatch):
        monitor = TrainingMonitor(TWO_EPOCHS, root=data)
        at(monkeypatch, 2, 1, lambda: monitor.stop.click())
        monitor.start.click()
        finish(monitor)
        assert "Stopped in epoch 2; resume goes on after epoch 1 of 2." in monitor.status.value
        assert (monitor.start.description, monitor.start.disabled, monitor.stop.disabled) == ("resume", False, True)
        assert monitor.run is None
        assert monitor.bar.value == 0.75
        assert find_run(TWO_EPOCHS, data) is None
        assert [row["epoch"] for row in unfinished(TWO_EPOCHS, data)] == [1]

        # A kernel that is started anew finds what is left.
        again = TrainingMonitor(TWO_EPOCHS, root=data)
        assert "Stopped earlier; resume goes on after epoch 1 of 2." in again.status.value
        assert again.start.description == "resume"

        monkeypatch.undo()
        monitor.start.click()
        finish(monitor)
        assert monitor.status.value.count("Trained: a smoke run, its numbers mean nothing; stored as csce-16-") == 1
        assert monitor.trail.places == [0.5, 1.0, 1.5, 2.0]
        assert (monitor.start.disabled, monitor.stop.disabled, monitor.bar.value) == (True, True, 1.0)
        assert monitor.run.folder == find_run(TWO_EPOCHS, data).folder

        elsewhere = tmp_path_factory.mktemp("whole")
        drawn = next(path for path in data.glob("aviary-*"))
        os.symlink(drawn, elsewhere / drawn.name)
        whole = run(TWO_EPOCHS, root=elsewhere, progress=False)
        for name, array in whole.codes.items():
            assert (array == monitor.run.codes[name]).all()
        assert [row["loss_metric"] for row in whole.history] == [row["loss_metric"] for row in monitor.run.history]

        stored = checked(TrainingMonitor(TWO_EPOCHS, root=data))
        assert "Already trained" in stored.status.value
        assert stored.start.disabled
        assert [row["epoch"] for row in stored.trail.history] == [1, 2]

    def test_two_monitors_and_double_clicks_train_once(self, data, monkeypatch):
        first, second = (TrainingMonitor(TWO_EPOCHS, root=data) for _ in range(2))
        third = TrainingMonitor(replace(SMOKE, seed=9), root=data)
        calls, here, on = [], threading.Event(), threading.Event()

        def hold():
            here.set()
            assert on.wait(PATIENCE)

        at(monkeypatch, 1, 1, hold)
        real = worker.run
        monkeypatch.setattr(worker, "run", lambda *a, **k: calls.append(a) or real(*a, **k))
        first.start.click()
        first.start.click()
        second.start.click()
        assert here.wait(PATIENCE)
        third.start.click()
        assert first.worker is second.worker is training_now()
        late = TrainingMonitor(TWO_EPOCHS, root=data)  # opened while it trains
        assert late.worker is first.worker
        assert third.worker is None
        (said,) = third.notes.outputs
        assert said["data"]["text/plain"] == "csce/16 is training in this kernel; stop it, or wait until it is done"
        on.set()
        second.stop.click()
        finish(first)
        finish(second)
        assert len(calls) == 1
        assert "Stopped in epoch 1; no epoch was finished" in first.status.value

    def test_a_users_mistake_is_a_sentence_and_a_bug_an_error_output(self, data, monkeypatch):
        monitor = TrainingMonitor(SMOKE, root=data)

        def fail(error):
            monkeypatch.setattr(worker, "run", lambda *_, **__: raise_in_the_package(error))
            monitor.start.click()
            monitor.worker.wait(PATIENCE)
            monitor.refresh()
            monitor.refresh()  # told once, and still there
            return monitor.notes.outputs[0]

        said = fail(NotFiniteLossError("the loss became nan at epoch 1, step 1"))
        assert said["data"]["text/plain"] == "the loss became nan at epoch 1, step 1"
        assert "Failed; no epoch was finished, resume begins again." in checked(monitor).status.value
        assert not monitor.start.disabled
        assert fail(ZeroDivisionError("by zero"))["output_type"] == "error"
        with pytest.raises(RuntimeError, match="ZeroDivisionError: by zero"):
            checked(monitor)
        monkeypatch.undo()
        monitor.start.click()
        finish(monitor)
        assert monitor.run is not None

    def test_controls_choose_the_experiment_and_rest_while_it_trains(self, data, monkeypatch):
        monitor = checked(TrainingMonitor(root=data))
        assert monitor.experiment.data.train == 1000
        assert monitor.experiment.name == "lesson/csce/16"
        monitor.images.value = 3000
        assert monitor.experiment == recipe("csce", "quick")  # the tables' own, where nothing is changed
        monitor.recipe.value, monitor.bits.value, monitor.seed.value = "csq", 32, 4
        assert monitor.experiment == recipe("csq", "quick", 32, 4)
        monitor.epochs.value = 2
        assert monitor.experiment.training.epochs == 2
        assert monitor.trail.epochs == 2
        assert monitor.experiment.name == "lesson/csq/32"

        smoke = TrainingMonitor(profile="smoke", root=data)
        resting = []
        at(monkeypatch, 1, 1, lambda: smoke.refresh())
        assert smoke.start.description == "start"
        at(monkeypatch, 1, 2, lambda: resting.append(all(control.disabled for control in smoke.chosen)))
        smoke.start.click()
        finish(smoke)
        assert resting == [True]
        assert not any(control.disabled for control in smoke.chosen)

    def test_a_code_length_that_a_method_cannot_write_is_said_and_starts_nothing(self, data):
        monitor = TrainingMonitor(root=data)
        usual = (monitor.recipe.value, monitor.bits.value)
        monitor.recipe.value = "doh/8-ary"
        (said,) = monitor.notes.outputs
        reason = "16 bits are no whole number of symbols of 3 bits (groups of 8); give a multiple of 3"
        assert said["data"]["text/plain"].startswith(reason)
        assert monitor.start.disabled
        assert "start trains it" not in monitor.status.value
        assert "doh/8-ary/16: trained for 0.0 of" in monitor.output.outputs[0]["data"]["text/html"]
        monitor.start.click()  # as a keyboard or a script might
        assert monitor.worker is None
        assert checked(monitor).notes.outputs[0]["data"]["text/plain"].startswith(reason)
        monitor.bits.value = 24
        assert (monitor.experiment.layout.n_symbols, monitor.notes.outputs) == (8, ())
        assert not monitor.start.disabled
        assert "Not trained yet; start trains it here." in monitor.status.value
        monitor.recipe.value, monitor.bits.value = usual
        assert not monitor.notes.outputs

    def test_a_training_of_another_process_is_waited_for(self, data, monkeypatch):
        others, asked = [True, True, False], []

        def is_training(experiment, root):
            asked.append(monitor.worker and monitor.worker.state)
            return others[len(asked) - 1]

        monitor = TrainingMonitor(SMOKE, root=data)
        monkeypatch.setattr(worker, "is_training", is_training)
        monkeypatch.setattr(worker, "LOOK_AGAIN", 0.01)
        monitor.start.click()
        finish(monitor)
        assert len(asked) == 3
        assert asked[2] == "waiting"
        assert monitor.run is not None

    def test_images_that_are_drawn_first_are_reported_and_can_be_stopped(self, data, monkeypatch):
        monitor, seen = TrainingMonitor(replace(SMOKE, seed=77), root=data), []

        def draws(experiment, **_):
            for job, _ in unordered(mul, [(1, 1), (2, 2), (3, 3), (4, 4)], 1):
                if job == (3, 3):  # two of four are reported
                    monitor.refresh()
                    seen.append((monitor.status.value, monitor.bar.value, monitor.bar.bar_style))
                    monitor.stop.click()
                    seen.append((monitor.status.value, monitor.stop.disabled))
            raise AssertionError("drawing went on")

        monkeypatch.setattr(worker, "run", draws)
        monitor.start.click()
        monitor.worker.wait(PATIENCE)
        monitor.refresh()
        (drawing, share, style), (stopping, disabled) = seen
        assert "Drawing the images, once: 50% done." in drawing
        assert (share, style) == (0.5, "warning")
        assert "50% done; stopping after those in hand." in stopping
        assert disabled
        assert monitor.worker.state == "stopped"
        checked(monitor)

    def test_a_stop_before_anything_is_drawn_is_answered(self, data):
        waiting = Worker(SMOKE, data, Trail.of(SMOKE))
        assert sentence(waiting.trail, waiting, None) == "Getting the images ready."
        waiting.stop()
        assert sentence(waiting.trail, waiting, None) == "Stopping as soon as the images are ready."

    def test_stop_ends_the_wait_too(self, data, monkeypatch):
        monitor = TrainingMonitor(SMOKE, root=data)
        monkeypatch.setattr(worker, "is_training", lambda *_: True)
        monitor.start.click()
        monitor.stop.click()
        finish(monitor)
        assert "Stopped; no epoch was finished" in monitor.status.value

    def test_a_damaged_checkpoint_is_one_sentence(self, data):
        partial = data / "runs" / f"{SMOKE.folder_name}.partial"
        partial.mkdir(parents=True)
        for name in ("last.ckpt", "best.safetensors"):
            (partial / name).write_bytes(b"nothing")
        monitor = checked(TrainingMonitor(SMOKE, root=data))
        assert "last.ckpt cannot be read; delete the folder" in monitor.notes.outputs[0]["data"]["text/plain"]


def test_a_worker_leaves_the_number_of_threads_as_it_was(data):
    before = torch.get_num_threads()
    found = train_in_thread(SMOKE, data)
    found.wait(PATIENCE)
    assert found.state == "done"
    assert torch.get_num_threads() == before


def test_a_step_taken_while_the_picture_is_drawn_waits_for_the_next_picture(monkeypatch):
    """The training adds to its trail in a thread of its own; here it does so at every curve."""
    trail, plot = Trail("t", 4), Axes.plot

    def step() -> None:
        terms = {"metric": 1.0, "quantization": 0.5}
        trail.add(Progress(1, 4, len(trail.places) + 1, 1000, terms, (), 0.0))

    def plot_and_step(self, *arguments, **options):
        drawn = plot(self, *arguments, **options)
        step()
        return drawn

    for _ in range(5):
        step()
    monkeypatch.setattr(Axes, "plot", plot_and_step)
    figure = monitor_figure(trail)
    assert len(trail.places) > 5
    lengths = {len(line.get_xdata()) for line in figure.axes[0].lines if len(line.get_xdata()) > 2}
    assert lengths == {5}
