"""What ops that walk over a sequence keep for their backward pass is nobody's to differentiate."""

from __future__ import annotations

import pytest

from numbanet import randn
from numbanet.autograd import apply
from numbanet.ops.additive_decoder import AdditiveDecoder
from numbanet.ops.recurrent import Recurrent


def gru():
    op = Recurrent("gru", False, ())
    return op, [randn(4, 2, 3), randn(15, 3), randn(15, 5), randn(2, 5)]


def lstm():
    op = Recurrent("lstm", False, ())
    return op, [randn(4, 2, 3), randn(20, 3), randn(20, 5), randn(2, 5), randn(2, 5)]


def decoder():
    shapes = [(4, 2, 3), (2, 6, 7), (2, 6, 8), (2, 5), (8, 5), (1, 8), (15, 10), (15, 5)]
    return AdditiveDecoder("gru", ()), [randn(*shape) for shape in shapes]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("make", [gru, lstm, decoder])
def test_what_is_kept_has_no_gradient(backend, make, create_graph):
    op, inputs = make()
    for one in inputs:
        one.requires_grad_(True)
    outputs = dict(zip(op.outputs, apply(op, *inputs), strict=True))
    for name in {*op.kept} & outputs.keys():
        with pytest.raises(RuntimeError, match=f"what {type(op).__name__} keeps for its backward pass has no gradient"):
            outputs[name].sum().backward(retain_graph=True, create_graph=create_graph)
    outputs["out"].sum().backward()
    assert all(one.grad is not None for one in inputs[:3])
