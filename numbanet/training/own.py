"""A user's own models, data sets and callbacks: a function in a file, named as ``path/file.py:function``.

A run folder keeps a copy of each such file (``model.py``, ``dataset.py``, ``callback-0.py``, …), which is what a run
that goes on and every command on the folder use: the user's file may change in the meantime. Running them means to
run that code, so open only run folders whose code you trust.
"""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numbanet.training.config import Config
from numbanet.training.errors import ConfigError, TrainingError


def is_function(name: str) -> bool:
    """Whether a name is that of a function in a file, such as ``net.py:make``."""
    return name.rpartition(":")[0].endswith(".py")


def short_name(name: str) -> str:
    """What to call a model or a data set in a folder's name: ``nets/net.py:make`` is net-make."""
    if not is_function(name):
        from numbanet import datasets  # the command line asks for names alone more often than for these

        return datasets.short_name(name)
    path, _, function = name.rpartition(":")
    return f"{Path(path).stem}-{function}"


def own_files(config: Config) -> dict[str, Path]:
    """The user's files that a run needs, by the name that their copies have in the run folder."""
    named = {"model": config.model, "dataset": config.dataset}
    named |= {f"callback-{number}": name for number, name in enumerate(config.callbacks)}
    return {f"{kind}.py": Path(name.rpartition(":")[0]) for kind, name in named.items() if is_function(name)}


def own_function(kind: str, name: str, folder: Path | None = None) -> Callable[..., Any]:
    """The function that ``name`` says; ``folder`` is the run folder whose copy comes first.

    Raises :class:`ConfigError` when there is no such file or function, or the file cannot be imported.
    """
    place, _, function = name.rpartition(":")
    original = Path(place)
    copy = folder / f"{kind}.py" if folder is not None else original
    path = copy if copy.is_file() else original
    if not path.is_file():
        raise ConfigError(f"{kind} {name}: there is no file {path}")
    module = _import(kind, path, original)
    found = getattr(module, function, None)
    if found is not None and not callable(found):
        raise ConfigError(f"{kind} {name}: {function!r} of {path} is not a function but of type {type(found).__name__}")
    if found is None:
        known = [word for word, value in vars(module).items() if callable(value) and not word.startswith("_")]
        close = difflib.get_close_matches(function, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"{kind} {name}: {path} has no function {function!r}{hint}")
    return found


def call_own(kind: str, name: str, function: Callable[..., Any], offered: dict[str, Any], wanted: dict) -> Any:
    """``function`` with those of the ``offered`` arguments that it takes, and all of the ``wanted`` ones.

    Raises :class:`ConfigError` for an argument that it does not take, one that it lacks, and for whatever it raises.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # types and functions that are written in C may have none
        raise ConfigError(
            f"{kind} {name}: Python does not know its arguments; write a function that calls it"
        ) from None
    parameters = signature.parameters.values()
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    names = [parameter.name for parameter in parameters]
    for argument in wanted:
        if argument not in names and not takes_all:
            raise ConfigError(
                f"{kind} {name}: it takes no argument {argument!r}; it takes: {', '.join(names) or 'none'}"
            )
    given = {key: value for key, value in offered.items() if key in names or takes_all}
    arguments = {**given, **wanted}
    try:
        signature.bind(**arguments)
    except TypeError as error:
        option = f" by --{kind}-option, or" if kind in ("model", "dataset") else ""
        raise ConfigError(f"{kind} {name}: {error}; give it{option} a default") from None
    with told(kind, name):
        return function(**arguments)


def _import(kind: str, path: Path, original: Path) -> Any:
    name = f"numbanet_own_{kind.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    module = importlib.util.module_from_spec(spec)
    # modules beside the user's file can be imported by it
    beside = str(original.resolve().parent)
    sys.modules[name] = module  # classes find their module by name, for example to be copied
    sys.path.insert(0, beside)
    try:
        with told(kind, str(path)):
            spec.loader.exec_module(module)
    finally:
        sys.path.remove(beside)
    return module


@contextmanager
def told(kind: str, name: str) -> Iterator[None]:
    """Inside, whatever the user's code raises becomes a :class:`ConfigError` that says where."""
    try:
        yield
    except TrainingError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{kind} {name} failed with {_described(error)}") from error


@contextmanager
def user_errors_told(config: Config) -> Iterator[None]:
    """Inside, an exception that comes up in files of the user's that the config names becomes a :class:`ConfigError`.

    Any other one is no mistake of the user's and passes as it is.
    """
    try:
        yield
    except TrainingError:
        raise
    except Exception as error:
        if not own_files(config) or _place(error) is None:
            raise
        raise ConfigError(f"code of yours failed with {_described(error)}") from error


def _described(error: BaseException) -> str:
    """An exception in one line, with its notes and its place in the user's code."""
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    notes = "".join(f", {note}" for note in getattr(error, "__notes__", ()))
    place = _place(error)
    return f"{type(error).__name__}: {message}{notes}" + (f" ({place})" if place else "")


def _place(error: BaseException) -> str | None:
    """Where in the user's code an exception came up: of what the libraries do for it, the line that asked for it."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{Path(error.filename).name}, line {error.lineno}"
    libraries = (*(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")), "<frozen ")
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        is_ours = frame.f_globals.get("__name__", "").partition(".")[0] == "numbanet"
        if not is_ours and not frame.f_code.co_filename.startswith(libraries):
            found = f"{Path(frame.f_code.co_filename).name}, line {line}"
    return found
