"""The QueryBrowser as a page of its own, for people who have read no notebook: a title, and what the words mean."""

from __future__ import annotations

from html import escape
from typing import Any

from ipywidgets import HTML, VBox

from cscelab.widgets.browser import QueryBrowser

TITLE = "Find images by their codes"
LEAD = (
    "A network has turned each image into a short row of plus and minus signs, its code, and images whose codes "
    "differ in few places should show the same thing. Choose an image to search with, or click any picture: you see "
    "the images with the nearest codes, nearest first, and which of them are right."
)
MEANINGS = {
    "code, bits": "The signs that stand for an image: 32 bits are 32 signs. More bits can tell more images apart.",
    "d": "Distance of two codes: the number of bits in which they differ. 0 is the same code. Ordinal codes, as DOH's, "
    "are symbols (numbers) in place of signs, and their distance is the number of symbols that differ.",
    "query": "The image that is searched with. The images that are searched are the database.",
    "method": "The network and the training that made the codes, CSCE-Net or CSQ for instance. Beside it, a second "
    "one can be shown.",
    "shipped encoder": "A small network that comes with this program, trained on drawn birds. The other methods are "
    "those trained on this computer.",
    "right, wrong": "Whether a result shows a species (a class) that the query shows too. Of an image of your own "
    "nobody has said what it shows, so its results are not judged.",
    "AP@all": "Average precision: how far in front the right images stand when the whole database is ranked. 1 is all "
    "of them first; the hardest queries have the lowest.",
    "CAM": "Class activation map: yellow on the places of an image that decide its code.",
    "gallery PNG, ranking CSV": "The pictures that are shown, as a file; the ranking of all database images, as a "
    "table.",
}


class BrowserPage(VBox):
    """A heading, the browser, and explanations to unfold; takes what `QueryBrowser` takes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.browser = QueryBrowser(*arguments, **options)
        self.browser.controls.k.description = "how many"  # after the word "results"; k is the field's word
        meanings = "".join(f"<dt><b>{escape(word)}</b></dt><dd>{escape(text)}</dd>" for word, text in MEANINGS.items())
        head = f'<h1 style="margin:0;font-size:24px;line-height:1.3">{TITLE}</h1>'
        lead = f'<p style="margin:2px 0 4px;max-width:130ch;line-height:1.4">{LEAD}</p>'
        words = f'<details style="line-height:1.4"><summary>What the words mean</summary><dl>{meanings}</dl></details>'
        super().__init__([HTML(head + lead + words), self.browser])
