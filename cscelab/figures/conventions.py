"""One set of codes under every convention: mAP@k by denominator, from the worst to the best order of tied items."""

from __future__ import annotations

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cscelab.figures.alt import sentences
from cscelab.figures.style import BLACK, BLUE, GREEN, GREY, VERMILION, new_figure, styled, tint
from cscelab.retrieval.ranking import DENOMINATORS
from cscelab.score import Scores, depth

LOOKS = {"retrieved": (BLUE, "o"), "capped": (VERMILION, "s"), "relevant": (GREEN, "D")}
MEANINGS = {
    "retrieved": "relevant items in the top k",
    "capped": "min(k, relevant items)",
    "relevant": "relevant items in the database",
}
STEP = 0.27  # between the denominators of one k, whose groups are 1 apart
WIDTH = 0.15  # of a bar
GROUP = 1.8  # inches a k
MARGINS = 1.2  # inches beside them
NARROWEST = 6.6  # inches, for the legend


@styled()
def conventions(scores: Scores, title: str = "The same codes under every convention") -> Figure:
    """mAP by k: a point for expected ties, a bar from worst to best, a pointer at the order of the files; and, where
    random orders were tried, a darker band from the lowest to the highest of them. Expected values stand below.
    """
    n_groups = len(scores.ks)
    width = max(NARROWEST, MARGINS + GROUP * n_groups)
    figure = new_figure(width, 5.2, layout="constrained")
    axes = figure.subplots()
    places = {}
    for group, k in enumerate(scores.ks):
        for place, denominator in enumerate(DENOMINATORS):
            x = group + (place - (len(DENOMINATORS) - 1) / 2) * STEP
            _column(axes, x, scores, k, denominator)
            places[x] = f"{scores.map_at[k]['expected'][denominator]:.3f}"
    axes.xaxis.remove_overlapping_locs = False  # the middle column's value stands above the name of its k
    axes.set_xticks(range(n_groups), [_group_label(scores, k) for k in scores.ks])
    axes.set_xticks(list(places), list(places.values()), minor=True, fontsize=8)
    axes.tick_params(axis="x", which="both", length=0)
    axes.tick_params(axis="x", which="major", pad=20)
    for label, (colour, _) in zip(axes.get_xticklabels(minor=True), [*LOOKS.values()] * n_groups, strict=True):
        label.set_color(colour)
    beside = (width - MARGINS) / GROUP / 2  # in groups: few ks stand in the middle, as wide as many
    middle = (n_groups - 1) / 2
    axes.set(
        title=title,
        xlabel=f"in colour: expected mAP@k; below k: lowest to highest\n{_sizes(scores)}",
        ylabel="mAP@k",
        xlim=(middle - beside, middle + beside),
        ylim=(0, 1.04),  # a cut axis makes noise look like a finding
        yticks=[0, 0.2, 0.4, 0.6, 0.8, 1],
    )
    axes.grid(axis="x", which="both", visible=False)
    figure.legend(handles=_legend(scores), loc="outside lower center", ncols=2, handlelength=1.6)
    figure.alt = sentences([title, _sizes(scores), *(_in_words(scores, k) for k in scores.ks)])  # type: ignore[attr-defined]
    return figure


def _group_label(scores: Scores, k: int | None) -> str:
    lowest, highest = (f"{value:.3f}" for value in scores.spread(k))
    return f"k = {depth(k)}\n{lowest}" + (f" to {highest}" if highest != lowest else "")


def _in_words(scores: Scores, k: int | None) -> str:
    """mAP@k by denominator: expected, and from the worst to the best order of ties."""
    at = scores.map_at[k]
    by_denominator = (
        f"{name} {at['expected'][name]:.3f} ({at['worst'][name]:.3f} to {at['best'][name]:.3f})"
        for name in DENOMINATORS
    )
    return f"mAP@{depth(k)}, expected (worst to best order of ties), divided by: {'; '.join(by_denominator)}"


def _sizes(scores: Scores) -> str:
    report = scores.report
    queries = "1 query" if report.n_query == 1 else f"{report.n_query:,} queries"
    return f"{report.layout}, {queries}, database of {report.n_database:,}"


def _column(axes: Axes, x: float, scores: Scores, k: int | None, denominator: str) -> None:
    colour, marker = LOOKS[denominator]
    at = {ties: by[denominator] for ties, by in scores.map_at[k].items()}
    axes.bar(x, at["best"] - at["worst"], WIDTH, at["worst"], color=tint(colour, 0.25), ec=tint(colour, 0.5), lw=0.8)
    if scores.orders:
        orders = scores.orders[k][denominator]
        axes.bar(x, orders.max() - orders.min(), WIDTH, orders.min(), color=tint(colour, 0.6), ec=tint(colour, 0.6))
    axes.plot(x, at["expected"], marker, color=colour, ms=6, mec="white", mew=0.8, zorder=3, clip_on=False)
    axes.plot(x + WIDTH / 2 + 0.03, at["index"], "<", color=BLACK, ms=5, mew=0, zorder=3, clip_on=False)


def _orders(scores: Scores) -> str:
    orders = "1 random order" if scores.n_orders == 1 else f"{scores.n_orders} random orders"
    if scores.sampled:
        return f"{orders} ({scores.order_queries:,} of {scores.report.n_query:,} queries)"
    return f"{orders} of the database"


def _legend(scores: Scores) -> list[Artist]:
    points: list[Artist] = [
        Line2D([], [], ls="", marker=marker, color=colour, ms=6, label=f"{name}: divided by {MEANINGS[name]}")
        for name, (colour, marker) in LOOKS.items()
    ]
    marks: list[Artist] = [
        Patch(fc=tint(GREY, 0.25), ec=tint(GREY, 0.5), label="worst to best order of ties"),
        Line2D([], [], ls="", marker="<", color=BLACK, ms=5, mew=0, label="ties in the order of the files"),
    ]
    if scores.orders:
        marks.insert(1, Patch(fc=tint(GREY, 0.6), label=_orders(scores)))
    else:
        marks.append(Line2D([], [], ls="", label=" "))
    return [*points, *marks]
