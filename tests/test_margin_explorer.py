"""MarginExplorer and its curves: the numbers of Eq. 12, boundaries by hand, and controls that draw once."""

import math
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from cscelab.figures.margins import ANGLES, LITERATURE, METHODS, Margins, crossing, margin_curve, margin_figure
from cscelab.figures.style import new_figure
from cscelab.losses import margin_loss
from cscelab.widgets import checked, outputs_in
from cscelab.widgets import margins as margin_widget
from cscelab.widgets.margins import MarginExplorer

torch.set_num_threads(1)
PI = math.pi


@pytest.fixture
def drawn(monkeypatch):
    """The settings that were drawn, in order, without the cost of drawing."""
    drawn = []

    def draw(margins):
        drawn.append(margins)
        return new_figure(1, 1)

    monkeypatch.setattr(margin_widget, "margin_figure", draw)
    return drawn


class TestCurves:
    @pytest.mark.parametrize("method", METHODS)
    def test_losses_are_those_of_training(self, method):
        margins = Margins(n_classes=7, other_angle=70.0)
        curve = margin_curve(margins, method)
        for i in (0, 120, 200, 359):
            cosines = torch.full((1, 7), math.cos(math.radians(70)), dtype=torch.float64)
            cosines[0, 3] = math.cos(math.radians(ANGLES[i]))
            loss = margin_loss(cosines, torch.tensor([3]), margins.scale, **margins.of(method))
            assert curve.losses[i] == pytest.approx(loss.item(), rel=1e-9)

    @pytest.mark.parametrize("method", METHODS)
    def test_slopes_are_those_of_the_losses(self, method):
        curve = margin_curve(Margins(), method)
        step = math.radians(ANGLES[1] - ANGLES[0])
        by_hand = (curve.losses[2:] - curve.losses[:-2]) / (2 * step)
        assert curve.slopes[1:-1] == pytest.approx(by_hand, abs=0.06)  # the slope has a kink at pi

    def test_logits_by_hand(self):
        margins = Margins(cosface=0.2, arcface=0.3, sphereface=1.5, scale=4)
        theta = np.radians(ANGLES)
        assert margin_curve(margins, "CE").logits == pytest.approx(4 * np.cos(theta))
        assert margin_curve(margins, "CosFace").logits == pytest.approx(4 * (np.cos(theta) - 0.2))
        below = theta + 0.3 < PI
        assert margin_curve(margins, "ArcFace").logits[below] == pytest.approx(4 * np.cos(theta + 0.3)[below])
        below = 1.5 * theta < PI
        assert margin_curve(margins, "SphereFace").logits[below] == pytest.approx(4 * np.cos(1.5 * theta)[below])

    @pytest.mark.parametrize("method", ["ArcFace", "SphereFace"])
    def test_training_falls_everywhere_and_print_rises_past_pi(self, method):
        assert (np.diff(margin_curve(LITERATURE, method).logits) < 0).all()
        printed = margin_curve(LITERATURE, method, monotone=False)
        assert (np.diff(printed.logits) > 0).any()
        assert (printed.slopes < -1).any()  # the loss would push such an image away

    @pytest.mark.parametrize(
        ("method", "degrees"),
        [
            ("CE", 90),
            ("CosFace", math.degrees(math.acos(0.15))),
            ("ArcFace", 90 - math.degrees(0.15)),
            ("SphereFace", 90 / 1.35),
        ],
    )
    def test_boundaries_by_hand(self, method, degrees):
        assert margin_curve(Margins(), method).boundary == pytest.approx(degrees, abs=1e-3)

    def test_boundary_against_another_angle(self):
        assert margin_curve(Margins(other_angle=60), "CosFace").boundary == pytest.approx(
            math.degrees(math.acos(0.65)), abs=1e-3
        )
        assert margin_curve(Margins(other_angle=20), "CosFace").boundary is None  # cos 20° - .. > 1 - .15

    def test_crossing_is_the_first_fall(self):
        heights = np.where((ANGLES < 40) | (ANGLES > 100), 1.0, -1.0)
        assert crossing(heights, 0.0) == pytest.approx(40)
        assert crossing(heights, 2.0) is None
        assert crossing(heights, -2.0) is None

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"emphasis": "AdaFace"}, r"unknown method 'AdaFace'; choose from \['CE', 'CosFace'"),
            ({"n_classes": 1}, "1 classes leave no other class; expected at least 2"),
        ],
    )
    def test_errors_say_what_was_expected(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            Margins(**arguments)
        with pytest.raises(ValueError, match="unknown method 'AdaFace'"):
            margin_curve(Margins(), "AdaFace")


class TestFigure:
    def test_draws_the_curves_and_emphasises_one(self):
        logit, loss, slope = margin_figure(Margins(emphasis="ArcFace")).axes
        for i, method in enumerate(METHODS):
            curve = margin_curve(Margins(), method)
            for axes, values in ((logit, curve.logits), (loss, curve.losses), (slope, curve.slopes)):
                assert (axes.lines[i].get_ydata() == values).all()
        assert len({line.get_linestyle() for line in loss.lines}) == len(METHODS)
        widths = [line.get_linewidth() for line in loss.lines]
        assert widths.index(max(widths)) == METHODS.index("ArcFace")

    def test_legend_and_marks_give_the_boundaries(self):
        logit = margin_figure(Margins(other_angle=20)).axes[0]
        entries = [text.get_text() for text in logit.get_legend().get_texts()]
        assert entries == [
            "CE, no margin: 20.0°",
            "CosFace m₃ = 0.15: no boundary",
            "ArcFace m₂ = 0.15: 11.4°",
            "SphereFace m₁ = 1.35: 14.8°",
        ]
        level = 10 * math.cos(math.radians(20))
        marks = [line.get_xydata()[0] for line in logit.lines if len(line.get_xdata()) == 1]
        assert [mark[0] for mark in marks] == pytest.approx([20, 20 - math.degrees(0.15), 20 / 1.35], abs=2e-3)
        assert [mark[1] for mark in marks] == pytest.approx([level] * 3)
        assert "logit of a class at 20°" in [text.get_text() for text in logit.texts]

    def test_printed_adds_a_curve_only_where_it_differs(self):
        plain, printed = (margin_figure(Margins(printed=printed)).axes[1].lines for printed in (False, True))
        assert len(plain) == 4
        added = printed[4:]
        assert len(added) == 2  # ArcFace and SphereFace
        assert added[0].get_xdata()[0] == pytest.approx(180 - math.degrees(0.15), abs=0.5)
        assert added[1].get_xdata()[0] == pytest.approx(180 / 1.35, abs=1.0)

    def test_alt_text_says_where_the_boundaries_are(self):
        assert "CE at 90.0°, CosFace at 81.4°, ArcFace at 81.4°, SphereFace at 66.7°." in margin_figure().alt


class TestExplorer:
    def test_picture_is_that_of_the_tested_function(self):
        explorer = checked(MarginExplorer(Margins(arcface=0.4)))
        (output,) = outputs_in(explorer)
        with Image.open(BytesIO(b64decode(output.outputs[0]["data"]["image/png"]))) as image:
            pixels = np.asarray(image.convert("RGB"))
        with Image.open(BytesIO(margin_figure(Margins(arcface=0.4))._repr_png_())) as image:
            assert (pixels == np.asarray(image.convert("RGB"))).all()

    def test_starts_at_the_papers_settings(self, drawn):
        explorer = MarginExplorer()
        assert drawn == [Margins()]
        assert (explorer.margins.scale, explorer.margins.cosface) == (10, 0.15)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("cosface", 0.3),
            ("arcface", 0.5),
            ("sphereface", 2.0),
            ("scale", 30.0),
            ("n_classes", 100),
            ("other_angle", 60.0),
            ("emphasis", "CE"),
            ("printed", True),
        ],
    )
    def test_every_control_draws_once_what_it_says(self, drawn, name, value):
        explorer = checked(MarginExplorer())
        explorer.controls[name].value = value
        assert drawn[1:] == [Margins(**{name: value})]

    def test_buttons_set_margins_in_one_drawing(self, drawn):
        explorer = MarginExplorer(Margins(scale=20, other_angle=60, emphasis="CE"))
        explorer.literature.click()
        assert drawn[1:] == [Margins(0.35, 0.5, 4.0, 20, other_angle=60, emphasis="CE")]
        assert [explorer.controls[name].value for name in ("cosface", "arcface", "sphereface")] == [0.35, 0.5, 4.0]
        explorer.paper.click()
        assert drawn[2:] == [Margins(other_angle=60, emphasis="CE")]
        assert explorer.controls["scale"].value == 10

    def test_an_error_in_a_callback_is_raised(self, monkeypatch):
        explorer = checked(MarginExplorer())
        monkeypatch.setattr(margin_widget, "margin_figure", lambda _: 1 / 0)
        explorer.controls["scale"].value = 11
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            checked(explorer)

    def test_says_what_no_slider_reaches(self):
        with pytest.raises(ValueError, match=r"cosface is 2, expected 0 to 1; `margin_figure` draws any"):
            MarginExplorer(Margins(cosface=2))
