"""What a training calls and when: rates of the schedules, and a method's end of an epoch before its validation."""

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from small_training import SCRATCH, trained

from cscelab.methods import METHODS, build
from cscelab.methods.csq import CSQ, CSQConfig
from cscelab.steps import LightningHash, Training


def rates(schedule: str, steps: int, new_lr: float = 3.0) -> list[tuple[float, float]]:
    """The rates of trunk and new parts in each step of a training of so many."""
    method = build(CSQConfig(backbone=SCRATCH), 5, 8)
    module = LightningHash(method, Training(optimizer="sgd", lr=1.0, new_lr=new_lr, schedule=schedule), 0)
    module._trainer = SimpleNamespace(estimated_stepping_batches=steps)
    made = module.configure_optimizers()
    (optimizer,), (scheduler,) = ([made], [None]) if isinstance(made, torch.optim.Optimizer) else made
    seen = []
    for _ in range(steps):
        seen.append(tuple(group["lr"] for group in optimizer.param_groups))
        optimizer.step()
        if scheduler:
            assert scheduler["interval"] == "step"
            scheduler["scheduler"].step()
    return seen


def test_steps_fall_to_a_tenth_after_three_fifths_and_again_after_four_fifths():
    trunk, new = zip(*rates("steps", 100), strict=True)
    expected = [1.0] * 60 + [0.1] * 20 + [0.01] * 20
    assert trunk == pytest.approx(expected)
    assert new == pytest.approx([3 * rate for rate in expected])
    assert (trunk[59], trunk[61], trunk[81]) == pytest.approx((1.0, 0.1, 0.01))


def test_the_shortest_trainings_begin_with_the_whole_rate():
    assert [trunk for trunk, _ in rates("steps", 1)] == [1.0]
    assert [trunk for trunk, _ in rates("steps", 5)] == pytest.approx([1.0, 1.0, 1.0, 0.1, 0.01])


def test_the_other_schedules_are_as_they_were():
    assert {trunk for trunk, _ in rates("constant", 7)} == {1.0}
    cosine = [(1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)]
    assert [trunk for trunk, _ in rates("cosine", 8)] == pytest.approx(cosine)
    with pytest.raises(ValueError, match="unknown schedule 'step'; choose from .*'steps'"):
        Training(schedule="step")


@dataclass(frozen=True)
class ListenerConfig(CSQConfig):
    name: ClassVar[str] = "listener"

    def build(self, n_classes: int, bits: int) -> "Listener":
        return Listener(self, n_classes, bits)


class Listener(CSQ):
    """CSQ that notes what it is called for."""

    def __init__(self, config, n_classes, bits):
        super().__init__(config, n_classes, bits)
        self.heard = []

    def start_epoch(self, epoch, n_epochs):
        self.heard.append(f"start {epoch} of {n_epochs}")

    def losses(self, output, labels, generator=None, ids=None):
        self.heard.append("step")
        return super().losses(output, labels, generator, ids)

    def end_epoch(self, epoch, n_epochs):
        self.heard.append(f"end {epoch} of {n_epochs}")
        return {"said_at_the_end": 10.0 + epoch}

    def diagnostics(self, images):
        self.heard.append("validation")
        return super().diagnostics(images)


def test_an_epoch_is_ended_before_its_validation_and_what_it_says_is_in_the_history(tmp_path):
    method, history = trained(ListenerConfig(), tmp_path)
    epochs = ([f"start {e} of 2", *["step"] * 3, f"end {e} of 2", "validation"] for e in range(2))
    assert method.heard == [heard for each in epochs for heard in each]
    assert [row["said_at_the_end"] for row in history] == [10.0, 11.0]
    assert {"epoch", "validation_map", "seconds", "value_size"} <= history[0].keys()


@pytest.mark.parametrize("name", ["epoch", "validation_map", "seconds", "loss_central", "gradient_hash_layer"])
def test_names_that_the_history_has_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(Listener, "end_epoch", lambda self, epoch, n_epochs: {"own": 1.0, name: 1.0})
    with pytest.raises(ValueError, match=f"end_epoch gave {name}, which the history has already; return it by another"):
        trained(ListenerConfig(), tmp_path)


def test_diagnostics_take_no_name_of_an_epochs_end(tmp_path, monkeypatch):
    monkeypatch.setattr(Listener, "diagnostics", lambda self, images: {"said_at_the_end": 1.0})
    with pytest.raises(ValueError, match="diagnostics gave said_at_the_end, which the history has already"):
        trained(ListenerConfig(), tmp_path)


@pytest.mark.parametrize("name", ["adsh", "exchnet"])
def test_four_drawn_images_of_six_are_what_an_alternating_method_keeps_of_an_epoch(tmp_path, name):
    method, history = trained(METHODS[name](samples=4, passes=2), tmp_path)
    assert int(method.outputs.rows.any(dim=1).sum()) == 4
    assert method.database.rows.abs().eq(1).all()
    for row in history:
        assert row["objective"] <= row["objective_before"]
        assert 0 <= row["codes_changed"] <= 1
