"""The code of a method that is no part of cscelab, so that runs of its earlier versions are told apart."""

from __future__ import annotations

import dis
import hashlib
import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from cscelab.methods import MethodConfig

PLAIN = (bool, int, float, str, tuple, type(None))  # constants that are part of a method's code as they are printed
DATACLASS_MAKES = ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__")


def code_of(config: type[MethodConfig]) -> dict[str, str]:
    """Nothing for the methods of cscelab, which change with its version. One's own, of a notebook or a file, is changed
    and tried again: runs of its earlier code must not be taken for runs of this one."""
    if config.__module__.partition(".")[0] == "cscelab":
        return {}
    return {"code": hashlib.sha256("\n".join(sorted(_own_code(config))).encode()).hexdigest()[:16]}


def _own_code(config: type[MethodConfig]) -> Iterator[str]:
    """What the config is made of in its own package or notebook: functions as they were written and the plain constants
    beside them, of its class and of every class and function that these name in turn (the method, its loss, a head)."""
    package = config.__module__.partition(".")[0]
    seen: set[int] = set()
    waiting: list[Any] = [config]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or str(getattr(part, "__module__", None)).partition(".")[0] != package:
            continue
        seen.add(id(part))
        if inspect.isclass(part):
            waiting += part.__bases__
            parts = {f"{part.__qualname__}.{name}": value for name, value in vars(part).items()}
        elif inspect.isfunction(part):
            if source := _source(part):
                yield source
            parts = _named_in(part)
        else:
            continue
        for name, value in parts.items():
            if not isinstance(value, PLAIN):
                # Properties and class methods hold their functions under these names.
                waiting += [getattr(value, held, None) for held in ("fget", "func", "__func__")]
                waiting.append(inspect.unwrap(value) if callable(value) else value)
            elif not name.endswith(("__", ".title", ".paper")):
                yield f"{name} = {value!r}"


def _named_in(function: FunctionType) -> dict[str, Any]:
    """The globals and the variables of enclosing functions that a function reads, by name."""
    names, codes = set(), [function.__code__]
    while codes:
        code = codes.pop()
        names |= {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
        codes += [constant for constant in code.co_consts if inspect.iscode(constant)]
    enclosing = {
        name: cell.cell_contents
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    }
    return {name: function.__globals__[name] for name in names & function.__globals__.keys()} | enclosing


def _source(function: FunctionType) -> str:
    """A function as it was written. Raises ValueError for code that was typed where nothing keeps it."""
    try:
        return inspect.getsource(function)
    except OSError:
        if function.__code__.co_filename == "<string>" and function.__name__ in DATACLASS_MAKES:
            return ""
        raise ValueError(
            f"the code of {function.__qualname__} cannot be read, so its runs could not be told from those of another "
            "version; define it in a file or in a notebook"
        ) from None
