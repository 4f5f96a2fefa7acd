"""Which training steps are worth being recorded: those whose shapes come again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numbanet.graph import compile
from numbanet.tensor import Tensor

MOST_SHAPES = 64
"""Shapes of batches that are recorded: the plan of a small Transformer takes 3 MB."""
AT_ONCE = 1
"""Shapes that are recorded as soon as they come: that of a full batch."""
BEFORE = 1
"""Steps of any other shape before the one that is recorded: to plan it costs a part of a step, and each replay saves
some."""


class Replayed:
    """A training step, ``step(*arguments)``, that is replayed where that pays and run by Python elsewhere, to the same
    bits.

    Batches that differ in their shape are recorded each, as soon as it is likely that the shape comes often. ``tell``
    hears why something is not replayed."""

    def __init__(self, step: Callable, tell: Callable[[str], None]) -> None:
        self._step = step
        self._tell = tell
        self._compiled = compile(step, dynamic=[0, 1], fallback=self._say)
        self._counts: dict[Any, int] = {}
        self._recorded: set[Any] = set()
        self._is_full = False

    def __call__(self, *arguments: Any) -> Any:
        return self._compiled(*arguments) if self._pays(_shapes(arguments)) else self._step(*arguments)

    def _pays(self, shapes: Any) -> bool:
        """Whether steps of these shapes are to be recorded, or are so already."""
        if shapes in self._recorded:
            return True
        count = self._counts[shapes] = self._counts.get(shapes, 0) + 1
        if len(self._recorded) >= AT_ONCE and count <= BEFORE:
            return False
        if len(self._recorded) < MOST_SHAPES:
            self._recorded.add(shapes)
            return True
        if not self._is_full:
            self._is_full = True
            self._say(f"batches have many shapes; {MOST_SHAPES} of them are replayed, the others run by Python")
        return False

    def _say(self, why: str) -> None:
        self._tell(f"training steps are not replayed: {why}")


def _shapes(value: Any) -> Any:
    """The shapes of all tensors in nested tuples and lists."""
    if isinstance(value, Tensor):
        return value.shape
    return tuple([_shapes(one) for one in value]) if isinstance(value, tuple | list) else None
