"""OrdinalExplorer in JupyterLab: k, other values, noise, an offset and new draws give the tested function's picture."""

from browser.controls import alt, click, set_slider, step_slider, wait_for_picture
from cscelab.figures.ordinal_lesson import ordinal_figure
from cscelab.figures.ordinal_noise import drawn_group

CELL = "from cscelab.widgets import OrdinalExplorer, checked; checked(OrdinalExplorer())"


def test_ordinal_explorer(run_cell):
    notebook = run_cell(CELL)
    wait_for_picture(notebook, ordinal_figure())
    assert step_slider(notebook, "noise (spreads)") == "0.55"
    wait_for_picture(notebook, ordinal_figure(noise=0.55))
    set_slider(notebook, "offset (spreads)", -1.0)
    wait_for_picture(notebook, ordinal_figure(noise=0.55, offset=-1.0))
    click(notebook, "k = 16")
    wait_for_picture(notebook, ordinal_figure(drawn_group(16), 0.55, -1.0))
    assert step_slider(notebook, "values (seed)") == "1"
    source = "Drawn values, seed 1"
    wait_for_picture(notebook, ordinal_figure(drawn_group(16, 1), 0.55, -1.0, source=source))
    click(notebook, "draw again")
    wait_for_picture(notebook, ordinal_figure(drawn_group(16, 1), 0.55, -1.0, 1, source))
    assert source in alt(notebook)
