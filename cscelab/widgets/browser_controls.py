"""The controls of the QueryBrowser, and how they follow its state. What they do is said in browser.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ipywidgets import (
    HTML,
    Button,
    Dropdown,
    FileUpload,
    HBox,
    IntSlider,
    Layout,
    Text,
    ToggleButton,
    VBox,
    Widget,
)

from cscelab.collection import Collection
from cscelab.datasets.decoding import FORMATS, MOST_PIXELS
from cscelab.widgets.browser_state import MOST_SHOWN, BrowserState, Catalogue, common_bits, partners

NONE = "none"
MORE = "── more runs ──"  # between the usual methods and the others; choosing it changes nothing
# Jupyter's server closes the connection on messages of more than 10 MiB, which hold the file and a few words.
LARGEST_UPLOAD = 10_000_000  # bytes
ALL = -1  # in place of a class; a Dropdown shows nothing for None
WORDS = {"description_width": "initial"}


def _wide(pixels: int) -> Layout:
    """At least so wide where the window allows it. Beside a notebook's margin in a window of 900 pixels the codes take
    two lines, two controls each, and query and results one."""
    return Layout(flex=f"1 1 {pixels}px", width="auto", min_width="0", max_width="300px")


class Controls(VBox):
    """Three lines: whose codes, which query, which results. `follow` sets them all to a state without calling back."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.following = False
        self.data = _dropdown("data set", "The images that are searched", _wide(200))
        self.method = _dropdown("method", "The method whose codes are compared", _wide(260))
        self.second = _dropdown("beside it", "A second method, shown below the first, at the same bits", _wide(230))
        self.bits = _dropdown("bits", "Code length; of two methods, a length that both have", Layout(width="95px"))
        self.query_class = _dropdown("class", "The first query of a class; random and hardest stay within it")
        # A field of text can be empty, where the query has no number, so that any number typed into it is a change.
        self.index = Text(
            description="number",
            continuous_update=False,
            tooltip="Number of a query image, then Enter",
            style=WORDS,
            layout=Layout(width="128px"),
        )
        self.random = _button("random", "random", "A query at random")
        self.hardest = _button("hardest", "sort-amount-asc", "Lowest average precision first; press again for the next")
        self.back = _button("back", "arrow-left", "The query before this one")
        self.upload = FileUpload(
            accept="image/*",
            description="own image",
            tooltip=f"Search with an image of your own: {', '.join(FORMATS[:-1])}, at most "
            f"{LARGEST_UPLOAD // 10**6} MB and {MOST_PIXELS // 10**6} megapixels",
            layout=Layout(width="auto"),
        )
        self.upload.add_class("csce-upload")  # tiles.css: without the count of files
        self.k = IntSlider(
            min=1, max=MOST_SHOWN, description="k", continuous_update=False, style=WORDS,
            tooltip="How many results are shown", layout=_wide(150),
        )  # fmt: skip
        self.among = _dropdown("only class", "Show only database images of this class")
        self.cams = ToggleButton(
            description="CAM overlay",
            tooltip="Where in each image the query's code comes from",
            layout={"width": "auto"},
        )
        self.save_picture = _button("gallery PNG", "download", "Save what is shown as a picture")
        self.save_ranking = _button("ranking CSV", "download", "Save the ranking of the whole database as a table")
        super().__init__(
            [
                _line("codes", [self.data, self.method, self.second, self.bits]),
                _line("query", [self.query_class, self.index, self.random, self.hardest, self.back, self.upload]),
                _line("results", [self.k, self.among, self.cams, self.save_picture, self.save_ranking]),
            ]
        )

    @property
    def tooltips(self) -> dict[str, str]:
        """Label -> tooltip of the lists and the field, which do not show them by themselves."""
        labelled = (self.data, self.method, self.second, self.bits, self.query_class, self.index, self.among)
        return {control.description: control.tooltip for control in labelled}

    def follow(self, state: BrowserState, collection: Collection) -> None:
        """Sets every control to the state; collection: that of its first method."""
        self.following = True
        try:
            catalogue, first = self.catalogue, state.methods[0]
            names = [(name, number) for number, name in enumerate(collection.class_names)]
            _set(self.data, catalogue.data_sets(), state.data)
            others = catalogue.others(state.data)
            _set(self.method, _parted(catalogue.methods(state.data), others), first)
            beside = _parted(partners(catalogue, state.data, first), others)
            _set(self.second, [NONE, *beside], (*state.methods, NONE)[1])
            _set(self.bits, common_bits(catalogue, state.data, state.methods), state.bits)
            _set(self.query_class, [("any", ALL), *names], ALL if state.query_class is None else state.query_class)
            _set(self.among, [("all", ALL), *names], ALL if state.among is None else state.among)
            self.index.placeholder = f"0 to {len(collection.splits.query) - 1}"
            self.index.value = str(state.query.row) if state.query.origin == "query" else ""
            self.back.disabled = not state.earlier
            self.k.value, self.cams.value = state.k, state.cams
            self.cams.icon = "check-square-o" if state.cams else "square-o"
        finally:
            self.following = False


def _set(dropdown: Dropdown, options: Sequence[object], value: object) -> None:
    if tuple(dropdown.options) != tuple(options):
        dropdown.options = options
    dropdown.value = value


def _parted(titles: Sequence[str], others: Sequence[str]) -> list[str]:
    """The titles with a line before the first of the others."""
    place = next((i for i, title in enumerate(titles) if title in others), None)
    return [*titles] if place is None else [*titles[:place], MORE, *titles[place:]]


def _dropdown(description: str, tooltip: str, layout: Layout | None = None) -> Dropdown:
    return Dropdown(description=description, tooltip=tooltip, style=WORDS, layout=layout or _wide(150))


def _button(description: str, icon: str, tooltip: str) -> Button:
    return Button(description=description, icon=icon, tooltip=tooltip, layout=Layout(width="auto"))


def _line(name: str, controls: Iterable[Widget]) -> HBox:
    label = HTML(f"<b>{name}</b>", layout=Layout(flex="0 0 54px"))
    return HBox([label, HBox([*controls], layout=Layout(flex="1 1 0", flex_flow="row wrap"))])
