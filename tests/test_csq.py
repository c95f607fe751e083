"""CSQ: both terms against naive loops, the center of an image with several labels, images without one."""

import math

import pytest
import torch
from small_training import IMAGES, LABELS, MULTI, made

from cscelab.centers import hash_centers, multilabel_centers
from cscelab.methods import HashOutput
from cscelab.methods.csq import CSQConfig

VALUES = 2 * torch.randn(6, 16, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def naive_terms(values, targets):
    """Cross-entropy of every bit and squared distance of |tanh v| from 1, value by value."""
    central = quantization = 0.0
    for row, center in zip(values.tolist(), targets.tolist(), strict=True):
        for value, bit in zip(row, center, strict=True):
            probability = (math.tanh(value) + 1) / 2
            central -= math.log(probability if bit > 0 else 1 - probability)
            quantization += (abs(math.tanh(value)) - 1) ** 2
    return central / values.numel(), quantization / values.numel()


@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
def test_both_terms_are_the_naive_loops(labels):
    method = made(CSQConfig(quantization_weight=0.3)).double()
    targets = torch.stack(
        [method.centers[label] for label in labels]
        if labels.ndim == 1
        else [multilabel_centers(row[None], method.centers)[0] for row in labels]
    )
    central, quantization = naive_terms(VALUES, targets)
    terms = method.losses(HashOutput(VALUES, VALUES.sign()), labels)
    assert set(terms) == {"central", "quantization"}
    assert terms["central"].item() == pytest.approx(central, rel=1e-9)
    assert terms["quantization"].item() == pytest.approx(0.3 * quantization, rel=1e-9)


def test_a_center_of_several_labels_follows_the_majority_of_its_classes():
    centers = hash_centers(5, 16)
    found = multilabel_centers(MULTI, centers)
    for row, center in zip(MULTI, found, strict=True):
        members = centers[row.bool()]
        for bit in range(16):
            votes = sum(members[:, bit].tolist())
            assert center[bit] in ((-1, 1) if votes == 0 else (math.copysign(1, votes),))


def test_an_image_keeps_its_center_in_any_batch_at_any_time_of_the_training():
    # Every pair of rows ties wherever the two classes differ: the sign drawn there must stay.
    method = made(CSQConfig()).double()
    output = HashOutput(VALUES, VALUES.sign())

    def central(rows, generator):
        part = HashOutput(output.values[rows], output.codes[rows])
        return method.losses(part, MULTI[rows], generator)["central"].item()

    alone = [central([row], torch.Generator().manual_seed(row)) for row in range(6)]
    torch.manual_seed(123)
    assert central([4, 2, 0], None) == pytest.approx(sum(alone[row] for row in (4, 2, 0)) / 3, rel=1e-12)
    assert made(CSQConfig(), seed=7).double().losses(output, MULTI)["central"].item() == pytest.approx(
        sum(alone) / 6, rel=1e-12
    )


def test_ties_go_to_both_signs():
    centers = torch.stack([torch.ones(64), -torch.ones(64)])
    tied = multilabel_centers(torch.ones(1, 2, dtype=torch.uint8), centers)[0]
    assert 16 <= (tied > 0).sum() <= 48


def test_an_image_without_a_label_is_refused_by_name():
    method = made(CSQConfig())
    labels = MULTI.clone()
    labels[3] = 0
    with pytest.raises(ValueError, match="row 3 has no label, so it has no center"):
        method.losses(method(IMAGES), labels)


def test_a_training_with_an_image_without_a_label_is_refused_by_its_id():
    labels = MULTI.clone()
    labels[[1, 4]] = 0
    with pytest.raises(ValueError, match=r"2 training images have no label, so no center \(the first ids: \[4, 65\]\)"):
        made(CSQConfig(), labels=labels)
