"""One query's activation maps to look around in: any layer, extractor, and code to explain, method beside method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure

from cscelab.collection import Collection
from cscelab.datasets.loader import as_tensor
from cscelab.explain import LAYERS, code_cams, mass_inside
from cscelab.figures.cams import COLOURS, COVER
from cscelab.figures.mosaic import LINE, POINT, Mosaic, wrap
from cscelab.figures.provenance import stamp
from cscelab.figures.style import styled

TARGETS = {"its own code": "own", "the nearest image's code": "nearest", "a class's center": "center"}
SIDE, GAP, MARGIN, SIZE = 2.5, 0.25, 0.15, 9.0  # inches, and points
HEAD = 0.95  # inches above the pictures


@dataclass(frozen=True)
class Explained:
    """A map (H, W) in [0, 1], of the code that `words` name; agreement: (1/K) sum_k v_k b_k; ratio: `mass_inside`, NaN
    where the target is hidden or the map is empty, None without masks; other: the image whose code it is."""

    cam: np.ndarray
    words: str
    agreement: float
    ratio: float | None
    other: np.ndarray | None = None


def layers_of(collection: Collection) -> list[str]:
    """The layers of its network that can be explained."""
    return [layer for layer in LAYERS if layer != "local" or hasattr(collection.method.network, "local")]


def explain_query(
    collection: Collection,
    row: int = 0,
    target: str = "own",
    number: int = 0,
    layer: str = "stage4",
    extractor: str = "GradCAM",
) -> Explained:
    """The activation map of a query for its "own" code, the code of the "nearest" database image, or the "center" of
    class `number`. Raises ValueError for another target, or a method without centers."""
    query = collection.query(row)
    code, values = collection.code_of(query)
    words, other = "its own code", None
    if target == "nearest":
        found = collection.find(query, 1)
        nearest = collection.query(int(found.rows[0]), "database")
        code, other = collection.code_of(nearest)[0], nearest.image
        words = f"the code of {nearest.title}, at distance {found.distances[0]}"
    elif target == "center":
        code, words = _center(collection, number), f"the center of {collection.class_names[number]}"
    elif target != "own":
        raise ValueError(f"unknown target {target!r}; choose from {sorted(TARGETS.values())}")
    codes = torch.from_numpy(np.asarray(code, np.float32))[None]
    cam = code_cams(collection.method, as_tensor(query.image[None]), layer, extractor, codes).numpy()
    masks = collection.splits.query.masks
    ratio = None if masks is None else float(mass_inside(cam, masks[[row]])[0])
    return Explained(cam[0], words, float((code * values.astype(np.float64)).mean()), ratio, other)


def _center(collection: Collection, number: int) -> np.ndarray:
    centers = getattr(collection.method, "centers", None)
    if centers is None:
        raise ValueError(f"{collection.title} has no hash centers; explain its own code or the nearest image's")
    if not 0 <= number < len(centers):
        raise ValueError(f"class {number} was asked for; there are classes 0 to {len(centers) - 1}")
    return np.asarray(centers[number])


@styled()
def explained_figure(
    collections: Collection | Mapping[str, Collection],
    row: int = 0,
    target: str = "own",
    number: int = 0,
    layer: str = "stage4",
    extractor: str = "GradCAM",
    opacity: float = COVER,
) -> Figure:
    """The query, and beside it for each collection its map, what is explained, the agreement and `mass_inside`."""
    given = as_mapping(collections)
    maps = {
        name: explain_query(collection, row, target, number, layer, extractor) for name, collection in given.items()
    }
    return draw_explained(given, row, maps, f"{extractor}, {layer}", opacity)


@styled()
def draw_explained(
    collections: Mapping[str, Collection], row: int, maps: Mapping[str, Explained], title: str, opacity: float = COVER
) -> Figure:
    """The picture of maps that are there already. Raises ValueError for an opacity outside 0 to 1."""
    if not 0 <= opacity <= 1:
        raise ValueError(f"an opacity of {opacity} was asked for; choose one from 0 to 1")
    first = next(iter(collections.values()))
    query, masks = first.query(row), first.splits.query.masks
    outline = None if masks is None else masks[row]
    captions = [[query.title.capitalize(), ""]]
    pictures: list[tuple[np.ndarray, np.ndarray | None, str]] = [(query.image, None, "image")]
    for name, shown in maps.items():
        pictures.append((query.image, shown.cam, name))
        captions.append([_ratio(shown), f"agreement {shown.agreement:+.2f} with {shown.words}"])
        if shown.other is not None:
            pictures.append((shown.other, None, f"nearest by {name}" if len(maps) > 1 else "nearest image"))
            captions.append(["", ""])
    lines = [[line for part in parts if part for line in wrap(part, SIDE + 0.05, SIZE)] for parts in captions]
    height = HEAD + SIDE + 0.15 + max(map(len, lines)) * LINE * SIZE * POINT + 0.1
    sheet = Mosaic(2 * MARGIN + len(pictures) * (SIDE + GAP), height)
    sheet.text(MARGIN, 0.12, f"Where in the image the bits come from: {title}", 12, weight="bold")
    for index, ((image, cam, name), words) in enumerate(zip(pictures, lines, strict=True)):
        x = MARGIN + index * (SIDE + GAP)
        sheet.text(x, HEAD - 0.07, name, SIZE + 1, va="bottom", weight="bold")
        sheet.text(x, HEAD + SIDE + 0.08, "\n".join(words), SIZE)
        if cam is None:
            sheet.picture(x, HEAD, SIDE, image)
            continue
        sheet.picture(x, HEAD, SIDE, image.mean(axis=2), cmap="gray", vmin=0, vmax=255)
        sheet.picture(x, HEAD, SIDE, cam, cmap=COLOURS, vmin=0, vmax=1, alpha=opacity, outline=outline)
    _key(sheet, MARGIN)
    said = "; ".join(f"{name}: {_ratio(s)}, agreement {s.agreement:+.2f} with {s.words}" for name, s in maps.items())
    sheet.figure.alt = f"Activation maps of {query.title} ({title}). {said}."  # type: ignore[attr-defined]
    if any(collection.smoke for collection in collections.values()):
        stamp(sheet.figure)
    return sheet.figure


def as_mapping(collections: Collection | Mapping[str, Collection]) -> dict[str, Collection]:
    """Collections by name. Raises ValueError where there are none or their queries differ."""
    given = dict(collections) if isinstance(collections, Mapping) else {collections.title: collections}
    if not given:
        raise ValueError("no collection was given; give at least one, as shipped_collection()")
    first, *others = given.values()
    for other in others:
        if not np.array_equal(first.splits.query.images[:8], other.splits.query.images[:8]):
            raise ValueError(f"{first.title} and {other.title} have other queries; compare methods on the same data")
    return given


def _ratio(shown: Explained) -> str:
    if shown.ratio is None:
        return "no mask to measure it by"
    return "target hidden or map empty" if np.isnan(shown.ratio) else f"{shown.ratio:.1f} × chance on the target"


def _key(sheet: Mosaic, x: float) -> None:
    """What the colours mean, below the title."""
    y, width = 0.46, 0.9
    sheet.axes.imshow(np.linspace(0, 1, 64)[None], cmap=COLOURS, extent=(x, x + width, y + 0.09, y), aspect="auto")
    sheet.text(x + width + 0.08, y + 0.045, "no to most activation, on each map's own scale", 8.5, va="center")
