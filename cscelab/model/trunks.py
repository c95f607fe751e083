"""Convolutional and windowed trunks: the tiny ResNet, VGG16, those of torchvision that are chains, and GCViT-XXT.

Each is cut where the map is halved, so that at 224 px stage 3 is 14 x 14 and stage 4 is 7 x 7. Classifiers are left
out, VGG's three fully connected layers too, because CSCE-Net reads maps; so a pooled method on VGG16 reads the mean of
pool5 (512 values), where CIBHash's paper reads fc7 (4,096).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from torch import Tensor, nn

from cscelab.model.stages import Backbone

RESNET = (("conv1", "bn1", "relu", "maxpool", "layer1", "layer2"), ("layer3",), ("layer4",))
REGNET = (("stem", "trunk_output.block1", "trunk_output.block2"), ("trunk_output.block3",), ("trunk_output.block4",))
CONVNEXT = (tuple(f"features.{i}" for i in range(4)), ("features.4", "features.5"), ("features.6", "features.7"))
# torchvision's name -> paths of the modules in its stem, stage 3 and stage 4, in the order of use.
TORCHVISION = {
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"), RESNET),
    **dict.fromkeys(("resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2"), RESNET),
    **dict.fromkeys(("regnet_y_400mf", "regnet_y_3_2gf"), REGNET),
    **dict.fromkeys(("convnext_tiny", "convnext_small"), CONVNEXT),
}
GCVIT = (("stem", "stages.0", "stages.1"), ("stages.2",), ("stages.3",))
GCVIT_STRIDE = 32  # pixels to a place of stage 4
# Channels and number of 3x3 convolutions between two poolings (Simonyan and Zisserman 2015, Table 1, D).
VGG16_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, Fig. 2)."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, features: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(self.bn1(self.conv1(features)).relu()))
        return (residual + self.shortcut(features)).relu()


def _stage(channels_in: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        ResidualBlock(channels_in, channels, stride),
        *(ResidualBlock(channels, channels, 1) for _ in range(blocks - 1)),
    )


def tiny(widths: tuple[int, ...] = (16, 32, 64, 128), blocks: tuple[int, ...] = (1, 1, 2, 2)) -> Backbone:
    """A narrow ResNet for 112 px: stage 3 is 14 x 14, stage 4 is 7 x 7, as ResNet-50's at 224 px.

    The stem halves the image and there is no max-pool, so that small parts of small targets survive.
    """
    stem = nn.Sequential(
        nn.Conv2d(3, widths[0], 3, 2, 1, bias=False),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(),
        _stage(widths[0], widths[0], blocks[0], 1),
        _stage(widths[0], widths[1], blocks[1], 2),
    )
    stage3 = _stage(widths[1], widths[2], blocks[2], 2)
    return Backbone(stem, stage3, _stage(widths[2], widths[3], blocks[3], 2))


def cut(
    net: nn.Module, stem: Sequence[str], stage3: Sequence[str], stage4: Sequence[str], channels_last: bool = False
) -> Backbone:
    """The trunk of a library's network whose modules at these paths run one after the other.

    channels_last: its maps are (B, h, w, C); those of the trunk are (B, C, h, w) all the same.
    """
    parts: dict[str, nn.Module] = {}
    names: dict[str, str] = {}
    for part, paths in {"stem": stem, "stage3": stage3, "stage4": stage4}.items():
        modules = [net.get_submodule(path) for path in paths]
        first = 0
        if channels_last:
            from torchvision.ops import Permute

            modules.append(Permute([0, 3, 1, 2]))
            if part != "stem":
                modules.insert(0, Permute([0, 2, 3, 1]))
                first = 1
        alone = len(modules) == 1
        parts[part] = modules[0] if alone else nn.Sequential(*modules)
        names |= {path: part if alone else f"{part}.{i}" for i, path in enumerate(paths, first)}
    return Backbone(parts["stem"], parts["stage3"], parts["stage4"], names)


def from_torchvision(name: str, image_size: int) -> Backbone:
    """torchvision's network of this name, for images of any side."""
    from torchvision import models

    return cut(models.get_model(name, weights=None), *TORCHVISION[name])


def vgg16() -> Backbone:
    """VGG16 without batch norm, as the papers have it: stage 3 ends with pool4, stage 4 with pool5.

    Layers in torchvision's order, whose names of tensors are accepted; written here because torchvision's has no form
    without the 124 million weights of its classifier.
    """
    layers: list[nn.Module] = []
    ends = []  # where each block ends
    channels_in = 3
    for channels, convolutions in VGG16_BLOCKS:
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels_in, channels, 3, padding=1), nn.ReLU(inplace=True)]
            nn.init.kaiming_normal_(layers[-2].weight, mode="fan_out", nonlinearity="relu")  # type: ignore[arg-type]
            nn.init.zeros_(layers[-2].bias)  # type: ignore[arg-type]
            channels_in = channels
        layers.append(nn.MaxPool2d(2))
        ends.append(len(layers))
    cuts = {"stem": (0, ends[2]), "stage3": (ends[2], ends[3]), "stage4": (ends[3], ends[4])}
    parts = {name: nn.Sequential(*layers[start:end]) for name, (start, end) in cuts.items()}
    names = {f"features.{i}": f"{name}.{i - start}" for name, (start, end) in cuts.items() for i in range(start, end)}
    return Backbone(parts["stem"], parts["stage3"], parts["stage4"], names)


def gcvit(name: str, image_size: int) -> Backbone:
    """timm's Global Context ViT (Hatamizadeh et al., ICML 2023) for square images of this side.

    Its attention windows divide the maps at multiples of 32 px, and only there; tables of relative positions are made
    for the side, so that pretrained weights fit 224 px alone. The pretrained weights are NVIDIA's, for non-commercial
    use. timm before 1.0.31 gives the windows of an image the global queries of others, so that its code depends on its
    batch. Raises ValueError for other sides and where timm is missing.
    """
    if image_size % GCVIT_STRIDE:
        raise ValueError(
            f"{name} divides its maps into windows, which takes images whose side is a multiple of {GCVIT_STRIDE} px, "
            f"but {image_size} px came; use 224 px, for which its weights are made, or another backbone"
        )
    net = import_timm(name).create_model(name, pretrained=False, img_size=image_size, num_classes=0)
    return cut(net, *GCVIT)


def import_timm(name: str) -> ModuleType:
    """timm, for the backbone of this name; ValueError where it is not installed."""
    try:
        import timm
    except ModuleNotFoundError as error:
        raise ValueError(f"backbone {name!r} needs {error.name}, which is not installed; pip install timm") from error
    return timm
