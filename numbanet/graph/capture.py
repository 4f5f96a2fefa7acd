"""Recording a call: every op, also those of the backward pass and of the optimiser, as it is run.

The call itself is an ordinary one, with all its effects; so what is recorded is what eager execution does.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from numbanet import random
from numbanet.autograd import run_update, set_capture, set_recorder
from numbanet.graph.errors import ControlFlowError, GraphError
from numbanet.graph.places import here, users_line
from numbanet.graph.structure import flatten, rebuild
from numbanet.graph.trace import (
    EXTERNAL,
    GRADIENT,
    GRADIENT_IN,
    INPUT,
    RETURNED,
    TEMPORARY,
    Buffer,
    Gradient,
    Node,
    Trace,
)
from numbanet.kernels.array import Array, Storage
from numbanet.ops.base import ViewOp
from numbanet.ops.pointwise import CopyFrom, Fill
from numbanet.ops.random import Normal, Uniform
from numbanet.ops.transfer import Transfer
from numbanet.tensor import Tensor

if TYPE_CHECKING:
    from numbanet.graph.watch import Watch
    from numbanet.ops.base import Op

OVERWRITES = (Fill, CopyFrom, Uniform, Normal)
"""Ops in place that do not look at what was there before."""


class Recorder:
    """Turns the ops of a running call into a Trace.

    A cautious one lets the call go on where it cannot be recorded, and notes why in the trace's ``failure``; Python
    that a replay would leave out (hooks) is such a reason, too."""

    def __init__(self, arguments: Sequence[Tensor], watch: Watch, is_cautious: bool = False) -> None:
        self.trace = Trace()
        self._is_cautious = is_cautious
        self._known: dict[int, Buffer] = {}
        self._names = watch.module_names()
        self._forwards: dict[int, tuple[str, str]] = {}
        self._tape: list[object] = []  # keeps the tape's nodes alive, so that their ids stay their own
        self._grads: dict[int, tuple[Tensor, Tensor | None]] = {}
        self._arguments = {id(tensor): number for number, tensor in enumerate(arguments)}
        self._tensor_names = {id(tensor): name for name, tensor in watch.tensors()}
        self._offsets: dict[int, int] = {}  # of the arguments in their storages
        for _, tensor in watch.tensors():
            self._meet_owner(tensor)
        for number in self._lowest(arguments):
            self._enter_argument(number, arguments[number])
        self._state = random.get_state()
        self.trace.seed = self._state["seed"]
        self.trace.begins = {int(stream): offset for stream, offset in self._state["offsets"].items()}

    def _lowest(self, arguments: Sequence[Tensor]) -> Iterable[int]:
        """The arguments by number, of those that share memory the one that begins first."""
        lowest: dict[int, int] = {}
        for number, tensor in enumerate(arguments):
            self._meet_owner(tensor)
            other = lowest.setdefault(id(tensor._array.storage), number)
            if tensor._array.offset < arguments[other]._array.offset:
                lowest[id(tensor._array.storage)] = number
        return lowest.values()

    def _enter_argument(self, number: int, tensor: Tensor) -> None:
        buffer = self._add(tensor._array.storage, INPUT, number)
        buffer.name = f"input {number}"
        buffer.nbytes = tensor._array.size * tensor._array.dtype.itemsize
        self._offsets[buffer.number] = tensor._array.offset

    # --- what the dispatcher says ------------------------------------------------------------------------------------
    def __call__(self, op: Op, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Note an op."""
        if self.trace.failure is None and not isinstance(op, ViewOp):
            with self._caution():
                self._note(op, inputs, outputs)

    @contextlib.contextmanager
    def _caution(self) -> Iterator[None]:
        """Inside, a cautious recorder notes a GraphError in the place of raising it."""
        try:
            yield
        except GraphError as error:
            if not self._is_cautious:
                raise
            self.trace.failure = error

    def _note(self, op: Op, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        where, path, is_backward = here(self._names, self._forwards)
        if isinstance(op, Transfer):
            raise GraphError(f"{where}: a compiled function cannot move tensors from one back end to another")
        in_place = bool(outputs) and bool(inputs) and outputs[0]._array.storage is inputs[0]._array.storage
        node = Node(op, [], [], where, path, is_backward)
        for number, tensor in enumerate(inputs):
            overwritten = in_place and number == 0 and isinstance(op, OVERWRITES)
            node.inputs.append(self._seen(tensor, where, not overwritten))
        for tensor in outputs:
            known = self._buffer(tensor._array.storage)
            if known is None:
                self._add(tensor._array.storage, TEMPORARY, None, where)
            node.outputs.append(self.array(tensor._array))
            if tensor._node is not None and id(tensor._node) not in self._forwards:
                self._forwards[id(tensor._node)] = (where, path)
                self._tape.append(tensor._node)
        if any(array.size for array in node.written):
            self.trace.nodes.append(node)

    def read(self, tensor: Tensor) -> None:
        """Python asks for a tensor's value: an error, unless it is no part of the graph."""
        if self.trace.failure is None:
            with self._caution():
                self._note_read(tensor)

    def _note_read(self, tensor: Tensor) -> None:
        if self._buffer(tensor._array.storage) is not None:
            raise ControlFlowError(
                f"{users_line()}: this reads the value of a tensor of shape {tensor.shape} inside a compiled function. "
                "A replay would not look at it again. Return the tensor and look at it outside, or write the choice "
                "as an op (numbanet.where)."
            )
        self.trace.reads.append((users_line(), tensor._array.numpy().tobytes()))

    def hook(self) -> None:
        """A hook is called."""
        if self._is_cautious and self.trace.failure is None:
            self.trace.failure = GraphError("a hook is called, whose Python a replay would leave out")

    def numbers(self, update: Callable[[], None]) -> None:
        """Note which nodes an update appends, whose Python has to run before each replay."""
        if self.trace.failure is not None:
            update()
            return
        begin = len(self.trace.nodes)
        pairs = [(tensor, tensor._grad) for tensor, _ in self._grads.values() if tensor._grad is not None]
        held = [(tensor, self.array(grad._array)) for tensor, grad in pairs if self._buffer(grad._array.storage)]
        run_update(len(self.trace.updates), update)
        self.trace.updates.append((update, held, self.trace.nodes[begin:]))

    # --- buffers -----------------------------------------------------------------------------------------------------
    def _buffer(self, storage: Storage) -> Buffer | None:
        found = self._known.get(id(storage))
        return found if found is not None and found.source() is storage else None

    def _add(self, storage: Storage, kind: str, key: Any, where: str = "") -> Buffer:
        buffer = Buffer(len(self.trace.buffers), storage, kind, key, where)
        self.trace.buffers.append(buffer)
        self._known[id(storage)] = buffer
        return buffer

    def _seen(self, tensor: Tensor, where: str, is_read: bool) -> Array:
        """The array of a tensor that an op takes. One from outside becomes an external buffer."""
        if self._buffer(tensor._array.storage) is None:
            if is_read:
                buffer = self._add(tensor._array.storage, EXTERNAL, tensor, where)
                buffer.name = self._tensor_names.get(id(tensor), "")
                self._meet_owner(tensor)
            else:
                self._add(tensor._array.storage, TEMPORARY, None, where)
        return self.array(tensor._array)

    def _meet_owner(self, tensor: Tensor) -> None:
        if tensor._requires_grad and tensor._node is None and id(tensor) not in self._grads:
            self._grads[id(tensor)] = (tensor, tensor._grad)

    def array(self, array: Array) -> Array:
        """The same view of the graph's buffer."""
        buffer = self._known[id(array.storage)]
        offset = array.offset - self._offsets.get(buffer.number, 0)
        if offset < 0:
            raise GraphError("a compiled function uses memory in front of an argument, which is a view; pass a clone()")
        return Array(buffer, array.shape, array.dtype, None if array.is_contiguous else array.strides, offset)

    # --- the end of the call -----------------------------------------------------------------------------------------
    def finish(self, result: Any) -> Any:
        """Note what the call leaves behind; its result without history, as a replay gives it."""
        if self.trace.failure is None:
            with self._caution():
                return self._finish(result)
        return result

    def _finish(self, result: Any) -> Any:
        trace = self.trace
        tensors: list[Tensor] = []
        trace.result = flatten(result, tensors)
        self._note_gradients()
        leaves = [self._note_returned(tensor) for tensor in tensors]
        self._note_draws()
        self._tape.clear()
        del result, tensors
        return rebuild(trace.result, iter(leaves))

    def _note_returned(self, tensor: Tensor) -> Tensor:
        trace, storage = self.trace, tensor._array.storage
        if id(tensor) in self._arguments:
            trace.returned.append(self._arguments[id(tensor)])
            return tensor
        if self._buffer(storage) is None:
            self._add(storage, EXTERNAL, tensor, "the function's result")
        buffer = self._known[id(storage)]
        if buffer.is_temporary:
            buffer.kind = RETURNED
        trace.returned.append(self.array(tensor._array))
        return tensor if buffer.key is tensor else Tensor(tensor._array)

    def _note_gradients(self) -> None:
        for tensor, before in self._grads.values():
            after = tensor._grad
            buffer = None if before is None else self._buffer(before._array.storage)
            if buffer is not None and buffer.kind == EXTERNAL:
                buffer.kind, buffer.key = GRADIENT_IN, self._arguments.get(id(tensor), tensor)
            owner = self._arguments.get(id(tensor), tensor)
            if after is before and (after is not None or owner is tensor):  # the key says of which there is none
                continue
            if after is None:
                self.trace.gradients.append(Gradient(owner, None))
                continue
            if self._buffer(after._array.storage) is None:
                self._add(after._array.storage, EXTERNAL, after, "a gradient")
            buffer = self._known[id(after._array.storage)]
            if buffer.is_temporary:
                buffer.kind = GRADIENT
                buffer.name = f"gradient of {self._tensor_names.get(id(tensor), 'a tensor')}"
            self.trace.gradients.append(Gradient(owner, self.array(after._array)))

    def _note_draws(self) -> None:
        before, after = self._state, random.get_state()
        if before["seed"] != after["seed"] or before["offsets"].keys() > after["offsets"].keys():
            raise GraphError("a compiled function called manual_seed; call it outside")
        for stream, offset in after["offsets"].items():
            words = offset - before["offsets"].get(stream, 0)
            if words < 0:
                raise GraphError("a compiled function called manual_seed; call it outside")
            if words:
                self.trace.drawn[int(stream)] = words


def record(
    function: Callable,
    args: tuple,
    kwargs: dict,
    arguments: Sequence[Tensor],
    watch: Watch,
    is_cautious: bool = False,
) -> tuple:
    """Call the function and record it: (result, trace)."""
    recorder = Recorder(arguments, watch, is_cautious)
    before = set_recorder(recorder), set_capture(recorder)
    try:
        result = function(*args, **kwargs)
    finally:
        set_recorder(before[0])
        set_capture(before[1])
    result = recorder.finish(result)
    trace = recorder.trace
    del recorder
    _note_kept(trace)
    return result, trace


def _note_kept(trace: Trace) -> None:
    """List what the call made and somebody still holds."""
    for attempt in range(2):
        trace.kept = [buffer for buffer in trace.buffers if buffer.is_temporary and buffer.source() is not None]
        if not trace.kept:
            return
        if attempt == 0:
            gc.collect()
