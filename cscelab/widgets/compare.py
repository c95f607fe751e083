"""MethodComparer: tick methods and code lengths, and see their curves, galleries, codes and scores side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from ipywidgets import Button, Checkbox, Dropdown, GridBox, HBox, Label, Output, ToggleButtons, VBox
from matplotlib.figure import Figure
from pandas import DataFrame

from cscelab.collection import Collection
from cscelab.experiment import Run
from cscelab.figures.side_by_side import (
    COMMAND,
    MOST,
    VIEWS,
    Choice,
    Coded,
    check_comparable,
    codes_table,
    curves_figure,
    disagreement,
    in_table_order,
    score_table,
)
from cscelab.figures.side_codes import codes_figure
from cscelab.figures.side_gallery import gallery_figure
from cscelab.shelf import SHIPPED, Shelf
from cscelab.widgets.browser_state import Catalogue, Given
from cscelab.widgets.picker import QueryPicker
from cscelab.widgets.shown import attempt, redraw, say, show_table

MARGIN = "2px 8px 2px 4px"  # of a box to tick
FIRST = ("LSH", "HashNet", "CSQ", "CSCE-Net")  # a floor, a pairwise method, and two with centers
NO_RUNS = f"Only the shipped encoder is here; `{COMMAND}` trains every method, once, and this widget then lists them."
WIDE: dict[str, Any] = {"description_width": "initial"}
ROW = 32  # pixels: a box and its margin
MOST_ROWS = 10  # before the list scrolls: all usual methods, in whole rows
GRID = {
    "grid_template_columns": "repeat(auto-fill, minmax(230px, 1fr))", "max_height": f"{MOST_ROWS * ROW}px",
    "overflow": "auto", "width": "100%",
}  # fmt: skip
LONG = 30  # letters that fit into a column; a longer name has a row of its own


class MethodComparer(VBox):
    """Controls above a picture or a table; `choice` is its whole state, `coded` the codes that it comes to.

    collections: collections or runs by name; by default the shipped encoder and every stored run. data, methods, bits:
    what to begin with, as the boxes name it, else FIRST at the length that most methods have; reference: the method
    whose hardest queries are asked for and which differences are taken from; view: one of VIEWS; row: of the query.
    Raises ValueError for a name, a length, a row or a view that is not there, or a reference that is not compared.
    """

    def __init__(
        self,
        collections: Mapping[str, Collection | Run] | None = None,
        *,
        data: str | None = None,
        methods: Sequence[str] | None = None,
        bits: int | Sequence[int] | None = None,
        reference: str = "",
        view: str = "curves",
        row: int = 0,
    ) -> None:
        self.catalogue: Catalogue = Shelf() if collections is None else Given(collections)
        self._measured: dict[tuple[str, str, int], Coded] = {}
        self._boxes: dict[str, Checkbox] = {}
        self._lengths: dict[int, Checkbox] = {}
        self._following = False
        asked = (bits,) if isinstance(bits, int) else bits
        self.choice = self._first(data or self.catalogue.data_sets()[0], methods, asked, reference, view, row)
        self.coded: list[Coded] = []
        self.data = Dropdown(options=self.catalogue.data_sets(), value=self.choice.data, description="data set",
                             style=WIDE, tooltip="the images that are searched")  # fmt: skip
        self.bits = HBox(layout={"flex_flow": "row wrap"})
        self.others = Checkbox(
            description="more runs", indent=False, layout={"width": "auto", "margin": MARGIN},
            tooltip="other seeds and settings than the recipes'",
        )  # fmt: skip
        self.methods = GridBox(layout=GRID)
        self.view = ToggleButtons(options=VIEWS, value=view, style={"button_width": "90px"},
                                  tooltips=["precision by radius and by rank", "one query's nearest images",
                                            "what the bits are like", "scores, intervals, differences"])  # fmt: skip
        self.reference = Dropdown(
            description="compared with", style=WIDE, layout={"width": "310px", "margin": "2px 2px 2px 10px"},
            tooltip="differences are taken from it, and hardest queries are its own",
        )  # fmt: skip
        self.disagreement = Button(description="largest disagreement", icon="balance-scale", layout={"width": "auto"},
                                   tooltip="the query whose APs are farthest apart; again for the next")  # fmt: skip
        self.query = HBox(layout={"flex_flow": "row wrap"})
        self.note, self.output, self.table = Output(), Output(), Output()
        self.picker: QueryPicker | None = None
        top = HBox([self.data, Label("bits:"), self.bits, self.others], layout={"flex_flow": "row wrap"})
        middle = HBox([self.view, self.reference], layout={"flex_flow": "row wrap"})
        super().__init__([top, self.methods, middle, self.query, self.note, self.output, self.table])
        self.data.observe(lambda change: self._other_data(change["new"]), "value")
        self.others.observe(lambda _: self._list(), "value")
        self.view.observe(lambda change: self._changed(view=change["new"]), "value")
        self.reference.observe(lambda change: self._changed(reference=change["new"]), "value")
        self.disagreement.on_click(lambda _: self._disagree())
        self._step(self.choice)

    def figure(self) -> Figure:
        """The picture of the present state, by a plain call of the tested function; of the table view none."""
        if self.choice.view == "gallery":
            return gallery_figure(self.coded, self.choice.row)
        return {"curves": curves_figure, "codes": codes_figure}[self.choice.view](self.coded)

    def frame(self) -> DataFrame:
        """The table of the present state."""
        return (codes_table if self.choice.view == "codes" else score_table)(self.coded)

    def _first(
        self, data: str, methods: Sequence[str] | None = None, bits: Sequence[int] | None = None,
        reference: str = "", view: str | None = None, row: int = 0,
    ) -> Choice:  # fmt: skip
        """What a data set begins with; everything that is asked for must exist."""
        known = {method: self.catalogue.bits(data, method) for method in self.catalogue.methods(data)}
        usual = [method for method in known if method not in self.catalogue.others(data)] or list(known)
        if methods is None:
            counts = {n: sum(n in known[method] for method in usual) for n in _union(known.values())}
            bits = bits or (max(counts, key=lambda n: (counts[n], n)),)
            there = [method for method in usual if set(bits) & set(known[method])]
            methods = [method for method in FIRST if method in there] or there[:2] or usual
            methods += [reference] if reference in known and reference not in methods else []
        for method in (*methods, *([reference] if reference else ())):
            if method not in known:
                raise ValueError(f"unknown method for {data} {method!r}; choose from {', '.join(map(repr, known))}")
        if reference and reference not in methods:
            raise ValueError(f"the reference {reference!r} is not among the methods; choose from {list(methods)}")
        lengths = _union(known[method] for method in methods)
        bits = bits or lengths[-1:]
        for n in bits:
            if n not in lengths:
                raise ValueError(f"none of these methods has codes of {n} bits; choose from {lengths}")
        n_queries = len(self._open(data, methods[0], known[methods[0]][0]).collection.splits.query) if row else 1
        if not 0 <= row < n_queries:
            raise ValueError(f"row {row} of the queries was asked for; there are rows 0 to {n_queries - 1}")
        view = self.choice.view if view is None else view
        return Choice(data, tuple(methods), tuple(sorted(bits)), reference or methods[0], view, row)

    def _other_data(self, data: str) -> None:
        """To another data set, with the same methods and lengths where it has any of them."""
        if self._following:
            return
        known = set(self.catalogue.methods(data))
        methods = [method for method in self.choice.methods if method in known]
        bits = [n for n in self.choice.bits if any(n in self.catalogue.bits(data, method) for method in methods)]
        reference = self.choice.reference if self.choice.reference in methods else ""
        self._step(self._first(data, methods, bits, reference) if bits else self._first(data))

    def _open(self, data: str, method: str, bits: int) -> Coded:
        """Opened and measured once; the first time takes as long as its images and codes take to be read."""
        key = (data, method, bits)
        if key not in self._measured:
            self._measured[key] = Coded(self.catalogue.collection(data, method, bits))
        return self._measured[key]

    def _changed(self, **changes: Any) -> None:
        if not self._following:
            self._step(replace(self.choice, **changes))

    def _step(self, choice: Choice) -> None:
        """To another choice: controls follow it, its codes are opened, the picture is drawn."""
        moved = not self._boxes or choice.data != self.choice.data
        if choice.reference not in choice.methods:
            choice = replace(choice, reference=choice.methods[0] if choice.methods else "")
        self.choice = choice
        self._silently(lambda: self._follow(moved))
        self.coded = []
        self.note.outputs = self.output.outputs = self.table.outputs = ()
        if attempt(self.note, self._load):
            self._say()
            self._draw()

    def _load(self) -> None:
        data, bits = self.choice.data, self.choice.bits
        wanted = [
            (method, n) for method in self.choice.in_order for n in bits if n in self.catalogue.bits(data, method)
        ]
        if len(wanted) > MOST and self.choice.view != "table":
            raise ValueError(
                f"{len(wanted)} sets of codes are ticked; untick all but {MOST}, as many as can be told apart in a "
                "picture, or look at the table"
            )
        coded = [self._open(data, method, n) for method, n in wanted]
        check_comparable(coded, most=None)
        self._silently(lambda: self._pick_from(coded[0]))
        self.coded = coded

    def _say(self) -> None:
        """What is missing, in a sentence."""
        choice, known = self.choice, self.catalogue.methods(self.choice.data)
        lacking = [
            f"{method} has no codes of {n} bits"
            for method in choice.methods
            for n in choice.bits
            if n not in self.catalogue.bits(choice.data, method)
        ]
        if len(known) == 1 and known[0].startswith(SHIPPED):
            lacking.append(NO_RUNS.rstrip("."))
        if lacking:
            say(self.note, f"{'; '.join(lacking)}.")

    def _draw(self) -> None:
        if self.choice.view != "table":
            redraw(self.output, self.figure)
        if self.choice.view in ("table", "codes"):
            attempt(self.table, lambda: show_table(self.table, self.frame()))

    def _follow(self, moved: bool) -> None:
        choice = self.choice
        self.data.value, self.view.value = choice.data, choice.view
        if moved:
            self.picker = None
            extra = self.catalogue.others(choice.data)
            self.others.value = bool(set(extra) & set(choice.methods))
            self.others.layout.display = None if extra else "none"
            known = self.catalogue.methods(choice.data)
            self._lengths = {
                n: self._box(str(n), self._ticked_bits)
                for n in _union(self.catalogue.bits(choice.data, method) for method in known)
            }
            self.bits.children = tuple(self._lengths.values())
            self._boxes = {method: self._box(method, self._ticked_methods) for method in in_table_order(known)}
        for n, box in self._lengths.items():
            box.value = n in choice.bits
        for method, box in self._boxes.items():
            box.value = method in choice.methods
        self._list()
        self.reference.options = choice.methods
        self.reference.value = choice.reference or None
        self.query.layout.display = None if choice.view == "gallery" else "none"

    def _list(self) -> None:
        """Shows the boxes of the methods that have a length ticked, the usual ones or all; a ticked box stays."""
        choice = self.choice
        extra = set() if self.others.value else set(self.catalogue.others(choice.data))
        there = [
            method
            for method in self._boxes
            if set(choice.bits) & set(self.catalogue.bits(choice.data, method)) and method not in extra
        ]
        shown = {*there, *choice.methods}
        self.methods.children = tuple(box for method, box in self._boxes.items() if method in shown)

    def _pick_from(self, first: Coded) -> None:
        """A picker for the queries of the data set, made once."""
        if self.picker is None:
            picker = QueryPicker(
                first.collection.splits.query.labels, first.collection.class_names, self.choice.row,
                lambda: self.coded[0].average_precision,
            )  # fmt: skip
            picker.observe(lambda change: self._changed(row=change["new"]), "row")
            self.picker = picker
            self.query.children = (picker, self.disagreement)

    def _disagree(self) -> None:
        """The query on which the methods disagree most; pressed again there, the next."""

        def go() -> None:
            if self.picker is None or not self.coded:
                raise ValueError("no codes are shown; tick at least one method that has this code length")
            rows = self.picker.candidates()
            order = rows[np.argsort(-disagreement(self.coded)[rows], kind="stable")].tolist()
            place = order.index(self.choice.row) + 1 if self.choice.row in order[: self._disagreed] else 0
            self._disagreed = place + 1
            self.picker.index.value = order[place % len(order)]

        attempt(self.note, go)

    _disagreed = 0  # how many of the queries of most disagreement were seen in a row

    def _box(self, words: str, act: Callable[[], None]) -> Checkbox:
        layout = {"width": "auto", "margin": MARGIN} | ({"grid_column": "1 / -1"} if len(words) > LONG else {})
        box = Checkbox(description=words, indent=False, layout=layout, tooltip=words)
        box.observe(lambda _: act(), "value")
        return box

    def _ticked_methods(self) -> None:
        self._changed(methods=tuple(method for method, box in self._boxes.items() if box.value))

    def _ticked_bits(self) -> None:
        self._changed(bits=tuple(n for n, box in self._lengths.items() if box.value))

    def _silently(self, act: Callable[[], None]) -> None:
        """Controls that follow the state must not call back."""
        before, self._following = self._following, True
        try:
            act()
        finally:
            self._following = before


def _union(lengths: Any) -> list[int]:
    return sorted({n for each in lengths for n in each})
