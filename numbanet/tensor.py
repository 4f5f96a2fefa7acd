"""Tensor: a view of a storage, its gradient, and the op that made it."""

from __future__ import annotations

import copy
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from numbanet import autograd, changes
from numbanet.autograd import Node, apply, apply_view, no_grad
from numbanet.autograd.modes import state
from numbanet.hooks import RemovableHandle, add_hook
from numbanet.kernels.array import Array, copied, new_array
from numbanet.kernels.backend import load_backend
from numbanet.ops.base import BOOL, FLOAT32, FLOAT64, INT32, INT64
from numbanet.ops.pointwise import CLONE
from numbanet.ops.shape import Alias
from numbanet.ops.transfer import transfer
from numbanet.tensor_inplace import InplaceMethods
from numbanet.tensor_math import MathMethods
from numbanet.tensor_reduce import ReduceMethods
from numbanet.tensor_shape import ShapeMethods

DTYPES = {
    np.dtype(kind) for kind in (np.float32, np.float64, np.int64, np.int32, np.int16, np.int8, np.uint8, np.bool_)
}
_PYTHON_DTYPES = {float: FLOAT32, int: INT64, bool: BOOL}


def as_dtype(dtype: object) -> np.dtype:
    """A dtype from numbanet.float32, "float32", np.float32 or Python's float, int and bool. TypeError if there is
    none."""
    found = _PYTHON_DTYPES.get(dtype) or np.dtype(dtype)
    if found not in DTYPES:
        raise TypeError(f"tensors cannot be {found}; there are: {', '.join(sorted(str(one) for one in DTYPES))}")
    return np.dtype(found.type)  # the one object for this dtype, which back ends compare by identity


class Tensor(MathMethods, ReduceMethods, ShapeMethods, InplaceMethods):
    """An array of numbers that belongs to a back end and can be differentiated.

    Made by ``numbanet.tensor`` and its relatives. ``requires_grad`` asks for a gradient: ``backward`` of what is
    computed
    from it fills ``grad``.
    """

    __slots__ = ("__weakref__", "_array", "_base", "_base_node", "_grad", "_hooks", "_index", "_node", "_requires_grad")

    def __init__(self, array: Array, requires_grad: bool = False, node: Node | None = None, index: int = 0) -> None:
        self._array = array
        self._requires_grad = requires_grad
        self._node = node
        self._index = index
        self._base = self._grad = self._hooks = None

    # --- what it is ---
    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> np.dtype:
        return self._array.dtype

    @property
    def ndim(self) -> int:
        return len(self._array.shape)

    @property
    def backend(self) -> str:
        """The name of the back end that the tensor belongs to."""
        return self._array.storage.backend.name

    @property
    def nbytes(self) -> int:
        return self._array.size * self._array.dtype.itemsize

    def dim(self) -> int:
        return len(self._array.shape)

    def numel(self) -> int:
        return self._array.size

    def size(self, dim: int | None = None) -> tuple[int, ...] | int:
        return self._array.shape if dim is None else self._array.shape[dim]

    def stride(self, dim: int | None = None) -> tuple[int, ...] | int:
        """The strides in elements."""
        return self._array.strides if dim is None else self._array.strides[dim]

    def storage_offset(self) -> int:
        return self._array.offset

    def element_size(self) -> int:
        return self._array.dtype.itemsize

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self._array.address

    def is_floating_point(self) -> bool:
        return self._array.dtype.kind == "f"

    @property
    def _version(self) -> int:
        return self._array.storage.version

    # --- gradients ---
    @property
    def requires_grad(self) -> bool:
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for a gradient, or not any more."""
        if self._node is not None and not requires_grad:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed "
                "variable in a "
                "subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        if requires_grad and self._array.dtype.kind != "f":
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if self._node is None and self._requires_grad != bool(requires_grad):
            changes.note()
            self._requires_grad = bool(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was not computed by ops that are part of the graph."""
        return self._node is None

    @property
    def grad_fn(self) -> Node | None:
        """The node of the graph that made it."""
        return self._node

    @property
    def grad(self) -> Tensor | None:
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}"
                )
            if value.shape != self.shape or value.dtype != self.dtype:
                raise RuntimeError(
                    f"assigned grad has data of a different size or type: {value.shape} {value.dtype} for a tensor "
                    f"{self.shape} {self.dtype}"
                )
        self._grad = value

    def backward(
        self, gradient: Tensor | None = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Add the gradients of the graph's leaves to their ``grad``; ``gradient`` is needed unless this is one
        number."""
        autograd.backward([self], [gradient], retain_graph, create_graph)

    def retain_grad(self) -> None:
        """Have ``backward`` fill ``grad`` though this is no leaf."""
        if not self._requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self._node is not None:
            if self._node.retained is None:
                self._node.retained = {}
            self._node.retained[self._index] = weakref.ref(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Have ``hook(grad)`` called when the gradient is known; what it returns takes its place."""
        if not self._requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self._node is None:
            if self._hooks is None:
                self._hooks = OrderedDict()
            hooks = self._hooks
        else:
            if self._node.hooks is None:
                self._node.hooks = {}
            hooks = self._node.hooks.setdefault(self._index, OrderedDict())
        return add_hook(hooks, hook)

    def detach(self) -> Tensor:
        """The same memory without history."""
        return tensor_of(self._array)

    def detach_(self) -> Tensor:
        """Forget the history."""
        if self._base is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._node, self._index, self._requires_grad = None, 0, False
        return self

    @property
    def data(self) -> Tensor:
        """The same memory without history; assigning changes which memory this tensor shows."""
        return Tensor(self._array)

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data must be a Tensor, got {type(value).__name__}")
        changes.note()
        self._array = value._array

    # --- copies and conversions ---
    def clone(self) -> Tensor:
        """A copy, part of the graph."""
        return apply(CLONE, self)

    def alias(self) -> Tensor:
        """A view of all of it, part of the graph."""
        return apply_view(Alias(), self)

    def to(
        self, target: object = None, *, dtype: object = None, backend: str | None = None, copy: bool = False
    ) -> Tensor:
        """The tensor in another dtype, on another back end (by name), or like another tensor; itself if nothing
        changes."""
        if isinstance(target, Tensor):
            dtype, backend = target.dtype, target.backend
        elif target in ("cpu", "numpy"):
            backend = target
        elif target is not None:
            dtype = target
        result = self
        if backend is not None and backend != self.backend:
            load_backend(backend)  # a clear error for an unknown name
            result = transfer(result, backend)
        if dtype is not None and dtype is not self._array.dtype:
            result = result._cast(as_dtype(dtype))
        return result.clone() if copy and result is self else result

    def type_as(self, other: Tensor) -> Tensor:
        return self.to(other.dtype)

    def float(self) -> Tensor:
        return self._cast(FLOAT32)

    def double(self) -> Tensor:
        return self._cast(FLOAT64)

    def long(self) -> Tensor:
        return self._cast(INT64)

    def int(self) -> Tensor:
        return self._cast(INT32)

    def bool(self) -> Tensor:
        return self._cast(BOOL)

    def numpy(self) -> np.ndarray:
        """The same memory as an ndarray."""
        if self._requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return self._read().numpy()

    def _read(self) -> Array:
        """The array, for Python to look at its elements."""
        if state.capture is not None:
            state.capture.read(self)
        return self._array

    def cpu(self) -> Tensor:
        return self

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def item(self) -> float | int | bool:
        """The one element as a Python number."""
        if self._array.size != 1:
            raise RuntimeError(f"a Tensor with {self._array.size} elements cannot be converted to Scalar")
        return self._read().numpy().item()

    def tolist(self) -> list | float | int | bool:
        """Nested lists of Python numbers."""
        return self._read().numpy().tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._array.dtype.kind not in "iu":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __bool__(self) -> bool:
        if self._array.size != 1:
            many = "more than one value" if self._array.size else "no values"
            raise RuntimeError(f"Boolean value of Tensor with {many} is ambiguous")
        return bool(self.item())

    def __contains__(self, value: object) -> bool:
        return bool((self == value).any())

    # --- new tensors like this one ---
    def new_empty(self, size: Sequence[int], dtype: object = None) -> Tensor:
        """A tensor with undefined elements, of this dtype and back end."""
        dtype = self._array.dtype if dtype is None else as_dtype(dtype)
        return Tensor(new_array(self._array.storage.backend, tuple(size), dtype))

    def new_full(self, size: Sequence[int], value: float, dtype: object = None) -> Tensor:
        """A tensor filled with value, of this dtype and back end."""
        return self.new_empty(size, dtype).fill_(value)

    def new_zeros(self, size: Sequence[int], dtype: object = None) -> Tensor:
        return self.new_full(size, 0, dtype)

    def new_ones(self, size: Sequence[int], dtype: object = None) -> Tensor:
        return self.new_full(size, 1, dtype)

    def zeros_like(self) -> Tensor:
        return self.new_full(self._array.shape, 0)

    def new_tensor(self, data: object, dtype: object = None) -> Tensor:
        """A tensor made from data, on this back end."""
        from numbanet.creation import from_data

        return from_data(data, dtype, self._array.storage.backend)

    def new_arange(self, stop: int) -> Tensor:
        """0 … stop − 1 (int64), on this back end."""
        return self.new_tensor(np.arange(stop))

    # --- saving and showing ---
    def __deepcopy__(self, memo: dict) -> Tensor:
        if self._node is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at "
                "the moment."
            )
        if id(self) in memo:
            return memo[id(self)]
        with no_grad():
            array = self.clone()._array
        result = memo[id(self)] = _rebuild(type(self), array, self._requires_grad)
        if self._grad is not None:
            result._grad = copy.deepcopy(self._grad, memo)
        if hasattr(self, "__dict__"):
            result.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return result

    def __reduce_ex__(self, protocol: object) -> tuple:
        if self._node is not None:
            raise RuntimeError("Only leaf tensors can be pickled; use .detach()")
        array = np.ascontiguousarray(self._array.numpy()).reshape(self._array.shape)
        return _unpickle, (type(self), array, self.backend, self._requires_grad, getattr(self, "__dict__", None))

    def __repr__(self) -> str:
        text = np.array2string(self._array.numpy(), separator=", ", precision=4, prefix="tensor(", threshold=1000)
        if self._array.dtype not in (FLOAT32, INT64, BOOL) or self._array.size == 0:
            text += f", dtype={self._array.dtype}"
        if self._node is not None:
            text += f", grad_fn=<{self._node.name}>"
        elif self._requires_grad:
            text += ", requires_grad=True"
        return f"tensor({text})"

    def __format__(self, specification: str) -> str:
        if self._array.ndim == 0:
            return format(self.item(), specification)
        return format(repr(self), specification)


_new = object.__new__


def tensor_of(array: Array, requires_grad: bool = False, node: Node | None = None, index: int = 0) -> Tensor:
    """``Tensor(array, …)`` in half the time."""
    tensor = _new(Tensor)
    tensor._array = array
    tensor._requires_grad = requires_grad
    tensor._node = node
    tensor._index = index
    tensor._base = tensor._grad = tensor._hooks = None
    return tensor


def clear_gradients(parameters: Iterable[Tensor], set_to_none: bool) -> None:
    """Drop gradients, or fill them with zeros in place (what they were computed from is forgotten)."""
    for parameter in parameters:
        if set_to_none:
            parameter.grad = None
        elif parameter.grad is not None:
            parameter.grad = parameter.grad.detach()
            parameter.grad.zero_()


def _rebuild(kind: type, array: Array, requires_grad: bool) -> Tensor:
    """A tensor of a subclass without its __init__, whose arguments are its own affair."""
    result = kind.__new__(kind)
    Tensor.__init__(result, array, requires_grad)
    return result


def _unpickle(kind: type, array: np.ndarray, backend: str, requires_grad: bool, attributes: dict | None) -> Tensor:
    result = _rebuild(kind, copied(load_backend(backend), array, array.dtype), requires_grad)
    if attributes:
        result.__dict__.update(attributes)
    return result


autograd.bind_tensor(tensor_of)
