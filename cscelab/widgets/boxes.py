"""A picture on which one box of a grid is chosen: by pointing, clicking, touching, or with the arrow keys."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from PIL import Image

HERE = Path(__file__).parent


class BoxPicker(anywidget.AnyWidget):
    """Boxes of one size, `rows` x `columns` of them, `step` apart; step and size in shares of the picture's side.

    index: the chosen box, in reading order; it follows the pointer until a click fixes it (Escape or another click
    lets go). The page sends one box at a time: the next when `answered` says that the last one was drawn, or after a
    second, and always the newest. label: what is chosen, in words; picture: PNG bytes.
    """

    _esm = HERE / "boxes.js"
    _css = HERE / "boxes.css"

    picture = traitlets.Bytes().tag(sync=True)
    rows = traitlets.Int(1, min=1).tag(sync=True)
    columns = traitlets.Int(1, min=1).tag(sync=True)
    step = traitlets.Float(1.0).tag(sync=True)
    size = traitlets.Float(1.0).tag(sync=True)
    label = traitlets.Unicode("box").tag(sync=True)
    index = traitlets.Int(0, min=0).tag(sync=True)
    answered = traitlets.Int(0).tag(sync=True)

    @property
    def place(self) -> tuple[int, int]:
        """(row, column) of the chosen box, from 0."""
        return divmod(self.index, self.columns)

    def show(self, image: np.ndarray) -> None:
        """Shows an image, uint8 (H, W, 3)."""
        buffer = BytesIO()
        Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="PNG")
        self.picture = buffer.getvalue()

    def lay(self, rows: int, columns: int, step: float, size: float, label: str, index: int) -> None:
        """Another grid of boxes, with one of them chosen. Raises ValueError for a box that is not there."""
        if not 0 <= index < rows * columns:
            raise ValueError(f"box {index} was asked for; there are boxes 0 to {rows * columns - 1}")
        with self.hold_trait_notifications():
            self.rows, self.columns, self.step, self.size = rows, columns, step, size
            self.label, self.index = label, index
