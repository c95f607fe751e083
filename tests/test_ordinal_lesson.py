"""What noise flips of symbols and signs, by hand and by counting; the pictures of the ordinal lesson."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from fake_runs import NAMES, image_set, make_run, make_splits, texts

from cscelab.datasets.aviary import Aviary
from cscelab.datasets.base import Splits
from cscelab.experiment import Experiment, Run, fresh_method
from cscelab.explain import mass_inside
from cscelab.figures.attention_lesson import attention_steps, attention_steps_figure
from cscelab.figures.ordinal_lesson import (
    BETAS,
    GAPS,
    noise_figure,
    ordinal_figure,
    relaxation_figure,
    shares_at,
    slope_at,
)
from cscelab.figures.ordinal_noise import (
    DRAWS,
    drawn_flips,
    drawn_group,
    exact_flips,
    margin,
    mean_sign_flips,
    mean_symbol_flips,
    ranks,
    sign_flips,
    stored_groups,
    symbol_flips,
)
from cscelab.methods.csq import CSQConfig
from cscelab.methods.doh import DOHConfig
from cscelab.model.backbone import BackboneConfig
from cscelab.ordinal import symbols_of


def phi(x):
    return math.erfc(-x / math.sqrt(2)) / 2


def group(*values):
    return torch.tensor(values, dtype=torch.float64)


class TestNoise:
    @pytest.mark.parametrize(("gap", "noise"), [(1.0, 0.5), (0.2, 1.5), (3.0, 0.4), (0.0, 1.0)])
    def test_two_values_flip_with_the_closed_form(self, gap, noise):
        wanted = phi(-gap / (noise * math.sqrt(2)))
        assert float(symbol_flips(group(0.3 + gap, 0.3), noise)) == pytest.approx(wanted, abs=1e-12)

    def test_of_k_equal_values_each_wins_as_often(self):
        for k in (2, 4, 8, 16):
            assert float(symbol_flips(torch.zeros(k, dtype=torch.float64), 0.7)) == pytest.approx(1 - 1 / k, abs=1e-9)

    def test_three_rivals_by_a_plain_sum_over_the_winners_noise(self):
        values, noise = [0.9, 0.5, -0.1, -1.2], 0.6
        step, stays = 1e-3, 0.0
        for i in range(-8000, 8001):
            z = i * step
            beaten = math.prod(phi((0.9 - other) / noise + z) for other in values[1:])
            stays += step * math.exp(-z * z / 2) / math.sqrt(2 * math.pi) * beaten
        assert float(symbol_flips(group(*values), noise)) == pytest.approx(1 - stays, abs=1e-6)

    def test_every_chance_by_hand(self):
        values, noise = group(1.0, 0.4, -0.3, 0.1), 0.5
        found = exact_flips(values, noise)
        flips = [phi(-abs(v) / noise) for v in values.tolist()]
        assert found.margin == pytest.approx(phi(-0.6 / noise))
        pairs = [1 - (1 - a) * (1 - b) for a, b in combinations(flips, 2)]
        assert found.same_bits == pytest.approx(np.mean(pairs))
        assert found.any_sign == pytest.approx(1 - math.prod(1 - p for p in flips))
        assert sign_flips(values, noise).tolist() == pytest.approx(flips)

    @pytest.mark.parametrize("k", [2, 4, 8, 16])
    def test_draws_agree_with_the_chances(self, k):
        values = drawn_group(k, 3) + 0.4
        found = drawn_flips(values, 0.5, draws=40_000, seed=1)
        assert found.flips == pytest.approx(exact_flips(values, 0.5), abs=0.01)  # four standard deviations
        assert found.wins.sum() == pytest.approx(1)
        symbol = int(symbols_of(values[None], k))
        assert 1 - found.wins[symbol] == pytest.approx(found.flips.symbol)

    def test_an_offset_moves_no_symbol_and_flips_signs(self):
        values = drawn_group()
        one, two = (exact_flips(values + offset, 0.5) for offset in (0.0, 2.0))
        assert (one.symbol, one.margin) == pytest.approx((two.symbol, two.margin), abs=1e-9)
        assert abs(one.any_sign - two.any_sign) > 1e-3
        assert drawn_flips(values, 0.5).wins == pytest.approx(drawn_flips(values + 2, 0.5).wins)

    def test_without_noise_nothing_flips(self):
        assert exact_flips(drawn_group(), 0) == drawn_flips(drawn_group(), 0).flips == (0, 0, 0, 0)

    @pytest.mark.parametrize("values", [(1.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)])
    def test_without_noise_not_even_ties_flip(self, values):
        assert drawn_flips(group(*values), 0).flips == exact_flips(group(*values), 0) == (0, 0, 0, 0)

    def test_the_mean_over_groups_is_that_of_very_many_draws(self):
        assert mean_symbol_flips(2, 0.5) == pytest.approx(0.1476, abs=2e-4)  # arctan(.5) / pi
        assert mean_symbol_flips(4, 0.5) == pytest.approx(0.2566, abs=1e-3)  # mean of 300,000 groups
        generator = torch.Generator().manual_seed(0)
        for k, noise in ((4, 0.05), (8, 1.0), (16, 0.2)):
            values = torch.randn(20_000, k, generator=generator, dtype=torch.float64)
            each = symbol_flips(values, noise)
            assert abs(mean_symbol_flips(k, noise) - float(each.mean())) < 4 * float(each.std()) / 20_000**0.5
        assert mean_symbol_flips(4, 0) == 0

    def test_on_average_a_symbol_of_two_is_a_sign(self):
        for noise in (0.05, 0.25, 1.0, 2.0):
            assert mean_symbol_flips(2, noise) == pytest.approx(mean_sign_flips(1, noise), abs=1e-4)
        assert mean_sign_flips(1, 1.0) == pytest.approx(0.25)  # half of a right angle
        assert mean_sign_flips(3, 1.0) == pytest.approx(1 - 0.75**3)

    def test_ranks_and_margin_with_ties_as_symbols_have_them(self):
        values = group(0.5, 2.0, 2.0, -1.0)
        assert ranks(values).tolist() == [3, 2, 1, 4]
        assert int(symbols_of(values[None], 4)) == 2
        assert float(margin(values)) == 0
        assert float(margin(group(0.5, 2.0, 1.75, -1.0))) == 0.25

    def test_values_of_a_run_are_in_units_of_their_spread(self, tmp_path):
        run = make_run(tmp_path, make_splits(), method=DOHConfig(), bits=16)
        groups = stored_groups(run)
        assert groups.shape == (12, 8, 4)
        assert float(groups.std()) == pytest.approx(1)
        assert groups[3, 2] / groups[0, 0, 0] == pytest.approx(
            torch.from_numpy(run.codes["query_values"])[3, 8:12].double() / float(run.codes["query_values"][0, 0])
        )

    def test_mistakes_are_one_sentence(self, tmp_path):
        with pytest.raises(
            ValueError, match="noise -1 on values of shape .4,. of torch.float64; give a finite deviation"
        ):
            ordinal_figure(noise=-1)
        with pytest.raises(ValueError, match=r"on values of shape \(2, 4\) of torch.float32; give a finite deviation"):
            exact_flips(torch.zeros(2, 4), 0.5)
        with pytest.raises(ValueError, match=r"noise nan on values of shape \(4,\)"):
            exact_flips(drawn_group(), math.nan)
        with pytest.raises(ValueError, match=r"of torch.int64; give .* the values \(k,\) of one group, floating point"):
            drawn_flips(torch.tensor([1, 2]), 0.5)
        with pytest.raises(ValueError, match="noise 0.01; give 0 or a deviation of at least 0.05"):
            mean_symbol_flips(4, 0.01)
        with pytest.raises(ValueError, match="groups of 3 values were asked for; give a power of two"):
            drawn_group(3)
        run = make_run(tmp_path, make_splits(), method=CSQConfig())
        with pytest.raises(ValueError, match="are plain bits, which have no groups; give a run of symbols"):
            stored_groups(run)


def artist(figure, name):
    return list(figure.findobj(lambda one: one.get_gid() == name))


class TestFigures:
    def test_the_group_its_code_and_its_signs(self):
        values = group(0.4, -0.6, 1.1, 0.2)
        figure = ordinal_figure(values, 0.3, offset=0.5, source="mine")
        bars = artist(figure, "values")
        assert [bar.get_height() for bar in bars] == pytest.approx([0.9, -0.1, 1.6, 0.7])
        assert [bar.get_hatch() for bar in bars] == ["..", None, "///", None]
        (one_hot,), (signs,) = artist(figure, "one-hot"), artist(figure, "sign")
        assert one_hot.get_array().tolist() == [[-1, -1, 1, -1]]
        assert signs.get_array().tolist() == [[1, -1, 1, 1]]
        assert "mine: the largest of 4 is value 2, by 0.70" in texts(figure)
        titles = [axes.get_title("left") for axes in figure.axes]
        assert "stripes: largest; dots: runner-up; lines: their heights; whiskers: ± noise" in titles
        assert "The symbol is 2, 0.70 ahead of the runner-up, value 0" in figure.alt

    def test_chances_are_written_and_drawn(self):
        values = drawn_group(8, 5)
        figure, exact, drawn = (
            ordinal_figure(values, 0.7, seed=4),
            exact_flips(values, 0.7),
            drawn_flips(values, 0.7, seed=4),
        )
        assert [bar.get_width() for bar in artist(figure, "exact")] == pytest.approx(exact)
        (rings,) = artist(figure, "drawn")
        assert rings.get_xdata() == pytest.approx(drawn.flips)
        assert [f"{chance:.3f}" for chance in exact] == [t.get_text() for t in figure.axes[-1].texts]
        assert f"bar: exact; ring: {DRAWS:,} draws" in texts(figure)
        assert f"any of 3 of the 8 signs with {exact.same_bits:.3f}" in figure.alt

    def test_every_arity_has_its_words(self):
        assert "one of these signs" in ordinal_figure(drawn_group(2)).alt
        assert "any of 4 of the 16 signs" in ordinal_figure(drawn_group(16)).alt

    def test_relaxation_draws_softmaxes_and_their_slope(self):
        figure = relaxation_figure((0.5, 0.1), (1, 10))
        left, right = figure.axes
        assert left.lines[0].get_ydata() == pytest.approx(1 / (1 + np.exp(-0.4 * BETAS)))
        for line, gap in zip(right.lines, GAPS, strict=True):
            beta, step = float(BETAS[30]), 1e-6
            ends = [shares_at((gap + sign * step, 0.0), beta)[0] for sign in (-1, 1)]
            assert line.get_ydata()[30] == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-4)
        assert "gap 2: slope 0.105, 2.06e−08" in figure.alt
        assert slope_at(10, 0) == pytest.approx(2.5)

    def test_noise_figure_sets_symbols_beside_as_many_bits(self):
        noises = np.array([0.0, 0.5, 1.0])
        figure = noise_figure((2, 4), noises)
        lines = figure.axes[0].lines
        assert [line.get_label() for line in lines] == ["a symbol of 2", "1 sign", "a symbol of 4", "any of 2 signs"]
        assert lines[2].get_ydata() == pytest.approx([mean_symbol_flips(4, noise) for noise in noises])
        assert lines[3].get_ydata() == pytest.approx([mean_sign_flips(2, noise) for noise in noises])
        assert {line.get_linestyle() for line in lines[1::2]} == {"--"}


SIDE = 48


@pytest.fixture(scope="module")
def run():
    """A run kept in memory, of an untrained network."""
    part = image_set(6, 0, 1)
    masks = np.zeros((6, SIDE, SIDE), np.uint8)
    masks[:, 8:24, 8:24] = 1
    object.__setattr__(part, "images", np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8))
    object.__setattr__(part, "masks", masks)
    config = DOHConfig(backbone=BackboneConfig(weights="none"), image_size=SIDE)
    experiment = Experiment("lesson", Aviary(n_classes=3, image_size=SIDE), config, 8)
    method = fresh_method(experiment, 3).eval()
    made, splits = Run(experiment, None), Splits(part, part, part, part, NAMES)
    made.__dict__["model"], made.__dict__["data"] = lambda: method, lambda: splits
    return made


class TestAttention:
    def test_steps_lead_from_scores_to_attention(self, run):
        steps = attention_steps(run, 4)
        pooled = steps.place_scores.mean(axis=(1, 2))
        p = np.exp(pooled - pooled.max())
        p /= p.sum()
        assert steps.weights == pytest.approx(p, abs=1e-6)
        m = sum(weight * scores for weight, scores in zip(p, steps.place_scores, strict=True))
        assert steps.evidence == pytest.approx(m, abs=1e-6)
        alpha = np.exp(m - m.max()) / np.exp(m - m.max()).sum()
        assert steps.attention == pytest.approx(alpha, abs=1e-6)
        assert steps.attention.sum() == pytest.approx(1)

    def test_share_on_the_target_is_that_of_the_enlarged_map(self, run):
        steps = attention_steps(run, 2)
        large = torch.nn.functional.interpolate(
            torch.from_numpy(steps.attention)[None, None], (SIDE, SIDE), mode="bilinear", align_corners=False
        )[0].numpy()
        assert steps.on_target() == pytest.approx(float(mass_inside(large, steps.mask[None])[0]), rel=1e-5)
        assert steps._replace(mask=None).on_target() is None

    def test_figure_shows_every_step(self, run):
        figure, steps = attention_steps_figure(run, 3), attention_steps(run, 3)
        first, second = artist(figure, "score")[:2]
        order = steps.weights.argsort()[::-1]
        assert np.asarray(first.get_array()) == pytest.approx(steps.place_scores[order[0]])
        assert np.asarray(second.get_array()) == pytest.approx(steps.place_scores[order[1]])
        (attention,) = artist(figure, "attention")
        assert np.asarray(attention.get_array()) == pytest.approx(steps.attention)
        assert f"On the target lies {steps.on_target():.2f} times what a uniform map has" in figure.alt
        assert any(f"p = {steps.weights[order[0]]:.2f}" == text for text in texts(figure))

    def test_mistakes_are_one_sentence(self, run, tmp_path):
        with pytest.raises(ValueError, match="there is no query 6; choose from 0 to 5"):
            attention_steps_figure(run, 6)
        config = DOHConfig(backbone=BackboneConfig(weights="none"), image_size=SIDE, views="global")
        other = Run(Experiment("global", Aviary(n_classes=3, image_size=SIDE), config, 8), None)
        method = fresh_method(other.experiment, 3).eval()
        other.__dict__["model"], other.__dict__["data"] = lambda: method, run.data
        with pytest.raises(ValueError, match="global has no local view; give a run of DOH whose views"):
            attention_steps(other)
