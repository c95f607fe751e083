"""What the notebooks draw and check: decoding, thresholds and the figures that show them."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba

from cscelab.centers import hash_centers
from cscelab.codes import pack
from cscelab.datasets.aviary import Aviary
from cscelab.datasets.base import ImageSet, Splits
from cscelab.dsf import dynamic_sign
from cscelab.encode import Encoded
from cscelab.evaluate import mean_average_precision
from cscelab.experiment import Experiment, Run, fresh_method, measure
from cscelab.figures.lessons import (
    MINUS,
    PLUS,
    dynamic_sign_figure,
    gradient_figure,
    threshold_population,
    threshold_reasons,
)
from cscelab.figures.pairs import explained_pairs
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.figures.style import RIGHT, WRONG
from cscelab.figures.trials import (
    best_thresholds,
    decoding_errors,
    imbalance,
    plain_sign_map,
    threshold_descent,
    threshold_effect,
    threshold_sweep,
)
from cscelab.layout import CodeLayout
from cscelab.methods.csce import CSCEConfig
from cscelab.model.backbone import BackboneConfig

BITS, SIDE, THRESHOLD = 8, 64, 0.4


def drawn_values(n, seed=0):
    return torch.randn(n, BITS, generator=torch.Generator().manual_seed(seed))


def image_set(n, first_id, seed):
    rng = np.random.default_rng(seed)
    images, masks = rng.integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8), np.zeros((n, SIDE, SIDE), np.uint8)
    masks[:, 10:30, 10:30] = 1
    return ImageSet(images, np.arange(n) % 3, first_id + np.arange(n), masks)


@pytest.fixture
def splits():
    query, database = image_set(6, 100, 1), image_set(20, 0, 2)
    return Splits(database, query, query, database, ("heron", "owl", "finch"))


@pytest.fixture
def run(splits):
    """A run kept in memory: values drawn at random, one threshold for all images, an untrained method as its model."""
    method = CSCEConfig(backbone=BackboneConfig(weights="none"), structure="baseline", image_size=SIDE)
    experiment = Experiment("lesson", data=Aviary(n_classes=3, image_size=SIDE), method=method, bits=BITS, smoke=True)
    arrays, encoded = {}, {}
    for seed, split in enumerate(("query", "database")):
        part = getattr(splits, split)
        values = drawn_values(len(part), seed)
        codes = dynamic_sign(values, THRESHOLD).numpy().astype(np.int8)
        thresholds = np.full(len(part), THRESHOLD, np.float32)
        encoded[split] = Encoded(pack(codes), values.numpy(), thresholds, part.labels, part.ids, CodeLayout(BITS))
        arrays |= {f"{split}_codes": codes, f"{split}_values": values.numpy(), f"{split}_thresholds": thresholds}
        arrays |= {f"{split}_labels": part.labels, f"{split}_ids": part.ids}
    made = Run(experiment, None)
    made.__dict__["codes"] = arrays  # where cached_property keeps them
    made.__dict__["metrics"] = measure(experiment, encoded["query"], encoded["database"]) | {"n_classes": 3}
    made.__dict__["history"] = [
        {"epoch": 1.0, "gradient_backbone": 2.0, "gradient_threshold_layer": 0.0, "context_over_local": 3.0},
        {"epoch": 2.0, "gradient_backbone": 1.0, "gradient_threshold_layer": 0.0, "context_over_local": 2.0},
    ]
    made.__dict__["model"] = lambda: fresh_method(experiment, 3).eval()
    return made


class TestDecoding:
    def test_no_flip_decodes_all_and_all_flips_swap_complements(self):
        pair = torch.tensor([[1.0, 1, 1], [-1, -1, -1]])
        assert decoding_errors(pair, [0.0, 1.0]) == {0.0: 0.0, 1.0: 1.0}

    def test_a_tie_counts_as_what_a_fair_draw_gives(self):
        twins = torch.ones(4, 6)
        assert decoding_errors(twins, [0.0])[0.0] == pytest.approx(3 / 4)

    def test_repetition_code_agrees_with_the_binomial_formula(self):
        pair = torch.tensor([[1.0, 1, 1], [-1, -1, -1]])
        share = 0.3
        expected = 3 * share**2 * (1 - share) + share**3  # two or three of three bits wrong
        assert decoding_errors(pair, [share], n_trials=40_000)[share] == pytest.approx(expected, abs=0.01)

    def test_seed_decides_alone(self):
        centers = hash_centers(20, 16)
        torch.manual_seed(1)
        first = decoding_errors(centers, [0.2])
        torch.manual_seed(2)
        assert decoding_errors(centers, [0.2]) == first
        assert decoding_errors(centers, [0.2], seed=1) != first

    def test_says_what_a_probability_is(self):
        with pytest.raises(ValueError, match=r"flip with probability 1\.5; give numbers from 0 to 1"):
            decoding_errors(torch.ones(2, 4), [1.5])


class TestThresholds:
    def test_imbalance_by_hand(self):
        assert imbalance(torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, 1, -1]])) == pytest.approx(0.5)

    def test_sweep_by_hand(self):
        values = torch.tensor([[1.0, 1.0, 0.1, -1.0]])  # at .2: 2 above, 1 below, so .1 becomes -1
        sweep = threshold_sweep(values, [0.0, 0.2], balance_weight=2.0)
        assert sweep.loc[0.0, "quantisation"] == pytest.approx(0.9**2 / 4)
        assert sweep.loc[0.2, "quantisation"] == pytest.approx(1.1**2 / 4)
        assert sweep["imbalance"].tolist() == pytest.approx([0.5, 0.0])
        assert sweep["with balance"].tolist() == pytest.approx([0.9**2 / 4 + 2 * 0.5**2, 1.1**2 / 4])
        assert sweep["in band"].tolist() == sweep["flipped"].tolist() == [0.0, 0.25]

    def test_a_flip_costs_four_times_its_value(self):
        values = drawn_values(200)
        flipped = dynamic_sign(values, 0.3) != dynamic_sign(values, 0.0)
        sweep = threshold_sweep(values, [0.0, 0.3])["quantisation"]
        assert sweep[0.3] - sweep[0.0] == pytest.approx(
            float(4 * values[flipped].abs().sum()) / values.numel(), rel=1e-4
        )

    def test_quantisation_alone_wants_no_threshold_for_any_image(self):
        assert (best_thresholds(drawn_values(100), [0.6, 0.0, 0.3]) == 0).all()

    def test_balance_gives_a_threshold_a_reason(self):
        values = torch.tensor([[1.0, 1.0, 0.1, -1.0], [1.0, 1.0, -1.0, -1.0]])
        assert best_thresholds(values, [0.0, 0.2], balance_weight=2.0).tolist() == pytest.approx([0.2, 0.0])

    @pytest.mark.parametrize("estimator", ["straight_through", "soft"])
    def test_descent_starts_at_half_the_cap_and_stays_below_it(self, estimator):
        means = threshold_descent(drawn_values(50), estimator, steps=20, cap=0.8)
        assert len(means) == 21
        assert means[0] == pytest.approx(0.4)
        assert all(0 < mean < 0.8 for mean in means)
        assert means[-1] != means[0]

    def test_effect_is_counted_on_the_stored_codes(self, run):
        effect = threshold_effect(run)
        values = run.codes["database_values"]
        flipped = run.codes["database_codes"] != np.where(values > 0, 1, -1)
        assert flipped.any()
        assert effect["mean threshold"] == pytest.approx(THRESHOLD)
        assert effect["bits in band"] == pytest.approx((np.abs(values) <= THRESHOLD).mean())
        assert effect["bits flipped"] == pytest.approx(flipped.mean())
        assert effect["images changed"] == pytest.approx(flipped.any(axis=1).mean())
        assert effect["mAP, dynamic"] == run.mean_average_precision
        assert effect["gain"] == pytest.approx(effect["mAP, dynamic"] - effect["mAP, plain"])
        assert effect["gain, low"] <= effect["gain"] <= effect["gain, high"]
        assert effect["gain, low"] < effect["gain, high"]

    def test_plain_sign_map_is_that_of_the_signs(self, run):
        codes = run.codes
        expected = mean_average_precision(
            np.where(codes["query_values"] > 0, 1, -1), codes["query_labels"],
            np.where(codes["database_values"] > 0, 1, -1), codes["database_labels"],
        )  # fmt: skip
        assert plain_sign_map(run) == pytest.approx(expected)
        assert plain_sign_map(run) != run.mean_average_precision

    def test_effect_needs_thresholds(self, run):
        del run.codes["database_thresholds"]
        with pytest.raises(ValueError, match="lesson has no threshold; give a run of CSCE-Net"):
            threshold_effect(run)


class TestFigures:
    def test_bars_take_the_dynamic_sign_and_changes_are_boxed(self):
        (axes,) = dynamic_sign_figure([0.9, 0.8, 0.05, -0.7], 0.1).axes
        bars = axes.patches[:4]
        assert [bar.get_facecolor() for bar in bars] == [to_rgba(c) for c in (PLUS, PLUS, MINUS, MINUS)]
        assert [bool(bar.get_hatch()) for bar in bars] == [False, False, True, False]
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["+\n+", "+\n+", "+\n−", "−\n−"]
        assert [tick.get_bbox_patch() is not None for tick in axes.get_xticklabels()] == [False, False, True, False]

    def test_population_shows_all_values_and_thresholds_and_is_marked(self, run):
        figure = threshold_population({"one": run, "two": run})
        heights = sum(bar.get_height() for bar in figure.axes[0].patches)
        assert heights == pytest.approx(2)  # the shares of values, and of thresholds
        assert SMOKE_MARK in [text.get_text() for text in figure.texts]

    def test_reasons_draw_sweep_and_descents(self):
        sweep = threshold_sweep(drawn_values(20), [0.0, 0.1, 0.2])
        cost, path = threshold_reasons(sweep, {"soft": [0.3, 0.2]}).axes
        for line, column in zip(cost.lines, ("quantisation", "with balance", "imbalance"), strict=True):
            assert line.get_ydata().tolist() == (sweep[column] - sweep.loc[0.0, column]).tolist()
        assert list(path.lines[0].get_ydata()) == [0.3, 0.2]

    def test_parts_without_gradient_are_named_as_such(self, run):
        parts, context = gradient_figure(run, {"CF": run}).axes
        assert [line.get_label() for line in parts.lines] == ["trunk", "threshold layer: no gradient"]
        assert parts.lines[0].get_ydata().tolist() == [2.0, 1.0]
        assert context.lines[0].get_ydata().tolist() == [3.0, 2.0]

    def test_pairs_are_judged_and_equal_codes_have_equal_maps(self, run, splits):
        run.codes["database_codes"][3] = run.codes["query_codes"][0]
        figure = explained_pairs(run, 0, [3, 1], splits)
        axes = figure.axes[0]
        frames = [line.get_color() for line in axes.lines if line.get_gid() == "frame"]
        assert frames[1:] == [RIGHT, WRONG]  # classes 0 and 1 for a query of class 0
        words = "\n".join(text.get_text() for text in axes.texts)
        assert "✓ d=0: heron" in words
        assert "✗ d=" in words
        pictures = [np.asarray(image.get_array(), dtype=int) for image in axes.images]
        under_maps = pictures[1::2]  # the query under each map; before each, the image whose code it is
        assert len(under_maps) == 3
        assert np.abs(under_maps[0] - under_maps[1]).max() <= 1
        assert np.abs(under_maps[0] - under_maps[2]).max() > 1
