"""WindowExplorer: what Eq. 3 takes from a place and what one window takes: by hand, in pictures, in the widget."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cscelab.collection import Collection
from cscelab.datasets.aviary import Aviary
from cscelab.datasets.base import ImageSet, Splits
from cscelab.datasets.loader import as_tensor
from cscelab.experiment import Experiment
from cscelab.figures.aie_lesson import number, place_figure, span, window_figure
from cscelab.figures.anatomy import attention_figure, fields_figure, taps_inside
from cscelab.figures.dissection import Dissection, dissect
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.methods.csce import CSCEConfig
from cscelab.model.aie import aie, repeated_context
from cscelab.model.backbone import BackboneConfig
from cscelab.widgets import WindowExplorer, checked, outputs_in
from cscelab.widgets import windows as module
from cscelab.widgets.boxes import BoxPicker

SIDE = 96  # stage 3 is 12 x 12, stage 4 is 6 x 6


def method(structure="aie", **settings):
    torch.manual_seed(0)
    config = CSCEConfig(BackboneConfig("tiny", "none"), SIDE, structure=structure, **settings)
    return config.build(3, 16).eval()


@pytest.fixture(scope="module")
def shown():
    """A collection of random images whose network is not trained."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.array([0, 1, 2, 0, 1, 2])
    part = ImageSet(images, labels, np.arange(6))
    codes = rng.choice(np.array([-1, 1], np.int8), (6, 16))
    stored = {f"{s}_{k}": v for s in ("query", "database") for k, v in
              {"codes": codes, "values": codes * 0.5, "labels": labels, "ids": np.arange(6)}.items()}  # fmt: skip
    experiment = Experiment(name="test", method=method().config, bits=16, data=Aviary(n_classes=3))
    splits = Splits(part, part, part, part, ("a", "b", "c"))
    collection = Collection("tiny", experiment, splits, stored, None)
    collection.__dict__["method"] = method(aie_normalize="frobenius")
    return collection


@pytest.fixture(scope="module")
def dissection(shown):
    return dissect(shown.method, shown.splits.query.images[0])


@pytest.fixture
def widget(shown):
    return checked(WindowExplorer(shown))


@pytest.fixture
def drawn(widget, monkeypatch):
    """What was drawn, in order: ("place" | "window", which, normalize)."""
    calls = []

    def watch(name, draw):
        def note(dissection, which, normalize):
            calls.append((name, which, normalize))
            return draw(dissection, which, normalize)

        return note

    monkeypatch.setattr(module, "place_figure", watch("place", place_figure))
    monkeypatch.setattr(module, "window_figure", watch("window", window_figure))
    return calls


def texts(figure):
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    return "\n".join([text.get_text() for axes in figure.axes for text in axes.texts] + titles)


@pytest.mark.parametrize("normalize", ["none", "frobenius"])
def test_a_dissection_is_eq_3(shown, dissection, normalize):
    network = shown.method.network
    with torch.no_grad():
        stages = network.backbone(as_tensor(shown.splits.query.images[:1]))
        local, windows = network.local(stages.stage3).features, network.windows(stages.stage4)
    expected = repeated_context(local, windows, normalize)[0].numpy()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(dissection.subtracted(normalize), expected, atol=1e-5 * scale)
    np.testing.assert_allclose(dissection.left(normalize), aie(local, windows, normalize)[0].numpy(), atol=1e-5 * scale)
    assert dissection.normalize == "frobenius"
    assert (dissection.grid, dissection.side, dissection.counts) == ((12, 12), 6, (25, 9))


def test_shares_add_up_and_are_of_all_that_is_subtracted(dissection):
    assert dissection.shares.sum() == pytest.approx(1)
    alone = np.einsum("c,hw->chw", dissection.windows[:, 3], dissection.overlap[3])
    total = dissection.subtracted("none")
    assert dissection.shares[3] == pytest.approx((alone * total).sum() / (total**2).sum())


def hand_made():
    """One channel, 2 x 2 places, 3 x 3 cells: four windows of 2 x 2 and one of 3 x 3, the same at every place."""
    windows = np.array([[1.0, 2.0, 3.0, 4.0, -5.0]])
    local = np.array([[[1.0, 0.0], [0.0, 2.0]]])
    image = np.zeros((6, 6, 3), np.uint8)
    return Dissection(image, local, np.ones((2, 2)), windows, (2, 3), (4, 1), 3, "none")


def test_weights_are_drawn_back_onto_the_cells_that_windows_cover():
    small = hand_made()
    expected = [[1, 1.5, 2], [2, 2.5, 3], [3, 3.5, 4]]  # the mean of the windows over each cell
    np.testing.assert_allclose(small.drawn_back((0, 0), 2, "none"), expected)
    np.testing.assert_allclose(small.drawn_back((1, 1), 2, "none"), np.multiply(expected, 2))
    np.testing.assert_allclose(small.drawn_back((0, 0), 3, "frobenius"), np.full((3, 3), -5 / 55))
    assert small.subtracted("none")[0, 0, 0] == 1 + 4 + 9 + 16 + 25
    assert small.left("frobenius").max() == 0  # one channel: all of it is explained
    assert [small.box(window) for window in (0, 3, 4)] == [(2, 0, 0), (2, 1, 1), (3, 0, 0)]
    assert small.first(3) == 4


@pytest.mark.parametrize(("do", "words"), [
    (lambda d: d.box(5), "window 5 was asked for; there are windows 0 to 4"),
    (lambda d: place_figure(d, (2, 0)), r"place \(2, 0\) was asked for; rows go to 1"),
    (lambda d: place_figure(d, (0, 0), "l2"), "unknown normalize 'l2'; choose 'none' or 'frobenius'"),
    (lambda d: window_figure(d, -1), "window -1 was asked for"),
])  # fmt: skip
def test_errors_are_sentences(do, words):
    with pytest.raises(ValueError, match=words):
        do(hand_made())


def test_what_cannot_be_dissected_says_why(shown):
    image = shown.splits.query.images[0]
    for structure in ("baseline", "sw2+sw4", "local"):
        with pytest.raises(ValueError, match="takes no windows from local features; give a"):
            dissect(method(structure), image)
    with pytest.raises(ValueError, match=r"shape \(8, 8, 3\) was given; CSCE-Net takes \(96, 96, 3\)"):
        dissect(shown.method, image[:8, :8])


def test_a_dissection_leaves_the_mode_as_it_was_and_reads_the_released_branch(shown):
    released = method(variant="released").train()
    assert dissect(released, shown.splits.query.images[0]).normalize == "frobenius"
    assert released.training


def test_the_place_picture_says_the_three_lengths(dissection):
    figure = place_figure(dissection, (4, 7), "none")
    words = texts(figure)
    assert "Row 5, column 8 of 12×12 places; Eq. 3 as printed" in words
    lengths = [np.linalg.norm(v[:, 4, 7]) for v in (dissection.local, dissection.subtracted("none"))]
    assert f"a feature of length {number(lengths[0])}, {number(lengths[1])} subtracted" in figure.alt
    assert "weights of 2×2 windows" in words
    assert "weights of 4×4 windows" in words
    ticks = [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]
    assert f"local\n{number(lengths[0])}" in ticks
    most = np.abs(dissection.subtracted("none")[:, 4, 7]).argmax()
    assert str(most) in ticks


def test_the_scale_of_lengths_stands_still(dissection):
    limits = {
        place_figure(dissection, p, n).axes[1].get_xlim() for p in ((0, 0), (6, 6)) for n in ("none", "frobenius")
    }
    assert len(limits) == 1
    ((low, high),) = limits
    longest = np.linalg.norm(dissection.subtracted("none"), axis=0).max()
    assert low < np.linalg.norm(dissection.local, axis=0).max() < longest <= high


def test_the_window_picture_says_which_window_and_its_share(dissection):
    figure = window_figure(dissection, 25 + 4)
    assert "Window 5 of 9, 4×4; Eq. 3 divided by the windows' squared norm" in texts(figure)
    assert f"{dissection.shares[29]:.1%} of all that is subtracted" in texts(figure)
    assert SMOKE_MARK not in "".join(text.get_text() for text in figure.texts)
    figure = window_figure(replace(dissection, smoke=True), 0)
    assert SMOKE_MARK in "".join(text.get_text() for text in figure.texts)


@pytest.mark.parametrize(("value", "words"), [(26899.4, "26,899"), (1.152, "1.15"), (-0.00194, "−0.00194"), (0, "0"),
                                          (2.8e-5, "2.8 × 10⁻⁵"), (99.96, "100")])  # fmt: skip
def test_numbers_have_three_figures(value, words):
    assert number(value) == words


@pytest.mark.parametrize(("low", "high", "words"), [
    (-0.00194, 6.6e-5, "−0.00194 to 0.00007"), (6.6e-5, 9.02e-4, "0.000066 to 0.000902"), (0, 0, "0.00 to 0.00"),
    (1.009, 10.83, "1.0 to 10.8"), (12.3, 26899.4, "12 to 26,899"), (1e-6, 2.85e-5, "0.10 × 10⁻⁵ to 2.85 × 10⁻⁵"),
])  # fmt: skip
def test_both_ends_of_a_range_have_the_same_decimals(low, high, words):
    assert span(low, high) == words
    assert span(low, high, " (dark)") == words.replace(" to", " (dark) to")


def test_the_channels_bars_have_a_legend(dissection):
    *_, channels = place_figure(dissection).axes
    assert [text.get_text() for text in channels.get_legend().get_texts()] == ["local", "subtracted", "left"]


def test_taps_are_cells_of_their_own_map():
    figure = fields_figure((3, 18), 14)
    near, far = (np.asarray(image.get_array()) for image in figure.axes[0].images)
    assert (near.shape[0], far.shape[0]) == (14, 37)  # each to its own scale
    black = lambda grid: np.argwhere((grid == 0).all(axis=2)).tolist()  # noqa: E731
    assert black(near) == [[row, column] for row in (4, 7, 10) for column in (4, 7, 10)]
    assert black(far) == [[18, 18]]


def test_the_widget_starts_at_the_largest_attention(widget, dissection):
    assert widget.picker.place == dissection.busiest()
    assert (widget.picker.rows, widget.picker.columns, widget.picker.label) == (12, 12, "place")
    assert widget.normalize.value == "frobenius"
    assert widget.picker.picture.startswith(b"\x89PNG")
    assert widget.picker.answered == 1


def test_pointing_draws_once_and_answers(widget, drawn):
    answered = widget.picker.answered
    widget.picker.index = 12 * 3 + 5
    widget.picker.index = 12 * 3 + 6
    assert drawn == [("place", (3, 5), "frobenius"), ("place", (3, 6), "frobenius")]
    assert widget.picker.answered == answered + 2


def test_windows_lie_on_stage_4(widget, drawn):
    widget.choice.value = 4
    assert (widget.picker.rows, widget.picker.columns) == (3, 3)
    assert (widget.picker.step, widget.picker.size) == pytest.approx((1 / 6, 4 / 6))
    widget.picker.index = 8
    widget.choice.value = 2
    widget.choice.value = 0
    assert [call[:2] for call in drawn] == [("window", 29), ("window", 33), ("window", 12), ("place", (6, 6))]
    checked(widget)


def test_normalize_and_query_draw_once_each(widget, drawn, shown):
    widget.normalize.value = "none"
    place = widget.picker.place
    widget.query.index.value = 3
    assert drawn == [("place", place, "none")] * 2
    assert widget.dissection.title == "query image 3: a"
    assert (widget.dissection.image == shown.splits.query.images[3]).all()


def test_hovering_needs_no_forward_pass(widget, monkeypatch):
    monkeypatch.setattr(module, "dissect", lambda *_: 1 / 0)
    widget.picker.index += 1
    widget.choice.value = 2
    checked(widget)
    widget.query.index.value = 2
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        checked(widget)


def test_a_baseline_gets_one_sentence(shown):
    widget = checked(WindowExplorer(shown, method("baseline")))
    (output,) = outputs_in(widget)
    assert output.outputs[0]["data"]["text/plain"] == (
        "structure 'baseline' of CSCE-Net takes no windows from local features; give a method with structure 'aie'"
    )


def test_another_method_with_aie_is_looked_into(shown):
    other = method(aie_normalize="none")
    widget = checked(WindowExplorer(shown, other, row=2))
    assert widget.normalize.value == "none"
    np.testing.assert_allclose(widget.dissection.local, dissect(other, shown.splits.query.images[2]).local)


def test_boxes_are_laid_all_at_once():
    picker, seen = BoxPicker(), []
    picker.observe(lambda _: seen.append((picker.rows, picker.columns, picker.place)), "index")
    picker.lay(3, 4, 0.25, 0.5, "window", 7)
    assert seen == [(3, 4, (1, 3))]
    with pytest.raises(ValueError, match="box 12 was asked for; there are boxes 0 to 11"):
        picker.lay(3, 4, 0.25, 0.5, "window", 12)


def test_taps_on_the_map_are_those_a_convolution_sees():
    for rate, side in ((1, 5), (2, 5), (4, 5), (5, 5), (3, 14)):
        ones, kernel = torch.ones(1, 1, side, side), torch.ones(1, 1, 3, 3)
        seen = torch.nn.functional.conv2d(ones, kernel, padding=rate, dilation=rate)[0, 0]
        assert (taps_inside(rate, side) == seen.numpy()).all()
    with pytest.raises(ValueError, match="rate 0 on a map of side 5 was asked for; both are at least 1"):
        taps_inside(0, 5)


def test_fields_and_attention_say_their_numbers(dissection):
    words = texts(fields_figure((3, 18), 14))
    assert "rate 3: 7×7 places" in words
    assert "1 of 9 taps on the map here,\n1.0 on average" in words
    weights = dissection.attention
    assert f"attention: {weights.min():.2f} (dark) to {weights.max():.2f}" in texts(attention_figure(dissection))
