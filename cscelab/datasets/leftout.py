"""Files that gave no pixels, noted beside the decoded images: the next call need not try them again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from cscelab.datasets.decoding import DECODING
from cscelab.datasets.imagecache import NAMED, Failure, ImageStore, UnreadableImagesError
from cscelab.paths import data_root, make_folder, write_text

Side = tuple[int, int | None]  # image_size and resize of `cached_images`: what is too narrow depends on them
Decoded = Mapping[str, np.ndarray]  # name -> its pixels
Loaded = TypeVar("Loaded")


def load_readable(
    store: ImageStore, side: Side, root: str | Path | None, load: Callable[[list[Failure], Decoded], Loaded]
) -> Loaded:
    """What `load` gives when it is told of every file that gives no pixels; a warning counts them.

    load(left_out, decoded) raises UnreadableImagesError for such files, and is called again without them and with what
    was decoded beside them, which needs room for another array on the disk for a while; where there is none, it is
    called with nothing decoded.
    """
    left_out = read_left_out(store, side, root)
    decoded: Decoded = {}
    while True:
        try:
            found = load(left_out, decoded)
            break
        except UnreadableImagesError as error:
            left_out = [*left_out, *error.failures]
            decoded = error.decoded
            write_left_out(store, side, left_out, root)
        except OSError:
            if not decoded:
                raise
            decoded = {}
    if left_out:
        warnings.warn(f"{store.path}: left out are {told(left_out)}", stacklevel=3)
    return found


def told(failures: Sequence[Failure]) -> str:
    """How many of each kind, and the first with their reasons."""
    left_out = sorted(failures)
    counts = ", ".join(f"{kind} {count:,}" for kind, count in Counter(kind for _, kind, _ in left_out).most_common())
    some = ", ".join(f"{name} {why}" for name, _, why in left_out[:NAMED])
    more = ", ..." if len(left_out) > NAMED else ""
    return f"{len(left_out):,} images that cannot be decoded ({counts}): {some}{more}"


def read_left_out(store: ImageStore, side: Side, root: str | Path | None) -> list[Failure]:
    """Those noted whose files have neither gone nor changed since."""
    found: list[Failure] = []
    with contextlib.suppress(OSError, ValueError, TypeError):  # a note that cannot be read is made again
        for name, kind, why, stamp in json.loads(_place(store, side, root).read_text(encoding="utf-8")):
            with contextlib.suppress(OSError, KeyError):
                if list(store.stamp(name)) == stamp:
                    found.append((name, kind, why))
    return found


def write_left_out(store: ImageStore, side: Side, failures: Sequence[Failure], root: str | Path | None) -> None:
    """Whole or as it was before. Raises OSError where it cannot be written. Files that could not even be read are not
    noted: a disk or a permission may be mended without a change of the file."""
    path = _place(store, side, root)
    make_folder(path.parent)
    noted = [(*failure, store.stamp(failure[0])) for failure in failures if failure[1] != "not readable"]
    write_text(path, json.dumps(noted, indent=1))


def _place(store: ImageStore, side: Side, root: str | Path | None) -> Path:
    known = [DECODING, str(store.path.resolve()), store.depth, side]
    key = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:12]
    return Path(data_root() if root is None else root) / "images" / f"{store.label}-left-out-{key}.json"
