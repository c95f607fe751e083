"""ITQ: the best rotation of the principal components, its error falling at every step; runs reproduce codes."""

import sys
from itertools import pairwise

import faiss
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_training import IMAGES, MULTI, made, train_set

from cscelab.codes import unpack
from cscelab.encode import encode
from cscelab.experiment import run
from cscelab.methods import build
from cscelab.methods.itq import ITQConfig, best_rotation
from cscelab.recipes import recipe

BITS = 16


def features(n: int = 300, seed: int = 0) -> torch.Tensor:
    """Centred features (n, 128) that vary more along some directions than along others."""
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(n, 128, generator=generator) * torch.linspace(3, 0.1, 128)
    mixed = mixed @ torch.randn(128, 128, generator=generator)
    return mixed - mixed.mean(dim=0)


def fitted(config: ITQConfig, centred: torch.Tensor, seed: int = 5) -> torch.Tensor:
    """The map (K, d), in float64."""
    return made(config, bits=BITS).fit_projection(centred, seed).double()


def quantisation_error(components: torch.Tensor, rotation: torch.Tensor) -> float:
    values = components @ rotation
    return float((values.sign() - values).square().sum())


def test_its_faiss_solver_is_faiss():
    centred = features()
    whole = faiss.ITQTransform(128, BITS, True)
    whole.itq.seed = 5
    whole.train(centred.numpy())
    projection = fitted(ITQConfig(solver="faiss"), centred)
    theirs = torch.from_numpy(whole.apply(centred.numpy())) > 0
    # Bit for bit, since its alternation does not converge: other rounding would end elsewhere.
    assert torch.equal(centred.double() @ projection.T > 0, theirs)


@pytest.mark.parametrize("solver", ["paper", "faiss"])
def test_its_map_rotates_the_principal_directions(solver):
    centred = features()
    projection = fitted(ITQConfig(solver=solver), centred)
    torch.testing.assert_close(projection @ projection.T, torch.eye(BITS).double(), atol=1e-5, rtol=0)
    seen = (F.normalize(centred) if solver == "faiss" else centred).double()
    principal = torch.linalg.eigh(torch.cov(seen.T)).eigenvectors[:, -BITS:]  # (d, K)
    inside = (projection @ principal).square().sum(dim=1)  # 1 where a row lies in their span
    torch.testing.assert_close(inside, torch.ones(BITS).double(), atol=1e-4, rtol=0)


def test_the_error_falls_at_every_step_to_a_rotation_that_is_best_for_its_codes():
    components = features()[:, :6].double()
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)).double()).Q
    errors = [quantisation_error(components, rotation)]
    for _ in range(12):
        rotation = best_rotation(components, rotation, 1)
        errors.append(quantisation_error(components, rotation))
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(6).double())
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(errors))
    assert errors[-1] < errors[0]
    # Of two components every rotation can be tried: none fits the codes of the one before better.
    pair = components[:, :2]
    codes, angles = pair.sign(), torch.linspace(0, 2 * torch.pi, 721, dtype=torch.float64)
    cos, sin = angles.cos(), angles.sin()
    turns = torch.stack([torch.stack([cos, -sin]), torch.stack([sin, cos])]).permute(2, 0, 1)
    turns = torch.cat([turns, turns * torch.tensor([1.0, -1.0])])  # and those that also mirror
    tried = (codes - pair @ turns).square().sum(dim=(1, 2))
    found = (codes - pair @ best_rotation(pair, torch.eye(2), 1)).square().sum()
    assert found <= tried.min() + 1e-9
    assert found >= tried.min() * 0.99


def test_ours_fits_better_than_faiss_does():
    components = features()[:, :BITS]
    quantiser = faiss.ITQMatrix(BITS)
    quantiser.seed = 5
    quantiser.train(components.numpy())
    start = faiss.RandomRotationMatrix(BITS, BITS)
    start.init(5)
    theirs, first = (
        torch.from_numpy(faiss.vector_to_array(matrix.A).reshape(BITS, BITS).copy()) for matrix in (quantiser, start)
    )
    ours = best_rotation(components, first, 50)
    assert quantisation_error(components, ours) < quantisation_error(components, theirs.T)


def test_other_seeds_start_elsewhere_and_the_same_seed_gives_the_same_bits():
    first, again, other = made(ITQConfig()), made(ITQConfig()), made(ITQConfig())
    again.start_training(train_set(MULTI), torch.Generator().manual_seed(0))  # labels are not read
    other.start_training(train_set(), torch.Generator().manual_seed(1))
    assert torch.equal(first.hash_layer.projection, again.hash_layer.projection)
    assert (first.hash_layer.projection - other.hash_layer.projection).abs().max() > 0.1


def test_fewer_images_than_bits_leave_directions_without_variance():
    method = made(ITQConfig(), bits=64)  # from six images
    projection = method.hash_layer.projection
    torch.testing.assert_close(projection @ projection.T, torch.eye(64), atol=1e-4, rtol=0)
    centred = method(IMAGES).features - method.hash_layer.center
    # The six images' differences span five directions, all of them kept: the map loses none of their length.
    seen = centred @ projection.T
    torch.testing.assert_close(seen.norm(dim=1), centred.norm(dim=1), atol=1e-3, rtol=1e-3)


def test_the_map_is_stored_and_encoding_needs_no_faiss(monkeypatch):
    method = made(ITQConfig()).eval()
    monkeypatch.setitem(sys.modules, "faiss", None)
    fresh = build(method.config, 5, BITS).eval()
    fresh.load_state_dict(method.state_dict())
    assert torch.equal(fresh(IMAGES).codes, method(IMAGES).codes)
    with pytest.raises(ValueError, match="fitted by faiss, which is not installed"):
        fresh.start_training(train_set(), torch.Generator())


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="asked for 129 bits of the 128 features of tiny; give at most 128"):
        made(ITQConfig(), bits=129)
    with pytest.raises(ValueError, match="unknown solver 'matlab'; choose from"):
        made(ITQConfig(solver="matlab"))
    with pytest.raises(ValueError, match="was given 0 iterations"):
        made(ITQConfig(iterations=0))


def test_a_stored_run_reproduces_its_codes(tmp_path):
    stored = run(recipe("itq", "smoke"), root=tmp_path, progress=False)
    (row,) = stored.history
    assert row["epoch"] == 0
    assert row["validation_map"] == stored.metrics["validation_map"]
    model, codes = stored.model(), stored.codes
    splits = stored.data()
    for name, images in (("query", splits.query), ("database", splits.database)):
        encoded = encode(model, images)
        assert np.array_equal(unpack(encoded.codes, encoded.layout.width), codes[f"{name}_codes"])
        np.testing.assert_allclose(encoded.values, codes[f"{name}_values"], atol=1e-5)
    assert len(np.unique(codes["database_codes"], axis=0)) > 10
