"""Copies and pointwise functions."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare(strided=("out", "x"))
def copy(out, x):
    """out = x, any strides (0 broadcasts x), cast to out's dtype."""


@declare(strided=("out",))
def fill(out, value: float):
    """out = value."""


@declare(inplace=("x",), strided=("out", "x"))
def unary(out, x, function: str):
    """out = function(x); neg abs exp log sqrt square reciprocal sign tanh sigmoid relu sin cos floor ceil round erf
    gelu gelu_tanh, and into bool: logical_not isnan isinf."""


@declare(inplace=("x", "y"), strided=("out", "x", "y"))
def binary(out, x, y, function: str):
    """out = function(x, y), all of out's shape (stride 0 broadcasts); add sub mul div pow maximum minimum floor_divide
    remainder logical_and logical_or logical_xor, and into bool: eq ne lt le gt ge."""


@declare(inplace=("x", "y"), strided=("out", "condition", "x", "y"))
def where(out, condition, x, y):
    """out = x where condition (bool) else y; all of out's shape (stride 0 broadcasts)."""


@declare(inplace=("grad", "y"), strided=("out", "grad", "y"))
def relu_backward(out, grad, y):
    """out = 0 where y ≤ 0, else grad (where y is NaN too, as PyTorch); y is the output, or the input, of the ReLU."""


@declare(inplace=("grad", "saved"), strided=("out", "grad", "saved"))
def unary_backward(out, grad, saved, function: str):
    """out = grad · function′, from the output of tanh or sigmoid, or from the input of gelu or gelu_tanh."""


@declare(strided=("inputs",), writes=("outs",))
def pointwise_chain(outs: tuple, inputs: tuple, steps: tuple, kept: tuple[int, ...]):
    """Pointwise functions one after the other. Values are numbered: the inputs, then what each step (name, function,
    sources) makes by unary, binary, relu_backward or unary_backward of the values ``sources``; outs[i] = value kept[i].

    All outs and inputs are float32 of one size; an input may be one number instead, repeated by strides of 0. An out
    may lie where an input does that no step behind the one which makes it reads."""
