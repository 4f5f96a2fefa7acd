"""Options that are made of the settings of a run, so that every setting is one and is described in one place."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from typing import Any

import click

from numbanet.training.config import AUTO, SETTINGS

_TYPES = {"int": click.INT, "float": click.FLOAT, "str": click.STRING}


class AutoOrInt(click.ParamType):
    """A whole number, or "auto"."""

    name = "integer|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == AUTO:
            return AUTO
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a whole number nor {AUTO}", param, ctx)


def setting_options(names: Iterable[str]) -> Callable:
    """A decorator that adds one option for each of these settings; options that are not given are None."""

    def decorate(function: Callable) -> Callable:
        for name in reversed(list(names)):
            function = _option(name)(function)
        return function

    return decorate


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The settings among ``options`` that were given on the command line."""
    return {name: value for name, value in options.items() if name in SETTINGS and value not in (None, ())}


def _option(name: str) -> Callable:
    entry = SETTINGS[name]
    kind, flag, text = str(entry.type), "--" + name.replace("_", "-"), entry.metadata["help"]
    if kind.startswith("dict"):
        return click.option(
            "--model-option", name, multiple=True, metavar="KEY=VALUE", callback=_pairs, help=f"{text}; may be repeated"
        )
    if kind == "bool":
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
    if entry.metadata["choices"]:
        return click.option(flag, name, type=click.Choice(entry.metadata["choices"]), help=text)
    return click.option(flag, name, type=AutoOrInt() if kind.endswith("None") else _TYPES[kind], help=text)


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any] | None:
    """KEY=VALUE pairs as a dict; a value that reads as TOML (3, 0.5, true, [1, 2]) is that, any other a text."""
    pairs = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE", ctx, param)
        try:
            pairs[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            pairs[key] = text
    return pairs or None
