"""`cscelab figures table1` and `cost`: every method on the profile's data sets, with curves and training cost."""

from __future__ import annotations

from dataclasses import replace

from cscelab.cost import measure_costs
from cscelab.figures import comparison, costs, methods, tables
from cscelab.figures.context import Context, Drawn, benchmarks_at_hand, compared_recipes, middle_length
from cscelab.profiles import SINGLE, Profile
from cscelab.recipes import recipe, titled
from cscelab.titles import data_titles

NO_WEIGHTS = (
    "Rows that name a trunk are the paper's, their ImageNet weights a download: only --profile paper trains them."
)


def draw_table1(context: Context) -> Drawn:
    profile, drawn = context.profile, Drawn()
    middle, several = middle_length(context.profile), len(profile.compared) > 1
    for on, benchmark in benchmarks_at_hand(profile).items():
        rows = context.compared(on)
        frame = comparison.method_table(rows, benchmark.published, on != SINGLE)
        first = {row: seeds[middle][0] for row, seeds in rows.items() if seeds}
        (data,) = data_titles({benchmark.data: first[comparison.REFERENCE].metrics["n_classes"]}).values()
        title = f"Table 1: every method on {data} ({'single' if on == SINGLE else 'multi'}-label)"
        said = [training_note(context), _alternating_note(profile), comparison.goals(frame)]
        note = "\n".join(said if profile.downloads else [*said, NO_WEIGHTS])
        stem = f"table1-{on}{context.seeds_suffix}"
        drawn |= {
            stem: frame,
            f"{stem}-picture": tables.table_figure(frame, title, note, brief=several),
            f"methods-{on}-precision-recall": methods.precision_recall_panels(first),
            f"methods-{on}-precision-at-n": methods.precision_panels(first),
        }
    return drawn | draw_cost(context)


def draw_cost(context: Context) -> Drawn:
    profile, bits = context.profile, middle_length(context.profile)
    on = next(iter(benchmarks_at_hand(profile)))
    experiments = [recipe(name, context.profile_name, bits, profile.seeds[0], on) for name in compared_recipes(profile)]
    # The paper's alternation has batches of its own: steps are compared on the same.
    size, threads = profile.training.batch_size, profile.training.threads
    trainings = [replace(one.training, batch_size=size, threads=threads) for one in experiments]
    named = {titled(one.method): replace(one, training=t) for one, t in zip(experiments, trainings, strict=True)}
    measured = measure_costs(named, rounds=1, steps=1, warm_up=0) if profile.smoke else measure_costs(named)
    frame = costs.cost_table(measured, smoke=profile.smoke)
    (data,) = data_titles({experiments[0].data: None}).values()
    setting = f"{context.profile_name} profile: {data}; {profile.backbone.name} trunk; {bits} bits"
    batch = f"batches of {profile.training.batch_size}"
    return {"methods-cost": frame, "methods-cost-picture": costs.cost_figure(frame, f"{setting}; {batch}")}


def training_note(context: Context) -> str:
    """How the runs of a table were trained, and what one seed is worth."""
    seeds, epochs, trunk = len(context.profile.seeds), context.profile.training.epochs, context.profile.backbone
    start = {"none": "scratch", "default": "the shipped trunk" if trunk.name == "tiny" else "ImageNet weights"}
    noise = "s." if seeds > 1 else ": differences of a few hundredths are noise."
    source = start.get(trunk.weights, trunk.weights)
    return f"{context.profile_name} profile: {epochs} epoch{'s' * (epochs > 1)} from {source}, {seeds} seed{noise}"


def _alternating_note(profile: Profile) -> str:
    alternation = profile.alternation
    passes = f", {alternation.passes} passes over each" if alternation.passes > 1 else ""
    return (
        f"ADSH and ExchNet: {alternation.training.epochs} outer iterations of {alternation.samples:,} drawn images"
        f"{passes}; the database by the network's codes where it is not the training images."
    )
