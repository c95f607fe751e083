"""Run by torchrun from test_shards.py: each rank evaluates its shard and rank 0 writes what it got."""

import json
import sys

import numpy as np
import torch
import torch.distributed as dist

from cscelab.evaluate import evaluate, mean_average_precision


def with_an_empty_one(n_items: int, n_ranks: int) -> list[slice]:
    cuts = {2: [0, n_items], 3: [n_items // 5, n_items // 5, n_items]}[n_ranks]
    return [slice(first, last) for first, last in zip([0, *cuts[:-1]], cuts, strict=True)]


def uneven(n_items: int, n_ranks: int) -> list[slice]:
    cuts = [n_items * (i + 1) ** 2 // n_ranks**2 for i in range(n_ranks)]
    return [slice(first, last) for first, last in zip([0, *cuts[:-1]], cuts, strict=True)]


# name -> (labels, with ids, in chunks, arity)
CASES = {
    "ids": ("class", False, False, None),
    "multi-hot": ("multi_hot", True, False, None),
    "chunks": ("class", True, True, None),
    "symbols": ("multi_hot", True, False, 4),
}


def numbers(report) -> dict:
    return {
        **report.to_dict(),
        "per_query": {f"{m.name} {m.ties} {m.divided_by}": m.per_query.tolist() for m in report.measures},
        "correlation": report.codes.bit_correlation.tolist(),
    }


def main() -> None:
    path = sys.argv[1]
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    with np.load(path) as stored:
        data = {name: stored[name] for name in stored.files}
    n_items = len(data["database"])
    results = {}
    for cut in (with_an_empty_one, uneven):
        mine = cut(n_items, size)[rank]
        ids = data["database_ids"][mine]
        for name, (kind, with_ids, in_chunks, arity) in CASES.items():
            of = "" if arity is None else "_one_hot"
            codes = data[f"database{of}"][mine]
            labels = data[f"database_{kind}"][mine]
            arguments = {"query_ids": data["query_ids"]} if with_ids else {}
            if in_chunks:
                database = ([(codes[i : i + 7], labels[i : i + 7], ids[i : i + 7]) for i in range(0, len(ids), 7)],)
            else:
                database = codes, labels
                arguments |= {"database_ids": ids} if with_ids else {}
            queries = data[f"query{of}"], data[f"query_{kind}"]
            report = evaluate(*queries, *database, k=(20, None), sharded=True, arity=arity, **arguments)
            results[f"{cut.__name__} {name}"] = numbers(report)
    mine = uneven(n_items, size)[rank]
    results["map"] = mean_average_precision(
        data["query"], data["query_class"], data["database"][mine], data["database_class"][mine], k=9, ties="index",
        sharded=True,
    )  # fmt: skip
    errors = []
    broken = data["database"][mine].copy()
    if rank == size - 1:
        broken = broken[:, :-1]
    for query, database in ((data["query"], broken), (np.roll(data["query"], rank, axis=0), data["database"][mine])):
        try:
            mean_average_precision(query, data["query_class"], database, data["database_class"][mine], sharded=True)
        except ValueError as error:
            errors.append(str(error))
    one_hot = data["database_one_hot"][mine].copy()
    if rank == size - 1:
        one_hot[0, :4] = 1
    try:
        evaluate(
            data["query_one_hot"], data["query_class"], one_hot, data["database_class"][mine], arity=4, sharded=True
        )
    except ValueError as error:
        errors.append(str(error))
    gathered = [None] * size
    dist.all_gather_object(gathered, (results, errors))
    if rank == 0:
        with open(path + ".json", "w") as file:
            json.dump({"results": [r for r, _ in gathered], "errors": [e for _, e in gathered]}, file)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
