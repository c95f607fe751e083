"""The guide to a method of one's own, executed: its code is what these tests read out of docs/own-method.md."""

import ast
import importlib
import inspect
import json
import linecache
import os
import re
import subprocess
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
from cscelab.owncode import digest_of

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
        "the network": ("pooled_network(config, bits)", 'pooled_network(config, bits, feature_norm="batch")'),
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
        ('"batch"', '"none"'),
    ],
)
def test_what_the_method_names_and_inherits_counts_too(notebook, old, new):
    def hash_of(*cells):
        names = notebook(*cells)
        return replace(smoke_recipe("csq"), name="outside", method=names["OutsideConfig"]()).hash

    own = OWN.replace("pooled_network(config, bits)", 'pooled_network(config, bits, feature_norm="batch")')
    before = hash_of(own, LOSS_OUTSIDE)
    assert before == hash_of("UNUSED = 1\nshare = 3\n", own, LOSS_OUTSIDE.replace('"Outside"', '"Other title"'))
    assert (own + LOSS_OUTSIDE).count(old) == 1
    assert before != hash_of(own.replace(old, new), LOSS_OUTSIDE.replace(old, new))


HELPED = """
import functools
import math

import torch

from cscelab.methods import HashMethod, MethodConfig

S = 1.5
LIST, TABLE, FEW, TENSOR = [1.0, 2.0], {"a": 1.0}, {"x", "y", "z"}, torch.tensor([1.0, 2.0])

def f(x): return 2 * x
def g(x): return 3 * x

HALF, BOTH, LAMBDAS = functools.partial(f, s=0.5), (f, g, math.sqrt), {"one": lambda x: 4 * x}
HOLDER = torch.nn.Linear(1, 1, bias=False)
torch.nn.init.constant_(HOLDER.weight, 7.0)

def doubled(function):
    factor = 8.0
    @functools.wraps(function)
    def wrapper(x): return factor * function(x)
    return wrapper

@doubled
def h(x, s=S): return x + s

class Many(HashMethod):
    ramp = {"at": [0.1, 0.9]}
    def losses(self, output, labels, generator=None, ids=None):
        return {"all": (LIST, TABLE, FEW, TENSOR, HALF, BOTH, LAMBDAS, HOLDER, h)}

class ManyConfig(MethodConfig):
    name, title, paper = "many", "Many", "here"
    def build(self, n_classes, bits): return Many(self, n_classes, bits)
"""
HELPED_CHANGES = [
    ("LIST, TABLE, FEW, TENSOR = [1.0,", "LIST, TABLE, FEW, TENSOR = [1.1,"),
    ('{"a": 1.0}', '{"a": 1.1}'),
    ('"y", "z"', '"y", "w"'),
    ("torch.tensor([1.0", "torch.tensor([1.1"),
    ("s=0.5", "s=0.6"),
    ("(f, g, math.sqrt)", "(g, f, math.sqrt)"),
    ("(f, g, math.sqrt)", "(f, g, math.exp)"),
    ("3 * x", "3.1 * x"),
    ("4 * x", "4.1 * x"),
    ("weight, 7.0", "weight, 7.1"),
    ("factor = 8.0", "factor = 8.1"),
    ("S = 1.5", "S = 1.6"),
    ("x + s", "x - s"),
    ("[0.1, 0.9]", "[0.2, 0.9]"),
]


def in_another_process(code: str, folder, seed: int = 1) -> list[str]:
    """What a new Python prints, which draws its hashes of strings anew."""
    environment = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


TYPED = """
import linecache, sys, types
sys.modules["__main__"] = module = types.ModuleType("__main__")
source = open("cell.py").read()
linecache.cache["<cell 1>"] = (len(source), None, source.splitlines(keepends=True), "<cell 1>")
exec(compile(source, "<cell 1>", "exec"), vars(module))
from cscelab.owncode import digest_of
print(digest_of(module.ManyConfig))
"""


def test_values_of_every_kind_beside_the_method_count(notebook):
    before = digest_of(notebook(HELPED)["ManyConfig"])
    assert digest_of(notebook(HELPED.replace('"Many", "here"', '"Some", "there"'))["ManyConfig"]) == before
    found = {before}
    for old, new in HELPED_CHANGES:
        assert HELPED.count(old) == 1, old
        found.add(digest_of(notebook(HELPED.replace(old, new))["ManyConfig"]))
    assert len(found) == 1 + len(HELPED_CHANGES)


def test_the_code_of_a_notebook_is_the_same_in_every_process(notebook, tmp_path):
    (tmp_path / "cell.py").write_text(HELPED)
    here = digest_of(notebook(HELPED)["ManyConfig"])
    assert in_another_process(TYPED, tmp_path, seed=1) == in_another_process(TYPED, tmp_path, seed=2) == [here]


@pytest.mark.parametrize("value", ["object()", "torch.Generator()", "[object()]", "functools.partial(print, object())"])
def test_a_value_that_cannot_be_told_from_another_is_refused(notebook, value):
    cells = notebook(HELPED.replace('{"a": 1.0}', value))
    with pytest.raises(ValueError, match=r"losses reads TABLE\S* is a \w+, which cannot be told .* make it a field"):
        digest_of(cells["ManyConfig"])


FILES = {
    "mine/__init__.py": "",
    "mine/method.py": HELPED.replace("import functools", "import functools\nfrom . import helpers"),
    "mine/helpers.py": "from mine.deep.er import depth\ndef helped(): return depth()\n",
    "mine/deep/__init__.py": "",
    "mine/deep/er.py": "DEPTH = 1\ndef depth(): return DEPTH\n",
    "mine/unused.py": "UNUSED = 1\n",
    "alone.py": HELPED.replace("import functools", "import functools\nimport beside"),
    "beside.py": "W = [1.0]\n",
}
IN_FILES = """
from cscelab.owncode import digest_of
import alone, mine.method
print(digest_of(mine.method.ManyConfig), digest_of(alone.ManyConfig))
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mine", "alone", "beside")]:
        del sys.modules[name]


def test_a_file_counts_with_what_it_imports_of_its_package_or_folder(files):
    before = in_another_process(IN_FILES, files)
    (files / "mine" / "unused.py").write_text("UNUSED = 2\n")
    assert in_another_process(IN_FILES, files, seed=2) == before
    (files / "mine" / "deep" / "er.py").write_text(FILES["mine/deep/er.py"].replace("1", "2"))
    (files / "beside.py").write_text("W = [1.1]\n")
    assert not set(in_another_process(IN_FILES, files)) & set(before)


def test_a_file_edited_after_its_import_is_what_was_imported_until_it_is_reloaded(files):
    mine = importlib.import_module("mine.method")
    theirs = smoke_recipe("csq")
    before = replace(theirs, method=mine.ManyConfig()).fingerprint["code"]
    assert before == in_another_process(IN_FILES, files)[0]
    for name in ("method.py", "helpers.py"):
        text = FILES[f"mine/{name}"]
        (files / "mine" / name).write_text(text + "\nMORE = 1\n")
        with pytest.warns(
            UserWarning, match=rf"{name} was edited since it was imported: until it is reloaded, its old"
        ):
            assert digest_of(mine.ManyConfig) == before
        (files / "mine" / name).write_text(text)
    (files / "mine" / "method.py").write_text(FILES["mine/method.py"] + "\nMORE = 1\n")
    importlib.reload(mine)
    assert digest_of(mine.ManyConfig) == in_another_process(IN_FILES, files)[0] != before


def test_code_that_nothing_keeps_is_refused(notebook):
    cells = notebook()
    exec(OWN, cells)
    with pytest.raises(
        ValueError, match=r"^the code of Contrast\S+ cannot be read, .*; define it in a file or in a noteb"
    ):
        _ = experiment(cells).hash


MISTAKES = {
    "no network": (
        "        self.network = pooled_network(config, bits)",
        "        pooled_network(config, bits)",
        r"^Contrast has no network; set self.network = pooled_network\(config, bits\) in its __init__$",
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
    "no gradient": (
        "normalize(output.values)",
        "normalize(output.codes.float())",
        "^Contrast.losses gave no term with a gradient, so nothing would learn; compute a loss from output.values, ",
    ),
    "too few arguments": (
        "losses(self, output, labels, generator=None, ids=None)",
        "losses(self, output, labels)",
        r"^Contrast.losses\(output, labels\) cannot be called with output, labels, generator and ids; define it as",
    ),
    "other bits": (
        "pooled_network(config, bits)",
        "pooled_network(config, 2 * bits)",
        "^the network of Contrast gives 64 values, but 32 bits were asked for; give it the bits that build was given$",
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


def test_a_class_is_no_config(notebook):
    with pytest.raises(ValueError, match=r"^method is the class ContrastConfig; give a config, as ContrastConfig\(\)$"):
        replace(smoke_recipe("csq"), method=notebook(OWN)["ContrastConfig"])


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
