"""The controls of the QueryBrowser, and how they follow its state. What they do is said in browser.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ipywidgets import (
    HTML,
    BoundedIntText,
    Button,
    Dropdown,
    FileUpload,
    HBox,
    IntSlider,
    Layout,
    ToggleButton,
    VBox,
    Widget,
)

from cscelab.collection import Collection
from cscelab.uploads import FORMATS, MOST_PIXELS
from cscelab.widgets.browser_state import MOST_SHOWN, BrowserState, Catalogue, common_bits, partners

NONE = "none"
# Jupyter's server closes the connection on messages of more than 10 MiB, which hold the file and a few words.
LARGEST_UPLOAD = 10_000_000  # bytes
ALL = -1  # in place of a class; a Dropdown shows nothing for None
WORDS = {"description_width": "initial"}
# Each line fits beside a notebook's margin in a window 900 pixels wide.
WIDE = Layout(flex="1 1 150px", width="auto", min_width="0", max_width="300px")


class Controls(VBox):
    """Three lines: whose codes, which query, which results. `follow` sets them all to a state without calling back."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.following = False
        self.data = _dropdown("data set", "The images that are searched")
        self.method = _dropdown("method", "The method whose codes are compared")
        self.second = _dropdown("beside it", "A second method, shown below the first, at the same bits")
        self.bits = _dropdown("bits", "Code length; of two methods, a length that both have", Layout(width="95px"))
        self.query_class = _dropdown("class", "The first query of a class; random and hardest stay within it")
        self.index = BoundedIntText(
            description="number", tooltip="Number of the query image", style=WORDS, layout=Layout(width="118px")
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
            tooltip="How many results are shown", layout=WIDE,
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

    def follow(self, state: BrowserState, collection: Collection) -> None:
        """Sets every control to the state; collection: that of its first method."""
        self.following = True
        try:
            catalogue, first = self.catalogue, state.methods[0]
            names = [(name, number) for number, name in enumerate(collection.class_names)]
            _set(self.data, catalogue.data_sets(), state.data)
            _set(self.method, catalogue.methods(state.data), first)
            _set(self.second, [NONE, *partners(catalogue, state.data, first)], (*state.methods, NONE)[1])
            _set(self.bits, common_bits(catalogue, state.data, state.methods), state.bits)
            _set(self.query_class, [("any", ALL), *names], ALL if state.query_class is None else state.query_class)
            _set(self.among, [("all", ALL), *names], ALL if state.among is None else state.among)
            self.index.max = len(collection.splits.query) - 1
            if state.query.origin == "query":
                self.index.value = state.query.row
            self.back.disabled = not state.earlier
            self.k.value, self.cams.value = state.k, state.cams
            self.cams.icon = "check-square-o" if state.cams else "square-o"
        finally:
            self.following = False


def _set(dropdown: Dropdown, options: Sequence[object], value: object) -> None:
    if tuple(dropdown.options) != tuple(options):
        dropdown.options = options
    dropdown.value = value


def _dropdown(description: str, tooltip: str, layout: Layout = WIDE) -> Dropdown:
    return Dropdown(description=description, tooltip=tooltip, style=WORDS, layout=layout)


def _button(description: str, icon: str, tooltip: str) -> Button:
    return Button(description=description, icon=icon, tooltip=tooltip, layout=Layout(width="auto"))


def _line(name: str, controls: Iterable[Widget]) -> HBox:
    label = HTML(f"<b>{name}</b>", layout=Layout(flex="0 0 54px"))
    return HBox([label, HBox([*controls], layout=Layout(flex="1 1 0", flex_flow="row wrap"))])
