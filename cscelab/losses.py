"""Losses (Sec. 3.5, Eqs. 10-15): a margin softmax over hash centers, and what binarisation costs.

Every loss is a function of tensors and returns a scalar. Shapes: B images, K bits, C classes.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

FORMS = ("l2", "l1", "cosine")
REDUCTIONS = ("mean", "sum")
MULTILABEL = ("softmax", "bce")

POLE = 1e-6  # cosines are kept this far from +-1 before arccos, whose slope is infinite there


def cosines(values: Tensor, centers: Tensor) -> Tensor:
    """Cosine of every continuous code (B, K) with every hash center (C, K): (B, C), cos(theta) of Eq. 11."""
    if values.dim() != 2 or centers.dim() != 2 or values.shape[1] != centers.shape[1]:
        raise ValueError(
            f"values {tuple(values.shape)} and centers {tuple(centers.shape)} do not match, expected (B, K) "
            "and (C, K); make the centers with as many bits as the codes"
        )
    return F.normalize(values) @ F.normalize(centers.to(values)).T


def margin_loss(
    cosines: Tensor,
    labels: Tensor,
    scale: float = 10.0,
    m1: float = 1.0,
    m2: float = 0.0,
    m3: float = 0.15,
    elastic_std: float = 0.0,
    generator: torch.Generator | None = None,
    monotone: bool = True,
) -> Tensor:
    """Softmax cross-entropy with the margin cos(m1 * theta + m2) - m3 on the true class (Eq. 12).

    CosFace is m3 = alpha (the paper's, Eq. 13), ArcFace m2, SphereFace m1; m1 = 1, m2 = m3 = 0 is Eq. 11, the
    "CE" of Table 3. Past m1 * theta + m2 = pi the cosine would rise again and reward an image that is far
    from its center, so it is continued as in SphereFace (Liu et al. 2017): (-1)^k cos(angle) - 2k with
    k = floor(angle / pi), continuous and falling everywhere. monotone=False, as released, does without.

    Args:
        cosines: (B, C), from `cosines`.
        labels: int64 (B,), or multi-hot (B, C): then the target is labels / labels.sum(1) and every positive
            class gets the margin; an image without any label adds 0 (it would be NaN in the released code).
        scale: S in Eq. 12.
        elastic_std: > 0 draws each image's active margin from N(margin, elastic_std); single-label only.
        generator: source of that draw; None is torch's own.

    Raises:
        ValueError: wrong shapes or dtypes, scale <= 0, or elastic margins with multi-hot labels or with
            other than one active margin.
    """
    logits = margin_logits(cosines, labels, scale, m1, m2, m3, elastic_std, generator, monotone)
    if not _is_multi_label(cosines, labels):
        return F.cross_entropy(logits, labels)
    target = labels.to(logits) / labels.sum(dim=1, keepdim=True).clamp(min=1)
    return -(target * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def margin_logits(
    cosines: Tensor,
    labels: Tensor,
    scale: float = 10.0,
    m1: float = 1.0,
    m2: float = 0.0,
    m3: float = 0.15,
    elastic_std: float = 0.0,
    generator: torch.Generator | None = None,
    monotone: bool = True,
) -> Tensor:
    """The exponents of Eq. 12, (B, C): scale * (cos(m1 * theta + m2) - m3) for the true class, scale * cosine for
    others. Arguments and errors are those of `margin_loss`."""
    multi_label = _is_multi_label(cosines, labels)
    if not scale > 0:
        raise ValueError(f"scale is {scale}, expected a number above 0; the paper has 10")
    if cosines.dtype in (torch.float16, torch.bfloat16):
        cosines = cosines.float()  # 1 - POLE rounds to 1 in half precision
    if multi_label:
        if elastic_std != 0:
            raise ValueError("elastic margins need one label per image, got multi-hot; set elastic_std to 0")
        return scale * torch.where(labels > 0, _with_margin(cosines, m1, m2, m3, monotone), cosines)

    noise: Tensor | float = 0.0
    if elastic_std != 0:
        _check_one_active_margin(m1, m2, m3)
        noise = _elastic_noise(cosines, elastic_std, generator)
    true_class = labels[:, None]  # (B,) -> (B, 1)
    true_cosine = _with_margin(cosines.gather(1, true_class), m1, m2, m3, monotone, noise)
    return scale * cosines.scatter(1, true_class, true_cosine)


def center_bce(values: Tensor, image_centers: Tensor) -> Tensor:
    """Binary cross-entropy of every bit against the image's center (B, K) of +-1, mean over bits and batch.

    The other reading of "CE" in Table 3. The probability of +1 is sigmoid(values); CSQ's (tanh(u) + 1) / 2 is
    the same with values = 2u.
    """
    _check_same_shape("image_centers", image_centers, values)
    return F.binary_cross_entropy_with_logits(values, (image_centers > 0).to(values.dtype))


def quantization_loss(values: Tensor, codes: Tensor, form: str = "l2", reduction: str = "mean") -> Tensor:
    """How far values (B, K) are from codes (B, K): squares (Eq. 14), absolute values, or 1 - cosine.

    reduction="mean" is over bits and batch, so that a weight means the same at every K; "sum" is Eq. 14 to
    the letter: summed over bits, mean over the batch. The cosine has no sum over bits: the two agree there.
    The codes are used as given: gradients flow into them unless they are detached.
    """
    _check_same_shape("codes", codes, values)
    if reduction not in REDUCTIONS:
        raise ValueError(f"unknown reduction {reduction!r}; choose from {list(REDUCTIONS)}")
    if form == "cosine":
        return (1 - F.cosine_similarity(values, codes, dim=1)).mean()
    if form == "l2":
        gap = (values - codes).square()
    elif form == "l1":
        gap = (values - codes).abs()
    else:
        raise ValueError(f"unknown form {form!r}; choose from {list(FORMS)}")
    return gap.mean() if reduction == "mean" else gap.sum(dim=1).mean()


def distance_to_one(values: Tensor, form: str = "l1") -> Tensor:
    """How far the sizes of values (B, K) are from 1, mean over bits and batch: ||u| - 1| (DSH), or its square ("l2").

    The same as `quantization_loss` against the values' own signs. Raises ValueError for another form.
    """
    away = values.abs() - 1
    if form not in ("l1", "l2"):
        raise ValueError(f"unknown form {form!r}; choose from ['l2', 'l1']")
    return away.abs().mean() if form == "l1" else away.square().mean()


def classification_loss(logits: Tensor, labels: Tensor, multilabel: str = "softmax") -> Tensor:
    """Cross-entropy of logits (B, C) against class ids (B,) or multi-hot labels (B, C).

    multilabel: "softmax" against labels / labels.sum, an image without a label adding 0; "bce" the mean over images
    and classes of the binary cross-entropy. Raises ValueError for another one.
    """
    if multilabel not in MULTILABEL:
        raise ValueError(f"unknown multilabel {multilabel!r}; choose from {MULTILABEL}")
    if labels.ndim == 1:
        return F.cross_entropy(logits, labels)
    present = labels.to(logits)
    if multilabel == "bce":
        return F.binary_cross_entropy_with_logits(logits, present)
    return F.cross_entropy(logits, F.normalize(present, p=1, dim=1))


def balance_loss(codes: Tensor, per: str = "image") -> Tensor:
    """How unbalanced +1 and -1 are in codes (B, K): 0 as many of each, 1 all alike. Ours, not in the paper.

    per="image": the squared mean over an image's bits, averaged over images: the balance that the dynamic
    sign function is for (Sec. 3.4). per="bit": the squared mean of a bit over the batch, averaged over bits:
    a bit that is the same for all images says nothing. For a gradient pass soft or straight-through codes.
    """
    if codes.dim() != 2:
        raise ValueError(f"codes have shape {tuple(codes.shape)}, expected (B, K); pass one row per image")
    if per not in ("image", "bit"):
        raise ValueError(f"unknown per {per!r}; choose from ['image', 'bit']")
    return codes.mean(dim=1 if per == "image" else 0).square().mean()


def released_values(values: Tensor) -> Tensor:
    """What the released code binarises and quantises: values clipped to [-0.5, 0.5], times 2.

    The threshold is compared with these, so the band on `values` is half as wide as the threshold says.
    """
    return F.hardtanh(values, -0.5, 0.5) * 2


def _with_margin(
    cosine: Tensor, m1: float, m2: float, m3: float, monotone: bool, noise: Tensor | float = 0.0
) -> Tensor:
    """cos(m1 * theta + m2) - m3, elementwise; noise goes to the active margin (m2, m1, else m3)."""
    if m1 == 1 and m2 == 0:
        return cosine - (m3 + noise)  # no arccos, so the gradient is exact at the poles too
    theta = torch.arccos(cosine.clamp(-1 + POLE, 1 - POLE))
    angle = (m1 + noise) * theta if m2 == 0 else m1 * theta + (m2 + noise)
    if not monotone:
        return torch.cos(angle) - m3
    half_turns = torch.floor(angle / math.pi)
    return (1 - 2 * (half_turns % 2)) * torch.cos(angle) - 2 * half_turns - m3


def _check_one_active_margin(m1: float, m2: float, m3: float) -> None:
    if (m1 != 1) + (m2 != 0) + (m3 != 0) != 1:
        raise ValueError(
            f"elastic margins need exactly one active margin, got m1={m1}, m2={m2}, m3={m3}; "
            "leave the other two at m1=1, m2=0 or m3=0"
        )


def _elastic_noise(cosines: Tensor, std: float, generator: torch.Generator | None) -> Tensor:
    """One draw per image, (B, 1), from N(0, std)."""
    if not std > 0:
        raise ValueError(f"elastic_std is {std}, expected at least 0; the released code has 0.125")
    device = cosines.device if generator is None else generator.device
    noise = torch.randn(len(cosines), 1, generator=generator, device=device)
    return std * noise.to(cosines)


def _is_multi_label(cosines: Tensor, labels: Tensor) -> bool:
    """True for multi-hot labels (B, C), False for class numbers (B,)."""
    if cosines.dim() == 2 and labels.shape == cosines.shape:
        return True
    if cosines.dim() == 2 and labels.shape == cosines.shape[:1] and labels.dtype == torch.int64:
        return False
    raise ValueError(
        f"labels {tuple(labels.shape)} of {labels.dtype} do not match cosines {tuple(cosines.shape)}; "
        "expected int64 (B,) or multi-hot (B, C) for cosines (B, C)"
    )


def _check_same_shape(name: str, tensor: Tensor, values: Tensor) -> None:
    if values.dim() != 2 or tensor.shape != values.shape:
        raise ValueError(
            f"{name} {tuple(tensor.shape)} and values {tuple(values.shape)} differ, expected both (B, K); "
            "pass one row per image"
        )
