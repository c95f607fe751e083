"""Runs of rows on as many threads as torch uses: kernels and NumPy's large operations release the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import torch


def over_threads(call: Callable[[int, int], None], n_rows: int) -> None:
    """call(first, last) for consecutive runs of rows that make up all of them; an error of one is raised here."""
    n_threads = max(1, min(torch.get_num_threads(), n_rows))
    edges = [n_rows * i // n_threads for i in range(n_threads + 1)]
    if n_threads == 1:
        call(0, n_rows)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        for done in [pool.submit(call, *edge) for edge in pairwise(edges)]:
            done.result()
