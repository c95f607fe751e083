"""Code banks: rows belong to images, whatever the order; a resumed training finds them as they were."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_training import IDS, LABELS, SCRATCH, made, train_set, trained

from cscelab.methods import METHODS, build
from cscelab.methods.banks import CodeBank
from cscelab.methods.csq import CSQ, CSQConfig
from cscelab.steps import kept_between_steps
from cscelab.train import weights_of


def test_rows_are_found_by_id_in_any_order_of_the_data():
    codes = torch.arange(12.0).view(6, 2)
    bank, other = CodeBank(2), CodeBank(2)
    bank.start(train_set(), codes)
    order = (3, 5, 0, 1, 4, 2)
    other.start(train_set(order=order), codes[list(order)])
    assert torch.equal(bank.ids, other.ids)
    assert torch.equal(bank.rows, other.rows)
    assert torch.equal(bank.labels, other.labels)
    assert torch.equal(bank.read(IDS), codes)
    assert torch.equal(bank.labels[bank.places(IDS)], LABELS)
    batch = IDS[[4, 1]]
    bank.write(batch, torch.tensor([[7.0, 8], [9, 10]], requires_grad=True))
    assert bank.read(batch).tolist() == [[7, 8], [9, 10]]
    assert not bank.rows.requires_grad
    untouched = IDS[[0, 2, 3, 5]]
    assert torch.equal(bank.read(untouched), codes[[0, 2, 3, 5]])


def test_unknown_images_are_refused():
    bank = CodeBank(2)
    with pytest.raises(ValueError, match="call start_training with them first"):
        bank.read(IDS)
    bank.start(train_set())
    for strange in (torch.tensor([5]), torch.tensor([0]), torch.tensor([1000])):
        with pytest.raises(ValueError, match="the bank has no rows for some of these images"):
            bank.write(strange, torch.zeros(1, 2))
    with pytest.raises(ValueError, match="ids are missing"):
        bank.read(None)


def test_a_bank_is_no_part_of_the_weights():
    bank = CodeBank(2)
    bank.start(train_set())
    assert bank.state_dict() == {}
    assert set(kept_between_steps(bank)) == {"ids", "labels", "rows"}


@dataclass(frozen=True)
class BankedConfig(CSQConfig):
    name: ClassVar[str] = "banked"

    def build(self, n_classes: int, bits: int) -> "Banked":
        return Banked(self, n_classes, bits)


class Banked(CSQ):
    """CSQ that keeps each image's last values and is pulled to them."""

    def __init__(self, config: CSQConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        self.bank = CodeBank(bits)

    def start_training(self, train, generator):
        self.bank.start(train)

    def losses(self, output, labels, generator=None, ids=None):
        pull = (output.values - self.bank.read(ids)).square().mean()
        self.bank.write(ids, output.values)
        return super().losses(output, labels) | {"pull": pull}


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(tmp_path):
    whole, _ = trained(BankedConfig(), tmp_path / "whole")
    stopped, _ = trained(BankedConfig(), tmp_path / "halves", stop_after=1)
    assert float(stopped.bank.rows.abs().sum()) > 0
    resumed, _ = trained(BankedConfig(), tmp_path / "halves")
    assert torch.equal(resumed.bank.ids, whole.bank.ids)
    assert torch.equal(resumed.bank.rows, whole.bank.rows)
    assert not torch.equal(resumed.bank.rows, stopped.bank.rows)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert np.isfinite(whole.bank.rows.numpy()).all()


class TestLearned:
    """Rows that are a result: part of the weights, whatever the size of the bank they are loaded into."""

    CODES = torch.tensor([[1.0, -1], [1, 1], [-1, 1], [-1, -1], [1, -1], [-1, 1]])

    @pytest.fixture
    def bank(self):
        bank = CodeBank(2, learned=True)
        bank.start(train_set(), self.CODES)
        return bank

    def test_rows_and_ids_are_weights_and_labels_are_kept_between_steps(self, bank):
        assert set(bank.state_dict()) == {"ids", "rows"}
        assert set(kept_between_steps(bank)) == {"labels"}

    def test_a_file_of_weights_gives_a_fresh_bank_every_code_back(self, bank, tmp_path):
        save_file(bank.state_dict(), tmp_path / "bank.safetensors")
        for fresh in (CodeBank(2, learned=True), CodeBank(2, learned=True)):
            fresh.load_state_dict(load_file(tmp_path / "bank.safetensors"))
            assert torch.equal(fresh.read(IDS), self.CODES)
            assert fresh.ids.dtype == torch.int64

    def test_a_bank_of_other_images_takes_the_stored_ones(self, bank):
        other = CodeBank(2, learned=True)
        other.start(train_set(order=(1, 2)), torch.ones(2, 2))
        stored = bank.state_dict()
        other.load_state_dict(stored)
        assert torch.equal(other.read(IDS), self.CODES)
        other.rows[0] = 7
        assert not (bank.rows == 7).any()  # a copy
        nested = torch.nn.Sequential(CodeBank(2), CodeBank(2, learned=True))
        nested.load_state_dict({f"1.{name}": tensor for name, tensor in stored.items()})
        assert torch.equal(nested[1].read(IDS), self.CODES)

    def test_weights_without_a_bank_are_refused(self):
        with pytest.raises(RuntimeError, match="Missing key"):
            CodeBank(2, learned=True).load_state_dict({})

    def test_finds_the_images_it_has_and_says_which(self, bank):
        ids = torch.tensor([92, 5, 4, 1000, 0, 31])
        places, known = bank.find(ids)
        assert known.tolist() == [True, False, True, False, False, True]
        assert torch.equal(bank.rows[places[known]], self.CODES[[3, 1, 0]])
        places, known = CodeBank(2).find(ids)
        assert not known.any()
        assert places.shape == ids.shape


@pytest.mark.parametrize("name", ["adsh", "exchnet"])
def test_a_methods_learned_codes_go_with_its_weights_into_a_fresh_one(tmp_path, name):
    """The fresh method was built for other images, as one is that reads a stored run."""
    method = made(METHODS[name](), bits=12)
    save_file(weights_of(method), tmp_path / "model.safetensors")
    fresh = build(METHODS[name](backbone=SCRATCH), 5, 12)
    assert not fresh.learned_codes(IDS)[1].any()
    assert fresh.learned_codes(IDS)[0].shape == (6, 12)
    fresh.load_state_dict(load_file(tmp_path / "model.safetensors"))
    asked = torch.tensor([15, 999, 65])
    codes, known = fresh.learned_codes(asked)
    assert known.tolist() == [True, False, True]
    assert torch.equal(codes[[0, 2]], method.database.read(asked[[0, 2]]))
    assert codes[[0, 2]].abs().eq(1).all()


def test_most_methods_learn_no_codes():
    for name in ("csce", "dpsh", "lsh"):
        assert build(METHODS[name](backbone=SCRATCH), 5, 16).learned_codes(IDS) is None
