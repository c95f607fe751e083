"""ConstraintExplorer in JupyterLab: every slider and the switch of channels give the picture of the tested function."""

from browser.controls import alt, click, set_slider, step_slider, wait_for_picture
from cscelab.figures.part_lesson import constraint_figure

CELL = "from cscelab.widgets import ConstraintExplorer, checked; checked(ConstraintExplorer())"


def test_constraint_explorer(run_cell):
    notebook = run_cell(CELL)
    wait_for_picture(notebook, constraint_figure())
    assert step_slider(notebook, "apart (cells)") == "4.25"
    wait_for_picture(notebook, constraint_figure(4.25))
    set_slider(notebook, "width (cells)", 2.0)
    wait_for_picture(notebook, constraint_figure(4.25, 2.0))
    set_slider(notebook, "sharpness", 3.0)
    wait_for_picture(notebook, constraint_figure(4.25, 2.0, 3.0))
    click(notebook, "channel sum (as printed)")
    wait_for_picture(notebook, constraint_figure(4.25, 2.0, 3.0, "sum"))
    assert "logits = channel sum" in alt(notebook)
