"""Widgets, one a file: controls whose callbacks call a tested function of `cscelab.figures` and show its picture.

What goes wrong in a callback passes silently in Jupyter. Here `redraw` shows it where the picture would be, as an
output of type "error", and `checked` raises it.
"""

from __future__ import annotations

import re
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import TypeVar

from ipywidgets import Box, Output, Widget
from matplotlib.figure import Figure

from cscelab.figures.style import styled

W = TypeVar("W", bound=Widget)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # a terminal's, in a traceback that Jupyter wrote


def redraw(output: Output, draw: Callable[[], Figure]) -> None:
    """Shows the Figure that `draw` returns in an Output, in place of what is there; an exception as an error output."""
    try:
        buffer = BytesIO()
        with styled():
            figure = draw()
            figure.savefig(buffer, format="png", dpi=figure.dpi)
    except Exception as error:
        lines = traceback.format_exc().splitlines()
        shown = {"output_type": "error", "ename": type(error).__name__, "evalue": str(error), "traceback": lines}
        output.outputs = (shown,)
        return
    data = {"image/png": b64encode(buffer.getvalue()).decode("ascii"), "text/plain": repr(figure)}
    # Set here rather than printed under `with output:`, whose content reaches the kernel only after the cell.
    output.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)


def checked(widget: W) -> W:
    """The widget itself, to end a cell with. Raises RuntimeError where an Output at any depth in it holds an error."""
    for output in outputs_in(widget):
        for shown in output.outputs:
            if shown.get("output_type") == "error":
                lines = COLOURS.sub("", "\n".join(shown.get("traceback", ())))
                raise RuntimeError(
                    f"a widget's callback failed with {shown.get('ename')}: {shown.get('evalue')}; "
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
