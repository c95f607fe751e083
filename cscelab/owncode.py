"""The code of a method that is no part of cscelab, so that runs of its earlier versions are told apart.

A method of a file is the text of that file and of what it imports of its own package. In a notebook, where cells come
and go, it is what the config's class names in turn: functions as they were typed, values beside them taken apart.
"""

from __future__ import annotations

import ast
import dis
import hashlib
import inspect
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

from cscelab.methods import MethodConfig

PLAIN = (bool, int, float, complex, str, bytes, type(None))
FREE = ("title", "paper", "_abc_impl")  # attributes of a class that change no number
# Where properties, class methods, caches, partial and bound functions keep what they are made of.
HELD = ("fget", "fset", "func", "args", "keywords", "__func__", "__self__", "__wrapped__")
DATACLASS_MAKES = ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__")
_seen: dict[str, tuple[object, str]] = {}  # path -> the import it was read after, its text at that time


def code_of(config: type[MethodConfig]) -> dict[str, str]:
    """Nothing for the methods of cscelab: metrics.json notes their code, but it tells no runs apart. One's own, of a
    notebook or a file, is changed and tried again: runs of its earlier code must not be taken for runs of this one."""
    return {} if _is_ours(config) else {"code": digest_of(config)}


def digest_of(config: type[MethodConfig]) -> str:
    """16 hex digits of a method's code, the same in every process; for a method of cscelab of its one file.

    Raises ValueError with one sentence for what cannot be told from another version of itself.
    """
    path = getattr(sys.modules.get(config.__module__), "__file__", None)
    if path is None:
        parts = set(_Typed(config.__module__).told(config.__qualname__, config))
    else:
        parts = {_as_imported(config.__module__, path)} if _is_ours(config) else set(_written(config.__module__, path))
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]


def _is_ours(config: type[MethodConfig]) -> bool:
    return config.__module__.partition(".")[0] == "cscelab"


def _written(start: str, path: str) -> Iterator[str]:
    """Texts of a module's file and of what it imports, in turn: of its package or, outside of any, of its folder."""
    package, folder = start.partition(".")[0], Path(path).parent
    known, waiting = {start}, [(start, path)]
    while waiting:
        module, path = waiting.pop()
        text = _as_imported(module, path)
        yield text
        for name in _imports(text, module if path.endswith("__init__.py") else module.rpartition(".")[0]) - known:
            known.add(name)
            if name.partition(".")[0] == package or (package == start and (folder / f"{name}.py").is_file()):
                try:
                    found = find_spec(name)
                except ModuleNotFoundError:  # a function or a class of a module
                    continue
                if found is not None and str(found.origin).endswith(".py"):
                    waiting.append((name, str(found.origin)))


def _imports(text: str, package: str) -> set[str]:
    """Absolute names of what a file of this package imports, modules or not, and of the packages these lie in."""
    names = set()
    for step in ast.walk(ast.parse(text)):
        if isinstance(step, ast.Import):
            names |= {alias.name for alias in step.names}
        elif isinstance(step, ast.ImportFrom):
            base = resolve_name("." * step.level + (step.module or ""), package) if step.level else str(step.module)
            names |= {f"{base}.{alias.name}" for alias in step.names}
    return {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 2)}


def _as_imported(module: str, path: str) -> str:
    """A file's text as it was first seen after its import: what runs until a reload, whatever the file holds by now."""
    text, spec = Path(path).read_text(encoding="utf-8"), getattr(sys.modules.get(module), "__spec__", None)
    if path not in _seen or _seen[path][0] is not spec:  # a reload makes another spec
        _seen[path] = (spec, text)
    if _seen[path][1] != text:
        warnings.warn(f"{path} was edited since it was imported: until it is reloaded, its old code runs", stacklevel=2)
    return _seen[path][1]


class _Typed:
    """Code typed into a notebook, as lines that are the same in every session."""

    def __init__(self, module: str):
        self.module = module
        self.code: dict[int, Any] = {}  # functions and classes, told once; kept, so that no id comes twice

    def told(self, name: str, value: Any, within: tuple[int, ...] = ()) -> Iterator[str]:
        """Lines about a value that goes by this name. within: the containers that it lies in."""
        if isinstance(value, PLAIN):
            yield f"{name} = {value!r}"
        elif isinstance(value, (FunctionType, type)):
            yield f"{name} is {value.__module__}.{value.__qualname__}"
            if id(value) not in self.code:
                self.code[id(value)] = value
                yield from self._class(value) if isinstance(value, type) else self._function(value)
        elif isinstance(value, ModuleType):
            yield f"{name} is the module {value.__name__}"
        elif isinstance(value, (Tensor, np.ndarray)):
            yield f"{name} = {value.dtype} {value.tolist()!r}"
        elif (parts := self._parts(value)) is not None and id(value) not in within:
            yield f"{name} is a {type(value).__name__} of {len(parts)}"
            for place, part in parts.items():
                yield from self.told(f"{name}[{place}]", part, (*within, id(value)))
        elif " at 0x" not in repr(value):
            yield f"{name} = {value!r}"
        else:
            raise ValueError(
                f"{name} is a {type(value).__name__}, which cannot be told from another, so runs that use it would be "
                "mixed up; make it a field of the config, or define the method in a file"
            )

    def _parts(self, value: Any) -> dict[Any, Any] | None:
        """What a value consists of, by place; None where it has no parts that are known here."""
        if isinstance(value, (set, frozenset)):
            return dict(enumerate(sorted(value, key=lambda item: getattr(item, "__qualname__", None) or repr(item))))
        if isinstance(value, (list, tuple, dict)):
            return dict(enumerate(value.items() if isinstance(value, dict) else value))
        if isinstance(value, nn.Module) or type(value).__module__ == self.module:
            return {"type": type(value)} | getattr(value, "__dict__", {})
        return {place: getattr(value, place) for place in HELD if hasattr(value, place)} or None

    def _class(self, kind: type) -> Iterator[str]:
        if kind.__module__ != self.module:
            return
        yield from self.told(f"{kind.__qualname__} inherits", kind.__bases__)
        for name, value in vars(kind).items():
            code = isinstance(value, (FunctionType, property, classmethod, staticmethod))
            if name not in FREE and (code or not name.endswith("__")):
                yield from self.told(f"{kind.__qualname__}.{name}", value)

    def _function(self, function: FunctionType) -> Iterator[str]:
        """How it was written, and what it names: globals, variables of functions around it, defaults."""
        name, code = function.__qualname__, function.__code__
        if hasattr(function, "__wrapped__"):
            yield from self.told(f"{name} wraps", function.__wrapped__)
        made = code.co_filename == "<string>" and function.__name__ in DATACLASS_MAKES
        if made or function.__globals__.get("__name__") != self.module:
            return
        try:
            yield inspect.getsource(code)  # of a function, it would be that of what it wraps
        except OSError:
            raise ValueError(
                f"the code of {name} cannot be read, so its runs could not be told from those of another version; "
                "define it in a file or in a notebook"
            ) from None
        yield from self.told(f"{name} defaults", (function.__defaults__, function.__kwdefaults__))
        around = zip(code.co_freevars, (cell.cell_contents for cell in function.__closure__ or ()), strict=True)
        named = {place: function.__globals__[place] for place in _names(code) & function.__globals__.keys()}
        for place, value in (named | dict(around)).items():
            yield from self.told(f"{name} reads {place}", value)


def _names(code: CodeType) -> set[str]:
    """Globals that a function and those within it read."""
    read = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return read.union(*(_names(inner) for inner in code.co_consts if isinstance(inner, CodeType)))
