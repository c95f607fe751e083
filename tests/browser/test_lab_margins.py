"""MarginExplorer in JupyterLab: every slider moves its curve, buttons set several, controls follow."""

from dataclasses import replace

from browser.controls import alt, choose, click, control, set_slider, step_slider, tick, wait_for_picture
from cscelab.figures.margins import LITERATURE, Margins, margin_figure

CELL = "from cscelab.widgets import MarginExplorer, checked; checked(MarginExplorer())"


def test_margin_explorer(run_cell):
    notebook = run_cell(CELL)
    state = Margins()
    wait_for_picture(notebook, margin_figure(state))
    assert step_slider(notebook, "CosFace m₃") == "0.16"
    state = replace(state, cosface=0.16)
    wait_for_picture(notebook, margin_figure(state))
    for label, name, value in (("ArcFace m₂ (rad)", "arcface", 0.5), ("SphereFace m₁", "sphereface", 2.0),
                               ("scale S", "scale", 30.0), ("classes C", "n_classes", 100),
                               ("others' angle (°)", "other_angle", 80.0)):  # fmt: skip
        set_slider(notebook, label, value)
        state = replace(state, **{name: value})
        wait_for_picture(notebook, margin_figure(state))
    assert "at scale 30" in alt(notebook)
    choose(notebook, "emphasise", "ArcFace")
    tick(notebook, "also as printed")
    state = replace(state, emphasis="ArcFace", printed=True)
    wait_for_picture(notebook, margin_figure(state))
    click(notebook, "margins of their own papers")
    wait_for_picture(notebook, margin_figure(state.with_margins_of(LITERATURE)))
    assert control(notebook, "hslider", "CosFace m₃").locator(".widget-readout").inner_text() == "0.35"
