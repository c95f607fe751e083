"""The guide to a method of one's own, executed: its code is what these tests read out of docs/own-method.md."""

import ast
import inspect
import json
import linecache
import re
import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from conftest import ROOT
from small_training import LABELS, MULTI, made, step

from cscelab import recipes
from cscelab.compare import prunable
from cscelab.experiment import find_run, run, runs_folder, stored_runs
from cscelab.methods import METHODS, HashMethod, MethodConfig

GUIDE = (ROOT / "docs" / "own-method.md").read_text()
BLOCKS = {block.splitlines()[0][2:]: block for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)}
OWN = BLOCKS["own method"]
REAL_RECIPE = recipes.recipe


def type_into(module: ModuleType, source: str) -> None:
    """Runs a cell as IPython does: compiled under a file name that exists nowhere but in linecache."""
    path = f"/tmp/ipykernel_1/{abs(hash(source))}.py"
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    exec(compile(source, path, "exec"), vars(module))


@pytest.fixture
def notebook(monkeypatch):
    """A function: cells -> the namespace of a new notebook in which they were run."""

    def start(*cells: str) -> dict:
        module = ModuleType("__main__")
        monkeypatch.setitem(sys.modules, "__main__", module)
        for cell in cells:
            type_into(module, cell)
        return vars(module)

    return start


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def smoke(monkeypatch, data):
    """The guide's recipes are smoke ones of few images, its data lie in a temporary folder."""
    monkeypatch.setenv("CSCELAB_DATA", str(data))
    monkeypatch.setattr(recipes, "recipe", smoke_recipe)


def smoke_recipe(name: str, **settings):
    whole = REAL_RECIPE(name, "smoke", **settings)
    return replace(whole, data=replace(whole.data, train=32, validation=12, query=12, database=24))


def experiment(cells: dict, **settings):
    return replace(smoke_recipe("csq", bits=32), name="contrast/32", method=cells["ContrastConfig"](**settings))


def test_the_method_has_at_most_thirty_lines_of_one_statement_each():
    assert len(OWN.splitlines()) <= 30
    assert max(map(len, OWN.splitlines())) <= 120
    starts = [node.lineno for node in ast.walk(ast.parse(OWN)) if isinstance(node, ast.stmt)]
    assert len(set(starts)) == len(starts)


def test_the_guide_runs_from_training_to_comparison_and_finds_its_run_again(smoke, notebook, capsys):
    cells = notebook(OWN, BLOCKS["train and compare"], BLOCKS["several labels"])
    done, theirs = cells["runs"]["Contrast"], cells["runs"]["CSQ"]
    several = run(cells["scenes"])
    printed = capsys.readouterr().out
    for number in (done.metrics["validation_map"], done.mean_average_precision, several.metrics["validation_map"]):
        assert f"{number}\n" in printed
    assert re.search(r"mAP [+-]0\.\d{3}, 95% interval over the queries \[[+-]0\.\d{3}, [+-]0\.\d{3}\]\n", printed)
    assert cells["value"] == pytest.approx(done.mean_average_precision - theirs.mean_average_precision)
    assert cells["low"] <= cells["value"] <= cells["high"]
    legend = cells["figure"].axes[0].get_legend() or cells["figure"].legends[0]
    assert {"CSQ", "Contrast"} <= {text.get_text() for text in legend.get_texts()}
    assert several.codes["query_labels"].ndim == 2

    # A new session, with the same code typed anew.
    written = (done.folder / "metrics.json").stat().st_mtime_ns
    later = notebook(OWN)
    assert find_run(experiment(later)).folder == done.folder
    assert run(experiment(later), progress=False).folder.joinpath("metrics.json").stat().st_mtime_ns == written
    model = run(experiment(later)).model()
    assert type(model) is later["Contrast"]

    # What the guide says of lists: own runs are in none, and prune leaves them alone.
    assert {stored.experiment.name for stored in stored_runs()} == {"csq/32"}
    assert prunable() == []
    assert done.folder.parent == runs_folder()
    assert done.folder.name.startswith("contrast-32-")


def test_a_changed_loss_is_another_experiment_and_the_same_code_is_not(notebook):
    first, again = experiment(notebook(OWN)).hash, experiment(notebook("# a cell before\n" + OWN)).hash
    assert first == again
    changes = {
        "the loss": ("directions @ directions.T /", "directions @ directions.T * 2 /"),
        "the network": ('"baseline"', '"local"'),
        "a default": ("temperature: float = 0.2", "temperature: float = 0.3"),
        "what is built": ("return Contrast(self, n_classes, bits)", "return Contrast(self, n_classes, bits).train()"),
    }
    hashes = {first}
    for what, (old, new) in changes.items():
        assert OWN.count(old) == 1, what
        hashes.add(experiment(notebook(OWN.replace(old, new))).hash)
    assert len(hashes) == 1 + len(changes)
    assert experiment(notebook(OWN), temperature=0.5).hash not in hashes


LOSS_OUTSIDE = """
SCALE = 1.0

def weighted(term):
    return factor() * term

def factor():
    return [SCALE for _ in range(1)][0]

class Base(HashMethod):
    views = 1

    @property
    def share(self):
        return 0.5

class Outside(Base, Contrast):
    def losses(self, output, labels, generator=None, ids=None):
        return {"contrast": self.share * weighted(super().losses(output, labels)["contrast"])}

class OutsideConfig(ContrastConfig):
    name, title = "outside", "Outside"

    def build(self, n_classes, bits):
        return Outside(self, n_classes, bits)
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 1.0", "SCALE = 2.0"),
        ("return factor()", "return 2 * factor()"),
        ("range(1)", "range(2)"),
        ("views = 1", "views = 2"),
        ("return 0.5", "return 0.25"),
        ("return Outside(", "return Contrast("),
        ('"local"', '"baseline"'),
    ],
)
def test_what_the_method_names_and_inherits_counts_too(notebook, old, new):
    def hash_of(*cells):
        names = notebook(*cells)
        return replace(smoke_recipe("csq"), name="outside", method=names["OutsideConfig"]()).hash

    own = OWN.replace('"baseline"', '"local"')
    before = hash_of(own, LOSS_OUTSIDE)
    assert before == hash_of("UNUSED = 1\nshare = 3\n", own, LOSS_OUTSIDE.replace('"Outside"', '"Other title"'))
    assert (own + LOSS_OUTSIDE).count(old) == 1
    assert before != hash_of(own.replace(old, new), LOSS_OUTSIDE.replace(old, new))


def test_code_that_nothing_keeps_is_refused(notebook):
    cells = notebook()
    exec(OWN, cells)
    with pytest.raises(
        ValueError, match=r"^the code of Contrast\S+ cannot be read, .*; define it in a file or in a noteb"
    ):
        _ = experiment(cells).hash


MISTAKES = {
    "no network": (
        "        self.network = HashNetwork(layers, bits)",
        "        HashNetwork(layers, bits)",
        r"^Contrast has no network; set self.network = HashNetwork\(...\) in its __init__$",
    ),
    "nothing built": ("return Contrast(", "Contrast(", "^ContrastConfig.build gave NoneType; return a HashMethod$"),
    "no dict": (
        'return {"contrast": cross_entropy(logits, normalize(similarity(labels) * others, p=1))}',
        "return cross_entropy(logits, normalize(similarity(labels) * others, p=1))",
        "^Contrast.losses gave Tensor; return a dict of scalar tensors by name$",
    ),
    "no term": ('return {"contrast"', 'return {} and {"contrast"', "^Contrast.losses gave no term; return a dict of"),
    "no mean": (
        "* others, p=1))}",
        '* others, p=1), reduction="none")}',
        r"^Contrast.losses gave a tensor of shape \(32,\) as 'contrast'; return scalar tensors, as a mean",
    ),
    "no tensor": (
        "cross_entropy(logits,",
        "1.0 or (logits,",
        "^Contrast.losses gave float as 'contrast'; return scalar",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_a_sentence(smoke, notebook, mistake):
    old, new, sentence = MISTAKES[mistake]
    assert OWN.count(old) == 1
    with pytest.raises(ValueError, match=sentence):
        run(experiment(notebook(OWN.replace(old, new))), progress=False)


def test_a_name_is_needed_and_must_be_free(notebook):
    with pytest.raises(ValueError, match="^ContrastConfig has the name 'csq' of CSQConfig; give it a name of its own$"):
        experiment(notebook(OWN.replace('"contrast", "Contrast"', '"csq", "Contrast"')))
    with pytest.raises(ValueError, match='^ContrastConfig has no name; give it one, as name = "mine" in its class$'):
        experiment(notebook(OWN.replace("name, title", "label, title")))


def test_the_code_of_a_cell_is_read_though_no_file_has_it(notebook):
    cells = notebook(OWN)
    assert "cross_entropy(logits" in inspect.getsource(cells["Contrast"].losses)
    assert set(experiment(cells).fingerprint) == {"data", "weights", "code"}
    assert "code" not in smoke_recipe("csq").fingerprint


def test_the_guides_own_test_passes_and_would_notice_another_loss(notebook):
    notebook(OWN, BLOCKS["test"])
    wrong = OWN.replace("masked_fill(~others, -1e9)", "masked_fill(~others, 0)")
    assert wrong != OWN
    with pytest.raises(AssertionError):
        notebook(wrong, BLOCKS["test"])


@pytest.mark.parametrize("labels", [LABELS, MULTI], ids=["ids", "multi-hot"])
def test_the_method_learns(notebook, labels):
    config = notebook(OWN)["ContrastConfig"]()
    method = made(config, labels=labels)
    optimizer = torch.optim.Adam(method.parameters(), lr=3e-3)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        losses.append(float(step(method, labels)[1]["contrast"].detach()))
        optimizer.step()
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize("bits", [12, 64])
def test_an_image_that_is_like_no_other_adds_nothing(notebook, bits):
    method = made(notebook(OWN)["ContrastConfig"](), bits=bits)
    output, terms = step(method, torch.arange(6) % 5)
    alone = method.losses(output, torch.arange(6))["contrast"]
    assert terms["contrast"] > 0
    assert alone == 0


def test_the_notebook_shows_the_same_method():
    shown = [
        "".join(cell["source"])
        for path in (ROOT / "notebooks").glob("*.ipynb")
        for cell in json.loads(path.read_text())["cells"]
        if cell["source"] and cell["source"][0].startswith("# own method")
    ]
    assert shown
    assert all(source.rstrip() == OWN.rstrip() for source in shown)


def test_every_hook_of_a_method_is_in_the_guide():
    mentioned = set(re.findall(r"`(\w+)", GUIDE))
    hooks = {name for name in {**vars(HashMethod), **HashMethod.__annotations__} if not name.startswith("_")}
    assert hooks - {"train"} <= mentioned  # torch's own
    assert {"head", "ids", "generator"} <= mentioned
    required = {name for name in MethodConfig.__annotations__ if not hasattr(MethodConfig, name)} - {"backbone"}
    assert required == {"name", "title", "paper"}
    assert "name, title, paper =" in OWN


def test_what_makes_a_method_permanent_is_where_the_guide_says():
    assert "methods know only their base" in (ROOT / "pyproject.toml").read_text()
    assert "METHODS" in (ROOT / "cscelab" / "methods" / "__init__.py").read_text()
    assert "METHODS" in (ROOT / "tests" / "test_methods.py").read_text()
    assert "contrast" not in METHODS
