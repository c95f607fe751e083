"""LSH: a seeded random rotation of centred features; what it fits is stored, maps explain its codes."""

import sys

import pytest
import torch
import torch.nn.functional as F
from small_training import IMAGES, LABELS, MULTI, made, train_set

from cscelab.dsf import sign
from cscelab.explain import code_cams
from cscelab.methods import build
from cscelab.methods.lsh import LSHConfig


def test_values_are_the_projected_centred_features_and_codes_their_signs():
    method = made(LSHConfig()).eval()
    output = method(IMAGES)
    images = torch.from_numpy(train_set().images).permute(0, 3, 1, 2)
    centre = method.network(images).features.mean(dim=0)
    torch.testing.assert_close(method.hash_layer.center, centre)
    for k in range(method.bits):
        direction = method.hash_layer.projection[k]
        expected = torch.stack([(features - centre) @ direction for features in output.features])
        torch.testing.assert_close(output.values[:, k], expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(output.codes, sign(output.values))
    assert output.values.std() > 0


@pytest.mark.parametrize("bits", [12, 128, 160])
def test_the_projection_is_a_random_rotation(bits):
    projection = made(LSHConfig(), bits=bits).hash_layer.projection.double()
    rows, columns = projection.shape
    assert (rows, columns) == (bits, 128)
    # Orthonormal rows; where there are more bits than features, orthonormal columns.
    product = projection @ projection.T if rows <= columns else projection.T @ projection
    torch.testing.assert_close(product, torch.eye(min(rows, columns)).double(), atol=1e-5, rtol=0)


def test_the_seed_alone_decides_about_the_rotation():
    method = made(LSHConfig())
    first = method.hash_layer.projection.clone()
    torch.manual_seed(99)
    method.start_training(train_set(MULTI), torch.Generator().manual_seed(0))  # other labels are no other data
    assert torch.equal(method.hash_layer.projection, first)
    method.start_training(train_set(), torch.Generator().manual_seed(1))
    agreement = (method.hash_layer.projection * first).sum(dim=1)  # 1 for the same direction
    assert agreement.abs().max() < 0.5


def test_it_has_nothing_to_train_and_its_trunk_stays():
    method = made(LSHConfig()).train()
    assert [name for name, parameter in method.named_parameters() if parameter.requires_grad] == []
    before = method.network.backbone.state_dict()["stem.1.running_mean"].clone()
    method(IMAGES)
    assert torch.equal(method.network.backbone.state_dict()["stem.1.running_mean"], before)
    assert not method.network.backbone.training


def test_weights_load_into_a_fresh_method_without_faiss(monkeypatch):
    method = made(LSHConfig()).eval()
    monkeypatch.setitem(sys.modules, "faiss", None)  # as on a machine that has none
    fresh = build(method.config, 5, 16).eval()
    assert not fresh.hash_layer.projection.any()
    fresh.load_state_dict(method.state_dict())
    assert torch.equal(fresh(IMAGES).values, method(IMAGES).values)
    with pytest.raises(ValueError, match="fitted by faiss, which is not installed; pip install faiss-cpu"):
        fresh.start_training(train_set(LABELS), torch.Generator())


def test_maps_of_a_frozen_trunk_are_those_worked_out_by_hand():
    method = made(LSHConfig()).eval()
    with torch.no_grad():
        maps, codes = method.network.backbone(IMAGES).stage4, method(IMAGES).codes
    # Of a linear code, Grad-CAM's weight of a channel is (1/K) sum_k b_k R_kc, up to a factor an image.
    weights = codes @ method.hash_layer.projection / method.bits
    expected = torch.einsum("bc,bchw->bhw", weights, maps).relu()
    low, high = expected.amin(dim=(1, 2), keepdim=True), expected.amax(dim=(1, 2), keepdim=True)
    expected = torch.nan_to_num((expected - low) / (high - low)).unsqueeze(1)
    expected = F.interpolate(expected, size=(112, 112), mode="bilinear", align_corners=False).squeeze(1)
    seen = code_cams(method, IMAGES)
    torch.testing.assert_close(seen, expected, atol=1e-3, rtol=0)
    # Weights that sum to less than the center does leave a map empty; most are not.
    assert (seen.flatten(1).amax(dim=1) > 0.5).sum() >= 3
    assert (code_cams(method, IMAGES, extractor="LayerCAM").flatten(1).amax(dim=1) > 0.5).all()
    assert all(parameter.grad is None for parameter in method.parameters())
