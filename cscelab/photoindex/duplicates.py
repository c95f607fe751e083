"""`cscelab duplicates`: groups of images whose codes are equal or nearly so, and which of their files are the same."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from cscelab.datasets.array_folder import checksum
from cscelab.photoindex.lookup import PhotoIndex
from cscelab.photoindex.walk import shown

PAIRS_AT_ONCE = 1 << 22  # found by one search at most
MOST_QUERIES = 1024
CAUTION = (
    "Equal codes are not equal pictures: only files said to have the same bytes are known to be the same. "
    "Look before you delete."
)


@dataclass(frozen=True)
class Member:
    """distance: from the group's first image, in the layout's units; same_as: the first path in the group whose file
    has the same bytes, None where there is none before this."""

    id: int
    path: str
    distance: int
    same_as: str | None


@dataclass(frozen=True)
class Group:
    """Images that hang together: from each there is a way to each other in steps of at most the radius."""

    members: tuple[Member, ...]

    @property
    def identical(self) -> bool:
        """Whether all files have the same bytes."""
        first, *others = self.members
        return all(member.same_as == first.path for member in others)


def duplicate_groups(index: PhotoIndex, radius: int = 0, progress: bool = True) -> list[Group]:
    """Groups of two images or more, the largest first, then by path; paths in a group in order.

    radius: in the layout's units. Memory does not grow with the number of pairs. Raises ValueError for a negative
    radius and an empty index.
    """
    if radius < 0:
        raise ValueError(f"the radius is {radius}; give at least 0")
    layout, photos = index.layout, sorted(index.photos.values(), key=lambda photo: photo.path)
    packed = np.frombuffer(b"".join(photo.code for photo in photos), np.uint8).reshape(len(photos), -1)
    distinct, of_code = np.unique(packed, axis=0, return_inverse=True)  # equal codes would make N^2 pairs
    group = connected(distinct, layout.width, min(layout.hamming_per_unit * radius, layout.width), progress)
    rows: dict[int, list[int]] = defaultdict(list)
    for row, number in enumerate(group[of_code.reshape(-1)].tolist()):
        rows[number].append(row)
    together = sorted((found for found in rows.values() if len(found) > 1), key=lambda found: (-len(found), found[0]))
    groups = []
    for found in tqdm(together, "comparing files", unit=" groups", delay=2, leave=False, disable=not progress):
        away = np.bitwise_count(packed[found] ^ packed[found[0]]).sum(axis=1) // layout.hamming_per_unit
        same = _same_files(index, [photos[row].id for row in found])
        paths = {photos[row].id: os.fsdecode(photos[row].path) for row in found}
        members = [
            Member(item, path, int(distance), paths.get(same.get(item, -1)))
            for (item, path), distance in zip(paths.items(), away, strict=True)
        ]
        groups.append(Group(tuple(members)))
    return groups


def connected(distinct: np.ndarray, width: int, radius: int, progress: bool = False) -> np.ndarray:
    """The number of each code's group, int64 (N,): two codes at most `radius` bits apart are in one.

    distinct: packed codes uint8 (N, ceil(width / 8)), none twice. A group's number is its lowest row.
    """
    from cscelab.search import CodeIndex

    n = len(distinct)
    lowest = np.arange(n)
    if not radius:
        return lowest
    codes = CodeIndex(width)
    codes.add(distinct)
    chunk = max(1, min(MOST_QUERIES, PAIRS_AT_ONCE // n))
    with tqdm(total=n, desc="comparing codes", unit=" codes", delay=2, leave=False, disable=not progress) as bar:
        for start in range(0, n, chunk):
            near = codes.search_radius(distinct[start : start + chunk], radius)
            a = start + np.repeat(np.arange(len(near.lims) - 1), np.diff(near.lims))
            a, b = lowest[a], lowest[near.ids]
            while (apart := a != b).any():  # hang the higher group on the lower, then let all follow to the lowest
                a, b = a[apart], b[apart]
                np.minimum.at(lowest, np.maximum(a, b), np.minimum(a, b))
                while (lowest[lowest] != lowest).any():
                    lowest = lowest[lowest]
                a, b = lowest[a], lowest[b]
            bar.update(len(near.lims) - 1)
    return lowest


def text(index: PhotoIndex, groups: Sequence[Group], radius: int) -> str:
    """A paragraph a group, and what to make of it."""
    unit, folder = index.layout.unit, shown(str(index.folder))
    if not groups:
        return f"no two of {len(index.photos):,} images of {folder} have codes within {radius} {unit} of each other"
    n_images = sum(len(group.members) for group in groups)
    lines = [
        f"{len(groups):,} groups of {n_images:,} images, out of {len(index.photos):,} of {folder}: "
        f"codes by {index.encoder} hang together within {radius} {unit}",
        CAUTION,
        f"Distances in {unit}, from the first of a group.",
    ]
    for number, group in enumerate(groups, 1):
        same = ", all files have the same bytes" if group.identical else ""
        lines += ["", f"group {number}: {len(group.members):,} images{same}"]
        for member in group.members:
            copy = f"  (same bytes as {shown(member.same_as)})" if member.same_as and not group.identical else ""
            lines.append(f"{member.distance:>4}  {shown(member.path)}{copy}")
    return "\n".join(lines)


def as_json(index: PhotoIndex, groups: Sequence[Group], radius: int) -> str:
    """{folder, encoder, radius, unit, images, caution, groups: [{size, identical, images: [{path, id, distance,
    same_as}]}]}; paths as in `answers.as_json`."""
    about = {
        "folder": str(index.folder), "encoder": index.encoder, "radius": radius, "unit": index.layout.unit,
        "images": len(index.photos), "caution": CAUTION,
    }  # fmt: skip
    plain = [
        {
            "size": len(group.members),
            "identical": group.identical,
            "images": [
                {"path": member.path, "id": member.id, "distance": member.distance, "same_as": member.same_as}
                for member in group.members
            ],
        }
        for group in groups
    ]
    return json.dumps(about | {"groups": plain}, indent=1)


def _same_files(index: PhotoIndex, items: Sequence[int]) -> dict[int, int]:
    """Image -> the first of `items` whose file has the same bytes, where that is another; only files of one size are
    read."""
    of_size: dict[int, list[int]] = defaultdict(list)
    for item in items:
        of_size[index.photos[item].size].append(item)
    first: dict[str, int] = {}
    same = {}
    for alike in of_size.values():
        for item in alike if len(alike) > 1 else ():
            try:
                digest = checksum(index.path(item))
            except OSError:
                continue  # gone or closed since: nothing is known of it
            if digest in first:
                same[item] = first[digest]
            else:
                first[digest] = item
    return same
