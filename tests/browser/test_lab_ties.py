"""TieShuffler in JupyterLab: each control makes its step, and the picture is that of the tested function."""

from dataclasses import replace

import pytest

from browser.controls import choose, chosen, click, control, set_slider, step_slider, wait_for_picture
from cscelab.figures.ties import Arrangement, Trail, ties_figure
from cscelab.retrieval.sorters import collapsed_codes, pair_up

CELL = """
from cscelab.retrieval.sorters import collapsed_codes, pair_up
from cscelab.widgets import checked, tie_shuffler
checked(tie_shuffler(pair_up(**collapsed_codes()), depths=(1, 10)))
"""


@pytest.fixture(scope="module")
def pairs():
    return pair_up(**collapsed_codes())


def test_tie_shuffler(run_cell, pairs):
    notebook = run_cell(CELL)
    trail = Trail()
    wait_for_picture(notebook, ties_figure(pairs, trail))
    click(notebook, "shuffle the database")
    trail = trail.shuffled()
    wait_for_picture(notebook, ties_figure(pairs, trail))
    assert chosen(notebook, "order") == "shuffled"
    assert control(notebook, "hslider", "seed").locator(".widget-readout").inner_text() == "1"
    set_slider(notebook, "seed", 7)
    trail = trail.then(Arrangement("shuffled", 7))
    wait_for_picture(notebook, ties_figure(pairs, trail))
    choose(notebook, "order", "relevant first")
    trail = trail.then(Arrangement("relevant first", 7))
    wait_for_picture(notebook, ties_figure(pairs, trail))
    assert step_slider(notebook, "k", -1) == "10"
    choose(notebook, "divided by", "capped")
    wait_for_picture(notebook, ties_figure(pairs, replace(trail, k=10, denominator="capped")))
