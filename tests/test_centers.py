"""Hash centers: every promised distance is counted, every bound is held against brute force."""

from itertools import combinations, product

import numpy as np
import pytest
import torch

from cscelab.centers import (
    build_centers,
    center_report,
    hash_centers,
    multilabel_centers,
)
from cscelab.codes import hamming_distance
from cscelab.constructions import best_code, distance_upper_bound, known_codes
from cscelab.hadamard import hadamard, hadamard_name

torch.set_num_threads(1)

KINDS = ["best", "hadamard", "published", "bernoulli", "coding"]


def counted_distances(centers):
    distances = hamming_distance(centers, centers)
    return distances[torch.triu(torch.ones_like(distances, dtype=torch.bool), diagonal=1)].float()


# Hadamard matrices


@pytest.mark.parametrize("order", [n for n in range(1, 200) if hadamard_name(n)])
def test_hadamard_rows_are_orthogonal(order):
    matrix = hadamard(order).astype(int)
    assert set(np.unique(matrix)) <= {-1, 1}
    np.testing.assert_array_equal(matrix @ matrix.T, order * np.eye(order))


def test_orders_served():
    served = {n for n in range(1, 101) if hadamard_name(n)}
    assert served == {1, 2, *range(4, 101, 4)} - {92}
    with pytest.raises(ValueError, match="order 92"):
        hadamard(92)


def test_sylvester_is_equation_1():
    two = np.array([[1, 1], [1, -1]])
    np.testing.assert_array_equal(hadamard(8), np.kron(two, np.kron(two, two)))


# Codes


@pytest.mark.parametrize("code", [c for c in known_codes(64) if c.size <= 4096], ids=lambda c: c.name)
def test_every_code_keeps_its_promise_exactly(code):
    words = code.words(code.size)
    assert words.shape == (code.size, code.bits)
    assert counted_distances(torch.from_numpy(words)).min() == (code.distance if code.bits > 1 else 1)


@pytest.mark.parametrize(
    ("classes", "bits", "name", "distance"),
    [
        (24, 12, "Paley I", 6),
        (32, 16, "Reed-Muller RM(1,4)", 8),
        (256, 16, "Nordstrom-Robinson", 6),
        (40, 20, "Paley I", 10),
        (128, 24, "quasi-cyclic [24,7,10]", 10),
        (4096, 24, "extended Golay", 8),
        (128, 32, "quasi-cyclic [32,7,14]", 14),
        (2048, 32, "extended BCH [32,11,12]", 12),
        (96, 48, "Paley I", 24),
        (256, 48, "quasi-cyclic [48,8,22]", 22),
        (1024, 48, "quasi-cyclic [48,10,20]", 20),
        (128, 64, "Reed-Muller RM(1,6)", 32),
        (4096, 64, "Kerdock", 28),
    ],
)
def test_rows_of_the_table(classes, bits, name, distance):
    centers = hash_centers(classes, bits, "coding")
    assert counted_distances(centers).min() == distance
    assert name in center_report(centers).construction


def test_the_large_bch_code_by_its_weights():
    code = next(c for c in known_codes(32) if "[32,16,8]" in c.name)
    words = code.words(code.size)
    weights = words.sum(axis=1)
    assert len(np.unique(words, axis=0)) == 65536
    assert np.sort(weights)[1] == 8  # of a linear code the smallest weight is the smallest distance
    sums = words[:999] ^ words[30000:30999]
    assert (np.isin(sums @ (1 << np.arange(32)), words @ (1 << np.arange(32)))).all()  # it is linear


@pytest.mark.parametrize("bits", [1, 2, 3, 5, 7, 9, 10, 13, 18, 22, 30, 37, 50, 72, 100])
def test_cut_and_joined_codes_keep_their_promise(bits):
    for size in (2, 3, 5, 20, 67, 200):
        if size <= 2**bits:
            code = best_code(size, bits)
            words = code.words(size)[:size]
            assert words.shape == (size, bits)
            assert counted_distances(torch.from_numpy(words)).min() >= code.distance >= 1


# Centers of every kind


@pytest.mark.parametrize("kind", KINDS)
def test_centers_are_signs_of_the_right_shape_and_repeat_with_the_seed(kind):
    for n_classes, bits in [(1, 4), (5, 8), (20, 16), (30, 32)]:
        centers = hash_centers(n_classes, bits, kind, seed=3)
        assert centers.shape == (n_classes, bits)
        assert centers.dtype == torch.float32
        assert (centers.abs() == 1).all()
        assert torch.equal(centers, hash_centers(n_classes, bits, kind, seed=3))


def test_the_seed_matters_where_chance_decides():
    for kind, n_classes in [("best", 20), ("coding", 100), ("bernoulli", 20), ("published", 100)]:
        bits = 32 if n_classes == 20 else 16
        assert not torch.equal(hash_centers(n_classes, bits, kind, 0), hash_centers(n_classes, bits, kind, 1))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64])
def test_best_is_no_worse_than_any_other_kind_and_within_the_bound(bits):
    for n_classes in (1, 2, 3, 4, 5, 8, 13, 20, 33, 100, 200):
        if n_classes > 2**bits:
            continue
        best = center_report(hash_centers(n_classes, bits))
        assert best.min_distance <= best.upper_bound
        for kind in KINDS[1:]:
            try:
                other = center_report(hash_centers(n_classes, bits, kind))
            except ValueError:
                continue
            assert other.min_distance <= best.min_distance
            assert other.min_distance <= other.upper_bound


@pytest.mark.parametrize(("n_classes", "bits"), [(8, 3), (7, 3), (256, 8), (300, 9), (1000, 10), (3, 2), (2, 1)])
def test_there_are_distinct_centers_while_there_are_words(n_classes, bits):
    assert center_report(hash_centers(n_classes, bits)).min_distance >= 1


def test_many_classes_are_served():
    centers = hash_centers(3000, 32)
    assert len(torch.unique(centers, dim=0)) == 3000
    assert center_report(centers).min_distance == 8


@pytest.mark.parametrize(("n_classes", "bits"), [(20, 32), (20, 48), (10, 16), (16, 16), (21, 64), (64, 64)])
def test_best_rows_stay_orthogonal_and_balance_the_constant_bit(n_classes, bits):
    centers = hash_centers(n_classes, bits)
    torch.testing.assert_close(centers @ centers.T, bits * torch.eye(n_classes))
    literal = hash_centers(n_classes, bits, "hadamard")
    if hadamard_name(bits) == "Sylvester":
        assert (literal[:, 0] == 1).all()
        assert centers[:, 0].sum().abs() <= 1
    # The squared bit means of orthogonal rows always average 1 / C; near that no bit stands out.
    assert center_report(centers).bit_balance <= 2 / n_classes**0.5
    assert center_report(centers).bit_balance < center_report(literal).bit_balance
    assert "Hadamard" in center_report(centers).construction


def test_hadamard_kind_is_the_literal_rows():
    rows = torch.from_numpy(hadamard(16)).float()
    assert torch.equal(hash_centers(10, 16, "hadamard"), rows[:10])
    assert torch.equal(hash_centers(30, 16, "hadamard"), torch.cat([rows, -rows])[:30])
    assert torch.equal(hash_centers(30, 16, "published"), hash_centers(30, 16, "hadamard"))


def test_antipodal_words_for_two_classes():
    centers = hash_centers(2, 16)
    assert torch.equal(centers[0], -centers[1])


@pytest.mark.parametrize(("n_classes", "bits"), [(20, 16), (100, 16), (200, 16), (200, 20), (555, 32), (200, 64)])
def test_codewords_are_chosen_balanced(n_classes, bits):
    assert center_report(hash_centers(n_classes, bits, "coding")).bit_balance <= 0.02


@pytest.mark.parametrize(
    ("n_classes", "bits", "lowest", "highest"), [(100, 16, 0, 2), (200, 16, 0, 2), (555, 32, 2, 6)]
)
def test_published_fails_as_measured_where_no_draw_passes(n_classes, bits, lowest, highest):
    distances = []
    for seed in range(3):
        centers = hash_centers(n_classes, bits, "published", seed)
        assert (centers[2 * bits :].sum(dim=1) == 0).all()  # random rows, each half +1 and half -1
        distances.append(center_report(centers).min_distance)
    assert lowest <= min(distances) <= max(distances) <= highest
    assert "no draw passed" in center_report(centers).construction
    assert center_report(hash_centers(n_classes, bits)).min_distance > max(distances)


def test_published_keeps_the_first_draw_that_passes():
    report = center_report(hash_centers(200, 64, "published"))
    assert report.min_distance == 18  # the first even number above 64 / 4
    assert report.mean_distance >= 32
    assert ", draw " in report.construction


def test_bernoulli_bits_are_fair_coins():
    centers = hash_centers(500, 64, "bernoulli")
    assert abs(centers.mean().item()) < 4 / (500 * 64) ** 0.5
    assert abs(counted_distances(centers).mean().item() - 32) < 0.1


# Reports and bounds


def test_report_worked_by_hand():
    report = center_report(torch.tensor([[1.0, 1, 1, 1], [1, 1, -1, -1], [1, -1, -1, 1]]))
    assert (report.n_classes, report.bits) == (3, 4)
    assert report.min_distance == 2
    assert report.mean_distance == 2.0
    assert report.bit_balance == 1.0  # the first bit never changes
    assert report.upper_bound == 2
    assert report.construction == "unknown"


def test_report_counts_every_pair_even_across_blocks():
    centers = hash_centers(1300, 24, "bernoulli")
    distances = counted_distances(centers)
    report = center_report(centers)
    assert report.min_distance == distances.min()
    assert report.mean_distance == pytest.approx(distances.double().mean().item())
    twice = torch.cat([hash_centers(600, 24, "coding"), hash_centers(600, 24, "coding")[:1]])
    assert center_report(twice).min_distance == 0


def test_report_of_one_center():
    report = center_report(hash_centers(1, 8))
    assert (report.min_distance, report.mean_distance, report.upper_bound) == (8, 8.0, 8)


def test_report_reads_zeros_and_ones_too():
    centers = hash_centers(20, 16)
    assert center_report((centers > 0).int(), "x") == center_report(centers, "x")


def test_construction_is_known_for_what_hash_centers_made():
    centers = hash_centers(20, 16)
    assert center_report(centers).construction == build_centers(20, 16).construction
    assert center_report(centers.clone()).construction == "unknown"
    assert center_report(centers.clone(), construction="mine").construction == "mine"


def largest_code(bits, distance):
    """A(n, d) by exhaustive search over codes that contain the zero word."""
    words = [w for w in range(1, 2**bits) if w.bit_count() >= distance]

    def extend(size, allowed):
        return max(
            [size, *(extend(size + 1, [v for v in allowed[i + 1 :] if (v ^ w).bit_count() >= distance])
                     for i, w in enumerate(allowed))]
        )  # fmt: skip

    return extend(1, words)


# At distance 1 the search over all sets of words takes too long from four bits on.
@pytest.mark.parametrize(("bits", "distance"), [(n, d) for n in range(1, 6) for d in range(1 + (n > 3), n + 1)])
def test_upper_bound_holds_against_exhaustive_search(bits, distance):
    assert distance_upper_bound(largest_code(bits, distance), bits) >= distance


@pytest.mark.parametrize(
    ("n_classes", "bits", "distance"),
    # Sizes of optimal codes from the tables of A(n, d), where the bounds here are met or missed.
    [(2, 16, 16), (4, 6, 4), (16, 7, 3), (32, 16, 8), (33, 16, 7), (16, 8, 4), (4096, 24, 8), (2, 1, 1), (24, 12, 6)],
)
def test_upper_bound_values(n_classes, bits, distance):
    assert distance_upper_bound(n_classes, bits) == distance


def test_upper_bound_falls_with_classes_and_rises_with_bits():
    table = [[distance_upper_bound(c, k) for c in (2, 3, 5, 9, 20, 60, 300, 4000)] for k in range(12, 70)]
    assert all(row == sorted(row, reverse=True) for row in table)
    assert all(list(column) == sorted(column) for column in zip(*table, strict=True))


# Multi-label centers


def test_multilabel_center_is_the_majority_of_its_classes():
    centers = torch.tensor([[1.0, 1, 1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])
    labels = torch.tensor([[1, 1, 1], [0, 1, 0], [1, 0, 0]])
    assert multilabel_centers(labels, centers).tolist() == [[1, -1, 1, -1], [1, -1, 1, -1], [1, 1, 1, -1]]


def test_multilabel_ties_are_random_by_seed_and_the_rest_is_not():
    centers = hash_centers(20, 64)
    labels = torch.zeros(2, 20)
    labels[:, :2] = 1
    tied = centers[0] != centers[1]
    drawn = [multilabel_centers(labels, centers, seed) for seed in range(8)]
    for codes in drawn:
        assert (codes.abs() == 1).all()
        assert torch.equal(codes[0], codes[1])  # images with the same labels share their center
        assert torch.equal(codes[0, ~tied], centers[0, ~tied])
    assert torch.equal(drawn[0], multilabel_centers(labels, centers, 0))
    mean = torch.stack([codes[0, tied] for codes in drawn]).mean()
    assert mean.abs() < 4 / (8 * 32) ** 0.5


def test_multilabel_center_does_not_depend_on_the_batch():
    centers = hash_centers(12, 24)
    labels = torch.rand(30, 12, generator=torch.Generator().manual_seed(0)) < 0.4
    labels[:, 0] |= ~labels.any(dim=1)
    together = multilabel_centers(labels, centers, seed=5)
    alone = torch.cat([multilabel_centers(row[None], centers, seed=5) for row in labels])
    assert torch.equal(together, alone)
    for codes, row in zip(together, labels, strict=True):
        total = centers[row].sum(dim=0)
        assert torch.equal(codes[total != 0], total[total != 0].sign())


def test_one_label_gives_the_class_center():
    centers = hash_centers(9, 12)
    assert torch.equal(multilabel_centers(torch.eye(9, dtype=torch.bool), centers), centers)


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((20, 16, "nearest"), "unknown kind of centers 'nearest'; choose from"),
        ((0, 16), "0 classes at 16 bits"),
        ((5, 0), "5 classes at 0 bits"),
        ((17, 4), "too many classes: 17 for 4 bits.*use at least 5 bits"),
        ((5, 2, "bernoulli"), "too many classes: 5 for 2 bits.*use at least 3 bits"),
        ((33, 16, "hadamard"), "33 classes at 16 bits.*only 32 centers: choose kind='best', 'coding', 'published'"),
        ((5, 10, "hadamard"), "no Hadamard matrix of order 10.*choose kind='best', 'coding' or 'bernoulli'"),
        ((5, 92, "hadamard"), "no Hadamard matrix of order 92"),
        *(((20, bits, "published"), f"'published' at {bits} bits.*power of two") for bits in (12, 24, 48)),
    ],
)
def test_errors_of_hash_centers(arguments, message):
    with pytest.raises(ValueError, match=message):
        hash_centers(*arguments)


def test_errors_of_multilabel_centers():
    centers = hash_centers(3, 8)
    with pytest.raises(ValueError, match="image in row 1 has no label"):
        multilabel_centers(torch.tensor([[1, 0, 0], [0, 0, 0]]), centers)
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        multilabel_centers(torch.tensor([[0.5, 0.5, 0]]), centers)
    with pytest.raises(ValueError, match=r"labels \(2, 4\) and centers \(3, 8\)"):
        multilabel_centers(torch.ones(2, 4), centers)


def test_errors_of_center_report():
    with pytest.raises(ValueError, match="no centers"):
        center_report(torch.ones(0, 8))
    with pytest.raises(ValueError, match="half a bit"):
        center_report(torch.tensor([[1.0, -1.0, 0.0]]))


def test_small_optimal_sets_by_brute_force():
    """At four bits every set of C words is tried: `best` finds the largest possible distance."""
    words = torch.tensor(list(product([-1.0, 1.0], repeat=4)))
    distance = hamming_distance(words, words)
    for n_classes in (2, 3, 4):
        possible = max(
            min(int(distance[a, b]) for a, b in combinations(chosen, 2))
            for chosen in combinations(range(16), n_classes)
        )
        assert center_report(hash_centers(n_classes, 4)).min_distance == possible
