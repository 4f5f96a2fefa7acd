"""What can go wrong in training, as exceptions whose message is meant for the person at the keyboard."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TrainingError(Exception):
    """Base class: the message alone tells what was wrong, what was expected and what to do."""


class ConfigError(TrainingError, ValueError):
    """A setting has a value that it cannot have, or there is no such setting."""


class CheckpointError(TrainingError):
    """A checkpoint is missing, truncated, edited, foreign, or belongs to another model."""


class RunError(TrainingError):
    """A run folder cannot be made, read or continued."""


class DivergedError(TrainingError):
    """The loss stopped being a finite number."""


class Interrupted(TrainingError):
    """SIGINT or SIGTERM came; everything is saved. ``signal_number`` says which."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


def unknown_name(kind: str, name: str, names: Iterable[str]) -> str:
    """``unknown model 'lenet'; did you mean 'lenet5'? (there are: lenet5, mlp)``."""
    names = sorted(names)
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    guess = f"; did you mean {close[0]!r}?" if close else ";"
    listed = ", ".join(names)
    return (
        f"unknown {kind} {name!r}{guess} (there are: {listed})"
        if close
        else f"unknown {kind} {name!r}; there are: {listed}"
    )
