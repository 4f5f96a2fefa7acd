"""Training steps of the models of texts: neither their plans nor Python's work grow with the texts, attention's memory
grows with them and not with their square, and threads change no bit."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import numbanet as nb
from numbanet import models, optim
from numbanet.graph.inspect import plan_of
from numbanet.kernels.backend import load_backend
from numbanet.nn import functional as F

pytest.importorskip("numba")
RECURRENT = {"vocab_size": 11, "embedding_dim": 8, "hidden_size": 8}
PAIRS = {"source_vocab_size": 11, "target_vocab_size": 11, "embedding_dim": 8, "hidden_size": 8}
TRANSFORMER = {"max_length": 64, "d_model": 16, "num_layers": 2, "num_heads": 2, "dim_feedforward": 24}
MODELS = {
    **dict.fromkeys(("char_rnn", "char_lstm", "char_gru", "word_lstm", "lstm_classifier"), RECURRENT),
    "gpt": {"vocab_size": 11, "dropout": 0.1, **TRANSFORMER},
    "text_cnn": {"vocab_size": 11, "embedding_dim": 8, "channels": 6},
    "transformer_classifier": {"vocab_size": 11, **TRANSFORMER},
    "transformer": {"source_vocab_size": 11, "target_vocab_size": 11, **TRANSFORMER},
    "seq2seq": PAIRS,
    "seq2seq_attention": PAIRS,
    "series_lstm": {"input_size": 2, "num_outputs": 1, "hidden_size": 8},
}


@pytest.fixture(autouse=True)
def cpu():
    before = nb.get_backend(), nb.get_num_threads()
    nb.set_backend("cpu")
    yield load_backend("cpu")
    nb.set_backend(before[0])
    nb.set_num_threads(before[1])


def training_step(name, length):
    """A function that does a step on texts of a length, and the model."""
    nb.manual_seed(11)
    model = models.create_model(name, **MODELS[name])
    kind = models.model_info(name).kind
    tokens = np.random.default_rng(1).integers(1, 11, (4, length + 1))
    inputs = nb.tensor(np.ascontiguousarray(tokens[:, :-1]))
    if kind == "series":
        inputs = nb.tensor(np.stack([tokens[:, :-1], tokens[:, 1:]], axis=2).astype(np.float32))
    targets = nb.tensor(tokens[:, 0] % 2 if kind == "text classes" else tokens[:, 1:].reshape(-1))
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step():
        optimizer.zero_grad()
        logits = model(inputs, inputs) if kind == "translation" else model(inputs)
        logits = logits[0] if isinstance(logits, tuple) else logits
        if kind == "series":
            loss = F.mse_loss(logits, inputs[:, -1, :1])
        else:
            loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets)
        loss.backward()
        optimizer.step()
        return loss

    return step, model


def calls_of_python(function):
    """How many Python functions a call of a function calls."""
    count = 0

    def see(frame, event, argument):
        nonlocal count
        count += event == "call"

    sys.setprofile(see)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("name", MODELS)
def test_nothing_grows_with_the_texts(name, cpu):
    plans, calls = [], []
    for length in (16, 32):
        step, _ = training_step(name, length)
        plans.append(plan_of(step))
        with cpu.recording():
            calls.append([calls_of_python(step) for _ in range(4)])
    short, long = plans
    assert [call.name for call in short.calls] == [call.name for call in long.calls]
    assert len(long.levels) <= len(short.levels) + 2  # a longer sum may be one of parts
    assert not long.host_segments
    assert min(calls[1]) <= 1.01 * min(calls[0])


def test_all_models_of_sequences_are_here():
    assert set(MODELS) == {name for name in models.list_models() if models.model_info(name).kind != "pictures"}


@pytest.mark.parametrize("name", MODELS)
def test_the_same_bits_on_one_and_two_threads(name):
    found = []
    for threads in (1, 2):
        nb.set_num_threads(threads)
        step, model = training_step(name, 16)
        losses = [step().item() for _ in range(3)]
        found.append((losses, {key: value.numpy().copy() for key, value in model.state_dict().items()}))
    assert found[0][0] == found[1][0]
    for key, value in found[0][1].items():
        np.testing.assert_array_equal(value, found[1][1][key], err_msg=key)


@pytest.mark.parametrize("heads", [8, 16])  # few heads are cut into parts, at most so many that all threads have work
@pytest.mark.parametrize("is_causal", [False, True])
def test_attention_s_memory_is_linear(is_causal, heads):
    """What a forward and a backward pass hold beside inputs and results: the arena, and each thread's scratch."""
    arenas, scratches = [], []
    for length in (1024, 2048, 4096):
        parts = [nb.zeros(1, heads, length, 32).requires_grad_() for _ in range(3)]

        def both(parts=parts):
            F.scaled_dot_product_attention(*parts, is_causal=is_causal).sum().backward()

        plan = plan_of(both)
        arenas.append(plan.arena_bytes)
        rows = [row for call in plan.calls for level in call.piece.levels for row in level]
        scratches.append(max(row.scratch for row in rows))
    for sizes in (arenas, scratches):
        for one, twice in zip(sizes, sizes[1:], strict=False):  # noqa: RUF007
            assert twice <= 2.1 * one
