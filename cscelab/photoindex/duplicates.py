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
from cscelab.photoindex.lookup import PhotoIndex, from_here
from cscelab.photoindex.notes import about
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
    """An image and others within the radius of it: the first, then the nearest first."""

    members: tuple[Member, ...]

    @property
    def identical(self) -> bool:
        """Whether all files have the same bytes."""
        first, *others = self.members
        return all(member.same_as == first.path for member in others)


def duplicate_groups(index: PhotoIndex, radius: int = 0, progress: bool = True) -> list[Group]:
    """Groups of two images or more, the largest first, then by path; every image is in one group at most.

    A group is an image with all others within the radius of it that are in no group yet, begun where most images lie
    close together; so no member is farther than the radius from the first. Members are in order of distance, then path.

    radius: in the layout's units. Memory does not grow with the number of pairs. Raises ValueError for a negative
    radius and an empty index.
    """
    if radius < 0:
        raise ValueError(f"the radius is {radius}; give at least 0")
    photos = sorted(index.photos.values(), key=lambda photo: photo.path)
    layout = index.layout
    packed = np.frombuffer(b"".join(photo.code for photo in photos), np.uint8).reshape(len(photos), -1)
    # Equal codes would make N^2 pairs. In the order of their first paths, which decides between equals.
    _, firsts, of_code = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    of_code = np.argsort(order)[of_code.reshape(-1)]
    bits = min(layout.hamming_per_unit * radius, layout.width)
    seeds = seeds_of(packed[firsts[order]], np.bincount(of_code), layout.width, bits, progress)[of_code]
    rows: dict[int, list[int]] = defaultdict(list)
    for row, seed in enumerate(seeds.tolist()):
        rows[firsts[order[seed]]].append(row)
    together = {seed: found for seed, found in rows.items() if len(found) > 1}
    groups = []
    largest = sorted(together.items(), key=lambda item: (-len(item[1]), item[0]))
    for seed, found in tqdm(largest, "comparing files", unit=" groups", delay=2, leave=False, disable=not progress):
        away = np.bitwise_count(packed[found] ^ packed[seed]).sum(axis=1, dtype=np.int64) // layout.hamming_per_unit
        ranked = np.argsort(away, kind="stable")
        paths = {photos[found[place]].id: os.fsdecode(photos[found[place]].path) for place in ranked}
        same = _same_files(index, list(paths))
        members = [
            Member(item, path, int(distance), paths.get(same.get(item, -1)))
            for (item, path), distance in zip(paths.items(), away[ranked], strict=True)
        ]
        groups.append(Group(tuple(members)))
    return groups


def seeds_of(distinct: np.ndarray, images: np.ndarray, width: int, radius: int, progress: bool = False) -> np.ndarray:
    """The row that each code's group was begun with, int64 (N,), at most `radius` bits away; its own of a code alone.

    Codes are gone through by how many images lie within the radius, most first, then by how many have the code, then by
    row: one that has no group begins one, of all within the radius that have none.

    distinct: packed codes uint8 (N, ceil(width / 8)), none twice; images: how many have each (N,).
    """
    from cscelab.search import CodeIndex

    n = len(distinct)
    seeds = np.arange(n)
    if not radius:
        return seeds
    codes = CodeIndex(width)
    codes.add(distinct)
    chunk = max(1, min(MOST_QUERIES, PAIRS_AT_ONCE // n))
    close = np.empty(n, np.int64)
    with tqdm(total=n, desc="comparing codes", unit=" codes", delay=2, leave=False, disable=not progress) as bar:
        for start in range(0, n, chunk):
            near = codes.search_radius(distinct[start : start + chunk], radius)
            close[start : start + chunk] = np.add.reduceat(images[near.ids], near.lims[:-1])  # each finds itself
            bar.update(len(near.lims) - 1)
    free = close > images  # a code alone is a group of its own
    order = np.lexsort((-images, -close))
    with tqdm(total=n, desc="grouping", unit=" codes", delay=2, leave=False, disable=not progress) as bar:
        for start in range(0, n, chunk):
            bar.update(min(chunk, n - start))
            rows = order[start : start + chunk]
            rows = rows[free[rows]]
            if not len(rows):
                continue
            near = codes.search_radius(distinct[rows], radius)
            for row, found in zip(rows, np.split(near.ids, near.lims[1:-1]), strict=True):
                if free[row]:
                    found = found[free[found]]
                    seeds[found], free[found] = row, False
    return seeds


def text(index: PhotoIndex, groups: Sequence[Group], radius: int) -> str:
    """A paragraph a group, and what to make of it."""
    unit, folder = index.layout.unit, shown(str(index.folder))
    every = f"{len(index.photos):,} image{'s' if len(index.photos) > 1 else ''} of {folder}"
    if not groups:
        return f"no two of {every} have codes within {radius} {unit} of each other"
    n_images = sum(len(group.members) for group in groups)
    lines = [
        f"{len(groups):,} group{'s' if len(groups) > 1 else ''} of {n_images:,} images, out of {every}: "
        f"by {index.encoder}, within {radius} {unit} of a group's first",
        CAUTION,
        f"Distances in {unit}, from the first of a group.",
    ]
    for number, group in enumerate(groups, 1):
        same = ", all files have the same bytes" if group.identical else ""
        lines += ["", f"group {number}: {len(group.members):,} images{same}"]
        for member in group.members:
            copy = f"  (same bytes as {shown(member.same_as)})" if member.same_as and not group.identical else ""
            lines.append(f"{member.distance:>4}  {shown(from_here(index.path(member.id)))}{copy}")
    return "\n".join(lines)


def as_json(index: PhotoIndex, groups: Sequence[Group], radius: int) -> str:
    """{folder, encoder, images, unit, unread, notes, radius, caution, groups: [{size, identical, images: [{path, file,
    id, distance, same_as}]}]}; as in `answers.as_json`."""
    plain = [
        {
            "size": len(group.members),
            "identical": group.identical,
            "images": [
                {
                    "path": member.path, "file": str(index.path(member.id)), "id": member.id,
                    "distance": member.distance, "same_as": member.same_as,
                }
                for member in group.members
            ],
        }
        for group in groups
    ]  # fmt: skip
    return json.dumps(about(index) | {"radius": radius, "caution": CAUTION, "groups": plain}, indent=1)


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
