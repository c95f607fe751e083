"""Shuffle the database: the mAP of every sort moves, the exact expected value stands still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ipywidgets import Button, Dropdown, HBox, IntSlider, Output, SelectionSlider, VBox

from cscelab.figures.ties import Arrangement, Trail, ties_figure
from cscelab.retrieval.ranking import DENOMINATORS
from cscelab.retrieval.sorters import ARRANGEMENTS, Pairs
from cscelab.widgets.shown import redraw

DEPTHS = (1, 10, 20, 50, 100, 200, 500, 1000, 5000)
SEEDS = 200


class TieShuffler(VBox):
    """Controls above a picture; `trail` is its whole state, and `ties_figure(pairs, trail)` the picture."""

    def __init__(self, pairs: Pairs, depths: Sequence[int] = DEPTHS, smoke: bool = False) -> None:
        n_items = pairs.distances.shape[1]
        choices = [(str(k), k) for k in depths if k < n_items] + [("all", n_items)]
        self.pairs, self.smoke, self.trail = pairs, smoke, Trail()
        self.shuffle = Button(
            description="shuffle the database", icon="random", button_style="primary", layout={"width": "auto"}
        )
        self.arrangement = Dropdown(options=ARRANGEMENTS, description="order")
        # Once released, not on every pixel of a drag: each stop is a step of the trail.
        self.seed = IntSlider(value=0, min=0, max=SEEDS, description="seed", continuous_update=False)
        self.k = SelectionSlider(options=choices, value=n_items, description="k", continuous_update=False)
        self.denominator = Dropdown(options=DENOMINATORS, description="divided by")
        self.output = Output()
        self._following = False
        self.shuffle.on_click(lambda _: self._step(self.trail.shuffled()))
        self.seed.observe(lambda change: self._moved("shuffled", change["new"]), "value")
        self.arrangement.observe(lambda change: self._moved(change["new"], self.seed.value), "value")
        self.k.observe(lambda change: self._step(replace(self.trail, k=_depth(change["new"], n_items))), "value")
        self.denominator.observe(lambda change: self._step(replace(self.trail, denominator=change["new"])), "value")
        controls = [
            HBox([self.shuffle, self.seed, self.arrangement]),
            HBox([self.k, self.denominator]),
        ]
        super().__init__([*controls, self.output])
        self._draw()

    def _moved(self, name: str, seed: int) -> None:
        if not self._following:
            self._step(self.trail.then(Arrangement(name, seed)))

    def _step(self, trail: Trail) -> None:
        self.trail = trail
        self._following = True  # the controls follow the state, which must not call back
        try:
            self.arrangement.value = trail.now.name
            self.seed.value = min(trail.now.seed, SEEDS)
        finally:
            self._following = False
        self._draw()

    def _draw(self) -> None:
        redraw(self.output, lambda: ties_figure(self.pairs, self.trail, self.smoke))


def _depth(k: int, n_items: int) -> int | None:
    return None if k == n_items else k  # the slider knows no None


def tie_shuffler(pairs: Pairs, depths: Sequence[int] = DEPTHS, smoke: bool = False) -> TieShuffler:
    """A button that shuffles the database, a slider of seeds, the order, k and the denominator, above `ties_figure`.

    pairs: from `sorters.pair_up`; a hundred queries redraw in a blink. depths: the k to choose from, those smaller than
    the database, and all of it; smoke: the codes are a test's. End a cell with `checked(tie_shuffler(pairs))`.
    """
    return TieShuffler(pairs, depths, smoke)
