"""A recurrent layer behind an embedding of few rows computes with the rows, and nobody can tell but by the time."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import numbanet
from numbanet import nn
from numbanet.autograd import grad
from numbanet.ops.recurrent import Recurrent

KINDS = [nn.RNN, nn.LSTM, nn.GRU]
ROWS, FEATURES, HIDDEN, STEPS, BATCH = 5, 3, 4, 6, 7


@pytest.fixture
def ops(monkeypatch):
    """The recurrent ops that run, in order."""
    found = []
    forward = Recurrent.forward

    def noted(self, *arguments):
        found.append(self)
        return forward(self, *arguments)

    monkeypatch.setattr(Recurrent, "forward", noted)
    monkeypatch.setattr(Recurrent, "repeats", False)
    return found


def used(ops) -> list[bool]:
    """Whether the layers looked up products."""
    return ["tokens" in op.given for op in ops]


def parts(kind=nn.LSTM, rows=ROWS, **options):
    numbanet.manual_seed(1)
    features = options.pop("features", FEATURES)
    return nn.Embedding(rows, features), kind(features, HIDDEN, **options)


def tokens(rows=ROWS, *shape):
    return numbanet.tensor(np.random.default_rng(2).integers(0, rows, shape or (STEPS, BATCH)))


def gradients(embedding, layer, x, **options):
    """The output and all gradients of a sum in which each number counts for something else."""
    embedding.zero_grad()
    layer.zero_grad()
    out, states = layer(x, **options)
    states = states if isinstance(states, tuple) else (states,)
    total = sum(((one * one).sin() * 0.5 + one).sum() for one in (out, *states))
    total.backward()
    parameters = [*embedding.parameters(), *layer.parameters()]
    return [out.detach().numpy(), *[one.grad.numpy().copy() for one in parameters]]


def assert_same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * abs(other).max())


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=["one", "two, both ways"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_rows_are_multiplied_and_the_results_are_those_of_a_copy(backend, ops, kind, options, batch_first):
    embedding, layer = parts(kind, batch_first=batch_first, **options)
    numbers = tokens().T if batch_first else tokens()
    lengths = [6, 1, 3, 6, 2, 5, 4]
    for given in ({}, {"lengths": lengths}, {"reverse": True}):
        ops.clear()
        found = gradients(embedding, layer, embedding(numbers), **given)
        assert used(ops) == ([True, True, False, False] if options else [True])
        ops.clear()
        wanted = gradients(embedding, layer, embedding(numbers) * 1, **given)
        assert not any(used(ops))
        assert_same(found, wanted)


def test_rows_of_a_table_are_multiplied_only_where_they_are_a_quarter_of_the_places_at_most(ops):
    for rows in (STEPS * BATCH // 4, STEPS * BATCH // 4 + 1):
        embedding, layer = parts(rows=rows)
        layer(embedding(tokens()))
    assert used(ops) == [True, False]


def test_what_is_not_a_plain_lookup_any_more_is_multiplied_as_it_is(ops):
    embedding, layer = parts()
    with numbanet.no_grad():
        layer(embedding(tokens()))
    layer(embedding(tokens()).relu())
    changed = embedding(tokens())
    changed.add_(1)
    layer(changed)
    for change in (lambda x: x.data.mul_(2), lambda x: setattr(x, "data", x.data * 2)):
        changed = embedding(tokens())
        change(changed)
        assert_same([layer(changed)[0].detach().numpy()], [layer(embedding(tokens()) * 2)[0].detach().numpy()])
    square = embedding(tokens(ROWS, BATCH, BATCH))
    square.data = square.data.transpose(0, 1)
    layer(square)
    before = embedding(tokens())
    with numbanet.no_grad():
        embedding.weight.mul_(3)
    layer(before)
    before = embedding(tokens())
    before.sum().backward()
    layer(before)
    frozen = nn.Embedding.from_pretrained(embedding.weight.detach())
    layer(frozen(tokens()))
    padded = nn.Embedding(ROWS, FEATURES, padding_idx=0)
    layer(padded(tokens()))
    computed = nn.functional.embedding(tokens(), embedding.weight * 2)
    layer(computed)
    layer(embedding(tokens(ROWS, STEPS)))  # one sequence
    assert len(ops) == 14
    assert not any(used(ops))


CHANGES = {
    "in place": lambda weight: weight.data.mul_(3),
    "other memory": lambda weight: setattr(weight, "data", weight.data * 3),
    "fewer rows": lambda weight: setattr(weight, "data", weight.data[:1].clone()),
    "frozen": lambda weight: weight.requires_grad_(False),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_table_that_changes_between_the_embedding_and_the_layer(backend, ops, change):
    results = []
    for factor in (None, 1):
        embedding, layer = parts()
        x = embedding(tokens())
        change(embedding.weight)
        out = layer(x if factor is None else x * factor)[0]
        out.sin().sum().backward()
        results.append([out.detach().numpy(), *[one.grad.numpy() for one in layer.parameters()]])
    assert not any(used(ops))
    assert_same(*results)


def test_tokens_that_change_between_the_layer_and_its_gradient(backend, ops):
    """The layer's gradients do without them; the embedding's says that it cannot."""
    results = []
    for factor in (None, 1):
        embedding, layer = parts()
        numbers = tokens()
        x = embedding(numbers)
        out = layer(x if factor is None else x * factor)[0].sin().sum()
        numbers.copy_(tokens() * 0)
        results.append([one.numpy() for one in grad(out, list(layer.parameters()), retain_graph=True)])
        with pytest.raises(RuntimeError, match="Embedding saved is at version 1"):
            out.backward()
    assert used(ops) == [True, False]
    assert_same(*results)


@pytest.mark.parametrize("factor", [None, 1])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_second_backward_pass_through_the_embedding_is_an_error(factor, batch_first):
    embedding, layer = parts(batch_first=batch_first)
    x = embedding(tokens())
    losses = [layer(x if factor is None else x * factor)[0].sum() for _ in range(2)]
    losses[0].backward(retain_graph=True)
    losses[0].backward()
    with pytest.raises(RuntimeError, match="a second time"):
        losses[1].backward()


@pytest.mark.parametrize("change", [CHANGES["in place"], lambda weight: weight.data.zero_()], ids=["scaled", "zero"])
def test_a_table_that_changes_between_the_layer_and_its_gradient(backend, ops, change):
    """As with an optimiser that has the embedding alone: the gradients are those of the values from before."""
    results = []
    for factor in (None, 1):
        embedding, layer = parts()
        x = embedding(tokens())
        out = layer(x if factor is None else x * factor)[0]
        change(embedding.weight)
        out.sin().sum().backward()
        results.append([one.grad.numpy() for one in (embedding.weight, *layer.parameters())])
    assert used(ops) == [True, False]
    assert_same(*results)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("look", ["hook", "retain_grad", "grad", "create_graph"])
def test_who_looks_at_what_is_between_sees_its_gradient(backend, ops, look, batch_first):
    embedding, layer = parts(nn.GRU, batch_first=batch_first)

    def seen(x, between):
        out = (layer(x)[0] ** 2).sum()
        found = []
        if look == "hook":
            between.register_hook(lambda value: found.append(value.numpy().copy()))
            out.backward()
        elif look == "retain_grad":
            between.retain_grad()
            out.backward()
            found.append(between.grad.numpy())
        else:
            both = grad(out, [between, embedding.weight], create_graph=look == "create_graph")
            found += [one.detach().numpy() for one in both]
        if look != "grad" and look != "create_graph":
            found.append(embedding.weight.grad.numpy().copy())
            embedding.zero_grad()
        return found

    x = embedding(tokens())
    found = seen(x, x)
    assert used(ops) == [True]
    x = embedding(tokens())
    wanted = seen(x * 1, x)
    assert not any(used(ops[1:]))
    assert len(found) == len(wanted) == 2
    assert_same(found, wanted)


def test_a_table_that_is_used_elsewhere_too_gets_the_sum(backend, ops):
    embedding, layer = parts(features=HIDDEN)

    def loss(x):
        out = layer(x)[0]
        return ((out @ embedding.weight.T).sin() + (x * out).sum()).sum()  # tied weights, and around the layer

    x = embedding(tokens())
    loss(x).backward()
    found = [one.grad.numpy().copy() for one in (embedding.weight, *layer.parameters())]
    embedding.zero_grad()
    layer.zero_grad()
    numbers = tokens()
    plain = embedding(numbers) * 1
    loss(plain).backward()
    assert used(ops) == [True, False]
    assert_same(found, [one.grad.numpy() for one in (embedding.weight, *layer.parameters())])


def test_a_frozen_layer_leaves_the_table_its_gradient_and_the_other_way_round(backend, ops):
    for frozen in (0, 1):
        pair = parts()
        for parameter in pair[frozen].parameters():
            parameter.requires_grad_(False)
        learning = list(pair[1 - frozen].parameters())
        results = []
        for factor in (None, 1):
            for one in learning:
                one.grad = None
            x = pair[0](tokens())
            pair[1](x if factor is None else x * factor)[0].sin().sum().backward()
            results.append([one.grad.numpy().copy() for one in learning])
        assert_same(*results)
    assert used(ops) == [False, False, True, False]


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_that_is_replayed_looks_nothing_up_twice_and_has_the_bits_of_an_eager_one(kind):
    def trained(compiled):
        embedding, layer = parts(kind)
        parameters = [*embedding.parameters(), *layer.parameters()]
        optimizer = numbanet.optim.SGD(parameters, lr=0.1)

        def step(numbers):
            optimizer.zero_grad()
            loss = layer(embedding(numbers))[0].square().mean()
            loss.backward()
            optimizer.step()
            return loss

        run = numbanet.compile(step) if compiled else step
        losses = [run(numbers).item() for numbers in (tokens(), tokens() * 0, tokens(), tokens(ROWS, 9, 3))]
        names = [call.name for plan in run.plans for call in plan.calls] if compiled else []
        return losses, [one.detach().numpy().tobytes() for one in parameters], names

    eager, compiled = trained(False), trained(True)
    assert eager[:2] == compiled[:2]
    assert "recurrent" in compiled[2]
    assert not {"embedding", "embedding_backward"} & {*compiled[2]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", [ROWS, -1, ROWS + 3])
@pytest.mark.parametrize("learns", [False, True])
def test_a_number_out_of_range_is_an_error_in_a_replay_as_well(backend, kind, wrong, learns):
    embedding, layer = parts(kind)

    def step(numbers):
        loss = layer(embedding(numbers))[0].sum()
        if learns:
            loss.backward()
        return loss

    run = numbanet.compile(step)
    for _ in range(3):
        run(tokens())
    values = tokens().numpy().copy()
    values[4, 2] = wrong
    with pytest.raises(IndexError, match=rf"index {wrong} at position \(4, 2\) is out of range: the embedding has 5"):
        run(numbanet.tensor(values))
    assert np.isfinite(run(tokens()).item())


@pytest.mark.parametrize("what", ["tokens", "values", "table"])
def test_what_was_looked_up_outside_a_compiled_call_is_its_input(what):
    embedding, layer = parts()
    run = numbanet.compile(layer)
    for number in range(6):
        values = (tokens().numpy() + (number if what == "tokens" else 0)) % ROWS
        if what == "table":
            with numbanet.no_grad():
                embedding.weight.mul_(1.5)
        x = embedding(numbanet.tensor(values))
        if what == "values" and number > 3:
            x = x * 2
        assert_same([run(x)[0].detach().numpy()], [layer(x * 1)[0].detach().numpy()])


def test_rows_that_no_token_names_count_for_nothing(backend):
    """Not even if they are no numbers."""
    embedding, layer = parts()
    with numbanet.no_grad():
        embedding.weight[4] = float("nan")
    numbers = numbanet.tensor(tokens().numpy() % 4)
    found = gradients(embedding, layer, embedding(numbers))
    assert_same(found, gradients(embedding, layer, embedding(numbers) * 1))
    assert all(np.isfinite(one).all() for one in found)


def test_rows_that_come_often_lose_no_digits(backend):
    """Gradients of 40,000 places in float32 against float64."""
    found = []
    for dtype in (np.float32, np.float64):
        embedding, layer = parts(nn.RNN)
        embedding.to(dtype)
        layer.to(dtype)
        x = embedding(numbanet.zeros(40, 1000, dtype=np.int64))
        (layer(x)[0].square() * 0.5).sum().backward()
        found.append([one.grad.numpy() for one in (embedding.weight, layer.weight_ih_l0)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5 * abs(other).max())


def test_a_batch_of_nothing(backend):
    embedding, layer = parts()
    for x in (embedding(tokens()[:, :0]), embedding(tokens()[:, :0]) * 1):
        out = layer(x)[0]
        out.sum().backward()
        assert out.shape == (STEPS, 0, HIDDEN)
        assert not layer.weight_ih_l0.grad.numpy().any()


def looked_up(compiled):
    """What remembers the outputs of an embedding after a few steps."""
    embedding, layer = parts()
    known = []

    def step(numbers):
        x = embedding(numbers)
        known.append(weakref.ref(x._array.storage))
        if not compiled:
            x.register_hook(lambda gradient: gradient * x.ndim)
            embedding.weight.register_hook(lambda gradient: gradient * x.ndim)
        layer(x)[0].sum().backward()

    run = numbanet.compile(step) if compiled else step
    for _ in range(4):
        run(tokens())
    return known


@pytest.mark.parametrize("compiled", [False, True])
def test_nothing_is_kept_alive(compiled):
    """Not even by hooks that know what they hang on."""
    known = looked_up(compiled)
    gc.collect()
    assert known
    assert not any(one() for one in known)


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_loss_that_is_kept_keeps_no_tokens(batch_first):
    embedding, layer = parts(batch_first=batch_first)
    numbers = tokens()
    loss = layer(embedding(numbers))[0].sum()
    loss.backward()
    known = weakref.ref(numbers._array.storage)
    del numbers
    gc.collect()
    assert loss.item()
    assert known() is None
