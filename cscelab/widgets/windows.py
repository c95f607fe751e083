"""Point at a place or a window and see what AIE subtracts there, and what stays (Eq. 3)."""

from __future__ import annotations

from collections.abc import Callable

from ipywidgets import Dropdown, HBox, Label, Output, ToggleButtons, VBox
from matplotlib.figure import Figure

from cscelab.collection import Collection, shipped_collection
from cscelab.figures.aie_lesson import place_figure, window_figure
from cscelab.figures.dissection import NORMALIZE, Dissection, check_aie, dissect
from cscelab.methods.base import HashMethod
from cscelab.widgets.boxes import BoxPicker
from cscelab.widgets.picker import QueryPicker
from cscelab.widgets.shown import attempt, redraw, say

PLACE = "place"
WIDE = {"description_width": "initial"}


class WindowExplorer(VBox):
    """A query with the places of stage 3, or the windows of stage 4, to point at; beside it `place_figure` or
    `window_figure` of what is chosen.

    collection: whose queries, and whose network unless `method` gives another; the shipped one by default. A network
    that subtracts nothing, as a baseline, is answered with a sentence. One forward pass an image.
    """

    def __init__(
        self, collection: Collection | None = None, method: HashMethod | None = None, row: int = 0, seed: int = 0
    ) -> None:
        self.collection = shipped_collection() if collection is None else collection
        self.method = self.collection.method if method is None else method
        self.dissection: Dissection | None = None
        self.output = Output(layout={"flex": "1 1 560px", "max_width": "900px"})
        try:
            sizes = check_aie(self.method)[1].sizes
        except ValueError as error:
            super().__init__([self.output])
            say(self.output, str(error))
            return
        labels, names = self.collection.splits.query.labels, self.collection.class_names
        self.query = QueryPicker(labels, names, row, lambda: self.collection.average_precision, seed)
        self.choice = ToggleButtons(
            options=[(PLACE, 0), *((f"{size}×{size} window", size) for size in sizes)],
            style={"button_width": "auto"},
            tooltips=["a place of stage 3", *("a window of stage 4" for _ in sizes)],
            layout={"width": "auto"},
        )
        self.normalize = Dropdown(
            options=list(NORMALIZE.items()),
            value=self.method.network.aie.normalize,
            description="Eq. 3",
            style=WIDE,
            layout={"width": "340px"},
            tooltip="The paper prints no division; the released code divides by ‖f_g‖², that of all windows.",
        )
        self.picker = BoxPicker()
        self._laying = False
        self.query.observe(lambda _: self._take(), "row")
        self.choice.observe(lambda _: self._lay(), "value")
        self.normalize.observe(lambda _: self._draw(), "value")
        self.picker.observe(lambda _: self._draw(), "index")
        wrap = {"flex_flow": "row wrap", "grid_gap": "4px 16px"}
        pointed = HBox([Label("point at a", layout={"margin": "2px 4px 2px 2px"}), self.choice])
        controls = VBox([self.query, HBox([pointed, self.normalize], layout={**wrap, "align_items": "center"})])
        main = HBox([self.picker, self.output], layout={**wrap, "margin": "8px 0 0"})
        super().__init__([controls, main])
        self._take()

    def figure(self) -> Figure:
        """The picture of what is chosen now."""
        assert self.dissection is not None
        if not self.choice.value:
            return place_figure(self.dissection, self.picker.place, self.normalize.value)
        window = self.dissection.first(self.choice.value) + self.picker.index
        return window_figure(self.dissection, window, self.normalize.value)

    def _take(self) -> None:
        """One forward pass of the chosen query."""

        def look() -> None:
            query = self.collection.query(self.query.row)
            first = self.dissection is None
            self.dissection = dissect(self.method, query.image, query.title, self.collection.smoke)
            self.picker.show(query.image)
            if first:
                row, column = self.dissection.busiest()
                self._quietly(lambda: self._grid(row * self.dissection.grid[1] + column))  # type: ignore[union-attr]

        if attempt(self.output, look):
            self._draw()

    def _lay(self) -> None:
        """The grid of places, or of windows of one size."""
        if attempt(self.output, lambda: self._quietly(self._grid)):
            self._draw()

    def _grid(self, index: int | None = None) -> None:
        assert self.dissection is not None
        size, side = self.choice.value, self.dissection.side
        rows, columns = (side - size + 1,) * 2 if size else self.dissection.grid
        middle = (rows // 2) * columns + columns // 2
        label = f"{size}×{size} window" if size else PLACE
        n_cells = side if size else columns
        self.picker.lay(rows, columns, 1 / n_cells, max(size, 1) / n_cells, label, middle if index is None else index)

    def _quietly(self, change: Callable[[], None]) -> None:
        """Changes the picker without drawing: one change of a control is one picture."""
        self._laying = True
        try:
            change()
        finally:
            self._laying = False

    def _draw(self) -> None:
        if self._laying or self.dissection is None:
            return
        redraw(self.output, self.figure)
        self.picker.answered += 1  # the page may send the next box
