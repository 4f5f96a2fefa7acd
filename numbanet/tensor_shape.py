"""Tensor's views, indexing and joining."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from numbanet.autograd import apply, apply_view
from numbanet.ops import indexing, shape
from numbanet.ops.base import BOOL, INT64, normalise_axis
from numbanet.ops.indexing import SLOT
from numbanet.ops.pointwise import CONTIGUOUS

if TYPE_CHECKING:
    from numbanet.tensor import Tensor


_SEQUENCES = (tuple, list)


def _sizes(sizes: tuple) -> tuple[int, ...]:
    """f(2, 3), f((2, 3)) and f([2, 3]) alike."""
    if len(sizes) == 1 and isinstance(sizes[0], _SEQUENCES):
        sizes = sizes[0]
    return tuple([int(size) for size in sizes])


def _complete(sizes: tuple[int, ...], x: Tensor) -> tuple[int, ...]:
    """sizes with −1 worked out, for a reshape of x."""
    total = x._array.size
    if -1 in sizes:
        known = -math.prod(sizes)
        if sizes.count(-1) > 1:
            raise RuntimeError("only one dimension can be inferred")
        if known == 0 or total % known:
            raise RuntimeError(f"shape '{list(sizes)}' is invalid for input of size {total}")
        return tuple([total // known if size == -1 else size for size in sizes])
    if math.prod(sizes) != total or any(size < 0 for size in sizes):
        raise RuntimeError(f"shape '{list(sizes)}' is invalid for input of size {total}")
    return sizes


class ShapeMethods:
    """How Tensor is seen, cut and joined."""

    __slots__ = ()

    def reshape(self: Tensor, *sizes: int) -> Tensor:
        """The same elements in another shape: a view if strides can say it, else a copy. One size may be −1."""
        sizes = _complete(_sizes(sizes), self)
        if sizes == self._array.shape:
            return self.alias()
        if shape.view_strides(self._array, sizes) is None:
            self = apply(CONTIGUOUS, self)
        return apply_view(shape.Reshape(sizes), self)

    def view(self: Tensor, *sizes: int) -> Tensor:
        """The same elements in another shape, always a view. RuntimeError where strides cannot say it."""
        return apply_view(shape.Reshape(_complete(_sizes(sizes), self)), self)

    def view_as(self: Tensor, other: Tensor) -> Tensor:
        """A view with the shape of other."""
        return self.view(other.shape)

    def reshape_as(self: Tensor, other: Tensor) -> Tensor:
        """The same elements in the shape of other."""
        return self.reshape(other.shape)

    def alias(self: Tensor) -> Tensor:
        """A view of all of it."""
        return apply_view(shape.Alias(), self)

    def flatten(self: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """The dimensions start_dim … end_dim as one."""
        extents = self._array.shape
        if not extents:
            return self.reshape(1)
        start, end = normalise_axis(start_dim, len(extents)), normalise_axis(end_dim, len(extents))
        if start > end:
            raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
        if start == end:
            return self
        return self.reshape((*extents[:start], math.prod(extents[start : end + 1]), *extents[end + 1 :]))

    def unflatten(self: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
        """One dimension as several."""
        extents = self._array.shape
        dim = normalise_axis(dim, len(extents))
        sizes = tuple(sizes)
        if -1 in sizes:
            known = -math.prod(sizes)
            sizes = tuple(extents[dim] // known if size == -1 else size for size in sizes)
        return self.reshape((*extents[:dim], *sizes, *extents[dim + 1 :]))

    def squeeze(self: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
        """Without the dimensions of size 1 (those in dim, or all)."""
        extents = self._array.shape
        if dim is None:
            drop = {axis for axis, extent in enumerate(extents) if extent == 1}
        else:
            dims = (dim,) if isinstance(dim, int) else dim
            axes = {normalise_axis(one, len(extents)) for one in dims}
            drop = {axis for axis in axes if axis < len(extents) and extents[axis] == 1}
        return self.reshape([extent for axis, extent in enumerate(extents) if axis not in drop])

    def unsqueeze(self: Tensor, dim: int) -> Tensor:
        """With a dimension of size 1 at dim."""
        extents = self._array.shape
        dim = normalise_axis(dim, len(extents) + 1)
        return self.reshape((*extents[:dim], 1, *extents[dim:]))

    def permute(self: Tensor, *dims: int) -> Tensor:
        """A view with the dimensions in another order."""
        dims = _sizes(dims)
        ndim = self._array.ndim
        order = tuple([normalise_axis(dim, ndim) for dim in dims])
        if sorted(order) != list(range(ndim)):
            raise RuntimeError(f"permute(dims): {dims} is not an order of the {ndim} dimensions of {self.shape}")
        return apply_view(shape.Permute(order), self)

    def transpose(self: Tensor, dim0: int, dim1: int) -> Tensor:
        """A view with two dimensions swapped."""
        ndim = self._array.ndim
        dim0, dim1 = normalise_axis(dim0, ndim), normalise_axis(dim1, ndim)
        order = list(range(ndim))
        if ndim:
            order[dim0], order[dim1] = dim1, dim0
        return apply_view(shape.Permute(tuple(order)), self)

    swapaxes = transpose

    def t(self: Tensor) -> Tensor:
        """The transpose of a matrix."""
        if self._array.ndim > 2:
            raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {self._array.ndim}D")
        return self.T

    @property
    def T(self: Tensor) -> Tensor:
        """A view with the dimensions in reverse order."""
        return apply_view(shape.Permute(tuple(range(self._array.ndim))[::-1]), self)

    @property
    def mT(self: Tensor) -> Tensor:
        """A view with the last two dimensions swapped."""
        return self.transpose(-2, -1)

    def movedim(self: Tensor, source: int, destination: int) -> Tensor:
        """A view with a dimension moved to another place."""
        ndim = self._array.ndim
        order = list(range(ndim))
        order.insert(normalise_axis(destination, ndim), order.pop(normalise_axis(source, ndim)))
        return apply_view(shape.Permute(tuple(order)), self)

    def expand(self: Tensor, *sizes: int) -> Tensor:
        """A view repeated along new dimensions and those of size 1; −1 keeps a size."""
        sizes = _sizes(sizes)
        lead = len(sizes) - self._array.ndim
        if lead < 0:
            raise RuntimeError(
                f"expand: the number of sizes {sizes} must not be smaller than the dimensions of {self.shape}"
            )
        own = self._array.shape
        sizes = tuple([own[axis - lead] if size == -1 and axis >= lead else size for axis, size in enumerate(sizes)])
        return apply_view(shape.Expand(sizes), self)

    def expand_as(self: Tensor, other: Tensor) -> Tensor:
        """A view with the shape of other."""
        return self.expand(other.shape)

    def broadcast_to(self: Tensor, size: Sequence[int]) -> Tensor:
        """A view with this shape."""
        return self.expand(tuple(size))

    def repeat(self: Tensor, *sizes: int) -> Tensor:
        """Copies side by side: sizes[i] of them along dimension i."""
        sizes = _sizes(sizes)
        lead = len(sizes) - self._array.ndim
        if lead < 0:
            raise RuntimeError(
                "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
            )
        own = (*[1] * lead, *self._array.shape)
        apart = [extent for pair in zip([1] * len(own), own, strict=True) for extent in pair]
        shown = [extent for pair in zip(sizes, own, strict=True) for extent in pair]
        return (
            self.reshape(apart).expand(shown).reshape([size * extent for size, extent in zip(sizes, own, strict=True)])
        )

    def contiguous(self: Tensor) -> Tensor:
        """Itself if row-major contiguous, else a copy that is."""
        return self if self._array.is_contiguous else apply(CONTIGUOUS, self)

    def is_contiguous(self: Tensor) -> bool:
        """Whether the elements lie row by row without gaps."""
        return self._array.is_contiguous

    # --- indexing ---
    def __getitem__(self: Tensor, index: object) -> Tensor:
        template, tensors = parse_index(self, index)
        if not tensors:
            return apply_view(shape.Slice(template), self)
        return apply(indexing.Take(template), self, *tensors)

    def narrow(self: Tensor, dim: int, start: int, length: int) -> Tensor:
        """A view of the elements start … start + length − 1 along dim."""
        dim = normalise_axis(dim, self._array.ndim)
        extent = self._array.shape[dim]
        start = start + extent if start < 0 else start
        if length < 0 or start < 0 or start + length > extent:
            raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({extent}).")
        whole = [slice(0, size, 1) for size in self._array.shape]
        whole[dim] = slice(start, start + length, 1)
        return apply_view(shape.Slice(tuple(whole)), self)

    def select(self: Tensor, dim: int, index: int) -> Tensor:
        """A view of one index along dim, which is dropped."""
        return self[(slice(None),) * normalise_axis(dim, self._array.ndim) + (index,)]

    def index_select(self: Tensor, dim: int, index: Tensor) -> Tensor:
        """The entries of dim that index (int64, one-dimensional) names."""
        return self[(slice(None),) * normalise_axis(dim, self._array.ndim) + (index,)]

    def masked_select(self: Tensor, mask: Tensor) -> Tensor:
        """The elements where mask (bool), in a row."""
        return self.expand(mask.shape)[mask] if mask.shape != self.shape else self[mask]

    def gather(self: Tensor, dim: int, index: Tensor) -> Tensor:
        """out[i, j, …] = self[i, …, index[i, j, …], …]: index (int64) takes the place of dimension dim."""
        dim = normalise_axis(dim, self._array.ndim)
        if index._array.ndim != self._array.ndim:
            raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
        parts = []
        for axis, extent in enumerate(index.shape):
            if axis == dim:
                parts.append(index)
            else:
                column = [1] * index._array.ndim
                column[axis] = extent
                parts.append(self.new_arange(extent).reshape(column))
        return self[tuple(parts)]

    def flip(self: Tensor, *dims: int) -> Tensor:
        """A copy with the order along dims reversed."""
        result = self
        for dim in _sizes(dims):
            axis = normalise_axis(dim, self._array.ndim)
            backwards = self.new_tensor(np.arange(self._array.shape[axis] - 1, -1, -1))
            result = result.index_select(axis, backwards)
        return result

    # --- in parts ---
    def split(self: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        """Views of split_size entries along dim each (the last may be smaller), or of the sizes given."""
        dim = normalise_axis(dim, self._array.ndim)
        extent = self._array.shape[dim]
        if isinstance(split_size, int):
            if split_size < 1:
                raise RuntimeError(f"split expects split_size to be positive, but got {split_size}")
            sizes = [min(split_size, extent - start) for start in range(0, extent, split_size)] or [0]
        else:
            sizes = list(split_size)
            if sum(sizes) != extent:
                raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {extent}, but got {sizes}")
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        return tuple([self.narrow(dim, start, size) for start, size in zip(starts, sizes, strict=True)])

    def chunk(self: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        """At most ``chunks`` views of equal size along dim (the last may be smaller)."""
        if chunks < 1:
            raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
        extent = self._array.shape[normalise_axis(dim, self._array.ndim)]
        return self.split(max(1, -(-extent // chunks)), dim)

    def unbind(self: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
        """A view for every index along dim."""
        dim = normalise_axis(dim, self._array.ndim)
        return tuple([self.select(dim, i) for i in range(self._array.shape[dim])])

    def __len__(self: Tensor) -> int:
        if not self._array.shape:
            raise TypeError("len() of a 0-d tensor")
        return self._array.shape[0]

    def __iter__(self: Tensor) -> Iterator[Tensor]:
        if not self._array.shape:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))


# --- indices ---------------------------------------------------------------------------------------------------------
def parse_index(x: Tensor, index: object) -> tuple[tuple, list[Tensor]]:
    """An index as a template (ints and slices in range, None, and SLOT for each index tensor) and the index tensors
    (int64).

    Bool masks become the positions where they are True. Raises IndexError for what is out of range."""
    extents = x._array.shape
    parts = list(index) if type(index) is tuple else [index]
    parts = [_index_tensor(x, part) for part in parts]
    used = sum(_dimensions(part) for part in parts)
    if used > len(extents):
        raise IndexError(f"too many indices for tensor of dimension {len(extents)}")
    dots = [i for i, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    rest = [slice(None)] * (len(extents) - used)
    parts[dots[0] if dots else len(parts) : dots[0] + 1 if dots else len(parts)] = rest
    template, tensors, axis = [], [], 0
    for part in parts:
        if part is None:
            template.append(None)
        elif type(part) is slice:
            start, stop, step = part.indices(extents[axis])
            if step < 1:
                raise ValueError("step must be greater than zero")
            template.append(slice(start, max(start, stop), step))
            axis += 1
        elif type(part) is int:
            template.append(_in_range(part, axis, extents[axis]))
            axis += 1
        else:
            for one in _positions(part, extents, axis):
                template.append(SLOT)
                tensors.append(one)
            axis += _dimensions(part)
    return tuple(template), tensors


def _index_tensor(x: Tensor, part: object) -> object:
    """An int, slice, None or Ellipsis as it is; everything else as an index tensor."""
    if part is None or part is Ellipsis or type(part) is int:
        return part
    if type(part) is slice:
        bounds = [None if bound is None else int(bound) for bound in (part.start, part.stop, part.step)]
        return slice(*bounds)
    if isinstance(part, bool | np.bool_):
        raise IndexError("a single True or False cannot be an index; use None for a new dimension")
    if isinstance(part, int | np.integer):
        return int(part)
    if not isinstance(part, ShapeMethods):
        if not isinstance(part, list | range | np.ndarray):
            raise IndexError(
                f"a tensor is indexed by ints, slices, None, ... and integer or bool tensors, not {type(part).__name__}"
            )
        array = np.asarray(part)
        part = x.new_tensor(array.astype(np.int64) if array.size == 0 and array.dtype != np.bool_ else array)
    kind = part._array.dtype.kind
    if kind not in "iub":
        raise IndexError(f"tensors used as indices must be integers or bool, got {part._array.dtype}")
    if part._array.ndim == 0 and kind != "b":
        return int(part.item())
    return part


def _dimensions(part: object) -> int:
    """How many dimensions a part of an index uses up."""
    if part is None or part is Ellipsis:
        return 0
    if isinstance(part, ShapeMethods) and part._array.dtype == BOOL:
        return part._array.ndim
    return 1


def _in_range(position: int, axis: int, extent: int) -> int:
    if not -extent <= position < extent:
        raise IndexError(f"index {position} is out of bounds for dimension {axis} with size {extent}")
    return position + extent if position < 0 else position


def _positions(part: Tensor, extents: tuple[int, ...], axis: int) -> list[Tensor]:
    """An index tensor as int64 tensors, one a dimension, contiguous."""
    if part._array.dtype != BOOL:
        return [part.detach().to(INT64).contiguous()]
    if part.shape != extents[axis : axis + part._array.ndim]:
        raise IndexError(f"The shape of the mask {part.shape} does not match the shape of the indexed tensor {extents}")
    return [part.new_tensor(where) for where in np.nonzero(part._read().numpy())]
