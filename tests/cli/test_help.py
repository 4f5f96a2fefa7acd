"""Every command and every option tells what it is for, and the help costs next to nothing."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import click
import pytest

from numbanet.cli import COMMANDS, group, main
from numbanet.training.config import SETTINGS


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from walk(command.get_command(context, name), (*path, name))


ALL = dict(walk(group))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_works(path: tuple[str, ...], capsys) -> None:
    for flag in ("--help", "-h"):
        assert main([*path, flag]) == 0
        assert "Usage: numbanet " + " ".join(path) in capsys.readouterr().out


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_everything_is_documented(path: tuple[str, ...]) -> None:
    command = ALL[path]
    assert command.help, f"{path} has no help"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path}: {parameter.opts} has no help"
        else:
            assert (
                parameter.make_metavar(click.Context(command)).strip("[]. ").split(".")[0] in command.help + "FILE NAME"
            )


def test_every_command_is_listed_with_its_own_short_help() -> None:
    for name, text in COMMANDS.items():
        command = importlib.import_module(f"numbanet.cli.{name}").command
        assert command.short_help == text
    assert set(COMMANDS) >= {"train", "evaluate", "predict", "models", "datasets", "info"}


def test_every_setting_is_an_option_of_train() -> None:
    train = ALL["train",]
    names = {parameter.name for parameter in train.params}
    assert set(SETTINGS) <= names
    flags = {flag for parameter in train.params for flag in parameter.opts}
    assert flags >= {
        *("--dataset", "--data-dir", "--epochs", "--batch-size", "--lr", "--optimizer", "--schedule", "--seed"),
        *("--threads", "--backend", "--config", "--out", "--resume", "--validation", "--limit", "--model-option"),
    }


def test_no_arguments_is_help(capsys) -> None:
    assert main([]) in (0, 2)  # Click 8.1 says 0, newer ones 2
    assert "Usage: numbanet" in capsys.readouterr().out


def test_version(capsys) -> None:
    from numbanet.version import __version__

    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out
