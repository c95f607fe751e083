"""Showing pictures in widgets so that nothing that goes wrong stays silent.

What goes wrong in a callback passes silently in Jupyter. Here `redraw` shows it where the picture would be, as an
output of type "error", and `checked` raises it.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import TypeVar

from ipywidgets import Box, Output, Widget
from matplotlib.figure import Figure
from pandas import DataFrame

from cscelab.figures.style import shown

W = TypeVar("W", bound=Widget)
PACKAGE = Path(__file__).resolve().parent.parent
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # a terminal's, in a traceback that Jupyter wrote


def redraw(output: Output, draw: Callable[[], Figure]) -> None:
    """Shows the Figure that `draw` returns in an Output, in place of what is there; an exception as an error output."""
    try:
        data = shown(draw())
    except Exception as error:
        fail(output, error)
        return
    # Set here rather than printed under `with output:`, whose content reaches the kernel only after the cell.
    output.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)


def attempt(output: Output, action: Callable[[], object], mark: str = "") -> bool:
    """Runs a callback's work; whether it went well. Nothing is lost where it does not: a user's mistake becomes its one
    sentence in the Output, behind the mark, anything else an error output, which `checked` raises."""
    try:
        action()
    except Exception as error:
        if is_mistake(error):
            say(output, f"{mark}{error}")
        else:
            fail(output, error)
        return False
    return True


def is_mistake(error: Exception) -> bool:
    """Whether an exception is a sentence for the person: an OSError, or a ValueError that cscelab itself raised.

    NumPy and Matplotlib report most bugs as ValueErrors too, but not by a `raise` in our own files.
    """
    if not isinstance(error, ValueError):
        return isinstance(error, OSError)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return Path(last.filename).is_relative_to(PACKAGE) and (last.line or "").startswith("raise")


def fail(output: Output, error: Exception) -> None:
    """Shows an exception in an Output as Jupyter would, so that `checked` finds it."""
    lines = traceback.format_exception(error)
    failed = {"output_type": "error", "ename": type(error).__name__, "evalue": str(error), "traceback": lines}
    output.outputs = (failed,)


def say(output: Output, sentence: str) -> None:
    """Shows one sentence in an Output, in place of what is there: what was wrong with an upload, say."""
    html = f'<p role="status" style="margin:4px 0">{escape(sentence)}</p>'
    data = {"text/html": html, "text/plain": sentence}
    output.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)


def checked(widget: W) -> W:
    """The widget itself, to end a cell with. Raises RuntimeError where an Output at any depth in it holds an error."""
    for output in outputs_in(widget):
        for part in output.outputs:
            if part.get("output_type") == "error":
                lines = COLOURS.sub("", "\n".join(part.get("traceback", ())))
                raise RuntimeError(
                    f"a widget's callback failed with {part.get('ename')}: {part.get('evalue')}; "
                    f"mend it and draw the widget again\n{lines}"
                )
    return widget


def outputs_in(widget: Widget) -> Iterator[Output]:
    """Every Output in a widget: itself, or those of a box's children, in order."""
    if isinstance(widget, Output):
        yield widget
    elif isinstance(widget, Box):
        for child in widget.children:
            yield from outputs_in(child)


def show_table(output: Output, frame: DataFrame) -> None:
    """A table in an Output, numbers to three decimals, in place of what is there."""
    shown = frame.round(3)
    data = {"text/html": shown.to_html(na_rep=""), "text/plain": shown.to_string(na_rep="")}
    output.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
