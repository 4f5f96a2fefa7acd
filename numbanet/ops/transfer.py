"""Tensors from one back end to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from numbanet.autograd import link_outputs
from numbanet.kernels.array import copied
from numbanet.kernels.backend import load_backend
from numbanet.ops.base import Op, Spec

if TYPE_CHECKING:
    from numbanet.tensor import Tensor


@dataclass(slots=True, eq=False)
class Transfer(Op):
    """y = x in the memory of another back end. ∂x = ∂y, brought back."""

    source: str
    backend: str

    def infer(self, x):
        return Spec(x.shape, x.dtype)

    def backward(self, node, grad):
        return transfer(grad, self.source)


def transfer(tensor: Tensor, backend: str) -> Tensor:
    """A copy of tensor that belongs to the back end of this name."""
    array = tensor._array
    out = copied(load_backend(backend), array.numpy(), array.dtype)
    return link_outputs(Transfer(array.storage.backend.name, backend), (tensor,), (array,), (out,), False)
