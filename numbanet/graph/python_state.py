"""What Python remembers from one call of a function to the next besides tensors: a replay would not change it."""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from numbanet.graph.errors import GraphError
from numbanet.graph.watch import PLAIN, Watch, is_module, is_optimizer, own_attributes
from numbanet.tensor import Tensor

DEEPEST = 4
"""How far lists in lists are looked into."""
LONGEST = 1000
"""Entries of a list that are looked at, from its end."""


State = dict[tuple[str, int], Any]
"""What there is by its name, and by a number that tells those of one name apart."""


def python_state(watch: Watch) -> State:
    """What the attributes of the modules hold that are neither tensors nor modules, what else the function's code names
    (lists, objects of the user's classes), and the state of the random numbers of Python and of NumPy, in a form to
    be compared."""
    found: State = {
        ("the state of Python's random", 0): random.getstate(),
        ("the state of numpy.random", 0): _looked_at(np.random),
    }
    for number, (name, value) in enumerate(watch.others(), start=1):
        if value is not np.random:
            found[name, number] = _looked_at(value)
    for top in watch.modules:
        for path, module in top.named_modules():
            for name, value in own_attributes(module):
                if not isinstance(value, PLAIN):
                    found[f"{path}.{name}".lstrip("."), 0] = _looked_at(value)
    return found


def compare_states(before: State, now: State) -> None:
    """Raise GraphError for the first entry that differs."""
    for key in (*now, *before):
        if key not in before or key not in now or before[key] != now[key]:
            raise GraphError(f"each call changes {key[0]}, a replay would not")


_LIBRARIES = {*sys.stdlib_module_names, "numbanet", "numpy"}


def _looked_at(value: Any, depth: int = 0) -> Any:
    """A value in a form that stays what it is when the value changes."""
    if isinstance(value, PLAIN):
        return value if value == value else "nan"
    if isinstance(value, np.ndarray):
        return value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).digest()
    if value is np.random:
        return repr(np.random.get_state())  # noqa: NPY002 - users' code may draw from it
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return repr(value.get_state())
    if isinstance(value, random.Random):
        return value.getstate()
    if depth < DEEPEST and isinstance(value, (list, tuple)):
        return len(value), [_looked_at(one, depth + 1) for one in value[-LONGEST:]]
    if depth < DEEPEST and isinstance(value, Mapping):
        last = list(value.items())[-LONGEST:]
        return len(value), [(repr(key), _looked_at(one, depth + 1)) for key, one in last]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if depth < DEEPEST and _is_of_the_users(value):
        return [(name, _looked_at(one, depth + 1)) for name, one in vars(value).items()]
    return id(value)


def _is_of_the_users(value: Any) -> bool:
    """Whether it is an object of a class of nobody's library, which may remember anything."""
    if not hasattr(value, "__dict__") or isinstance(value, type | ModuleType | FunctionType | Tensor):
        return False
    if is_module(value) or is_optimizer(value):
        return False
    return type(value).__module__.partition(".")[0] not in _LIBRARIES
