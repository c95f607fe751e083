"""The code step, bit by bit: matrices small enough to check by hand, and the sign that raises the objective."""

from __future__ import annotations

from typing import Any

from ipywidgets import Button, Checkbox, Dropdown, HBox, IntSlider, Output, ToggleButtons, VBox

from cscelab.figures.code_lesson import code_step_figure
from cscelab.figures.code_problem import BITS, DATABASE, SmallProblem, small_problem
from cscelab.widgets.shown import redraw

SEEDS = 99
ROW = {"flex_flow": "row wrap"}
AUTO: dict[str, Any] = {"width": "auto"}


class CodeStepper(VBox):
    """Controls above `code_step_figure`; `problem` is the small problem shown.

    bit: from 0, as all steps before it left the codes; printed: Eq. 17 with its sign as printed; seed: of
    `small_problem`. Raises ValueError for a bit or seed that no control reaches.
    """

    def __init__(self, bit: int = 0, printed: bool = False, seed: int = 0) -> None:
        for name, value, most in (("bit", bit, BITS - 1), ("seed", seed, SEEDS)):
            if not 0 <= value <= most:
                raise ValueError(f"{name} is {value}, expected 0 to {most}; `code_step_figure` draws any problem")
        self.problem: SmallProblem = small_problem(seed)
        self.bit = ToggleButtons(
            options={f"bit {k + 1}": k for k in range(BITS)},
            value=bit,
            style={"button_width": "5em"},
            layout=AUTO,
            tooltips=["the codes as the steps of the bits before it left them"] * BITS,
        )
        self.next = Button(
            description="next step", icon="step-forward", button_style="primary", layout=AUTO,
            tooltip="the next bit; after the last, the first again",
        )  # fmt: skip
        self.printed = Checkbox(
            printed,
            description="sign of Eq. 17 as printed",
            indent=False,
            layout=AUTO,
            tooltip="a misprint: it raises the objective",
        )
        self.seed = IntSlider(
            seed, 0, SEEDS, description="problem (seed)", style={"description_width": "initial"},
            layout={"width": "330px"}, tooltip="other random values, classes and codes",
        )  # fmt: skip
        self.row = Dropdown(
            options={"the first that flips": None} | {f"v{j + 1}": j for j in range(DATABASE)},
            description="spell out", layout={"width": "270px"},
        )  # fmt: skip
        self.output = Output()
        self.next.on_click(lambda _: self._step())
        self.seed.observe(lambda change: self._choose(change["new"]), "value")
        for control in (self.bit, self.printed, self.row):
            control.observe(lambda _: self._draw(), "value")
        first = HBox([self.bit, self.next, self.printed], layout=ROW)
        super().__init__([first, HBox([self.seed, self.row], layout=ROW), self.output])
        self._draw()

    def _step(self) -> None:
        self.bit.value = (self.bit.value + 1) % BITS

    def _choose(self, seed: int) -> None:
        self.problem = small_problem(seed)
        self._draw()

    def _draw(self) -> None:
        chosen = (self.problem, self.bit.value, self.printed.value, self.row.value)
        redraw(self.output, lambda: code_step_figure(*chosen))
