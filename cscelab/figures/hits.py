"""A row of retrieved images: each with a frame, a mark, its distance and its class. Lengths in inches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cscelab.datasets.base import ImageSet
from cscelab.figures.mosaic import LINE, POINT, Mosaic, wrap
from cscelab.figures.style import BLACK, GREY, verdict
from cscelab.neighbours import Neighbours, name_of

GAP = 0.07
SMALL = 7.5  # points, of class names
TEXT = 9.0
NAME_LINES = 4  # "rufous-breasted heather kingfisher" under an image of 0.7 inches


@dataclass(frozen=True)
class Hits:
    """images: uint8 (k, H, W, 3), as they are shown; names: the wrapped class name under each; judged: whether right
    and wrong are known; without that, frames are grey and dotted and there are no marks."""

    found: Neighbours
    images: np.ndarray
    names: list[list[str]]
    side: float
    judged: bool = True

    @property
    def height(self) -> float:
        """Of the images and what stands under them."""
        return self.side + (TEXT + max(map(len, self.names), default=0) * SMALL) * LINE * POINT + 0.14

    def draw(self, sheet: Mosaic, x: float, y: float) -> None:
        """The row with its top left corner at x, y."""
        for image, distance, is_right, name in zip(self.images, *self.found[1:], self.names, strict=True):
            colour, mark, line = verdict(bool(is_right)) if self.judged else (GREY, "", ":")
            sheet.picture(x, y, self.side, image, edge=colour, line=line)
            below = y + self.side + 0.05
            words = f"{mark} d={distance}".strip()
            sheet.text(x, below, words, TEXT, color=colour if self.judged else BLACK, weight="bold")
            sheet.text(x, below + TEXT * LINE * POINT, "\n".join(name), SMALL)
            x += self.side + GAP


def hits_of(
    found: Neighbours, database: ImageSet, class_names: tuple[str, ...], side: float, judged: bool = True
) -> Hits:
    """What was found in a database, with class names wrapped to the images' width."""
    labels = database.labels[found.rows]
    names = [wrap(name_of(label, class_names), side, SMALL, NAME_LINES) for label in labels]
    return Hits(found, database.images[found.rows], names, side, judged)
