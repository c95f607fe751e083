"""The watch sees what Jupyter hides: an error that an output area swallows, one in a callback, stderr, the console."""

import pytest

from browser.controls import click

CELL = """
import sys
from ipywidgets import Button, Output, VBox
output = Output()
buttons = [Button(description=name) for name in ("swallow", "call", "say")]
@output.capture()
def swallowed(_):
    raise KeyError("in an output area")
def called(_):
    raise KeyError("in a callback")
buttons[0].on_click(swallowed)
buttons[1].on_click(called)
buttons[2].on_click(lambda _: print("on stderr", file=sys.stderr))
VBox([*buttons, output])
"""


def forget(notebook) -> None:
    """Drops what was seen, once nothing more comes: a kernel says some errors twice, the second a moment later."""
    seen = -1
    while seen != (seen := len(notebook.wrong)):
        notebook.page.wait_for_timeout(1000)
    notebook.wrong.clear()


@pytest.mark.parametrize(("button", "expected"), [
    ("swallow", "KeyError: 'in an output area'"), ("call", "KeyError: 'in a callback'"), ("say", "on stderr"),
])  # fmt: skip
def test_watch_sees_errors_of_the_kernel(button, expected, run_cell):
    notebook = run_cell(CELL)
    click(notebook, button)
    notebook.until(lambda: any(expected in said for said in notebook.wrong), "the error is seen")
    with pytest.raises(AssertionError, match=expected):
        notebook.check()
    forget(notebook)


def test_watch_sees_errors_of_the_page(run_cell):
    notebook = run_cell("1 + 1")
    notebook.page.evaluate("console.error('said by a script')")
    notebook.page.evaluate("void setTimeout(() => { throw new Error('thrown by a script') })")
    notebook.until(lambda: len(notebook.wrong) == 2, "both are seen")
    assert "said by a script" in notebook.wrong[0]
    assert "thrown by a script" in notebook.wrong[1]
    forget(notebook)


def test_a_cell_that_fails_is_raised(lab, write_cell):
    notebook = lab(write_cell("1 / 0"))
    with pytest.raises(AssertionError, match="division by zero"):
        notebook.run_all()
    forget(notebook)
