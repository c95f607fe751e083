"""`cscelab runs`: stored runs as lines, side by side with their differences, or gone."""

from __future__ import annotations

from cscelab import compare
from cscelab.experiment import Run, stored_runs

NOTE = "[ ]: 95% bootstrap interval, over the draw of the queries; not over training seeds, nor over databases"


def list_runs(names: tuple[str, ...]) -> None:
    found = [compare.find_stored(name) for name in names] or list(stored_runs())
    _print_table(compare.summaries(found), "no stored runs yet; `cscelab train csce` makes one")
    if found:
        print(f"\n{NOTE}")


def compare_runs(names: tuple[str, ...]) -> None:
    if len(names) < 2:
        raise ValueError(f"compare was given {len(names)} runs; name two or more (`cscelab runs` lists them)")
    chosen = [compare.find_stored(name) for name in names]
    _print_table(compare.summaries(chosen), "")
    print()
    for i, run in enumerate(chosen[1:], start=2):
        print(f"run {i} - run 1: {_difference(run, chosen[0])}")
    print(f"{NOTE}; differences are paired, query by query")
    rows: list[dict[str, object]] = [
        {"setting": setting, **{f"run {i + 1}": value for i, value in enumerate(values)}}
        for setting, values in compare.differences(chosen).items()
    ]
    print()
    _print_table(rows, "no setting differs")


def _difference(run: Run, first: Run) -> str:
    """One line: the paired difference in mAP and its interval, or why there is none."""
    try:
        value, low, high = compare.paired_difference([run], [first])
    except ValueError as error:
        return f"no paired difference: {error}"
    return f"mAP {value:+.4f} [{low:+.4f}, {high:+.4f}]"


def prune_runs(names: tuple[str, ...], yes: bool) -> None:
    folders = compare.prunable(names=names)
    for folder in folders:
        print(folder)
    if not folders:
        print("nothing to remove")
    elif yes:
        print(f"removed {len(folders)}, {compare.remove(folders) / 1e6:.1f} MB freed")
    else:
        print(f"{len(folders)} would be removed; add --yes to do it")


def _print_table(rows: list[dict[str, object]], empty: str) -> None:
    if not rows:
        print(empty)
        return
    cells = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
