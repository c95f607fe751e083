"""Alternating learning: what an epoch visits, the code step against loops, codes by id, resuming, stored codes."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_training import IDS, IMAGES, LABELS, MULTI, SCRATCH, alike, made, train_set, trained

from cscelab.datasets.base import ImageSet
from cscelab.methods import build
from cscelab.methods.adsh import ADSHConfig
from cscelab.methods.alternating import AlternatingHash
from cscelab.methods.exchnet import ExchNetConfig
from cscelab.steps import kept_between_steps
from cscelab.train import BEST

LENGTHS = (12, 24, 32, 48)
KINDS = pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
DRAWN = [4, 1, 3, 0]  # of the six images


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def visits(method: AlternatingHash, n: int, epoch: int = 0, seed: int = 0) -> np.ndarray:
    return method.epoch_rows(n, epoch, np.random.default_rng(seed))


def looped_objective(method: AlternatingHash, labels: torch.Tensor, own: float) -> float:
    """(u_i . v_j - K S_ij)^2 and own |v_i - u_i|^2 over drawn i and all j, a mean over pairs over K^2, pair by pair."""
    ids = method.database.ids.tolist()
    rows = [ids.index(image) for image in IDS.tolist()]
    codes, values = (bank.rows.double()[rows] for bank in (method.database, method.outputs))
    n, bits = codes.shape
    pairs = [alike(labels, i, j) for i in range(n) for j in range(n)]
    weight = sum(pairs) / (len(pairs) - sum(pairs))
    total = 0.0
    for i in DRAWN:
        for j in range(n):
            product = sum(float(values[i, k] * codes[j, k]) for k in range(bits))
            total += (product - bits * (1.0 if alike(labels, i, j) else -weight)) ** 2
        total += own * sum(float(codes[i, k] - values[i, k]) ** 2 for k in range(bits))
    return total / (len(DRAWN) * n * bits**2)


def put_out(method: AlternatingHash, scale: float = 1.0) -> torch.Tensor:
    """Random values for the drawn images, as the network would have; tanh of them is kept."""
    values = scale * torch.randn(len(DRAWN), method.bits, generator=seeded(3))
    method.asymmetric_loss(values, method.outputs.labels[method.outputs.places(IDS[DRAWN])], IDS[DRAWN])
    return values


def test_an_epoch_passes_several_times_over_the_images_it_draws():
    method = made(ADSHConfig(samples=20, passes=3))
    rows = visits(method, 50)
    assert rows.shape == (60,)
    passes = [sorted(part.tolist()) for part in rows.reshape(3, 20)]
    assert passes[0] == passes[1] == passes[2]
    assert len(set(passes[0])) == 20
    np.testing.assert_array_equal(rows[:20], rows[20:40])  # as in the released code
    np.testing.assert_array_equal(rows, visits(method, 50))
    assert set(rows.tolist()) != set(visits(method, 50, seed=1).tolist())


@pytest.mark.parametrize(("samples", "passes", "batch_size"), [(100, 3, 64), (100, 4, 100), (7, 20, 5)])
def test_no_batch_holds_an_image_twice(samples, passes, batch_size):
    rows = visits(made(ADSHConfig(samples=samples, passes=passes)), 150)
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    assert len(batches) > passes - 1  # some reach over the border of two passes
    assert all(len(set(batch.tolist())) == len(batch) for batch in batches)


@pytest.mark.parametrize(("passes", "kept"), [(1, 4), (2, 5)])
def test_images_of_a_left_out_batch_count_as_drawn_only_where_an_earlier_pass_saw_them(passes, kept, tmp_path):
    """Five drawn images: in batches of 2 the fifth is left out, of two passes in batches of 4 the second's last two."""
    method, history = trained(ADSHConfig(samples=5, passes=passes), tmp_path, epochs=1, batch_size=2 * passes)
    assert int(method.outputs.rows.any(dim=1).sum()) == kept
    assert np.isfinite(history[0]["objective"])


def test_a_batch_larger_than_the_draw_is_one_sentence(tmp_path):
    message = "a batch of 6 holds an image twice, .* give a batch size of at most the 3 images that an epoch draws"
    with pytest.raises(ValueError, match=message):
        trained(ADSHConfig(samples=3, passes=2), tmp_path, batch_size=6)


def test_an_epoch_draws_all_images_where_there_are_fewer():
    rows = visits(made(ADSHConfig(samples=2000, passes=2)), 7)
    assert sorted(rows.tolist()) == sorted([*range(7), *range(7)])


@KINDS
@pytest.mark.parametrize("bits", LENGTHS)
@pytest.mark.parametrize("own", [0.0, 3.0])
def test_the_objective_is_a_loop_over_pairs_and_never_rises(labels, bits, own):
    method = made(ADSHConfig(own_weight=own), bits=bits, labels=labels)
    put_out(method)
    before = looped_objective(method, labels, own)
    old = method.database.rows.clone()
    numbers = method.end_epoch(0, 2)
    assert numbers["objective_before"] == pytest.approx(before, rel=1e-6)  # targets are float32
    assert numbers["objective"] == pytest.approx(looped_objective(method, labels, own), rel=1e-6)
    assert numbers["objective"] <= numbers["objective_before"]
    assert numbers["codes_changed"] == pytest.approx(float((method.database.rows != old).double().mean()))
    assert method.database.rows.abs().eq(1).all()


def test_a_code_step_lowers_the_objective_of_random_codes():
    method = made(ADSHConfig(start="random"), bits=24)
    put_out(method)
    first, second = method.end_epoch(0, 2), method.end_epoch(1, 2)
    assert first["objective"] < first["objective_before"]
    assert first["codes_changed"] > 0
    assert second["objective_before"] == pytest.approx(first["objective"])


@KINDS
def test_only_drawn_images_count_in_a_code_step(labels):
    """Codes are those of a step on the drawn images alone, each bit the best of both given the others."""
    method = made(ADSHConfig(own_weight=3.0), bits=12, labels=labels)
    put_out(method)
    method.end_epoch(0, 2)
    best = looped_objective(method, labels, 3.0)
    last = method.database.rows[:, -1]  # solved for last, so nothing moved after it
    for row in range(len(last)):
        last[row] *= -1
        assert looped_objective(method, labels, 3.0) >= best - 1e-12
        last[row] *= -1
    assert method.outputs.read(IDS[[2, 5]]).eq(0).all()


def test_values_are_forgotten_when_an_epoch_starts_and_codes_are_not():
    method = made(ADSHConfig(), bits=12)
    values = put_out(method)
    assert torch.equal(method.outputs.read(IDS[DRAWN]), values.tanh())
    codes = method.database.rows.clone()
    method.start_epoch(1, 2)
    assert method.outputs.rows.eq(0).all()
    assert torch.equal(method.database.rows, codes)
    assert method.end_epoch(1, 2) == {}  # no image was drawn
    assert torch.equal(method.database.rows, codes)


def test_in_evaluation_mode_a_loss_leaves_what_the_code_step_solves_from():
    method = made(ADSHConfig(), bits=12)
    values = put_out(method)
    loss = method.asymmetric_loss(-values, LABELS[DRAWN], IDS[DRAWN])
    assert torch.equal(method.outputs.read(IDS[DRAWN]), (-values).tanh())
    method.eval()
    assert not torch.equal(method.asymmetric_loss(values, LABELS[DRAWN], IDS[DRAWN]), loss)
    assert torch.equal(method.outputs.read(IDS[DRAWN]), (-values).tanh())


def test_in_bfloat16_large_values_still_learn_and_products_keep_their_digits():
    method = made(ADSHConfig(), bits=12)
    values = torch.linspace(-6, 6, 24).view(2, 12).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = method.asymmetric_loss(values, LABELS[:2], IDS[:2])
    loss.backward()
    assert values.grad.ne(0).all()  # tanh in bfloat16 has the slope 0 from 3.5 on
    again = method.asymmetric_loss(values.detach().float(), LABELS[:2], IDS[:2])
    assert torch.equal(loss.detach(), again)


@pytest.mark.parametrize("config", [ADSHConfig(samples=4, passes=2), ExchNetConfig(samples=4, passes=1, n_parts=2)])
def test_a_training_in_mixed_precision_keeps_whole_codes(config, tmp_path):
    method, history = trained(config, tmp_path, precision="bf16-mixed")
    for row in history:
        assert all(math.isfinite(number) for number in row.values())
        assert row["objective"] <= row["objective_before"]
    assert method.outputs.rows.dtype == method.database.rows.dtype == torch.float32
    assert method.database.rows.abs().eq(1).all()


@KINDS
def test_the_pair_loss_is_a_mean_over_pairs(labels):
    method = made(ADSHConfig(), bits=24, labels=labels)
    values = torch.randn(3, 24, generator=seeded(1), dtype=torch.float64)
    batch = [5, 0, 2]
    found = method.asymmetric_loss(values, labels[batch], IDS[batch])
    codes = method.database.read(IDS).double()
    total = 0.0
    for row, i in enumerate(batch):
        for j in range(6):
            product = sum(math.tanh(values[row, k]) * float(codes[j, k]) for k in range(24))
            total += (product - 24 * (1 if alike(labels, i, j) else -method.negative_weight)) ** 2
    assert found.item() == pytest.approx(total / 18, rel=1e-6)  # targets and kept values are float32


def test_r_is_similar_over_other_pairs_of_the_training_split():
    assert made(ADSHConfig()).negative_weight == pytest.approx(8 / 28)  # two images of one class: 6 + 2 of 36 pairs


@KINDS
@pytest.mark.parametrize("start", ["random", "classes"])
def test_codes_belong_to_ids_whatever_the_order_of_the_data(labels, start):
    method, other = (made(ADSHConfig(start=start), bits=32, labels=labels) for _ in range(2))
    other.start_training(train_set(labels, (3, 5, 0, 1, 4, 2)), seeded())
    assert torch.equal(method.database.read(IDS), other.database.read(IDS))
    for each in (method, other):
        put_out(each)
        each.end_epoch(0, 2)
    assert torch.equal(method.database.read(IDS), other.database.read(IDS))
    assert torch.equal(method.database.rows, other.database.rows)


@pytest.mark.parametrize("bits", LENGTHS)
def test_codes_start_closer_within_a_class_than_between_unless_random(bits):
    labels = np.arange(200) % 5
    blank = ImageSet(np.zeros((200, 2, 2, 3), np.uint8), labels, np.arange(200))
    same = torch.from_numpy(labels[:, None] == labels)
    gaps = {}
    for start in ("classes", "random"):
        method = made(ADSHConfig(start=start), bits=bits)
        method.start_training(blank, seeded())
        codes = method.database.rows
        assert codes.abs().eq(1).all()
        agreeing = (codes @ codes.T / bits + 1) / 2
        gaps[start] = float(agreeing[same & ~torch.eye(200, dtype=torch.bool)].mean() - agreeing[~same].mean())
    assert abs(gaps["random"]) < 0.05
    assert gaps["classes"] > 0.25


CONFIGS = pytest.mark.parametrize(
    "config",
    [ADSHConfig(samples=4, passes=2), ExchNetConfig(samples=4, passes=1, n_parts=2)],
    ids=["adsh", "exchnet"],
)


@CONFIGS
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(config, tmp_path):
    whole, history = trained(config, tmp_path / "whole")
    stopped, _ = trained(config, tmp_path / "halves", stop_after=1)
    resumed, resumed_history = trained(config, tmp_path / "halves")
    assert stopped.database.rows.abs().eq(1).all()
    for tensors in (lambda method: method.state_dict(), kept_between_steps):
        found = tensors(resumed)
        assert tensors(whole).keys() == found.keys()
        for name, tensor in tensors(whole).items():
            assert torch.equal(tensor, found[name]), name
    learned = ("objective_before", "objective", "codes_changed", "validation_map", "loss_pairs")
    assert [[row[key] for key in learned] for row in history] == [
        [row[key] for key in learned] for row in resumed_history
    ]
    assert all(row["objective"] <= row["objective_before"] for row in history)
    assert int(whole.outputs.rows.any(dim=1).sum()) == 4  # as many as were drawn in the last epoch


@CONFIGS
def test_learned_codes_are_part_of_the_weights_and_load_into_a_method_of_another_size(config, tmp_path: Path):
    method, _ = trained(config, tmp_path, epochs=1)
    stored = load_file(tmp_path / BEST)
    assert stored["database.rows"].shape == (6, 8)
    assert torch.equal(stored["database.rows"], method.database.rows)
    assert not any("outputs" in name or "anchors" in name or "labels" in name for name in stored)
    fresh = build(method.config, 5, 8)
    other = build(method.config, 5, 8)
    other.start_training(train_set().subset(np.arange(3)), seeded())
    for each in (fresh, other):
        each.load_state_dict(stored)
        codes, known = each.learned_codes(IDS)
        assert known.all()
        assert torch.equal(codes, method.learned_codes(IDS)[0])
        torch.testing.assert_close(each.eval()(IMAGES).values, method(IMAGES).values, atol=1e-5, rtol=1e-4)


def test_learned_codes_say_which_images_they_are_of():
    method = made(ADSHConfig(), bits=12)
    asked = torch.tensor([92, 1, 4, 1000, 31])
    codes, known = method.learned_codes(asked)
    assert known.tolist() == [True, False, True, False, True]
    assert codes.shape == (5, 12)
    assert torch.equal(codes[known], method.database.read(asked[known]))
    codes, known = build(method.config, 5, 12).learned_codes(asked)
    assert codes.shape == (5, 12)
    assert not known.any()


def test_bad_settings_and_unknown_images_are_refused():
    with pytest.raises(ValueError, match="samples is 0; give at least 1"):
        ADSHConfig(samples=0)
    with pytest.raises(ValueError, match="passes is -1; give at least 1"):
        ExchNetConfig(passes=-1)
    with pytest.raises(ValueError, match=r"unknown start 'zero'; choose from \('random', 'classes'\)"):
        ADSHConfig(start="zero")
    method = made(ADSHConfig(), bits=12)
    with pytest.raises(ValueError, match="ids are missing"):
        method.losses(method(IMAGES), LABELS)
    with pytest.raises(ValueError, match="no rows for some of these images"):
        method.losses(method(IMAGES), LABELS, None, IDS + 1)
    fresh = build(ADSHConfig(backbone=SCRATCH), 5, 12)  # whose training was not started
    with pytest.raises(ValueError, match="no rows for some of these images"):
        fresh.losses(fresh(IMAGES), LABELS, None, IDS)
