"""MethodComparer in JupyterLab: without runs, the shipped encoder in every view; queries step; the command is named."""

import numpy as np

from browser.controls import click, step_slider, wait_for_alt, wait_for_picture
from cscelab.figures.side_by_side import Coded, curves_figure
from cscelab.figures.side_codes import codes_figure
from cscelab.figures.side_gallery import gallery_figure
from cscelab.shelf import SHIPPED, Shelf

CELL = "from cscelab.widgets import MethodComparer, checked; checked(MethodComparer())"


def test_method_comparer(run_cell, shipped, data):
    shelf = Shelf(data)
    name = shelf.data_sets()[0]
    (title,) = shelf.methods(name)
    assert title.startswith(SHIPPED)
    coded = [Coded(shelf.collection(name, title, shipped.bits))]
    notebook = run_cell(CELL)
    wait_for_picture(notebook, curves_figure(coded))
    notebook.until(lambda: notebook.page.get_by_text("cscelab figures table1").count() > 0, "the command is named")
    click(notebook, "gallery")
    wait_for_picture(notebook, gallery_figure(coded))
    step_slider(notebook, "query", 2)
    wait_for_picture(notebook, gallery_figure(coded, 2))
    click(notebook, "hardest")
    wait_for_picture(notebook, gallery_figure(coded, int(np.argsort(shipped.average_precision, kind="stable")[0])))
    click(notebook, "codes")
    wait_for_picture(notebook, codes_figure(coded))
    wait_for_alt(notebook, "different codes")
    click(notebook, "table")
    notebook.until(lambda: notebook.page.locator("th", has_text="mAP@all").count() == 1, "the table is shown")
    notebook.check()
