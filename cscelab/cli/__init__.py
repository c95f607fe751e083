"""The command line: parse and call, nothing else. A user's mistake is one line on stderr and exit code 2."""

from __future__ import annotations

import os
import sys
from typing import Any, cast

from cscelab.cli import (  # first: says in one line where tyro is missing
    data,
    experiments,
    retrieval,
    scoring,
    searching,
    tools,
)

COMMANDS = {
    "figures": experiments.figures,
    "photographs": experiments.photographs,
    "train": experiments.train,
    "evaluate": experiments.evaluate,
    "score": scoring.score,
    "encode": retrieval.encode,
    "index": searching.index,
    "query": searching.query,
    "duplicates": searching.duplicates,
    "data": data.data,
    "recipes": experiments.list_recipes,
    "runs": experiments.runs,
    "lab": tools.lab,
    "app": tools.app,
    "doctor": tools.doctor,
    "pretrain": experiments.pretrain,
}

TRAINS = "the same command goes on from the last finished epoch"
GOES_ON = {  # what Ctrl-C leaves of a command
    **dict.fromkeys(("train", "figures", "photographs", "pretrain"), TRAINS),
    "index": "what was finished is kept; an index of a folder goes on with the same command",
    "data": "no list was half written; what was downloaded whole is kept",
}


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `cscelab`. Exit codes: 0 done, 1 unhealthy (doctor), 2 a user's mistake, 130 stopped by Ctrl-C,
    141 where who reads the output has gone, as `head` does."""
    try:
        import tyro

        try:
            tyro.extras.subcommand_cli_from_dict(
                cast(Any, COMMANDS), prog="cscelab", description="A workbench for deep image hashing.", args=arguments
            )
        finally:
            sys.stdout.flush()  # a pipe that nobody reads is told of here at the latest, not at Python's end
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python flushes at its end goes nowhere
        sys.exit(141)
    except (ValueError, OSError) as error:
        print(f"cscelab: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        given = sys.argv[1:] if arguments is None else arguments
        goes_on = GOES_ON.get(given[0] if given else "", "nothing half done was kept")
        print(f"cscelab: stopped; {goes_on}", file=sys.stderr)
        sys.exit(130)
