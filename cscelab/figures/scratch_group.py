"""`cscelab figures cifar10`: which runs its table and pictures need, and what is drawn from them."""

from __future__ import annotations

import numpy as np

from cscelab.description import Experiment
from cscelab.figures import cams, galleries
from cscelab.figures.context import Context, Drawn, absent_lists
from cscelab.figures.scratch import FLOOR, REFERENCE, scratch_figure, scratch_table
from cscelab.neighbours import name_of
from cscelab.profiles import SCRATCH, Profile, find_profile
from cscelab.recipes import recipe

ROWS = {
    "CSCE-Net": "csce",
    "Baseline": "table2/baseline",
    REFERENCE: "csq",
    "OrthoHash": "orthohash",
    FLOOR: "itq",
}
BITS = 32
SHOWN = ("easiest", "median", "hardest")  # queries of the gallery
MAPS = 8  # queries with activation maps: the first of each of so many classes, no choosing


def scratch_needed(profile: Profile, profile_name: str) -> list[Experiment]:
    """Every row with the seeds of the profile that is drawn; data, trunk and training are the profile scratch's.

    Raises ValueError where CIFAR-10's lists are absent.
    """
    if absent_lists(find_profile(SCRATCH).data):
        raise ValueError(
            "CIFAR-10 is not prepared; give cscelab data prepare cifar10 --root PATH, a folder or zip of train/CLASS "
            "and test/CLASS, or an empty folder to download into"
        )
    return [recipe(name, SCRATCH, BITS, seed) for name in ROWS.values() for seed in profile.seeds]


def draw_scratch(context: Context) -> Drawn:
    """The table, its picture, a gallery and activation maps of the first seed."""
    found = {
        row: [context.runs[recipe(name, SCRATCH, BITS, seed).hash] for seed in context.profile.seeds]
        for row, name in ROWS.items()
    }
    frame = scratch_table(found)
    first = {row: seeds[0] for row, seeds in found.items()}
    splits = first[REFERENCE].data()
    entries = [galleries.gallery_entry(first["CSCE-Net"], first[REFERENCE], rule, splits.query) for rule in SHOWN]
    shown = np.unique(splits.query.labels, return_index=True)[1][:MAPS]
    names = [name_of(label, splits.class_names) for label in splits.query.labels[shown]]
    mapped = {row: first[row] for row in ("Baseline", "CSCE-Net")}
    return {
        f"cifar10{context.seeds_suffix}": (frame, scratch_figure(frame)),
        "cifar10-top10": galleries.top10_gallery(entries, splits),
        "cifar10-cam": cams.cam_figure(mapped, splits.query.images[shown], None, names),
    }
