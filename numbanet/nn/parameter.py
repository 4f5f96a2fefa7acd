"""Parameter: a tensor that a module counts among what it learns."""

from __future__ import annotations

from numbanet.creation import empty, tensor
from numbanet.tensor import Tensor


class Parameter(Tensor):
    """A leaf tensor that registers itself when it is assigned to an attribute of a :class:`Module`.

    ``data`` is a Tensor, whose memory the parameter then shares, or anything ``numbanet.tensor`` takes; without it the
    parameter is empty. Results of operations on parameters are plain Tensors.

    Raises RuntimeError when a tensor of integers is to require a gradient.
    """

    def __init__(self, data: object = None, requires_grad: bool = True) -> None:
        if data is None:
            data = empty(0)
        elif not isinstance(data, Tensor):
            data = tensor(data)
        super().__init__(data._array)
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
