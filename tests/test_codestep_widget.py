"""The code step by hand: its terms in numbers, as training takes it, and the widget that walks through it."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
import torch
from fake_runs import texts
from PIL import Image

from cscelab.asymmetric import code_step, label_pull, negative_weight
from cscelab.figures import code_lesson
from cscelab.figures.code_lesson import code_step_figure, small_problem
from cscelab.figures.code_problem import CLASSES, SmallProblem, bit_steps, number, objectives, spelled_out
from cscelab.figures.style import new_figure
from cscelab.widgets import CodeStepper, checked, outputs_in
from cscelab.widgets import codestep as code_widget
from cscelab.widgets.codestep import SEEDS


def by_hand():
    """Two images of two classes, two codes of two bits: every number can be worked out in the head."""
    values = torch.tensor([[0.5, -1.0], [1.0, 0.5]], dtype=torch.float64)
    wanted = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    codes = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    return SmallProblem(values, torch.tensor([0, 1]), torch.tensor([0, 1]), codes, wanted)


@pytest.fixture
def drawn(monkeypatch):
    """What was drawn, in order, without the cost of drawing."""
    drawn = []

    def draw(*chosen):
        drawn.append(chosen)
        return new_figure(1, 1)

    monkeypatch.setattr(code_widget, "code_step_figure", draw)
    return drawn


class TestProblem:
    def test_a_step_by_hand(self):
        """U^T U = [[1.25, 0], [0, 1.25]]; K S^T U = 2 [[-.5, -1.5], [.5, 1.5]]."""
        first, second = bit_steps(by_hand())
        assert first.pull.tolist() == [-1, 1]
        assert first.others.tolist() == [0, 0]
        assert first.after.tolist() == [[-1, 1], [1, -1]]
        assert second.pull.tolist() == [-3, 3]
        assert second.after.tolist() == [[-1, -1], [1, 1]]
        assert second.flipped.tolist() == [0, 1]
        # u1.v1, u1.v2; u2.v1, u2.v2 are -.5, .5; 1.5, -1.5, then -1.5, 1.5; -.5, .5, then .5, -.5; -1.5, 1.5: each
        # against 2, -2; -2, 2.
        wanted = [2 * 2.5**2 + 2 * 3.5**2, 2 * 3.5**2 + 2 * 1.5**2, 2 * 1.5**2 + 2 * 0.5**2]
        assert objectives(by_hand()) == pytest.approx(wanted)

    def test_shapes_targets_and_tenths(self):
        for seed in range(5):
            problem = small_problem(seed)
            assert (problem.values.shape, problem.codes.shape, problem.targets.shape) == ((4, 3), (6, 3), (4, 6))
            assert (problem.values * 10).frac().abs().max() < 1e-9
            same = problem.labels[:, None] == problem.database_labels[None, :]
            assert (problem.targets == torch.where(same, 1.0, -0.5)).all()  # 8 pairs of 24 share a class
            assert problem.values.abs().max() < 1
        assert (small_problem(1).values != small_problem(2).values).any()
        assert (small_problem(3).values == small_problem(3).values).all()

    @pytest.mark.parametrize("printed", [False, True])
    def test_steps_are_those_of_training(self, printed):
        for seed in range(20):
            problem = small_problem(seed)
            weight = negative_weight(problem.labels, problem.database_labels)
            pull = label_pull(problem.values, problem.labels, problem.database_labels, weight)
            solved = code_step(problem.codes, problem.values, pull, printed)
            assert (bit_steps(problem, printed)[-1].after == solved).all()

    def test_the_objective_never_rises_and_as_printed_never_falls(self):
        for seed in range(50):
            ours, printed = (np.diff(objectives(small_problem(seed), sign)) for sign in (False, True))
            assert ours.max() <= 1e-9
            assert printed.min() >= -1e-9
        assert objectives(small_problem())[-1] < objectives(small_problem())[0] < objectives(small_problem(), True)[-1]

    def test_each_bit_is_the_best_given_the_others(self):
        problem = small_problem(4)
        for bit, step in enumerate(bit_steps(problem)):
            for row in range(6):
                other = step.after.clone()
                other[row, bit] *= -1
                assert problem.objective(step.after) <= problem.objective(other) + 1e-9

    def test_terms_in_words(self):
        assert spelled_out(by_hand(), 0, 0) == [
            "pull = K Σ S·u = 2 [1·(0.5) − 1·(1)] = −1",
            "others, from k = 2: Σ v·(UᵀU) = 1·(0) = 0",
            "score = −1 − (0) = −1, so bit 1 of v1 flips from +1 to −1",
        ]
        assert spelled_out(by_hand(), 0, 0, printed=True)[2] == "score = 0 − (−1) = 1, so bit 1 of v1 stays +1"

    @pytest.mark.parametrize(
        ("value", "sign", "text"),
        [(0.45, True, "+0.45"), (-1.0, False, "−1"), (-0.001, True, "0"), (2.50, False, "2.5"), (10.0, False, "10")],
    )
    def test_numbers(self, value, sign, text):
        assert number(value, sign) == text


class TestFigure:
    def test_matrices_are_those_of_the_step(self, monkeypatch):
        written = []
        monkeypatch.setattr(code_lesson, "outlines", lambda *words: written.append(words[0]) or OUTLINES(*words))
        problem = small_problem()
        step = bit_steps(problem)[1]
        code_step_figure(problem, 1)
        terms = step.pull, step.others, step.score
        matrices = problem.values, problem.targets.T, step.before, *terms, step.after, problem.gram
        *numbers, heads = [[word for word, _, _ in words] for words in written]
        assert numbers == [[number(value, sign=True) for value in matrix.flatten()] for matrix in matrices]
        bits, terms = ["k=1", "k=2", "k=3"], ["k=2"] * 3
        drawn = [f"u{i + 1} {CLASSES[label]}" for i, label in enumerate(problem.labels)]
        stored = [f"v{j + 1} {CLASSES[label]}" for j, label in enumerate(problem.database_labels)]
        above_targets = ["u1", "u2", "u3", "u4"]
        assert heads == [*bits, *drawn, *above_targets, *bits, *stored, *terms, *bits, *bits, *bits]

    def test_numbers_lie_in_their_cells(self):
        outline = code_lesson.outlines([("+0.45", 3.0, 2.0)])
        box = outline.get_extents()
        assert ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) == pytest.approx((3.0, 2.0), abs=0.01)
        assert box.width < code_lesson.CELL
        assert box.height < code_lesson.CELL / 2

    def test_the_first_row_that_flips_is_spelled_out_unless_another_is_asked_for(self):
        problem = small_problem()
        first = int(bit_steps(problem)[2].flipped[0])
        for row, wanted in ((None, first), (5, 5)):
            words = "\n".join(texts(code_step_figure(problem, 2, row=row)))
            assert "\n".join(spelled_out(problem, 2, wanted)) in words
            assert f"dashed: v{wanted + 1}, spelled out below" in words

    def test_objective_before_and_after_and_over_the_bits(self):
        problem = small_problem()
        for printed, moved in ((False, "falls"), (True, "rises")):
            course = objectives(problem, printed)
            figure = code_step_figure(problem, 0, printed)
            assert f"{moved}: {course[0]:.2f} → {course[1]:.2f}" in "\n".join(texts(figure))
            assert f"The objective goes from {course[0]:.2f} to {course[1]:.2f}" in figure.alt
            lines = figure.axes[1].lines
            assert [list(line.get_ydata()) for line in lines] == [objectives(problem), objectives(problem, True)]
            widths = [line.get_linewidth() for line in lines]
            assert widths[printed] > widths[not printed]

    def test_says_where_nothing_flips(self):
        solved = bit_steps(small_problem())[-1].after
        problem = small_problem()
        again = SmallProblem(problem.values, problem.labels, problem.database_labels, solved, problem.targets)
        still = next(bit for bit, step in enumerate(bit_steps(again)) if not len(step.flipped))
        figure = code_step_figure(again, still)
        assert "nothing flips" in texts(figure)
        assert "bits that flip: none" in figure.alt
        assert "stays: " in "\n".join(texts(figure))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"bit": 3}, "there is no bit 3; choose from 0 to 2"),
            ({"bit": -1}, "there is no bit -1; choose from 0 to 2"),
            ({"row": 6}, "there is no row 6; choose from 0 to 5"),
        ],
    )
    def test_says_what_is_not_there(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            code_step_figure(**arguments)


OUTLINES = code_lesson.outlines


class TestStepper:
    def test_picture_is_that_of_the_tested_function(self):
        (output,) = outputs_in(checked(CodeStepper(bit=1)))
        with Image.open(BytesIO(b64decode(output.outputs[0]["data"]["image/png"]))) as image:
            pixels = np.asarray(image.convert("RGB"))
        with Image.open(BytesIO(code_step_figure(bit=1)._repr_png_())) as image:
            assert (pixels == np.asarray(image.convert("RGB"))).all()

    def test_next_step_goes_through_the_bits_and_round(self, drawn):
        stepper = CodeStepper(bit=1)
        stepper.next.click()
        stepper.next.click()
        assert [bit for _, bit, _, _ in drawn] == [1, 2, 0]
        assert stepper.bit.value == 0

    def test_every_control_draws_once_what_it_says(self, drawn):
        stepper = CodeStepper()
        assert drawn[0][1:] == (0, False, None)
        stepper.bit.value = 2
        stepper.printed.value = True
        stepper.row.value = 4
        stepper.seed.value = 7
        assert [chosen[1:] for chosen in drawn[1:]] == [(2, False, None), (2, True, None), (2, True, 4), (2, True, 4)]
        assert (drawn[0][0].values == small_problem(0).values).all()
        assert (drawn[-1][0].values == small_problem(7).values).all()
        assert stepper.problem is drawn[-1][0]

    def test_an_error_in_a_callback_is_raised(self, monkeypatch):
        stepper = checked(CodeStepper())
        monkeypatch.setattr(code_widget, "code_step_figure", lambda *_: 1 / 0)
        stepper.next.click()
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            checked(stepper)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"bit": 3}, "bit is 3, expected 0 to 2; `code_step_figure` draws any problem"),
            ({"seed": SEEDS + 1}, f"seed is {SEEDS + 1}, expected 0 to {SEEDS}"),
        ],
    )
    def test_says_what_no_control_reaches(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            CodeStepper(**arguments)
