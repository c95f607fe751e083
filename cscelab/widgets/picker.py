"""QueryPicker: one of many queries, by its row, by class, at random, or the next hardest. Part of other widgets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ipywidgets import Button, Dropdown, HBox, IntSlider
from traitlets import Int

from cscelab.neighbours import rows_of_class

ANY, ALL = "any", -1  # a number: the front end shows an option whose value is None as no choice


class QueryPicker(HBox):
    """`row` is the chosen query; observe it: it changes once for each change of a control.

    labels: class ids (Q,) or multi-hot (Q, C); precision: gives the AP (Q,) by which queries are hard, asked for at the
    first click; without it there is no such button. seed: of the random draws.
    """

    row = Int(0)

    def __init__(
        self, labels: np.ndarray, class_names: Sequence[str] | None = None, row: int = 0,
        precision: Callable[[], np.ndarray] | None = None, seed: int = 0,
    ) -> None:  # fmt: skip
        if not 0 <= row < len(labels):
            raise ValueError(f"row {row} of the queries was asked for; there are rows 0 to {len(labels) - 1}")
        self.labels, self._precision = np.asarray(labels), precision
        self._rng, self._harder, self._following = np.random.default_rng(seed), 0, False
        counts = self.labels.sum(axis=0) if self.labels.ndim == 2 else np.bincount(self.labels.astype(np.int64))
        names = class_names or [f"class {number}" for number in range(len(counts))]
        options = [(ANY, ALL)]
        options += [(f"{names[c]} ({int(n)})", c) for c, n in enumerate(counts) if n]
        wide = {"description_width": "initial"}
        self.index = IntSlider(
            value=row, max=len(labels) - 1, description="query", continuous_update=False, style=wide,
            layout={"width": "250px"},
            tooltip="row of the query; arrow keys step, or type a number at the right",
        )  # fmt: skip
        self.kind = Dropdown(
            options=options, description="class", style=wide, layout={"width": "240px"},
            tooltip="classes with their numbers of queries; random and hardest draw from the class chosen",
        )  # fmt: skip
        self.random = Button(description="random", icon="random", layout={"width": "auto"})
        self.hardest = Button(
            description="hardest", icon="arrow-down", layout={"width": "auto"},
            tooltip="the query with the lowest AP; again for the next hardest",
        )  # fmt: skip
        self.index.observe(lambda change: self._chosen(change["new"]), "value")
        self.kind.observe(lambda _: self._of_class(), "value")
        self.random.on_click(lambda _: self._move(int(self._rng.choice(self.candidates()))))
        self.hardest.on_click(lambda _: self._next_hardest())
        shown: list[Any] = [self.index, self.kind, self.random, *([self.hardest] if precision else [])]
        super().__init__(shown, layout={"flex_flow": "row wrap"})
        self.row = row

    def candidates(self) -> np.ndarray:
        """Rows of the queries that have the class chosen."""
        number = self.kind.value
        if number == ALL:
            return np.arange(len(self.labels))
        return rows_of_class(self.labels, number)

    def _move(self, row: int, harder: int = 0) -> None:
        """To a row, the slider following; harder: how many of the hardest were seen."""
        self._following = True  # the slider follows the row, which must not call back
        try:
            self.index.value = row
        finally:
            self._following = False
        self._harder = harder
        self.row = row

    def _chosen(self, row: int) -> None:
        if self._following:
            return
        if row not in self.candidates():
            self._following = True  # another class than the one chosen
            try:
                self.kind.value = ALL
            finally:
                self._following = False
        self._move(row)

    def _of_class(self) -> None:
        if self._following:
            return
        rows = self.candidates()
        self._move(self.row if self.row in rows else int(rows[0]))

    def _next_hardest(self) -> None:
        if self._precision is None:
            return
        rows = self.candidates()
        order = rows[np.argsort(self._precision()[rows], kind="stable")]
        self._move(int(order[self._harder % len(order)]), self._harder + 1)
