"""Trunks of timm by name: a network that is a chain of modules, cut where its maps have strides 8, 16 and 32."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from cscelab.model.stages import Backbone
from cscelab.model.trunks import cut, import_timm
from cscelab.model.weightfiles import Published, fetch, on_hugging_face, read_state_dict

STRIDES = (8, 16, 32)  # pixels to a place of the stem's map, stage 3's and stage 4's
# timm's readers of maps for networks whose modules run one after the other; other readers hook into the network.
CHAINS = ("FeatureListNet", "EfficientNetFeatures", "MobileNetV3Features")
LISTS = "selecsls"  # a chain, but its modules hand on lists of maps
EXAMPLES = ("timm:resnet50.a1_in1k", "timm:convnext_tiny.fb_in22k")


def timm_trunk(name: str, image_size: int) -> Backbone:
    """The trunk of timm's model MODEL or MODEL.TAG with random weights, for square images of this side.

    Pixels are normalised as the weights of the tag expect, of timm's first tag where none is given. Raises ValueError
    where timm is missing or has no such model or tag, and where the model cannot be cut.
    """
    timm = import_timm(name)
    published = _published(timm, name)
    with torch.device("meta"):  # shapes only
        reader = timm.create_model(name, features_only=True)
    info = reader.feature_info
    ends = dict(zip(info.reduction(), info.module_name(), strict=True))  # the last map of each stride
    chain = type(reader).__name__ in CHAINS and not name.startswith(LISTS)
    if not chain or not all(stride in ends for stride in STRIDES):
        raise ValueError(
            f"timm's {name} is no chain of modules with maps of strides {STRIDES}, which a trunk is cut from; use one "
            f"that is, as {' or '.join(EXAMPLES)}, or vit_b_16 for a vision transformer of one scale"
        )
    side: dict[str, Any] = {"img_size": image_size} if published.fixed_input_size else {}
    net = timm.create_model(name, num_classes=0, **side)
    paths = list(_chain(net, ends.values()))
    stem, stage3, stage4 = (paths.index(ends[stride]) + 1 for stride in STRIDES)
    last = getattr(net, "output_fmt", "NCHW") == "NHWC"
    trunk = cut(net, paths[:stem], paths[stem:stage3], paths[stage3:stage4], channels_last=last)
    trunk.mean = torch.tensor(published.mean).view(1, 3, 1, 1)
    trunk.std = torch.tensor(published.std).view(1, 3, 1, 1)
    return trunk


def _chain(net: nn.Module, ends: Iterable[str]) -> Iterator[str]:
    """Paths of the modules in the order of use; a sequence in which a map ends is taken apart."""
    parents = {end.rpartition(".")[0] for end in ends}
    for path, module in net.named_children():
        yield from [f"{path}.{key}" for key, _ in module.named_children()] if path in parents else [path]


def published_state(name: str) -> dict[str, Tensor]:
    """timm's pretrained weights of MODEL or MODEL.TAG, by its names of tensors.

    Raises ValueError where there are none or the file on this machine holds others, OSError where they cannot be had.
    """
    timm = import_timm(name)
    published = _published(timm, name)
    if published.hf_hub_id:
        source = on_hugging_face(published.hf_hub_id)
    elif published.url:
        source = Published(published.url, published.url.rsplit("/", 1)[-1])
    else:
        raise ValueError(
            f"timm has no pretrained weights of {name}; give the path of a file as weights, or train from scratch with "
            "weights 'none'"
        )
    path = fetch(source, name)
    state = read_state_dict(path)
    try:  # timm brings names and shapes of older files up to date
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"state_dict": state}).state_dict()
    except (RuntimeError, KeyError) as error:
        raise ValueError(f"{path} does not hold timm's weights of {name}; remove it, or get it again") from error


def _published(timm: ModuleType, name: str) -> Any:
    """What timm says of the pretrained weights of MODEL or MODEL.TAG: where they are, what they expect."""
    model = name.partition(".")[0]
    if model not in (known_models := timm.list_models()):
        near = difflib.get_close_matches(model, known_models, 3)
        known = f"near it are {', '.join(near)}" if near else "timm.list_models() names all"
        raise ValueError(f"timm {timm.__version__} has no model {model!r}; {known}")
    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        tags = ", ".join(timm.list_models(f"{model}.*", pretrained=True)) or "it has none"
        raise ValueError(f"timm has no weights {name!r}; choose from: {tags}") from error
