"""OrdinalExplorer: drawn values and a run's, every control draws once what it says, and mistakes are sentences."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
import torch
from fake_runs import make_run, make_splits
from PIL import Image

from cscelab.figures import ordinal_lesson
from cscelab.figures.ordinal_lesson import ordinal_figure
from cscelab.figures.ordinal_noise import drawn_group, stored_groups
from cscelab.figures.style import new_figure
from cscelab.methods.csq import CSQConfig
from cscelab.methods.doh import DOHConfig
from cscelab.widgets import OrdinalExplorer, checked, outputs_in
from cscelab.widgets import ordinal as ordinal_widget


@pytest.fixture
def drawn(monkeypatch):
    """What was drawn, in order, without the cost of drawing: (values as a list, noise, offset, seed, source)."""
    drawn = []

    def draw(values, *others):
        drawn.append((values.tolist(), *others))
        return new_figure(1, 1)

    monkeypatch.setattr(ordinal_widget, "ordinal_figure", draw)
    return drawn


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path, make_splits(), method=DOHConfig(arity=8), bits=12)


def pixels(png):
    with Image.open(BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def test_picture_is_that_of_the_tested_function():
    (output,) = outputs_in(checked(OrdinalExplorer()))
    assert (pixels(b64decode(output.outputs[0]["data"]["image/png"])) == pixels(ordinal_figure()._repr_png_())).all()


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("k", 16, (16, 0, 0.5, 0.0)),
        ("seed", 7, (4, 7, 0.5, 0.0)),
        ("noise", 1.25, (4, 0, 1.25, 0.0)),
        ("offset", -1.5, (4, 0, 0.5, -1.5)),
    ],
)
def test_every_control_draws_once_what_it_says(drawn, name, value, wanted):
    explorer = OrdinalExplorer()
    getattr(explorer, name).value = value
    k, seed, noise, offset = wanted
    assert drawn[1:] == [(drawn_group(k, seed).tolist(), noise, offset, 0, f"Drawn values, seed {seed}")]


def test_drawing_again_changes_the_noise_alone(drawn):
    explorer = OrdinalExplorer(k=2)
    explorer.again.click()
    explorer.again.click()
    assert [call[3] for call in drawn] == [0, 1, 2]
    assert drawn[0][:3] == drawn[2][:3] == (drawn_group(2).tolist(), 0.5, 0.0)


def test_groups_of_a_run(drawn, run):
    explorer = OrdinalExplorer(run)
    assert (explorer.query.max, explorer.group.max) == (11, 3)
    assert explorer.k not in explorer.children[0].children  # its k stands
    explorer.query.value = 5
    explorer.group.value = 2
    groups = stored_groups(run)
    assert [call[0] for call in drawn] == [groups[0, 0].tolist(), groups[5, 0].tolist(), groups[5, 2].tolist()]
    assert drawn[-1][-1] == "DOH, query 5, group 2"
    assert torch.equal(explorer.values(), groups[5, 2])


@pytest.mark.parametrize("end", ["min", "max"])
def test_every_end_of_every_slider_can_be_drawn(end):
    reach = OrdinalExplorer()
    ends = {name: getattr(getattr(reach, name), end) for name in ("noise", "offset")}
    explorer = OrdinalExplorer(k=16, **ends)
    explorer.seed.value = getattr(explorer.seed, end)
    assert "error" not in [part["output_type"] for part in checked(explorer).output.outputs]


def test_an_error_in_a_callback_is_raised(monkeypatch):
    explorer = checked(OrdinalExplorer())
    monkeypatch.setattr(ordinal_lesson, "exact_flips", lambda *_: 1 / 0)
    explorer.noise.value = 1
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        checked(explorer)


def test_says_what_no_control_reaches(tmp_path, run):
    with pytest.raises(ValueError, match=r"k is 3; choose from \(2, 4, 8, 16\), or call `ordinal_figure` on values"):
        OrdinalExplorer(k=3)
    with pytest.raises(
        ValueError, match="k is 8, but a run's groups have a size of their own; leave k out, or the run"
    ):
        OrdinalExplorer(run, k=8)
    with pytest.raises(ValueError, match="noise is 3, expected 0 to 2; `ordinal_figure` draws any"):
        OrdinalExplorer(noise=3)
    with pytest.raises(ValueError, match="offset is -9, expected -2 to 2"):
        OrdinalExplorer(offset=-9)
    with pytest.raises(ValueError, match="are plain bits, which have no groups"):
        OrdinalExplorer(make_run(tmp_path, make_splits(), method=CSQConfig()))
