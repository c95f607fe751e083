"""Augmentation by torchvision's transforms: draws by group from the generator alone, type and layout kept."""

import numpy as np
import pytest
import torch

from cscelab.datasets.augmentation import AUGMENTATIONS, GROUP, augment_more, check_augmentation

EVERY = [*AUGMENTATIONS, "crop+colour"]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def photographs(n: int = 3 * GROUP + 1, side: int = 32) -> torch.Tensor:
    """Channels last in memory, as the loader has them."""
    pixels = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def generator(seed: int = 0, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", EVERY)
def test_type_shape_device_and_layout_are_kept(name, device):
    for images in (photographs().to(device), photographs().contiguous().to(device), photographs(1).to(device)):
        found = augment_more(images, generator(device=device), name)
        assert (found.shape, found.dtype, found.device) == (images.shape, torch.uint8, images.device)
        assert found.stride() == images.stride()


@pytest.mark.parametrize("name", EVERY)
def test_draws_follow_the_generator_alone(name):
    images = photographs()
    before = images.clone()
    torch.manual_seed(1)
    first = augment_more(images, generator(), name)
    torch.manual_seed(2)
    assert torch.equal(first, augment_more(images, generator(), name))
    others = [augment_more(images, generator(seed), name) for seed in range(1, 4)]
    assert any(not torch.equal(first, other) for other in others)
    assert torch.equal(images, before)
    draws = generator()
    assert not torch.equal(augment_more(images, draws, "crop"), augment_more(images, draws, "crop"))


def test_layout_does_not_change_the_pixels():
    for name in EVERY:
        last, first = (
            augment_more(images, generator(), name) for images in (photographs(), photographs().contiguous())
        )
        assert abs(last.int() - first.int()).max() <= 1  # resizing rounds by layout


@pytest.mark.parametrize("name", EVERY)
def test_global_generators_are_left_alone(name):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
    augment_more(photographs(), generator(), name)
    assert torch.equal(torch.get_rng_state(), state)
    assert cuda is None or torch.equal(torch.cuda.get_rng_state(), cuda)


def test_the_seed_of_a_gpu_not_yet_used_stays(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    augment_more(photographs(), generator(), "crop")
    assert not seeded


def test_a_failing_transform_leaves_the_global_generator_alone(monkeypatch):
    def fail(_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no")

    monkeypatch.setitem(AUGMENTATIONS, "crop", lambda _: fail)
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="no"):
        augment_more(photographs(), generator(), "crop")
    assert torch.equal(torch.get_rng_state(), state)


def test_a_group_shares_its_draws_and_groups_do_not():
    same = photographs(1).expand(4 * GROUP, -1, -1, -1)
    found = augment_more(same.clone(), generator(), "crop").reshape(4, GROUP, -1)
    assert (found == found[:, :1]).all()
    assert all(not torch.equal(found[0, 0], other[0]) for other in found[1:])
    part = augment_more(photographs(GROUP), generator(), "crop")  # the first group's draws, however many follow
    assert torch.equal(augment_more(photographs(GROUP + 2)[:GROUP], generator(), "crop"), part)


def test_what_each_one_does():
    grey = torch.full((8 * GROUP, 3, 32, 32), 90, dtype=torch.uint8)
    assert torch.equal(augment_more(grey, generator(), "none"), grey)
    assert torch.equal(augment_more(grey, generator(), "crop"), grey)  # a crop of one colour is that colour
    erased = augment_more(grey, generator(), "erase")
    assert set(erased.unique().tolist()) == {0, 90}
    hit = (erased == 0).flatten(1).any(1).view(-1, GROUP)
    assert (hit == hit[:, :1]).all()
    assert 0 < hit[:, 0].float().mean() < 1  # of half of the groups
    coloured = augment_more(grey, generator(), "colour")
    assert (coloured == coloured[:, :, :1, :1]).all()  # still of one colour each,
    assert len(coloured[:, 0, 0, 0].unique()) > 4  # but another
    ramp = torch.arange(32, dtype=torch.uint8).mul(8).expand(8 * GROUP, 3, 32, 32)
    rows = augment_more(ramp.contiguous(), generator(), "crop")[::GROUP, 0, 0].double()  # one of each group
    assert (rows.diff() >= 0).all()
    slopes = rows[:, 4:-4].diff().mean(1)  # without the margins, where there is nothing beyond to resize from
    # Half of the area at least, in proportions of 3:4 to 4:3: a side of sqrt(.5 * .75) = .61 of the picture, or more.
    assert ((slopes > 0.6 * 8) & (slopes < 8 + 0.1)).all()
    assert slopes.min() < 0.9 * 8
    assert len(slopes.unique()) > 4
    starts = rows[:, 0]
    assert len(starts.unique()) > 3  # the window lies elsewhere too


def test_unknown_names_are_refused():
    for name in ("none", *EVERY):
        check_augmentation(name)
    for name, part in (("mixup", "mixup"), ("crop+mixup", "mixup"), ("none+crop", "none"), ("", "")):
        with pytest.raises(ValueError, match=f"unknown augmentation '{part}'; choose from .*'crop'.* or none"):
            check_augmentation(name)
