"""ADSH (Jiang and Li, AAAI 2018): a network for queries only; the database's codes are learned directly.

Head: one linear layer on pooled stage 4. With u_i = tanh of the values of a drawn image and v_j the free code of
training image j, the loss is sum_ij (u_i . v_j - K S_ij)^2 + gamma sum_i |v_i - u_i|^2, gamma = 200, S_ij = 1 for
similar pairs and -r for the others, r = similar / other pairs (released code, github.com/jiangqy/ADSH-AAAI2018; -1 in
the text). Codes are solved for after each outer iteration: V_k = sign(K S^T U + gamma U - V_{/k} U_{/k}^T U_k), U being
0 where an image was not drawn. Multi-label: similar where two images share a label.

Defaults of the released code: 2,000 drawn images, 3 passes over them, gamma 200. It is for databases of tens of
thousands of images (CIFAR-10, NUS-WIDE); beside the mean over pairs gamma weighs gamma / n, so that among a few
thousand it pulls harder. Ours: normalised features, the start of the codes and more (see `alternating`), and all that
a recipe sets by its profile, which is ExchNet's under "paper": how many images are drawn, passes, outer iterations,
augmentation and optimiser. The released code takes SGD without momentum (rate 1e-3, a tenth after every 10 of 50 outer
iterations, weight decay 5e-4, batches of 64) and does not mirror images.

Evidence, validation mAP (quick, 40 species, 24 bits, seeds 0 to 2): .616, .636, .612; without the own term .613, .620,
.615. At 12 bits (seed 0) .533, without the own term .463.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from cscelab.methods.alternating import AlternatingConfig, AlternatingHash, squash
from cscelab.methods.base import HashOutput, pooled_config, pooled_network


@dataclass(frozen=True)
class ADSHConfig(AlternatingConfig):
    """own_weight: gamma; feature_norm: "batch" or "none"; the rest as in `AlternatingConfig`."""

    name: ClassVar[str] = "adsh"
    title: ClassVar[str] = "ADSH"
    paper: ClassVar[str] = "Jiang and Li, AAAI 2018"

    own_weight: float = 200.0
    feature_norm: str = "batch"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.own_weight < 0:
            raise ValueError(f"own_weight is {self.own_weight}; give 0 (no such term) or more")
        pooled_config(self, self.feature_norm)  # refuses what the network would, before any data are drawn

    def build(self, n_classes: int, bits: int) -> ADSH:
        return ADSH(self, n_classes, bits)


class ADSH(AlternatingHash):
    config: ADSHConfig

    def __init__(self, config: ADSHConfig, n_classes: int, bits: int):
        super().__init__(config, n_classes, bits)
        self.network = pooled_network(config, bits, feature_norm=config.feature_norm)
        self.own_pull = config.own_weight

    def losses(
        self,
        output: HashOutput,
        labels: Tensor,
        generator: torch.Generator | None = None,
        ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Raises ValueError where ids are missing or not of the images that training was started with."""
        pairs = self.asymmetric_loss(output.values, labels, ids)
        own = (squash(output.values) - self.database.read(ids)).square().sum(dim=1).mean()  # |v_i - u_i|^2
        return {"pairs": pairs, "own": self.own_pull / len(self.database.rows) * own}
