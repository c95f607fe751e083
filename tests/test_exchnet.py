"""ExchNet: anchors are class means, what is exchanged and when, gradients, diagnostics by hand."""

import itertools
from contextlib import contextmanager

import pytest
import torch
from small_training import IDS, IMAGES, LABELS, MULTI, alike, made, step, train_set, trained

from cscelab.diversity import channel_loss, spatial_loss
from cscelab.methods.exchnet import ExchNet, ExchNetConfig, class_anchors, drawn_classes, exchange
from cscelab.model.stages import PartFeatures

KINDS = pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
SMALL = ExchNetConfig(n_parts=3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def exchanging(labels: torch.Tensor = LABELS, n_classes: int = 5, **settings: object) -> ExchNet:
    """A method in the second of two epochs, when parts are exchanged, with anchors of its own network."""
    method = made(ExchNetConfig(**{"n_parts": 3} | settings), n_classes, labels=labels)
    method.anchors = class_anchors(method, train_set(labels))
    method.start_epoch(1, 2)
    return method


def pair_loss(method: ExchNet, output, labels: torch.Tensor = LABELS, seed: int = 0) -> float:
    return float(method.losses(output, labels, seeded(seed), IDS)["pairs"].detach())


@KINDS
def test_anchors_are_class_means_and_zero_for_a_class_without_images(labels):
    wide = labels if labels.ndim == 1 else torch.cat([labels, torch.zeros(6, 2, dtype=torch.uint8)], dim=1)
    method = made(SMALL, 7, labels=wide)
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    anchors = class_anchors(method, train_set(wide))
    assert method.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in method.state_dict().items())
    assert not anchors.requires_grad
    images = (255 * IMAGES).byte()  # as they are stored
    method.eval()
    with torch.no_grad():
        local = method(images).parts.local.double()
    assert anchors.shape == (7, 3, local.shape[2])
    for label, part in itertools.product(range(7), range(3)):
        members = [i for i in range(6) if (wide[i] == label if wide.ndim == 1 else wide[i, label])]
        expected = sum((local[i, part] for i in members), torch.zeros(local.shape[2]).double()) / max(1, len(members))
        torch.testing.assert_close(anchors[label, part].double(), expected, atol=1e-5, rtol=1e-4)
        assert bool(members) == (label < 5)
    class_anchors(method, train_set(wide))
    assert not method.training  # the mode is left as it was


def test_the_mode_is_restored_where_encoding_fails(monkeypatch):
    method = made(SMALL)
    monkeypatch.setattr("cscelab.methods.exchnet.encoding_loader", lambda images: [None])
    with pytest.raises(AttributeError):
        class_anchors(method, train_set())
    assert method.training


def numbered(n: int, n_parts: int = 4, n_classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Parts that are all -1, and anchors that are 10 class + part."""
    local = -torch.ones(n, n_parts, 2)
    anchors = (10 * torch.arange(n_classes)[:, None] + torch.arange(n_parts)).float()
    return local, anchors.unsqueeze(2).expand(-1, -1, 2)


def test_half_of_the_parts_become_the_anchor_of_their_class_and_part():
    local, anchors = numbered(1000)
    labels = torch.arange(1000) % 5
    classes = drawn_classes(labels, 4)
    found = exchange(local, anchors, classes, 0.5, seeded())
    replaced = found[:, :, 0] >= 0
    assert abs(int(replaced.sum()) - 2000) < 5 * (4000 / 4) ** 0.5  # five standard deviations of a fair coin
    assert (replaced.sum(dim=0) - 500).abs().max() < 5 * (1000 / 4) ** 0.5  # of each part
    assert len(replaced.int().unique(dim=0)) == 16  # parts are drawn apart from each other
    expected = 10.0 * labels[:, None] + torch.arange(4)
    assert torch.equal(found[replaced][:, 0], expected[replaced])
    assert torch.equal(found[..., 0], found[..., 1])  # a part is replaced whole
    assert local.eq(-1).all()  # what came in is left alone
    assert found[~replaced].eq(-1).all()


def test_a_probability_of_none_and_of_all():
    local, anchors = numbered(500)
    classes = drawn_classes(torch.arange(500) % 5, 4)
    assert torch.equal(exchange(local, anchors, classes, 0.0, seeded()), local)
    assert torch.equal(exchange(local, anchors, classes, 1.0, seeded()), anchors[torch.arange(500) % 5])


def test_the_generator_alone_decides():
    local, anchors = numbered(50)
    torch.manual_seed(1)
    classes = drawn_classes(MULTI.repeat(9, 1)[:50], 4, seeded())
    first = exchange(local, anchors, classes, 0.5, seeded())
    torch.manual_seed(2)
    assert torch.equal(classes, drawn_classes(MULTI.repeat(9, 1)[:50], 4, seeded()))
    assert torch.equal(first, exchange(local, anchors, classes, 0.5, seeded()))
    assert not torch.equal(first, exchange(local, anchors, classes, 0.5, seeded(1)))
    method = exchanging()
    output = method(IMAGES)
    assert pair_loss(method, output) == pair_loss(method, output)
    assert pair_loss(method, output) != pair_loss(method, output, seed=1)


def test_classes_of_a_part_are_the_images_own():
    assert drawn_classes(LABELS, 3).tolist() == [[label] * 3 for label in LABELS.tolist()]
    labels = MULTI.repeat(200, 1)
    classes = drawn_classes(labels, 3, seeded())
    assert classes.shape == (1200, 3)
    assert labels.gather(1, classes).eq(1).all()
    first = MULTI.repeat(200, 1).int().argmax(dim=1, keepdim=True)
    assert abs(int((classes == first).sum()) - 1800) < 5 * (3600 / 4) ** 0.5  # each of its two as often
    assert (classes[:, 0] != classes[:, 1]).any()  # drawn for each part


def normed_by_hand(method: ExchNet, anchors: torch.Tensor) -> torch.Tensor:
    """Part j of a class (C, M, d) through the norm's slice for part j, by its running statistics."""
    norm = method.network.norm
    if isinstance(norm, torch.nn.Identity):
        return anchors.double()
    settings = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    mean, variance, weight, bias = (each.double().view(4, -1)[:3] for each in settings)  # the fourth is the whole's
    return (anchors - mean) / (variance + norm.eps).sqrt() * weight + bias


@KINDS
@pytest.mark.parametrize("feature_norm", ["batch", "none"])
def test_the_loss_is_of_the_exchanged_parts_and_the_whole_as_it_was(labels, feature_norm):
    """All parts exchanged: values are those of [anchors, f^g], which the code step and the pairs are then about."""
    method = exchanging(labels, exchange_probability=1.0, feature_norm=feature_norm)
    output = method(IMAGES)
    terms = method.losses(output, labels, seeded(5), IDS)
    classes = drawn_classes(labels, 3, seeded(5))
    anchors = normed_by_hand(method, method.anchors)
    swapped = torch.stack([anchors[classes[:, part], part] for part in range(3)], dim=1)
    whole = output.features[:, -method.network.n_features :]
    layer = method.network.hash_layer
    values = torch.cat([swapped.flatten(1), whole.double()], dim=1) @ layer.weight.double().T + layer.bias.double()
    torch.testing.assert_close(method.outputs.read(IDS).double(), values.tanh().detach(), atol=1e-5, rtol=1e-4)
    kept, codes, total = method.outputs.read(IDS).double(), method.database.read(IDS).double(), 0.0
    for i, j in itertools.product(range(6), range(6)):
        wanted = 1 if alike(labels, i, j) else -method.negative_weight
        total += float((kept[i] * codes[j]).sum() - 16 * wanted) ** 2
    assert float(terms["pairs"].detach()) == pytest.approx(12 / 16 * total / 36, rel=1e-5)
    # constraints are of the parts that the network saw
    torch.testing.assert_close(terms["spatial"], spatial_loss(output.parts.responses))
    torch.testing.assert_close(terms["channel"], channel_loss(output.parts.local, 0.4))


def test_an_exchange_leaves_the_norms_statistics_alone():
    method = exchanging(exchange_probability=1.0)
    output = method(IMAGES)
    before = {name: tensor.clone() for name, tensor in method.network.named_buffers()}
    method.losses(output, LABELS, seeded(), IDS)
    assert any("running_mean" in name for name in before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in method.network.named_buffers())


def test_weights_multiply_the_terms():
    plain = exchanging(exchange_from=1.0, channel_margin=0.9)
    output = plain(IMAGES)
    terms = plain.losses(output, LABELS, None, IDS)
    heavy = exchanging(exchange_from=1.0, channel_margin=0.9, spatial_weight=3.0, channel_weight=0.5, pair_scale=24.0)
    weighted = heavy.losses(output, LABELS, None, IDS)
    for name, factor in {"pairs": 2, "spatial": 3, "channel": 0.5}.items():
        assert float(terms[name].detach()) > 0
        torch.testing.assert_close(weighted[name], factor * terms[name])


@pytest.mark.parametrize(
    ("start", "n_epochs", "exchanged"),
    [(0.5, 4, [2, 3]), (0.5, 5, [3, 4]), (0.0, 3, [1, 2]), (1.0, 3, []), (0.5, 100, list(range(50, 100)))],
)
def test_parts_are_exchanged_from_a_share_of_the_iterations_on_and_never_without_anchors(start, n_epochs, exchanged):
    method = made(ExchNetConfig(n_parts=2, exchange_from=start))
    found = []
    for epoch in range(n_epochs):
        method.start_epoch(epoch, n_epochs)
        if method.exchanging:
            found.append(epoch)
    assert found == exchanged


def test_anchors_are_renewed_before_each_iteration_that_needs_them(monkeypatch):
    renewed = []
    monkeypatch.setattr("cscelab.methods.exchnet.class_anchors", lambda method, _: renewed.append(1) or method.anchors)
    method = made(SMALL)
    for epoch in range(6):
        count = len(renewed)
        method.start_epoch(epoch, 6)
        method.end_epoch(epoch, 6)
        assert (len(renewed) > count) == (epoch in (2, 3, 4))  # before iterations 3, 4 and 5; none comes after


def test_no_exchange_at_test_time_nor_before_its_start_nor_where_it_is_off():
    poisoned = exchanging(exchange_probability=1.0)
    poisoned.anchors.fill_(torch.nan)
    output = poisoned(IMAGES)
    assert torch.isnan(poisoned.losses(output, LABELS, seeded(), IDS)["pairs"])
    poisoned.eval()
    assert torch.isfinite(poisoned.losses(output, LABELS, seeded(), IDS)["pairs"])
    poisoned.train().start_epoch(0, 2)
    assert torch.isfinite(poisoned.losses(output, LABELS, seeded(), IDS)["pairs"])
    off = exchanging(exchange_probability=1.0, exchange_from=1.0)
    off.anchors.fill_(torch.nan)
    off.start_epoch(1, 2)
    assert torch.isfinite(off.losses(off(IMAGES), LABELS, seeded(), IDS)["pairs"])


def test_values_at_test_time_know_no_anchors():
    method = exchanging().eval()
    first = method(IMAGES)
    method.anchors.fill_(torch.nan)
    again = method(IMAGES)
    assert torch.equal(first.values, again.values)
    assert torch.equal(first.features, method.network.norm(again.parts.joined()))


@KINDS
def test_anchors_learn_nothing_and_everything_else_does(labels):
    method = exchanging(labels, channel_margin=0.9)
    step(method, labels)
    assert not method.anchors.requires_grad
    assert "anchors" not in method.state_dict()
    without = [name for name, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []
    assert all(p.grad.isfinite().all() for p in method.parameters())


def test_an_exchanged_part_passes_no_gradient_of_the_pairs_on():
    method = exchanging(exchange_probability=1.0)
    output = method(IMAGES)
    features = output.features.detach().requires_grad_()
    method.losses(output._replace(features=features), LABELS, seeded(), IDS)["pairs"].backward()
    whole = method.network.n_features
    assert features.grad[:, :-whole].eq(0).all()
    assert (features.grad[:, -whole:].abs().sum(dim=1) > 0).all()


def test_gradients_are_finite_where_all_parts_coincide(monkeypatch):
    method = exchanging()
    maps = torch.rand(6, 1, 14, 14, generator=seeded()).requires_grad_()
    monkeypatch.setattr(method.network.attention, "forward", lambda stage3: maps.expand(-1, 3, -1, -1))
    output, terms = step(method)
    assert torch.equal(output.parts.local[:, 0], output.parts.local[:, 2])
    assert float(terms["spatial"].detach()) == pytest.approx(1, abs=1e-3)
    assert float(terms["channel"].detach()) == pytest.approx(0.4, abs=1e-3)
    assert maps.grad.isfinite().all()
    assert maps.grad.any()
    assert all(p.grad.isfinite().all() for p in method.parameters() if p.grad is not None)


def test_diagnostics_by_hand(monkeypatch):
    """Image 1: parts on rows 0, 0 to 1 and nowhere (uniform over 4); image 2: all three on one place."""
    method = made(SMALL).eval()
    attention = torch.zeros(2, 3, 2, 2)
    attention[0, 0, 0], attention[0, 1] = 5.0, 1.0
    attention[1, :, 1, 1] = torch.tensor([1.0, 2.0, 3.0])
    seen = PartFeatures(attention, torch.zeros(2, 3, 1, 1), torch.ones(2, 3, 128), torch.ones(2, 128))
    monkeypatch.setattr(method.network, "look", lambda stages: seen)
    numbers = method.diagnostics(IMAGES[:2])
    assert numbers["overlap"] == pytest.approx(((0.5 + 0.5 + 1) / 3 + 1) / 2)
    assert numbers["dead_maps"] == pytest.approx(1 / 6)
    assert numbers["value_size"] == pytest.approx(float(method.network.values(seen.joined()).abs().mean().detach()))


def test_one_part_trains_and_has_no_overlap(tmp_path):
    method, history = trained(ExchNetConfig(n_parts=1, passes=1), tmp_path)
    assert len(history) == 2
    for row in history:
        assert row["loss_spatial"] == row["loss_channel"] == 0
        assert row["loss_pairs"] > 0
        assert "overlap" not in row
    assert method.anchors.shape[:2] == (5, 1)
    assert method.anchors.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exchange_from": 1.5}, "exchange_from is 1.5; give a share from 0 to 1"),
        ({"exchange_probability": -0.1}, "exchange_probability is -0.1; give a share from 0 to 1"),
        ({"spatial_weight": -1.0}, "spatial_weight is -1.0; give 0 or more"),
        ({"channel_weight": -1.0}, "channel_weight is -1.0; give 0 or more"),
        ({"channel_margin": -0.4}, "channel_margin is -0.4; give 0 or more"),
        ({"pair_scale": 0.0}, "pair_scale is 0.0; give more than 0"),
        ({"n_parts": 0}, "n_parts is 0; give at least 1"),
        ({"attention": "wide"}, "unknown attention 'wide'; choose from"),
        ({"refiner_start": "zero"}, "unknown refiner_start 'zero'; choose from"),
        ({"feature_norm": "layer"}, "feature_norm"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ExchNetConfig(**settings)  # at once, before any data are drawn


def test_images_without_a_label_are_refused_before_training_unless_nothing_is_exchanged():
    labels = MULTI.clone()
    labels[[1, 4]] = 0
    with pytest.raises(ValueError, match="2 of 6 training images have no label, but .*; leave these images out, or"):
        made(SMALL, labels=labels)
    made(ExchNetConfig(n_parts=3, exchange_from=1.0), labels=labels)


def test_training_images_are_let_go_after_the_last_iteration():
    method = made(SMALL)
    method.end_epoch(0, 2)
    assert method.anchors.any()
    method.end_epoch(1, 2)
    with pytest.raises(ValueError, match="no images to take anchors from; call start_training with them first"):
        method.end_epoch(0, 2)


def test_one_thread_at_a_time_takes_anchors(monkeypatch):
    held = []

    @contextmanager
    def in_use(method):
        held.append(method)
        yield

    method = made(SMALL)
    monkeypatch.setattr("cscelab.methods.base.in_use", in_use)
    class_anchors(method, train_set())
    assert held == [method]
