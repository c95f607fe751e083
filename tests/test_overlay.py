"""Maps over images: where a map is low the image is seen, where it is high its colour, and parts show through."""

import numpy as np
import pytest
from matplotlib import colormaps

from cscelab.figures.overlay import COLOURS, FADED, OPACITY, overlaid

GREYS = np.array([[[[0] * 3, [255] * 3]] * 2], np.uint8)  # dark left, bright right


def test_nothing_covers_the_image_where_the_map_is_lowest():
    assert np.array_equal(overlaid(GREYS, np.zeros((1, 2, 2))), GREYS)  # grey has no colours to fade
    red = np.full((1, 1, 1, 3), (200, 0, 0), np.uint8)
    grey = 0.299 * 200
    shown = overlaid(red, np.zeros((1, 1, 1)))[0, 0, 0]
    assert shown == pytest.approx([200 - FADED * (200 - grey), FADED * grey, FADED * grey], abs=0.5)


def test_cover_rises_with_the_map_and_the_image_shows_through_its_peak():
    seen = [np.ptp(overlaid(GREYS, np.full((1, 2, 2), value))[0, 0, :, 0].astype(int)) for value in (0, 0.5, 1)]
    assert seen == pytest.approx([255, 255 * (1 - OPACITY / 2), 255 * (1 - OPACITY)], abs=1)
    top = np.array(colormaps[COLOURS](1.0)[:3]) * 255
    assert overlaid(GREYS, np.ones((1, 2, 2)))[0, 0, 0] == pytest.approx(OPACITY * top, abs=1)


def test_opacity_is_chosen_and_an_impossible_one_refused():
    ones = np.ones((1, 2, 2))
    assert np.array_equal(overlaid(GREYS, ones, opacity=0), GREYS)
    assert np.ptp(overlaid(GREYS, ones, opacity=1)[0], axis=1).max() == 0  # the map alone
    with pytest.raises(ValueError, match=r"an opacity of 1.2 was asked for; give a number from 0 .* to 1"):
        overlaid(GREYS, ones, opacity=1.2)
