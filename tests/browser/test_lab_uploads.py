"""Images of one's own in the QueryBrowser: searched with, or refused in one sentence with the kernel alive."""

from PIL import Image

from browser.controls import click, upload
from cscelab.collection import Query
from cscelab.datasets.decoding import MOST_PIXELS

CELL = "from cscelab.widgets import QueryBrowser, checked; checked(QueryBrowser())"


def test_uploads(run_cell, shipped, tmp_path):
    notebook = run_cell(CELL)
    image = shipped.splits.database.images[40]
    good, text, truncated, huge, empty, large = (
        tmp_path / name for name in ("heron.png", "letter.png", "half.png", "huge.png", "empty.png", "large.png")
    )
    Image.fromarray(image).save(good)
    text.write_text("no picture")
    truncated.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    Image.new("1", (10_000, 10_000)).save(huge)
    empty.write_bytes(b"")
    large.write_bytes(good.read_bytes() + bytes(11_000_000))
    refused = {
        text: "letter.png is no image of a known kind",
        truncated: "half.png is damaged",
        huge: f"more than {MOST_PIXELS // 10**6} megapixels",
        empty: "empty.png is empty",
        large: "large.png has 11.",
    }
    said = notebook.locator(".widget-output [role=status]")
    before = notebook.locator(".csce-query .csce-title").inner_text()
    for file, words in refused.items():
        upload(notebook, "own image", file)
        notebook.until(lambda words=words: said.count() and words in said.inner_text(), f"it says: {words}")
        assert notebook.locator(".csce-query .csce-title").inner_text() == before
    notebook.check()
    for _ in range(2):  # the same file again too
        upload(notebook, "own image", good)
        notebook.until(lambda: "heron.png" in notebook.locator(".csce-query .csce-title").inner_text(), "it is shown")
        found = shipped.find(Query(image, "", "own"), 10)
        tiles = notebook.locator(".csce-tile img").evaluate_all("images => images.map(image => image.alt)")
        expected = [f"rank {rank}: distance {distance}, " for rank, distance in enumerate(found.distances, start=1)]
        assert all(tile.startswith(words) for tile, words in zip(tiles, expected, strict=True))  # none right or wrong
        assert found.distances[0] == 0  # itself
        assert not said.count()
        click(notebook, "back")
        notebook.until(lambda: notebook.locator(".csce-query .csce-title").inner_text() == before, "back again")
    notebook.check()
