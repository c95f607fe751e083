"""CodeStepper in JupyterLab: bits, the printed sign, other problems and another row spelled out."""

from browser.controls import alt, button, choose, click, step_slider, tick, wait_for_picture
from cscelab.figures.code_lesson import code_step_figure, small_problem

CELL = "from cscelab.widgets import CodeStepper, checked; checked(CodeStepper())"


def test_code_stepper(run_cell):
    notebook = run_cell(CELL)
    wait_for_picture(notebook, code_step_figure())
    click(notebook, "next step")
    wait_for_picture(notebook, code_step_figure(bit=1))
    assert "mod-active" in (button(notebook, "bit 2").get_attribute("class") or "")
    click(notebook, "bit 3")
    wait_for_picture(notebook, code_step_figure(bit=2))
    tick(notebook, "sign of Eq. 17 as printed")
    wait_for_picture(notebook, code_step_figure(bit=2, printed=True))
    assert step_slider(notebook, "problem (seed)") == "1"
    wait_for_picture(notebook, code_step_figure(small_problem(1), 2, True))
    choose(notebook, "spell out", "v5")
    wait_for_picture(notebook, code_step_figure(small_problem(1), 2, True, 4))
    click(notebook, "next step")  # after the last bit, the first
    wait_for_picture(notebook, code_step_figure(small_problem(1), 0, True, 4))
    assert "bit 1 of v5" in alt(notebook)
