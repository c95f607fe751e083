"""DOH: the pair loss by a loop, beta's schedule, codes of symbols, the sign head, trainings that reload and resume."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_training import IMAGES, LABELS, MULTI, alike, made, step, trained

from cscelab.codes import hamming_distance
from cscelab.datasets import load_data
from cscelab.datasets.loader import encoding_loader
from cscelab.dsf import sign
from cscelab.experiment import Experiment, Run, run
from cscelab.layout import CodeLayout
from cscelab.methods.doh import DOH, DOHConfig
from cscelab.ordinal import differing_symbols, grouped, one_hot_codes, read_one_hot
from cscelab.pairs import similarity
from cscelab.profiles import SINGLE
from cscelab.recipes import ARITY_SWEEP, DOH_RECIPES, DOH_ROWS, METHODS_BY_RECIPE, recipe

KINDS = pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
of_arities = pytest.mark.parametrize("arity", [2, 4, 8, 16])
VARIANTS = ("doh", *DOH_RECIPES)
BITS = 12  # a whole number of symbols of 2, 4, 8 and 16


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn_values(width: int, n: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, width, generator=seeded(seed))


def prepared(bits: int = BITS, beta: float = 1.5, **settings: object) -> DOH:
    method = made(DOHConfig(**{"balance": True} | settings), bits=bits)
    method.beta = beta
    return method


def relaxed_by_hand(values: list[float], beta: float) -> list[float]:
    powers = [math.exp(beta * value) for value in values]
    return [power / sum(powers) for power in powers]


def loss_by_loop(values: torch.Tensor, labels: torch.Tensor, arity: int, beta: float, balance: bool) -> float:
    """Over ordered pairs, symbol by symbol, in double precision."""
    n, n_groups = len(values), values.shape[1] // arity
    rows = [[row[r * arity : (r + 1) * arity] for r in range(n_groups)] for row in values.double().tolist()]
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    n_similar = sum(alike(labels, i, j) for i, j in pairs)
    total = 0.0
    for i, j in pairs:
        chosen = [group.index(max(group)) for group in rows[i]]
        agreed = sum(relaxed_by_hand(rows[j][r], beta)[chosen[r]] for r in range(n_groups)) / n_groups
        similar = alike(labels, i, j)
        weight = len(pairs) / (n_similar if similar else len(pairs) - n_similar) if balance else 1.0
        total += weight * (agreed - similar) ** 2
    return total / len(pairs)


class TestPairLoss:
    @KINDS
    @of_arities
    @pytest.mark.parametrize("balance", [True, False])
    def test_it_is_the_loop_over_pairs(self, labels, arity, balance):
        method = prepared(arity=arity, balance=balance)
        values = drawn_values(method.layout.width)
        expected = loss_by_loop(values, labels, arity, 1.5, balance)
        assert float(method.pair_loss(values, labels)) == pytest.approx(expected, rel=1e-5)

    def test_by_hand(self):
        """One group of two; softmax of (ln 3, 0) at beta 1 is (3/4, 1/4). Images 0 and 1 are alike, 2 is not."""
        method = prepared(bits=1, beta=1.0, arity=2)
        values = torch.tensor([[math.log(3), 0.0], [0.0, math.log(3)], [math.log(3), 0.0]])
        agreements = [[3 / 4, 1 / 4, 3 / 4], [1 / 4, 3 / 4, 1 / 4], [3 / 4, 1 / 4, 3 / 4]]
        assert method.agreements(values).tolist() == [pytest.approx(row) for row in agreements]
        labels = torch.tensor([0, 0, 1])
        similar, others = [(3 / 4) ** 2] * 2, [(3 / 4) ** 2, (1 / 4) ** 2] * 2
        assert float(method.pair_loss(values, labels)) == pytest.approx(sum(similar) / 2 + sum(others) / 4)
        plain = prepared(bits=1, beta=1.0, arity=2, balance=False)
        assert float(plain.pair_loss(values, labels)) == pytest.approx((sum(similar) + sum(others)) / 6)

    def test_rows_are_codes_and_columns_are_relaxed(self):
        method = prepared()
        values = drawn_values(method.layout.width)
        colder = values.clone()
        colder[2] *= 0.1  # the same symbols, less sure
        before, after = method.agreements(values), method.agreements(colder)
        changed = (before != after).any(dim=0)
        assert changed.tolist() == [False, False, True, False, False, False]

    @of_arities
    def test_an_images_gradient_comes_through_its_relaxed_side_alone(self, arity):
        """By autograd over a loop in which the chosen symbols are constants."""
        method = prepared(arity=arity)
        values = drawn_values(method.layout.width).requires_grad_()
        method.pair_loss(values, LABELS).backward()
        again = values.detach().double().requires_grad_()
        groups = grouped(again, arity)
        chosen = groups.detach().argmax(dim=2)
        n_groups = groups.shape[1]
        pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
        n_similar = sum(alike(LABELS, i, j) for i, j in pairs)
        for i, j in pairs:
            powers = (1.5 * groups[j]).exp()
            soft = powers / powers.sum(dim=1, keepdim=True)
            similar = float(alike(LABELS, i, j))
            gap = soft[range(n_groups), chosen[i]].mean() - similar
            (gap**2 / (n_similar if similar else len(pairs) - n_similar)).backward(retain_graph=True)
        torch.testing.assert_close(values.grad.double(), again.grad, atol=1e-7, rtol=1e-4)
        # What an image alone says is about its relaxed code: nothing in a group's mean, all in its differences.
        torch.testing.assert_close(grouped(values.grad, arity).sum(dim=2), torch.zeros(6, n_groups), atol=1e-7, rtol=0)

    def test_an_image_with_itself_is_left_out(self):
        method = prepared()
        values = drawn_values(method.layout.width, 2)
        apart, same = torch.tensor([0, 1]), torch.tensor([0, 0])
        found = method.agreements(values)
        between = torch.stack([found[0, 1], found[1, 0]])
        torch.testing.assert_close(method.pair_loss(values, apart), between.square().mean())
        torch.testing.assert_close(method.pair_loss(values, same), (between - 1).square().mean())
        assert float(method.pair_loss(values[:1], apart[:1])) == 0

    @KINDS
    @of_arities
    def test_codes_that_follow_the_labels_lose_less(self, labels, arity):
        """Nothing where agreement is s_ij, less than random codes where it cannot be: images that share a label."""
        method = prepared(arity=arity, beta=50.0)
        n_groups, width = method.layout.n_symbols, method.layout.width
        if labels.ndim == 1:
            kept = torch.tensor([0, 1, 5]) if arity == 2 else torch.tensor([0, 1, 2, 3, 5])  # two classes, or four
            own, labels = labels[kept], labels[kept]
        else:
            own, labels = torch.tensor([0, 0, 1, 1]), torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]])
        good = one_hot_codes(own[:, None].expand(-1, n_groups), arity).float()
        assert float(method.pair_loss(good, labels)) < 1e-6
        losses = [float(method.pair_loss(drawn_values(width, len(own), seed), labels)) for seed in range(5)]
        assert min(losses) > 0.05
        assert float(method.pair_loss(good.flip(0).roll(1, 0), labels)) > 0.05  # the same codes at other images

    def test_descending_it_brings_symbols_of_a_class_together(self):
        method, labels = prepared(arity=4, bits=16), torch.arange(4).repeat(5)
        values = drawn_values(method.layout.width, 20).requires_grad_()
        optimiser = torch.optim.Adam([values], lr=0.1)
        found = []
        for _ in range(60):
            optimiser.zero_grad()
            loss = method.pair_loss(values, labels)
            loss.backward()
            optimiser.step()
            found.append(float(loss.detach()))
        assert found[-1] < found[0] / 4
        symbols = read_one_hot(method.binarised(values.detach()), 4)
        distances, similar = differing_symbols(symbols, symbols).float(), similarity(labels) > 0
        assert distances[similar].mean() + 3 < distances[~similar].mean()

    def test_autocast_does_not_round_it(self):
        for settings in ({}, {"head": "sign"}):
            method = prepared(**settings)
            values = drawn_values(method.layout.width)
            expected = method.pair_loss(values, LABELS)
            with torch.autocast("cpu", torch.bfloat16):
                assert torch.equal(method.pair_loss(values, LABELS), expected)
                halved = method.pair_loss(values.bfloat16(), LABELS)
            assert halved.dtype == torch.float32
            torch.testing.assert_close(halved, method.pair_loss(values.bfloat16().float(), LABELS))


class TestTerms:
    @KINDS
    def test_they_are_the_pairs_and_each_views_classes(self, labels):
        method = made(DOHConfig(pair_weight=3.0, class_weight=0.5), labels=labels)
        output = method(IMAGES)
        terms = method.losses(output, labels)
        torch.testing.assert_close(terms["pairs"], 3 * method.pair_loss(output.values, labels))
        scores = {
            "local_classes": output.seen.local.place_scores.mean(dim=(2, 3)),
            "global_classes": output.seen.whole_scores,
        }
        assert set(terms) == {"pairs", *scores}
        for name, logits in scores.items():
            if labels.ndim == 1:
                chosen = logits.softmax(dim=1)[range(6), labels]
                expected = -chosen.log().mean()
            else:
                shares = torch.where(labels > 0, logits.sigmoid(), 1 - logits.sigmoid())
                expected = -shares.log().sum(dim=1).mean()  # over classes a sum, as a cross-entropy is
            torch.testing.assert_close(terms[name], 0.5 * expected, atol=1e-5, rtol=1e-5)

    @torch.no_grad()
    @pytest.mark.parametrize(
        ("settings", "names"),
        [
            ({"attention_scale": 1000.0}, {"value_size", "certainty", "attended_places"}),
            ({"attention_scale": 1000.0, "head": "sign"}, {"value_size", "attended_places"}),
            ({"views": "global"}, {"value_size", "certainty"}),
            ({"attention": "none"}, {"value_size", "certainty", "attended_places"}),
        ],
    )
    def test_diagnostics_are_of_what_there_is(self, settings, names):
        method = made(DOHConfig(**settings)).eval()
        method.beta = 3.0
        numbers, output = method.diagnostics(IMAGES), method(IMAGES)
        assert set(numbers) == names
        assert numbers["value_size"] == pytest.approx(float(output.values.abs().mean()))
        if "certainty" in names:
            groups = grouped(output.values, 4).flatten(0, 1).tolist()
            expected = sum(max(relaxed_by_hand(group, 3.0)) for group in groups) / len(groups)
            assert numbers["certainty"] == pytest.approx(expected, rel=1e-5)
        if "attended_places" in names:
            maps = output.seen.local.attention.flatten(1).double().tolist()
            expected = sum(math.exp(-sum(a * math.log(a) for a in image)) for image in maps) / len(maps)
            assert numbers["attended_places"] == pytest.approx(expected, rel=1e-5)
            assert (numbers["attended_places"] > 48) == ("attention" in settings)  # of 7 x 7

    @pytest.mark.parametrize(
        ("views", "names"), [("local", {"pairs", "local_classes"}), ("global", {"pairs", "global_classes"})]
    )
    def test_a_view_that_is_left_out_has_no_term(self, views, names):
        assert set(step(made(DOHConfig(views=views)))[1]) == names

    def test_weights_of_nothing(self):
        terms = step(made(DOHConfig(pair_weight=0.0)))[1]
        assert terms["pairs"] == 0 < terms["local_classes"]
        terms = step(made(DOHConfig(class_weight=0.0)))[1]
        assert terms["local_classes"] == terms["global_classes"] == 0 < terms["pairs"]


class TestBeta:
    def test_it_rises_from_the_first_epoch_to_the_last(self):
        method = made(DOHConfig(beta_start=2.0, beta_end=8.0))
        found = []
        for epoch in range(4):
            method.start_epoch(epoch, 4)
            found.append(method.beta)
        assert found == pytest.approx([2, 4, 6, 8])

    def test_a_training_of_one_epoch_keeps_the_first(self):
        method = made(DOHConfig(beta_start=2.0, beta_end=8.0))
        method.start_epoch(0, 1)
        assert method.beta == 2

    def test_it_is_what_the_loss_relaxes_by(self):
        method = prepared(beta_start=0.5, beta_end=20.0)
        values = drawn_values(method.layout.width)
        for epoch, beta in ((0, 0.5), (2, 20.0)):
            method.start_epoch(epoch, 3)
            expected = loss_by_loop(values, LABELS, 4, beta, balance=True)
            assert float(method.pair_loss(values, LABELS)) == pytest.approx(expected, rel=1e-4)

    @torch.no_grad()
    def test_codes_do_not_depend_on_it(self):
        method = made(DOHConfig()).eval()
        before = method(IMAGES)
        method.start_epoch(3, 4)
        after = method(IMAGES)
        assert torch.equal(before.codes, after.codes)
        assert torch.equal(before.values, after.values)


class TestCodes:
    @torch.no_grad()
    @of_arities
    def test_they_are_one_hot_at_the_largest_value_and_values_are_centred(self, arity):
        method = made(DOHConfig(arity=arity), bits=24)
        for mode in (True, False):
            output = method.train(mode)(IMAGES)
            n_groups = 24 // (arity.bit_length() - 1)
            assert output.values.shape == output.codes.shape == (6, n_groups * arity)
            groups = grouped(output.values, arity)
            torch.testing.assert_close(groups.sum(dim=2), torch.zeros(6, n_groups), atol=1e-5, rtol=0)
            assert torch.equal(read_one_hot(output.codes, arity), groups.argmax(dim=2))
            assert output.codes.dtype == output.values.dtype

    @torch.no_grad()
    def test_values_are_the_layers_less_their_groups_mean(self):
        method = made(DOHConfig(), bits=8).eval()
        output = method(IMAGES)
        layer = method.network.hash_layer
        plain = (output.features @ layer.weight.T + layer.bias).view(6, 4, 4)
        torch.testing.assert_close(output.values.view(6, 4, 4), plain - plain.mean(dim=2, keepdim=True))
        assert float(plain.mean(dim=2).abs().max()) > 1e-3

    @torch.no_grad()
    def test_outputs_name_the_views_they_come_from(self):
        output = made(DOHConfig()).eval()(IMAGES)
        assert output.threshold is output.parts is None
        torch.testing.assert_close(output.features, made(DOHConfig()).eval().network.norm(output.seen.joined()))
        torch.testing.assert_close(output.seen.local.attention.sum(dim=(1, 2)), torch.ones(6))

    def test_layouts_by_head(self):
        assert DOHConfig(arity=8).layout(24) == CodeLayout(24, 8)
        assert DOHConfig(arity=8, head="sign").layout(32) == CodeLayout(32)
        assert made(DOHConfig(), bits=32).layout == CodeLayout(32, 4)
        with pytest.raises(ValueError, match="32 bits are no whole number of symbols of 3 bits"):
            made(DOHConfig(arity=8), bits=32)
        with pytest.raises(ValueError, match="32 bits are no whole number of symbols of 3 bits"):
            Experiment("odd", method=DOHConfig(arity=8), bits=32)


class TestSignHead:
    @torch.no_grad()
    def test_it_gives_as_many_values_as_bits_and_their_signs(self):
        output = made(DOHConfig(head="sign"), bits=24).eval()(IMAGES)
        assert output.values.shape == (6, 24)
        assert torch.equal(output.codes, sign(output.values))

    @KINDS
    @pytest.mark.parametrize("balance", [True, False])
    @pytest.mark.parametrize("beta", [0.5, 3.0])
    def test_its_loss_is_that_of_pairs_of_a_value_and_its_negative(self, labels, balance, beta):
        pairs, signs = (
            prepared(bits=10, beta=beta, balance=balance, **head) for head in ({"arity": 2}, {"head": "sign"})
        )
        values = drawn_values(10)
        found, gradients = [], []
        for method in (pairs, signs):
            own = values.clone().requires_grad_()
            given = torch.stack([own, -own], dim=2).flatten(1) if method is pairs else own
            loss = method.pair_loss(given, labels)
            loss.backward()
            found.append(loss.detach())
            gradients.append(own.grad)
        torch.testing.assert_close(*found, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)
        assert gradients[0].abs().max() > 1e-3

    @torch.no_grad()
    def test_two_values_a_group_are_signs_of_their_difference(self):
        """The whole method, bit for bit: distances of its codes are twice those of the signs."""
        output = made(DOHConfig(arity=2), bits=24).eval()(IMAGES)
        groups = grouped(output.values, 2)
        signs = sign(groups[..., 0] - groups[..., 1])
        assert torch.equal(read_one_hot(output.codes, 2), (1 - signs.long()) // 2)
        assert torch.equal(hamming_distance(output.codes, output.codes), 2 * hamming_distance(signs, signs))


class TestLabels:
    @torch.no_grad()
    def test_training_tells_the_attention_what_labels_are(self):
        single, several = made(DOHConfig()), made(DOHConfig(), labels=MULTI)
        assert not single.network.local_view.multilabel
        assert several.network.local_view.multilabel
        maps = [method.eval()(IMAGES).seen.local.attention for method in (single, several)]
        assert not torch.allclose(*maps)
        several.start_training(type("Train", (), {"labels": LABELS.numpy()})(), seeded())  # anew, on other data
        assert not several.network.local_view.multilabel

    def test_without_a_local_view_there_is_nothing_to_tell(self):
        method = made(DOHConfig(views="global"), labels=MULTI)
        assert not any("multilabel" in name for name in method.state_dict())


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(tmp_path, monkeypatch):
    betas = []
    monkeypatch.setattr(DOH, "pair_loss", noted(DOH.pair_loss, betas))
    config = DOHConfig()
    whole, history = trained(config, tmp_path / "whole")
    in_one_go, betas[:] = betas[:], []
    trained(config, tmp_path / "halves", stop_after=1)
    n_stopped = len(betas)
    resumed, resumed_history = trained(config, tmp_path / "halves")
    assert in_one_go == [config.beta_start] * 3 + [config.beta_end] * 3
    assert set(betas[n_stopped:]) == {config.beta_end}
    assert whole.state_dict().keys() == resumed.state_dict().keys()
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    learned = ("loss_pairs", "loss_local_classes", "loss_global_classes", "validation_map")
    assert [[row[key] for key in learned] for row in history] == [
        [row[key] for key in learned] for row in resumed_history
    ]


def noted(pair_loss, betas):
    def wrapped(self, values, labels):
        betas.append(self.beta)
        return pair_loss(self, values, labels)

    return wrapped


def test_a_training_in_mixed_precision_is_finite_and_keeps_whole_codes(tmp_path):
    method, history = trained(DOHConfig(), tmp_path, precision="bf16-mixed")
    assert all(math.isfinite(number) for row in history for number in row.values())
    codes = method.eval()(IMAGES).codes
    assert read_one_hot(codes, 4).shape == (6, 4)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def reloaded_codes(done: Run, root) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and codes of a stored run's queries by its stored weights."""
    again = Run(Experiment.from_dict(json.loads((done.folder / "experiment.json").read_text())), done.folder)
    method, query = again.model(), load_data(again.experiment.data, root, progress=False).query
    with torch.inference_mode():
        outputs = [method(batch.images) for batch in encoding_loader(query, 128)]
    return tuple(torch.cat([getattr(output, name) for output in outputs]) for name in ("values", "codes"))


def smallest(name: str, on: str = SINGLE) -> Experiment:
    """A smoke run of two steps."""
    whole = recipe(name, "smoke", bits=BITS, on=on)
    data = replace(whole.data, train=16, validation=8, query=8, database=16)
    return replace(whole, data=data, training=replace(whole.training, batch_size=8))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_is_measured_and_reloads_to_its_codes(name, root):
    done = run(smallest(name), root=root, progress=False)
    for key in ("map", "continuous_map"):
        assert 0 < done.metrics[key] <= 1
    assert all(math.isfinite(number) for row in done.history for number in row.values())
    values, codes = reloaded_codes(done, root)
    layout = done.experiment.layout
    for side in ("query", "database"):
        assert done.codes[f"{side}_codes"].shape[1] == done.codes[f"{side}_values"].shape[1] == layout.width
        if layout.arity:
            assert read_one_hot(done.codes[f"{side}_codes"], layout.arity).shape[1] == layout.n_symbols
    np.testing.assert_array_equal(codes.numpy(), done.codes["query_codes"])
    np.testing.assert_allclose(values.numpy(), done.codes["query_values"], atol=2e-3, rtol=2e-3)  # stored in halves


def test_a_run_on_several_labels_reloads_to_its_codes(root):
    done = run(smallest("doh", "scenes"), root=root, progress=False)
    assert done.codes["query_labels"].ndim == 2
    assert done.model().network.local_view.multilabel
    np.testing.assert_array_equal(reloaded_codes(done, root)[1].numpy(), done.codes["query_codes"])


class TestRecipes:
    def test_variants_differ_from_doh_in_what_they_say(self):
        whole = METHODS_BY_RECIPE["doh"]
        assert whole == DOHConfig()
        changes = {
            "doh/global": {"views": "global"},
            "doh/local": {"views": "local"},
            "doh/local-no-attention": {"views": "local", "attention": "none"},
            "doh/no-attention": {"attention": "none"},
            "doh/sign": {"head": "sign"},
            "doh/balanced": {"balance": True, "pair_weight": 4.0},
            "doh/2-ary": {"arity": 2},
            "doh/8-ary": {"arity": 8},
            "doh/16-ary": {"arity": 16},
        }
        assert {name: replace(whole, **change) for name, change in changes.items()} == DOH_RECIPES
        assert {METHODS_BY_RECIPE[name].arity: name for name in ARITY_SWEEP.values()} == ARITY_SWEEP
        assert list(ARITY_SWEEP) == [2, 4, 8, 16]

    def test_the_rows_are_all_variants_but_other_group_sizes(self):
        assert set(DOH_ROWS.values()) == set(VARIANTS) - {"doh/2-ary", "doh/8-ary", "doh/16-ary"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": "tanh"}, r"unknown head 'tanh'; choose from \('ordinal', 'sign'\)"),
        ({"beta_start": 0.0}, "beta_start is 0.0; give more than 0"),
        ({"beta_end": -1.0}, "beta_end is -1.0; give more than 0"),
        ({"pair_weight": -1.0}, r"pair_weight is -1.0; give 0 \(no such term\) or more"),
        ({"class_weight": -0.1}, r"class_weight is -0.1; give 0 \(no such term\) or more"),
        ({"arity": 3}, "groups of 3 values were asked for; give a power of two"),
        ({"arity": 1}, "groups of 1 values were asked for; give a power of two"),
        ({"views": "all"}, "unknown views 'all'; choose from"),
        ({"attention": "channel"}, "unknown attention 'channel'; choose from"),
        ({"attention_scale": 0.0}, "attention_scale is 0.0; give more than 0"),
        ({"feature_norm": "layer"}, "unknown feature_norm 'layer'; choose from"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DOHConfig(**settings)  # at once, before any data are drawn
