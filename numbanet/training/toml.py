"""TOML in and out for Config. Python reads TOML itself; the little that a config needs to be written is here."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from numbanet.training.config import SETTINGS, Config, check_values
from numbanet.training.errors import ConfigError

FORMAT_VERSION = 1

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def dumps(config: Config) -> str:
    """The text of ``config.toml``: the format version, then every setting with its meaning."""
    values = config.as_dict()
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    lines = ["# Every setting of a numbanet run; train with them again by `numbanet train --config FILE`.", ""]
    rows = {"format_version": FORMAT_VERSION, **{k: v for k, v in values.items() if k not in tables}}
    for name, value in rows.items():
        help_text = SETTINGS[name].metadata["help"] if name in SETTINGS else "of this file"
        lines.append(f"{f'{name} = {_value(value)}':<32}  # {help_text}")
    for name, table in tables.items():
        lines += ["", f"[{name}]  # {SETTINGS[name].metadata['help']}"]
        lines += [f"{_key(key)} = {_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def loads(text: str, source: str) -> dict[str, Any]:
    """The settings in a TOML text, each checked by itself; raises :class:`ConfigError` that names ``source``."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not valid TOML: {error}") from None
    version = values.pop("format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise ConfigError(f"{source} has format version {version!r}; this numbanet reads version {FORMAT_VERSION}")
    try:
        check_values(values)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    return values


def read(path: str | Path) -> dict[str, Any]:
    """The settings in a TOML file; raises :class:`ConfigError` when it cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not a text file in UTF-8") from None
    return loads(text, str(path))


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    return f"[{', '.join(_value(part) for part in value)}]"


def _text(text: str) -> str:
    # JSON's escapes are TOML's, except that TOML also wants DEL escaped
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
