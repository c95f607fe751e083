"""Diagrams tell the truth: every traced shape is written in them, and files of the same figure have the same bytes."""

import numpy as np
import pytest
from matplotlib import pyplot, rcParams
from matplotlib.figure import Figure
from matplotlib.text import Text

from cscelab.figures.diagrams import aie_diagram, network_diagram, windows_diagram
from cscelab.figures.style import PALETTE, new_figure, save, styled, tint, verdict
from cscelab.model.backbone import BackboneConfig
from cscelab.model.network import HashNetwork, NetworkConfig, trace_shapes


def build(structure: str = "aie", image_size: int = 112, bits: int = 16, **options) -> HashNetwork:
    options = {"backbone": BackboneConfig("tiny", "none")} | options
    return HashNetwork(NetworkConfig(image_size=image_size, structure=structure, **options), bits)


def words(figure: Figure) -> list[str]:
    """Every line of text in a figure."""
    return [line for text in figure.findobj(Text) for line in text.get_text().splitlines()]


def written(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape[1:]))


SHOWN_IN_NETWORK = (
    *("images", "backbone.stem", "backbone.stage3", "backbone.stage4", "windows.reduce.0", "windows.reduce.1"),
    *("windows", "local.context.fields.0", "local.context", "local.attention", "local.features", "norm"),
)


@pytest.mark.parametrize("image_size", [64, 112, 160])
def test_network_diagram_writes_every_traced_shape(image_size):
    network = build(image_size=image_size, bits=24)
    shapes, lines = trace_shapes(network), words(network_diagram(network))
    for name in SHOWN_IN_NETWORK:
        assert written(shapes[name]) in lines, name
    assert {"$v$: 24", "$b$: 24", "$t$: 1", "3×3 rate 3", "3×3 rate 6", "3×3 rate 9"} <= set(lines)


def test_network_diagram_of_resnet50_shows_the_papers_shapes():
    lines = words(network_diagram(build(image_size=224, backbone=BackboneConfig("resnet50", "none"))))
    for shape in ("3×224×224", "1024×14×14", "2048×7×7", "256×7×7", "64×7×7", "1×14×14", "1024×52", "2048"):
        assert shape in lines
    assert lines.count("1024×14×14") == 3  # f_3, f_MA and f_l
    assert "36 of 2×2" in lines
    assert "16 of 4×4" in lines


def test_other_settings_give_other_pictures():
    lines = words(network_diagram(build(aspp_rates=(2, 5), aspp_width=8, feature_norm="batch")))
    assert {"3×3 rate 2", "3×3 rate 5", "8×14×14", "$f_e$, BN"} <= set(lines)
    assert "3×3 rate 3" not in lines
    released = words(network_diagram(build(local="released", aie_normalize="frobenius")))
    assert "1×1 conv, BN" in released
    assert not any("rate" in line for line in released)
    assert any("Vert" in line for line in released)


@pytest.mark.parametrize(
    ("structure", "present", "absent"),
    [
        ("baseline", {"mean pool", "128"}, {"local branch", "global branch", "$\\bf{AIE}$", "concat"}),
        ("local", {"mean pool", "local branch", "concat", "192"}, {"global branch", "$\\bf{AIE}$"}),
        ("sw2", {"global branch", "36 of 2×2", "64×36"}, {"local branch", "$\\bf{AIE}$", "16 of 4×4"}),
        ("sw4", {"global branch", "16 of 4×4", "64×16"}, {"local branch", "36 of 2×2"}),
        ("sw2+sw4", {"global branch", "36 of 2×2", "64×52"}, {"local branch", "mean pool"}),
        ("aie", {"global branch", "local branch", "$\\bf{AIE}$"}, {"mean pool"}),
    ],
)
def test_network_diagram_leaves_out_what_does_not_exist(structure, present, absent):
    lines = set(words(network_diagram(build(structure))))
    assert present <= lines
    assert not absent & lines


def test_a_network_without_threshold_layer_has_no_dynamic_sign():
    lines = words(network_diagram(build(threshold_layer=False)))
    assert "sign" in lines
    assert "DSF" not in lines
    assert "$t$: 1" not in lines


def test_the_given_image_is_the_one_shown():
    image = np.zeros((20, 30, 3), np.uint8)
    image[5, 7] = (255, 128, 0)
    axes = network_diagram(build(), image).axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), image)
    assert not network_diagram(build()).axes[0].images


@pytest.mark.parametrize(
    "image", [np.zeros((3, 20, 20), np.uint8), np.zeros((20, 20, 3)), np.zeros((20, 20), np.uint8)]
)
def test_an_image_of_another_form_is_refused(image):
    with pytest.raises(ValueError, match=r"give one \(H, W, 3\) of uint8"):
        network_diagram(build(), image)


@pytest.mark.parametrize(("image_size", "side"), [(64, 4), (112, 7), (160, 10)])
def test_windows_diagram_counts_positions_and_lengths(image_size, side):
    network = build(image_size=image_size)
    lines = words(windows_diagram(network))
    for size, channels in ((2, 16), (4, 4)):
        count = len([(row, column) for row in range(side - size + 1) for column in range(side - size + 1)])
        assert f"({side} − {size} + 1)² = {count} position{'s' if count > 1 else ''}" in lines
        assert f"one window = {channels}×{size}×{size}" in lines
        assert f"{channels}×{side}×{side}" in lines
        assert f"64×{count}" in lines
        assert lines.count(str(count)) >= 2  # the last window: on the map and over its vector
    assert written(trace_shapes(network)["windows"]) in lines


def test_windows_are_drawn_where_they_lie():
    figure = windows_diagram(build("sw4"))
    outlines = [patch for patch in figure.axes[0].patches if patch.get_linewidth() == 2.6]
    cell = 1.9 / 7
    lefts = sorted(patch.get_x() for patch in outlines)
    tops = sorted(patch.get_y() + patch.get_height() for patch in outlines)
    assert [patch.get_width() for patch in outlines] == pytest.approx([4 * cell] * 3)
    assert np.subtract(lefts, lefts[0]) / cell == pytest.approx([0, 1, 3])  # first, next, last of four columns
    assert np.subtract(tops, tops[-1]) / cell == pytest.approx([-3, 0, 0])
    assert len({patch.get_linestyle() for patch in outlines}) == 3  # apart without colour too


def test_aie_diagram_writes_the_shapes_of_equations_3_and_4():
    network = build(image_size=64)
    shapes, lines = trace_shapes(network), words(aie_diagram(network))
    for name in ("windows", "local.features", "aie.mix", "aie"):
        assert written(shapes[name]) in lines
    assert lines.count("64×8×8") == 3  # f_l, what repeats, what is left
    assert "10×64" in lines  # 9 + 1 windows by 8 x 8 places
    assert "10 windows" in lines
    assert not any("Vert" in line for line in lines)
    assert any("Vert" in line for line in words(aie_diagram(build(aie_normalize="frobenius"))))


def test_figures_of_absent_parts_are_refused():
    for structure in ("baseline", "local"):
        with pytest.raises(ValueError, match=f"structure '{structure}' has no sliding windows; draw one of"):
            windows_diagram(build(structure))
    for structure in ("baseline", "local", "sw2", "sw2+sw4"):
        with pytest.raises(ValueError, match="has no AIE; draw structure 'aie'"):
            aie_diagram(build(structure))


@pytest.mark.parametrize("draw", [network_diagram, windows_diagram, aie_diagram])
@pytest.mark.parametrize("image_size", [64, 112, 224])
def test_no_text_is_clipped_or_overlaps_another(draw, image_size):
    figure = draw(build(image_size=image_size, aie_normalize="frobenius", bits=128))
    figure.canvas.draw()
    page = figure.bbox
    boxes = [(t.get_text(), t.get_window_extent()) for t in figure.axes[0].texts if t.get_text()]
    for text, box in boxes:
        inside = page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
        assert inside, f"{text!r} leaves the page"
    for index, (text, box) in enumerate(boxes):
        for other, other_box in boxes[index + 1 :]:
            assert not box.padded(-1).overlaps(other_box.padded(-1)), f"{text!r} lies on {other!r}"


def test_drawing_leaves_nothing_behind():
    network = build().train()
    before, figures = dict(rcParams), pyplot.get_fignums()
    for draw in (network_diagram, windows_diagram, aie_diagram):
        draw(network)
    assert dict(rcParams) == before
    assert pyplot.get_fignums() == figures
    assert network.training


def test_a_figure_displays_itself_in_a_notebook():
    assert aie_diagram(build())._repr_png_().startswith(b"\x89PNG")


def test_saving_twice_gives_the_same_bytes(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    network = build()
    first = save(network_diagram(network, image), tmp_path / "new" / "first.v1")
    second = save(network_diagram(network, image), tmp_path / "second")
    assert [path.name for path in first] == ["first.v1.png", "first.v1.svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert one.stat().st_size < 400_000
    assert b"date" not in first[1].read_bytes()
    with pytest.raises(ValueError, match="give the path without it"):
        save(new_figure(1, 1), tmp_path / "figure.png")


def test_style_is_told_by_more_than_colour():
    right, wrong = verdict(True), verdict(False)
    assert all(one != other for one, other in zip(right, wrong, strict=True))
    assert len(set(PALETTE)) == 8
    assert tint("#0072B2", 0) == (1, 1, 1)
    assert tint("#000000", 0.25) == (0.75, 0.75, 0.75)
    with pytest.raises(ValueError, match="from 0 \\(white\\) to 1"):
        tint("#000000", 1.5)
    with styled():
        assert rcParams["svg.hashsalt"] == "cscelab"
