"""What every thread has for itself: whether gradients are recorded, and who listens to the ops."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from numbanet.tensor import Tensor


class Capture(Protocol):
    """What a recorded call wants to hear of besides the ops."""

    def read(self, tensor: Tensor) -> None:
        """Python asks for the value of a tensor."""

    def hook(self) -> None:
        """A hook is called."""

    def numbers(self, update: Callable[[], None]) -> None:
        """Call ``update``, whose Python writes numbers that its ops read through a pointer."""


class State(threading.local):
    """What every thread has for itself; the class attributes are its beginning."""

    grad_enabled = True
    recorder: Callable | None = None
    capture: Capture | None = None
    rehearsal: list[tuple] | None = None  # optimiser updates that are noted instead of being run
    undo: list[Callable[[], None]] | None = None  # takes back what the Python of a rehearsed update has changed
    update = 0  # which of a recorded call's updates writes its numbers
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
    """Have ``recorder(op, inputs, outputs)`` called after every op on this thread; returns the one before.

    The tensors are those that the kernels were given: copies where an op needed its inputs contiguous."""
    previous, state.recorder = state.recorder, recorder
    return previous


def set_capture(capture: Capture | None) -> Capture | None:
    """Tell ``capture`` on this thread of values that Python reads and numbers that it writes; returns the one
    before."""
    previous, state.capture = state.capture, capture
    return previous


def tell_of_hook() -> None:
    """Whoever calls a hook says so first: a recorded graph repeats its ops, but not its Python."""
    if state.capture is not None:
        state.capture.hook()


def current_capture() -> Capture | None:
    """The recording of a graph of what this thread does."""
    return state.capture


def is_captured() -> bool:
    """Whether a graph of what this thread does is being recorded."""
    return state.capture is not None


def with_numbers(update: Callable[[], None]) -> None:
    """Call ``update``: Python that writes numbers (a learning rate, a step) where the updates that it runs read them.

    A recorded graph calls it again before each replay, with its updates left out, so that the numbers are those of the
    day."""
    if state.capture is None:
        update()
    else:
        state.capture.numbers(update)


def run_update(number: int, update: Callable[[], None]) -> None:
    """Call ``update``, number ``number`` of a recorded call."""
    state.update = number
    try:
        update()
    finally:
        state.update = 0


def update_number() -> int:
    """Which of a recorded call's updates is running: each keeps its numbers in memory of its own, for a replay has all
    of them written before the first is read."""
    return state.update


def rehearse(number: int, update: Callable[[], None], undo: list[Callable[[], None]]) -> list[tuple]:
    """Call ``update`` without running the ops that change tensors; (op, inputs) of each. What takes back the changes of
    its Python is appended to ``undo``."""
    state.rehearsal = noted = []
    state.undo = undo
    try:
        run_update(number, update)
    finally:
        state.rehearsal = state.undo = None
    return noted


def undo_list() -> list[Callable[[], None]] | None:
    """Where an update that counts (steps, averages) adds how to take that back, should its ops not be run after all;
    None if they are run right away."""
    return state.undo
