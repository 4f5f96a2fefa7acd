"""What every thread has for itself: whether gradients are recorded, and who listens to the ops."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable


class State(threading.local):
    """What every thread has for itself; the class attributes are its beginning."""

    grad_enabled = True
    recorder = None
    fresh: set[int] | None = None  # ids of the storages made in a running backward pass: free to be kept as .grad


state = State()


def is_grad_enabled() -> bool:
    """Whether ops on this thread are recorded for differentiation."""
    return state.grad_enabled


class set_grad_enabled:
    """Turn recording on or off on this thread: as a statement, a context manager or a decorator."""

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self.previous = [state.grad_enabled]
        state.grad_enabled = self.mode

    def __enter__(self) -> None:
        state.grad_enabled = self.mode

    def __exit__(self, *exception: object) -> None:
        state.grad_enabled = self.previous[-1]

    def __call__(self, function: Callable) -> Callable:
        state.grad_enabled = self.previous[-1]
        return _with_mode(function, self.mode)


class _Mode:
    mode = False

    def __init__(self) -> None:
        self.previous: list[bool] = []

    def __enter__(self) -> None:
        self.previous.append(state.grad_enabled)
        state.grad_enabled = self.mode

    def __exit__(self, *exception: object) -> None:
        state.grad_enabled = self.previous.pop()

    def __call__(self, function: Callable) -> Callable:
        return _with_mode(function, self.mode)

    def __new__(cls, function: Callable | None = None) -> object:
        if function is not None:  # @no_grad without brackets
            return _with_mode(function, cls.mode)
        return super().__new__(cls)


class no_grad(_Mode):
    """Context manager or decorator: ops inside are not recorded for differentiation."""

    mode = False


class enable_grad(_Mode):
    """Context manager or decorator: ops inside are recorded, even within ``no_grad``."""

    mode = True


def _with_mode(function: Callable, mode: bool) -> Callable:
    @functools.wraps(function)
    def wrapped(*arguments: object, **keywords: object) -> object:
        previous, state.grad_enabled = state.grad_enabled, mode
        try:
            return function(*arguments, **keywords)
        finally:
            state.grad_enabled = previous

    return wrapped


def keep_apart(*gradients: object) -> None:
    """A hook has seen these gradients and may hold on to them: none may become a tensor's ``.grad`` as it is."""
    if state.fresh:
        for gradient in gradients:
            if gradient is not None:
                state.fresh.discard(id(gradient._array.storage))


def set_recorder(recorder: Callable | None) -> Callable | None:
    """Have ``recorder(op, inputs, outputs)`` called after every op on this thread; returns the one before."""
    previous, state.recorder = state.recorder, recorder
    return previous
