"""A shape that takes the same ops as a recorded one: Python runs once for it, and never again."""

from __future__ import annotations

from queue import SimpleQueue

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn, optim
from numbanet.graph import SideEffectError
from numbanet.nn import functional as F
from tests.graph.networks import assert_same, state_of


def runs_of(function, shapes: list[int], **settings) -> list[int]:
    """For which sizes Python ran, in turn; the results of all calls have the bits of eager ones."""
    ran: SimpleQueue = SimpleQueue()  # nothing that a recording looks at

    def counted(x):
        ran.put(len(x))
        return function(x)

    compiled = nb.compile(counted, dynamic=[0], **settings)
    for number, size in enumerate(shapes):
        x = nb.arange(3.0 * size).reshape(size, 3) + number
        np.testing.assert_array_equal(compiled(x).numpy(), function(x).numpy())
    return [ran.get() for _ in range(ran.qsize())]


def centred(x):
    """Sizes enter as numbers, in a shape and in a tensor of Python data."""
    n = len(x)
    weights = nb.tensor(np.linspace(0, 1, n, dtype=np.float32)).reshape(n, 1)
    return (x.reshape(3 * n) / n).reshape(n, 3) * weights + nb.arange(float(n)).unsqueeze(1)


def test_a_new_shape_is_recorded_once(backend):
    assert runs_of(centred, [4, 4, 4, 7, 7, 5, 5, 4, 7]) == [4, 4, 7, 5]


def by_size(x):
    return x * 2 if len(x) > 4 else x + 1 - x.mean()


def test_a_shape_that_takes_other_ops_is_recorded_twice(backend):
    assert runs_of(by_size, [4, 4, 4, 7, 7, 7, 3, 3, 8, 8]) == [4, 4, 7, 7, 3, 3, 8, 8]


def test_a_number_that_is_returned(backend):
    """It may be of anything: two recordings must agree in it."""
    compiled = nb.compile(lambda x: (x + 1, len(x)), dynamic=[0])
    assert [compiled(nb.zeros(size))[1] for size in (2, 2, 2, 3, 3, 3)] == [2, 2, 2, 3, 3, 3]


def test_tensors_that_are_kept_by_shape(backend):
    """A table that Python makes at a shape's first call, and finds at the second, is no constant of the first."""
    tables: dict[int, nb.Tensor] = {}

    def scaled(x):
        if len(x) not in tables:
            tables[len(x)] = nb.full((len(x), 1), float(len(x)))
        return x * tables[len(x)]

    compiled = nb.compile(scaled, dynamic=[0])
    for size in (2, 2, 2, 3, 3, 3):
        assert compiled(nb.ones(size, 1)).tolist() == [[size]] * size
    tables[3].fill_(7)
    assert compiled(nb.ones(3, 1)).tolist() == [[7]] * 3


def test_a_tensor_that_only_calls_of_a_new_shape_keep(backend):
    kept = []
    compiled = nb.compile(lambda x: (kept.append(x * 2) if len(x) == 3 else None, x * 2)[1], dynamic=[0])
    for size in (2, 2, 2, 3):
        compiled(nb.ones(size))
    with pytest.raises(SideEffectError, match="keeps a tensor"):
        compiled(nb.ones(3))


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_training_on_batches_of_many_shapes(backend, name):
    """Tokens of several lengths, a mask of each, dropout: the bits of eager execution, in all that a step changes."""
    rng = np.random.default_rng(2)
    lengths = [5, 5, 5, 9, 9, 3, 3, 5, 9, 7]
    data = [nb.tensor(rng.integers(0, 11, (2, length))) for length in lengths]
    outcomes = []
    for compiles in (False, True):
        nb.manual_seed(4)
        embedding, layer, head = nn.Embedding(11, 8), nn.TransformerEncoderLayer(8, 2, 16, 0.2), nn.Linear(8, 11)
        model = nn.ModuleList([embedding, layer, head])
        optimizer = getattr(optim, name)(model.parameters(), 0.05)
        ran: SimpleQueue = SimpleQueue()

        def step(tokens, embedding=embedding, layer=layer, head=head, optimizer=optimizer, ran=ran):
            ran.put(tokens.shape[1])
            optimizer.zero_grad()
            length = tokens.shape[1]
            x = embedding(tokens).transpose(0, 1) * length**0.5
            logits = head(layer(x, src_mask=nn.Transformer.generate_square_subsequent_mask(length)))
            loss = F.cross_entropy(logits.reshape(-1, 11), tokens.transpose(0, 1).reshape(-1))
            loss.backward()
            optimizer.step()
            return loss

        run = nb.compile(step, dynamic=[0, 1]) if compiles else step
        losses = [run(tokens).item() for tokens in data]
        outcomes.append((losses, state_of(model, optimizer)))
    assert [ran.get() for _ in range(ran.qsize())] == [5, 5, 5, 9, 3, 7]  # the first step makes the optimiser's state
    assert outcomes[0][0] == outcomes[1][0]
    assert_same(outcomes[0][1], outcomes[1][1])
