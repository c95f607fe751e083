"""CSCE-Net (Xue et al., ACML 2022): cross-scale context extraction, a dynamic sign, and a margin to hash centers.

`variant="paper"` follows the text, `variant="released"` the arithmetic of the authors' code where the two differ
(arXiv 2210.07572; github.com/NetEase-Media/CSCE-Net). A setting left None is the variant's; any may be set alone.
Ours, where the paper is silent: the quantisation loss is a mean over bits and batch, so that lambda = 1 means the same
at every code length ("sum" is the printed Eq. 14); hash centers of the largest minimum distance.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import ClassVar

import torch
from torch import Tensor

from cscelab.centers import hash_centers, multilabel_centers
from cscelab.dsf import band, clamped_threshold, dynamic_sign, learned_threshold, sign
from cscelab.losses import (
    balance_loss,
    center_bce,
    cosines,
    margin_loss,
    quantization_loss,
    released_values,
)
from cscelab.methods.base import HashMethod, HashOutput, MethodConfig
from cscelab.model.aie import repeated_context
from cscelab.model.network import HashNetwork, NetworkConfig

# Settings of the two variants; the README's list of differences says where each was read.
VARIANTS: dict[str, dict[str, object]] = {
    "paper": {
        "local": "aspp",
        "aie_normalize": "none",
        "mixer_start": "mean",
        "metric": "cosface",
        "elastic_std": 0.0,
        "quantization": "l2",
        "quantized": "raw",
        "threshold_cap": 0.005,
        "threshold_map": "sigmoid",
        "count": "outside",
        "interval": "closed",
        "majority": "half",
    },
    "released": {
        "local": "released",
        "aie_normalize": "frobenius",
        "mixer_start": "default",
        "metric": "arcface",
        "elastic_std": 0.125,
        "quantization": "cosine",
        "quantized": "hardtanh",
        "threshold_cap": 0.01,
        "threshold_map": "clamp",
        "count": "all",
        "interval": "open",
        "majority": "32",  # the hard-coded 64 / 2
    },
}
METRICS = ("cosface", "arcface", "sphereface", "ce", "bitwise")


@dataclass(frozen=True)
class CSCEConfig(MethodConfig):
    """Settings of CSCE-Net.

    structure: row of Table 2; metric: "cosface" | "arcface" | "sphereface" | "ce" (Eq. 11) | "bitwise" (per-bit
    cross-entropy against the center, the other reading of Table 3's "CE"); margin, scale: alpha and S of Eq. 13;
    quantization: "l2" | "l1" | "cosine" | "none"; sign: "plain" (Eq. 5) or "dynamic" (Eq. 6); estimator: how the
    threshold learns, "detached" (not at all, as released) | "straight_through" | "soft"; code_weight: weight of the
    metric loss on the (relaxed) codes, balance_weight: weight of the codes' balance: the reasons a threshold can have
    to learn, both 0 in the paper.
    """

    name: ClassVar[str] = "csce"
    title: ClassVar[str] = "CSCE-Net"
    paper: ClassVar[str] = "Xue et al., ACML 2022"

    variant: str = "paper"
    structure: str = "aie"
    centers: str = "best"
    scale: float = 10.0
    margin: float = 0.15
    quantization_weight: float = 1.0
    quantization_reduction: str = "mean"
    sign: str = "dynamic"
    estimator: str = "detached"
    code_weight: float = 0.0
    balance_weight: float = 0.0
    feature_norm: str = "none"
    aspp_rates: tuple[int, ...] = (3, 6, 9)
    aspp_width: int | None = None
    local: str | None = None
    aie_normalize: str | None = None
    mixer_start: str | None = None
    metric: str | None = None
    elastic_std: float | None = None
    quantization: str | None = None
    quantized: str | None = None
    threshold_cap: float | None = None
    threshold_map: str | None = None
    count: str | None = None
    interval: str | None = None
    majority: str | None = None

    def resolved(self) -> CSCEConfig:
        """The same config with every None filled from its variant."""
        if self.variant not in VARIANTS:
            raise ValueError(f"unknown variant {self.variant!r}; choose from {sorted(VARIANTS)}")
        unset = {f.name for f in fields(self) if getattr(self, f.name) is None}
        return replace(self, **{k: v for k, v in VARIANTS[self.variant].items() if k in unset})  # type: ignore[arg-type]

    def build(self, n_classes: int, bits: int) -> CSCENet:
        return CSCENet(self.resolved(), n_classes, bits)


class CSCENet(HashMethod):
    config: CSCEConfig
    centers: Tensor
    # Released: the loss compares the threshold with clipped, doubled values, encoding with raw ones; so do we there.

    def __init__(self, config: CSCEConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        for name, choices in {
            "metric": METRICS,
            "quantization": ("l2", "l1", "cosine", "none"),
            "quantized": ("raw", "hardtanh"),
            "sign": ("plain", "dynamic"),
            "threshold_map": ("sigmoid", "clamp"),
            "majority": ("half", "32"),
        }.items():
            if getattr(config, name) not in choices:
                raise ValueError(f"unknown {name} {getattr(config, name)!r}; choose from {choices}")
        if config.metric == "sphereface" and config.margin <= 1:
            raise ValueError(
                f"SphereFace multiplies the angle, but margin is {config.margin}; give one above 1, as 1.35"
            )
        if (config.code_weight or config.balance_weight) and (config.sign == "plain" or config.estimator == "detached"):
            raise ValueError(
                f"losses on the codes teach nothing with sign {config.sign!r} and estimator {config.estimator!r}; "
                f"use sign 'dynamic' with estimator 'soft' or 'straight_through'"
            )
        self.network = HashNetwork(
            NetworkConfig(
                config.backbone,
                config.image_size,
                config.structure,
                local=config.local or "aspp",
                aie_normalize=config.aie_normalize or "none",
                mixer_start=config.mixer_start or "mean",
                feature_norm=config.feature_norm,
                aspp_rates=config.aspp_rates,
                aspp_width=config.aspp_width,
                threshold_layer=config.sign == "dynamic",
            ),
            bits,
        )
        self.register_buffer("centers", hash_centers(n_classes, bits, config.centers))

    def forward(self, images: Tensor) -> HashOutput:
        output = self.network(images)
        threshold = self._threshold(output.threshold_logit)
        codes = self.binarise(output.values, threshold)
        return HashOutput(output.values, codes, threshold, output.features)

    def _threshold(self, logit: Tensor | None) -> Tensor | None:
        if logit is None:
            return None
        to_threshold = learned_threshold if self.config.threshold_map == "sigmoid" else clamped_threshold
        return to_threshold(logit, self.config.threshold_cap)  # type: ignore[arg-type]

    def binarise(self, values: Tensor, threshold: Tensor | None, estimator: str = "detached") -> Tensor:
        """Codes +-1 (B, K): sign_d of Eq. 6, or plain sign where the method has no threshold."""
        if threshold is None:
            return sign(values)
        majority = 32 if self.config.majority == "32" else None
        return dynamic_sign(
            values,
            threshold,
            count=self.config.count or "outside",
            interval=self.config.interval or "closed",
            estimator=estimator,
            majority=majority,
        )

    def losses(
        self,
        output: HashOutput,
        labels: Tensor,
        generator: torch.Generator | None = None,
        ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        config = self.config
        terms = {"metric": self._metric(output.values, labels, generator)}
        if config.quantization != "none":
            compared = released_values(output.values) if config.quantized == "hardtanh" else output.values
            # In this term values are constants of the code: only the threshold can learn through it.
            codes = self.binarise(compared.detach(), output.threshold, config.estimator)
            terms["quantization"] = config.quantization_weight * quantization_loss(
                compared, codes, config.quantization or "l2", config.quantization_reduction
            )
        if config.code_weight or config.balance_weight:
            relaxed = self.binarise(output.values, output.threshold, config.estimator)
            if config.code_weight:
                terms["code"] = config.code_weight * self._metric(relaxed, labels, generator)
            if config.balance_weight:
                terms["balance"] = config.balance_weight * balance_loss(relaxed)
        return terms

    def _metric(self, values: Tensor, labels: Tensor, generator: torch.Generator | None) -> Tensor:
        """Eq. 12 between values and the hash centers, or one of Table 3's cross-entropies."""
        config = self.config
        if config.metric == "bitwise":
            single = labels.ndim == 1
            return center_bce(values, self.centers[labels] if single else multilabel_centers(labels, self.centers))
        return margin_loss(
            cosines(values, self.centers),
            labels,
            config.scale,
            m1=config.margin if config.metric == "sphereface" else 1.0,
            m2=config.margin if config.metric == "arcface" else 0.0,
            m3=config.margin if config.metric == "cosface" else 0.0,
            elastic_std=(config.elastic_std or 0.0) if labels.ndim == 1 and self.training else 0.0,
            generator=generator,
            monotone=config.variant != "released",
        )

    @torch.no_grad()
    def diagnostics(self, images: Tensor) -> dict[str, float]:
        """Size of values, mean threshold, share in its band, bits it flips, size of Eq. 3's context over f_l."""
        output = self(images)
        numbers = {"value_size": float(output.values.abs().mean())}
        if output.threshold is not None:
            inside = band(output.values, output.threshold, self.config.interval or "closed")
            numbers |= {
                "threshold": float(output.threshold.mean()),
                "in_band": float(inside.float().mean()),
                "flipped": float((output.codes != sign(output.values)).float().mean()),
            }
        if self.config.structure == "aie":
            stages = self.network.backbone(images)
            local = self.network.local(stages.stage3).features
            context = repeated_context(local, self.network.windows(stages.stage4), self.network.aie.normalize)
            numbers["context_over_local"] = float(context.norm() / local.norm().clamp_min(1e-12))
        return numbers
