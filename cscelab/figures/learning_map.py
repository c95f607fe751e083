"""The learning map of the course: which notebook builds on which, and three ways through.

`python -m cscelab.figures.learning_map` draws it again into figures/learning-map.png and .svg.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon, Rectangle

from cscelab.figures.boxes import FONT, Box, Canvas
from cscelab.figures.style import BLACK, BLUE, SKY, VERMILION, save, styled


class Lesson(NamedTuple):
    """A notebook on the map: its title, the notebooks it builds on from the top down, and its place."""

    title: str
    builds_on: tuple[str, ...]
    column: int
    row: float  # from the top


class Way(NamedTuple):
    """A way through the course for one kind of reader."""

    sentence: str
    lessons: tuple[str, ...]
    colour: str
    shape: str  # of its mark, so that colour alone tells nothing


LESSONS = {
    "00": Lesson("start here", (), 0, 2),
    "01": Lesson("Hadamard\ncenters", ("00",), 1, 0),
    "02": Lesson("dynamic sign", ("00",), 1, 1),
    "03": Lesson("anatomy of\nCSCE-Net", ("00",), 1, 2),
    "04": Lesson("losses and\nmargins", ("01",), 2, 0),
    "05": Lesson("training and\nablations", ("04", "02", "03"), 3, 1),
    "06": Lesson("CAM", ("03",), 2, 2),
    "07": Lesson("top-10\ngalleries", ("00",), 1, 3),
    "08": Lesson("evaluation\nand its traps", ("00",), 1, 4),
    "09": Lesson("query browser", ("06", "07", "08"), 3, 3),
    "10": Lesson("compared\nmethods", ("04",), 3, 0),
    "11": Lesson("ExchNet:\nparts, exchange", ("10",), 4, 0),
    "12": Lesson("DOH:\nordinal codes", ("10",), 4, 1),
}
WAYS = {
    "L": Way("I teach, and have one lecture", ("00", "01", "04", "08"), BLUE, "circle"),
    "R": Way("I do research", ("00", "08", "03", "05", "10", "11", "12"), VERMILION, "square"),
    "F": Way("I have a folder of images", ("00", "07", "09"), BLACK, "diamond"),
}

# Inches: size of a box, from one to the next, the first box's left and top, the room below for the ways.
WIDTH, HEIGHT = 1.75, 0.62
COLUMN, ROW = 2.55, 0.9
LEFT, TOP = 0.35, 0.75
LINE, MARK = 0.33, 0.1


@styled()
def learning_map(lessons: Mapping[str, Lesson] = LESSONS, ways: Mapping[str, Way] = WAYS) -> Figure:
    """Boxes are notebooks, arrows lead to what builds on them, marks say on which way through a notebook lies."""
    rows = max(lesson.row for lesson in lessons.values())
    below = LINE * len(ways) + 0.3
    canvas = Canvas(TOP + rows * ROW + HEIGHT + 0.35 + below)
    boxes = {
        number: canvas.block(
            LEFT + lesson.column * COLUMN,
            canvas.height - TOP - lesson.row * ROW - HEIGHT / 2,
            f"{number}  {lesson.title}",
            SKY,
            WIDTH,
            HEIGHT,
        )
        for number, lesson in lessons.items()
    }
    for number, lesson in lessons.items():
        for index, earlier in enumerate(lesson.builds_on):
            spread = 0.16 * (index - (len(lesson.builds_on) - 1) / 2)  # heads beside each other
            before = lessons[earlier]
            blocked = any(
                other.row == before.row and before.column < other.column < lesson.column for other in lessons.values()
            )
            _arrow(canvas, boxes[earlier], boxes[number], -spread, ROW / 2 if blocked else 0)
    for number, box in boxes.items():
        through = [(letter, way) for letter, way in ways.items() if number in way.lessons]
        for place, (letter, way) in enumerate(through):
            _mark(canvas, box.right - 0.18 - 0.27 * place, box.top, letter, way)
    for place, (letter, way) in enumerate(ways.items()):
        y = below - 0.15 - place * LINE
        _mark(canvas, LEFT + 0.1, y, letter, way)
        canvas.text(LEFT + 0.35, y, f"{way.sentence}: {' → '.join(way.lessons)}", ha="left")
    columns = max(lesson.column for lesson in lessons.values())
    figure = canvas.finish(
        2 * LEFT + columns * COLUMN + WIDTH, "Which notebook builds on which, and three ways through"
    )
    figure.alt = description(lessons, ways)  # type: ignore[attr-defined]
    return figure


def description(lessons: Mapping[str, Lesson] = LESSONS, ways: Mapping[str, Way] = WAYS) -> str:
    """The map in words."""
    steps = [
        f"{number} {' '.join(lesson.title.split())}"
        + (f" after {' and '.join(lesson.builds_on)}" if lesson.builds_on else " comes first")
        for number, lesson in lessons.items()
    ]
    paths = [f"{way.sentence}: {', '.join(way.lessons)}" for way in ways.values()]
    return f"Learning map. {'; '.join(steps)}. Ways through: {'; '.join(paths)}."


def _arrow(canvas: Canvas, start: Box, end: Box, shift: float, around: float) -> None:
    """From a box to a later one, which it meets `shift` above its middle; `around`: how far it rises on its way to
    pass above a box between them."""
    (x0, y0), (x1, y1) = start.east, end.west
    rise = [(x0 + 0.25, y0), (x0 + 0.6, y0 + around)] if around else []
    canvas.arrow((x0, y0), *rise, (x1 - 0.55, y0 + around), (x1 - 0.2, y1 + shift), (x1, y1 + shift))


def _mark(canvas: Canvas, x: float, y: float, letter: str, way: Way) -> None:
    """A letter on a disc, a square or a diamond around (x, y)."""
    look: dict[str, Any] = {"fc": way.colour, "ec": "white", "lw": 1.0, "zorder": 5}
    if way.shape == "circle":
        canvas.axes.add_patch(Circle((x, y), MARK * 1.1, **look))
    elif way.shape == "square":
        canvas.axes.add_patch(Rectangle((x - MARK, y - MARK), 2 * MARK, 2 * MARK, **look))
    else:
        r = MARK * 1.4
        canvas.axes.add_patch(Polygon([(x - r, y), (x, y + r), (x + r, y), (x, y - r)], **look))
    canvas.text(x, y, letter, size=FONT - 2.5, color="white", weight="bold")


def main() -> None:
    for path in save(learning_map(), "figures/learning-map"):
        print(path)


if __name__ == "__main__":
    main()
