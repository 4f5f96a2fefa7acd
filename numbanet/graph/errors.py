"""What can go wrong with a function that is compiled."""

from __future__ import annotations


class GraphError(RuntimeError):
    """A function cannot be recorded, or a recorded one cannot be replayed. The process can go on without."""


class ControlFlowError(GraphError):
    """Python looks at the value of a tensor inside a compiled function: a replay would not look again."""


class FrozenNumberError(GraphError):
    """A Python number differs from call to call; a replay would repeat the one that was recorded."""


class NonFiniteError(GraphError):
    """An operation of a function that is checked makes a NaN or an infinity, or meets a NaN that was there before."""


class SideEffectError(GraphError):
    """A compiled function keeps a tensor where a replay would not put it."""
