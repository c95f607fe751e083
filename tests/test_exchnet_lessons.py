"""The pictures of ExchNet's lesson: a run's parts exchanged, and where epsilon keeps gradients finite."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_runs import texts

from cscelab.datasets.aviary import Aviary
from cscelab.datasets.base import ImageSet, Splits
from cscelab.experiment import Experiment, Run, fresh_method
from cscelab.figures.exchange_lesson import CROSS, exchange_lesson_figure, exchange_parts
from cscelab.figures.part_lesson import PLACES, coincidence_figure, gradient_size, two_maps
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.methods.csq import CSQConfig
from cscelab.methods.exchnet import ExchNetConfig
from cscelab.model.backbone import BackboneConfig

SIDE, BITS, N, PARTS = 48, 6, 9, 2
NAMES = ("heron", "owl", "finch")


def image_set(labels):
    images = np.random.default_rng(0).integers(0, 256, (N, SIDE, SIDE, 3), dtype=np.uint8)
    return ImageSet(images, labels, np.arange(N))


def make_run(splits, method=None, smoke=True):
    """A run kept in memory, of an untrained network whose hash layer is strong enough for bits to flip."""
    method = method or ExchNetConfig(
        backbone=BackboneConfig(weights="none"), image_size=SIDE, n_parts=PARTS, feature_norm="none"
    )
    experiment = Experiment("lesson", Aviary(n_classes=3, image_size=SIDE), method, BITS, smoke=smoke)
    model = fresh_method(experiment, 3).eval()
    made = Run(experiment, None)
    made.__dict__["model"] = lambda: model
    made.__dict__["data"] = lambda: splits
    return made


@pytest.fixture(scope="module")
def splits():
    train = image_set(np.arange(N) % 3)
    return Splits(train, train, train, train, NAMES)


@pytest.fixture(scope="module")
def run(splits):
    made = make_run(splits)
    layer = made.model().network.hash_layer
    with torch.no_grad():
        layer.weight.mul_(1e5)  # features of an untrained network are tiny
        layer.bias.zero_()
        fourth = made.model()(torch.from_numpy(splits.train.images[4:5]).permute(0, 3, 1, 2)).values[0]
        layer.bias.copy_(0.01 - fourth)  # image 4 is just above 0 everywhere: what lowers a value flips its bit
    return made


def features(run, splits, rows):
    with torch.no_grad():
        return run.model()(torch.from_numpy(splits.train.images[rows]).permute(0, 3, 1, 2)).parts


class TestExchange:
    def test_every_row_is_the_exchange_it_names(self, run, splits):
        found = exchange_parts(run, 4)  # an owl; finches are the other class
        assert (found.own, found.other) == ("owl", "finch")
        parts = features(run, splits, [4])
        layer = run.model().network.hash_layer
        wanted = {"nothing": parts.local[0]}
        for owner, rows in (("own", [1, 4, 7]), ("other", [2, 5, 8])):
            anchors = features(run, splits, rows).local.mean(dim=0)
            wanted[f"part 1, {owner}"] = torch.stack([anchors[0], parts.local[0, 1]])
            wanted[f"part 2, {owner}"] = torch.stack([parts.local[0, 0], anchors[1]])
            wanted[f"all parts, {owner}"] = anchors
        assert list(found.values) == list(wanted)
        for name, local in wanted.items():
            x = torch.cat([local.flatten(), parts.whole[0]])  # the whole is never exchanged
            wanted_values = torch.tanh(layer(x)).detach().numpy()
            assert found.values[name] == pytest.approx(wanted_values, abs=2e-3)  # float32, weights of 1e5
        assert found.attention == pytest.approx(parts.attention[0].numpy(), abs=1e-5)

    def test_flips_are_changes_of_sign(self, run):
        found = exchange_parts(run, 0)
        assert not found.flips("nothing").any()
        changed = found._replace(values={"nothing": np.array([0.1, -0.1, 0.0]), "x": np.array([-0.2, -0.9, 0.5])})
        assert changed.flips("x").tolist() == [True, False, False]

    def test_the_other_class_can_be_chosen_and_wraps_around(self, run):
        assert exchange_parts(run, 2).other == "heron"
        assert exchange_parts(run, 2, other=1).other == "owl"

    def test_figure_crosses_the_bits_that_flip_and_counts_them(self, run):
        found, figure = exchange_parts(run, 4), exchange_lesson_figure(run, 4)
        flips = {name: int(found.flips(name).sum()) for name in found.values}
        assert sum(flips.values()) > 0
        crosses = [text for text in figure.axes[0].texts if text.get_gid() == "flip"]
        assert len(crosses) == sum(flips.values())
        assert {text.get_text() for text in crosses} == {CROSS}
        rows = {image.get_gid(): image.get_array() for image in figure.axes[0].images if image.get_gid()}
        assert {name: np.asarray(row)[0].tolist() for name, row in rows.items()} == {
            name: values.tolist() for name, values in found.values.items()
        }
        change = np.abs(found.values["all parts, other"] - found.values["nothing"]).mean()
        assert f"{flips['all parts, other']}, {change:.2f}" in texts(figure)
        assert f"all parts, other: {flips['all parts, other']} flips" in figure.alt
        assert SMOKE_MARK in texts(figure)

    def test_a_map_that_is_zero_everywhere_is_named(self, splits):
        made = make_run(splits, smoke=False)
        with torch.no_grad():
            made.model().network.attention[-2].weight.zero_()  # of the last norm, before the ReLU
        figure = exchange_lesson_figure(made)
        assert "part 1: zero everywhere" in texts(figure)
        assert f"of which {PARTS} are zero everywhere" in figure.alt
        assert SMOKE_MARK not in texts(figure)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"row": N}, "there is no training image 9; choose from 0 to 8"),
            ({"row": 0, "other": 0}, "class 0 cannot be the other class of an image of class 0; choose from 0"),
            ({"row": 0, "other": 3}, "class 3 cannot be the other class"),
        ],
    )  # fmt: skip
    def test_says_what_is_not_there(self, run, arguments, message):
        with pytest.raises(ValueError, match=message):
            exchange_lesson_figure(run, **arguments)

    def test_needs_parts_and_one_class_an_image(self, run, splits):
        other = make_run(splits, CSQConfig(backbone=BackboneConfig(weights="none"), image_size=SIDE))
        with pytest.raises(ValueError, match="lesson is of CSQ, which has no parts; give ExchNet"):
            exchange_lesson_figure(other)
        train = image_set(np.eye(3, dtype=np.uint8)[np.arange(N) % 3])
        several = replace(splits, train=train)
        with pytest.raises(ValueError, match="images of lesson have several classes; give a run of one class an image"):
            exchange_lesson_figure(run, splits=several)


class TestGradient:
    @pytest.mark.parametrize("place", PLACES)
    def test_apart_it_is_what_differences_give(self, place):
        distance, logits = PLACES[place], two_maps(2.0, 1.5, sharpness=3.0).flatten(2)
        direction = torch.randn(logits.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        direction /= direction.norm()
        moved = logits.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(distance(moved).sum(), moved)
        by_hand = (distance(logits + 1e-4 * direction) - distance(logits - 1e-4 * direction)) / 2e-4
        assert float((gradient * direction).sum()) == pytest.approx(float(by_hand), rel=1e-5)
        assert gradient_size(distance, 2.0, 1.5, 3.0) == pytest.approx(float(gradient.norm()))

    def test_only_epsilon_inside_the_norm_survives_coincidence(self):
        at_zero = {name: gradient_size(distance, 0.0, 1.5, 6.0) for name, distance in PLACES.items()}
        assert np.isnan(at_zero["no ε"])
        assert np.isnan(at_zero["ε inside each root"])
        assert at_zero["ε inside the norm (ours)"] == 0

    def test_figure_says_so(self):
        figure = coincidence_figure()
        labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        assert [label.split("; at 0: ")[1][:12] for label in labels] == ["not a number", "not a number", "0 ✓"]
        assert texts(figure) == ["✗ nan", "✗ nan"]
        curves = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines if len(line.get_ydata()) > 2}
        bare, ours = curves[labels[0]], curves[labels[2]]
        assert bare[0] == pytest.approx(ours[0], rel=1e-4)  # a cell apart
        assert bare[-1] > 10 * ours[-1]  # a hundred thousandth apart
        assert "ε inside the norm (ours)" in figure.alt
