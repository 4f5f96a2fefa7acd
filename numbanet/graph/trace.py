"""What is recorded of a call: nodes, and the buffers that they read and write."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numbanet.kernels.array import Array, Storage

if TYPE_CHECKING:
    from numbanet.ops.base import Op
    from numbanet.tensor import Tensor

INPUT, EXTERNAL, CONSTANT, GRADIENT_IN, TEMPORARY, RETURNED, GRADIENT = (
    "input", "external", "constant", "gradient in", "temporary", "returned", "gradient",
)  # fmt: skip
OUTLIVING = (RETURNED, GRADIENT)


class Buffer(Storage):
    """A block of memory of the graph: stands in for the storage that was seen when the call was recorded.

    ``kind`` says whose memory it is: an input's, a tensor's that was there before (parameters, optimiser state, running
    statistics), a constant's, a gradient's that was there before, temporary, or one that outlives the call. ``number``
    counts buffers in the order in which they were met; ``key`` is the number of the input, or the tensor."""

    __slots__ = ("first", "key", "kind", "last", "name", "number", "offset", "source", "storage", "where")

    def __init__(self, number: int, storage: Storage, kind: str, key: Any = None, where: str = "") -> None:
        super().__init__(storage.backend, None, 0, storage.nbytes)
        self.number = number
        self.source = weakref.ref(storage)
        self.storage: Storage | None = None if kind == TEMPORARY else storage
        self.kind = kind
        self.key = key
        self.name = ""
        self.where = where
        self.first = self.last = -1  # the levels between which it holds something
        self.offset = -1  # in the arena

    @property
    def is_temporary(self) -> bool:
        return self.kind == TEMPORARY

    @property
    def outlives(self) -> bool:
        """Whether what the call leaves in it is still there after the next one."""
        return self.kind in OUTLIVING

    def place(self, address: int, memory: object) -> None:
        """Let it lie at an address, in a buffer of its back end."""
        self.address = address
        self.buffer = memory

    def __repr__(self) -> str:
        return f"{self.kind} {self.name or self.number}"


@dataclass(slots=True, eq=False)
class Node:
    """An op with the arrays it reads and makes; ``where``: the user's line, ``path``: the module that ran it."""

    op: Op
    inputs: list[Array]
    outputs: list[Array]
    where: str = ""
    path: str = ""
    is_backward: bool = False

    @property
    def name(self) -> str:
        return type(self.op).__name__

    @property
    def module(self) -> str:
        """The module that ran it, marked if it is of the backward pass."""
        return f"{self.path} (backward)" if self.is_backward else self.path

    @property
    def written(self) -> list[Array]:
        """The arrays that the node makes or changes."""
        return [*self.outputs, *[self.inputs[i] for i in self.op.mutates]]


@dataclass(slots=True)
class Gradient:
    """What the call leaves as ``.grad`` of a tensor: an array, or None. ``owner`` is the tensor, or an input's
    number."""

    owner: Tensor | int
    array: Array | None


@dataclass(slots=True)
class Trace:
    """All that is known of one recorded call."""

    nodes: list[Node] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    result: Any = None  # the structure of what was returned, see ``structure``
    returned: list[Array | int] = field(default_factory=list)  # arrays, or the numbers of inputs
    gradients: list[Gradient] = field(default_factory=list)
    updates: list[tuple[Any, list, list[Node]]] = field(default_factory=list)  # function, (tensor, gradient), nodes
    seed: int = 0
    begins: dict[int, int] = field(default_factory=dict)  # where the random streams stood when the call began
    drawn: dict[int, int] = field(default_factory=dict)  # words that the call takes from each of them
    kept: list[Buffer] = field(default_factory=list)  # made by the call, and still alive elsewhere
    reads: list[tuple[str, bytes]] = field(
        default_factory=list
    )  # values that Python looked at, of no part of the graph
    failure: Exception | None = None  # why a cautious recording ended before the call did
