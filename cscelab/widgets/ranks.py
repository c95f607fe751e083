"""RankExplorer: one query's distances, its ties as blocks, and how AP moves with k under each convention."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from ipywidgets import Output, SelectionSlider, VBox
from matplotlib.figure import Figure

from cscelab.collection import Collection, shipped_collection
from cscelab.evaluate import evaluate
from cscelab.figures.ranks import Ranking, depth_steps, rank_figure, rank_query
from cscelab.widgets.picker import QueryPicker
from cscelab.widgets.shown import attempt, redraw

START = 20  # the depth to begin with, or the next one that there is
SIDES = ("query_codes", "query_labels", "database_codes", "database_labels", "query_ids", "database_ids")


class RankExplorer(VBox):
    """Controls for the query and for k above `rank_figure`.

    collection: the shipped encoder's by default; or codes of one's own by name, `mean_average_precision`'s arguments:
    `RankExplorer(query_codes=..., query_labels=..., database_codes=..., database_labels=...)`; smoke: a test's codes;
    arity: of codes of symbols, written one-hot.
    row, k: of the query and the depth to begin with; where AP is not measured at k, it begins at the next depth.
    """

    def __init__(
        self, collection: Collection | None = None, *,
        query_codes: np.ndarray | None = None, query_labels: np.ndarray | None = None,
        database_codes: np.ndarray | None = None, database_labels: np.ndarray | None = None,
        query_ids: np.ndarray | None = None, database_ids: np.ndarray | None = None,
        class_names: Sequence[str] | None = None, row: int = 0, k: int = START, smoke: bool = False,
        arity: int | None = None,
    ) -> None:  # fmt: skip
        given = (query_codes, query_labels, database_codes, database_labels, query_ids, database_ids)
        own = {name: codes for name, codes in zip(SIDES, given, strict=True) if codes is not None}
        if own and (collection is not None or not set(SIDES[:4]) <= set(own)):
            raise ValueError(
                f"{'a collection and ' if collection else ''}{', '.join(own)} were given; give a collection, or "
                "query_codes, query_labels, database_codes and database_labels together"
            )
        self.collection = None if own else collection or shipped_collection()
        if self.collection is not None:
            own = {name: self.collection.codes[name] for name in SIDES}
            class_names, smoke = self.collection.class_names, self.collection.smoke
            arity = self.collection.layout.arity
        self.codes, self.arity, self.smoke = own, arity, smoke
        self.picker = QueryPicker(own["query_labels"], class_names, row, lambda: self.average_precision)
        depths = depth_steps(len(own["database_codes"]))
        start = next(depth for depth in depths if depth >= min(k, depths[-1]))
        self.k = SelectionSlider(
            options=[(f"{depth:,}", depth) for depth in depths], value=start,
            description="depth k", style={"description_width": "initial"}, layout={"width": "420px"},
            tooltip="where the ranking is cut; the last step is the whole database",
        )  # fmt: skip
        self.output = Output()
        self.ranking: Ranking | None = None
        self.picker.observe(lambda _: self._rank(), "row")
        self.k.observe(lambda _: self._draw(), "value")
        super().__init__([self.picker, self.k, self.output])
        self._rank()

    @cached_property
    def average_precision(self) -> np.ndarray:
        """AP@all of every query, (Q,), expected over ties: the lowest are the hardest."""
        if self.collection is not None:
            return self.collection.average_precision
        return evaluate(**self.codes, ties="expected", arity=self.arity).average_precision  # type: ignore[arg-type]

    def figure(self) -> Figure:
        """The picture of the present state, by a plain call of the tested function."""
        assert self.ranking is not None
        return rank_figure(self.ranking, self.k.value)

    def _rank(self) -> None:
        """Counts the chosen query's ranking anew, and draws it."""

        def count() -> None:
            row, title, image = self.picker.row, "", None
            if self.collection is not None:
                query = self.collection.query(row)
                title, image = query.title, query.image
            self.ranking = rank_query(
                **self.codes, row=row, title=title, image=image, smoke=self.smoke, arity=self.arity
            )

        if attempt(self.output, count):
            self._draw()

    def _draw(self) -> None:
        if self.ranking is not None:
            redraw(self.output, self.figure)
