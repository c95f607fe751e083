"""Margins poked at: sliders for every method's margin and the scale, above logit, loss and slope over the angle."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from ipywidgets import Button, Checkbox, Dropdown, FloatSlider, HBox, IntSlider, Output, VBox

from cscelab.figures.margins import LITERATURE, METHODS, Margins, margin_figure
from cscelab.widgets.shown import redraw

ALIGNED: dict[str, Any] = {"style": {"description_width": "9em"}, "layout": {"width": "340px"}}
ROW = {"flex_flow": "row wrap"}


class MarginExplorer(VBox):
    """Controls above a picture; `margins` is its whole state, and `margin_figure(margins)` the picture.

    Raises ValueError for a margin, scale, angle or number of classes that no slider reaches.
    """

    def __init__(self, margins: Margins = Margins()) -> None:  # noqa: B008 (frozen)
        self.margins = margins
        self.controls: dict[str, Any] = {
            "cosface": _slider(0, 1, 0.01, "CosFace m₃", "subtracted from the cosine; the paper: .15"),
            "arcface": _slider(0, 1, 0.01, "ArcFace m₂ (rad)", "added to the angle; .5 rad = 28.6 degrees"),
            "sphereface": _slider(1, 4, 0.05, "SphereFace m₁", "multiplies the angle; 1 is no margin"),
            "scale": _slider(1, 64, 1, "scale S", "S of Eq. 12; the paper: 10"),
            "n_classes": IntSlider(2, 2, 200, description="classes C", **ALIGNED, tooltip="the true one and others"),
            "other_angle": _slider(0, 180, 1, "others' angle (°)", "at 90 degrees their cosines are 0"),
            "emphasis": Dropdown(options=METHODS, description="emphasise", **ALIGNED),
            "printed": Checkbox(
                description="also as printed, past π",
                indent=False,
                layout={"width": "auto"},
                tooltip="where the printed cosine rises again",
            ),
        }
        self.paper = _button("the paper's settings", "S = 10, margins .15; SphereFace 1.35, where it gives none")
        self.literature = _button("margins of their own papers", "CosFace .35, ArcFace .5, SphereFace 4")
        self.output = Output()
        for name, control in self.controls.items():
            value = getattr(margins, name)
            if isinstance(control, IntSlider | FloatSlider) and not control.min <= value <= control.max:
                raise ValueError(
                    f"{name} is {value}, expected {control.min:g} to {control.max:g}; `margin_figure` draws any"
                )
        self._following = True  # the controls take their first values, which must not call back
        for name, control in self.controls.items():
            control.observe(lambda change, name=name: self._moved(name, change["new"]), "value")
        self.paper.on_click(lambda _: self._step(replace(self.margins.with_margins_of(Margins()), scale=Margins.scale)))
        self.literature.on_click(lambda _: self._step(self.margins.with_margins_of(LITERATURE)))
        row = list(self.controls.values())
        boxes = [HBox(row[:6], layout=ROW), HBox(row[6:], layout=ROW), HBox([self.paper, self.literature])]
        super().__init__([*boxes, self.output])
        self._step(margins)

    def _moved(self, name: str, value: Any) -> None:
        if not self._following:
            self._step(replace(self.margins, **{name: value}))

    def _step(self, margins: Margins) -> None:
        self.margins = margins
        self._following = True
        try:
            for name, value in asdict(margins).items():
                self.controls[name].value = value
        finally:
            self._following = False
        redraw(self.output, lambda: margin_figure(self.margins))


def _slider(least: float, most: float, step: float, description: str, tooltip: str) -> FloatSlider:
    form = ".0f" if step == 1 else ".2f"
    return FloatSlider(
        least, min=least, max=most, step=step, description=description, tooltip=tooltip, readout_format=form, **ALIGNED
    )


def _button(description: str, tooltip: str) -> Button:
    return Button(description=description, tooltip=tooltip, layout={"width": "auto"})
