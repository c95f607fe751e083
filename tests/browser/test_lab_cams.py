"""CamExplorer in JupyterLab: the map of the query, layer, extractor and code that were chosen, as opaque as asked."""

from browser.controls import choose, click, set_slider, step_slider, wait_for_alt, wait_for_picture
from cscelab.figures.explained import explained_figure

CELL = "from cscelab.widgets import CamExplorer, checked; checked(CamExplorer())"


def test_cam_explorer(run_cell, shipped):
    notebook = run_cell(CELL)
    wait_for_picture(notebook, explained_figure(shipped))
    step_slider(notebook, "query", 1)
    wait_for_picture(notebook, explained_figure(shipped, 1))
    choose(notebook, "explain", "the nearest image's code")
    wait_for_picture(notebook, explained_figure(shipped, 1, "nearest"))
    choose(notebook, "explain", "a class's center")
    choose(notebook, "of", shipped.class_names[5])
    wait_for_alt(notebook, f"the center of {shipped.class_names[5]}")
    choose(notebook, "layer", "stage3")
    choose(notebook, "extractor", "LayerCAM")
    wait_for_alt(notebook, "LayerCAM, stage3")
    set_slider(notebook, "opacity of the map", 0.2)
    wait_for_picture(notebook, explained_figure(shipped, 1, "center", 5, "stage3", "LayerCAM", 0.2))
    click(notebook, "hardest")
    row = int(shipped.average_precision.argmin())
    wait_for_picture(notebook, explained_figure(shipped, row, "center", 5, "stage3", "LayerCAM", 0.2))
