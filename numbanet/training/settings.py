"""What a setting may be: how :class:`~numbanet.training.config.Config` describes and checks its fields."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from numbanet.training.errors import ConfigError

AUTO = "auto"

Limits = Mapping[str, float]


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field of ``Config``: default, one line of help, and limits (low ≤ value ≤ high, above < value < below).

    ``choices`` are all that a text may be; for a list they are texts that may stand in the place of the list.
    """
    limits = {"low": low, "above": above, "high": high, "below": below}
    return field(default=default, metadata=described(help, choices, limits))


def described(help: str, choices: tuple[str, ...] = (), limits: Mapping[str, float | None] | None = None) -> dict:
    """The metadata of a field of ``Config``."""
    given = {name: limit for name, limit in (limits or {}).items() if limit is not None}
    return {"help": help, "choices": choices, "limits": given}


def checked(entry: dataclasses.Field, value: Any) -> Any:
    """``value`` as the type of a setting; raises :class:`ConfigError` when it cannot be that."""
    kind, limits, choices = str(entry.type), entry.metadata["limits"], entry.metadata["choices"]
    if kind.startswith("dict"):
        return _options(entry.name, value)
    if kind.startswith("tuple"):
        return _list(entry.name, value, "str" not in kind, limits, choices)
    if kind == "bool":
        if not isinstance(value, bool):
            raise ConfigError(f"{entry.name} must be true or false, not {value!r}")
        return value
    if kind == "str":
        if not isinstance(value, str):
            raise ConfigError(f"{entry.name} must be a text, not {value!r}")
        if choices and value not in choices:
            raise ConfigError(f"{entry.name} must be one of {', '.join(choices)}, not {value!r}")
        return value
    if kind.endswith("None") and (value is None or value == AUTO):
        return None
    whole = kind.startswith("int")
    if not _is_number(value, whole) or not _within(value, limits):
        auto = f" or {AUTO}" if kind.endswith("None") else ""
        raise ConfigError(f"{entry.name} must be {_describe(whole, limits)}{auto}, not {value!r}")
    return value if whole else float(value)


def _list(name: str, value: Any, numbers: bool, limits: Limits, choices: tuple[str, ...]) -> Any:
    """A tuple of numbers or of texts, or one of ``choices``."""
    if isinstance(value, str) and value in choices:
        return value
    also = "".join(f" or {choice!r}" for choice in choices)
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{name} must be a list of {'numbers' if numbers else 'texts'}{also}, not {value!r}")
    for part in value:
        if numbers and not (_is_number(part, False) and _within(part, limits)):
            raise ConfigError(f"{name} must each be {_describe(False, limits)}, not {part!r}")
        if not numbers and not isinstance(part, str):
            raise ConfigError(f"{name} must each be a text, not {part!r}")
    return tuple(float(part) for part in value) if numbers else tuple(value)


def _options(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} must be a table of names and values, not {value!r}")
    found = {}
    for key, item in value.items():
        plain = list(item) if isinstance(item, list | tuple) else item
        for part in plain if isinstance(plain, list) else [plain]:
            if not isinstance(part, bool | int | float | str) or (isinstance(part, float) and not math.isfinite(part)):
                raise ConfigError(f"{name}.{key} must be a text, a finite number, true, false or a list, not {item!r}")
        found[str(key)] = plain
    return found


def _is_number(value: Any, whole: bool) -> bool:
    return isinstance(value, int if whole else int | float) and not isinstance(value, bool)


def _within(value: float, limits: Limits) -> bool:
    # every comparison with NaN is false, so `not (…)` would let it pass; these forms do not
    tests = {
        "low": lambda limit: value >= limit,
        "above": lambda limit: value > limit,
        "high": lambda limit: value <= limit,
        "below": lambda limit: value < limit,
    }
    return math.isfinite(value) and all(tests[name](limit) for name, limit in limits.items())


def _describe(whole: bool, limits: Limits) -> str:
    words = {"low": "{} or more", "above": "above {}", "high": "{} or less", "below": "below {}"}
    parts = [words[name].format(limit) for name, limit in limits.items()]
    return f"a {'whole' if whole else 'finite'} number" + (", " + " and ".join(parts) if parts else "")
