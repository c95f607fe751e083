"""`cscelab figures doh`: the runs that the figures of Deep Ordinal Hashing need, and what is drawn from them."""

from __future__ import annotations

import pandas as pd

from cscelab.description import Experiment
from cscelab.figures import arity, attention_maps, doh
from cscelab.figures.context import Context, Drawn, middle_length
from cscelab.profiles import Profile
from cscelab.recipes import ARITY_SWEEP, DOH_ROWS, recipe

SCENES = "scenes"  # the benchmark with several birds an image, where the profile has it
WHOLE, WITHOUT_ATTENTION, REFERENCE, CSCE = "doh", "doh/no-attention", "csq", "csce"
ROWS = {**DOH_ROWS, doh.REFERENCE: REFERENCE}  # of the table
CURVES = {"DOH": WHOLE, "CSCE-Net": CSCE, "CSQ": REFERENCE}


def doh_needed(profile: Profile, profile_name: str) -> list[Experiment]:
    """Every experiment of the group: the table's rows at the middle code length have all of the profile's seeds, all
    else the first alone."""
    middle, first = middle_length(profile), profile.seeds[0]
    found = [recipe(name, profile_name, middle, seed) for name in ROWS.values() for seed in profile.seeds]
    found.append(recipe(CSCE, profile_name, middle, first))
    if SCENES in profile.benchmarks:
        found.append(recipe(WHOLE, profile_name, middle, first, SCENES))
    found += [
        recipe(name, profile_name, bits, first) for bits in profile.arity_lengths for name in ARITY_SWEEP.values()
    ]
    return found


def draw_doh(context: Context) -> Drawn:
    """Table and figures; the name of what further seeds change says how many there are where they were asked for."""
    profile = context.profile
    bits, seed = middle_length(profile), profile.seeds[0]
    frame = doh.doh_table({row: context.seeds_of(name, [bits])[bits] for row, name in ROWS.items()})
    swept = arity.arity_table(
        {n: {k: [context.run(name, n, seed)] for k, name in ARITY_SWEEP.items()} for n in profile.arity_lengths}
    )
    first = {title: context.run(name, bits, seed) for title, name in CURVES.items()}
    return {
        f"doh{context.seeds_suffix}": (frame, doh.doh_figure(frame)),
        "doh-map-by-arity": (swept, arity.arity_figure(swept)),
        "doh-precision-recall": doh.precision_recall_figure(first),
        **_attention(context, bits),
    }


def _attention(context: Context, bits: int) -> Drawn:
    """Of the first seed: the local view's attention, beside activation maps of codes learned with it and without."""
    whole, without = (context.run(name, bits) for name in (WHOLE, WITHOUT_ATTENTION))
    maps = {
        "attention of DOH": (whole, attention_maps.ATTENTION),
        "GradCAM of DOH's codes": (whole, "GradCAM"),
        "GradCAM, run without attention": (without, "GradCAM"),
    }
    splits = whole.data()
    frame = attention_maps.attention_table(maps, splits.query)
    also = _over_scenes(context, bits)
    figure = attention_maps.attention_figure(maps, splits.query, splits.class_names, frame, also=also)
    return {"doh-attention": figure if frame is None else (pd.concat([frame, also]), figure)}


def _over_scenes(context: Context, bits: int) -> pd.DataFrame | None:
    """`attention_table` of DOH learned from scenes, over their queries; None for a profile that has none."""
    if SCENES not in context.profile.benchmarks:
        return None
    run = context.run(WHOLE, bits, on=SCENES)
    row = {"attention of DOH, several birds an image": (run, attention_maps.ATTENTION)}
    return attention_maps.attention_table(row, run.data().query)
