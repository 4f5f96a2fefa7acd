"""A plan with its memory and its program: what a replay does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from numbanet import changes, random
from numbanet.autograd import no_grad, rehearse
from numbanet.graph.memory import Arena, GradientBlock
from numbanet.graph.plan import Plan, used_buffers
from numbanet.graph.structure import builder
from numbanet.graph.trace import CONSTANT, EXTERNAL, GRADIENT, GRADIENT_IN, INPUT, RETURNED, Buffer
from numbanet.kernels.array import Array
from numbanet.tensor import Tensor

if TYPE_CHECKING:
    from numbanet.ops.base import Op


class StaleError(Exception):
    """What the plan was made for is not there any more; the function has to be recorded again."""


class Executable:
    """Replays a plan. ``blocks`` holds the gradients' memory, which plans for the same parameters share."""

    def __init__(self, plan: Plan, arena: Arena, blocks: dict[tuple, GradientBlock]) -> None:
        self.plan = plan
        trace = plan.trace
        self._arena = arena
        self._arena_storage: object = None
        left = [*trace.returned, *[gradient.array for gradient in trace.gradients]]
        buffers = used_buffers(plan.calls, [one for one in left if type(one) is Array])
        self._by_kind: dict[str, list[Buffer]] = {}
        for buffer in buffers:
            self._by_kind.setdefault(buffer.kind, []).append(buffer)
        self._find_returned()
        self._inputs = [(buffer.key, buffer) for buffer in self._of(INPUT)]
        self._gradients_in = self._of(GRADIENT_IN)
        self._find_gradients(blocks)
        self._updates = [_Update(number, *update) for number, update in enumerate(trace.updates)]
        written = {id(array.storage) for call in plan.calls for array in call.writes}
        self._changed = [one for one in buffers if one.kind in (INPUT, EXTERNAL, GRADIENT_IN) and id(one) in written]
        self._build = builder(trace.result, len(trace.returned))
        self._seen = changes.count
        self._place_all()
        random_places = {call.piece: call.place for call in plan.calls if call.place is not None}
        self._program = plan.assembly.finish(plan.levels, random_places)

    def _of(self, *kinds: str) -> list[Buffer]:
        return [buffer for kind in kinds for buffer in self._by_kind.get(kind, ())]

    # --- memory ------------------------------------------------------------------------------------------------------
    def _find_returned(self) -> None:
        """The buffers that get new memory with each replay: what is returned, and gradients of inputs."""
        trace = self.plan.trace
        owned = {id(g.array.storage) for g in trace.gradients if g.array is not None and type(g.owner) is not int}
        fresh = [one for one in self._of(RETURNED, GRADIENT) if one.kind == RETURNED or id(one) not in owned]
        self._fresh = fresh

    def _find_gradients(self, blocks: dict[tuple, GradientBlock]) -> None:
        """Share the block of plans that leave gradients of the same tensors."""
        gradients = self.plan.trace.gradients
        fresh = {id(buffer) for buffer in self._fresh}
        mine = [g for g in gradients if type(g.owner) is not int and g.array is not None]
        mine = [g for g in mine if g.array.storage.kind == GRADIENT and id(g.array.storage) not in fresh]
        self._owners = [g.owner for g in mine]
        self._gradient_buffers = [g.array.storage for g in mine]
        self._block = None
        if mine:
            key = tuple([(id(g.owner), g.array.shape, g.array.dtype.num) for g in mine])
            if key not in blocks:
                blocks[key] = GradientBlock(self.plan.backend, [g.array for g in mine])
            self._block = blocks[key]
        self._tensors: list[Tensor] = []
        others = {id(g) for g in mine}
        self._other_gradients = [g for g in gradients if id(g) not in others]

    def _place_all(self) -> None:
        """Give every buffer an address, for the rows to be written with."""
        for buffer in self._of(EXTERNAL, CONSTANT):
            buffer.place(buffer.storage.address, buffer.storage.buffer)
        self._use_arena()
        if self._block is not None:
            self._use_gradients()

    def _use_arena(self) -> list:
        """Let the temporary buffers lie in the arena as it is now."""
        storage = self._arena_storage = self._arena.reserve(self.plan.backend, self.plan.arena_bytes)
        for one, offset, _ in self.plan.arena:
            one.address = storage.address + offset
            one.buffer = storage.buffer[offset : offset + one.nbytes]
        return [one for one, _, _ in self.plan.arena]

    def _use_gradients(self) -> list[Buffer]:
        """Let the gradients lie in the block as it is now, or in a new one if somebody still has those."""
        if not self._block.is_free():
            self._block.renew()
        self._tensors = self._block.tensors
        for buffer, storage in zip(self._gradient_buffers, self._block.storages, strict=True):
            buffer.place(storage.address, storage.buffer)
            buffer.storage = storage
        del storage  # it would be counted
        self._block.recount()
        return self._gradient_buffers

    # --- a replay ----------------------------------------------------------------------------------------------------
    def replay(self, arguments: Sequence[Tensor]) -> Any:
        """Do what the recorded call did, with these arguments; what it returned, in new memory.

        Raises StaleError, before anything is changed, if the function has to be recorded again."""
        if changes.count != self._seen:
            self._verify()
        program = self._program
        for number, buffer in self._inputs:
            self._show(buffer, arguments[number]._array)
        for buffer in self._gradients_in:
            owner = arguments[buffer.key] if type(buffer.key) is int else buffer.key
            if owner._grad is None:
                raise StaleError
            self._show(buffer, owner._grad._array)
        if self._arena.storage is not self._arena_storage:
            for one in self._use_arena():
                program.moved(one)
        undo: list[Callable[[], None]] = []
        try:
            for update in self._updates:
                update.rehearse(undo)
            self._run(program)
        except Exception:  # the updates that Python has counted were not run
            for take_back in reversed(undo):
                take_back()
            raise
        for buffer in self._changed:
            buffer.storage.version += 1
        result = self._result(arguments)
        self._set_gradients(arguments)
        for buffer in self._fresh:
            buffer.storage = buffer.buffer = None
        return result

    def _run(self, program: Any) -> None:
        """Run the program, with memory and random numbers for this call."""
        self._prepare_gradients()
        self._draw()
        for buffer in self._fresh:
            storage = buffer.storage = self.plan.backend.allocate(buffer.nbytes)
            buffer.place(storage.address, storage.buffer)
            program.moved(buffer)
        program.run()

    def _show(self, buffer: Buffer, array: Array) -> None:
        """Let the buffer be the memory of this array."""
        storage, address = array.storage, array.address
        if buffer.address != address or buffer.storage is not storage:
            begin = address - storage.address
            buffer.storage = storage
            buffer.place(address, storage.buffer[begin:] if begin else storage.buffer)
            self._program.moved(buffer)

    def _prepare_gradients(self) -> None:
        """Memory for the gradients, and not that of gradients which somebody still has."""
        if self._block is None:
            return
        for owner in self._owners:
            owner._grad = None
        if self._block.tensors is not self._tensors or not self._block.is_free():
            for buffer in self._use_gradients():
                self._program.moved(buffer)

    def _draw(self) -> None:
        """Take this call's random numbers from the streams."""
        drawn = self.plan.trace.drawn
        if not drawn:
            return
        seed, begins = random.reserve(drawn)
        self._program.draw(seed, begins)

    def _result(self, arguments: Sequence[Tensor]) -> Any:
        leaves = []
        for one in self.plan.trace.returned:
            buffer = None if type(one) is int else one.storage
            if buffer is None:
                leaves.append(arguments[one])
            elif buffer.kind == EXTERNAL and buffer.key is not None and _shows(buffer.key._array, one):
                leaves.append(buffer.key)
            elif buffer.kind == CONSTANT:
                leaves.append(Tensor(_real(one, arguments)).clone())
            else:
                leaves.append(Tensor(_real(one, arguments)))
        return self._build(leaves)

    def _set_gradients(self, arguments: Sequence[Tensor]) -> None:
        for owner, tensor in zip(self._owners, self._tensors, strict=True):
            owner._grad = tensor
        for gradient in self._other_gradients:
            owner = arguments[gradient.owner] if type(gradient.owner) is int else gradient.owner
            owner._grad = None if gradient.array is None else Tensor(_real(gradient.array, arguments))

    def _verify(self) -> None:
        """Look whether the tensors from outside still lie where they did."""
        for buffer in self._of(EXTERNAL):
            tensor = buffer.key
            if tensor is None or tensor._array.storage is buffer.storage:
                continue
            array = tensor._array
            if not array.is_contiguous or array.size * array.dtype.itemsize != buffer.nbytes:
                raise StaleError
            self._show(buffer, array)
        self._seen = changes.count


def _real(array: Array, arguments: Sequence[Tensor]) -> Array:
    """The array of a buffer in the memory where it lies now."""
    buffer, offset = array.storage, array.offset
    if buffer.kind == INPUT:
        offset += arguments[buffer.key]._array.offset
    strides = None if array.is_contiguous else array.strides
    return Array(buffer.storage, array.shape, array.dtype, strides, offset)


def _shows(array: Array, other: Array) -> bool:
    """Whether two arrays are the same view of a storage."""
    return (array.shape, array.strides, array.offset) == (other.shape, other.strides, other.offset)


class _Update:
    """An optimiser's Python, which writes the numbers of the day before each replay; its ops are in the plan.

    While it runs, each parameter's ``grad`` is a stand-in for the gradient that the plan will compute."""

    def __init__(self, number: int, function: Any, gradients: list[tuple[Tensor, Array]], nodes: list) -> None:
        self._number = number
        self._function = function
        self._stand_ins = [(owner, Tensor(array)) for owner, array in gradients]
        self._nodes = nodes
        self._expected: list[tuple[Op, list[int]]] | None = None
        self._kept: list = []

    def rehearse(self, undo: list[Callable[[], None]]) -> None:
        """Run the function without its ops, ``undo`` as for :func:`numbanet.autograd.rehearse`.

        Raises StaleError if they would not be those of the plan."""
        before = [owner._grad for owner, _ in self._stand_ins]
        for owner, stand_in in self._stand_ins:
            owner._grad = stand_in
        try:
            with no_grad():
                noted = rehearse(self._number, self._function, undo)
        finally:
            for (owner, _), gradient in zip(self._stand_ins, before, strict=True):
                owner._grad = gradient
        calls = [(op, list(map(id, inputs))) for op, inputs in noted]
        if calls != self._expected:
            self._compare(noted, calls)

    def _compare(self, noted: list, calls: list) -> None:
        """Where they are not those of the last replay, ops and tensors must be those of the plan."""
        same = len(noted) == len(self._nodes)
        if same:
            for (op, inputs), node in zip(noted, self._nodes, strict=True):
                same = same and _is_same_op(op, node.op) and all(map(_stands_for, node.inputs, inputs))
        if not same:
            raise StaleError
        self._expected, self._kept = calls, [inputs for _, inputs in noted]


def _is_same_op(a: Op, b: Op) -> bool:
    """Whether two ops do the same; there may be two of the same settings, see ``ops.base.OpClass``."""
    return a is b or (type(a) is type(b) and all(getattr(a, f.name) == getattr(b, f.name) for f in fields(a)))


def _stands_for(array: Array, tensor: Tensor) -> bool:
    """Whether the plan's array is the memory of this tensor."""
    storage = tensor._array.storage
    return storage is array.storage or storage is array.storage.storage
