"""The cost of training: steps of all methods in turn on the same batches, ratios within a round, what comes before."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fake_runs import make_splits, texts, unwrapped

from cscelab import cost
from cscelab.cost import Costs, measure_costs
from cscelab.figures import costs
from cscelab.figures.provenance import SMOKE_MARK
from cscelab.recipes import recipe
from cscelab.steps import LightningHash

ROUNDS, STEPS, WARM_UP = 2, 3, 1


@pytest.fixture
def named(monkeypatch):
    """Three methods on 40 noise images in batches of 16: two steps an epoch."""
    splits = make_splits()
    images = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    splits = replace(splits, train=replace(splits.train, images=images, masks=None))
    monkeypatch.setattr(cost, "load_data", lambda *_: splits)
    monkeypatch.setattr(
        "cscelab.cost.fresh_method", lambda one, n: replace(one.method, image_size=64).build(n, one.bits)
    )

    def experiment(name):
        one = recipe(name, "smoke")
        return replace(one, training=replace(one.training, batch_size=16))

    return {title: experiment(name) for title, name in (("CSQ", "csq"), ("CNNH", "cnnh"), ("LSH", "lsh"))}


def test_methods_take_their_steps_in_turn_on_the_same_batches(named, monkeypatch):
    heard = []
    step = LightningHash.training_step

    def listening(self, batch, index):
        heard.append((self.method.config.name, tuple(batch.ids.tolist())))
        return step(self, batch, index)

    monkeypatch.setattr(LightningHash, "training_step", listening)
    found = measure_costs(named, ROUNDS, STEPS, WARM_UP, progress=False)
    order = [name for name, _ in heard]
    assert order == (["csq"] * STEPS + ["cnnh"] * STEPS) * (WARM_UP + ROUNDS)
    seen = {name: [ids for one, ids in heard if one == name] for name in ("csq", "cnnh")}
    assert seen["csq"] == seen["cnnh"]
    assert len(set(seen["csq"])) == found.epoch == 2  # of 40 images, whole batches of 16, epoch after epoch
    assert {name: len(seconds) for name, seconds in found.steps.items()} == {"CSQ": ROUNDS, "CNNH": ROUNDS}
    assert all((seconds > 0).all() for seconds in found.steps.values())
    assert list(found.before) == list(named)
    assert found.before["LSH"] > 0


def test_a_step_changes_the_weights_as_training_does(named):
    trainee = cost.Trainee(named["CSQ"], cost.load_data(), cost.torch.device("cpu"))
    before = {name: value.clone() for name, value in trainee.method.named_parameters()}
    batch = next(iter(cost.training_loader(cost.load_data().train, 16, 0)))
    trainee.learn([batch])
    assert all(not value.equal(before[name]) for name, value in trainee.method.named_parameters())


def test_a_round_is_the_mean_of_its_steps_and_a_warm_up_does_not_count(named, monkeypatch):
    clock = iter(np.cumsum(range(100)).tolist())  # every span between two looks at the clock is one longer
    monkeypatch.setattr(cost, "seconds", lambda device: float(next(clock)))
    found = measure_costs(named, ROUNDS, STEPS, WARM_UP, progress=False)
    # Looks 0 to 5 are of the three starts (spans 1, 3, 5), 6 to 9 of the warm-up (7, 9), then two spans a round.
    assert found.before == {"CSQ": 1, "CNNH": 3, "LSH": 5}
    assert found.steps["CSQ"] == pytest.approx([11 / STEPS, 15 / STEPS])
    assert found.ratios("CSQ")["CNNH"] == pytest.approx([13 / 11, 17 / 15])


def test_experiments_that_cannot_share_batches_are_refused(named):
    other = replace(named["CNNH"], training=replace(named["CNNH"].training, batch_size=8))
    with pytest.raises(ValueError, match="2 settings of data, batch, threads and seed; give experiments that share"):
        measure_costs({**named, "CNNH": other}, 1, 1)
    with pytest.raises(ValueError, match="0 rounds of 2 steps were asked for; give at least 1 of each"):
        measure_costs(named, 0, 2)


# Two loads of the machine: the second half of the rounds at half its speed.
LOADED = Costs(
    {
        "CSQ": np.array([1.0, 1.0, 2.0, 2.0]),
        "DHN": np.array([1.1, 1.2, 2.6, 2.8]),
        "DSH": np.array([0.9, 0.8, 1.6, 1.8]),
    },
    {"CSQ": 0.1, "DHN": 6.0, "DSH": 0.0, "LSH": 3.0},
    "CPU",
    94,
)


def test_ratios_are_within_a_round_so_that_a_slower_machine_moves_none():
    frame = costs.cost_table(LOADED)
    assert list(frame.index) == ["LSH", "DSH", "CSQ", "DHN"]  # fitted once, then by cost
    ratios = [1.1, 1.2, 1.3, 1.4]
    row = frame.loc["DHN"]
    assert [row[name] for name in (costs.RATIO, costs.LOW, costs.HIGH)] == pytest.approx(
        [np.median(ratios), np.quantile(ratios, 0.25), np.quantile(ratios, 0.75)]
    )
    assert row[costs.STEP] == pytest.approx(1.9)
    assert frame[costs.BEFORE_STEPS].to_dict() == pytest.approx({"LSH": 2, "DSH": 0, "CSQ": 0.1 / 1.5, "DHN": 4})
    assert frame.loc["LSH", [costs.RATIO, costs.STEP]].isna().all()
    assert "remark" not in frame
    with pytest.raises(ValueError, match="no steps of 'LSH' to compare the cost with; choose from"):
        costs.cost_table(LOADED, "LSH")


def test_cost_is_drawn_with_its_spread_and_what_comes_before_apart():
    frame = costs.cost_table(LOADED)
    figure = costs.cost_figure(frame, "quick profile; 32 bits")
    step, before = figure.axes
    assert [label.get_text() for label in step.get_yticklabels()] == list(frame.index)
    bars, spread = step.containers[1], step.containers[0]
    assert [bar.get_width() for bar in bars][1:] == pytest.approx(frame[costs.RATIO].tolist()[1:])
    ends = spread.lines[2][0].get_segments()[-1][:, 0]
    assert ends == pytest.approx(frame.loc["DHN", [costs.LOW, costs.HIGH]].tolist())
    assert [bar.get_width() for bar in before.containers[0]] == pytest.approx(frame[costs.BEFORE_STEPS].tolist())
    words = [text.get_text() for text in step.texts]
    assert words == ["fitted once, no steps", "0.85 × (1.25 s)", "1.00 × (1.50 s)", "1.25 × (1.90 s)"]
    assert [text.get_text() for text in before.texts] == ["2 (3.0 s)", "", "", "4 (6.0 s)"]
    assert "(an epoch has 94)" in before.get_xlabel()
    assert "4 rounds; without validation, encoding and what is done between epochs." in figure.get_supxlabel()
    assert "DHN 1.25 × (1.90 s), before it 4 steps of CSQ" in figure.alt


def test_smoke_costs_are_marked():
    frame = costs.cost_table(LOADED, smoke=True)
    assert set(frame["remark"]) == {SMOKE_MARK}
    assert isinstance(frame, pd.DataFrame)
    assert SMOKE_MARK in [unwrapped(text) for text in texts(costs.cost_figure(frame))]
