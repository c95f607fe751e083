"""The bits of a pair: the continuous codes of a query and of one database image, and where signs or symbols part."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from cscelab.collection import Collection, Query
from cscelab.figures.mosaic import wrap
from cscelab.figures.provenance import stamp
from cscelab.figures.style import BLUE, GREY, ORANGE, VERMILION, new_figure, styled
from cscelab.ordinal import read_one_hot

WIDTH, HEIGHT = 10.0, 4.0  # inches
MOST_NUMBERS = 32  # of symbols that are numbered, below their values


@styled()
def bits_figure(collection: Collection, query: Query, row: int) -> Figure:
    """Values of every bit as bars, above them the signs of both codes and a mark where they differ; the images beside.

    A code's sign may be another than its value's: the dynamic sign gives unsure bits the minority's. Of ordinal codes
    symbols stand in the place of signs, each over the group of values whose largest it is.
    row: of the database. Raises ValueError for one that is not there.
    """
    other = collection.query(row, "database")
    (code, values), (other_code, other_values) = (collection.code_of(each) for each in (query, other))
    layout = collection.layout
    bits = 1 + np.arange(layout.width)  # numbered from 1, as the browser does
    groups = bits.reshape(layout.n_symbols, -1)  # a symbol's, or one
    middles = groups.mean(axis=1)
    parts = (code != other_code).reshape(groups.shape).any(axis=1)
    differing = 1 + np.flatnonzero(parts)
    figure = new_figure(WIDTH, HEIGHT)
    for shown, bottom, colour in ((query, 0.55, BLUE), (other, 0.06, ORANGE)):
        beside = figure.add_axes((0.012, bottom, 0.13, 0.325))
        beside.imshow(shown.image)
        beside.set(xticks=[], yticks=[])
        beside.spines[:].set(visible=True, color=colour, linewidth=2.2)
        figure.text(0.012, bottom + 0.335, "\n".join(wrap(shown.title, 1.62, 7.5)[:4]), size=7.5, va="bottom")
    size = min(6, 240 / layout.n_symbols)  # of the signs, in points: those of 64 bits must not touch
    signs = figure.add_axes((0.26, 0.71, 0.73, 0.17))
    for place, of, colour in ((1, code, BLUE), (0, other_code, ORANGE)):
        if layout.arity is not None:
            symbols = read_one_hot(of[None], layout.arity)[0].tolist()
            for at, symbol in zip(middles, symbols, strict=True):
                signs.text(at, place, symbol, size=1.5 * size, weight="bold", ha="center", va="center")
            continue
        for sign, marker in ((1, "+"), (-1, "_")):
            at = bits[of == sign]
            signs.plot(at, np.full(len(at), place), ls="", marker=marker, color=colour, ms=size, mew=1.6)
    signs.plot(middles[parts], np.full(len(differing), 2), ls="", marker=r"$\neq$", color=VERMILION, ms=1.4 * size)
    axes = figure.add_axes((0.26, 0.13, 0.73, 0.55))
    axes.bar(bits - 0.2, values, 0.4, color=BLUE, label="query")
    axes.bar(bits + 0.2, other_values, 0.4, color=ORANGE, hatch="////", edgecolor="white", lw=0, label="database image")
    axes.axhline(0, color=GREY, lw=0.8)
    for each in (signs, axes):
        each.set_xlim(0.2, layout.width + 0.8)
        each.grid(False)
    signs.set(ylim=(-0.6, 2.6), xticks=[])
    signs.set_yticks([2, 1, 0], ["differ", "query", "database"])
    signs.spines[:].set_visible(False)
    signs.tick_params(left=False)
    axes.set(xlabel="bit", ylabel="continuous value")
    if layout.arity is not None:
        for each in (signs, axes):
            each.vlines(groups[1:, 0] - 0.5, 0, 1, colors=GREY, lw=0.6, ls=":", transform=each.get_xaxis_transform())
        numbered = slice(0, None, -(-layout.n_symbols // MOST_NUMBERS))
        axes.set_xticks(middles[numbered], [str(number) for number in range(1, 1 + layout.n_symbols)[numbered]])
        axes.set(xlabel=f"symbol: which of its {layout.arity} values is largest, counted from 0 at the left")
    figure.legend(loc="upper right", bbox_to_anchor=(0.995, 1.01), ncols=2)
    count = f"{len(differing)} of {layout.n_symbols} {layout.unit} differ"
    figure.text(0.26, 0.975, f"{count}: {collection.title}", size=11, weight="bold", va="top")
    named = ", ".join(map(str, differing)) or "none"
    figure.alt = (  # type: ignore[attr-defined]
        f"{query.title} and {other.title}, as {collection.title} codes them: {count}, those numbered {named}."
    )
    if collection.smoke:
        stamp(figure)
    return figure
