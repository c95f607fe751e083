"""ThresholdExplorer: move a threshold over an image's continuous code, and see which bits flip and what it costs."""

from __future__ import annotations

import numpy as np
import torch
from ipywidgets import Checkbox, HBox, Output, SelectionSlider, ToggleButtons, VBox
from matplotlib.figure import Figure

from cscelab.collection import Collection, shipped_collection
from cscelab.dsf import sign
from cscelab.figures.threshold_trials import PAPER, Population, population, threshold_steps
from cscelab.figures.thresholds import threshold_figure, threshold_population_figure
from cscelab.widgets.picker import QueryPicker
from cscelab.widgets.shown import redraw

START = 0.1  # wide enough to flip bits of most images
SPACED = {"flex_flow": "row wrap", "grid_gap": "0 20px"}
IMAGE, DATABASE = "one image", "the whole database"


class ThresholdExplorer(VBox):
    """A slider for t over one query's code (`threshold_figure`) or over a database (`threshold_population_figure`).

    collection: the shipped encoder's by default; `collection_of(run)` for a run. threshold: the nearest step to begin
    with; row: of the query to begin with, the first whose code changes there by default.
    """

    def __init__(self, collection: Collection | None = None, threshold: float = START, row: int | None = None) -> None:
        self.collection = collection or shipped_collection()
        codes = self.collection.codes
        self.steps = threshold_steps(codes["database_values"])
        start = min(self.steps, key=lambda step: abs(step - threshold))
        wide = {"description_width": "initial"}
        self.t = SelectionSlider(
            options=[(f"{step:g}", step) for step in self.steps], value=start, description="threshold t", style=wide,
            layout={"width": "340px"}, tooltip="the paper's cap is .005, the released code's .01",
        )  # fmt: skip
        self.own = Checkbox(
            description="each image its own learned t", indent=False, layout={"width": "auto"},
            disabled="query_thresholds" not in codes, tooltip="t as the network gives it; for methods that have one",
        )  # fmt: skip
        self.view = ToggleButtons(
            options=[IMAGE, DATABASE],
            tooltips=["bits of one query", "all thresholds at once"],
            style={"button_width": "auto"},
        )
        self.by_value = Checkbox(description="sort bits by value", indent=False, layout={"width": "auto"})
        self.zoom = Checkbox(description="zoom in on the band", indent=False, layout={"width": "auto"})
        first = first_changed(codes["query_values"], start) if row is None else row
        self.picker = QueryPicker(codes["query_labels"], self.collection.class_names, first)
        self.output = Output()
        self._population: Population | None = None
        self._of_image = VBox([self.picker, HBox([self.by_value, self.zoom], layout=SPACED)])
        for control in (self.t, self.by_value, self.zoom):
            control.observe(lambda _: self.draw(), "value")
        self.picker.observe(lambda _: self.draw(), "row")
        self.own.observe(lambda change: self._toggled(change["new"]), "value")
        self.view.observe(lambda change: self._viewed(change["new"]), "value")
        super().__init__([self.view, HBox([self.t, self.own], layout=SPACED), self._of_image, self.output])
        self.draw()

    @property
    def population(self) -> Population:
        """What every threshold does to the database, measured when first looked at."""
        if self._population is None:
            shown = self.collection
            self._population = population(shown.codes, self.steps, shown.title, shown.smoke)
        return self._population

    def draw(self) -> None:
        """Shows the picture of the present state."""
        redraw(self.output, self.figure)

    def figure(self) -> Figure:
        """The picture of the present state, by a plain call of the tested function."""
        own = self.own.value
        if self.view.value == DATABASE:
            return threshold_population_figure(self.population, None if own else self.t.value)
        query = self.collection.query(self.picker.row)
        threshold = float(self.collection.codes["query_thresholds"][query.row]) if own else self.t.value
        return threshold_figure(
            self.collection.code_of(query)[1], threshold, query.image, query.title,
            self.by_value.value, self.zoom.value, own, self.collection.smoke,
        )  # fmt: skip

    def _toggled(self, own: bool) -> None:
        self.t.disabled = own
        self.draw()

    def _viewed(self, view: str) -> None:
        self._of_image.layout.display = "none" if view == DATABASE else None
        self.draw()


def first_changed(values: np.ndarray, threshold: float) -> int:
    """The first row of values (N, K) whose code the paper's rule changes at a threshold; 0 where it changes none."""
    tensor = torch.from_numpy(np.asarray(values, np.float32))
    return int((PAPER.codes(tensor, threshold) != sign(tensor)).any(dim=1).int().argmax())
