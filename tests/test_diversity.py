"""Attention constraints: distances by a naive loop, their ends, gradients where roots have none, overlap by hand."""

import math

import pytest
import torch
from torch import Tensor

from cscelab.diversity import channel_loss, map_overlap, part_distances, spatial_loss


def draw(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def halves(height: float, side: int = 4) -> Tensor:
    """(1, 2, side, side): one map is +height in the left half and -height in the right one, the other its reverse."""
    left = torch.full((side, side), -height)
    left[:, : side // 2] = height
    return torch.stack([left, -left])[None]


def looped_distances(logits: Tensor) -> list[list[float]]:
    """Hellinger's distance of every pair of parts, one entry at a time."""
    rows = []
    for image in logits.tolist():
        parts = []
        for part in image:
            powers = [math.exp(logit - max(part)) for logit in part]
            parts.append([power / sum(powers) for power in powers])
        rows.append([
            math.sqrt(sum((math.sqrt(p) - math.sqrt(q)) ** 2 for p, q in zip(one, other, strict=True))) / math.sqrt(2)
            for i, one in enumerate(parts)
            for other in parts[i + 1 :]
        ])  # fmt: skip
    return rows


class TestDistances:
    @pytest.mark.parametrize("n_parts", [2, 3, 4, 6])
    def test_are_hellingers(self, n_parts):
        logits = draw(3, n_parts, 9, scale=3)
        by_hand = torch.tensor(looped_distances(logits), dtype=torch.float64)
        assert by_hand.shape == (3, n_parts * (n_parts - 1) // 2)
        torch.testing.assert_close(part_distances(logits), by_hand, rtol=0, atol=1e-7)
        # Without the 1e-8 inside the norm it is exactly that.
        torch.testing.assert_close((part_distances(logits).square() - 5e-9).sqrt(), by_hand, rtol=0, atol=1e-12)

    def test_by_hand(self):
        logits = torch.tensor([[[0.5, 0.5], [1e-30, 1.0], [0.8, 0.2]]], dtype=torch.float64).log()
        # 1 - the sum of sqrt(p q), under the root: sqrt(1/2), sqrt(.4) + sqrt(.1), sqrt(.2).
        affinities = [math.sqrt(0.5), math.sqrt(0.4) + math.sqrt(0.1), math.sqrt(0.2)]
        assert part_distances(logits)[0].tolist() == pytest.approx([math.sqrt(1 - a) for a in affinities], abs=1e-6)

    def test_a_shift_of_all_logits_and_an_order_of_entries_change_nothing(self):
        logits = draw(2, 3, 8)
        order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
        moved = logits[..., order] + draw(2, 3, 1, seed=2, scale=50)
        torch.testing.assert_close(part_distances(moved), part_distances(logits))


class TestSpatialLoss:
    def test_equal_maps_give_one_within_a_thousandth(self):
        maps = draw(5, 1, 7, 7, scale=4).float().expand(-1, 4, -1, -1)
        assert 1 - 1e-3 < spatial_loss(maps).item() <= 1
        assert spatial_loss(torch.zeros(2, 3, 7, 7)).item() == pytest.approx(1 - 5e-9**0.5)  # 7e-5 short of it

    @pytest.mark.parametrize(
        ("height", "least", "most"), [(0.0, 0.999, 1.0), (2.0, 0.1, 0.2), (10.0, 4e-5, 5e-5), (100.0, -1e-6, 1e-6)]
    )
    def test_maps_drawn_apart_fall_to_zero(self, height, least, most):
        """Two maps of logits +-h on opposite halves have 1 - sqrt(1 - 1 / cosh h): 4.5e-5 at 10, then rounding."""
        found = spatial_loss(halves(height).double()).item()
        assert found == pytest.approx(1 - math.sqrt(1 - 1 / math.cosh(height)), abs=1e-4)
        assert least <= found <= most
        assert spatial_loss(halves(height)).item() == pytest.approx(found, abs=1e-6)  # single precision

    def test_it_is_one_less_the_mean_over_images_and_pairs(self):
        maps = draw(4, 3, 5, 5, scale=2)
        rows = looped_distances(maps.flatten(2))
        assert spatial_loss(maps).item() == pytest.approx(1 - sum(map(sum, rows)) / 12, abs=1e-7)


class TestChannelLoss:
    def test_it_lies_between_zero_and_the_margin(self):
        same = draw(3, 1, 16).expand(-1, 4, -1)
        assert channel_loss(same).item() == pytest.approx(0.4, abs=1e-4)
        assert channel_loss(same, margin=0.9).item() == pytest.approx(0.9, abs=1e-4)
        assert channel_loss(halves(100.0).flatten(2)).item() == 0
        for scale in (0.01, 0.5, 1.0, 2.0, 100.0):
            for seed in range(10):
                assert 0 <= channel_loss(draw(4, 4, 16, seed=seed, scale=scale)).item() <= 0.4

    def test_each_image_has_its_own_margin(self):
        """An image of disjoint parts does not make up for one of equal parts, as a margin of the mean would let it."""
        both = torch.cat([halves(100.0), torch.zeros(1, 2, 4, 4)]).flatten(2)
        assert channel_loss(both).item() == pytest.approx(0.4 / 2, abs=1e-4)
        assert part_distances(both).mean() > 0.4

    def test_against_the_loop(self):
        features = torch.cat([draw(3, 4, 16, scale=0.3), draw(3, 4, 16, seed=1, scale=3)])
        terms = [max(0.0, 0.4 - sum(row) / 6) for row in looped_distances(features)]
        assert min(terms) == 0 < max(terms)  # both sides of the margin
        assert channel_loss(features).item() == pytest.approx(sum(terms) / 6, abs=1e-7)


LOSSES = pytest.mark.parametrize("loss", [spatial_loss, lambda maps: channel_loss(maps.flatten(2))], ids=["sp", "cp"])


@LOSSES
class TestGradients:
    """In float32, as trainings are."""

    def gradient(self, loss, maps: Tensor) -> Tensor:
        maps = maps.float().clone().requires_grad_()
        loss(maps).backward()
        assert maps.grad is not None
        return maps.grad

    def test_finite_where_all_parts_coincide(self, loss):
        assert torch.isfinite(self.gradient(loss, torch.zeros(2, 4, 5, 5))).all()
        assert torch.isfinite(self.gradient(loss, draw(2, 1, 5, 5, scale=30).expand(-1, 4, -1, -1))).all()

    def test_finite_where_two_of_three_coincide(self, loss):
        maps = draw(2, 3, 5, 5, scale=0.1)
        maps[:, 1] = maps[:, 0]
        gradient = self.gradient(loss, maps)
        assert torch.isfinite(gradient).all()
        assert gradient.any()

    @pytest.mark.parametrize("height", [50.0, 1000.0])
    def test_finite_where_the_softmax_underflows(self, loss, height):
        corner = torch.full((1, 3, 5, 5), -height)
        corner[0, 0, 0, 0] = corner[0, 1, 0, 0] = corner[0, 2, 4, 4] = height  # two equal, one disjoint from both
        assert torch.isfinite(self.gradient(loss, corner)).all()
        assert torch.isfinite(self.gradient(loss, halves(height))).all()

    def test_a_step_down_it_draws_parts_apart(self, loss):
        maps = draw(2, 3, 5, 5, scale=0.1).float()
        lower = maps - 0.1 * self.gradient(loss, maps)
        assert loss(lower) < loss(maps)

    def test_a_single_part_has_nothing_to_differ_from(self, loss):
        maps = draw(2, 1, 5, 5).float().requires_grad_()
        value = loss(maps)
        assert value.item() == 0
        value.backward()
        assert maps.grad is not None
        assert not maps.grad.any()


def test_why_the_epsilon_is_inside_the_norm():
    """The paper's formula as it stands has no gradient where parts coincide, nor where a softmax underflows."""
    for logits in (torch.zeros(1, 2, 4), torch.tensor([[[1000.0, 0, 0, 0], [0, 1000.0, 0, 0]]])):
        logits.requires_grad_()
        roots = logits.softmax(dim=2).sqrt()
        (roots[:, 0] - roots[:, 1]).square().sum(dim=1).sqrt().sum().backward()
        assert logits.grad is not None
        assert not torch.isfinite(logits.grad).all()


class TestOverlap:
    def test_by_hand(self):
        # Of sum 1: (1/2, 1/2, 0, 0) and (0, 1/4, 1/4, 1/2), whose smaller ones are 0, 1/4, 0, 0.
        maps = torch.tensor([[2.0, 2, 0, 0], [0, 1, 1, 2]]).view(1, 2, 2, 2)
        assert map_overlap(maps).tolist() == [0.25]
        # A third one, (0, 0, 1, 0), shares nothing with the first and 1/4 with the second: (1/4 + 0 + 1/4) / 3.
        third = torch.tensor([0.0, 0, 7, 0]).view(1, 1, 2, 2)
        assert map_overlap(torch.cat([maps, third], dim=1)).item() == pytest.approx(0.5 / 3)

    def test_ends(self):
        disjoint = halves(1.0).clamp_min(0)
        equal = draw(3, 1, 4, 4).abs().expand(-1, 4, -1, -1)
        assert map_overlap(disjoint).tolist() == [0]
        assert map_overlap(equal).tolist() == pytest.approx([1, 1, 1])
        # Each image has its own, whatever the scale of its maps, the smallest floats among them.
        scales = torch.tensor([3.0, 1e-40]).view(1, 2, 1, 1)
        assert map_overlap(torch.cat([disjoint * scales, torch.ones(1, 2, 4, 4) * scales])).tolist() == [0, 1]

    def test_a_map_that_is_zero_everywhere_counts_as_uniform(self):
        zero, point = torch.zeros(1, 1, 2, 2), torch.tensor([4.0, 0, 0, 0]).view(1, 1, 2, 2)
        assert map_overlap(torch.cat([zero, point], dim=1)).tolist() == [0.25]
        assert map_overlap(torch.cat([zero, zero], dim=1)).tolist() == [1]

    def test_a_single_part_is_refused(self):
        with pytest.raises(ValueError, match="overlap is between parts, but 1 came; give at least 2"):
            map_overlap(torch.ones(2, 1, 3, 3))
