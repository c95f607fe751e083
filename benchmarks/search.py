"""Recall, latency, memory and building time of the three kinds of index, for 100,000 and a million 64-bit codes.

Codes are clustered, as trained codes are: 1,000 centres with a tenth of the bits flipped, queries drawn likewise;
uniformly random codes, in which nothing is near anything, are the hard case, at 100,000 only. An item counts towards
recall@10 when it is no farther than the exact tenth, so that ties cost nothing. All on one thread: with more, other
work on the machine decides the times. Prints the rows and writes figures/bench-search.csv, .png and .svg. Run by
`make bench`, never as a timed test: about two minutes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cscelab.figures.search_trade import search_trade
from cscelab.figures.style import save
from cscelab.indexes.scan import threads
from cscelab.search import CodeIndex

BITS, K = 64, 10
CENTRES, FLIPPED = 1_000, 0.1
QUERIES, BATCH = 500, 100
EFFORTS: dict[str, Sequence[int]] = {"flat": (0,), "ivf": (1, 4, 16, 64), "hnsw": (16, 64, 256)}
SETTING = {"ivf": "probes", "hnsw": "ef"}
FIGURES = Path(__file__).resolve().parent.parent / "figures"


def draw(kind: str, n: int, generator: np.random.Generator, centres: np.ndarray) -> np.ndarray:
    """Packed codes uint8 (n, BITS / 8); in blocks, so that a million take little memory."""
    if kind == "random":
        return generator.integers(0, 256, (n, BITS // 8), dtype=np.uint8)
    blocks = []
    for start in range(0, n, 100_000):
        rows = min(100_000, n - start)
        flips = generator.random((rows, BITS), dtype=np.float32) < FLIPPED
        blocks.append(np.packbits(centres[generator.integers(0, len(centres), rows)] ^ flips, axis=1))
    return np.concatenate(blocks)


def milliseconds(index: CodeIndex, queries: np.ndarray, batch: int) -> float:
    """Median time of a search in batches, per query."""
    index.search(queries[:batch], K)  # warm-up
    times = []
    for start in range(0, len(queries), batch):
        begin = time.perf_counter()
        with threads(1):
            index.search(queries[start : start + batch], K)
        times.append((time.perf_counter() - begin) / batch)
    return 1e3 * statistics.median(times)


def measure(
    sizes: Sequence[int] = (100_000, 1_000_000), random_up_to: int = 100_000, seed: int = 0
) -> list[dict[str, Any]]:
    """One row for each kind of index and setting: codes, size, recall@10, latencies in ms, bytes a code, seconds."""
    rows = []
    for size in sizes:
        for codes in ("clustered", "random") if size <= random_up_to else ("clustered",):
            generator = np.random.default_rng(seed)
            centres = generator.integers(0, 2, (CENTRES, BITS)).astype(bool)
            database, queries = (draw(codes, n, generator, centres) for n in (size, QUERIES))
            farthest = None
            for kind, efforts in EFFORTS.items():
                index = CodeIndex(BITS, kind)  # type: ignore[arg-type]
                begin = time.perf_counter()
                index.add(database)
                index.build()
                seconds = time.perf_counter() - begin
                for effort in efforts:
                    if kind in SETTING:
                        setattr(index, SETTING[kind], effort)
                    found = index.search(queries, K)
                    farthest = found.distances[:, -1:] if farthest is None else farthest  # flat comes first
                    rows.append({
                        "codes": codes, "size": size, "kind": kind,
                        "setting": f"{SETTING[kind]} {effort}" if kind in SETTING else "exact",
                        "recall@10": float((found.distances <= farthest).mean()),
                        "ms, one query": milliseconds(index, queries, 1),
                        f"ms a query, batch of {BATCH}": milliseconds(index, queries, BATCH),
                        "bytes a code": index.n_bytes / size,
                        "seconds to build": seconds,
                    })  # fmt: skip
    return rows


def main() -> None:
    table = pd.DataFrame(measure())
    print(table.to_string(index=False, float_format="{:.4g}".format))
    FIGURES.mkdir(exist_ok=True)
    table.to_csv(FIGURES / "bench-search.csv", index=False, float_format="%.5g")
    for path in (FIGURES / "bench-search.csv", *save(search_trade(table), FIGURES / "bench-search")):
        print(path)


if __name__ == "__main__":
    main()
