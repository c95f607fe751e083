"""Hash centers (Sec. 3.1, Eq. 1): one far-apart K-bit code for each class, and a report of how far apart.

What matters is the smallest Hamming distance between two centers, and that every bit is balanced over the
classes. `hash_centers` makes them, `center_report` measures them against what coding theory allows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import numpy as np
import torch

from cscelab.codes import as_signs
from cscelab.constructions import best_code, distance_upper_bound
from cscelab.hadamard import hadamard, hadamard_name

# CSQ's rule: of at most this many random draws the first that is good enough is kept.
PUBLISHED_DRAWS = 20
# Proposals of the search that flattens the bits of a few Hadamard rows.
_FLATTENING_STEPS = 3000
# Past this many classes codewords are drawn at random: choosing them one by one takes time as classes squared.
_MOST_CHOSEN = 2048
# Past this many classes random words have no hope against a code, and counting them takes time as classes squared.
_MOST_BY_CHANCE = 256


@dataclass(frozen=True)
class Centers:
    """Hash centers with the name of what made them."""

    values: torch.Tensor  # (C, K) float32 of -1 / +1
    construction: str


@dataclass(frozen=True)
class CenterReport:
    """How far apart a set of hash centers lies.

    Attributes:
        n_classes, bits: C and K.
        min_distance: smallest Hamming distance of two centers, in bits (K for a single center).
        mean_distance: mean over all pairs, in bits (K for a single center).
        bit_balance: largest absolute mean over classes of one bit: 0 balanced, 1 a bit that never changes.
        upper_bound: no C words of K bits have a larger smallest distance (Plotkin, Hamming, Singleton).
        construction: what made them, "unknown" where nobody said.
    """

    n_classes: int
    bits: int
    min_distance: int
    mean_distance: float
    bit_balance: float
    upper_bound: int
    construction: str


def hash_centers(n_classes: int, bits: int, kind: str = "best", seed: int = 0) -> torch.Tensor:
    """Centers for any number of classes at any number of bits, the same for the same seed.

    Args:
        n_classes: C >= 1.
        bits: K >= 1, with C <= 2^K.
        kind:
            "best": of the kinds below the one with the largest smallest distance, Hadamard on ties, as in the
                paper; its rows (C <= K) stay orthogonal, half negated, which balances the constant bit.
            "hadamard": the paper's literal rows of [H; -H], Eq. 1; Paley's where K is no power of two.
            "published": CSQ's scheme: Hadamard rows up to 2K, then random balanced rows, drawn up to 20
                times until the smallest distance exceeds K / 4 and the mean reaches K / 2, else the last.
                K must be a power of two: like the original, which leaves that to scipy.linalg.hadamard, it
                raises ValueError at 12, 24 and 48 bits.
            "bernoulli": OrthoHash's: every bit a fair coin (two classes may share a center).
            "coding": words of the best code known here, chosen so that bits stay balanced.
        seed: of every random choice.

    Returns:
        (C, K) float32 of -1 / +1. Its attribute `construction` names what made it, for `center_report`; it
        belongs to this tensor object and is lost by whatever makes another (`.to`, slices, checkpoints).

    Raises:
        ValueError: an unknown kind, more classes than words, or a kind that does not serve C and K.
    """
    centers = build_centers(n_classes, bits, kind, seed)
    centers.values.construction = centers.construction  # type: ignore[attr-defined]
    return centers.values


def build_centers(n_classes: int, bits: int, kind: str = "best", seed: int = 0) -> Centers:
    """`hash_centers` together with the construction's name, which then cannot get lost."""
    if kind not in _KINDS:
        raise ValueError(f"unknown kind of centers {kind!r}; choose from {sorted(_KINDS)}")
    if n_classes < 1 or bits < 1:
        raise ValueError(f"{n_classes} classes at {bits} bits; expected at least one of each")
    if n_classes > 2**bits:
        raise ValueError(
            f"too many classes: {n_classes} for {bits} bits, which have {2**bits} words; "
            f"expected at most one class a word: use at least {(n_classes - 1).bit_length()} bits"
        )
    signs, construction = _KINDS[kind](n_classes, bits, seed)
    return Centers(torch.from_numpy(signs.astype(np.float32)), construction)


def center_report(centers: torch.Tensor, construction: str | None = None) -> CenterReport:
    """Measure (C, K) centers by counting every pair.

    Args:
        centers: (C, K) of -1 / +1 (or 0 / 1).
        construction: its name; default what `hash_centers` noted on the tensor, else "unknown".

    Raises:
        ValueError: malformed codes, or no center.
    """
    signs = as_signs(centers).cpu().numpy()
    n_classes, bits = signs.shape
    if n_classes == 0:
        raise ValueError("no centers; expected (C, K) with at least one class")
    return CenterReport(
        n_classes=n_classes,
        bits=bits,
        min_distance=_min_distance(signs),
        mean_distance=_mean_distance(signs),
        bit_balance=float(np.abs(signs.mean(axis=0)).max()),
        upper_bound=distance_upper_bound(n_classes, bits),
        construction=construction or str(getattr(centers, "construction", "unknown")),
    )


def multilabel_centers(labels: torch.Tensor, centers: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """CSQ's center of an image with several labels (CSQ, Sec. 3): the sign of the sum of its class centers.

    A bit on which the classes tie takes a random sign, drawn once a bit from `seed`, so that images with the
    same labels share a center whatever batch they come in.

    Args:
        labels: (N, C) of 0 / 1.
        centers: (C, K) of -1 / +1.

    Returns:
        (N, K) of -1 / +1, of the centers' type and device.

    Raises:
        ValueError: shapes that do not match, a label that is neither 0 nor 1, or an image without a label.
    """
    if labels.ndim != 2 or centers.ndim != 2 or labels.shape[1] != centers.shape[0]:
        raise ValueError(
            f"labels {tuple(labels.shape)} and centers {tuple(centers.shape)}; expected (N, C) and (C, K): "
            "give one-hot or multi-hot labels over the centers' classes"
        )
    if not ((labels == 0) | (labels == 1)).all():
        raise ValueError("a label is neither 0 nor 1; expected multi-hot labels: threshold soft labels first")
    empty = (labels != 0).sum(dim=1) == 0
    if empty.any():
        raise ValueError(
            f"the image in row {int(empty.nonzero()[0])} has no label, so it has no center; "
            "expected at least one label an image: drop such images"
        )
    sums = labels.to(centers) @ centers  # (N, K)
    generator = torch.Generator().manual_seed(seed)
    tie_break = torch.randint(2, (centers.shape[1],), generator=generator) * 2 - 1
    return torch.where(sums == 0, tie_break.to(centers), sums.sign())


def _min_distance(signs: np.ndarray) -> int:
    """Smallest distance over pairs, counted in blocks of rows so that memory stays small."""
    n_classes, bits = signs.shape
    if n_classes == 1:
        return bits
    values, nearest, block = signs.astype(np.float32), -bits, 512
    for start in range(0, n_classes - 1, block):
        inner = values[start : start + block] @ values[start:].T  # K - 2 * distance
        rows = np.arange(len(inner))
        inner[rows, rows] = -bits  # a word is not its own neighbour
        nearest = max(nearest, int(inner.max()))
    return (bits - nearest) // 2


def _mean_distance(signs: np.ndarray) -> float:
    """Mean distance over pairs: a bit separates each +1 from each -1."""
    n_classes, bits = signs.shape
    ones = (signs > 0).sum(axis=0)
    return float((ones * (n_classes - ones)).sum() / comb(n_classes, 2)) if n_classes > 1 else float(bits)


# The kinds: (n_classes, bits, seed) -> (C, K) signs and the construction's name.

Signs = tuple[np.ndarray, str]


def _best(n_classes: int, bits: int, seed: int) -> Signs:
    kinds = [_coding, *([_published] if _is_power_of_two(bits) else []), _bernoulli]
    if n_classes <= bits and hadamard_name(bits):
        kinds.insert(0, _balanced_hadamard)
    if n_classes > _MOST_BY_CHANCE:
        return kinds[0](n_classes, bits, seed)

    def score(found: Signs) -> tuple[int, bool]:
        # Three or four orthogonal rows leave constant bits; a tie goes to what has none, else to the first.
        signs = found[0]
        return _min_distance(signs), bool((signs != signs[0]).any(axis=0).all())

    return max((kind(n_classes, bits, seed) for kind in kinds), key=score)


def _hadamard(n_classes: int, bits: int, seed: int) -> Signs:
    name = hadamard_name(bits)
    if name is None:
        raise ValueError(
            f"no Hadamard matrix of order {bits} here; expected 1, 2 or a multiple of 4 that Sylvester's, "
            "Paley's or their products reach: choose kind='best', 'coding' or 'bernoulli', or other bits"
        )
    if n_classes > 2 * bits:
        raise ValueError(
            f"{n_classes} classes at {bits} bits; Hadamard rows and their negatives make only {2 * bits} "
            "centers: choose kind='best', 'coding', 'published' or 'bernoulli', or more bits"
        )
    rows = hadamard(bits)
    return np.concatenate([rows, -rows])[:n_classes], f"Hadamard ({name})"


def _balanced_hadamard(n_classes: int, bits: int, seed: int) -> Signs:
    """Orthogonal rows, half of them negated; a seeded search over rows and signs evens out all bits."""
    rng = np.random.default_rng(seed)
    rows = hadamard(bits).astype(np.int64)
    order = rng.permutation(bits)  # the first C are chosen
    signs = np.where(np.arange(bits) % 2 == 0, 1, -1)
    total = signs[:n_classes] @ rows[order[:n_classes]]  # (K,): its squares always sum to C * K
    for a, b in rng.integers([n_classes, bits], size=(_FLATTENING_STEPS, 2)):
        # Exchanging two places keeps half of the rows negative; the flattest has the least fourth powers.
        change = signs[a] * (rows[order[b]] - rows[order[a]])
        if b < n_classes:
            change = change + signs[b] * (rows[order[a]] - rows[order[b]])
        if ((total + change) ** 4).sum() <= (total**4).sum():
            order[a], order[b] = order[b], order[a]
            total = total + change
    chosen = signs[:n_classes, None] * rows[order[:n_classes]]
    return chosen, f"Hadamard ({hadamard_name(bits)}), half of the rows negated"


def _published(n_classes: int, bits: int, seed: int) -> Signs:
    if not _is_power_of_two(bits):
        raise ValueError(
            f"kind='published' at {bits} bits; the published scheme works only where bits is a power of two: "
            "choose kind='best', 'hadamard', 'coding' or 'bernoulli'"
        )
    rows = hadamard(bits)
    fixed = np.concatenate([rows, -rows])[:n_classes]
    if n_classes <= 2 * bits:
        return fixed, "published: Hadamard (Sylvester)"
    rng = np.random.default_rng(seed)
    for draw in range(1, PUBLISHED_DRAWS + 1):
        ranks = rng.random((n_classes - 2 * bits, bits)).argsort(axis=1)
        signs = np.concatenate([fixed, np.where(ranks < bits // 2, -1, 1)])  # half of each row negative
        if _min_distance(signs) > bits / 4 and _mean_distance(signs) >= bits / 2:
            return signs, f"published: Hadamard (Sylvester) and random balanced rows, draw {draw}"
    return signs, "published: Hadamard (Sylvester) and random balanced rows, no draw passed"


def _bernoulli(n_classes: int, bits: int, seed: int) -> Signs:
    return np.random.default_rng(seed).integers(2, size=(n_classes, bits)) * 2 - 1, "Bernoulli"


def _coding(n_classes: int, bits: int, seed: int) -> Signs:
    """Words of the best code; each next word is the one that most evens out the bits (often a complement)."""
    code = best_code(n_classes, bits)
    words = np.random.default_rng(seed).permutation(1 - 2 * code.words(n_classes).astype(np.float32))
    if n_classes < len(words) and n_classes <= _MOST_CHOSEN:
        chosen, total, taken = [], np.zeros(bits, dtype=np.float32), np.zeros(len(words), dtype=np.float32)
        for _ in range(n_classes):
            chosen.append(int((words @ total + taken).argmin()))
            taken[chosen[-1]] = np.inf
            total += words[chosen[-1]]
        words = words[chosen]
    return words[:n_classes], code.name


def _is_power_of_two(bits: int) -> bool:
    return bits & (bits - 1) == 0


_KINDS: dict[str, Callable[[int, int, int], Signs]] = {
    "best": _best,
    "hadamard": _hadamard,
    "published": _published,
    "bernoulli": _bernoulli,
    "coding": _coding,
}
