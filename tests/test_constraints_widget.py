"""Two maps slid apart: the numbers of L_sp by hand, the picture that tells them, and sliders that draw once."""

import math
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from fake_runs import texts
from PIL import Image

from cscelab.figures import part_lesson
from cscelab.figures.part_lesson import APART, CHANNELS, constraint_figure, loss_curve, measured, pull_of, two_maps
from cscelab.figures.style import new_figure
from cscelab.methods.exchnet import ExchNetConfig
from cscelab.model.backbone import BackboneConfig
from cscelab.widgets import ConstraintExplorer, checked, outputs_in
from cscelab.widgets import constraints as constraint_widget


@pytest.fixture
def drawn(monkeypatch):
    """What was drawn, in order, without the cost of drawing."""
    drawn = []

    def draw(*chosen):
        drawn.append(chosen)
        return new_figure(1, 1)

    monkeypatch.setattr(constraint_widget, "constraint_figure", draw)
    return drawn


def sliders():
    explorer = ConstraintExplorer()
    return explorer.apart, explorer.width, explorer.sharpness


class TestMaps:
    def test_a_bump_by_hand(self):
        maps = two_maps(apart=3.0, width=2.0, side=14, sharpness=5.0)
        assert maps.shape == (1, 2, 14, 14)
        for part, centre in enumerate((5.0, 8.0)):  # 6.5 less and plus 1.5
            for row, column in ((0, 0), (6, 5), (7, 11)):
                squared = (row - 6.5) ** 2 + (column - centre) ** 2
                assert maps[0, part, row, column].item() == pytest.approx(5 * math.exp(-squared / 8))

    def test_distance_loss_and_overlap_by_a_loop(self):
        found = measured(2.5, 1.5, 4.0)
        logits = two_maps(2.5, 1.5, sharpness=4.0)[0].flatten(1).tolist()
        first, second = ([math.exp(x) / sum(map(math.exp, part)) for x in part] for part in logits)
        squared = sum((math.sqrt(p) - math.sqrt(q)) ** 2 for p, q in zip(first, second, strict=True))
        assert found.distance == pytest.approx(math.sqrt(squared / 2), abs=1e-6)
        assert found.loss == pytest.approx(1 - found.distance, abs=1e-9)
        assert found.overlap == pytest.approx(sum(map(min, first, second)))
        assert found.shares.sum(axis=(1, 2)) == pytest.approx([1, 1])

    def test_equal_maps_lose_1_and_distant_sharp_ones_next_to_nothing(self):
        assert measured(0, 1.5, 6.0).loss == pytest.approx(1, abs=1e-3)
        assert measured(8, 1.5, 12.0).loss < 0.01
        assert measured(8, 1.5, 0.0).loss == pytest.approx(1, abs=1e-3)  # flat maps are equal

    @pytest.mark.parametrize("over", ["mean", "sum"])
    def test_the_slope_is_that_of_the_curve(self, over):
        apart, step = 0.02, 1e-5
        ends = [measured(apart + sign * step, 1.5, 6.0, over).loss for sign in (-1, 1)]
        assert pull_of(apart, 1.5, 6.0, over) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-3)

    def test_a_sum_of_channels_leaves_no_slope_to_learn_from(self):
        assert pull_of(2.0, 1.5, 6.0, "mean") > 0.1
        assert pull_of(2.0, 1.5, 6.0, "sum") < 1e-12

    def test_the_curve_is_of_the_same_loss(self):
        for over in ("mean", "sum"):
            curve = loss_curve(1.5, 6.0, over)
            assert [curve[i] for i in (0, 8, 40)] == pytest.approx(
                [measured(float(APART[i]), 1.5, 6.0, over).loss for i in (0, 8, 40)], abs=1e-12
            )
        assert (np.diff(loss_curve(1.5, 6.0, "mean")[:40]) < 0).all()

    def test_as_many_channels_as_the_tiny_trunk_has(self):
        network = ExchNetConfig(backbone=BackboneConfig(weights="none"), image_size=48).build(2, 4).network
        assert network.n_features == CHANNELS

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"apart": -1}, "maps -1 cells apart, 1.5 wide, of sharpness 6 were asked for; give a distance"),
            ({"width": 0}, "maps 4 cells apart, 0 wide, of sharpness 6 were asked for"),
            ({"over": "max"}, r"unknown channel 'max'; choose from \('mean', 'sum'\)"),
        ],
    )
    def test_errors_say_what_was_expected(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            constraint_figure(**arguments)


class TestFigure:
    def test_tells_the_numbers_and_marks_the_point(self):
        figure, found = constraint_figure(3.0), measured(3.0, 1.5, 6.0)
        words = "\n".join(texts(figure))
        assert "3 cells apart, logits = channel mean" in words
        assert f"Hellinger distance {found.distance:.3f}     L_sp = 1 − distance = {found.loss:.3f}" in words
        assert f"share of the maps in common {found.overlap:.3f}" in words
        chart = figure.axes[-1]
        assert (chart.lines[0].get_ydata() == loss_curve(1.5, 6.0, "mean")).all()
        assert (chart.lines[1].get_ydata() == loss_curve(1.5, 6.0, "sum")).all()
        assert chart.lines[2].get_xydata().tolist() == [[3.0, found.loss]]
        assert chart.lines[0].get_linestyle() != chart.lines[1].get_linestyle()
        assert f"L_sp {found.loss:.3f}" in figure.alt

    def test_draws_the_maps_and_what_they_share(self):
        first, second, shared = (np.asarray(axes.images[0].get_array()) for axes in constraint_figure(2.0).axes[:3])
        shares = measured(2.0, 1.5, 6.0).shares
        assert first**2 == pytest.approx(shares[0])
        assert second**2 == pytest.approx(shares[1])
        assert shared == pytest.approx(np.minimum(first, second))

    def test_the_sum_moves_the_point_to_its_curve(self):
        chart = constraint_figure(3.0, over="sum").axes[-1]
        assert chart.lines[2].get_xydata().tolist() == [[3.0, 0.0]]
        assert chart.lines[1].get_linewidth() > chart.lines[0].get_linewidth()


class TestExplorer:
    def test_picture_is_that_of_the_tested_function(self):
        explorer = checked(ConstraintExplorer(apart=2.0))
        (output,) = outputs_in(explorer)
        with Image.open(BytesIO(b64decode(output.outputs[0]["data"]["image/png"]))) as image:
            pixels = np.asarray(image.convert("RGB"))
        with Image.open(BytesIO(constraint_figure(2.0)._repr_png_())) as image:
            assert (pixels == np.asarray(image.convert("RGB"))).all()

    def test_starts_as_the_figure_does(self, drawn):
        ConstraintExplorer()
        assert drawn == [constraint_figure.__wrapped__.__defaults__]

    @pytest.mark.parametrize(
        ("name", "value", "wanted"),
        [
            ("apart", 0.5, (0.5, 1.5, 6.0, "mean")),
            ("width", 3.0, (4.0, 3.0, 6.0, "mean")),
            ("sharpness", 1.0, (4.0, 1.5, 1.0, "mean")),
            ("over", "sum", (4.0, 1.5, 6.0, "sum")),
        ],
    )
    def test_every_control_draws_once_what_it_says(self, drawn, name, value, wanted):
        explorer = ConstraintExplorer()
        getattr(explorer, name).value = value
        assert drawn[1:] == [wanted]

    @pytest.mark.parametrize("end", ["min", "max"])
    def test_every_end_of_every_slider_can_be_drawn(self, end):
        explorer = ConstraintExplorer(*(getattr(slider, end) for slider in sliders()))
        assert "error" not in [part["output_type"] for part in checked(explorer).output.outputs]

    def test_an_error_in_a_callback_is_raised(self, monkeypatch):
        explorer = checked(ConstraintExplorer())
        monkeypatch.setattr(part_lesson, "measured", lambda *_: 1 / 0)
        explorer.apart.value = 1
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            checked(explorer)

    def test_says_what_no_control_reaches(self):
        with pytest.raises(ValueError, match="apart is 20, expected 0 to 12; `constraint_figure` draws any"):
            ConstraintExplorer(apart=20)
        with pytest.raises(ValueError, match=r"unknown channel 'max'; choose from \['mean', 'sum'\]"):
            ConstraintExplorer(over="max")
