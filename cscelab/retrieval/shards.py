"""One database over several processes: each rank holds a shard, counts add up, and every rank gets the whole's numbers.

Under `torchrun`, with torch.distributed initialised (gloo on CPUs, nccl on GPUs). The database is the shards in the
order of the ranks; every rank gives the same queries. A shard may be empty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist

from cscelab.retrieval.ranking import Histograms

Result = TypeVar("Result")


class Alone:
    """One process that holds the whole database: nothing to exchange."""

    rank, size = 0, 1

    def attempt(self, call: Callable[[], Result]) -> Result:
        """call(), such that an error of one rank is an error of all and none waits for ever."""
        return call()

    def gather(self, mine: Any) -> list[Any]:
        """What every rank gives, in the order of ranks."""
        return [mine]

    def sums(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(the sum of an int64 array over all ranks, its sum over the ranks before this one)."""
        return counts, np.broadcast_to(np.zeros((), counts.dtype), counts.shape)  # takes no memory

    def histograms(self, mine: Histograms) -> tuple[Histograms, Histograms]:
        """Those of the whole database, and of the shards before this one."""
        items, relevant = self.sums(mine.items), self.sums(mine.relevant)
        graded = (None, None) if mine.graded is None else self.sums(mine.graded)
        return Histograms(items[0], relevant[0], graded[0]), Histograms(items[1], relevant[1], graded[1])


class World(Alone):
    """The default process group of torch.distributed. Raises ValueError where none is initialised."""

    def __init__(self) -> None:
        if not (dist.is_available() and dist.is_initialized()):
            raise ValueError(
                "sharded=True needs torch.distributed, which is not initialised; start under torchrun and call "
                "torch.distributed.init_process_group, or evaluate in one process with sharded=False"
            )
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.device = torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")

    def attempt(self, call: Callable[[], Result]) -> Result:
        result, mine = None, None
        try:
            result = call()
        except Exception as error:
            mine = error
        messages = self.gather(None if mine is None else f"{mine}")
        if mine is not None:
            raise mine
        for rank, message in enumerate(messages):
            if message is not None:
                raise ValueError(f"rank {rank} of {self.size} could not evaluate its shard: {message}")
        return result  # type: ignore[return-value]

    def gather(self, mine: Any) -> list[Any]:
        everyone: list[Any] = [None] * self.size
        dist.all_gather_object(everyone, mine)
        return everyone

    def sums(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mine = torch.from_numpy(np.ascontiguousarray(counts)).to(self.device)
        total, before = torch.zeros_like(mine), torch.zeros_like(mine)
        for rank in range(self.size):  # one rank's counts at a time: memory does not grow with the ranks
            theirs = mine.clone() if rank == self.rank else torch.empty_like(mine)
            dist.broadcast(theirs, rank)
            total += theirs
            if rank < self.rank:
                before += theirs
        return total.cpu().numpy(), before.cpu().numpy()
