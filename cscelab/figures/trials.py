"""Small calculations on codes that lessons draw: decoding flipped bits, and what a threshold costs and learns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cscelab.codes import hamming_distance
from cscelab.compare import average_precision
from cscelab.dsf import band, dynamic_sign, learned_threshold, sign
from cscelab.evaluate import evaluate
from cscelab.experiment import Run
from cscelab.losses import balance_loss, quantization_loss
from cscelab.retrieval.bootstrap import difference


def decoding_errors(
    centers: Tensor, flip_shares: Sequence[float], n_trials: int = 2000, seed: int = 0
) -> dict[float, float]:
    """Flip each bit of a center with a probability, decode to the nearest center: probability -> share decoded wrongly.

    centers (C, K) of -1 / +1. Every trial takes a random class; where m centers are equally near and the right one is
    among them, the trial counts as (m - 1) / m of an error, what a fair draw would give.
    """
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randint(len(centers), (n_trials,), generator=generator)
    chances = torch.rand(n_trials, centers.shape[1], generator=generator)  # the same draws for every probability
    errors = {}
    for share in flip_shares:
        if not 0 <= share <= 1:
            raise ValueError(f"bits were to flip with probability {share}; give numbers from 0 to 1")
        received = torch.where(chances < share, -centers[classes], centers[classes])
        distances = hamming_distance(received, centers)  # (n_trials, C)
        nearest = distances == distances.amin(dim=1, keepdim=True)
        is_nearest = nearest.gather(1, classes[:, None]).squeeze(1)
        errors[share] = 1 - float((is_nearest / nearest.sum(dim=1)).mean())
    return errors


def threshold_sweep(values: Tensor, thresholds: Sequence[float], balance_weight: float = 1.0) -> pd.DataFrame:
    """What one threshold for all images does to continuous codes (N, K); a row a threshold, which is the index.

    "quantisation": Eq. 14 as a mean over bits; "with balance": that plus balance_weight times `balance_loss`;
    "imbalance": see `imbalance`; "in band", "flipped": shares of all bits.
    """
    values = values.double()  # a flip changes a mean over many bits by less than single precision resolves
    plain = sign(values)
    rows = []
    for threshold in thresholds:
        codes = dynamic_sign(values, threshold)
        quantisation = float(quantization_loss(values, codes))
        rows.append(
            {
                "threshold": threshold,
                "quantisation": quantisation,
                "with balance": quantisation + balance_weight * float(balance_loss(codes)),
                "imbalance": imbalance(codes),
                "in band": float(band(values, threshold).float().mean()),
                "flipped": float((codes != plain).float().mean()),
            }
        )
    return pd.DataFrame(rows).set_index("threshold")


def best_thresholds(values: Tensor, thresholds: Sequence[float], balance_weight: float = 0.0) -> Tensor:
    """The threshold (N,) at which each image's own loss is smallest, tried one by one, the smallest of equals.

    The loss is Eq. 14 as a mean over the image's bits, plus balance_weight times the squared mean of its code.
    """
    values, losses = values.double(), []
    for threshold in sorted(thresholds):
        codes = dynamic_sign(values, threshold)
        losses.append((values - codes).square().mean(dim=1) + balance_weight * codes.mean(dim=1).square())
    return torch.tensor(sorted(thresholds))[torch.stack(losses).argmin(dim=0)]  # argmin: the first of equals


def threshold_descent(
    values: Tensor, estimator: str = "straight_through", balance_weight: float = 0.0,
    steps: int = 150, lr: float = 0.1, cap: float = 0.5,
) -> list[float]:  # fmt: skip
    """Mean threshold before and after each step of gradient descent (Adam) on Eq. 14, values (N, K) held fixed.

    Every image has a logit of its own, more than any fc_t could do; t = cap * sigmoid(logit) starts at cap / 2.
    estimator: "straight_through" or "soft"; balance_weight: of the codes' balance, added to Eq. 14.
    """
    logit = torch.zeros(len(values), 1, requires_grad=True)
    optimizer = torch.optim.Adam([logit], lr)
    means = []
    for _ in range(steps):
        threshold = learned_threshold(logit, cap)
        means.append(float(threshold.detach().mean()))
        codes = dynamic_sign(values, threshold, estimator=estimator)
        loss = quantization_loss(values, codes) + balance_weight * balance_loss(codes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [*means, float(learned_threshold(logit, cap).detach().mean())]


def imbalance(codes: Tensor) -> float:
    """Mean over images of |mean of the code's bits|: 0 as many +1 as -1, 1 all alike. codes (N, K) of -1 / +1."""
    return float(codes.float().mean(dim=1).abs().mean())


def threshold_effect(run: Run) -> dict[str, float]:
    """What the dynamic sign of a run changed against plain sign on the same values; shares are over the database.

    "gain": mAP of the dynamic sign minus that of plain, "gain, low" and "high" its 95% interval over the queries.
    Raises ValueError where the run's method has no threshold.
    """
    codes = run.codes
    if "database_thresholds" not in codes:
        raise ValueError(f"{run.experiment.name} has no threshold; give a run of CSCE-Net with sign='dynamic'")
    values, dynamic = torch.from_numpy(codes["database_values"]), torch.from_numpy(codes["database_codes"])
    plain, thresholds = sign(values), torch.from_numpy(codes["database_thresholds"])[:, None]
    flipped = dynamic != plain
    plain_ap = _plain_sign_ap(run)
    gain = difference(average_precision([run]), plain_ap)
    return {
        "mean threshold": float(thresholds.mean()),
        "bits in band": float(band(values, thresholds).float().mean()),
        "bits flipped": float(flipped.float().mean()),
        "images changed": float(flipped.any(dim=1).float().mean()),
        "imbalance, plain": imbalance(plain),
        "imbalance, dynamic": imbalance(dynamic),
        "mAP, plain": float(plain_ap.mean()),
        "mAP, dynamic": run.mean_average_precision,
        "gain": float(gain.value),
        "gain, low": float(gain.low),
        "gain, high": float(gain.high),
    }


def plain_sign_map(run: Run) -> float:
    """mAP of a run's values binarised by plain sign, with the run's own measure."""
    return float(_plain_sign_ap(run).mean())


def _plain_sign_ap(run: Run) -> np.ndarray:
    """The same before the mean, (Q,)."""
    codes = run.codes
    query, database = (np.where(codes[f"{split}_values"] > 0, 1, -1) for split in ("query", "database"))
    return evaluate(
        query, codes["query_labels"], database, codes["database_labels"],
        k=run.experiment.map_at, query_ids=codes["query_ids"], database_ids=codes["database_ids"],
    ).average_precision  # fmt: skip
