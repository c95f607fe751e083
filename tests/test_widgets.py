"""Widgets: controls change the state and the picture, and what goes wrong in a callback does not stay silent."""

from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from ipywidgets import HBox, Output, VBox
from PIL import Image

from cscelab.centers import hash_centers
from cscelab.figures.style import new_figure
from cscelab.figures.ties import Arrangement, Trail, ties_figure
from cscelab.retrieval.sorters import pair_up
from cscelab.widgets import attempt, checked, outputs_in, redraw
from cscelab.widgets import ties as tie_widget
from cscelab.widgets.ties import SEEDS, tie_shuffler


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    codes, labels = rng.choice([-1, 1], (50, 4)), rng.integers(0, 3, 50)
    return pair_up(codes[:6], labels[:6], codes[6:], labels[6:])


@pytest.fixture
def widget(pairs):
    return checked(tie_shuffler(pairs, depths=(1, 10, 1000)))


@pytest.fixture
def drawn(monkeypatch):
    """The trails that were drawn, in order, without the cost of drawing."""
    trails = []

    def draw(pairs, trail, smoke):
        trails.append(trail)
        return new_figure(1, 1)

    monkeypatch.setattr(tie_widget, "ties_figure", draw)
    return trails


def picture(widget):
    (output,) = outputs_in(widget)
    (shown,) = output.outputs
    with Image.open(BytesIO(b64decode(shown["data"]["image/png"]))) as image:
        return np.asarray(image.convert("RGB"))


def test_the_picture_is_that_of_the_tested_function(widget, pairs):
    for _ in range(2):
        with Image.open(BytesIO(ties_figure(pairs, widget.trail)._repr_png_())) as image:
            assert (picture(widget) == np.asarray(image.convert("RGB"))).all()
        widget.shuffle.click()


def test_shuffling_steps_through_seeds_and_the_controls_follow(widget, drawn):
    before = picture(widget)
    widget.shuffle.click()
    widget.shuffle.click()
    assert widget.trail == Trail((Arrangement(), Arrangement("shuffled", 1), Arrangement("shuffled", 2)))
    assert (widget.arrangement.value, widget.seed.value) == ("shuffled", 2)
    assert len(drawn) == 2  # once a click: controls that follow do not draw again
    assert picture(checked(widget)).shape != before.shape


def test_every_control_makes_its_step(widget, drawn):
    widget.seed.value = 7
    assert widget.trail.now == Arrangement("shuffled", 7)
    assert widget.arrangement.value == "shuffled"
    widget.arrangement.value = "relevant first"
    assert widget.trail.now.name == "relevant first"
    widget.k.value = 10
    widget.denominator.value = "capped"
    assert (widget.trail.k, widget.trail.denominator) == (10, "capped")
    assert [label for label, _ in widget.k.options] == ["1", "10", "all"]
    widget.k.index = 2
    assert widget.trail.k is None
    assert len(widget.trail.arrangements) == 3
    assert len(drawn) == 5


def test_shuffling_goes_on_past_the_slider(widget, drawn):
    widget.seed.value = SEEDS
    widget.shuffle.click()
    assert widget.trail.now == Arrangement("shuffled", SEEDS + 1)
    assert widget.seed.value == SEEDS
    widget.shuffle.click()
    assert drawn[-1].now.seed == SEEDS + 2


def test_an_error_in_a_callback_is_shown_and_raised(widget, monkeypatch):
    monkeypatch.setattr(tie_widget, "ties_figure", lambda *_: 1 / 0)
    widget.shuffle.click()  # passes in silence, as in Jupyter
    assert [shown["output_type"] for output in outputs_in(widget) for shown in output.outputs] == ["error"]
    with pytest.raises(RuntimeError, match="ZeroDivisionError: division by zero; mend it") as raised:
        checked(widget)
    assert "test_widgets.py" in str(raised.value)  # where it happened
    monkeypatch.undo()
    widget.shuffle.click()
    assert checked(widget) is widget


def test_errors_that_jupyter_wrote_are_raised_at_any_depth():
    output = Output()
    deep = VBox([HBox([Output(), VBox([output])])])
    assert checked(deep) is deep
    assert len(list(outputs_in(deep))) == 2
    # What `with output:` records in a notebook when the block fails.
    jupyter = {"output_type": "error", "ename": "KeyError", "evalue": "'k'", "traceback": ["\x1b[31mTraceback\x1b[0m"]}
    output.outputs = ({"output_type": "stream", "name": "stdout", "text": "before"}, jupyter)
    with pytest.raises(RuntimeError, match="KeyError: 'k'.*\nTraceback$"):
        checked(deep)


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (lambda: hash_centers(10, 48, "published"), "display_data"),  # a sentence of ours
        (lambda: Path("no/such/file").read_bytes(), "display_data"),
        (lambda: np.zeros(2) + np.zeros(3), "error"),  # ValueErrors too, but of a bug
        (lambda: np.zeros(4).reshape(3), "error"),
        (lambda: int("seven"), "error"),
    ],
)
def test_mistakes_are_told_and_bugs_are_raised(action, kind):
    output = Output()
    assert not attempt(output, action)
    assert [part["output_type"] for part in output.outputs] == [kind]
    if kind == "error":
        with pytest.raises(RuntimeError, match="ValueError"):
            checked(output)
    else:
        assert checked(output) is output
        assert "Traceback" not in output.outputs[0]["data"]["text/plain"]


def test_redraw_replaces_what_was_there():
    output = Output()
    output.outputs = ({"output_type": "stream", "name": "stdout", "text": "old"},)
    redraw(output, lambda: new_figure(2, 1))
    with Image.open(BytesIO(b64decode(output.outputs[0]["data"]["image/png"]))) as image:
        assert image.size == (200, 100)
    assert len(output.outputs) == 1
