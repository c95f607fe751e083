"""A database over several processes: under torchrun every rank gets the numbers of one process, to the last bit."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sharded_evaluation import CASES, numbers

from cscelab.evaluate import evaluate, mean_average_precision
from cscelab.ordinal import one_hot_codes


def retrieval(n_query=12, n_items=150, bits=20, n_classes=5):
    rng = np.random.default_rng(3)
    return {
        "query": rng.choice([-1, 1], (n_query, bits)).astype(np.int8),
        "database": rng.choice([-1, 1], (n_items, bits)).astype(np.int8),
        "query_class": rng.integers(0, n_classes, n_query),
        "database_class": rng.integers(0, n_classes, n_items),
        "query_multi_hot": rng.random((n_query, n_classes)) < 0.4,
        "database_multi_hot": rng.random((n_items, n_classes)) < 0.4,
        "query_ids": rng.permutation(n_items)[:n_query],
        "database_ids": np.arange(n_items),
        **{
            f"{side}_one_hot": one_hot_codes(torch.from_numpy(rng.integers(0, 4, (n, 5))), 4).numpy()
            for side, n in (("query", n_query), ("database", n_items))
        },
    }


def plain(value):
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("n_ranks", [2, 3])
def test_shards_under_torchrun_give_the_numbers_of_one_process(tmp_path, n_ranks):
    data = retrieval()
    path = tmp_path / "data.npz"
    np.savez(path, **data)
    script = Path(__file__).with_name("sharded_evaluation.py")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={n_ranks}", script, path],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(Path(f"{path}.json").read_text())
    assert len(found["results"]) == n_ranks

    alone = {}
    for name, (labels, ids, _, arity) in CASES.items():
        of = "" if arity is None else "_one_hot"
        arguments = {"query_ids": data["query_ids"], "database_ids": data["database_ids"]} if ids else {}
        report = evaluate(
            data[f"query{of}"], data[f"query_{labels}"], data[f"database{of}"], data[f"database_{labels}"],
            k=(20, None), arity=arity, **arguments,
        )  # fmt: skip
        alone[name] = plain(numbers(report))
    for results in found["results"]:
        for cut in ("with_an_empty_one", "uneven"):
            for name, expected in alone.items():
                assert results[f"{cut} {name}"] == expected, (cut, name)
        assert results["map"] == mean_average_precision(
            data["query"], data["query_class"], data["database"], data["database_class"], k=9, ties="index"
        )
    # An error of one rank, and queries that differ, are an error of every rank: none is left waiting.
    for rank, (bits, queries, symbols) in enumerate(found["errors"]):
        assert "queries have 20 bits and the database 19" in bits
        assert (f"rank {n_ranks - 1} of {n_ranks}" in bits) == (rank < n_ranks - 1)
        assert "different queries" in queries
        assert symbols.startswith("database codes: some have several bits of +1 in group 0")


def test_a_sharded_call_outside_torchrun_says_what_to_do():
    data = retrieval()
    with pytest.raises(ValueError, match="torchrun"):
        mean_average_precision(
            data["query"], data["query_class"], data["database"], data["database_class"], sharded=True
        )
