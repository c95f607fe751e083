"""DOH's network: attention by loops in double precision, both views' shapes, one label an image or several."""

import numpy as np
import pytest
import torch
from torch import Tensor

from cscelab.model.backbone import BACKBONES, BackboneConfig
from cscelab.model.views import LocalNetwork, TwoViewConfig, TwoViewNetwork, evidence, spatial_softmax
from cscelab.model.vit import VisionTransformerTrunk

SIDE = 64  # px: stage 4 of the tiny trunk is 4 x 4
KINDS = pytest.mark.parametrize("multilabel", [False, True], ids=["ids", "multi-hot"])


def images(n: int = 2, side: int = SIDE) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def hashed_views(network, stages):
    """What the network puts out, and the views it comes from."""
    views = network.look(stages)
    return network.hashed(views.joined()), views


def made(trunk: str = "tiny", side: int = SIDE, bits: int = 12, **options: object) -> TwoViewNetwork:
    torch.manual_seed(0)
    config = TwoViewConfig(
        BackboneConfig(trunk, "none"), side, "baseline", threshold_layer=False, **{"n_classes": 5} | options
    )
    return TwoViewNetwork(config, bits).eval()


def local_network(attention: str = "spatial", scale: float = 1.0) -> LocalNetwork:
    """Six channels and four classes in double precision, with class scores that differ from place to place."""
    torch.manual_seed(1)
    network = LocalNetwork(6, 4, attention, scale).eval().double()
    torch.nn.init.normal_(network.classify.weight, std=10)
    return network


def attention_by_loop(place_scores: np.ndarray, multilabel: bool, scale: float) -> np.ndarray:
    """alpha of one image from class scores (C, h, w): sums written out."""
    n_classes, h, w = place_scores.shape
    pooled = [sum(place_scores[c, y, x] for y in range(h) for x in range(w)) / (h * w) for c in range(n_classes)]
    if multilabel:
        weights = [1 / (1 + np.exp(-score)) for score in pooled]
    else:
        weights = [np.exp(score) / sum(np.exp(other) for other in pooled) for score in pooled]
    found = np.zeros((h, w))
    for y in range(h):
        for x in range(w):
            found[y, x] = np.exp(scale * sum(weights[c] * place_scores[c, y, x] for c in range(n_classes)))
    return found / found.sum()


class TestAttention:
    def test_by_hand(self):
        """Two classes on two places: p = (3/4, 1/4), m = (3/4 * 4, 1/4 * 8) = (3, 2)."""
        scores = torch.tensor([[[[4.0, 0.0]], [[0.0, 8.0]]]])
        found = evidence(scores, torch.tensor([[0.75, 0.25]]))
        assert found.tolist() == [[[3.0, 2.0]]]
        e = np.e
        assert spatial_softmax(found)[0, 0].tolist() == pytest.approx([e / (1 + e), 1 / (1 + e)])
        assert spatial_softmax(found, 2.0)[0, 0].tolist() == pytest.approx([e**2 / (1 + e**2), 1 / (1 + e**2)])

    @torch.no_grad()
    @KINDS
    @pytest.mark.parametrize("scale", [1.0, 3.0])
    def test_the_local_view_is_the_loop_over_places_and_classes(self, multilabel, scale):
        network = local_network(scale=scale)
        network.multilabel.fill_(multilabel)
        stage4 = torch.randn(3, 6, 4, 5, generator=torch.Generator().manual_seed(2)).double()
        view = network(stage4)
        assert view.attention.dtype == torch.float64
        weight, bias = network.classify.weight[:, :, 0, 0].numpy(), network.classify.bias.numpy()
        features = network.convolutions(stage4).numpy()
        for image in range(3):
            scores = np.zeros((4, 4, 5))
            for y in range(4):
                for x in range(5):
                    scores[:, y, x] = weight @ features[image, :, y, x] + bias
            np.testing.assert_allclose(view.place_scores[image], scores, rtol=1e-10)
            np.testing.assert_allclose(view.class_scores[image], scores.reshape(4, -1).sum(axis=1) / 20, rtol=1e-10)
            attention = attention_by_loop(scores, multilabel, scale)
            np.testing.assert_allclose(view.attention[image], attention, rtol=1e-10)
            means = scores.reshape(4, -1).mean(axis=1)
            weights = 1 / (1 + np.exp(-means)) if multilabel else np.exp(means) / np.exp(means).sum()
            np.testing.assert_allclose(view.class_weights[image], weights, rtol=1e-10)
            summed = sum(weights[c] * scores[c] for c in range(4))
            np.testing.assert_allclose(view.evidence[image], summed, rtol=1e-9)
            attended = sum(attention[y, x] * features[image, :, y, x] for y in range(4) for x in range(5))
            np.testing.assert_allclose(view.attended[image], attended, rtol=1e-10)
        assert float((view.attention.sum(dim=(1, 2)) - 1).abs().max()) < 1e-12
        assert float(view.attention.max()) > 2 / 20  # it prefers some places

    @torch.no_grad()
    def test_one_label_and_several_weigh_classes_differently(self):
        network, stage4 = local_network(), torch.randn(3, 6, 4, 4).double()
        single = network(stage4).attention
        network.multilabel.fill_(True)
        assert not torch.allclose(single, network(stage4).attention)

    @torch.no_grad()
    def test_without_attention_every_place_weighs_the_same(self):
        network, stage4 = local_network("none"), torch.randn(3, 6, 4, 5).double()
        view = network(stage4)
        assert view.attention.shape == (3, 4, 5)
        assert torch.equal(view.attention, torch.full((3, 4, 5), 1 / 20, dtype=torch.float64))
        torch.testing.assert_close(view.attended, view.features.mean(dim=(2, 3)))
        assert view.class_weights is view.evidence is None
        seen = local_network()(stage4)  # the same weights
        assert torch.equal(seen.class_scores, view.class_scores)
        assert not torch.allclose(seen.attended, view.attended)

    def test_what_is_added_to_the_evidence_changes_nothing(self):
        drawn = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(3)).double()
        torch.testing.assert_close(spatial_softmax(drawn + 100), spatial_softmax(drawn))

    def test_half_precision_sums_to_one_in_single(self):
        drawn = torch.randn(2, 14, 14, generator=torch.Generator().manual_seed(3)).bfloat16()
        found = spatial_softmax(drawn, 5.0)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.sum(dim=(1, 2)), torch.ones(2))
        torch.testing.assert_close(found, spatial_softmax(drawn.float(), 5.0))

    def test_the_scale_sharpens(self):
        drawn = torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(3))
        largest = [float(spatial_softmax(drawn, scale).max()) for scale in (0.1, 1.0, 5.0, 50.0)]
        assert largest == sorted(largest)
        assert largest[-1] > 0.9
        assert largest[0] < 1.3 / 16

    def test_class_scores_and_attention_learn_together(self):
        """alpha passes gradients to the classes' scores: no cross-entropy is needed for that."""
        network = local_network()
        network(torch.randn(3, 6, 4, 4).double()).attended.square().sum().backward()
        assert network.classify.weight.grad.abs().sum() > 0
        still = local_network("none")
        still(torch.randn(3, 6, 4, 4).double()).attended.square().sum().backward()
        assert still.classify.weight.grad is None


class TestNetwork:
    @torch.no_grad()
    @pytest.mark.parametrize(
        ("trunk", "side", "place", "d"), [("tiny", 112, 7, 128), ("tiny", 64, 4, 128), ("resnet18", 64, 2, 512)]
    )
    def test_shapes_on_trunks_of_two_scales(self, trunk, side, place, d):
        network = made(trunk, side)
        output, views = hashed_views(network, network.backbone(images(side=side)))
        assert views.local.features.shape == (2, d, place, place)
        assert views.local.place_scores.shape == (2, 5, place, place)
        assert views.local.class_scores.shape == views.whole_scores.shape == (2, 5)
        assert views.local.attention.shape == (2, place, place)
        assert views.local.attended.shape == views.whole.shape == (2, d)
        assert output.features.shape == (2, 2 * d)
        assert output.values.shape == (2, 12)

    @torch.no_grad()
    def test_a_transformer_has_places_and_its_class_token_is_the_whole(self, monkeypatch):
        monkeypatch.setitem(
            BACKBONES, "vit_b_16", lambda _: VisionTransformerTrunk(16, 2, 2, 32, pretraining_size=SIDE)
        )
        network = made("vit_b_16")
        stages = network.backbone(images())
        output, views = hashed_views(network, stages)
        assert views.local.attention.shape == (2, 4, 4)  # patches of 16 px
        assert torch.equal(views.whole, network.global_view(stages.class_token))
        assert output.values.shape == (2, 12)

    @torch.no_grad()
    @pytest.mark.parametrize("views", ["both", "local", "global"])
    def test_each_choice_of_views(self, views):
        network = made(views=views)
        stages = network.backbone(images())
        seen = network.look(stages)
        assert (seen.local is None) == (views == "global")
        assert (seen.whole is None) == (seen.whole_scores is None) == (views == "local")
        parts = {"local": ["local_view"], "global": ["global_view", "classify_global"]}
        wanted = [part for view, names in parts.items() if views in (view, "both") for part in names]
        assert set(network.parts()) == {"backbone", "hash_layer", *wanted}
        expected = [seen.local.attended] if seen.local else []
        expected += [] if seen.whole is None else [seen.whole]
        assert torch.equal(network.fuse(stages), torch.cat(expected, dim=1))
        assert network.hash_layer.in_features == 128 * len(expected)

    @torch.no_grad()
    def test_the_hash_layer_is_a_sum_over_both_views(self):
        """h = W_l z_local + W_g z_global + b, and `forward` gives what `both` does."""
        network = made()
        output, views = hashed_views(network, network.backbone(images()))
        local, whole = network.hash_layer.weight.split(128, dim=1)
        by_hand = views.local.attended @ local.T + views.whole @ whole.T + network.hash_layer.bias
        torch.testing.assert_close(output.values, by_hand)
        assert torch.equal(network(images()).values, output.values)

    @torch.no_grad()
    def test_the_global_view_is_one_hidden_layer_on_the_pooled_map(self):
        network = made()
        stages = network.backbone(images())
        hidden = network.global_view[0]
        by_hand = (stages.stage4.mean(dim=(2, 3)) @ hidden.weight.T + hidden.bias).clamp_min(0)
        seen = network.look(stages)
        torch.testing.assert_close(seen.whole, by_hand)
        torch.testing.assert_close(seen.whole_scores, network.classify_global(by_hand))

    @torch.no_grad()
    def test_the_kind_of_labels_is_stored_with_the_weights(self):
        network = made()
        assert not network.local_view.multilabel
        network.local_view.multilabel.fill_(True)
        stored = network.state_dict()
        assert stored["local_view.multilabel"].dtype == torch.bool
        other = made(n_classes=5)
        other.load_state_dict(stored)
        assert other.local_view.multilabel
        found, expected = (each.look(each.backbone(images())).local.attention for each in (other, network))
        assert torch.equal(found, expected)
        assert "local_view.multilabel" not in made(views="global").state_dict()

    def test_every_parameter_learns(self):
        network = made(feature_norm="batch").train()
        output, views = hashed_views(network, network.backbone(images(6)))
        (output.values.square().sum() + views.whole_scores.square().sum()).backward()
        still = [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()]
        assert still == []

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"views": "all"}, r"unknown views 'all'; choose from \('both', 'local', 'global'\)"),
            ({"attention": "channel"}, r"unknown attention 'channel'; choose from \('spatial', 'none'\)"),
            ({"attention_scale": 0.0}, "attention_scale is 0.0; give more than 0"),
            ({"feature_norm": "layer"}, "unknown feature_norm 'layer'; choose from"),
        ],
    )
    def test_settings_that_do_not_exist_are_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            TwoViewConfig(**options)


def test_class_scores_of_an_image_are_the_mean_of_its_places():
    local = made().eval().local_view
    view = local(torch.randn(3, local.classify.in_channels, 4, 4, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(view.class_scores, view.place_scores.flatten(2).mean(dim=2))
