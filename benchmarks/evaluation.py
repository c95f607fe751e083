"""Evaluating 5,000 queries against 117,218 items of 64 bits: pairs per second and memory, as ratios to a plain loop.

The loop is what repositories do, written here: for every query the distances by a float32 matrix product, an argsort
with NumPy's default kind, and the average precision of the sorted relevance. It runs in the same process, with the same
number of threads, on the first LOOP_QUERIES queries; rates are per pair of query and item, the seconds of the loop
scaled to all queries. The whole report has every measure and its bootstrap interval.
Codes are uniformly random, the hard case for counting by bit planes, and clustered, as trained codes are. Memory is
the peak above the inputs, traced in a call of its own. Besides: a database of 20 million codes streamed in chunks, and
the first call in a fresh process, with and without the kernels compiled before.
Prints the rows and writes figures/bench-evaluation.csv, .png and .svg. Run by `make bench`: about two minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from cscelab.evaluate import evaluate, mean_average_precision
from cscelab.figures.speed import speed
from cscelab.figures.style import save

QUERIES, ITEMS, BITS, CLASSES, LABELS = 5_000, 117_218, 64, 100, 80
LOOP_QUERIES = 250
LABELS_AN_ITEM = 2.9  # COCO's mean
STREAMED, CHUNK = 20_000_000, 250_000
FIGURES = Path(__file__).resolve().parent.parent / "figures"
FIRST_CALL = """
import time
import numpy as np
from cscelab.evaluate import mean_average_precision
codes, labels = np.eye(64), np.arange(64) % 2
start = time.perf_counter()
mean_average_precision(codes, labels, codes, labels)
print(time.perf_counter() - start)
"""
Side = tuple[np.ndarray, np.ndarray]


def argsort_loop(queries: Side, database: Side) -> float:
    """mAP of the whole ranking as repositories compute it: ties wherever the sort leaves them."""
    total = 0.0
    for code, label in zip(*queries, strict=True):
        relevant = database[1] @ label > 0 if label.ndim else database[1] == label
        distances = 0.5 * (BITS - database[0] @ code)
        ranks = np.flatnonzero(relevant[np.argsort(distances)]) + 1
        total += float((np.arange(1, len(ranks) + 1) / ranks).mean()) if len(ranks) else 0.0
    return total / len(queries[0])


def draw(codes: str, labels: str, generator: np.random.Generator) -> tuple[Side, Side]:
    """Queries and database: codes float32 of -1 and +1, class ids or float32 multi-hot labels."""
    n = QUERIES + ITEMS
    classes = generator.integers(0, CLASSES, n)
    if codes == "random":
        drawn = generator.choice(np.array([-1, 1], np.float32), (n, BITS))
    else:
        centers = generator.choice(np.array([-1, 1], np.float32), (CLASSES, BITS))
        drawn = centers[classes] * np.where(generator.random((n, BITS)) < 0.05, np.float32(-1), np.float32(1))
    shown = classes
    if labels != "class ids":
        shown = (generator.random((n, LABELS)) < LABELS_AN_ITEM / LABELS).astype(np.float32)
    return (drawn[:QUERIES], shown[:QUERIES]), (drawn[QUERIES:], shown[QUERIES:])


def seconds(call: Callable[[], Any], repeats: int = 3) -> float:
    """The fastest of a few calls, after one warm-up: other work on the machine only adds."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def megabytes(call: Callable[[], Any]) -> float:
    """Peak of what the call allocates."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def measure() -> list[dict[str, Any]]:
    """One row for each kind of codes, labels and way of evaluating: pairs/s, ratio to the loop, MB above the inputs."""
    rows = []
    for codes, labels in (("random", "class ids"), ("random", "80 labels"), ("clustered", "class ids")):
        queries, database = draw(codes, labels, np.random.default_rng(0))
        some = queries[0][:LOOP_QUERIES], queries[1][:LOOP_QUERIES]
        ways: dict[str, tuple[int, Callable[[], Any]]] = {
            "argsort loop": (LOOP_QUERIES, lambda some=some, database=database: argsort_loop(some, database)),
            "mAP, expected ties": (QUERIES, lambda q=queries, d=database: mean_average_precision(*q, *d)),
            "mAP, ties by index": (QUERIES, lambda q=queries, d=database: mean_average_precision(*q, *d, ties="index")),
            "whole report": (QUERIES, lambda q=queries, d=database: evaluate(*q, *d).intervals),
        }
        loop = None
        for way, (n_queries, call) in ways.items():
            taken = seconds(call)
            rate = n_queries * ITEMS / taken
            loop = rate if loop is None else loop
            rows.append({
                "codes": codes, "labels": labels, "way": way,
                "pairs per second": rate, "ratio to the loop": rate / loop,
                "seconds": taken * QUERIES / n_queries, "MB above the inputs": megabytes(call),
            })  # fmt: skip
    return rows


def stream(n: int) -> Iterator[Side]:
    generator = np.random.default_rng(1)
    for _ in range(0, n, CHUNK):
        yield generator.integers(0, 256, (CHUNK, BITS // 8), dtype=np.uint8), generator.integers(0, CLASSES, CHUNK)


def streamed(n_queries: int = 1_000) -> dict[str, Any]:
    """20 million codes in chunks; drawing them is part of the time."""
    generator = np.random.default_rng(2)
    packed = generator.integers(0, 256, (n_queries, BITS // 8), dtype=np.uint8)
    labels = generator.integers(0, CLASSES, n_queries)

    def call() -> None:
        mean_average_precision(packed, labels, stream(STREAMED), bits=BITS)

    start = time.perf_counter()
    call()
    taken = time.perf_counter() - start
    return {
        "codes": "random", "labels": "class ids", "way": "mAP, 20 million streamed, 1,000 queries",
        "pairs per second": n_queries * STREAMED / taken, "seconds": taken, "MB above the inputs": megabytes(call),
    }  # fmt: skip


def first_calls() -> tuple[float, float]:
    """Seconds of a first call in a new process, kernels not compiled before and compiled before."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        command = [sys.executable, "-c", FIRST_CALL]
        compiled, cached = (
            float(subprocess.run(command, env=environment, check=True, capture_output=True).stdout) for _ in range(2)
        )
    return compiled, cached


def main() -> None:
    caption = f"{QUERIES:,} queries, {ITEMS:,} items, {BITS} bits, {torch.get_num_threads()} threads"
    compiled, cached = first_calls()
    table = pd.DataFrame([
        *measure(),
        streamed(),
        {"way": "first call of a process, compiling the kernels", "seconds": compiled},
        {"way": "first call of a process, kernels on disk", "seconds": cached},
    ])  # fmt: skip
    print(caption)
    print(table.to_string(index=False, na_rep="", float_format="{:.4g}".format))
    FIGURES.mkdir(exist_ok=True)
    table.to_csv(FIGURES / "bench-evaluation.csv", index=False, float_format="%.4g")
    for path in (FIGURES / "bench-evaluation.csv", *save(speed(table, caption), FIGURES / "bench-evaluation")):
        print(path)


if __name__ == "__main__":
    main()
