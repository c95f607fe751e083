"""One query's activation maps to look around in: any layer, extractor, and code to explain, method beside method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure

from cscelab.collection import Collection, check_same_images
from cscelab.datasets.loader import as_tensor
from cscelab.explain import LAYERS, code_cams, mass_inside
from cscelab.figures.mosaic import LINE, POINT, Mosaic, wrap
from cscelab.figures.overlay import OPACITY, key_colours, overlaid
from cscelab.figures.provenance import stamp
from cscelab.figures.style import styled

TARGETS = {"its own code": "own", "the nearest image's code": "nearest", "a class's center": "center"}
SIDE, GAP, MARGIN, SIZE = 2.5, 0.25, 0.15, 9.0  # inches, and points
HEAD = 0.95  # inches above the pictures
N_CONTROL = 40  # queries whose maps are the control


@dataclass(frozen=True)
class Explained:
    """A map (H, W) in [0, 1], of the code that `words` name; agreement: (1/K) sum_k v_k b_k; ratio: `mass_inside`, NaN
    where the target is hidden or the map is empty, None without masks; others: the mean of that ratio for other
    queries' maps on the same target; other: the image whose code it is."""

    cam: np.ndarray
    words: str
    agreement: float
    ratio: float | None
    other: np.ndarray | None = None
    others: float | None = None


@dataclass(frozen=True)
class Control:
    """Maps (M, H, W) of queries' own codes, and the queries' rows (M,)."""

    cams: np.ndarray
    rows: np.ndarray


def layers_of(collection: Collection) -> list[str]:
    """The layers of its network that can be explained."""
    return [layer for layer in LAYERS if layer != "local" or hasattr(collection.method.network, "local")]


def control_of(collection: Collection, layer: str = "stage4", extractor: str = "GradCAM") -> Control:
    """Maps of 40 queries spread evenly over the split: what maps that know nothing of a query look like."""
    queries = collection.splits.query
    rows = np.unique(np.linspace(0, len(queries) - 1, min(N_CONTROL, len(queries))).astype(int))
    return Control(code_cams(collection.method, as_tensor(queries.images[rows]), layer, extractor).numpy(), rows)


def explain_query(
    collection: Collection,
    row: int = 0,
    target: str = "own",
    number: int = 0,
    layer: str = "stage4",
    extractor: str = "GradCAM",
    control: Control | None = None,
) -> Explained:
    """The activation map of a query for its "own" code, the code of the "nearest" database image, or the "center" of
    class `number`, measured on the target beside other queries' maps.

    control: those maps; made here where not given and the target is known. Raises ValueError for another target, or a
    method without centers.
    """
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
    agreement = float((code * values.astype(np.float64)).mean())
    if masks is None:
        return Explained(cam[0], words, agreement, None, other)
    control = control_of(collection, layer, extractor) if control is None else control
    ratio = float(mass_inside(cam, masks[[row]])[0])
    return Explained(cam[0], words, agreement, ratio, other, _mean_of_others(control, row, masks[row]))


def _mean_of_others(control: Control, row: int, mask: np.ndarray) -> float | None:
    """Mean of `mass_inside` of the control's other maps on this mask; None where there is nothing to measure."""
    cams = control.cams[control.rows != row]
    ratios = mass_inside(cams, np.broadcast_to(mask, cams.shape))
    return None if np.isnan(ratios).all() else float(np.nanmean(ratios))


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
    opacity: float = OPACITY,
) -> Figure:
    """The query, and beside it for each collection its map, what is explained, the agreement, and `mass_inside`
    beside that of other queries' maps."""
    given = as_mapping(collections)
    maps = {
        name: explain_query(collection, row, target, number, layer, extractor) for name, collection in given.items()
    }
    return draw_explained(given, row, maps, f"{extractor}, {layer}", opacity)


@styled()
def draw_explained(
    collections: Mapping[str, Collection], row: int, maps: Mapping[str, Explained], title: str, opacity: float = OPACITY
) -> Figure:
    """The picture of maps that are there already. Raises ValueError for an opacity outside 0 to 1."""
    if not 0 <= opacity <= 1:
        raise ValueError(f"an opacity of {opacity} was asked for; choose one from 0 to 1")
    first = next(iter(collections.values()))
    query, masks = first.query(row), first.splits.query.masks
    outline = None if masks is None else masks[row]
    captions = [[query.title[:1].upper() + query.title[1:], ""]]
    pictures: list[tuple[np.ndarray, np.ndarray | None, str]] = [(query.image, None, "image")]
    for name, shown in maps.items():
        pictures.append((query.image, shown.cam, name))
        captions.append([_ratio(shown), _control(shown), f"agreement {shown.agreement:+.2f} with {shown.words}"])
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
        sheet.picture(x, HEAD, SIDE, overlaid(image[None], cam[None], opacity)[0], outline=outline)
    _key(sheet, MARGIN, opacity)
    said = "; ".join(
        f"{name}: {_ratio(s)} {_control(s)}".rstrip() + f", agreement {s.agreement:+.2f} with {s.words}"
        for name, s in maps.items()
    )
    sheet.figure.alt = f"Activation maps of {query.title} ({title}). {said}."  # type: ignore[attr-defined]
    if any(collection.smoke for collection in collections.values()):
        stamp(sheet.figure)
    return sheet.figure


def as_mapping(collections: Collection | Mapping[str, Collection]) -> dict[str, Collection]:
    """Collections by name. Raises ValueError where there are none or they are of other data sets."""
    given = dict(collections) if isinstance(collections, Mapping) else {collections.title: collections}
    if not given:
        raise ValueError("no collection was given; give at least one, as shipped_collection()")
    check_same_images(list(given.values()))
    return given


def _ratio(shown: Explained) -> str:
    if shown.ratio is None:
        return "no mask to measure it by"
    if np.isnan(shown.ratio):
        return "target hidden or map empty"
    return f"{shown.ratio:.1f} × uniform on the target"


def _control(shown: Explained) -> str:
    """What other queries' maps have on the same target, where that was measured."""
    return "" if shown.others is None else f"(other queries' maps: {shown.others:.1f} × uniform)"


def _key(sheet: Mosaic, x: float, opacity: float) -> None:
    """What the colours mean, below the title."""
    y, width = 0.46, 0.9
    place = (x, x + width, y + 0.09, y)
    sheet.axes.imshow(np.linspace(0, 1, 64)[None], cmap=key_colours(opacity), extent=place, aspect="auto")
    sheet.text(x + width + 0.08, y + 0.045, "no to most activation, on each map's own scale", 8.5, va="center")
