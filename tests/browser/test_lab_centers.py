"""CenterExplorer in JupyterLab: sliders and kinds give the centers, their d_min and its bound; bad sizes a sentence."""

from browser.controls import alt, choose, set_slider, step_slider, wait_for_alt, wait_for_picture
from cscelab.centers import center_report, hash_centers
from cscelab.figures.centers import center_figure

CELL = "from cscelab.widgets import CenterExplorer, checked; checked(CenterExplorer())"


def test_center_explorer(run_cell):
    notebook = run_cell(CELL)
    wait_for_picture(notebook, center_figure(hash_centers(20, 16)))
    report = center_report(hash_centers(20, 16))
    assert f"d_min {report.min_distance} of at most {report.upper_bound} bits" in alt(notebook)
    assert step_slider(notebook, "classes") == "21"
    wait_for_picture(notebook, center_figure(hash_centers(21, 16)))
    set_slider(notebook, "bits", 32)
    choose(notebook, "kind", "hadamard: the paper's rows")
    wait_for_picture(notebook, center_figure(hash_centers(21, 32, "hadamard")))
    assert "d_min 16 of" in alt(notebook)  # rows of a Hadamard matrix are half of the bits apart
    choose(notebook, "kind", "bernoulli: fair coins")
    set_slider(notebook, "seed", 3)
    wait_for_picture(notebook, center_figure(hash_centers(21, 32, "bernoulli", 3)))
    status = notebook.locator(".widget-html [role=status]").inner_text()
    assert status in alt(notebook)


def test_a_length_without_such_centers_is_a_sentence(run_cell):
    notebook = run_cell(CELL)
    choose(notebook, "kind", "hadamard: the paper's rows")
    wait_for_alt(notebook, "d_min 8 of")
    set_slider(notebook, "bits", 22)
    said = notebook.locator(".widget-output [role=status]")
    notebook.until(said.count, "a sentence stands where the picture was")
    assert "22" in said.inner_text()
    set_slider(notebook, "bits", 16)
    wait_for_alt(notebook, "d_min 8 of")
