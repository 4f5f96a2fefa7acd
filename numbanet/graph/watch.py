"""What a function works with besides its arguments: modules, optimisers, and values that its code names.

They are found where Python keeps them: the function's object, its closure, its defaults and the globals that its code
names, and the same of the user's functions among these and of the methods of the user's modules. A module is what has
``named_parameters``, an optimiser what has ``param_groups``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

from numbanet.graph.structure import Same
from numbanet.tensor import Tensor

PLAIN = (bool, int, float, str, type(None))
MOST_SETTINGS = 64
"""Plain values in a dictionary that is looked at with each call; one with more is data, not settings."""
Labelled = tuple[tuple[str, Any], ...]
"""Values with their names."""


class Context:
    """Values with their names, whose hash is worked out once."""

    __slots__ = ("_hash", "labelled")

    def __init__(self, labelled: Labelled) -> None:
        self.labelled = labelled
        self._hash = hash(labelled)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Context) and self.labelled == other.labelled)

    def __hash__(self) -> int:
        return self._hash


class Watch:
    """The modules and optimisers that a function refers to, and where its plain values are kept."""

    def __init__(self, function: Callable) -> None:
        self.modules: list[Any] = []
        self.optimizers: list[Any] = []
        self._tensors: list[Tensor] = []
        self._cells: list[tuple[str, Any]] = []
        self._tables: list[tuple[str, dict, str]] = []
        self._others: list[tuple[str, Callable[[], Any]]] = []
        self._seen: set[int] = set()
        self._pending: list[Any] = [function]
        while self._pending:
            value = self._pending.pop()
            if id(value) not in self._seen:
                self._seen.add(id(value))
                self._look_at(value)

    # --- finding -----------------------------------------------------------------------------------------------------
    def _look_at(self, value: Any) -> None:
        if isinstance(value, type):
            if hasattr(value, "forward"):  # a module's class, whose methods may name values outside
                self._pending += [one for one in vars(value).values() if isinstance(one, FunctionType)]
            return
        if isinstance(value, Tensor):
            self._tensors.append(value)
        elif is_module(value):
            self.modules.append(value)
            for one in value.modules():
                if _is_users(type(one).forward):
                    given = [value for _, value in own_attributes(one) if _is_users(value)]
                    self._pending += [type(one), *given]
        elif is_optimizer(value):
            self.optimizers.append(value)
        elif isinstance(value, functools.partial):
            self._pending += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, MethodType):
            self._look_at_object(value.__self__, value.__func__.__code__)
            self._pending.append(value.__func__)
        elif isinstance(value, FunctionType):
            self._look_at_function(value)
        elif isinstance(value, (list, tuple)):
            self._pending += [one for one in value if _is_watched(one)]
        elif isinstance(value, dict):
            self._pending += [one for one in value.values() if _is_watched(one)]
            plain = [key for key, one in value.items() if isinstance(one, PLAIN)]
            if len(plain) <= MOST_SETTINGS:
                self._tables += [(f"[{key!r}]", value, key) for key in plain]
        elif _is_users(value) and hasattr(value, "__dict__"):
            call = getattr(type(value), "__call__", None)  # noqa: B004 - the function is wanted, not whether there is one
            if isinstance(call, FunctionType):
                self._look_at_object(value, call.__code__)
                self._pending.append(call)

    def _look_at_object(self, owner: Any, code: CodeType) -> None:
        """The attributes of an object that a method names, and those that the methods it names do."""
        if is_module(owner) or not hasattr(owner, "__dict__"):
            self._pending.append(owner)
            return
        names, pending = set(), [code]
        while pending:
            for name in set(pending.pop().co_names) - names:
                names.add(name)
                method = getattr(type(owner), name, None)
                if isinstance(method, FunctionType):
                    pending.append(method.__code__)
                    self._pending.append(method)
        self._enter(vars(owner), sorted(names), "self.")

    def _look_at_function(self, function: FunctionType) -> None:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if _is_filled(cell):
                value = cell.cell_contents
                if isinstance(value, PLAIN) or _is_watched(value):
                    self._cells.append((name, cell))
                else:
                    self._others.append((name, functools.partial(getattr, cell, "cell_contents", None)))
                self._pending.append(value)
        self._enter(function.__globals__, function.__code__.co_names, "")
        self._pending += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]

    def _enter(self, table: dict, names: Any, prefix: str) -> None:
        for name in names:
            if name in table and not name.startswith("__"):
                value = table[name]
                if isinstance(value, PLAIN) or _is_watched(value):
                    self._tables.append((prefix + name, table, name))
                else:
                    self._others.append((prefix + name, functools.partial(table.get, name)))
                if _is_users(value):
                    self._pending.append(value)

    # --- what is there now -------------------------------------------------------------------------------------------
    def module_names(self) -> dict[int, str]:
        """Dotted names of all submodules by id."""
        return {id(module): name for top in reversed(self.modules) for name, module in top.named_modules()}

    def tensors(self) -> list[tuple[str, Tensor]]:
        """Parameters and buffers with their names, then what only optimisers hold, and tensors by themselves."""
        found = []
        for module in self.modules:
            found += [*module.named_parameters(), *module.named_buffers()]
        known = {id(tensor) for _, tensor in found}
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                found += [("", tensor) for tensor in group["params"] if id(tensor) not in known]
        known.update(id(tensor) for _, tensor in found)
        return found + [("", tensor) for tensor in self._tensors if id(tensor) not in known]

    def context(self) -> Labelled:
        """What a recording depends on and ``changes`` tells of: modes, attributes and hooks of modules, which tensors
        there are."""
        states = tuple([(len(one.param_groups), Same(one.state)) for one in self.optimizers])
        found: list[tuple[str, Any]] = [("the optimiser's state", states)]
        found += [(f"the optimiser's {name}", hooks) for one in self.optimizers for name, hooks in _hooks(one)]
        for top in self.modules:
            for path, module in top.named_modules():
                found += [(f"{path}.{name}".lstrip("."), value) for name, value in _plain_attributes(module)]
                found += [(f"{path}.{name}".lstrip("."), hooks) for name, hooks in _hooks(module)]
        for name, tensor in self.tensors():
            array = tensor._array
            hooks = tuple(tensor._hooks or ())
            found.append((name, (id(tensor), array.shape, array.dtype.num, tensor._requires_grad, hooks)))
        return tuple(found)

    def values(self) -> Labelled:
        """What the function's code names, as it is now: plain values, and which other objects there are."""
        found = [(name, cell.cell_contents) for name, cell in self._cells]
        found += [(label, table.get(name)) for label, table, name in self._tables]
        return tuple([pair if isinstance(pair[1], PLAIN) else (pair[0], Same(pair[1])) for pair in found])

    def others(self) -> list[tuple[str, Any]]:
        """What the function's code names besides: lists, arrays, objects of any kind, functions and classes too."""
        return [(name, get()) for name, get in self._others]


def is_module(value: Any) -> bool:
    return hasattr(value, "named_parameters") and hasattr(value, "named_modules") and not isinstance(value, type)


def is_optimizer(value: Any) -> bool:
    return hasattr(value, "param_groups") and hasattr(value, "state") and not isinstance(value, type)


def _is_watched(value: Any) -> bool:
    return isinstance(value, Tensor) or is_module(value) or is_optimizer(value)


def own_attributes(module: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of a module but for parameters, buffers and submodules, which have tables of their own."""
    tables = [vars(module).get(name, {}) for name in ("_parameters", "_buffers", "_modules")]
    for name, value in vars(module).items():
        if not any(value is table or name in table for table in tables):
            yield name, value


def _plain_attributes(module: Any) -> Iterator[tuple[str, Any]]:
    for name, value in own_attributes(module):
        if isinstance(value, PLAIN) or (type(value) is tuple and all(isinstance(one, PLAIN) for one in value)):
            yield name, value


def _hooks(owner: Any) -> Iterator[tuple[str, Any]]:
    """The tables of hooks that are not empty, as the numbers of their hooks."""
    for name, value in vars(owner).items():
        if name.endswith("_hooks") and isinstance(value, dict) and value:
            yield name, tuple(value)


def _is_users(value: Any) -> bool:
    """Whether it may refer to more: no module of Python's, nothing of the library's own functions."""
    if _is_watched(value) or isinstance(value, (list, tuple, dict)):
        return True
    if not callable(value) or isinstance(value, type):
        return False
    package = str(getattr(value, "__module__", "") or "").partition(".")[0]
    return package not in ("numbanet", "numpy", "builtins")


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - raises if it is empty
    except ValueError:
        return False
    return True
