"""Registered recurrent models: as large as they say, learn, travel, carry their state, heed no padding."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import numbanet as nb
from numbanet import interop, models, optim
from numbanet.graph.inspect import lines_of, plan_of
from numbanet.nn import functional as F

SIZES = {"embedding_dim": 7, "hidden_size": 9, "dropout": 0.0}
PAIRS = {"source_vocab_size": 11, "target_vocab_size": 11, **SIZES}
SMALL = {
    **{name: {"vocab_size": 11, **SIZES} for name in ("char_rnn", "char_lstm", "char_gru", "word_lstm")},
    "lstm_classifier": {"num_classes": 3, "vocab_size": 11, **SIZES},
    "seq2seq": PAIRS,
    "seq2seq_attention": PAIRS,
    "series_lstm": {"input_size": 3, "num_outputs": 2, "hidden_size": 9},
}
LANGUAGE = [name for name in SMALL if models.model_info(name).kind == "language"]
TRANSLATION = ["seq2seq", "seq2seq_attention"]
VARIANTS = [
    *[(name, {}) for name in SMALL],
    ("char_gru", {"reset_after": True}),
    ("word_lstm", {"cell": "gru", "tie_weights": True, "embedding_dim": 9}),
    ("seq2seq", {"cell": "gru_reset_after", "reverse": "source", "num_layers": 2}),
    ("seq2seq_attention", {"reset_after": True}),
    *[("series_lstm", {"cell": cell, "num_layers": 2}) for cell in ("rnn", "gru")],
]


def make(name, **options):
    nb.manual_seed(11)
    return models.create_model(name, **{**SMALL[name], **options})


def texts(seed, *shape):
    """Token numbers without the padding."""
    return np.random.default_rng(seed).integers(1, 11, shape)


def loss_of(model):
    """The loss on a small batch."""
    tokens = nb.tensor(texts(1, 5, 9))
    if isinstance(model, models.RecurrentSeries):
        x = nb.tensor(np.random.default_rng(1).random((5, 9, 3), np.float32))
        return F.mse_loss(model(x), x.sum(1)[:, :2])
    if isinstance(model, models.RecurrentLanguageModel):
        logits, _ = model(tokens[:, :-1])
    elif isinstance(model, models.RecurrentClassifier):
        return F.cross_entropy(model(tokens), tokens[:, 0] % 3)
    else:
        logits = model(tokens, tokens[:, :-1])
    return F.cross_entropy(logits.reshape(-1, 11), tokens[:, 1:].reshape(-1))


@pytest.mark.parametrize("name", SMALL)
def test_is_documented_and_counted(name):
    info = models.model_info(name)
    model = models.create_model(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == info.parameters
    layers = models.summarise(model, *models.example(info, info.options))
    assert sum(layer.parameters for layer in layers) == info.parameters
    assert sum(layer.flops for layer in layers) == info.flops
    assert info.kind in models.KINDS
    assert len(info.source) > 20


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)
def test_learns_and_travels(backend, name, options, tmp_path):
    model = make(name, **options)
    optimizer = optim.Adam(model.parameters(), lr=3e-2)
    losses = []
    for _ in range(9):
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None, key
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
    model.eval()
    expected = loss_of(model).item()
    fresh = make(name, **options).eval()
    fresh.load_state_dict({key: value.numpy().copy() for key, value in model.state_dict().items()})
    for twin in (fresh, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert loss_of(twin).item() == expected
    for kind, suffix in interop.SUFFIXES.items():
        interop.save_weights(model.state_dict(), tmp_path / f"weights{suffix}", kind)
        fresh = make(name, **options).eval()
        fresh.load_state_dict(interop.load_weights(tmp_path / f"weights{suffix}"))
        assert loss_of(fresh).item() == expected


@pytest.mark.parametrize("name", LANGUAGE)
def test_windows_carry_the_state(backend, name):
    """Window by window, and token by token, a text gives what it gives as a whole; no gradient passes a cut."""
    model = make(name).eval()
    tokens = texts(2, 3, 12)
    whole = model(nb.tensor(tokens))[0].detach().numpy()
    state, parts = None, []
    for begin in (0, 5, 10):
        logits, state = model(nb.tensor(tokens[:, begin : begin + 5]), state)
        parts.append(logits.detach().numpy())
        assert all(one.requires_grad for one in state.layers)
        state = state.detach()
        assert not any(one.requires_grad for one in state.layers)
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, rtol=0, atol=1e-6)
    with nb.no_grad():
        state = model.start(3)
        for t in range(12):
            found = model.step(nb.tensor(tokens[:, t : t + 1]), state).numpy()
            np.testing.assert_allclose(found, whole[:, t], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "options"), [one for one in VARIANTS if one[0] in TRANSLATION], ids=str)
def test_step_by_step_is_all_at_once(backend, name, options):
    model = make(name, **options).eval()
    source, target = nb.tensor(np.pad(texts(3, 3, 6), ((0, 0), (0, 2)))), texts(4, 3, 7)
    with nb.no_grad():
        whole = model(source, nb.tensor(target)).numpy()
        state = model.start(source)
        for begin, end in ((0, 1), (1, 4), (4, 5)):
            found = model.step(nb.tensor(target[:, begin:end]), state).numpy()
            np.testing.assert_allclose(found, whole[:, end - 1], rtol=0, atol=1e-6)
        state.select([2, 0, 0])
        found = model.step(nb.tensor(target[[2, 0, 0], 5:6]), state).numpy()
        np.testing.assert_allclose(found, whole[[2, 0, 0], 5], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"), [one for one in VARIANTS if one[0] in (*TRANSLATION, "lstm_classifier")], ids=str
)
def test_padding_and_other_texts_change_nothing(backend, name, options):
    """A text alone, with padding behind it, and among others (one of padding alone): the same logits to 1e-6."""
    model = make(name, **options).eval()
    target = texts(5, 3, 4)
    for length in (1, 4, 9):
        text = texts(length, 1, length)
        batch = np.zeros((3, 12), np.int64)
        batch[0, :length], batch[1] = text, texts(3, 12)
        inputs = [(batch, target), (text, target[:1])]
        found = [model(*map(nb.tensor, one[: 2 if name in TRANSLATION else 1])).detach().numpy() for one in inputs]
        assert np.isfinite(found[0]).all()
        np.testing.assert_allclose(found[0][:1], found[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "options"), [one for one in VARIANTS if one[0] in (*LANGUAGE, *TRANSLATION)], ids=str)
def test_no_second_copy_of_the_logits(name, options):
    """Neither forward nor backward: what is turned for the loss are the states before them."""
    model = make(name, **options)

    def step():
        model.zero_grad()
        loss_of(model).backward()

    copies = [line for line in lines_of(plan_of(step)) if line.name == "copy" and sorted(line.shape) == [5, 8, 11]]
    assert not copies


def test_a_reversed_source_is_a_source_reversed(backend):
    """What ``reverse="source"`` reads is each text from its own end."""
    straight, reversed_ = make("seq2seq"), make("seq2seq", reverse="source")
    source, target = np.array([[3, 4, 5, 0], [6, 7, 8, 9]]), nb.tensor(texts(4, 2, 3))
    turned = np.array([[5, 4, 3, 0], [9, 8, 7, 6]])
    first, second = reversed_(nb.tensor(source), target), straight(nb.tensor(turned), target)
    np.testing.assert_allclose(first.detach().numpy(), second.detach().numpy(), rtol=0, atol=1e-6)


def test_alignments_are_shares_of_the_words(backend):
    model = make("seq2seq_attention")
    source = np.pad(texts(3, 2, 5), ((0, 0), (0, 3)))
    weights = model.alignments(nb.tensor(source), nb.tensor(texts(4, 2, 6))).detach().numpy()
    assert weights.shape == (2, 6, 8)
    np.testing.assert_allclose(weights.sum(2), 1, atol=1e-6)
    assert not weights[:, :, 5:].any()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("char_lstm", {"hidden_size": 0}, "hidden_size must be a positive whole number"),
        ("word_lstm", {"cell": "lstn"}, "unknown cell 'lstn'; use one of: rnn, lstm, gru, gru_reset_after"),
        ("word_lstm", {"tie_weights": True}, "tie_weights needs equal sizes, not 7"),
        ("seq2seq", {"reverse": "both"}, "unknown reverse 'both'; use one of: none, source"),
        ("seq2seq", {"reverse": "target"}, "unknown reverse 'target'; use one of: none, source"),
        ("lstm_classifier", {"dropout": 1.0}, "dropout must be at least 0 and below 1"),
    ],
)
def test_bad_options(name, options, words):
    with pytest.raises(ValueError, match=words):
        make(name, **options)


@pytest.mark.parametrize("name", [name for name in SMALL if name != "series_lstm"])
def test_takes_token_numbers_only(name):
    inputs = [nb.tensor(np.zeros((2, 3), np.float32))] * (2 if name in TRANSLATION else 1)
    with pytest.raises(ValueError, match="int64"):
        make(name)(*inputs)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((2, 5), "float32"), ((2, 5, 4), "float32"), ((2, 0, 3), "float32"), ((2, 5, 3), "int64")]
)
def test_takes_series_of_numbers_only(shape, dtype):
    with pytest.raises(ValueError, match=r"series_lstm takes series of numbers \(batch, length, 3\), but got " + dtype):
        make("series_lstm")(nb.tensor(np.zeros(shape, dtype)))


def test_the_answer_is_what_is_known_at_the_end(backend):
    """The last state of the uppermost layer decides."""
    model = make("series_lstm", num_layers=2)
    x = nb.tensor(np.random.default_rng(2).random((2, 6, 3), np.float32))
    outputs, _ = model.layers(x.transpose(0, 1))
    np.testing.assert_allclose(model(x).detach().numpy(), model.fc(outputs[-1]).detach().numpy(), rtol=0, atol=1e-6)


def test_the_cells_begin_with_memories_of_many_lengths():
    """Of 1 to ``length`` steps: a gate with bias b keeps 1/(1 + e⁻ᵇ) a step, and 1/e of it after eᵇ steps."""
    short, long = (make("series_lstm", hidden_size=200, num_layers=2, length=length) for length in (1, 150))
    for layer in ("l0", "l1"):
        plain, spread = (getattr(one.layers, f"bias_ih_{layer}").detach().numpy() for one in (short, long))
        added = (spread - plain).reshape(4, 200)  # input, forget, cell, output
        np.testing.assert_allclose(added[1], -added[0], rtol=0, atol=1e-5)
        assert not added[2:].any()
        steps = np.exp(added[1])
        assert 1 <= steps.min() < 20
        assert 130 < steps.max() < 149.1
