"""Search by code: the nearest codes in Hamming distance, from an index that grows, shrinks and lives in one file.

`flat` compares with every code and is exact; `ivf` and `hnsw` look at fewer and may miss some (see
`cscelab.indexes.kinds`). Every list is ordered by distance, then id. `flat` keeps that order at the cut too: among
items tied at the k-th distance the smallest ids are returned, whatever the order in which they were added.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from cscelab.codes import unpack
from cscelab.indexes import file as indexfile
from cscelab.indexes import scan as indexscan
from cscelab.indexes.inputs import LARGEST_ID, Setting, Text, check_codes, check_ids
from cscelab.indexes.kinds import MISSING, Graph, InvertedFile
from cscelab.indexes.rerank import Reranked, rerank
from cscelab.retrieval.inputs import Array, whole_number

__all__ = ["CodeIndex", "Found", "KINDS", "MISSING", "Reranked", "Within", "rerank"]

Kind = Literal["flat", "ivf", "hnsw"]
KINDS = ("flat", "ivf", "hnsw")


class Found(NamedTuple):
    """distances int32 (Q, k) in bits and ids int64 (Q, k), a row for each query."""

    distances: np.ndarray
    ids: np.ndarray


class Within(NamedTuple):
    """Query q has distances[lims[q] : lims[q + 1]] and the same of ids; lims int64 (Q + 1,)."""

    lims: np.ndarray
    distances: np.ndarray
    ids: np.ndarray


class CodeIndex:
    """Codes under ids, searched by Hamming distance.

    Args:
        bits: K of the codes, 1 or more.
        kind: flat (exact), ivf (k-means lists) or hnsw (graph).
        method: name of the encoder that makes the codes; kept in the file, so that `load` can refuse another's.
        probes: of ivf: lists that a search looks into.
        nlist: of ivf: number of lists; by default about sqrt(N) at the time of building.
        m: of hnsw: links of a node.
        ef: of hnsw: candidates that a search keeps.
        ef_construction: of hnsw: candidates while building.

    `probes` and `ef` may be set at any time, the others take effect when the structure is next built; all of them and
    `method` are checked when they are set.

    ivf and hnsw are built from all codes, in the order of their ids, by the first search or save (or `build`), grow
    with later `add`s, and are built anew when ivf holds four times the codes of its training or a quarter of them, or
    when most nodes of hnsw belong to removed items (until then those are tombstones). The same calls give the
    same index, bit for bit.

    A call that raises ValueError has changed nothing.
    """

    bits, probes, ef, ef_construction = Setting(), Setting(), Setting(), Setting()
    nlist, m = Setting(optional=True), Setting(least=2, most=1024)  # beyond that the links outweigh the codes by far
    method = Text()

    def __init__(
        self, bits: int, kind: Kind = "flat", method: str = "", *,
        probes: int = 16, nlist: int | None = None, m: int = 16, ef: int = 128, ef_construction: int = 64,
    ) -> None:  # fmt: skip
        if kind not in KINDS:
            raise ValueError(f"unknown kind of index {kind!r}; choose from {', '.join(KINDS)}")
        self.bits, self.kind, self.method = bits, kind, method
        self.probes, self.nlist, self.m, self.ef, self.ef_construction = probes, nlist, m, ef, ef_construction
        # The index itself: rows ordered by id. Everything else can be made from it.
        self._ids = np.zeros(0, np.int64)
        self._packed = np.zeros((0, -(-self.bits // 8)), np.uint8)
        self._paths: dict[int, str] = {}
        self._next_id = 0
        self._structure: InvertedFile | Graph | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        made_by = f" of {self.method}" if self.method else ""
        return f"CodeIndex: {len(self):,} codes of {self.bits} bits{made_by}, {self.kind}"

    @property
    def ids(self) -> np.ndarray:
        """int64 (N,), rising."""
        return self._ids.copy()

    @property
    def n_bytes(self) -> int:
        """Bytes of memory that ids, codes and the structure of ivf or hnsw take."""
        arrays = self._structure.arrays() if self._structure else {}
        return self._ids.nbytes + self._packed.nbytes + sum(array.nbytes for array in arrays.values())

    def path(self, item: int) -> str | None:
        """The file that the item was made from, where `add` was told."""
        return self._paths.get(int(item))

    def add(self, codes: Array, ids: Array | Sequence[int] | None = None, paths: Sequence[str] | None = None) -> None:
        """Add codes.

        Args:
            codes: (N, K) of {-1, +1} or {0, 1}, NumPy or torch, any real type; or packed uint8 (N, ceil(K / 8)).
            ids: (N,) whole numbers of at least 0, none twice or in the index; by default the numbers after the largest
                id ever used.
            paths: (N,) names of the files that the codes were made from.

        Raises:
            ValueError: codes, ids or paths that are malformed, an id that is taken, or no ids left after the largest.
        """
        packed = check_codes("codes", codes, self.bits)
        n_new = len(packed)
        new = self._new_ids(n_new) if ids is None else check_ids(ids, n_new)
        if len(taken := new[self._holds(new)]):
            raise ValueError(f"id {taken[0]} is already in the index; remove it first or give another id")
        if paths is not None and len(paths) != n_new:
            raise ValueError(f"{len(paths)} paths came with {n_new} codes; give one for each")
        order = np.argsort(new)
        new, packed = new[order], packed[order]
        places = np.searchsorted(self._ids, new)
        merged_ids, merged = np.insert(self._ids, places, new), np.insert(self._packed, places, packed, axis=0)
        structure, self._structure = self._structure, None  # a structure that failed half-way is built anew
        if structure is not None:
            structure.add(packed, new)
        self._ids, self._packed, self._structure = merged_ids, merged, structure
        self._next_id = max(self._next_id, int(new[-1]) + 1)
        if paths is not None:
            self._paths |= {int(item): str(paths[row]) for item, row in zip(new, order, strict=True)}

    def remove(self, ids: Array | Sequence[int]) -> int:
        """Remove items and return how many. Raises ValueError for an id that is not in the index, or comes twice."""
        gone = check_ids(ids)
        keep = np.ones(len(self), bool)
        keep[self._rows(gone)] = False
        kept_ids, kept = self._ids[keep], self._packed[keep]
        structure, self._structure = self._structure, None
        if structure is not None and len(kept):
            structure.remove(gone)
            self._structure = structure
        self._ids, self._packed = kept_ids, kept
        for item in gone.tolist():
            self._paths.pop(item, None)
        return len(gone)

    def search(self, codes: Array, k: int) -> Found:
        """The k nearest items of each query: distances int32 and ids int64, both (Q, min(k, len(self))).

        Ordered by distance, then id. Where ivf or hnsw finds fewer, the row ends in ids MISSING (-1) at a distance of
        bits + 1; more `probes` or a larger `ef` find more. To order a short list by float features see `rerank`.
        Raises ValueError for malformed codes, k < 1 and an empty index.
        """
        k = min(whole_number("k", k), len(self) or 1)
        queries = check_codes("query codes", codes, self.bits)
        self._refuse_empty()
        if self.kind == "flat":
            distances, rows = indexscan.nearest(queries, self._packed, k)
            return Found(distances, self._ids[rows])
        self.build()
        assert self._structure is not None
        distances, ids = self._structure.search(queries, k, self.probes if self.kind == "ivf" else self.ef)
        distances = np.where(ids == MISSING, np.int32(self.bits + 1), distances)
        order = np.lexsort((ids, distances), axis=-1)
        return Found(np.take_along_axis(distances, order, axis=1), np.take_along_axis(ids, order, axis=1))

    def search_radius(self, codes: Array, radius: int) -> Within:
        """All items at most `radius` bits from each query, ordered by distance, then id; exact for every kind."""
        radius = min(whole_number("radius", radius, least=0), self.bits)
        queries = check_codes("query codes", codes, self.bits)
        self._refuse_empty()
        lims, distances, rows = indexscan.within(queries, self._packed, radius)
        return Within(lims, distances, self._ids[rows])

    def reconstruct(self, ids: Array | Sequence[int]) -> np.ndarray:
        """The codes of items, int8 -1 / +1 (M, K), in the order of `ids`. Raises ValueError for an unknown id."""
        return unpack(self._packed[self._rows(check_ids(ids, unique=False))], self.bits)

    def build(self) -> None:
        """Build ivf or hnsw now, where that is due, and not in the first search."""
        if self.kind == "flat" or not len(self) or (self._structure is not None and not self._structure.worn()):
            return
        if self.kind == "ivf":
            self._structure = InvertedFile.build(self._packed, self._ids, self.nlist)
        else:
            self._structure = Graph.build(self._packed, self._ids, self.m, self.ef_construction)

    def save(self, path: str | Path) -> Path:
        """Write everything to one file. Raises OSError where that fails; the file that was there is then as before."""
        self.build()
        arrays: dict[str, np.ndarray] = {"ids": self._ids, "codes": self._packed}
        if self._structure is not None:
            arrays |= self._structure.arrays()
        options = {name: getattr(self, name) for name in ("probes", "nlist", "m", "ef", "ef_construction")}
        description = {
            "bits": self.bits, "kind": self.kind, "method": self.method, "n_codes": len(self), "options": options,
            "next_id": self._next_id, "paths": {str(item): self._paths[item] for item in sorted(self._paths)},
        }  # fmt: skip
        indexfile.write(Path(path), description, arrays)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, bits: int | None = None, method: str | None = None) -> CodeIndex:
        """The index of a file, as it was saved.

        Args:
            path: what `save` wrote.
            bits: of the codes that are to be searched for; another number in the file is refused.
            method: name of their encoder; another name in the file is refused, no name is not.

        Raises:
            OSError: there is no such file (FileNotFoundError), or it cannot be opened.
            ValueError: no code index, damaged, of another version, of other bits or of another method.
        """
        stored, arrays = indexfile.read(Path(path))
        if bits is not None and stored["bits"] != bits:
            raise ValueError(
                f"the index {path} holds codes of {stored['bits']} bits, but codes of {bits} bits were expected; "
                "use the encoder that it was built with"
            )
        if method is not None and stored["method"] not in ("", method):
            raise ValueError(
                f"the index {path} holds codes of {stored['method']}, but codes of {method} were expected; "
                "distances between two encoders mean nothing: use the one that it was built with"
            )
        index = cls(stored["bits"], stored["kind"], stored["method"], **stored["options"])
        index._ids, index._packed, index._next_id = arrays["ids"], arrays["codes"], stored["next_id"]
        index._paths = {int(item): name for item, name in stored["paths"].items()}
        if "structure" in arrays:
            index._structure = (InvertedFile if index.kind == "ivf" else Graph).restore(arrays)
        return index

    def _refuse_empty(self) -> None:
        if not len(self):
            raise ValueError("the index is empty, there is nothing to find; add codes first")

    def _new_ids(self, n_new: int) -> np.ndarray:
        if self._next_id + n_new - 1 > LARGEST_ID:
            raise ValueError(
                f"the largest id ever used is {self._next_id - 1} and ids end at {LARGEST_ID}; give {n_new} free ids"
            )
        return self._next_id + np.arange(n_new)

    def _holds(self, ids: np.ndarray) -> np.ndarray:
        places = np.searchsorted(self._ids, ids)
        holds = places < len(self)
        holds[holds] = self._ids[places[holds]] == ids[holds]
        return holds

    def _rows(self, ids: np.ndarray) -> np.ndarray:
        if len(unknown := ids[~self._holds(ids)]):
            more = f" and {len(unknown) - 1} more are" if len(unknown) > 1 else " is"
            raise ValueError(f"id {unknown[0]}{more} not among the {len(self)} in the index; see its .ids")
        return np.searchsorted(self._ids, ids)
