"""Where ExchNet's parts look: its attention maps over images, how far they overlap, and what falls on the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from cscelab.datasets.base import ImageSet
from cscelab.datasets.loader import as_tensor
from cscelab.diversity import map_overlap
from cscelab.experiment import Run
from cscelab.explain import mass_inside
from cscelab.figures.alt import sentences
from cscelab.figures.mosaic import LINE, ON_SCREEN, POINT, Mosaic, paragraph_height, width_of, wrap
from cscelab.figures.overlay import key_colours, overlaid
from cscelab.figures.provenance import describe_data, mark_smoke
from cscelab.figures.style import BLACK, GREY, styled
from cscelab.methods.base import HashMethod, HashOutput, in_evaluation
from cscelab.model.parts import PartFeatures

BATCH = 64
SHOWN = 6  # images of the figure
MEASURED = 500  # queries, at most, whose maps are measured
RULE = "Images: the first query of each of the first {} species to come up, without choosing."
FIRST = "Images: the first {} queries, without choosing."
NUMBERS = (
    "Overlap: what two maps, each of sum 1, have in common, a mean over pairs of parts; 0 is none, 1 is equal maps "
    "(an empty map, zero everywhere, counts as uniform)."
)
RATIOS = (
    "Under a map: share of its mass on the target (outlined) over the target's share of the image; a uniform map has 1."
)
SIDE, GAP, BLOCK_GAP, MARGIN, NAMES, KEY_GAP = 0.9, 0.06, 0.22, 0.15, 1.0, 0.15  # inches
MAPS = MARGIN + NAMES + SIDE + BLOCK_GAP  # left edge of the first run's maps
SIZE = 8.0
HEADING, HEADING_SIZE = "Where the parts look: attention maps on stage 3", 12
KEY, KEY_WIDTH = "attention, each map's own scale", 2.2  # words beside the colour bar, and its inches


def outputs(method: HashMethod, images: np.ndarray) -> Iterator[HashOutput]:
    """What the method gives for images uint8 (N, H, W, 3), a batch at a time, in evaluation mode, on its own device."""
    device = next(method.parameters()).device
    for start in range(0, len(images), BATCH):
        with in_evaluation(method), torch.inference_mode():
            output = method(as_tensor(images[start : start + BATCH]).to(device))
        yield output


def part_batches(method: HashMethod, images: np.ndarray) -> Iterator[PartFeatures]:
    """The parts that the method sees in images, see `outputs`. Raises ValueError for a method that finds no parts."""
    for output in outputs(method, images):
        if output.parts is None:
            raise ValueError(f"{method.config.title} finds no parts; give a method that does, as ExchNet")
        yield output.parts


def attention_maps(method: HashMethod, images: np.ndarray) -> np.ndarray:
    """A: where each part looks, float32 (N, M, h, w), at least 0. images uint8 (N, H, W, 3).

    Raises ValueError for a method that finds no parts.
    """
    return np.concatenate([parts.attention.float().cpu().numpy() for parts in part_batches(method, images)])


def part_overlaps(method: HashMethod, images: np.ndarray) -> np.ndarray:
    """`map_overlap` of each image's attention maps (N,): 0 for disjoint maps, 1 for equal ones.

    images uint8 (N, H, W, 3). Raises ValueError for a method that finds no parts or a single one.
    """
    return map_overlap(torch.from_numpy(attention_maps(method, images))).numpy()


def spread(n: int, most: int = MEASURED) -> np.ndarray:
    """Rows spread evenly over n images, at most so many."""
    return np.unique(np.linspace(0, n - 1, min(most, n)).astype(int))


def overlap_and_empty(run: Run) -> tuple[float, float]:
    """Mean overlap of a run's maps over its queries (NaN for a single part), and the share of maps that are empty."""
    queries = run.data().query.images
    maps = torch.from_numpy(attention_maps(run.model(), queries[spread(len(queries))]))
    overlap = float(map_overlap(maps).mean()) if maps.shape[1] > 1 else np.nan
    return overlap, float((maps.sum(dim=(2, 3)) == 0).double().mean())


def enlarged(maps: np.ndarray, side: int) -> np.ndarray:
    """Maps (N, M, h, w) at the side of the images, each in shares of its maximum: (N, M, side, side) in [0, 1]."""
    large = F.interpolate(torch.from_numpy(maps), size=(side, side), mode="bilinear", align_corners=False).numpy()
    most = large.max(axis=(2, 3), keepdims=True)
    return np.divide(large, most, out=np.zeros_like(large), where=most > 0)


def first_of_each(queries: ImageSet, n: int = SHOWN) -> np.ndarray:
    """Rows of the first query of each of the first n species to come up; of images with several labels, the first n."""
    if queries.multilabel:
        return np.arange(min(n, len(queries)))
    _, first = np.unique(queries.labels, return_index=True)
    return np.sort(first)[:n]


def rule_of(queries: ImageSet, shown: int) -> str:
    """How `first_of_each` came to the images shown, in words."""
    return (FIRST if queries.multilabel else RULE).format(shown)


@styled()
def part_maps_figure(
    runs: Mapping[str, Run], images: np.ndarray, masks: np.ndarray | None, names: Sequence[str], rule: str = ""
) -> Figure:
    """A row an image: the image, then for each run its M attention maps laid over it, with their overlap.

    runs: by title; images: uint8 (N, H, W, 3); masks: (N, H, W), non-zero on the target, drawn as outlines and
    measured: the number under a map is `mass_inside`, in times a uniform map; rule: how the images came to be here.
    Raises ValueError for a run whose method finds no parts or a single one.
    """
    maps = {title: attention_maps(run.model(), images) for title, run in runs.items()}
    overlaps = {title: map_overlap(torch.from_numpy(found)).numpy() for title, found in maps.items()}
    text = LINE * SIZE * POINT
    lefts, left = {}, MAPS
    for title, found in maps.items():
        lefts[title] = left
        left += found.shape[1] * (SIDE + GAP) + BLOCK_GAP
    width = max(left - BLOCK_GAP, *_ends_of_words()) + MARGIN
    step = SIDE + (2 if masks is not None else 1) * text + 0.14
    top, note = 0.95, _note(runs, overlaps, masks is not None, rule)
    bottom = top + len(images) * step
    sheet = Mosaic(width, bottom + 0.6 + paragraph_height(width - 2 * MARGIN, note, SIZE) + 0.1)
    sheet.text(MARGIN, 0.12, HEADING, HEADING_SIZE, weight="bold")
    for title, found in maps.items():
        _block(sheet, lefts[title], top, title, images, enlarged(found, images.shape[1]), overlaps[title], masks)
    for row, (image, name) in enumerate(zip(images, names, strict=True)):
        y = top + row * step
        sheet.text(MARGIN, y + SIDE / 2, "\n".join(wrap(name, NAMES - 0.1, SIZE)), SIZE, va="center")
        sheet.picture(MARGIN + NAMES, y, SIDE, image)  # without outline, so that a small target is seen as it is
    _colour_bar(sheet, MAPS, bottom + 0.02)
    sheet.paragraph(MARGIN, bottom + 0.6, width - 2 * MARGIN, note, SIZE)
    sheet.figure.alt = sentences([  # type: ignore[attr-defined]
        f"{len(images)} images in rows, beside each the attention maps of {', '.join(runs)}",
        *(_said(title, found, overlaps[title], masks) for title, found in maps.items()),
        note,
    ])  # fmt: skip
    return mark_smoke(sheet.figure, runs.values())


def _block(
    sheet: Mosaic, left: float, top: float, title: str, images: np.ndarray, maps: np.ndarray, overlaps: np.ndarray,
    masks: np.ndarray | None,
) -> None:  # fmt: skip
    """The maps (N, M, H, W) of one run, its columns headed; overlaps (N,)."""
    n_parts, text = maps.shape[1], LINE * SIZE * POINT
    step = SIDE + (2 if masks is not None else 1) * text + 0.14
    end = left + n_parts * (SIDE + GAP) - GAP
    sheet.text((left + end) / 2, top - 0.5, title, SIZE + 1.5, ha="center", weight="bold")
    sheet.axes.plot([left, end], [top - 0.25, top - 0.25], color=GREY, lw=0.8)
    for part in range(n_parts):
        x = left + part * (SIDE + GAP)
        sheet.text(x + SIDE / 2, top - 0.2, f"part {part + 1}", SIZE, ha="center")
        covered = overlaid(images, maps[:, part])
        ratios = None if masks is None else mass_inside(maps[:, part], masks)
        for row in range(len(images)):
            y = top + row * step
            sheet.picture(x, y, SIDE, covered[row], outline=None if masks is None else masks[row])
            if ratios is not None:
                words = "empty" if not maps[row, part].any() else f"{ratios[row]:.1f} ×"
                sheet.text(x + SIDE / 2, y + SIDE + 0.02, words, SIZE, ha="center")
    for row, overlap in enumerate(overlaps):
        y = top + row * step + step - 0.1 - text
        sheet.text((left + end) / 2, y, f"overlap {overlap:.2f}", SIZE, ha="center", weight="bold")


def _note(runs: Mapping[str, Run], overlaps: Mapping[str, np.ndarray], measured: bool, rule: str) -> str:
    means = ", ".join(f"{found.mean():.2f} ({title})" for title, found in overlaps.items())
    run = next(iter(runs.values()))
    return "\n".join([
        f"{rule} {describe_data(run)}; {run.experiment.bits} bits, seed {run.experiment.seed}.".strip(),
        f"{NUMBERS} Mean of the images shown: {means}.",
        *([RATIOS] if measured else []),
    ])  # fmt: skip


def _said(title: str, maps: np.ndarray, overlaps: np.ndarray, masks: np.ndarray | None) -> str:
    said = f"{title}: overlap of its {maps.shape[1]} maps from {overlaps.min():.2f} to {overlaps.max():.2f}"
    if masks is None:
        return said
    large = enlarged(maps, masks.shape[1])
    ratios = np.stack([mass_inside(large[:, part], masks) for part in range(maps.shape[1])], axis=1)
    if np.isnan(ratios).all():
        return said
    return f"{said}, share on the target from {np.nanmin(ratios):.1f} to {np.nanmax(ratios):.1f} times uniform"


def _ends_of_words() -> tuple[float, float]:
    """Where the heading and the words of the colour bar end, in inches, however few the maps."""
    heading = MARGIN + ON_SCREEN * width_of(HEADING, HEADING_SIZE, bold=True)
    return heading, MAPS + KEY_WIDTH + KEY_GAP + ON_SCREEN * width_of(KEY, SIZE)


def _colour_bar(sheet: Mosaic, x: float, y: float) -> None:
    place = (x / sheet.width, 1 - (y + 0.12) / sheet.height, KEY_WIDTH / sheet.width, 0.12 / sheet.height)
    bar = sheet.figure.colorbar(
        ScalarMappable(Normalize(0, 1), key_colours()),
        cax=sheet.figure.add_axes(place),
        orientation="horizontal",
        ticks=[0, 0.5, 1],
    )
    bar.ax.tick_params(labelsize=SIZE, color=BLACK)
    sheet.text(x + KEY_WIDTH + KEY_GAP, y, KEY, SIZE)
