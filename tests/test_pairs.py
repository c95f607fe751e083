"""Pairs: similarity by hand, the likelihood against its definition, weights that give both kinds one share."""

import pytest
import torch

from cscelab.pairs import class_balance, cosine_distance, different_images, pair_likelihood, similarity

MULTI = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=torch.uint8)


def test_similarity_by_hand():
    assert similarity(torch.tensor([2, 0, 2])).tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    assert similarity(torch.tensor([2, 0]), torch.tensor([0, 2, 1])).tolist() == [[0, 1, 0], [1, 0, 0]]
    # Without any label an image is like no other, nor like itself.
    assert similarity(MULTI).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    many = torch.ones(2, 300, dtype=torch.uint8)  # 300 shared labels do not wrap around in eight bits
    assert similarity(many).tolist() == [[1, 1], [1, 1]]


def test_two_kinds_of_labels_are_refused():
    with pytest.raises(ValueError, match=r"labels \(2,\) and \(4, 3\) cannot be compared; give class ids"):
        similarity(torch.tensor([0, 1]), MULTI)


def test_likelihood_is_the_negative_logarithm_of_the_probability():
    theta = torch.tensor([-3.0, -0.5, 0.0, 2.0], dtype=torch.float64)
    for s in (0.0, 1.0):
        probability = torch.sigmoid(theta) if s else 1 - torch.sigmoid(theta)
        torch.testing.assert_close(pair_likelihood(theta, torch.full_like(theta, s)), -probability.log())
    assert torch.isfinite(pair_likelihood(torch.tensor([1e4, -1e4]), torch.tensor([0.0, 1.0]))).all()


def test_weights_give_similar_and_other_pairs_the_same_share():
    similar = similarity(torch.tensor([0, 0, 1, 2, 3]))
    counted = different_images(5)
    weights = class_balance(similar, counted)
    assert weights.diagonal().tolist() == [0] * 5
    assert float(weights[similar > 0].sum()) == pytest.approx(20)  # |S| pairs in all, for either kind
    assert float(weights[similar == 0].sum()) == pytest.approx(20)
    assert torch.isfinite(class_balance(torch.zeros(3, 3), different_images(3))).all()


def test_cosine_distance_of_codes_is_their_hamming_distance():
    codes = torch.tensor([[1.0, 1, 1, 1], [1, 1, -1, 1], [-1, -1, -1, -1]])
    by_hand = torch.tensor([[0.0, 1, 4], [1, 0, 3], [4, 3, 0]])
    torch.testing.assert_close(cosine_distance(codes, codes), by_hand)
    torch.testing.assert_close(cosine_distance(7 * codes, 0.1 * codes), by_hand)
