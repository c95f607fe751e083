"""The command that scores anyone's codes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from cscelab.cli.arguments import Positional, arg

FileArg = Annotated[str, arg(metavar="FILE[:NAME]")]
OtherFileArg = Annotated[str | None, arg(metavar="FILE[:NAME]")]

IN_PYTHON = {  # what messages say -> on the command line
    r" \(binarise=True\)": "",
    r"\bbits=(\d+)": r"--bits \1",
    r"\bbits=": "--bits",
    r"\barity=(\d+)": r"--arity \1",
    r"\bthe arity\b": "--arity",
    r"\bthis arity\b": "this --arity",
    r"\bempty=\"(\w+)\"": r"--empty \1",
    r"raise order_pairs, or leave them out with orders=0": "leave them out with --orders 0",
    r"\b(query|database)_ids\b": r"--\1-ids",
    r"^(k|bits|arity|orders|seed) is ": r"--\1 is ",
}

ONE_HOT = (
    "write each symbol as --arity bits, one of them up (cscelab.ordinal.one_hot_codes), and give packed codes --bits"
)


def score(
    query: Positional[FileArg],
    database: Positional[OtherFileArg] = None,
    /,
    query_labels: OtherFileArg = None,
    database_labels: OtherFileArg = None,
    query_ids: OtherFileArg = None,
    database_ids: OtherFileArg = None,
    k: Annotated[tuple[int | Literal["all"], ...], arg(metavar="all|K ...")] = (),
    bits: int | None = None,
    arity: int | None = None,
    binarise: bool = False,
    empty: Literal["zero", "drop"] = "zero",
    orders: int = 10,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """mAP of anyone's codes under every convention, from .npy, .npz, .mat, .csv, .tsv or .txt files.

    Args:
        query: the queries' codes, as codes.npy or results.mat:B_test; one file may hold everything.
        database: the database's codes; by default in the queries' file.
        query_labels: class ids or multi-hot; by default beside the codes.
        database_labels: likewise.
        query_ids: of queries that are in the database themselves, so that none is found by itself.
        database_ids: likewise.
        k: depths of mAP@k; by default all, 100, 1000 and 5000 as far as the database reaches.
        bits: code length, needed for packed uint8 codes whose file does not tell; of ordinal codes what the symbols
            tell, as 32 for 16 symbols of 4.
        arity: values a symbol, as 4, where codes are ordinal: written one-hot, so many bits a symbol and one of them
            up. Known of stored runs and of `cscelab encode --out`. It changes no mAP; score.json then counts radii
            and distances in symbols.
        binarise: take the sign of continuous values.
        empty: count queries without any relevant item as 0, or drop them.
        orders: random orders of the database to sort in; 0 leaves them out.
        seed: of the random orders.
        out: folder for score.csv, score.json, score.png and score.svg.
    """
    from cscelab.codefiles import read_codes
    from cscelab.paths import make_folder
    from cscelab.score import REMEDY
    from cscelab.score import score as score_codes

    if out:
        make_folder(out, REMEDY)
    try:
        data = read_codes(
            query, database, query_labels, database_labels, query_ids, database_ids, bits, binarise, arity
        )
    except ValueError as error:
        raise ValueError(as_options(str(error), arity)) from error
    for note in data.notes:
        print(note)
    try:
        scores = score_codes(
            data.query_codes, data.query_labels, data.database_codes, data.database_labels,
            ks=[None if depth == "all" else depth for depth in k] or None, bits=data.bits, arity=data.arity,
            empty=empty, query_ids=data.query_ids, database_ids=data.database_ids, orders=orders, seed=seed,
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(data.located(as_options(str(error), data.arity))) from error
    print(scores.table())
    if out:
        from cscelab.figures.conventions import conventions
        from cscelab.figures.style import save

        written = scores.save(out)
        try:
            written += save(conventions(scores), out / "score")
        except OSError as error:
            raise OSError(f"cannot write the figure to {out} ({error.strerror or error}); {REMEDY}") from error
        for path in written:
            print(path)


def as_options(message: str, arity: int | None = None) -> str:
    """A message to those who call from Python, in the words of the command line: bits=64 as --bits 64.

    arity: the one given; a file of the symbols themselves then is a likely mistake.
    """
    if arity is not None:
        message = re.sub(r"(-1 / \+1 or 0 / 1): .*", rf"\1: {ONE_HOT}", message)
    for python, option in IN_PYTHON.items():
        message = re.sub(python, option, message)
    return message
