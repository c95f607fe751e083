"""Files that gave no pixels, noted beside the decoded images: the next call need not try them again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from cscelab.datasets.decoding import DECODING
from cscelab.datasets.imagecache import Failure, ImageStore
from cscelab.paths import data_root, make_folder

Side = tuple[int, int | None]  # image_size and resize of `cached_images`: what is too narrow depends on them


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
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    noted = [(*failure, store.stamp(failure[0])) for failure in failures if failure[1] != "not readable"]
    temporary.write_text(json.dumps(noted, indent=1), encoding="utf-8")
    temporary.replace(path)


def _place(store: ImageStore, side: Side, root: str | Path | None) -> Path:
    key = hashlib.sha256(json.dumps([DECODING, str(store.path.resolve()), side]).encode()).hexdigest()[:12]
    return Path(data_root() if root is None else root) / "images" / f"{store.label}-left-out-{key}.json"
