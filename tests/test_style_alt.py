"""Alt texts: what a screen reader says of every picture, in notebooks, in widgets and in HTML."""

from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cscelab.figures.learning_map import LESSONS, WAYS, learning_map
from cscelab.figures.style import MOST_TEXTS, alt_text, new_figure, shown


class Images(HTMLParser):
    """The attributes of every <img> in a text."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.found.append(dict(attrs))


@pytest.fixture
def curves():
    figure = new_figure(3, 2)
    axes = figure.subplots()
    axes.plot([0, 1], label="CSCE-Net")
    axes.plot([1, 0], label="CSQ")
    axes.set_title("mAP by bits", loc="left")
    axes.set(xlabel="bits", ylabel="mAP@all")
    axes.legend()
    return figure


def test_titles_axes_and_curves_are_said(curves):
    assert alt_text(curves) == "Figure: mAP by bits; x: bits; y: mAP@all; shows CSCE-Net, CSQ."


def test_a_figure_of_several_axes_says_them_in_order(curves):
    figure = new_figure(3, 2)
    figure.suptitle("Two of them.")
    left, right = figure.subplots(1, 2)
    left.set_title("left one")
    right.set_ylabel("images")
    assert alt_text(figure) == "Figure: Two of them. left one. y: images."


def test_a_title_stands_wherever_it_is_placed():
    for place in ("left", "center", "right"):
        figure = new_figure(2, 2)
        figure.subplots().set_title("here", loc=place)
        assert alt_text(figure) == "Figure: here."


def test_ones_own_words_win(curves):
    curves.alt = "CSQ falls while CSCE-Net rises"
    assert alt_text(curves) == "CSQ falls while CSCE-Net rises"
    assert shown(curves)["text/plain"] == curves.alt


def test_a_mosaic_says_its_first_texts_and_an_empty_figure_that_it_has_none():
    figure = new_figure(2, 2)
    axes = figure.add_axes((0, 0, 1, 1))
    for number in range(MOST_TEXTS + 5):
        axes.text(0, 0, f"bird {number}\nright")
    text = alt_text(figure)
    assert text.startswith("Figure: bird 0 right. bird 1 right.")  # in one line
    assert f"bird {MOST_TEXTS - 1} " in text
    assert f"bird {MOST_TEXTS} " not in text
    assert alt_text(new_figure(1, 1)) == "Figure: no text."


def test_what_jupyter_shows_is_one_image_with_the_alt_text_and_the_same_png(curves):
    data = curves._repr_mimebundle_()
    (image,) = Images(data["text/html"]).found
    assert image["alt"] == data["text/plain"] == alt_text(curves)
    scheme, encoded = image["src"].split(",", 1)
    assert scheme == "data:image/png;base64"
    assert encoded == data["image/png"]
    with Image.open(BytesIO(b64decode(encoded))) as picture:
        assert picture.size == (300, 200)
        assert np.asarray(picture.convert("L")).std() > 1  # something is drawn


def test_alt_texts_cannot_break_out_of_their_attribute():
    figure = new_figure(1, 1)
    figure.alt = 'a "quoted" <b>name</b> & more'
    html = shown(figure)["text/html"]
    (image,) = Images(html).found
    assert image["alt"] == figure.alt
    assert "<b>" not in html


def test_the_learning_map_says_every_lesson_and_every_way():
    text = alt_text(learning_map())
    for number, lesson in LESSONS.items():
        assert f"{number} {' '.join(lesson.title.split())}" in text
    for way in WAYS.values():
        assert f"{way.sentence}: {', '.join(way.lessons)}" in text
