"""Code banks: rows belong to images, whatever the order; a resumed training finds them as they were."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from small_training import IDS, LABELS, train_set, trained

from cscelab.methods.banks import CodeBank
from cscelab.methods.csq import CSQ, CSQConfig
from cscelab.steps import kept_between_steps


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
