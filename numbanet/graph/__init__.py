"""The layered graph executor: record a function, arrange what it does in levels, plan its memory, replay it.

``capture`` records the ops of a call (``trace``), ``compare`` tells what may be repeated, ``lower`` makes calls of the
contract of the nodes, ``levels`` and ``arena`` say when and where, ``executable`` replays.
"""

from numbanet.graph.compiled import CompiledFunction, compile
from numbanet.graph.errors import ControlFlowError, FrozenNumberError, GraphError, NonFiniteError, SideEffectError

__all__ = [
    "CompiledFunction",
    "ControlFlowError",
    "FrozenNumberError",
    "GraphError",
    "NonFiniteError",
    "SideEffectError",
    "compile",
]
