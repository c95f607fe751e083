"""A QueryBrowser's state as what its tiles show: pictures, marks, bits and sentences, all of it plain data."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from cscelab.collection import Collection
from cscelab.datasets import Aviary
from cscelab.figures.browse import speaking_maps
from cscelab.figures.overlay import overlaid
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.figures.style import RIGHT_MARK, WRONG_MARK
from cscelab.layout import CodeLayout
from cscelab.neighbours import Neighbours, name_in_line, unit_of
from cscelab.ordinal import read_one_hot
from cscelab.widgets.browser_state import BrowserState, among_rows, hardest_first

LARGEST = 160  # pixels of a picture's longer side as it is sent; tiles are about 96 wide
NAMED = 16  # differing bits or symbols that a sentence lists
HINT = (
    "Click a picture, or press Enter on it, to search with it. Point at one, or go there with the arrow keys, to "
    f"compare its {{unit}} with the query's. {RIGHT_MARK} and a solid frame: shares a class with the query; "
    f"{WRONG_MARK} and a dashed frame: does not. d: {{unit}} that differ."
)
CAM_HINT = (
    "CAM: on the query, where its own code comes from; on a result, what in it speaks for the query's code. "
    "Yellow is most, no colour least; each map has its own scale."
)
DRAWN_ONLY = "This encoder has seen drawn birds only: something is always nearest, whatever the image shows"


def view(collections: Sequence[Collection], state: BrowserState) -> dict[str, Any]:
    """What `tiles.js` draws: "query", a row of "tiles" a method, "status" and "hint".

    Raises ValueError as `among_rows` does, and where there is no CAM of this method.
    """
    among = among_rows(collections[0], state)
    query = state.query
    rows, maps = [], []
    for collection in collections:
        found = collection.find(query, state.k, among)
        images = collection.splits.database.images[found.rows]
        if state.cams:
            both = np.concatenate([query.image[None], images])
            query_map, *images = overlaid(both, speaking_maps(collection, query, found.rows))
            maps.append(
                {"title": collection.title, "image": encoded(query_map), "alt": f"CAM of {query.title}, in yellow most"}
            )
        rows.append(_row(collection, found, images, state))
    shown = {
        "title": query.title.split(":")[0],
        "name": "class not known" if query.label is None else _name(np.asarray(query.label), collections[0]),
        "image": encoded(query.image),
        "alt": f"the query: {query.title}",
        "maps": maps,
    }
    hint = HINT.format(unit=unit_of(collection.layout for collection in collections))
    hint = f"{hint} {CAM_HINT}" if state.cams else hint
    return {"query": shown, "rows": rows, "status": status(collections, state, rows), "hint": hint}


def status(collections: Sequence[Collection], state: BrowserState, rows: Sequence[dict[str, Any]]) -> str:
    """One line that says what is shown: "query image 12: ruddy heron. CSCE-Net: 8 of 10 right, AP@all 0.53"."""
    parts = [state.query.title]
    if state.hardest and state.query.origin == "query":
        order = hardest_first(collections[0], state.query_class)
        place = (state.hardest - 1) % len(order)
        if order[place] == state.query.row:
            parts[0] += f" (hardest {place + 1} of {len(order)})"
    if state.among is not None:
        parts.append(f"Only results of class {collections[0].class_names[state.among]}")
    parts += [f"{row['title']}: {row['summary']}" for row in rows]
    if state.query.origin == "own" and isinstance(collections[0].experiment.data, Aviary):
        parts.append(DRAWN_ONLY)
    if any(collection.smoke for collection in collections):
        parts.append(SMOKE_MARK)
    return ". ".join(parts)


def _row(
    collection: Collection, found: Neighbours, images: Sequence[np.ndarray], state: BrowserState
) -> dict[str, Any]:
    query, labels = state.query, collection.splits.database.labels
    code, layout = collection.code_of(query)[0], collection.layout
    tiles = []
    for rank, (row, distance, right, image) in enumerate(zip(*found, images, strict=True), start=1):
        own = collection.codes["database_codes"][row]
        verdict = "unknown" if query.label is None else "right" if right else "wrong"
        name = _name(labels[row], collection)
        said = "" if verdict == "unknown" else f"{verdict}, "
        tiles.append(
            {
                "row": int(row),
                "image": encoded(image),
                "alt": f"rank {rank}: {said}distance {distance}, {name}",
                "verdict": verdict,
                "mark": {"right": RIGHT_MARK, "wrong": WRONG_MARK}.get(verdict, ""),
                "distance": int(distance),
                "name": name,
                "bits": written(own, layout),
                "differing": differing(code, own, layout),
            }
        )
    parts = [f"{len(tiles)} nearest" if query.label is None else f"{int(found.right.sum())} of {len(tiles)} right"]
    if query.origin == "query" and state.among is None:
        parts.append(f"AP@all {collection.average_precision[query.row]:.2f}")
    return {
        "title": f"{collection.title}, {layout}",
        "summary": ", ".join(parts),
        "bits": written(code, layout),
        "tiles": tiles,
    }


def encoded(image: np.ndarray) -> str:
    """uint8 (H, W, 3) -> the address of a PNG that holds it, made smaller where it is larger than `LARGEST`."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    picture.save(buffer, "png", compress_level=1)  # speed: it goes to this machine's browser
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode('ascii')}"


def written(code: np.ndarray, layout: CodeLayout) -> str | list[str]:
    """A code, +-1 (K,), to be drawn sign by sign, "+-+", or symbol by symbol, ["3", "0", "11"]."""
    if layout.arity is None:
        return "".join(np.where(np.asarray(code) > 0, "+", "-"))
    return [str(symbol) for symbol in read_one_hot(code[None], layout.arity)[0].tolist()]


def differing(code: np.ndarray, other: np.ndarray, layout: CodeLayout) -> str:
    """Which bits or symbols of two codes, +-1 (K,), differ, counted from 1: "2 of 32 bits differ: 3, 9"."""
    bits = np.flatnonzero((code != other).reshape(layout.n_symbols, -1).any(axis=1)) + 1
    count = f"{len(bits)} of {layout.n_symbols} {layout.unit} differ"
    if not len(bits):
        return f"{count}: the codes are the same"
    more = f" and {len(bits) - NAMED} more" if len(bits) > NAMED else ""
    return f"{count}: {', '.join(map(str, bits[:NAMED]))}{more}"


def _name(label: np.ndarray, collection: Collection) -> str:
    return name_in_line(label, collection.class_names)
