"""Registered models of attention and convolutions for text: as large as they say, learn, travel, heed no padding."""

from __future__ import annotations

import copy
import pickle
import weakref

import numpy as np
import pytest

import numbanet as nb
from numbanet import interop, models, nn, optim
from numbanet.nn import functional as F

SMALL = {
    "gpt": {"vocab_size": 11, "max_length": 12, "d_model": 16, "num_layers": 2, "num_heads": 2},
    "transformer": {
        "source_vocab_size": 11, "target_vocab_size": 11, "max_length": 12, "d_model": 16, "num_layers": 2,
        "num_heads": 2, "dim_feedforward": 24, "dropout": 0.0,
    },
    "transformer_classifier": {
        "num_classes": 3, "vocab_size": 11, "max_length": 12, "d_model": 16, "num_layers": 2, "num_heads": 2,
        "dim_feedforward": 24, "dropout": 0.0,
    },
    "text_cnn": {"num_classes": 3, "vocab_size": 11, "embedding_dim": 8, "channels": 6, "dropout": 0.0},
}  # fmt: skip
CLASSIFIERS = ["transformer_classifier", "text_cnn"]


def make(name, **options):
    nb.manual_seed(11)
    return models.create_model(name, **{**SMALL[name], **options})


def texts(seed, *shape):
    """Token numbers without the padding."""
    return np.random.default_rng(seed).integers(1, 11, shape)


def loss_of(name, model):
    """The loss on a small batch."""
    tokens = nb.tensor(texts(1, 5, 9))
    if name == "gpt":
        return F.cross_entropy(model(tokens[:, :-1]).reshape(-1, 11), tokens[:, 1:].reshape(-1))
    if name == "transformer":
        return F.cross_entropy(model(tokens, tokens[:, :-1]).reshape(-1, 11), tokens[:, 1:].reshape(-1))
    return F.cross_entropy(model(tokens), tokens[:, 0] % 3)


@pytest.mark.parametrize("name", SMALL)
def test_is_documented_and_counted(name):
    info = models.model_info(name)
    assert sum(parameter.numel() for parameter in models.create_model(name).parameters()) == info.parameters
    assert info.kind in models.KINDS
    assert info.kind != "pictures"
    assert len(info.source) > 20


@pytest.mark.parametrize("name", SMALL)
def test_learns_and_travels(backend, name, tmp_path):
    model = make(name)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(9):
        optimizer.zero_grad()
        loss = loss_of(name, model)
        loss.backward()
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None, key
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
    model.eval()
    expected = loss_of(name, model).item()
    fresh = models.create_model(name, **SMALL[name]).eval()
    fresh.load_state_dict({key: value.numpy().copy() for key, value in model.state_dict().items()})
    for twin in (fresh, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert loss_of(name, twin).item() == expected
    for kind, suffix in interop.SUFFIXES.items():
        interop.save_weights(model.state_dict(), tmp_path / f"weights{suffix}", kind)
        fresh = models.create_model(name, **SMALL[name]).eval()
        fresh.load_state_dict(interop.load_weights(tmp_path / f"weights{suffix}"))
        assert loss_of(name, fresh).item() == expected


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_padding_and_other_texts_change_nothing(backend, name):
    """A text alone, with padding behind it, and among others: the same logits to 1e-6."""
    model = make(name).eval()
    for length in (1, 4, 9):
        text = texts(length, 1, length)
        batch = np.zeros((3, 12), np.int64)
        batch[0, :length], batch[1] = text, texts(3, 12)  # and a text of padding alone
        logits = model(nb.tensor(batch)).detach().numpy()
        assert np.isfinite(logits).all()
        np.testing.assert_allclose(logits[:1], model(nb.tensor(text)).detach().numpy(), rtol=0, atol=1e-6)


def test_padding_of_the_source_changes_nothing(backend):
    model = make("transformer").eval()
    target = nb.tensor(texts(4, 1, 6))
    source = texts(5, 1, 4)
    padded = np.pad(source, ((0, 0), (0, 5)))
    first, second = (model(nb.tensor(one), target).detach().numpy() for one in (source, padded))
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-6)


def test_padding_of_the_source_changes_nothing_at_full_size(backend):
    """Products of few rows are summed in another order: 1e-6 is a share of the largest logit."""
    sizes = {"source_vocab_size": 200, "target_vocab_size": 200, "max_length": 64}
    model = models.create_model("transformer", **sizes).eval()
    target = nb.tensor(texts(4, 1, 6))
    for length in (1, 3, 4, 9):
        source = texts(length, 1, length)
        padded = np.pad(source, ((0, 0), (0, 64 - length)))
        first, second = (model(nb.tensor(one), target).detach().numpy() for one in (source, padded))
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-6 * np.abs(first).max())


def start(name, model, batch):
    return model.start(batch) if name == "gpt" else model.start(nb.tensor(np.pad(texts(8, batch, 5), ((0, 0), (0, 3)))))


def whole(name, model, tokens):
    """The logits of all places at once, without a cache."""
    if name == "gpt":
        return model(nb.tensor(tokens)).numpy()
    return model(nb.tensor(np.pad(texts(8, len(tokens), 5), ((0, 0), (0, 3)))), nb.tensor(tokens)).numpy()


@pytest.mark.parametrize("name", ["gpt", "transformer"])
def test_cached_equals_uncached(backend, name):
    """Token for token, whatever the size of the steps, and after texts were chosen anew."""
    model = make(name).eval()
    tokens = texts(6, 3, 12)
    with nb.no_grad():
        for steps in ((1,) * 12, (5, 1, 1, 3, 2)):
            logits, state, done = whole(name, model, tokens), start(name, model, 3), 0
            for count in steps:
                found = model.step(nb.tensor(tokens[:, done : done + count]), state).numpy()
                done += count
                np.testing.assert_allclose(found, logits[:, done - 1], rtol=0, atol=1e-5)
                np.testing.assert_array_equal(found.argmax(1), logits[:, done - 1].argmax(1))
            with pytest.raises(ValueError, match="12 tokens and 1 more are more than the 12"):
                model.step(nb.tensor(tokens[:, :1]), state)
        state = start(name, model, 3)
        model.step(nb.tensor(tokens[:, :4]), state)
        state.select([2, 0, 0])
        found = model.step(nb.tensor(tokens[[2, 0, 0], 4:5]), state).numpy()
        np.testing.assert_allclose(found, whole(name, model, tokens)[[2, 0, 0], 4], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt", "transformer"])
def test_recorded_generation(backend, name):
    """A step that is recorded and replayed makes the same tokens, with one plan whatever the length, all kernels."""
    model = make(name).eval()
    tokens = texts(6, 2, 12)
    with nb.no_grad():
        logits, state = whole(name, model, tokens), start(name, model, 2)
        model.step(nb.tensor(tokens[:, :1]), state)
        step = nb.compile(lambda one: model._next(one, state))
        for i in range(1, 12):
            state.progress.reserve(1)
            found = step(nb.tensor(tokens[:, i : i + 1])).numpy()
            np.testing.assert_allclose(found, logits[:, i], rtol=0, atol=1e-5)
    assert len(step.plans) == 1
    if backend == "cpu":
        assert not step.plans[0].host_segments


@pytest.mark.parametrize("name", ["gpt", "transformer"])
def test_steps_of_a_token_are_replayed(backend, name):
    """By themselves, unless gradients are recorded, texts are reordered or a hook wants to be called; nothing stays."""
    model, called = make(name).eval(), []
    token = nb.tensor(texts(6, 2, 1))
    with nb.no_grad():
        state = start(name, model, 2)
        for _ in range(6):
            model.step(token, state)
        assert len(state._recorded.plans) == 1
        hook = model.get_submodule("tokens" if name == "gpt" else "target").register_forward_hook(
            lambda *_: called.append(1)
        )
        for _ in range(3):
            model.step(token, state)
        assert len(called) == 3
        hook.remove()
        model.step(token, state)
        assert len(called) == 3
        state.select([1, 0])
        assert state._recorded is None
        model.step(token, state)
        assert state._recorded is None
    grown = start(name, model, 2)
    for _ in range(4):
        assert model.step(token, grown).requires_grad
    gone = weakref.ref(state)
    del state
    assert gone() is None, "a state keeps itself alive"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))])
def test_a_copied_state_goes_on_by_itself(backend, copied):
    """From where the texts were, with its own memory and recording."""
    model, tokens = make("gpt").eval(), texts(6, 2, 8)
    with nb.no_grad():
        state = start("gpt", model, 2)
        for at in range(5):
            model.step(nb.tensor(tokens[:, at : at + 1]), state)
        other = copied(state)
        for at in range(5, 8):
            token = nb.tensor(tokens[:, at : at + 1])
            np.testing.assert_array_equal(model.step(token, other).numpy(), model.step(token, state).numpy())
    assert other._recorded is not state._recorded


@pytest.mark.parametrize("name", SMALL)
def test_recorded_training(backend, name):
    """A recorded training step, with dropout, gives the same losses to the bit."""
    losses = []
    for compiled in (False, True):
        options = {"dropout": 0.2} if name != "text_cnn" else {}
        model = make(name, **options)
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(model=model, optimizer=optimizer):
            optimizer.zero_grad()
            loss = loss_of(name, model)
            loss.backward()
            optimizer.step()
            return loss

        run = nb.compile(step) if compiled else step
        losses.append([run().item() for _ in range(5)])
    assert losses[0] == losses[1]


def test_no_token_sees_a_later_one(backend):
    model = make("gpt").eval()
    tokens = texts(7, 2, 9)
    before = model(nb.tensor(tokens)).detach().numpy()
    tokens[:, 5:] = texts(8, 2, 4)
    np.testing.assert_array_equal(model(nb.tensor(tokens)).detach().numpy()[:, :5], before[:, :5])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gpt", {"d_model": 10, "num_heads": 4}, "d_model must be a multiple of num_heads, but got 10 and 4"),
        ("gpt", {"vocab_size": 0}, "vocab_size must be a positive whole number, but got 0"),
        ("gpt", {"dropout": 1.0}, "dropout must be at least 0 and below 1, but got 1.0"),
        ("transformer", {"share_embeddings": True, "source_vocab_size": 5}, "share_embeddings needs one vocabulary"),
        ("transformer", {"base": 1.0}, "the base must be above 1"),
        ("text_cnn", {"widths": (3, 0)}, "width must be a positive whole number, but got 0"),
        ("transformer_classifier", {"num_classes": True}, "num_classes must be a positive whole number"),
    ],
)
def test_bad_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, **options)


@pytest.mark.parametrize("name", ["gpt", *CLASSIFIERS])
def test_bad_tokens(name):
    model = make(name)
    with pytest.raises(ValueError, match=r"takes token numbers of shape \(batch, length\)"):
        model(nb.tensor(texts(1, 5)))
    with pytest.raises(ValueError, match="int64"):
        model(nb.zeros(2, 5))
    if name != "text_cnn":
        with pytest.raises(ValueError, match="a sequence of 13 tokens is longer than the 12 positions"):
            model(nb.tensor(texts(1, 2, 13)))


def test_positions():
    """LECTURE row L36, with an odd size and another base."""
    layer = nn.SinusoidalPositionalEncoding(5, 7, base=100.0)
    table = layer(nb.zeros(1, 7, 5)).numpy()[0]
    for t in range(7):
        for i in range(5):
            angle = t / 100 ** ((i - i % 2) / 5)
            assert abs(table[t, i] - (np.sin(angle) if i % 2 == 0 else np.cos(angle))) < 1e-6
    assert not layer.state_dict()
    places = nb.tensor(np.array([[2, 3, 4], [0, 1, 2]]))
    np.testing.assert_array_equal(layer(nb.zeros(2, 3, 5), places).numpy(), np.stack([table[2:5], table[:3]]))
    sequence_first = nn.SinusoidalPositionalEncoding(5, 7, base=100.0, batch_first=False)
    np.testing.assert_array_equal(sequence_first(nb.zeros(7, 1, 5)).numpy()[:, 0], table)
