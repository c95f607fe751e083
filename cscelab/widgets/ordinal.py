"""One group of an ordinal code: its values and their ranking, and what noise and an offset flip of symbol and signs."""

from __future__ import annotations

from typing import Any

from ipywidgets import Button, FloatSlider, HBox, IntSlider, Output, ToggleButtons, VBox
from torch import Tensor

from cscelab.experiment import Run
from cscelab.figures.ordinal_lesson import ARITIES, ordinal_figure
from cscelab.figures.ordinal_noise import drawn_group, stored_groups
from cscelab.widgets.shown import redraw

SEEDS = 99
DRAWN = 4  # k of drawn values at first
AUTO: dict[str, Any] = {"width": "auto"}
ALIGNED: dict[str, Any] = {"style": {"description_width": "8.5em"}, "layout": {"width": "330px"}}
ROW = {"flex_flow": "row wrap"}


class OrdinalExplorer(VBox):
    """Controls above `ordinal_figure`: k and a seed for drawn values, or query and group of a run's.

    run: one whose codes are symbols, and which brings its k. k: of drawn values, 4 by default; noise, offset: in units
    of the values' spread. Raises ValueError for what no control reaches, a run of plain bits, and k beside a run.
    """

    def __init__(self, run: Run | None = None, k: int | None = None, noise: float = 0.5, offset: float = 0.0) -> None:
        if run is not None and k is not None:
            raise ValueError(f"k is {k}, but a run's groups have a size of their own; leave k out, or the run")
        k = DRAWN if k is None else k
        if k not in ARITIES:
            raise ValueError(f"k is {k}; choose from {ARITIES}, or call `ordinal_figure` on values of your own")
        self.run, self.groups = run, None if run is None else stored_groups(run)
        tooltips = ["values of a group; its symbol is the largest one's number"] * len(ARITIES)
        self.k = ToggleButtons(
            options={f"k = {arity}": arity for arity in ARITIES}, value=k, style={"button_width": "5em"},
            layout=AUTO, tooltips=tooltips,
        )  # fmt: skip
        n_queries, n_groups = (1, 1) if self.groups is None else self.groups.shape[:2]
        self.seed = IntSlider(0, 0, SEEDS, description="values (seed)", tooltip="other values, drawn", **ALIGNED)
        self.query = IntSlider(0, 0, n_queries - 1, description="query", tooltip="whose values", **ALIGNED)
        self.group = IntSlider(0, 0, n_groups - 1, description="group", tooltip="which of its symbols", **ALIGNED)
        self.noise = _slider("noise", noise, (0, 2), "noise (spreads)", "standard deviation of each value's own noise")
        self.offset = _slider("offset", offset, (-2, 2), "offset (spreads)", "one number, added to every value")
        self.again = Button(
            description="draw again", icon="refresh", button_style="primary", layout=AUTO,
            tooltip="other noise: the rings scatter around the bars",
        )  # fmt: skip
        self.draws = 0  # seed of the noise
        self.output = Output()
        for control in (self.k, self.seed, self.query, self.group, self.noise, self.offset):
            control.observe(lambda _: self._draw(), "value")
        self.again.on_click(lambda _: self._draw_again())
        source = [self.k, self.seed] if run is None else [self.query, self.group]
        moved = HBox([self.noise, self.offset, self.again], layout=ROW)
        super().__init__([HBox(source, layout=ROW), moved, self.output])
        self._draw()

    def values(self) -> Tensor:
        """The group shown (k,), without offset or noise."""
        if self.groups is None:
            return drawn_group(self.k.value, self.seed.value)
        return self.groups[self.query.value, self.group.value]

    def source(self) -> str:
        """The same in words."""
        if self.run is None:
            return f"Drawn values, seed {self.seed.value}"
        return f"{self.run.experiment.method.title}, query {self.query.value}, group {self.group.value}"

    def _draw_again(self) -> None:
        self.draws += 1
        self._draw()

    def _draw(self) -> None:
        chosen = (self.values(), self.noise.value, self.offset.value, self.draws, self.source())
        redraw(self.output, lambda: ordinal_figure(*chosen))


def _slider(name: str, value: float, ends: tuple[float, float], description: str, tooltip: str) -> FloatSlider:
    least, most = ends
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}, expected {least:g} to {most:g}; `ordinal_figure` draws any")
    return FloatSlider(
        value, min=least, max=most, step=0.05, description=description, tooltip=tooltip, readout_format=".2f", **ALIGNED
    )
