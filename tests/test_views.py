"""Views: each part against torchvision's arithmetic, image by image; draws of its own for every image."""

from functools import partial

import pytest
import torch
from torchvision.transforms import functional as TF

from cscelab.datasets.views import (
    blend,
    colour_jitter,
    gaussian_blur,
    greyscale,
    luma,
    random_resized_crop,
    some,
    turn_hue,
    uniform,
)

PARTS = {
    "crop": random_resized_crop,
    "jitter": colour_jitter,
    "hue": partial(colour_jitter, strength=0.0),
    "blur": gaussian_blur,
    "some": lambda images, generator: some(images, greyscale, 0.5, generator),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(n: int = 4, side: int = 12) -> torch.Tensor:
    return torch.rand(n, 3, side, side + 2, generator=generator(9))


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_views_keep_shape_and_range_and_come_from_the_generator_alone(part):
    images = noise()
    before = images.clone()
    torch.manual_seed(1)
    first = part(images, generator(3))
    torch.manual_seed(2)
    assert torch.equal(first, part(images, generator(3)))
    assert not torch.equal(first, part(images, generator(4)))
    assert first.shape == images.shape
    assert first.min() >= 0
    assert first.max() <= 1
    assert torch.equal(images, before)


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_every_image_has_draws_of_its_own(part):
    twelve_times = noise(1).repeat(12, 1, 1, 1)
    seen = part(twelve_times, generator())
    assert not torch.equal(seen[1:], seen[:1].expand(11, -1, -1, -1))
    if part is not PARTS["some"]:  # which has two outcomes only
        assert len({image.numpy().tobytes() for image in seen}) == 12


def test_at_strength_zero_images_come_back():
    images = noise()
    assert torch.equal(random_resized_crop(images, generator(), smallest=1.0, aspect=1.0), images)
    assert torch.equal(colour_jitter(images, generator(), strength=0.0, hue=0.0), images)
    assert torch.equal(some(images, greyscale, 0.0, generator()), images)
    torch.testing.assert_close(turn_hue(images, torch.zeros(4, 1, 1, 1)), images)
    torch.testing.assert_close(gaussian_blur(images, generator(), widest=0.1), images)


def test_crops_are_parts_of_the_image_of_the_areas_asked_for():
    # Red rises by a step a column and green by a step a row: the slopes of a crop tell the sides of its part.
    side = 64
    steps = torch.linspace(0, 1, side)
    ramps = torch.stack([steps.expand(side, side), steps[:, None].expand(side, side), torch.zeros(side, side)])
    crops = random_resized_crop(ramps.repeat(300, 1, 1, 1), generator(), smallest=0.4, aspect=4 / 3)
    inner = slice(8, -8)  # away from the edge, where there is nothing to interpolate with
    width = crops[:, 0, :, inner].diff(dim=-1).mean(dim=(1, 2)) * (side - 1)
    height = crops[:, 1, inner].diff(dim=-2).mean(dim=(1, 2)) * (side - 1)
    area, shape = width * height, width / height
    assert 0.3 < area.min() < 0.45  # below .4 only where a side had to be shortened
    assert 0.9 < area.max() <= 1.01
    assert 0.7 < shape.min() < 0.8
    assert 1.25 < shape.max() < 1.4
    assert max(width.max(), height.max()) <= 1.01
    left, right = crops[:, 0, :, 0].mean(dim=1), crops[:, 0, :, -1].mean(dim=1)
    assert left.min() >= 0
    assert right.max() <= 1
    assert left.std() > 0.05  # and they lie in different places


def test_a_crop_is_the_resized_part():
    images = noise(3, 30)
    crops = random_resized_crop(images, generator(5), smallest=0.5, aspect=1.0)
    drawn = generator(5)  # area, shape and place, in the order they are drawn
    side = uniform(images, 0.5, 1, drawn).sqrt()
    uniform(images, 0, 0, drawn)
    x, y = (uniform(images, -1, 1, drawn) * (1 - side) for _ in range(2))
    for image, crop, s, cx, cy in zip(images, crops, side.flatten(), x.flatten(), y.flatten(), strict=True):
        height, width = image.shape[1:]
        columns = ((torch.arange(width) + 0.5) / width * 2 - 1) * s + cx
        rows = ((torch.arange(height) + 0.5) / height * 2 - 1) * s + cy
        for i, j in ((3, 4), (15, 20), (29, 31)):
            row = float((rows[i] + 1) / 2 * height - 0.5)
            column = float((columns[j] + 1) / 2 * width - 0.5)
            row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
            top, start = min(int(row), height - 2), min(int(column), width - 2)
            down, along = row - top, column - start
            expected = (
                (1 - down) * (1 - along) * image[:, top, start]
                + (1 - down) * along * image[:, top, start + 1]
                + down * (1 - along) * image[:, top + 1, start]
                + down * along * image[:, top + 1, start + 1]
            )
            torch.testing.assert_close(crop[:, i, j], expected, atol=1e-4, rtol=0)


def test_colours_are_torchvisions_image_by_image():
    images, factors = noise(), torch.tensor([0.6, 0.9, 1.1, 1.4])
    share = factors.view(4, 1, 1, 1)
    darker = blend(images, torch.zeros_like(images), share)
    contrasted = blend(images, luma(images).mean(dim=(2, 3), keepdim=True), share)
    saturated = blend(images, luma(images), share)
    for i, factor in enumerate(factors.tolist()):
        torch.testing.assert_close(darker[i], TF.adjust_brightness(images[i], factor))
        # torchvision has 0.2989 for the weight of red, we 0.299.
        torch.testing.assert_close(contrasted[i], TF.adjust_contrast(images[i], factor), atol=1e-3, rtol=0)
        torch.testing.assert_close(saturated[i], TF.adjust_saturation(images[i], factor), atol=1e-3, rtol=0)
    torch.testing.assert_close(greyscale(images), TF.rgb_to_grayscale(images, 3), atol=1e-3, rtol=0)


def test_jitter_is_its_four_parts_in_their_order():
    images, strength, hue = noise(), 0.4, 0.1
    drawn = generator(7)
    brightness, contrast, saturation = (uniform(images, 0.6, 1.4, drawn) for _ in range(3))
    turns = uniform(images, -hue, hue, drawn)
    expected = [TF.adjust_brightness(image, float(f)) for image, f in zip(images, brightness, strict=True)]
    expected = [TF.adjust_contrast(image, float(f)) for image, f in zip(expected, contrast, strict=True)]
    expected = [TF.adjust_saturation(image, float(f)) for image, f in zip(expected, saturation, strict=True)]
    torch.testing.assert_close(
        colour_jitter(images, generator(7), strength, hue), turn_hue(torch.stack(expected), turns), atol=2e-3, rtol=0
    )


def test_hue_turns_colours_about_the_greys():
    turns = torch.full((1, 1, 1, 1), 0.2)
    greys = torch.linspace(0, 1, 5).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    torch.testing.assert_close(turn_hue(greys, turns), greys, atol=2e-3, rtol=0)
    muted = 0.4 + 0.2 * noise(1)  # far from black and white, where nothing is cut off
    turned = turn_hue(muted, turns)
    torch.testing.assert_close(luma(turned), luma(muted), atol=1e-4, rtol=0)
    assert (turned - muted).abs().max() > 0.05
    torch.testing.assert_close(turn_hue(turned, -turns), muted, atol=1e-4, rtol=0)
    whole = muted
    for _ in range(5):
        whole = turn_hue(whole, turns)
    torch.testing.assert_close(whole, muted, atol=1e-4, rtol=0)


def test_blur_is_torchvisions_image_by_image():
    images = noise()
    deviations = uniform(images, 0.1, 2.0, generator(6)).flatten().tolist()
    blurred = gaussian_blur(images, generator(6))
    for image, seen, deviation in zip(images, blurred, deviations, strict=True):
        torch.testing.assert_close(seen, TF.gaussian_blur(image, [3, 3], [deviation]), atol=1e-5, rtol=0)
    assert len(set(deviations)) == 4


def test_a_probability_is_the_share_of_changed_images():
    images = noise(1, 2).repeat(2000, 1, 1, 1)
    changed = (some(images, greyscale, 0.2, generator()) != images).flatten(1).any(dim=1)
    assert 0.16 < changed.float().mean() < 0.24
    assert torch.equal(some(images[:5], greyscale, 1.0, generator()), greyscale(images[:5]))


def test_a_change_without_an_image_is_not_called():
    def never(images, generator):
        raise AssertionError("called without an image")

    images = noise()
    assert torch.equal(some(images, never, 1e-9, generator()), images)


@pytest.mark.parametrize("part", [greyscale, colour_jitter, gaussian_blur, random_resized_crop])
def test_mixed_precision_changes_the_chosen_images_alone(part):
    images = noise(8)
    plain = some(images, part, 0.5, generator(2))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = some(images, part, 0.5, generator(2))
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, plain, atol=0.03, rtol=0)
    changed = (plain != images).flatten(1).any(dim=1)
    assert 0 < changed.sum() < 8
    assert torch.equal(mixed[~changed], images[~changed])
