"""Controls and pictures of a widget, found by the words beside them, as a person finds them."""

import re
from base64 import b64decode
from io import BytesIO

import numpy as np
from PIL import Image

from browser.lab import Notebook
from cscelab.figures.style import alt_text

PICTURES = ".widget-output img"
TYPE_AND_ENTER = """(box, text) => {
    box.textContent = text;
    box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', keyCode: 13, bubbles: true, cancelable: true}));
}"""


def control(notebook: Notebook, kind: str, label: str, nth: int = 0):
    """The control of a kind ("hslider", "dropdown", "text" ...) that has this label."""
    words = notebook.page.locator(".widget-label", has_text=re.compile(f"^{re.escape(label)}$"))
    return notebook.page.locator(f".widget-{kind}", has=words).nth(nth)


def step_slider(notebook: Notebook, label: str, steps: int = 1, nth: int = 0) -> str:
    """Moves a slider by arrow keys, to the left where steps is negative; its readout afterwards."""
    slider = control(notebook, "hslider", label, nth)
    slider.locator(".noUi-handle").focus()
    for _ in range(abs(steps)):
        notebook.page.keyboard.press("ArrowRight" if steps > 0 else "ArrowLeft")
    return slider.locator(".widget-readout").inner_text()


def set_slider(notebook: Notebook, label: str, value: float | int, nth: int = 0) -> None:
    """Types a number into a slider's readout and presses Enter, both in one event of the page: a message from the
    kernel between the two would bring the old number back."""
    readout = control(notebook, "hslider", label, nth).locator(".widget-readout")
    readout.click()
    readout.evaluate(TYPE_AND_ENTER, str(value))


def choose(notebook: Notebook, label: str, option: str, nth: int = 0) -> None:
    control(notebook, "dropdown", label, nth).locator("select").select_option(label=option)


def chosen(notebook: Notebook, label: str, nth: int = 0) -> str:
    select = control(notebook, "dropdown", label, nth).locator("select")
    return select.evaluate("select => select.selectedOptions[0].label")


def button(notebook: Notebook, words: str):
    """The button with exactly these words, of its own or of a group of them; an upload's count of files aside."""
    return notebook.page.locator(".jupyter-button", has_text=re.compile(rf"^\s*{re.escape(words)}( \(\d+\))?\s*$"))


def click(notebook: Notebook, words: str) -> None:
    button(notebook, words).first.click()


def tick(notebook: Notebook, words: str) -> None:
    """Ticks or unticks a checkbox."""
    notebook.page.locator(".widget-checkbox", has_text=words).locator("input").click()


def write(notebook: Notebook, label: str, text: str) -> None:
    """Types into a field and presses Enter."""
    field = control(notebook, "text", label).locator("input")
    field.fill(text)
    field.press("Enter")


def upload(notebook: Notebook, words: str, *files) -> None:
    """Chooses files in the window that the button opens."""
    with notebook.page.expect_file_chooser() as chooser:
        click(notebook, words)
    chooser.value.set_files([str(file) for file in files])


def press(notebook: Notebook, *keys: str) -> None:
    """Presses keys where the focus is."""
    for key in keys:
        notebook.page.keyboard.press(key)


def alt(notebook: Notebook, nth: int = 0) -> str:
    """What the widget's picture says to those who do not see it."""
    return notebook.page.locator(PICTURES).nth(nth).get_attribute("alt") or ""


def picture(notebook: Notebook, nth: int = 0) -> np.ndarray:
    """The widget's picture, uint8 (H, W, 3)."""
    source = notebook.page.locator(PICTURES).nth(nth).get_attribute("src")
    return pixels(b64decode(source.split(",", 1)[1]))


def pixels(png: bytes) -> np.ndarray:
    with Image.open(BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def wait_for_picture(notebook: Notebook, figure, nth: int = 0) -> None:
    """Until the widget shows exactly the figure that was drawn here, pixel by pixel, and says what it says."""
    expected, said = pixels(figure._repr_png_()), alt_text(figure)
    try:
        notebook.until(lambda: np.array_equal(picture(notebook, nth), expected), "the picture is the one expected")
    except AssertionError as error:
        shape = picture(notebook, nth).shape
        raise AssertionError(
            f"{error}\nexpected {expected.shape}: {said}\nshown {shape}: {alt(notebook, nth)}"
        ) from error
    assert alt(notebook, nth) == said
    notebook.check()


def wait_for_alt(notebook: Notebook, *words: str, nth: int = 0) -> None:
    """Until the text of the widget's picture has all these words."""
    notebook.until(lambda: all(word in alt(notebook, nth) for word in words), f"the picture says {words}")
    notebook.check()
