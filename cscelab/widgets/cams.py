"""Where in a query the bits come from: activation maps of any layer, extractor and code to explain (Fig. 6)."""

from __future__ import annotations

from collections.abc import Mapping

from ipywidgets import Dropdown, FloatSlider, HBox, Output, VBox
from matplotlib.figure import Figure

from cscelab.collection import Collection, collection_of, shipped_collection
from cscelab.experiment import Run
from cscelab.explain import EXTRACTORS, LAYERS
from cscelab.figures.explained import (
    TARGETS,
    Control,
    Explained,
    as_mapping,
    control_of,
    draw_explained,
    explain_query,
    layers_of,
)
from cscelab.figures.overlay import OPACITY
from cscelab.widgets.picker import QueryPicker
from cscelab.widgets.shown import attempt, redraw

Source = Collection | Run
WIDE = {"description_width": "initial"}
KEPT = 256  # maps


class CamExplorer(VBox):
    """Controls above `explained_figure`: query, layer, extractor, the code to explain, opacity.

    collection: one or several by name, side by side, each a Collection or a Run; the shipped one by default. Several
    must have the same queries. Only layers that all of them have are offered.
    """

    def __init__(
        self,
        collection: Source | Mapping[str, Source] | None = None,
        row: int = 0,
        layer: str = "stage4",
        seed: int = 0,
    ) -> None:
        self.collections = collections_of(collection)
        first = next(iter(self.collections.values()))
        labels, names = first.splits.query.labels, first.class_names
        layers = [name for name in LAYERS if all(name in layers_of(each) for each in self.collections.values())]
        self._maps: dict[tuple[object, ...], dict[str, Explained]] = {}
        self._controls: dict[tuple[str, str, str], Control] = {}
        self.output = Output()
        self.query = QueryPicker(labels, names, row, lambda: first.average_precision, seed)
        self.layer = _dropdown("layer", layers, layer if layer in layers else layers[0], "130px")
        self.extractor = _dropdown("extractor", EXTRACTORS, EXTRACTORS[0], "220px")
        self.target = _dropdown("explain", list(TARGETS.items()), "own", "260px")
        self.target.tooltip = "The map shows what in the image agrees with this code."
        self.number = _dropdown("of", [(name, c) for c, name in enumerate(names)], 0, "240px")
        self.number.disabled = True
        self.opacity = FloatSlider(
            value=OPACITY, min=0, max=1, step=0.05, description="opacity of the map", style=WIDE, readout_format=".2f"
        )
        self.query.observe(lambda _: self._draw(), "row")
        self.target.observe(lambda _: self._explain(), "value")
        for control in (self.layer, self.extractor, self.number, self.opacity):
            control.observe(lambda _: self._draw(), "value")
        wrap = {"flex_flow": "row wrap", "grid_gap": "4px 16px"}
        choices = HBox([self.target, self.number, self.layer, self.extractor, self.opacity], layout=wrap)
        super().__init__([self.query, choices, self.output])
        self._draw()

    def figure(self) -> Figure:
        """The picture of what is chosen now; maps are computed once."""
        row, layer, extractor = self.query.row, self.layer.value, self.extractor.value
        asked = (row, self.target.value, self.number.value if self.target.value == "center" else 0, layer, extractor)
        if asked not in self._maps:
            if len(self._maps) >= KEPT:
                self._maps.pop(next(iter(self._maps)))
            self._maps[asked] = {
                name: explain_query(each, *asked, self._control(name, layer, extractor))
                for name, each in self.collections.items()
            }
        return draw_explained(self.collections, row, self._maps[asked], f"{extractor}, {layer}", self.opacity.value)

    def _control(self, name: str, layer: str, extractor: str) -> Control | None:
        """Other queries' maps, made once a layer and extractor; None without masks to measure them on."""
        collection, asked = self.collections[name], (name, layer, extractor)
        if collection.splits.query.masks is None:
            return None
        if asked not in self._controls:
            self._controls[asked] = control_of(collection, layer, extractor)
        return self._controls[asked]

    def _explain(self) -> None:
        self.number.disabled = self.target.value != "center"
        self._draw()

    def _draw(self) -> None:
        drawn: list[Figure] = []
        if attempt(self.output, lambda: drawn.append(self.figure())):
            redraw(self.output, lambda: drawn[0])


def collections_of(given: Source | Mapping[str, Source] | None) -> dict[str, Collection]:
    """Collections by name. A run loads its data, or shares that of a run before it on the same data."""
    if given is None:
        return as_mapping(shipped_collection())
    sources = given if isinstance(given, Mapping) else {"": given}
    collections: dict[str, Collection] = {}
    for name, source in sources.items():
        if isinstance(source, Run):
            same = [each.splits for each in collections.values() if each.experiment.data == source.experiment.data]
            source = collection_of(source, same[0] if same else None)
        collections[name or source.title] = source
    return as_mapping(collections)


def _dropdown(description: str, options: object, value: object, width: str) -> Dropdown:
    return Dropdown(options=options, value=value, description=description, style=WIDE, layout={"width": width})
