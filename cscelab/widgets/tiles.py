"""The pictures of the QueryBrowser: tiles that are pointed at, clicked and walked by keyboard, drawn by tiles.js."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).parent


class Tiles(anywidget.AnyWidget):
    """view: what to draw, from `browser_view.view`; status: the line above it, announced to those who listen.

    chosen: (row of results, place in it) of the pair compared, set from either side. Messages from the browser:
    {"kind": "search", "row": of the database} and {"kind": "too large", "name", "size"} of a file that was not sent.
    tooltips: label of a control beside the tiles -> what it says when it is pointed at.
    upload: model id of a FileUpload whose files over `largest` bytes are to be stopped before they are sent.
    """

    _esm = HERE / "tiles.js"
    _css = HERE / "tiles.css"
    view = traitlets.Dict().tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)
    chosen = traitlets.List(traitlets.Int(), [0, 0], minlen=2, maxlen=2).tag(sync=True)
    tooltips = traitlets.Dict().tag(sync=True)
    upload = traitlets.Unicode().tag(sync=True)
    largest = traitlets.Int(0).tag(sync=True)

    def deliver(self, name: str, kind: str, content: bytes) -> None:
        """Hands a file to the person's browser, which saves it among its downloads; kind: its MIME type."""
        self.send({"kind": "file", "name": name, "type": kind}, [content])
