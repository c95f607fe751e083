"""CenterExplorer and the pictures of centers: what they count, and what they say where a kind does not serve."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from cscelab.centers import center_report, hash_centers
from cscelab.codes import hamming_distance
from cscelab.figures.centers import center_figure, corrected_bits, decoding_figure, in_words
from cscelab.figures.style import new_figure
from cscelab.widgets import centers as center_widget
from cscelab.widgets import checked, outputs_in
from cscelab.widgets.centers import KINDS, CenterExplorer

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def explorer():
    return checked(CenterExplorer())


@pytest.fixture
def drawn(monkeypatch):
    """The centers that were drawn, in order, without the cost of drawing."""
    drawn = []

    def draw(centers):
        drawn.append(centers)
        return new_figure(1, 1)

    monkeypatch.setattr(center_widget, "center_figure", draw)
    return drawn


def shown(widget):
    (output,) = outputs_in(widget)
    (only,) = output.outputs
    return only["data"]


class TestFigures:
    def test_signs_and_means_are_those_of_the_centers(self):
        centers = hash_centers(16, 16, "hadamard")
        matrix, balance, _ = center_figure(centers).axes
        assert (np.asarray(matrix.images[0].get_array()) == centers.numpy()).all()
        (means,) = balance.patches
        assert means.get_data().values.tolist() == [1] + [0] * 15  # Sylvester's first column says nothing
        assert "at most ±1.00" in balance.get_xlabel()

    def test_histogram_counts_every_pair_once(self):
        histogram = center_figure(hash_centers(32, 16, "hadamard")).axes[2]
        heights = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in histogram.patches}
        assert heights == {8: 32 * 31 / 2 - 16, 16: 16}  # 16 pairs of complements
        assert [text.get_text() for text in histogram.texts] == ["480", "16"]

    def test_lines_and_title_set_d_min_against_its_bound(self):
        centers = hash_centers(100, 16, "bernoulli")
        distances = hamming_distance(centers, centers)[np.triu_indices(100, k=1)]
        report = center_report(centers)
        assert int(distances.min()) < report.upper_bound
        histogram = center_figure(centers).axes[2]
        at = {line.get_label(): line.get_xdata()[0] for line in histogram.lines}
        assert at == {
            f"bound: {report.upper_bound}": report.upper_bound,
            f"d_min: {distances.min()}": distances.min(),
        }
        assert histogram.get_title("left").startswith(f"d_min {distances.min()} of at most {report.upper_bound}: ")

    def test_construction_is_named_and_the_alt_text_says_it_all(self):
        figure = center_figure(hash_centers(20, 16), "mine")
        assert [text.get_text() for text in figure.texts] == [
            "construction: Hadamard [H; -H] (Sylvester, Reed-Muller RM(1,4))"
        ]
        assert figure.alt.startswith("mine. d_min 8 of at most 8 bits, mean distance 8.42; up to 3 wrong bits")

    @pytest.mark.parametrize(("words", "corrected"), [((1, 1), 0), ((1, 7), 3), ((1, 8), 3)])
    def test_corrected_bits_by_hand(self, words, corrected):
        n, distance = words
        centers = torch.ones(n + 1, 8)
        centers[1, :distance] = -1
        report = center_report(centers)
        assert (report.min_distance, corrected_bits(report)) == (distance, corrected)
        assert f"up to {corrected} wrong bits are corrected" in in_words(report)

    def test_twins_correct_nothing(self):
        assert corrected_bits(center_report(torch.ones(2, 8))) == 0

    def test_decoding_curves_show_what_was_measured(self):
        (axes,) = decoding_figure({"a": {0.0: 0.0, 0.5: 0.75}, "b": {0.0: 0.1}}).axes
        assert axes.lines[0].get_xydata().tolist() == [[0.0, 0.0], [0.5, 0.75]]
        assert axes.lines[0].get_linestyle() != axes.lines[1].get_linestyle()


class TestExplorer:
    def test_picture_is_that_of_the_tested_function(self, explorer):
        with Image.open(BytesIO(b64decode(shown(explorer)["image/png"]))) as image:
            pixels = np.asarray(image.convert("RGB"))
        with Image.open(BytesIO(center_figure(hash_centers(20, 16))._repr_png_())) as image:
            assert (pixels == np.asarray(image.convert("RGB"))).all()

    def test_every_control_draws_once_what_it_says(self, drawn):
        explorer = CenterExplorer(12, 16, "bernoulli", seed=3)
        explorer.n_classes.value = 30
        explorer.bits.value = 24
        explorer.seed.value = 4
        explorer.kind.value = "coding"
        expected = [
            hash_centers(12, 16, "bernoulli", 3),
            hash_centers(30, 16, "bernoulli", 3),
            hash_centers(30, 24, "bernoulli", 3),
            hash_centers(30, 24, "bernoulli", 4),
            hash_centers(30, 24, "coding", 4),
        ]
        assert len(drawn) == len(expected)
        assert all(torch.equal(*pair) for pair in zip(drawn, expected, strict=True))
        assert explorer.centers is drawn[-1]
        assert in_words(center_report(explorer.centers)) in explorer.status.value

    @pytest.mark.parametrize(
        ("sizes", "kind", "sentence"),
        [
            ((10, 48), "published", "kind='published' at 48 bits"),
            ((100, 16), "hadamard", "100 classes at 16 bits; Hadamard rows and their negatives make only 32"),
            ((10, 10), "hadamard", "no Hadamard matrix of order 10 here"),
            ((200, 4), "best", "too many classes: 200 for 4 bits, which have 16 words"),
        ],
    )
    def test_the_impossible_is_one_sentence_and_the_next_change_recovers(self, drawn, sizes, kind, sentence):
        explorer = checked(CenterExplorer(*sizes, kind))
        assert not drawn
        assert explorer.centers is None
        assert shown(explorer)["text/plain"].startswith(sentence)
        assert "image/png" not in shown(explorer)
        explorer.kind.value, explorer.bits.value = "best", 32
        assert "image/png" in shown(checked(explorer))
        assert explorer.centers.shape == (sizes[0], 32)

    def test_what_was_made_is_kept(self, monkeypatch, drawn):
        explorer = CenterExplorer(7, 16)
        monkeypatch.setattr(center_widget, "hash_centers", lambda *_: 1 / 0)
        explorer.seed.value = 1  # new: fails, and not in silence
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            checked(explorer)
        explorer.seed.value = 0
        assert torch.equal(checked(explorer).centers, drawn[0])
        explorer.centers[0] *= -1  # a person's own tensor: nobody else sees it
        assert torch.equal(CenterExplorer(7, 16).centers, drawn[0])

    def test_status_says_that_it_works(self, monkeypatch, drawn):
        said = []
        monkeypatch.setattr(center_widget.CenterExplorer, "_say", lambda self, sentence: said.append(sentence))
        CenterExplorer(9, 16)
        assert said[0] == "Making 9 centers of 16 bits …"
        assert said[1].startswith("d_min 8 of at most ")

    def test_all_kinds_of_the_package_can_be_chosen(self):
        with pytest.raises(ValueError, match="unknown kind") as raised:
            hash_centers(4, 8, "none")
        assert str(sorted(KINDS.values())) in str(raised.value)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"n_classes": 1}, "n_classes is 1, expected 2 to 200; `hash_centers` makes centers beyond"),
            ({"bits": 256}, "bits is 256, expected 4 to 128"),
            ({"kind": "random"}, "unknown kind of centers 'random'; choose from"),
        ],
    )
    def test_errors_say_what_was_expected(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            CenterExplorer(**arguments)
