"""Profiles: every call has its time and place, and being watched changes no result."""

from __future__ import annotations

import json

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn
from numbanet.graph import GraphError
from numbanet.graph.cost import flops_of_call, measure_peak
from numbanet.graph.inspect import plan_of
from numbanet.graph.profile import chrome_trace, profile
from numbanet.kernels.backend import load_backend
from numbanet.nn import functional as F
from numbanet.nn.fusion import pooled
from tests.graph.networks import NETWORKS, OPTIMISERS, batches, state_of, training_step


def step_of(network: str):
    nb.manual_seed(0)
    model = NETWORKS[network]()
    optimizer = OPTIMISERS["momentum"](model.parameters())
    return model, optimizer, training_step(model, optimizer)


@pytest.mark.parametrize("network", ["residual", "tied"])
def test_every_call_has_a_time(backend, network):
    _, _, step = step_of(network)
    found = profile(step, *batches(1)[0], repeats=3)
    assert {id(one.call) for one in found.timings} == {id(call) for call in found.plan.calls if call.piece.levels}
    assert all(one.seconds > 0 for one in found.timings)
    assert found.seconds > 0
    begins = [one.begin for one in found.timings]
    assert begins[0] == 0
    assert begins == sorted(begins)


def test_call_by_call_is_the_same_to_the_bit(backend):
    """The recordings, 3 replays as usual, 3 call by call."""
    data, recordings = batches(1)[0], []
    model, optimizer, step = step_of("residual")
    profile(lambda *batch: recordings.append(1) or step(*batch), *data, repeats=2)
    twin, other, eager = step_of("residual")
    for _ in range(len(recordings) + 6):
        eager(*data)
    mine, theirs = state_of(model, optimizer), state_of(twin, other)
    for name, array in theirs.items():
        np.testing.assert_array_equal(mine[name], array, err_msg=name)


def test_a_trace_is_what_chrome_reads(backend):
    _, _, step = step_of("residual")
    found = profile(step, *batches(1)[0], repeats=2)
    trace = json.loads(json.dumps(chrome_trace(found, "a step")))
    name, *events = trace["traceEvents"]
    assert (name["ph"], name["args"]["name"]) == ("M", "numbanet: a step")
    assert len(events) == len(found.timings)
    for event, after in zip(events, [*events[1:], None], strict=True):
        assert {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"} == set(event)
        assert event["ph"] == "X"
        assert event["dur"] > 0
        assert after is None or after["ts"] > event["ts"]
        assert event["cat"] in ("forward", "backward")
    convolution = next(event["args"] for event in events if event["name"] == "conv2d")
    assert (convolution["module"], convolution["writes"]) == ("first", [7, 4, 5, 5])
    assert "networks.py:" in convolution["line"]


def test_flops(backend):
    model = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1, stride=2), nn.Flatten(), nn.Linear(54, 5))

    def step(x):
        model(x).square().sum().backward()
        return x.grad

    plan = plan_of(step, nb.randn(4, 2, 6, 6, requires_grad=True))
    found = {}
    for call in plan.calls:
        found.setdefault(call.name, set()).add(flops_of_call(call))
    convolution = 2 * (4 * 6 * 3 * 3) * (2 * 3 * 3)
    assert found["conv2d"] == found["conv2d_weight_grad"] == found["conv2d_input_grad"] == {convolution}
    assert found["matmul"] == {2 * 4 * 54 * 5}
    assert {flops for name, all_of in found.items() if name[:4] not in ("conv", "matm") for flops in all_of} == {0}


def test_flops_of_a_pooled_convolution(backend):
    """The convolution's products, whatever the kernels leave out; backward for each gradient that is wanted."""
    conv = nn.Conv2d(2, 6, 3, padding=1)

    def step(x):
        pooled(conv, nn.MaxPool2d(2), nn.ReLU(), x).square().sum().backward()

    for needs in (False, True):
        plan = plan_of(step, nb.randn(4, 2, 8, 6, requires_grad=needs))
        found = {call.name: flops_of_call(call) for call in plan.calls}
        assert found["conv2d_max_pool"] == 2 * (4 * 6 * 8 * 6) * (2 * 3 * 3)
        assert found["conv2d_max_pool_backward"] == (1 + needs) * found["conv2d_max_pool"]


def test_flops_of_sequences(backend):
    """Two matrices a time and gate forward; backward those of what is wanted. Attention: two products, and four."""
    lstm, table, x = nn.LSTM(5, 3), nn.Embedding(3, 5), nb.randn(7, 2, 5)
    q, k, v = (nb.randn(2, 3, 4, 6, requires_grad=True) for _ in range(3))

    def step(x):
        lstm(x)[0].sum().backward()
        F.scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward()

    def looked_up(numbers):
        lstm(table(numbers))[0].sum().backward()

    found = {call.name: flops_of_call(call) for call in plan_of(step, x).calls}
    assert found["recurrent"] == 2 * 7 * 2 * (4 * 3) * (5 + 3)
    assert found["recurrent_backward"] == 2 * 7 * 2 * (4 * 3) * (5 + 3 + 3)
    found |= {call.name: flops_of_call(call) for call in plan_of(looked_up, nb.zeros(7, 2, dtype=nb.int64)).calls}
    assert found["recurrent"] == 2 * (4 * 3) * (3 * 5 + 7 * 2 * 3)
    assert found["recurrent_backward"] == 2 * (4 * 3) * (2 * 3 * 5 + 2 * 7 * 2 * 3)
    pairs = 2 * 3 * (1 + 2 + 3 + 4)
    assert found["attention"] == 2 * pairs * (6 + 6)
    assert found["attention_backward"] == 2 * found["attention"]


def test_flops_of_a_decoder(backend):
    """Both matrices of the GRU, the queries', and two products with the memory; backward those of what is wanted."""
    attention, cell, words, keys = (
        nn.BahdanauAttention(3, 4, 6),
        nn.GRUCell(5 + 4, 3),
        nb.randn(7, 2, 5),
        nb.ones(2, 8, 4),
    )

    def step(words):
        attention.decode(cell, words, nb.ones(2, 3), keys)[0].sum().backward()

    found = {call.name: flops_of_call(call) for call in plan_of(step, words).calls}
    gru, query, memory = (3 * 3) * (5 + 4 + 3), 6 * 3, 8 * (6 + 4)
    assert found["additive_decoder"] == 2 * 7 * 2 * (gru + query + memory)
    walk = gru - (3 * 3) * 5 + query + memory
    assert found["additive_decoder_backward"] == 2 * 7 * 2 * (walk + gru + query)


def test_peak(backend):
    peak = measure_peak(load_backend(backend))
    assert 0.1 < peak.gflops < 1e5
    assert 0.1 < peak.gbytes < 1e4
    assert peak.or_better(peak._replace(gflops=1e9)) == (1e9, peak.gbytes)


def test_what_cannot_be_replayed(backend):
    with pytest.raises(GraphError, match="reads the value"):
        profile(lambda x: float(x.sum()), nb.ones(2))
