"""What Python remembers from one call of a function to the next besides tensors: a replay would not change it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from numbanet.graph.errors import GraphError
from numbanet.graph.watch import PLAIN, Watch

DEEPEST = 4
"""How far lists in lists are looked into."""
LONGEST = 1000
"""Entries of a list that are looked at, from its end."""


def python_state(watch: Watch) -> dict[str, Any]:
    """What the attributes of the modules hold that are neither tensors nor modules, and the state of the random numbers
    of Python and of NumPy, each by a name, in a form to be compared."""
    found = {"the state of Python's random": random.getstate(), "the state of numpy.random": _looked_at(np.random)}
    for top in watch.modules:
        for path, module in top.named_modules():
            for name, value in vars(module).items():
                if not isinstance(value, PLAIN) and name not in _OWN:
                    found[f"{path}.{name}".lstrip(".")] = _looked_at(value)
    return found


def compare_states(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise GraphError for the first entry that differs."""
    for name in (*now, *before):
        if name not in before or name not in now or before[name] != now[name]:
            raise GraphError(f"each call changes {name}, a replay would not")


_OWN = ("_parameters", "_buffers", "_modules")


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
    if isinstance(value, random.Random):
        return value.getstate()
    if depth < DEEPEST and isinstance(value, (list, tuple)):
        return len(value), [_looked_at(one, depth + 1) for one in value[-LONGEST:]]
    if depth < DEEPEST and isinstance(value, Mapping):
        last = list(value.items())[-LONGEST:]
        return len(value), [(repr(key), _looked_at(one, depth + 1)) for key, one in last]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    return id(value)
