"""For the notebook on evaluation: how much is tied, all orders by hand, what a denominator rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from cscelab.figures.alt import sentences
from cscelab.figures.curves import looks
from cscelab.figures.provenance import stamp
from cscelab.figures.style import BLUE, GREY, new_figure, styled, tint
from cscelab.retrieval.ranking import DENOMINATORS, Histograms, average_precision
from cscelab.retrieval.sorters import Pairs, histograms, sorted_average_precision

RANKS = (1, 10, 100)  # where the size of a tie is looked at
PLAIN = StrMethodFormatter("{x:g}")  # 100, where a logarithmic axis would write a power of ten


def tie_sizes(pairs: Pairs, rank: int) -> np.ndarray:
    """How many items are as near to each query as the one at `rank` (from 1), itself included, (Q,). ValueError."""
    counts = histograms(pairs).items
    if not 1 <= rank <= pairs.distances.shape[1]:
        raise ValueError(f"rank {rank} in a database of {pairs.distances.shape[1]} items; give 1 to their number")
    bucket = (np.cumsum(counts, axis=1) >= rank).argmax(axis=1)
    return counts[np.arange(len(counts)), bucket]


def tie_table(cases: Mapping[str, Pairs], ranks: Sequence[int] = RANKS) -> pd.DataFrame:
    """Median number of items tied at each rank, and how many of the K+1 distances a query meets; a row a case."""
    rows = {}
    for name, pairs in cases.items():
        row = {f"tied at rank {rank}": float(np.median(tie_sizes(pairs, rank))) for rank in _reached(pairs, ranks)}
        met = (histograms(pairs).items > 0).sum(axis=1)
        rows[name] = {"items": pairs.distances.shape[1], "distances met (median)": float(np.median(met))} | row
    return pd.DataFrame(rows).T


def _reached(pairs: Pairs, ranks: Sequence[int]) -> list[int]:
    return [rank for rank in ranks if rank <= pairs.distances.shape[1]]


@styled()
def tie_sizes_figure(cases: Mapping[str, Pairs], smoke: bool = False) -> Figure:
    """A row a case: items at each distance from a query (mean), and the share of queries with ties up to a size."""
    figure = new_figure(10, 2.9 * len(cases) + 0.3, layout="constrained")
    said = ["Left, items at each Hamming distance, relevant and not; right, how many items share one distance"]
    grid = figure.subplots(len(cases), 2, squeeze=False)
    for (name, pairs), (distances, sizes) in zip(cases.items(), grid, strict=True):
        _distances(distances, pairs)
        distances.set(title=f"{name}: distances", xlabel="Hamming distance (bits)", ylabel="items, mean over queries")
        tied: list[str] = []
        for rank, look in zip(_reached(pairs, RANKS), looks(), strict=False):
            size = np.sort(tie_sizes(pairs, rank))
            share = np.arange(1, len(size) + 1) / len(size)
            style = {key: value for key, value in look.items() if key not in ("marker", "ms")}
            tied.append(f"{np.median(size):g} at rank {rank}")
            sizes.step([0.5, *size], [0, *share], where="post", label=f"at rank {rank}", **style)
        n_items = pairs.distances.shape[1]
        sizes.set(title="How many items share one distance", xlabel=f"items tied, itself included (of {n_items})")
        sizes.set(ylabel="share of queries, up to", xscale="log", xlim=(0.9, n_items * 1.15), ylim=(0, 1.03))
        sizes.xaxis.set_major_formatter(PLAIN)
        said.append(f"{name}: of {n_items:,} items, tied in the median: {', '.join(tied)}")
    figure.alt = sentences(said)  # type: ignore[attr-defined]
    figure.legend(handles=grid[0, 0].get_legend_handles_labels()[0], loc="outside lower left", ncols=2)
    figure.legend(handles=grid[0, 1].get_legend_handles_labels()[0], loc="outside lower right", ncols=3)
    if smoke:
        stamp(figure)
    return figure


def _distances(axes: Axes, pairs: Pairs) -> None:
    counts, at = histograms(pairs), np.arange(pairs.bits + 1)
    relevant = counts.relevant.mean(axis=0)
    other = counts.items.mean(axis=0) - relevant
    axes.bar(at, relevant, width=0.85, color=BLUE, label="relevant")
    axes.bar(at, other, 0.85, relevant, color=tint(GREY, 0.4), hatch="///", ec="white", label="not relevant")
    axes.set(xlim=(-0.7, pairs.bits + 0.7), ylim=(0, None))


def by_hand(distances: Sequence[int], relevant: Sequence[int], bits: int = 16) -> Pairs:
    """One query and items at the given distances, marked 1 where relevant: an example small enough for paper."""
    if len(distances) != len(relevant) or not set(relevant) <= {0, 1} or not set(distances) <= set(range(bits + 1)):
        raise ValueError(f"distances {distances} and relevance {relevant}; give as many of 0 to {bits} as of 0 and 1")
    marks = np.asarray(relevant)
    return Pairs(bits, np.array([distances], dtype=np.float32), marks[None] == 1, marks)


def orders_table(distances: Sequence[int], relevant: Sequence[int], k: int | None = None) -> pd.DataFrame:
    """AP@k of every order that the distances allow, each as likely as the next: a row an order, items named a, b, ...

    The last rows are their mean, largest and smallest. Raises ValueError for more than seven items: 5,040 orders.
    """
    if len(distances) > 7:
        raise ValueError(f"{len(distances)} items have too many orders to write down; give at most 7")
    pairs, names, rows = by_hand(distances, relevant), "abcdefg", {}
    for order in permutations(range(len(distances))):
        if any(distances[left] > distances[right] for left, right in pairwise(order)):
            continue  # not a ranking by distance
        placed = replace(pairs, distances=pairs.distances[:, order], relevant=pairs.relevant[:, order])
        values = (sorted_average_precision(placed, "np.argsort, stable", k, name)[0][0] for name in DENOMINATORS)
        marked = (names[item] + ("✓" if relevant[item] else "") for item in order)
        rows[" ".join(marked)] = dict(zip(DENOMINATORS, values, strict=True))
    orders = pd.DataFrame(rows).T.rename_axis("order")
    return pd.concat([orders, orders.agg(["mean", "max", "min"])])


def forget(counts: Histograms, radius: int) -> Histograms:
    """The counts if every relevant item beyond the radius were at the far end, behind all others: a worse retrieval."""
    bits = counts.items.shape[1] - 1
    beyond = np.where(np.arange(bits + 1) > radius, counts.relevant, 0)
    at_the_end = np.zeros_like(beyond)
    at_the_end[:, bits] = beyond.sum(axis=1)
    return Histograms(counts.items - beyond + at_the_end, counts.relevant - beyond + at_the_end)


def gain_by_losing(relevant: Sequence[int], k: int, denominator: str = "retrieved") -> float:
    """How much AP@k rises when the last of the items is lost, behind at least k others; given as 1 and 0 by rank."""
    distances = [*range(len(relevant)), *[len(relevant)] * k]  # one item a rank, then k that are not relevant
    counts = histograms(by_hand(distances, [*relevant, *[0] * k], bits=len(relevant) + 1))
    lost = forget(counts, len(relevant) - 2)
    before, after = (float(average_precision(each, k, "expected", denominator)[0]) for each in (counts, lost))
    return after - before


@styled()
def denominators_figure(pairs: Pairs, k: int, smoke: bool = False) -> Figure:
    """Expected mAP@k under each denominator: over k, and at one k when relevant items beyond a radius get lost."""
    n_items, counts = pairs.distances.shape[1], histograms(pairs)
    depths = np.unique(np.geomspace(1, n_items, 40).astype(int))
    radii = range(pairs.bits + 1)
    figure = new_figure(10, 4, layout="constrained")
    over_k, lost = figure.subplots(1, 2, sharey=True)
    for denominator, look in zip(DENOMINATORS, looks(), strict=False):
        style = {**look, "markevery": 4, "label": denominator}
        by_k = [average_precision(counts, int(depth), "expected", denominator).mean() for depth in depths]
        over_k.plot(depths, by_k, **style)
        by_radius = [average_precision(forget(counts, r), k, "expected", denominator).mean() for r in radii]
        lost.plot(radii, by_radius, **{**style, "markevery": 1})
    over_k.axvline(k, color=GREY, lw=1, ls=":")
    over_k.set(title="The same codes, over k", xlabel=f"k (dotted: {k}, as on the right)", ylabel="expected mAP@k")
    over_k.set(xscale="log", ylim=(0, 1.02))
    over_k.xaxis.set_major_formatter(PLAIN)
    lost.set(title=f"Relevant images get lost: mAP@{k}", xlabel="radius beyond which they are lost (bits)")
    lost.invert_xaxis()  # more is lost to the right
    figure.legend(handles=over_k.get_legend_handles_labels()[0], loc="outside lower center", ncols=3, handlelength=3)
    if smoke:
        stamp(figure)
    return figure
