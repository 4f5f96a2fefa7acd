"""Replayed training: the same bits as eager training, whatever the settings and the models."""

from __future__ import annotations

import math
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest

import numbanet as nb
from numbanet import models, optim
from numbanet.training import Config, Reporter
from numbanet.training.errors import DivergedError
from numbanet.training.forward import CarriedState, Forward
from numbanet.training.objective import Objective
from numbanet.training.replayed import BEFORE, MOST_SHAPES, Replayed
from numbanet.training.run import Run
from numbanet.training.step import TrainingStep
from numbanet.training.tasks.language import carries_state
from numbanet.training.tasks.tokens import TokenObjective
from numbanet.training.trainer import Trainer
from tests.conftest import needs_numba
from tests.training.conftest import content, small_config
from tests.training.test_text_training import KINDS, config_of
from tests.training.tiny_text import tiny_models  # noqa: F401

OWN = """
import random
from numbanet import nn, training

def model(num_classes):
    return nn.Sequential(nn.Conv2d(1, 3, 5, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(),
                         nn.Linear(192, num_classes))

class Looks(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.flatten, self.fc = nn.Flatten(), nn.Linear(784, num_classes)

    def forward(self, x):
        y = self.fc(self.flatten(x))
        return y * 0.5 if float(y.abs().max()) > 0.7 else y

class Root(Looks):
    def forward(self, x):
        y = self.fc(self.flatten(x))
        return y - 0.5 * (y + 0.35).log()

SEEN, COUNT = [], 0

class Remembers(Looks):
    def forward(self, x):
        SEEN.append(x.shape)
        return self.fc(self.flatten(x))

class Counts(Looks):
    def forward(self, x):
        global COUNT
        COUNT += 1
        return self.fc(self.flatten(x))

class Gradients(training.Callback):
    # looks at gradients by hooks and between steps, changes weights and options, freezes a layer
    def begin(self, trainer):
        self.norms = []
        trainer.model[0].weight.register_hook(lambda g: self.norms.append(float(g.abs().sum())))

    def step(self, trainer, loss):
        self.norms.append(float(trainer.model[1].weight.grad.abs().sum()))
        trainer.model[0].bias.data.add_(0.01 * len(self.norms))

    def epoch(self, trainer, row):
        row["norms"] = self.norms
        for group in trainer.step.optimizer.param_groups:
            group["momentum"] = [0.9, 0.0, 0.5][row["epoch"] % 3]
        trainer.model[5].bias.requires_grad_(False)

class Changes(Gradients):
    def begin(self, trainer):
        self.norms = []
"""
CONFIG = small_config(limit=90, epochs=3)
VARIANTS = {
    "schedule, decay": CONFIG.replace(weight_decay=0.01, decay_all=False, warmup_epochs=0.5, nesterov=True),
    "parts, average, limits": CONFIG.replace(
        accumulate=3, ema_decay=0.9, clip_norm=1.0, clip_value=0.1, optimizer="adamw", lr=0.01, label_smoothing=0.1
    ),
    "parts of weighted classes": CONFIG.replace(accumulate=2, class_weights="balanced", optimizer="adam", lr=0.01),
    "norm, dropout": CONFIG.replace(
        model="own.py:model", model_options={}, optimizer="rmsprop", centered=True, exact_batchnorm=True, lr=0.01
    ),
    "a callback": CONFIG.replace(model="own.py:model", model_options={}, callbacks=["own.py:Changes"]),
    "another loss": CONFIG.replace(loss="smooth_l1", schedule="plateau", patience=0),
}
FALLS_BACK = {
    "remembers": (CONFIG.replace(model="own.py:Remembers", model_options={}), "each call changes SEEN"),
    "counts": (CONFIG.replace(model="own.py:Counts", model_options={}), "COUNT is"),
    "looks at a value": (CONFIG.replace(model="own.py:Looks", model_options={}), "own.py:16: this reads the value"),
    "hooks": (
        CONFIG.replace(model="own.py:model", model_options={}, callbacks=["own.py:Gradients"]),
        "a hook is called",
    ),
}


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch) -> None:
    monkeypatch.setattr("numbanet.training.curves.draw", lambda *arguments: None)  # they take longer than the runs


class Notes(Reporter):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def outcome(config: Config, folder: str) -> tuple[dict, list[str], Trainer]:
    """What a run comes to but for the setting ``eager``; what was said; the trainer."""
    reporter = Notes()
    trainer = Trainer(config, folder, reporter)
    trainer.fit()
    found = content(Path(folder))
    for state in ("last state", "best state"):
        del found[state]["config"]
    return found, reporter.notes, trainer


def assert_same(config: Config) -> tuple[list[str], Trainer]:
    eager, notes, trainer = outcome(config.replace(eager=True), "eager")
    assert notes == []
    assert not isinstance(trainer.step._run, Replayed)
    replayed, notes, trainer = outcome(config, "replayed")
    assert replayed == eager
    return notes, trainer


def on(names, always: tuple[str, ...] = ()) -> list:
    """(name, back end), most of those on NumPy being slow tests."""
    return [
        pytest.param(name, backend, marks=[] if backend == "numpy" and name in always else [mark])
        for name in names
        for backend, mark in (("cpu", needs_numba), ("numpy", pytest.mark.slow))
    ]


@pytest.mark.parametrize(("name", "backend"), on(VARIANTS, ("norm, dropout",)))
def test_the_same_bits(name: str, backend: str) -> None:
    Path("own.py").write_text(OWN)
    notes, trainer = assert_same(VARIANTS[name].replace(backend=backend))
    assert notes == []
    assert trainer.step._run._compiled.plans


@pytest.mark.parametrize(("name", "backend"), on(FALLS_BACK, ("hooks",)))
def test_what_is_not_replayed_is_said_once(name: str, backend: str) -> None:
    Path("own.py").write_text(OWN)
    config, why = FALLS_BACK[name]
    (note,), _ = assert_same(config.replace(backend=backend))
    assert note.startswith("training steps are not replayed: ")
    assert why in note


REAL = {"classes": "text_cnn", "translation": "seq2seq"}
"""Models in the place of the smallest ones, which look at values."""


@pytest.mark.usefixtures("tiny_models")
@pytest.mark.parametrize(("kind", "backend"), on(KINDS))
def test_texts(kind: str, backend: str, monkeypatch) -> None:
    monkeypatch.setattr("numbanet.training.replayed.BEFORE", 0)  # such short runs have no shape often
    changes = {"model": REAL[kind], "model_options": {"embedding_dim": 8}} if kind in REAL else {}
    notes, trainer = assert_same(config_of(kind, backend=backend, epochs=3, clip_norm=1.0, **changes))
    assert notes == []
    assert trainer.step._run._compiled.plans


@pytest.mark.parametrize("first", [True, False])
def test_a_run_may_go_on_the_other_way(first: bool) -> None:
    expected, _, _ = outcome(CONFIG.replace(epochs=4, schedule="constant"), "alone")
    Trainer(CONFIG.replace(epochs=2, schedule="constant", eager=first), "run").fit()
    Trainer.resume("run", {"eager": not first, "epochs": 4}).fit()
    found = content(Path("run"))
    assert Run.open("run").config.eager is not first
    assert found["last"] == expected["last"]
    assert found["metrics"] == expected["metrics"]


def test_a_loss_that_is_not_finite_ends_a_replayed_run() -> None:
    config = small_config(lr=1e-3, epochs=1, limit=96)
    trainer = Trainer(config, "run")
    trainer.schedule = trainer.step.schedule = lambda number: 1.0 if number < 4 else 1e30
    trainer.schedule.see = lambda history: None
    with pytest.raises(DivergedError, match=r"the loss became (nan|inf) at step 6 \(epoch 1\)"):
        trainer.fit()
    assert trainer.step._run._compiled.plans
    assert Run.open("run").load_checkpoint("last").state["schedule"]["step"] == 0


def test_check_nan_names_the_operation_and_keeps_the_last_checkpoint() -> None:
    Path("own.py").write_text(OWN)
    config = CONFIG.replace(model="own.py:Root", model_options={}, check_nan=True)
    line = OWN.splitlines().index("        return y - 0.5 * (y + 0.35).log()") + 1
    with pytest.raises(DivergedError) as caught:
        Trainer(config, "run").fit()
    message = str(caught.value)
    assert message.startswith("training diverged: ")
    assert f"own.py:{line}: Log makes nan at (" in message
    assert "last.npz keeps the last good state" in message
    assert Run.open("run").load_checkpoint("last").state["schedule"]["step"] == 0


def test_check_nan_changes_no_bit_and_may_be_turned_on_later() -> None:
    expected, _, _ = outcome(CONFIG.replace(epochs=2), "alone")
    Trainer(CONFIG.replace(epochs=1, schedule="cosine"), "run").fit()
    Trainer.resume("run", {"check_nan": True, "epochs": 2}).fit()
    checked, _, _ = outcome(CONFIG.replace(epochs=2, check_nan=True), "checked")
    assert checked == expected
    assert Run.open("run").config.check_nan


# --- which shapes ----------------------------------------------------------------------------------------------------
def test_shapes_that_come_again_are_recorded() -> None:
    calls, told = SimpleQueue(), []  # a list would be seen to change
    step = Replayed(lambda x: calls.put(len(x)) or x * 2, told.append)
    for size in [7] * 9 + [3] * 9:
        assert step(nb.ones(size)).tolist() == [2] * size
    assert [calls.get() for _ in range(calls.qsize())] == [7] * 2 + [3] * (BEFORE + 1)
    for size in range(10, 20 + MOST_SHAPES):
        for _ in range(BEFORE + 4):
            assert step(nb.ones(size)).tolist() == [2] * size
    assert len(step._compiled.plans) == MOST_SHAPES
    (note,) = told
    assert f"batches have many shapes; {MOST_SHAPES} of them are replayed, the others run by Python" in note


# --- registered models -----------------------------------------------------------------------------------------------
QUICK = {
    "lenet5": {},
    "mlp": {"hidden": [20]},
    "local_net": {},
    "char_gru": {"hidden_size": 16},
    "gpt": {"d_model": 16, "num_layers": 1, "num_heads": 2},
    "seq2seq_attention": {"hidden_size": 8, "embedding_dim": 8},
    "text_cnn": {},
    "transformer": {"d_model": 16, "num_heads": 2},
    "resnet20": {},
    "series_lstm": {"hidden_size": 8, "num_outputs": 2},
}
"""Options that make models small."""
MODELS = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in models.list_models()]


def steps_of(name: str, options: dict, replays: bool) -> tuple[list[float], list[bytes]]:
    """The losses of a few steps, and all that they change."""
    info = models.model_info(name)
    nb.manual_seed(3)
    model = models.create_model(name, **options)
    optimizer = optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=1e-3)
    samples = [
        one if isinstance(one, nb.Tensor) else nb.randn(1, *one)
        for one in models.example(info, {**info.options, **options})
    ]
    inputs = [nb.cat([one, one]) for one in samples]
    recurrent = info.kind == "language" and carries_state(model)
    forward = CarriedState(model) if recurrent else Forward(model)
    model.eval()
    with nb.no_grad():
        shape = forward(inputs if len(inputs) > 1 else inputs[0]).shape[:-1]
    model.train()
    forward.begin_epoch()
    targets = nb.tensor(np.arange(math.prod(shape)).reshape(shape) % 2)
    objective = Objective() if info.kind in ("pictures", "series") else TokenObjective()
    step = TrainingStep(model, optimizer, lambda number: 0.9**number, 1e-3, objective, None, forward)
    if replays:
        step.replay(pytest.fail)
    losses = [step(tuple(inputs) if len(inputs) > 1 else inputs[0], targets) for _ in range(6)]
    assert not replays or step._run._compiled.plans
    arrays = [*model.state_dict().values(), *[p.grad for p in model.parameters() if p.grad is not None]]
    return losses, [array.numpy().tobytes() for array in arrays]


@needs_numba
@pytest.mark.parametrize("name", MODELS)
def test_every_registered_model_has_the_same_bits(name: str) -> None:
    nb.set_backend("cpu")
    options = QUICK.get(name, {})
    eager, replayed = [steps_of(name, options, replays) for replays in (False, True)]
    assert replayed == eager
    assert len(set(eager[0])) > 2
