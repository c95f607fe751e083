"""`cscelab figures exchnet search-cost`: the runs that ExchNet's figures need, and what is drawn from them."""

from __future__ import annotations

from cscelab.description import Experiment
from cscelab.figures import exchnet, part_exchange, part_maps, search_costs
from cscelab.figures.context import Context, Drawn, finegrained_at_hand
from cscelab.methods.exchnet import ExchNet
from cscelab.neighbours import name_of
from cscelab.profiles import Profile
from cscelab.recipes import EXCHNET_ROWS, PART_SWEEP, recipe
from cscelab.searchcost import measure_search_costs
from cscelab.titles import data_titles

WHOLE, ALONE, FREE = "exchnet", "exchnet/no-exchange", "exchnet/no-constraints"


def middle_length(profile: Profile) -> int:
    """The second shortest code length: that of all but mAP by bits, and the one trained with several seeds."""
    return profile.finegrained_lengths[:2][-1]


def exchnet_needed(profile: Profile, profile_name: str) -> list[Experiment]:
    """Every experiment of the group, on each data set at hand: methods at the middle code length have all of the
    profile's seeds, all else the first alone. Raises ValueError where no data set is there."""
    middle, first = middle_length(profile), profile.seeds[0]
    found = []
    for on in finegrained_at_hand(profile):
        for name in EXCHNET_ROWS.values():
            found += [recipe(name, profile_name, middle, seed, on) for seed in profile.seeds]
            found += [
                recipe(name, profile_name, bits, first, on) for bits in profile.finegrained_lengths if bits != middle
            ]
        alone = dict.fromkeys((*PART_SWEEP.values(), FREE))
        found += [recipe(name, profile_name, middle, first, on) for name in alone if name != WHOLE]
    return found


def search_cost_needed(profile: Profile, profile_name: str) -> list[Experiment]:
    """ExchNet at the middle code length, on the first data set at hand. Raises ValueError where none is there."""
    on = next(iter(finegrained_at_hand(profile)))
    return [recipe(WHOLE, profile_name, middle_length(profile), profile.seeds[0], on)]


def draw_exchnet(context: Context) -> Drawn:
    """Table and figures of every data set at hand; names say which only where the profile has several."""
    drawn: Drawn = {}
    for on, benchmark in finegrained_at_hand(context.profile).items():
        stem = "exchnet" if len(context.profile.finegrained) == 1 else f"exchnet-{on}"
        drawn |= _numbers(context, on, stem, benchmark.published) | _pictures(context, on, stem, benchmark.published)
    return drawn


def _numbers(context: Context, on: str, stem: str, published: tuple[str, ...]) -> Drawn:
    """What further seeds change; the names say how many there are where they were asked for."""
    profile, middle = context.profile, middle_length(context.profile)
    rows = {
        row: {
            bits: context.seeds_of(name, [bits], on)[bits] if bits == middle else [context.run(name, bits, on=on)]
            for bits in profile.finegrained_lengths
        }
        for row, name in EXCHNET_ROWS.items()
    }
    suffix = context.seeds_suffix
    return {
        f"{stem}{suffix}": exchnet.exchnet_table(rows, published),
        f"{stem}-map-by-bits{suffix}": exchnet.code_length_figure(rows),
    }


def _pictures(context: Context, on: str, stem: str, published: tuple[str, ...]) -> Drawn:
    """What is drawn from the first seed at the middle code length."""
    bits = middle_length(context.profile)
    sweep = {n_parts: [context.run(name, bits, on=on)] for n_parts, name in PART_SWEEP.items()}
    swept = exchnet.part_sweep_table(sweep, published)
    whole, alone, free, adsh = (context.run(name, bits, on=on) for name in (WHOLE, ALONE, FREE, "adsh"))
    splits = whole.data()
    queries = splits.query
    rows = part_maps.first_of_each(queries)
    names = [name_of(label, splits.class_names) for label in queries.labels[rows]]
    masks = None if queries.masks is None else queries.masks[rows]
    trainings = {"trained with exchange": whole, "trained without exchange": alone}
    asked = queries.subset(part_maps.spread(len(queries)))
    movements = {}
    for title, run in trainings.items():
        method = run.model()
        assert isinstance(method, ExchNet)
        movements[title] = part_exchange.code_movement(method, asked, splits.train)
    table = part_exchange.movement_table(movements, context.profile.smoke)
    return {
        f"{stem}-parts-sweep": (swept, exchnet.part_sweep_figure(sweep, swept)),
        f"{stem}-objective": exchnet.objective_figure(
            {"ExchNet": whole, "ExchNet without exchange": alone, "ADSH": adsh}
        ),
        f"{stem}-attention": part_maps.part_maps_figure(
            {"ExchNet": whole, "ExchNet without constraints": free},
            queries.images[rows],
            masks,
            names,
            part_maps.RULE.format(len(rows)),
        ),
        f"{stem}-movement": (table, part_exchange.exchange_figure(table, trainings)),
    }


def draw_search_cost(context: Context) -> Drawn:
    """Measured anew at each call: what searching a database by the learned model costs in several ways."""
    (experiment,) = search_cost_needed(context.profile, context.profile_name)
    costs = measure_search_costs(context.runs[experiment.hash])
    frame = search_costs.search_cost_table(costs, context.profile.smoke)
    (data,) = data_titles({experiment.data: None}).values()
    trunk = context.profile.backbone.name
    setting = f"{context.profile_name} profile: {data}; {trunk} trunk; ExchNet, {experiment.bits} bits"
    return {"search-cost": (frame, search_costs.search_cost_figure(frame, setting))}
