"""Options that are made of the settings of a run, so that every setting is one and is described in one place."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from numbanet.training.config import SETTINGS
from numbanet.training.settings import AUTO

MOST_BEAMS = 256
"""Beginnings that a beam search may keep for each text: each has a state of the model's."""
_TYPES = {"int": click.INT, "float": click.FLOAT, "str": click.STRING}


class FiniteRange(click.FloatRange):
    """A number in a range, which neither NaN nor infinity is in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class AutoOr(click.ParamType):
    """A number, or "auto"."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.name = f"{'integer' if kind is int else 'float'}|{AUTO}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        if value == AUTO:
            return AUTO
        try:
            return self.kind(value)
        except ValueError:
            whole = "whole " if self.kind is int else ""
            self.fail(f"{value!r} is neither a {whole}number nor {AUTO}", param, ctx)


class CommaList(click.ParamType):
    """Numbers or texts with commas between them, or one of a few words."""

    def __init__(self, kind: type, words: tuple[str, ...]) -> None:
        self.kind, self.words = kind, words
        self.name = "|".join(["A,B,...", *words])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list | str:
        if value in self.words:
            return value
        try:
            return [self.kind(part) for part in value.split(",")]
        except ValueError:
            words = "".join(f" or {word}" for word in self.words)
            self.fail(f"{value!r} must be numbers with commas between them{words}", param, ctx)


class OutFile(click.ParamType):
    """A file to write, in a folder that is there."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        if path.is_dir():
            self.fail(f"{path} is a folder; it must be a file", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"there is no folder {path.parent} for {path.name}", param, ctx)
        return path


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
            flag.removesuffix("s"),
            name,
            multiple=True,
            metavar="KEY=VALUE",
            callback=_pairs,
            help=f"{text}; may be repeated",
        )
    if kind == "bool":
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
    if kind.startswith("tuple"):
        element = str if "str" in kind else float
        return click.option(flag, name, type=CommaList(element, entry.metadata["choices"]), help=text)
    if entry.metadata["choices"]:
        return click.option(flag, name, type=click.Choice(entry.metadata["choices"]), help=text)
    if kind.endswith("None"):
        return click.option(flag, name, type=AutoOr(int if kind.startswith("int") else float), help=text)
    return click.option(flag, name, type=_TYPES[kind], help=text)


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
