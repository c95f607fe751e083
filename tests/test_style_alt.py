"""Alt texts: what a screen reader says of every picture, in notebooks, in widgets and in HTML."""

from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cscelab.figures.alt import MOST_TEXTS, alt_text, course, plain, sentences
from cscelab.figures.learning_map import LESSONS, WAYS, learning_map
from cscelab.figures.style import new_figure, shown


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


def test_titles_axes_and_the_curves_numbers_are_said(curves):
    assert alt_text(curves) == "mAP by bits: mAP@all by bits; CSCE-Net 0, 1; CSQ 1, 0."


def test_a_long_curve_is_said_by_its_ends_and_its_extremes():
    assert course([2, 1, 5, 4, 3, 3.5]) == "from 2 to 3.5, lowest 1, highest 5"
    assert course([1, 2, 3, 4, 5, 60000]) == "from 1 to 60,000"
    assert course([0.5, 0.75]) == "0.5, 0.75"
    assert course([-0.1, -0.1]) == "at −0.1"
    assert course([np.nan, np.nan]) == "nowhere"


def test_bars_are_counted_and_the_largest_is_named():
    figure = new_figure(3, 2)
    left, right = figure.subplots(1, 2)
    left.bar(["a", "b", "c"], [1, 7.5, 2], label="queries")
    right.barh([0, 1], [3, -4])
    assert alt_text(figure) == "3 bars (queries), the largest 7.5 at b. 2 bars, the largest −4 at 1."


def test_points_with_error_bars_are_curves_too():
    figure = new_figure(3, 2)
    figure.subplots().errorbar([1, 2], [0.5, 0.7], [0.1, 0.1], label="CSQ")
    assert alt_text(figure) == "CSQ 0.5, 0.7."


def test_a_figure_of_several_axes_says_them_in_order():
    figure = new_figure(3, 2)
    figure.suptitle("Two of them.")
    left, right = figure.subplots(1, 2)
    left.set_title("left one")
    right.set_ylabel("images")
    assert alt_text(figure) == "Two of them. left one. images."


def test_a_title_stands_wherever_it_is_placed():
    for place in ("left", "center", "right"):
        figure = new_figure(2, 2)
        figure.subplots().set_title("here", loc=place)
        assert alt_text(figure) == "here."


@pytest.mark.parametrize(("drawn", "said"), [
    ("$f_l - f_g\\,f_g^T f_{t2}$\n3×3", "f_l - f_g f_g^T f_t2 3×3"), ("$\\mathrm{sign}_d$ of $v$", "sign_d of v"),
    ("$\\bf{AIE}$: $\\theta \\leq 3$", "AIE: θ ≤ 3"), ("costs 5 $", "costs 5"),
])  # fmt: skip
def test_mathematics_becomes_plain_words(drawn, said):
    assert plain(drawn) == said


def test_what_is_too_long_ends_with_a_whole_clause():
    said = sentences(["first", "; ".join(f"part {i}" for i in range(100))], most=60)
    assert said == "first. part 0; part 1; part 2; part 3; part 4; part 5; and more."
    assert sentences(["", "one", "two."]) == "one. two."


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
    assert text.startswith("bird 0 right. bird 1 right.")  # in one line
    assert f"bird {MOST_TEXTS - 1} " in text
    assert f"bird {MOST_TEXTS} " not in text
    assert alt_text(new_figure(1, 1)) == "Drawing without words."
    axes = new_figure(1, 1).subplots()
    axes.imshow([[1, 0]])
    assert alt_text(axes.figure) == "1 picture without words."


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
