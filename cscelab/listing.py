"""`cscelab runs`: stored runs as lines, side by side, or gone."""

from __future__ import annotations

from cscelab import compare
from cscelab.experiment import stored_runs


def list_runs(names: tuple[str, ...]) -> None:
    found = [compare.find_stored(name) for name in names] or stored_runs()
    _print_table([compare.summary(run) for run in found], "no stored runs yet; `cscelab train csce` makes one")


def compare_runs(names: tuple[str, ...]) -> None:
    if len(names) < 2:
        raise ValueError(f"compare was given {len(names)} runs; name two or more (`cscelab runs` lists them)")
    chosen = [compare.find_stored(name) for name in names]
    _print_table([compare.summary(run) for run in chosen], "")
    rows: list[dict[str, object]] = [
        {"setting": setting, **{f"run {i + 1}": value for i, value in enumerate(values)}}
        for setting, values in compare.differences(chosen).items()
    ]
    print()
    _print_table(rows, "no setting differs")


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
