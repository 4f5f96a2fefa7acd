"""``numbanet.compile``: a function that is recorded twice, once more for each further shape, and then replayed."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from numbanet import changes
from numbanet.autograd import is_captured, is_grad_enabled
from numbanet.graph.capture import record
from numbanet.graph.compare import settle
from numbanet.graph.errors import GraphError
from numbanet.graph.executable import Executable, StaleError
from numbanet.graph.memory import Arena, GradientBlock
from numbanet.graph.nan_check import call_checked
from numbanet.graph.other_shape import Settled, settle_by_other_shape
from numbanet.graph.plan import Plan, make_plan
from numbanet.graph.python_state import compare_states, python_state
from numbanet.graph.structure import flatten
from numbanet.graph.trace import Trace
from numbanet.graph.watch import Context, Labelled, Watch
from numbanet.kernels import memory
from numbanet.kernels.array import Array
from numbanet.kernels.threads import get_num_threads
from numbanet.tensor import Tensor

MOST_RECORDINGS = 4
"""Of one kind of call, until two in a row are alike."""
MOST_KEPT = 64
"""Recordings that wait for a second one of their kind."""


class CallKey(NamedTuple):
    """What kind of call it is: calls of one kind do the same."""

    structure: Any
    shapes: tuple
    shared: tuple
    mode: tuple
    values: Labelled
    context: Context
    gradients: tuple[bool, ...]


class CompiledFunction:
    """A function whose calls are recorded and replayed; see :func:`compile`.

    ``plans`` are the plans made so far, one for each kind of call (shapes, dtypes, modes, set of parameters)."""

    def __init__(
        self,
        function: Callable,
        max_captures: int,
        dynamic: Sequence[int],
        fallback: Callable[[str], None] | None = None,
        check_nan: bool = False,
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self.function = function
        self.max_captures = max_captures
        self.dynamic = frozenset(dynamic)
        self._fallback = fallback
        self._checks_nan = check_nan
        self._has_given_up = False
        self._watch = Watch(function)
        self._executables: dict[CallKey, Executable] = {}
        self._recordings: dict[CallKey, int] = {}
        self._undeclared: set[CallKey] = set()
        self._latest: dict[CallKey, Trace] = {}
        self._settled: dict[CallKey, Settled] = {}
        self._arena = Arena()
        self._blocks: dict[tuple, GradientBlock] = {}
        self._lock = threading.Lock()
        self._volatile: set[str] = set()
        self._context = Context(())
        self._context_at = -1
        self._owners: list[Tensor] = []
        self._storages: dict[int, int] = {}
        self._has_warned = False

    @property
    def plans(self) -> list[Plan]:
        return [executable.plan for executable in self._executables.values()]

    def __getattr__(self, name: str) -> Any:
        if name == "function" or name.startswith("__"):  # Python's protocols (copying) are for this object
            raise AttributeError(name)
        return getattr(self.function, name)

    def __reduce__(self) -> tuple:
        """A copy, also a deep one or one that is pickled, records for itself: plans hold the memory of one function."""
        settings = (self.max_captures, tuple(self.dynamic), self._fallback, self._checks_nan)
        return CompiledFunction, (self.function, *settings)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function returns, from a replay once two recordings were alike; its tensors have no history."""
        if self._has_given_up or is_captured():  # captured: part of another compiled function
            return self.function(*args, **kwargs)
        if not self._lock.acquire(blocking=False):
            raise GraphError(
                f"the compiled function {self._name} is running already (in another thread, or it calls itself); make "
                "one for each thread"
            )
        try:
            if self._checks_nan:
                return call_checked(self.function, args, kwargs, Watch(self.function))
            arguments: list[Tensor] = []
            key = self._key(flatten((args, kwargs) if kwargs else args, arguments), arguments)
            executable = self._executables.get(key)
            if executable is not None:
                try:
                    return executable.replay(arguments)
                except StaleError:
                    del self._executables[key]
                    self._latest.clear()  # they may be of tensors that are gone
                    self._settled.clear()
            return self._record(key, args, kwargs, arguments)
        finally:
            self._lock.release()

    @property
    def _name(self) -> str:
        return getattr(self.function, "__qualname__", type(self.function).__name__)

    # --- what kind of call this is -----------------------------------------------------------------------------------
    def _key(self, structure: Any, arguments: Sequence[Tensor]) -> CallKey:
        if changes.count != self._context_at:
            self._look_around()
        arrays = [tensor._array for tensor in arguments]
        shapes = [(a.shape, a.dtype.num) if a.is_contiguous else (a.shape, a.dtype.num, a.strides) for a in arrays]
        leaves = [(tensor._requires_grad, tensor._array.storage.backend) for tensor in arguments]
        grads = [owner._grad is None for owner in self._owners]
        mode = (is_grad_enabled(), get_num_threads(), *leaves)
        values = self._watch.values()
        if self._volatile:
            values = self._lasting(values)
        shared = self._shared(arguments, arrays)
        return CallKey(structure, tuple(shapes), shared, mode, values, self._context, tuple(grads))

    def _shared(self, arguments: Sequence[Tensor], arrays: Sequence[Array]) -> tuple:
        """Which arguments lie in the memory of an earlier one, or of a tensor that the function works with, and where.

        A recording takes shared memory for one buffer: it holds for calls that share the same."""
        first: dict[int, int] = {}
        found = []
        for number, array in enumerate(arrays):
            storage = id(array.storage)
            at = first.setdefault(storage, number)
            if at != number:
                is_same = arguments[at] is arguments[number]
                found.append((number, at, array.offset - arrays[at].offset, is_same))
            elif storage in self._storages:
                found.append((number, "outside", self._storages[storage], array.offset))
        return tuple(found)

    def _look_around(self) -> None:
        """Find out what the function works with now."""
        self._context_at = changes.count
        self._watch = Watch(self.function)
        self._context = Context(self._lasting(self._watch.context()))
        self._owners = [tensor for _, tensor in self._watch.tensors()]
        self._storages = {id(one._array.storage): number for number, one in enumerate(self._owners)}

    def _lasting(self, labelled: Labelled) -> Labelled:
        return tuple([pair for pair in labelled if pair[0] not in self._volatile])

    def _forget_changed(self, key: CallKey) -> CallKey:
        """Values that the call itself has changed (a counter) say nothing about what kind of call it was."""
        before = {**dict(key.values), **dict(key.context.labelled)}
        now = {**dict(self._watch.values()), **dict(self._watch.context())}
        changed = {label for label, value in before.items() if label in now and not _equal(now[label], value)}
        if not changed:
            return key
        if self._fallback is not None:
            label = min(changed)
            values = f"{label} is {now[label]!r} and was {before[label]!r}"
            raise GraphError(f"{values}: each call changes it, a replay would not")
        self._volatile |= changed
        self._context_at = -1
        self._latest = {self._without_volatile(old): trace for old, trace in self._latest.items()}
        self._settled = {self._without_volatile(old): one for old, one in self._settled.items()}
        self._executables = {self._without_volatile(old): one for old, one in self._executables.items()}
        self._undeclared = {self._without_volatile(old) for old in self._undeclared}
        return self._without_volatile(key)

    def _without_volatile(self, key: CallKey) -> CallKey:
        context = Context(self._lasting(key.context.labelled))
        return key._replace(values=self._lasting(key.values), context=context)

    def _declared(self, key: CallKey) -> CallKey:
        """The key without the dimensions that are declared to vary and the state of the gradients."""
        shapes = [
            (tuple([0 if at in self.dynamic else extent for at, extent in enumerate(one[0])]), *one[1:])
            for one in key.shapes
        ]
        return key._replace(shapes=tuple(shapes), gradients=())

    # --- recording ---------------------------------------------------------------------------------------------------
    def _record(self, key: CallKey, args: tuple, kwargs: dict, arguments: list[Tensor]) -> Any:
        declared = self._declared(key)
        if declared not in self._undeclared:
            if len(self._undeclared) >= self.max_captures:
                self._warn(declared)
                return self.function(*args, **kwargs)
            self._undeclared.add(declared)
        is_cautious = self._fallback is not None
        state = python_state(self._watch) if is_cautious else {}
        result, trace = record(self.function, args, kwargs, arguments, self._watch, is_cautious)
        try:
            if trace.failure is not None:
                raise trace.failure
            if is_cautious:
                compare_states(state, python_state(self._watch))
            self._learn(self._forget_changed(key), trace)
        except GraphError as error:
            if not is_cautious:
                raise
            self._give_up(str(error))
        return result

    def _give_up(self, why: str) -> None:
        """Be the function itself from now on."""
        self._has_given_up = True
        self._executables.clear()
        self._latest.clear()
        self._settled.clear()
        self._fallback(why)

    def _learn(self, key: CallKey, trace: Trace) -> None:
        """Make a plan if this recording is like the one before of its kind, or a settled one of another shape."""
        settled = self._settled.get(_without_extents(key))
        if settled is not None and settle_by_other_shape(settled, trace):
            self._make(key, trace)
            return
        kind = key._replace(gradients=())
        before, difference = self._latest.get(kind), None
        if before is not None:
            difference = settle(before, trace)
            if difference is None:
                self._make(key, trace)
                return
        self._keep(kind, trace)
        count = self._recordings[key] = self._recordings.get(key, 0) + 1
        if count > MOST_RECORDINGS:
            raise GraphError(f"{self._name} does something else with each call, so it cannot be replayed: {difference}")

    def _keep(self, kind: CallKey, trace: Trace) -> None:
        """Keep a recording until the next of its kind; not more than a few, for they hold on to constants."""
        self._latest.pop(kind, None)
        self._latest[kind] = trace
        while len(self._latest) > MOST_KEPT:
            del self._latest[next(iter(self._latest))]

    def _make(self, key: CallKey, trace: Trace) -> None:
        self._settled[_without_extents(key)] = Settled.of(trace)
        plan = make_plan(trace)
        memory.empty_cache()  # what recordings took, which a replay has no use for
        self._executables[key] = Executable(plan, self._arena, self._blocks)
        self._recordings.pop(key, None)

    def _warn(self, declared: CallKey) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        text = (
            f"the compiled function {self._name} was recorded for {self.max_captures} kinds of calls, and here is "
            f"another: {_first_difference(self._undeclared, declared)}. It is run eagerly where it was not "
            "recorded. Declare dimensions that vary (dynamic=...), or raise max_captures."
        )
        if self._fallback is None:
            warnings.warn(text, RuntimeWarning, stacklevel=4)
        else:
            self._fallback(text)


def _without_extents(key: CallKey) -> CallKey:
    return key._replace(shapes=tuple([(len(shape), *rest) for shape, *rest in key.shapes]))


def _first_difference(known: Iterable[CallKey], now: CallKey) -> str:
    """In words, what sets a kind of call apart from the one that is most like it."""
    before = max(known, key=lambda one: sum(a == b for a, b in zip(one, now, strict=True)))
    if before.shapes != now.shapes:
        for number, (old, new) in enumerate(zip(before.shapes, now.shapes, strict=False)):
            if old[0] != new[0]:
                return f"input {number} has shape {new[0]}, and had {old[0]}"
        return "the inputs have another dtype or other strides"
    if before.shared != now.shared:
        return "other arguments share memory with each other, or with tensors that the function works with"
    if before.structure != now.structure:
        return f"the arguments are {now.structure}, and were {before.structure}"
    for old, new in ((before.values, now.values), (before.context.labelled, now.context.labelled)):
        earlier = dict(old)
        for label, value in new:
            if not _equal(earlier.get(label), value):
                return f"{label} is {value!r}, and was {earlier.get(label)!r}"
        if len(old) != len(new):
            return "a parameter or an attribute is not there any more"
    return "gradients are wanted or not, or the number of threads is another"


def _equal(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and (a == b or (a != a and b != b)))


def compile(
    function: Callable | None = None,
    *,
    max_captures: int = 8,
    dynamic: Sequence[int] = (),
    fallback: Callable[[str], None] | None = None,
    check_nan: bool = False,
) -> CompiledFunction | Callable[[Callable], CompiledFunction]:
    """Have a function (or a module) recorded and replayed: the same results, without Python between the operations.

    A training step — forward, ``backward``, ``optimizer.step()`` — or an inference is called as before. The first
    calls run eagerly and are recorded; as soon as two in a row did the same, the further ones replay the recorded
    kernels in one call, to the same bits (an inference within 1e-5 where a batch norm is folded into a convolution).
    Another shape that takes the same ops is recorded once, and planned; another dtype, mode (train, eval) or set of
    parameters is recorded as the first. So it goes for up to ``max_captures`` kinds of calls, not counting those that
    differ only in the dimensions ``dynamic`` of their arguments.

    What is returned has no history, and lies in memory of its own, as do gradients. Python inside the function runs
    only while it is recorded, but for the optimiser's, whose learning rate is read at each call.

    Raises, when it is called: ControlFlowError where Python looks at a tensor's value, FrozenNumberError for a number
    that changes from call to call, SideEffectError for a tensor that is kept but not returned.

    With ``fallback`` none of these is raised. ``fallback(why)`` is called once, and the function is run as it is from
    then on, for a call that is recorded has all its effects. So it is where a call changes attributes of a module,
    lists and objects that its code names, or Python's or NumPy's random state, or calls a hook: Python that a replay
    would leave out.

    With ``check_nan`` nothing is replayed, and NonFiniteError names the first operation that makes a NaN, or an
    infinity of finite numbers, with its module and the user's line.
    """
    if function is None:
        return lambda given: compile(
            given, max_captures=max_captures, dynamic=dynamic, fallback=fallback, check_nan=check_nan
        )
    if not callable(function):
        raise TypeError(f"compile expects a function or a module, got {type(function).__name__}")
    if max_captures < 1:
        raise ValueError(f"max_captures must be at least 1, got {max_captures}")
    return CompiledFunction(function, max_captures, dynamic, fallback, check_nan)
