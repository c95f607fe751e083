"""Methods: what learns and what does not, terms of the losses, variants, defaults, multi-label."""

import re
from dataclasses import asdict, fields

import numpy as np
import pytest
import torch
from small_training import IMAGES, LABELS, MULTI, made, step, trained

from cscelab.dsf import sign
from cscelab.layout import CodeLayout, bits_of_symbol
from cscelab.losses import cosines, margin_loss
from cscelab.methods import METHODS, HashOutput, MethodConfig
from cscelab.methods.csce import CSCEConfig
from cscelab.methods.csq import CSQConfig
from cscelab.recipes import METHODS_BY_RECIPE, RECIPES, recipe

LENGTHS = (12, 16, 24, 32, 48, 64)
SHALLOW = ("lsh", "itq")
# Defaults of the papers or their code, ours where a header says so: stored runs are found by them.
DEFAULTS = {
    "lsh": {},
    "itq": {"solver": "paper", "iterations": 50},
    "cibhash": {
        "temperature": 0.3, "bottleneck_weight": 0.001, "hidden": 1024, "smallest_crop": 1.0, "jitter": 0.0, "hue": 0.0,
        "jitter_probability": 0.7, "grey": 0.0, "blur": 0.0,
    },
    "cnnh": {"sweeps": 5, "class_weight": 0.0},
    "dnnh": {"slice_width": 50, "epsilon": 0.5, "gradient": "straight_through", "margin": 1.0, "anchors": 64},
    "dhn": {
        "inner_scale": 0.5, "quantization_weight": 0.1, "prior": "logcosh", "squash": True, "balanced": False,
        "feature_norm": "batch",
    },
    "dpsh": {"inner_scale": 0.5, "quantization_weight": 0.1, "count_unseen": False, "feature_norm": "batch"},
    "dsh": {"margin": 1.0, "quantization_weight": 0.64, "feature_norm": "batch"},  # ours: 2, 0.1 and "none" elsewhere
    "hashnet": {
        "inner_scale": None, "weighted": True, "overlap": False, "schedule": "released", "kappa_last": 51**0.5,
        "feature_norm": "batch",
    },
    "dch": {"gamma": 20.0, "quantization_weight": 0.1, "activation": "tanh"},
    "greedyhash": {"penalty_weight": 0.1, "multilabel": "softmax"},
    # All ours: a reconstruction from an abstract.
    "doh": {
        "arity": 4, "head": "ordinal", "views": "both", "attention": "spatial", "attention_scale": 1.0,
        "beta_start": 1.0, "beta_end": 10.0, "pair_weight": 10.0, "class_weight": 1.0, "balance": False,
        "feature_norm": "batch",
    },
    "csq": {"centers": "best", "quantization_weight": 1e-4},
    "orthohash": {"centers": "best", "scale": 8.0, "margin": 0.2},
    "transhash": {"groups": 4, "gamma": 20.0, "quantization_weight": 0.1, "width": 128, "layers": 1},
    "adsh": {"samples": 2000, "passes": 3, "start": "classes", "own_weight": 200.0, "feature_norm": "batch"},
    "exchnet": {
        "samples": 2000, "passes": 20, "start": "classes", "n_parts": 4, "exchange_from": 0.5,
        "exchange_probability": 0.5, "spatial_weight": 1.0, "channel_weight": 1.0, "channel_margin": 0.4,
        "pair_scale": 12.0, "attention": "narrowing", "refiner_start": "trunk", "feature_norm": "batch",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in METHODS if name != "csce"])  # whose variants have tests below
def test_defaults_are_those_of_the_papers_or_named_as_ours(name):
    config = METHODS[name]
    own = {field.name for field in fields(config)} - {field.name for field in fields(MethodConfig)}
    assert {field: asdict(config())[field] for field in own} == DEFAULTS[name]


@pytest.mark.parametrize("name", ["dhn", "doh", "dpsh", "dsh", "hashnet", "orthohash"])
def test_batches_of_one_image_are_refused_where_features_are_normalised(name, tmp_path):
    with pytest.raises(ValueError, match=r"normalises features over the batch, but a batch has 1 image; give a batch"):
        trained(METHODS[name](), tmp_path, batch_size=1)


def test_batches_of_one_image_do_elsewhere(tmp_path):
    assert len(trained(METHODS["csq"](), tmp_path, batch_size=1, epochs=1)[1]) == 1


@pytest.mark.parametrize("name", ["lsh", "csq"])
def test_only_a_method_without_a_parameter_that_learns_is_moved_before_it_starts(name, tmp_path, monkeypatch):
    happened = []
    kind = type(made(METHODS[name]()))
    start = kind.start_training

    def best_device():
        happened.append("moved")
        return torch.device("cpu")

    def start_training(self, train, generator):
        happened.append("started")
        start(self, train, generator)

    monkeypatch.setattr("cscelab.train.best_device", best_device)
    monkeypatch.setattr(kind, "start_training", start_training)
    _, history = trained(METHODS[name](), tmp_path, epochs=1)
    assert happened == (["moved", "started"] if name == "lsh" else ["started"])
    assert [row["epoch"] for row in history] == [0 if name == "lsh" else 1]
    assert not {"cpu_seconds", "preparation_cpu_seconds"} & set(history[0])


def threshold_gradient(**settings):
    # A cap of half puts many values of a fresh network inside the band.
    method = made(CSCEConfig(threshold_cap=0.5, **settings))
    step(method)
    return method.network.threshold_layer.weight.grad


def test_a_detached_threshold_gets_no_gradient_at_all():
    assert threshold_gradient(estimator="detached") is None
    assert threshold_gradient(estimator="detached", quantization_weight=10.0) is None


@pytest.mark.parametrize("estimator", ["soft", "straight_through"])
@pytest.mark.parametrize("weights", [{}, {"code_weight": 0.5, "balance_weight": 0.1}])
def test_a_threshold_learns_under_the_other_estimators(estimator, weights):
    gradient = threshold_gradient(estimator=estimator, **weights)
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_released_threshold_gets_no_gradient_and_may_be_negative():
    method = made(CSCEConfig(variant="released"))
    output, _ = step(method)
    assert method.network.threshold_layer.weight.grad is None
    assert output.threshold.abs().max() <= 0.01 + 1e-9


def test_paper_threshold_lies_between_zero_and_its_cap():
    output = made(CSCEConfig())(IMAGES)
    assert (output.threshold >= 0).all()
    assert (output.threshold <= 0.005).all()


@pytest.mark.parametrize("name", sorted(METHODS_BY_RECIPE))
@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
def test_every_recipe_has_finite_terms_and_gradients_where_it_should_learn(name, labels):
    method = made(METHODS_BY_RECIPE[name], bits=RECIPES[name].bits, labels=labels)
    learning = [key for key, parameter in method.named_parameters() if parameter.requires_grad]
    if name in SHALLOW:
        assert learning == []
        return
    assert learning
    assert method.trains_trunk == any("backbone" in key for key in learning)
    _, terms = step(method, labels)
    assert all(torch.isfinite(term) for term in terms.values())
    frozen = "threshold_layer" if getattr(method.config, "estimator", "") == "detached" else "nothing"
    without = [
        key
        for key, parameter in method.named_parameters()
        if key in learning and frozen not in key and (parameter.grad is None or not parameter.grad.abs().sum() > 0)
    ]
    assert without == []


@pytest.mark.parametrize("name", [*METHODS, "doh/8-ary", "doh/16-ary"])  # symbols of 3 bits, and of 4
@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
def test_every_method_serves_every_code_length_that_it_can_write(name, labels):
    config = METHODS_BY_RECIPE[name]
    for bits in LENGTHS:
        if bits % bits_of_symbol(config.code_arity):
            with pytest.raises(ValueError, match=f"{bits} bits are no whole number of symbols of"):
                made(config, bits=bits, labels=labels)
            continue
        method = made(config, bits=bits, labels=labels)
        if name not in SHALLOW:
            step(method, labels)
        output = method.eval()(IMAGES)
        assert method.layout == config.layout(bits)
        assert output.values.shape == output.codes.shape == (len(IMAGES), method.layout.width)
        assert set(output.codes.unique().tolist()) <= {-1.0, 1.0}


# Recipe -> k, and which of the code lengths above are whole numbers of symbols. Other ordinal recipes are as DOH.
ORDINAL = {
    "doh": (4, LENGTHS),
    "doh/2-ary": (2, LENGTHS),
    "doh/8-ary": (8, (12, 24, 48)),
    "doh/16-ary": (16, LENGTHS),
}


@pytest.mark.parametrize("name", sorted(METHODS_BY_RECIPE))
def test_codes_are_plain_bits_but_for_symbols_and_their_lengths_are_told_before_training(name):
    config = METHODS_BY_RECIPE[name]
    ordinal = name.startswith("doh") and name != "doh/sign"
    arity, lengths = ORDINAL.get(name, ORDINAL["doh"]) if ordinal else (None, LENGTHS)
    for bits in LENGTHS:
        if bits in lengths:
            assert config.layout(bits) == recipe(name, "smoke", bits).layout == CodeLayout(bits, arity)
        else:
            with pytest.raises(ValueError, match=rf"^{bits} bits are no whole number of symbols .* or another arity$"):
                recipe(name, "smoke", bits)
    assert RECIPES[name].bits == (18 if name == "doh/8-ary" else 16)


def test_the_papers_loss_is_cosface_plus_squared_distance_to_the_codes():
    method = made(CSCEConfig())
    output = method(IMAGES)
    terms = method.losses(output, LABELS)
    expected = margin_loss(cosines(output.values, method.centers), LABELS, scale=10.0, m3=0.15)
    torch.testing.assert_close(terms["metric"], expected)
    codes = method.binarise(output.values, output.threshold)
    torch.testing.assert_close(terms["quantization"], (output.values - codes).square().mean())
    assert set(terms) == {"metric", "quantization"}


def test_quantization_gradient_treats_the_code_as_a_constant():
    method = made(CSCEConfig(estimator="straight_through", threshold_cap=0.5))
    output = method(IMAGES)
    values = output.values.detach().requires_grad_()
    method.losses(output._replace(values=values), LABELS)["quantization"].backward()
    codes = method.binarise(values.detach(), output.threshold.detach())
    torch.testing.assert_close(values.grad, 2 * (values.detach() - codes) / values.numel())


def test_plain_sign_has_no_threshold_layer():
    method = made(METHODS_BY_RECIPE["table3/cf+qua"])
    assert method.network.threshold_layer is None
    output = method(IMAGES)
    assert output.threshold is None
    torch.testing.assert_close(output.codes, sign(output.values))


def test_sphereface_is_the_general_margin_with_m1():
    method = made(CSCEConfig(metric="sphereface", margin=1.35))
    output = method(IMAGES)
    expected = margin_loss(cosines(output.values, method.centers), LABELS, scale=10.0, m1=1.35, m3=0.0)
    torch.testing.assert_close(method.losses(output, LABELS)["metric"], expected)


def test_settings_left_open_are_the_variants_and_one_can_be_set_alone():
    released = CSCEConfig(variant="released").resolved()
    assert (released.metric, released.quantization, released.count, released.interval) == (
        "arcface", "cosine", "all", "open",
    )  # fmt: skip
    assert CSCEConfig(variant="released", metric="cosface").resolved().metric == "cosface"
    with pytest.raises(ValueError, match="unknown variant 'draft'"):
        CSCEConfig(variant="draft").resolved()


def test_elastic_margins_are_for_training_only():
    method = made(CSCEConfig(variant="released"))
    output = method(IMAGES)
    assert not torch.equal(method.losses(output, LABELS)["metric"], method.losses(output, LABELS)["metric"])
    method.eval()
    assert torch.equal(method.losses(output, LABELS)["metric"], method.losses(output, LABELS)["metric"])


def released(values, centers, threshold=None, **settings):
    """The released method over given values: what its network would have put out."""
    method = made(CSCEConfig(variant="released", elastic_std=0.0, **settings), len(centers), centers.shape[1])
    method.centers = centers
    rows = None if threshold is None else torch.full((len(values), 1), threshold)
    return method, HashOutput(values, sign(values), rows)


@pytest.mark.parametrize("metric", ["cosface", "arcface"])
@pytest.mark.parametrize("quantization", ["cosine", "l1", "l2"])
@pytest.mark.parametrize("threshold", [None, 0.01])
def test_the_released_variant_gives_the_released_codes_loss(shared_file, metric, quantization, threshold):
    stored = np.load(shared_file("reference/released-code-values.npz"))
    values, centers, labels = (torch.from_numpy(stored[name]) for name in ("values", "centers", "multi_labels"))
    method, output = released(values * 0.02, centers, threshold, metric=metric, quantization=quantization)
    terms = method.losses(output, labels)
    key = f"loss_multi_{metric[:3]}_"
    assert terms["metric"].item() == pytest.approx(float(stored[key + "margin_only"]), abs=1e-5)
    key += {"cosine": "cs"}.get(quantization, quantization) + ("_threshold" if threshold else "")
    assert sum(terms.values()).item() == pytest.approx(float(stored[key]), abs=1e-5)


def test_released_arcface_is_the_plain_cosine_past_pi():
    centers = sign(torch.randn(4, 16, generator=torch.Generator().manual_seed(1)))
    labels = torch.tensor([0, 1, 2, 3])
    opposite = -centers + 0.01  # an image opposite its center is judged too mildly
    method, output = released(opposite, centers)
    mild, strict = (
        margin_loss(cosines(opposite, centers), labels, m2=0.15, m3=0, monotone=choice) for choice in (False, True)
    )
    assert method.eval().losses(output, labels)["metric"] == mild < strict


def test_elastic_margins_come_from_the_generator_alone():
    method = made(CSCEConfig(variant="released"))
    output = method(IMAGES)
    first, again = (method.losses(output, LABELS, torch.Generator().manual_seed(5))["metric"] for _ in range(2))
    assert torch.equal(first, again)


def test_losses_on_codes_need_an_estimator_that_teaches():
    with pytest.raises(ValueError, match="teach nothing with sign 'plain'"):
        made(CSCEConfig(sign="plain", code_weight=1.0))


def test_csq_central_term_is_the_printed_cross_entropy():
    method = made(CSQConfig())
    output = method(IMAGES)
    probability = (output.values.tanh() + 1) / 2
    target = (method.centers[LABELS] + 1) / 2
    expected = -(target * probability.log() + (1 - target) * (1 - probability).log()).mean()
    torch.testing.assert_close(method.losses(output, LABELS)["central"], expected, atol=1e-5, rtol=1e-5)


def test_bad_settings_name_the_choices():
    with pytest.raises(ValueError, match="unknown metric 'triplet'; choose from"):
        made(CSCEConfig(metric="triplet"))
    with pytest.raises(ValueError, match="SphereFace multiplies the angle, but margin is 0.15"):
        made(CSCEConfig(metric="sphereface"))
    with pytest.raises(ValueError, match="make only 32 centers: choose kind"):
        made(CSCEConfig(centers="hadamard"), n_classes=40, bits=16)


def test_diagnostics_count_the_flipped_bits():
    method = made(CSCEConfig(threshold_cap=0.5)).eval()
    numbers = method.diagnostics(IMAGES)
    output = method(IMAGES)
    assert numbers["flipped"] == pytest.approx(float((output.codes != sign(output.values)).float().mean()))
    assert 0 < numbers["in_band"] <= 1
    assert numbers["context_over_local"] > 0


def test_methods_stand_as_tables_list_them():
    """Shallow, unsupervised, then by year."""
    assert list(METHODS) == [
        "lsh", "itq", "cibhash", "cnnh", "dnnh", "dhn", "dpsh", "dsh", "hashnet", "adsh", "dch", "greedyhash", "doh",
        "csq", "exchnet", "orthohash", "transhash", "csce",
    ]  # fmt: skip
    supervised = list(METHODS)[3:]
    years = [int(re.search(r"20\d\d", METHODS[name].paper)[0]) for name in supervised]
    assert years == sorted(years)


def test_method_names_are_their_keys():
    assert METHODS["csce"] is CSCEConfig
    assert METHODS["csq"] is CSQConfig
