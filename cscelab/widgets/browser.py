"""Browse queries: one or two methods' nearest images as a gallery to click, walk and question."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import RLock
from typing import Any

import numpy as np
from ipywidgets import Output, VBox

from cscelab.collection import Collection, Query
from cscelab.experiment import Run
from cscelab.figures.browse import browse_figure, gallery_png, ranking
from cscelab.shelf import Shelf
from cscelab.uploads import read_upload
from cscelab.widgets.browser_controls import ALL, LARGEST_UPLOAD, MORE, NONE, Controls
from cscelab.widgets.browser_state import (
    BrowserState,
    Catalogue,
    Given,
    among_rows,
    changed,
    first_state,
    hardest_first,
    opened,
    queries_of,
)
from cscelab.widgets.browser_view import view
from cscelab.widgets.shown import attempt, say
from cscelab.widgets.tiles import Tiles

REFUSED = "⚠ Not done: "  # so that a mistake does not read as any other note


class QueryBrowser(VBox):
    """Controls above tiles; `state` is all there is to know, `show(row)` shows a query, `change(k=20)` anything else.

    collections: a collection or a run, or several by name; by default the shipped encoder and every stored run.
    Two of the same bits start side by side. k: how many results at first; seed: of the queries that "random" draws.
    A change that cannot be made (a class without images, a run whose files are gone) leaves everything as it was and
    says why in one sentence above the tiles.
    """

    def __init__(
        self,
        collections: Collection | Run | Mapping[str, Collection | Run] | None = None,
        k: int = 10,
        seed: int | None = None,
    ) -> None:
        self.catalogue = _catalogue(collections)
        self.controls = Controls(self.catalogue)
        upload = self.controls.upload.model_id or ""
        self.tiles = Tiles(upload=upload, largest=LARGEST_UPLOAD, tooltips=self.controls.tooltips)
        self.output = Output()
        self.output.add_class("csce-said")  # tiles.css: its line is kept free, so that the tiles stay in place
        self._generator = np.random.default_rng(seed)
        self._lock = RLock()  # Jupyter brings what the browser says in a thread of its own, even while a cell runs
        first = first_state(self.catalogue, self.catalogue.data_sets()[0])
        self.state = changed(self.catalogue, first, k=k)
        self._show(self.state)
        self._listen()
        super().__init__([self.controls, self.output, self.tiles])
        self.add_class("csce-query-browser")

    def show(self, query_row: int) -> None:
        """Shows a query of the data set. Raises ValueError for a row that is not there."""
        with self._lock:
            self.search(self._first.query(query_row))

    def search(self, query: Query) -> None:
        """Shows the nearest images of a query, which "back" leaves again. Raises what `change` raises."""
        self.change(query=query)

    def change(self, **changes: Any) -> None:
        """Changes fields of `state`; what no longer goes with them follows. Raises ValueError or OSError, with
        everything as it was, where that cannot be shown."""
        with self._lock:
            state = changed(self.catalogue, self.state, **changes)
            known = self.tiles.status
            if _sources(state) != _sources(self.state):  # may take seconds when they are opened for the first time
                self.tiles.status = f"loading {' and '.join(state.methods)}, {state.bits} bits …"
            try:
                self._show(state)
            except BaseException:
                self.tiles.status = known
                raise

    @property
    def _first(self) -> Collection:
        return opened(self.catalogue, self.state)[0]

    def _show(self, state: BrowserState) -> None:
        collections = opened(self.catalogue, state)
        shown = view(collections, state)
        moved, self.state = state.chosen != self.state.chosen, state
        with self.tiles.hold_sync():  # one message, one redraw
            self.tiles.view, self.tiles.status = shown, shown["status"]
            if moved:  # otherwise a person may just have chosen another
                self.tiles.chosen = list(state.chosen)
        self.controls.follow(state, collections[0])

    def _listen(self) -> None:
        controls = self.controls
        for name in ("data", "bits", "k", "cams"):
            control = getattr(controls, name)
            control.observe(lambda change, name=name: self._changed(**{name: change["new"]}), "value")
        controls.method.observe(lambda change: self._method(0, change["new"]), "value")
        controls.second.observe(lambda change: self._method(1, change["new"]), "value")
        controls.among.observe(lambda change: self._changed(among=_class(change["new"])), "value")
        controls.query_class.observe(lambda c: self._from_control(lambda: self._of_class(_class(c["new"]))), "value")
        controls.index.observe(lambda change: self._from_control(lambda: self._numbered(change["new"])), "value")
        controls.upload.observe(lambda change: self._uploaded(change["new"]), "value")
        controls.random.on_click(lambda _: self._do(self._random))
        controls.hardest.on_click(lambda _: self._do(self._hardest))
        controls.back.on_click(lambda _: self._do(self._back))
        controls.save_picture.on_click(lambda _: self._do(self._save_picture))
        controls.save_ranking.on_click(lambda _: self._do(self._save_ranking))
        self.tiles.on_msg(lambda _, content, buffers: self._do(lambda: self._heard(content)))
        self.tiles.observe(self._chosen, "chosen")

    def _do(self, action: Callable[[], None]) -> None:
        """What a person asked for; where it cannot be done, its sentence, and the controls back as they were."""
        with self._lock:
            self.output.outputs = ()
            if not attempt(self.output, action, REFUSED):
                self.controls.follow(self.state, self._first)

    def _from_control(self, action: Callable[[], None]) -> None:
        with self._lock:  # so that only what this thread itself follows is passed over
            if not self.controls.following:
                self._do(action)

    def _changed(self, **changes: Any) -> None:
        self._from_control(lambda: self.change(**changes))

    def _method(self, place: int, title: str) -> None:
        with self._lock:
            methods = self.state.methods
            if title == MORE:  # a line in the list, no method
                self.controls.follow(self.state, self._first)
            elif title == NONE:
                self._changed(methods=methods[:place])
            else:
                self._changed(methods=(*methods[:place], title, *methods[place + 1 :]))

    def _numbered(self, text: str) -> None:
        if not text.strip():
            self.controls.follow(self.state, self._first)
        elif not text.strip().lstrip("-").isdecimal():
            last = len(self._first.splits.query) - 1
            raise ValueError(f"{text!r} is no number of a query; type one from 0 to {last} and press Enter")
        else:
            self.show(int(text))

    def _of_class(self, number: int | None) -> None:
        if number is None:  # the query that is shown is one of them
            self.change(query_class=None)
        else:
            row = int(queries_of(self._first, number)[0])
            self.change(query_class=number, query=self._first.query(row))

    def _random(self) -> None:
        self.show(int(self._generator.choice(queries_of(self._first, self.state.query_class))))

    def _hardest(self) -> None:
        order = hardest_first(self._first, self.state.query_class)
        row = int(order[self.state.hardest % len(order)])
        self.change(query=self._first.query(row), hardest=self.state.hardest + 1)

    def _back(self) -> None:
        if self.state.earlier:
            self.change(query=self.state.earlier[-1], earlier=self.state.earlier[:-1])

    def _chosen(self, _: dict[str, Any]) -> None:
        with self._lock:
            index, place = self.tiles.chosen  # not that of `change`: another may have come while this one waited
            self.state = replace(self.state, chosen=(index, place))

    def _heard(self, content: dict[str, Any]) -> None:
        if content.get("kind") == "search":
            self.search(self._first.query(int(content["row"]), "database"))
        elif content.get("kind") == "too large":
            raise ValueError(
                f"{content['name']} has {content['size'] / 1e6:.1f} MB, more than the {LARGEST_UPLOAD // 10**6} MB "
                "that Jupyter lets through; make it smaller and choose it again"
            )

    def _uploaded(self, files: tuple[dict[str, Any], ...]) -> None:
        if not files:
            return
        self._do(lambda: self._search_own(files[0]["name"], bytes(files[0]["content"])))
        self.controls.upload.value = ()  # so that the same file can be chosen again

    def _search_own(self, name: str, content: bytes) -> None:
        data = self._first.experiment.data
        image = read_upload(name, content, self._first.splits.image_size, getattr(data, "resize", None))
        self.search(Query(image, f"your image {name}", "own"))

    def _save_picture(self) -> None:
        state, collections = self.state, opened(self.catalogue, self.state)
        figure = browse_figure(collections, state.query, state.k, among_rows(collections[0], state), state.cams)
        self._deliver("png", "image/png", gallery_png(figure))

    def _save_ranking(self) -> None:
        collections = opened(self.catalogue, self.state)
        table = ranking(collections, self.state.query, among=among_rows(collections[0], self.state))
        self._deliver("csv", "text/csv", table.to_csv(index=False).encode())

    def _deliver(self, suffix: str, kind: str, content: bytes) -> None:
        name = f"{file_stem(self.state)}.{suffix}"
        self.tiles.deliver(name, kind, content)
        say(self.output, f"{name} is among your browser's downloads.")


def _class(number: int) -> int | None:
    return None if number == ALL else number


def _sources(state: BrowserState) -> tuple[object, ...]:
    return state.data, state.methods, state.bits


def file_stem(state: BrowserState) -> str:
    """What exports are called: "query-12-csce-net-32", "your-image-heron-png-csce-net-csq-16"."""
    title = state.query.title.split(":")[0].removeprefix("query image ")
    words = "query " + title if state.query.origin == "query" else title
    return re.sub(r"[^a-z0-9]+", "-", " ".join([words, *state.methods, str(state.bits)]).lower()).strip("-")


def _catalogue(collections: Collection | Run | Mapping[str, Collection | Run] | None) -> Catalogue:
    if collections is None:
        return Shelf()
    if isinstance(collections, Collection):
        collections = {collections.title: collections}
    elif isinstance(collections, Run):
        collections = {collections.experiment.method.title: collections}
    return Given(collections)
