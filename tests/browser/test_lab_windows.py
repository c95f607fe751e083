"""WindowExplorer in JupyterLab: places and windows by pointer, click and arrow keys, and what Eq. 3 subtracts there."""

from browser.controls import choose, click, press, step_slider, wait_for_picture
from cscelab.figures.aie_lesson import place_figure, window_figure
from cscelab.figures.dissection import dissect

CELL = "from cscelab.widgets import WindowExplorer, checked; checked(WindowExplorer())"


def dissected(shipped, row):
    query = shipped.query(row)
    return dissect(shipped.method, query.image, query.title)


def test_window_explorer(run_cell, shipped):
    notebook = run_cell(CELL)
    dissection = dissected(shipped, 0)
    n_rows, n_columns = dissection.grid
    frame, said = notebook.locator(".cscelab-picker-frame"), notebook.locator(".cscelab-picker-said")

    def point(row, column, do):
        box = frame.bounding_box()
        do(box["x"] + (column + 0.5) / n_columns * box["width"], box["y"] + (row + 0.5) / n_rows * box["height"])

    wait_for_picture(notebook, place_figure(dissection))
    frame.scroll_into_view_if_needed()
    point(2, 3, notebook.page.mouse.move)
    wait_for_picture(notebook, place_figure(dissection, (2, 3)))
    assert said.inner_text() == f"place: row 3 of {n_rows}, column 4 of {n_columns}"
    point(4, 5, notebook.page.mouse.click)
    wait_for_picture(notebook, place_figure(dissection, (4, 5)))
    point(7, 7, notebook.page.mouse.move)  # the click has fixed the place
    assert said.inner_text().endswith("column 6 of 14, fixed")
    press(notebook, "ArrowRight", "ArrowDown")
    wait_for_picture(notebook, place_figure(dissection, (5, 6)))
    choose(notebook, "Eq. 3", "as printed")
    wait_for_picture(notebook, place_figure(dissection, (5, 6), "none"))
    size = shipped.method.network.windows.sizes[0]
    click(notebook, f"{size}×{size} window")
    side = dissection.side - size + 1
    middle = side // 2 * side + side // 2
    wait_for_picture(notebook, window_figure(dissection, dissection.first(size) + middle, "none"))
    frame.focus()
    press(notebook, "ArrowLeft")
    wait_for_picture(notebook, window_figure(dissection, dissection.first(size) + middle - 1, "none"))
    step_slider(notebook, "query")
    wait_for_picture(notebook, window_figure(dissected(shipped, 1), dissection.first(size) + middle - 1, "none"))
