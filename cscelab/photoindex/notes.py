"""What to know before believing an answer out of the index of a folder: it is half made, or its codes tell little."""

from __future__ import annotations

from collections import Counter
from typing import Any

from cscelab.photoindex.lookup import PhotoIndex

SHARE, FEWEST = 20, 50  # one code of more than a twentieth of the images, of at least so many


def notes(index: PhotoIndex) -> list[str]:
    """Sentences for whoever asks this index, if there is anything to say. Raises ValueError where it is empty."""
    alike = max(Counter(photo.code for photo in index.photos.values()).values())
    return [said for said in (unfinished(index), crowded(alike, len(index.photos), index.encoder)) if said]


def about(index: PhotoIndex) -> dict[str, Any]:
    """What JSON says of the index that was searched; unread: see `PhotoIndex`."""
    return {
        "folder": str(index.folder), "encoder": index.encoder, "images": len(index.photos),
        "unit": index.layout.unit, "unread": index.unread, "notes": notes(index),
    }  # fmt: skip


def unfinished(index: PhotoIndex) -> str | None:
    """Said of an index whose last update was stopped, or still runs."""
    if index.unread == 0:
        return None
    left = "some images" if index.unread is None else f"{index.unread:,} new or changed images"
    return f"the index is not finished: {len(index.photos):,} images are in it, {left} not yet; {index.command} goes on"


def crowded(alike: int, images: int, encoder: str) -> str | None:
    """Said where one code holds so many images that distances hardly tell them apart."""
    if images < FEWEST or alike * SHARE <= images:
        return None
    return (
        f"{alike:,} of {images:,} images share one code by {encoder}, which does not tell them apart; "
        "train an encoder on such images, then cscelab index FOLDER --run NAME"
    )
