"""Asymmetric hashing: a network's values against free database codes, and the code step that solves for these.

Jiang and Li (ADSH, AAAI 2018); Cui et al. (ExchNet, ECCV 2020), Eqs. 12 to 17. Shapes: m images with values U
(m, K) in [-1, 1]; n database images with codes V (n, K), -1 or 1; targets S (m, n).
"""

import torch
from torch import Tensor

from cscelab.pairs import similarity

MOST_PAIRS = 2**24  # pairs whose targets are held at a time, 64 MB of float32


def negative_weight(labels: Tensor, database_labels: Tensor) -> float:
    """r = pairs that share a label / pairs that share none: how far below 0 the target of the latter lies (ADSH code).

    labels (m,) or (m, C), database_labels (n,) or (n, C). 0 where every pair shares a label.
    """
    alike, others = count_pairs(labels, database_labels)
    return alike / others if others else 0.0


def count_pairs(labels: Tensor, database_labels: Tensor) -> tuple[int, int]:
    """How many of the m n pairs share a label, and how many do not."""
    if labels.ndim == database_labels.ndim == 1:
        ours, theirs, n_classes = classes_of(labels, database_labels)
        alike = int((ours.bincount(minlength=n_classes) * theirs.bincount(minlength=n_classes)).sum())
    else:
        blocks = database_blocks(labels, database_labels)
        alike = sum(int(similarity(labels, block).sum(dtype=torch.float64)) for block in blocks)
    return alike, len(labels) * len(database_labels) - alike


def classes_of(labels: Tensor, database_labels: Tensor) -> tuple[Tensor, Tensor, int]:
    """Class ids (m,) and (n,), numbered from 0 without gaps, and how many classes there are."""
    classes, numbers = torch.cat([labels, database_labels]).unique(return_inverse=True)
    return numbers[: len(labels)], numbers[len(labels) :], len(classes)


def database_blocks(labels: Tensor, database_labels: Tensor) -> tuple[Tensor, ...]:
    """The database's labels in blocks, each of at most MOST_PAIRS pairs with labels (or of one image)."""
    return database_labels.split(max(1, MOST_PAIRS // max(1, len(labels))))


def targets(labels: Tensor, database_labels: Tensor, weight: float) -> Tensor:
    """S (m, n): 1 where two images share a label, else -weight."""
    return similarity(labels, database_labels) * (1 + weight) - weight


def pair_errors(values: Tensor, codes: Tensor, wanted: Tensor) -> Tensor:
    """(u_i . v_j - K S_ij)^2, (m, n): the terms of ADSH's and ExchNet's objective. wanted: S (m, n)."""
    return (values @ codes.T - values.shape[1] * wanted).square()


def label_pull(values: Tensor, labels: Tensor, database_labels: Tensor, weight: float) -> Tensor:
    """K S^T U (n, K): where the labels pull each database code. values U (m, K); weight: r.

    With class ids by the sum of U over each class, without a matrix S.
    """
    if not labels.ndim == database_labels.ndim == 1:
        return label_pull_by_blocks(values, labels, database_labels, weight)
    ours, theirs, n_classes = classes_of(labels, database_labels)
    alike, other = targets(torch.tensor([0]), torch.tensor([0, 1]), weight)[0].to(values)  # as rounded as in S
    sums = values.new_zeros(n_classes, values.shape[1]).index_add(0, ours, values)
    return values.shape[1] * ((alike - other) * sums[theirs] + other * values.sum(dim=0))


def label_pull_by_blocks(values: Tensor, labels: Tensor, database_labels: Tensor, weight: float) -> Tensor:
    """`label_pull` by S itself, for either kind of labels."""
    blocks = database_blocks(labels, database_labels)
    return values.shape[1] * torch.cat([targets(labels, block, weight).T.to(values) @ values for block in blocks])


def code_objective(codes: Tensor, values: Tensor, pull: Tensor) -> Tensor:
    """What the code step lowers, a scalar: tr(U^T U V^T V) - 2 <V, pull>.

    With pull = K S^T U that is the sum of `pair_errors` less K^2 |S|^2, which no code changes.
    """
    return ((values.T @ values) * (codes.T @ codes)).sum() - 2 * (codes * pull).sum()


def code_step(codes: Tensor, values: Tensor, pull: Tensor, printed: bool = False) -> Tensor:
    """New database codes (n, K), bit by bit: V_k = sign(pull_k - V_{/k} U_{/k}^T U_k), each the best given the others.

    A sign of 0 keeps the old bit, so that `code_objective` never rises. pull (n, K): `label_pull`, plus whatever else
    rewards <V, pull>. printed: ExchNet's Eq. 17 as printed, with the wrong sign: it raises the objective.
    Raises ValueError where the shapes do not fit.
    """
    if pull.shape != codes.shape or values.shape[1:] != codes.shape[1:]:
        raise ValueError(
            f"codes {tuple(codes.shape)}, values {tuple(values.shape)} and pull {tuple(pull.shape)} do not fit; give "
            "codes and pull (n, K) and values (m, K)"
        )
    codes = codes.clone()
    gram = values.T @ values
    gram.fill_diagonal_(0)  # the bit itself, V_k U_k^T U_k, is not among the others
    for bit in range(codes.shape[1]):
        score = pull[:, bit] - codes @ gram[:, bit]
        score = -score if printed else score
        codes[:, bit] = torch.where(score == 0, codes[:, bit], score.sign())
    return codes
