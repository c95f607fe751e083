"""Where a bird may be: eight soft painted backgrounds."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cscelab.datasets.species import Colour

# Background -> colours from top to bottom, and the colours that grow there.
BACKGROUNDS: dict[str, tuple[tuple[Colour, ...], tuple[Colour, ...]]] = {
    "forest": (((74, 104, 72), (58, 88, 58), (42, 58, 38)), ((52, 84, 44), (92, 118, 58), (84, 64, 46))),
    "sky": (((104, 160, 210), (168, 204, 228), (226, 234, 232)), ((96, 116, 66), (122, 96, 70), (150, 168, 110))),
    "reeds": (((196, 204, 168), (158, 160, 104), (108, 110, 66)), ((148, 138, 74), (110, 118, 58), (190, 176, 116))),
    "meadow": (((178, 212, 226), (150, 182, 104), (94, 132, 60)), ((88, 134, 58), (136, 164, 74), (206, 188, 84))),
    "water": (((150, 186, 200), (96, 144, 164), (62, 104, 122)), ((60, 98, 84), (112, 130, 84), (140, 170, 176))),
    "dusk": (((92, 78, 124), (206, 128, 112), (244, 192, 128)), ((70, 54, 66), (112, 70, 66), (60, 62, 64))),
    "snow": (((174, 190, 208), (212, 220, 230), (240, 242, 246)), ((96, 88, 84), (130, 140, 132), (206, 214, 224))),
    "rock": (((168, 160, 150), (138, 128, 118), (106, 98, 90)), ((98, 92, 82), (128, 130, 96), (150, 134, 114))),
}


def background(kind: str, side: int, rng: np.random.Generator) -> Image.Image:
    """A background (side x side, RGB), out of focus: painted at half the size and enlarged."""
    small = side // 2
    stops, growth = BACKGROUNDS[kind]
    coarse = small // 2
    height = np.linspace(0, len(stops) - 1, coarse)
    gradient = np.stack([np.interp(height, range(len(stops)), channel) for channel in zip(*stops, strict=True)], -1)
    texture = _noise(coarse, 6, rng) * 16 + _noise(coarse, 28, rng) * 10
    pixels = np.clip(gradient[:, None] + texture[..., None], 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels).resize((small, small), Image.Resampling.BILINEAR)
    _details(kind, ImageDraw.Draw(image), small, growth, rng)
    # Repeating pixels is enough: the finished canvas is averaged down again.
    return image.filter(ImageFilter.BoxBlur(1)).resize((side, side), Image.Resampling.NEAREST)


def _noise(side: int, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise (side, side), `cells` bumps across, of unit deviation before smoothing."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))


def _details(
    kind: str, draw: ImageDraw.ImageDraw, side: int, growth: tuple[Colour, ...], rng: np.random.Generator
) -> None:
    """The large, blurred things by which a kind of place is known."""

    def colour() -> Colour:
        return vary(growth[int(rng.integers(len(growth)))], rng)

    if kind == "forest":
        for x, width, lean in rng.random((7, 3)):
            x0, x1, half = x * side, (x + 0.16 * (lean - 0.5)) * side, (0.015 + 0.035 * width) * side
            draw.polygon([x0 - half, side, x1 - half * 0.7, 0, x1 + half * 0.7, 0, x0 + half, side], fill=colour())
        for x, y, size in rng.random((14, 3)):
            ellipse(draw, x * side, y * side, (0.05 + 0.10 * size) * side, 0.7, colour())
    elif kind == "reeds":
        for x, lean, height in rng.random((26, 3)):
            x0, x1, top = x * side, (x + 0.5 * (lean - 0.5)) * side, (1 - 0.4 - 0.7 * height) * side
            draw.polygon([x0 - 0.012 * side, side, x1, top, x0 + 0.012 * side, side], fill=colour())
    elif kind == "meadow":
        for x, y, size in rng.random((40, 3)):
            depth = 0.42 + 0.58 * y
            length = (0.04 + 0.16 * size) * depth * side
            x0, y0 = x * side, depth * side
            draw.polygon([x0, y0, x0 + 0.3 * length, y0 - length, x0 + 0.03 * side, y0], fill=colour())
    elif kind in ("water", "rock"):
        for x, y, length in rng.random((22, 3)):
            if kind == "water":
                ellipse(draw, x * side, y * side, (0.05 + 0.2 * length) * side, 0.09, colour())
            else:
                corners = np.sort(rng.random(6)) * 2 * np.pi
                radius = (0.06 + 0.16 * length) * side
                stone = np.stack([x * side + radius * np.cos(corners), y * side + 0.7 * radius * np.sin(corners)], 1)
                draw.polygon(stone.ravel().tolist(), fill=colour())
    elif kind == "sky":
        for x, y in rng.random((4, 2)):
            for dx, size in rng.random((5, 2)):
                ellipse(draw, (x + 0.3 * dx) * side, y * side, (0.04 + 0.08 * size) * side, 0.55, (238, 242, 244))
    else:  # hills: dusk has a sun, snow has flakes
        if kind == "dusk":
            x, y = rng.random(2)
            ellipse(draw, x * side, (0.35 + 0.3 * y) * side, 0.11 * side, 1.0, (252, 214, 150))
        for layer in range(3):
            level, swing, shift = rng.random(3)
            xs = np.linspace(0, side, 12)
            ridge = (0.5 + 0.16 * layer + 0.1 * level) * side
            ys = ridge - (0.04 + 0.1 * swing) * side * np.sin(xs / side * (4 + 3 * swing) + 6 * shift)
            draw.polygon([0, side, *np.stack([xs, ys], 1).ravel().tolist(), side, side], fill=colour())
        if kind == "snow":
            for x, y, size in rng.random((40, 3)):
                ellipse(draw, x * side, y * side, (0.006 + 0.012 * size) * side, 1.0, (250, 250, 252))


def vary(colour: Colour, rng: np.random.Generator, amount: int = 14) -> Colour:
    """The colour moved a little, all channels together and each alone."""
    *shifts, common = rng.integers(-amount, amount + 1, 4).tolist()
    red, green, blue = (min(max(c + common + s // 2, 0), 255) for c, s in zip(colour, shifts, strict=True))
    return red, green, blue


def brighten(colour: Colour, gain: float) -> Colour:
    """The colour made darker (below one) or brighter (above one)."""
    return (int(min(colour[0] * gain, 255)), int(min(colour[1] * gain, 255)), int(min(colour[2] * gain, 255)))


def ellipse(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, flat: float, colour: Colour) -> None:
    draw.ellipse((x - radius, y - radius * flat, x + radius, y + radius * flat), fill=colour)
