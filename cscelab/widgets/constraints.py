"""Two attention maps slid apart: how far, how wide, how sharp, and what the spatial constraint says of them."""

from __future__ import annotations

from typing import Any

from ipywidgets import FloatSlider, HBox, Output, ToggleButtons, VBox

from cscelab.figures.part_lesson import FARTHEST, constraint_figure
from cscelab.widgets.shown import redraw

ALIGNED: dict[str, Any] = {"style": {"description_width": "7.5em"}, "layout": {"width": "330px"}}
ROW = {"flex_flow": "row wrap"}
SWITCH = {"channel mean (ours)": "mean", "channel sum (as printed)": "sum"}


class ConstraintExplorer(VBox):
    """Controls above `constraint_figure`, whose arguments are their values.

    apart: cells between the maps' centres, width: of a map in cells, sharpness: of its logits, over: "mean" or "sum".
    Raises ValueError for what no control reaches.
    """

    def __init__(self, apart: float = 4.0, width: float = 1.5, sharpness: float = 6.0, over: str = "mean") -> None:
        if over not in SWITCH.values():
            raise ValueError(f"unknown channel {over!r}; choose from {list(SWITCH.values())}")
        self.apart = _slider("apart", apart, (0, FARTHEST, 0.25), "apart (cells)", "between the centres of the maps")
        self.width = _slider("width", width, (0.5, 4, 0.25), "width (cells)", "standard deviation of each map's bump")
        self.sharpness = _slider(
            "sharpness", sharpness, (0, 12, 0.5), "sharpness", "how far a map's logits rise over those of its ground"
        )
        self.over = ToggleButtons(
            options=SWITCH,
            value=over,
            style={"button_width": "15em"},
            tooltips=["the mean over channels as the logits", "their sum, which is as many times larger"],
        )
        self.output = Output()
        for control in (self.apart, self.width, self.sharpness, self.over):
            control.observe(lambda _: self._draw(), "value")
        sliders = HBox([self.apart, self.width, self.sharpness], layout=ROW)
        super().__init__([sliders, self.over, self.output])
        self._draw()

    def _draw(self) -> None:
        chosen = (self.apart.value, self.width.value, self.sharpness.value, self.over.value)
        redraw(self.output, lambda: constraint_figure(*chosen))


def _slider(
    name: str, value: float, span: tuple[float, float, float], description: str, tooltip: str
) -> FloatSlider:  # fmt: skip
    least, most, step = span
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}, expected {least:g} to {most:g}; `constraint_figure` draws any")
    return FloatSlider(
        value, min=least, max=most, step=step, description=description, tooltip=tooltip, readout_format=".2f", **ALIGNED
    )
