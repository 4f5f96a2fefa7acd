"""What a model cannot do with the data is said before a run folder is made, and trying it out leaves no trace."""

from __future__ import annotations

import random as python_random
from pathlib import Path

import numpy as np
import pytest

from numbanet import random
from numbanet.data import DataError
from numbanet.training import Callback, Trainer
from numbanet.training.errors import ConfigError
from numbanet.training.tasks.samples import SampleTask
from tests.training.conftest import content, small_config

FILE = """
import random
import numpy as np
from numbanet import nn
from numbanet.training import Callback

class Net(nn.Module):
    def __init__(self, outputs=10, inputs=784):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
    def forward(self, x):
        return self.linear(x.flatten(1))

class Tuple(Net):
    def forward(self, x):
        return super().forward(x), 3

class Array(Net):
    def forward(self, x):
        return super().forward(x).detach().numpy()

class Scalar(Net):
    def forward(self, x):
        return super().forward(x).sum()

class Whole(Net):
    def forward(self, x):
        return (super().forward(x) > 0).long()

class Raises(Net):
    def forward(self, x):
        return {}["no key"]

class RaisesInTraining(Net):
    def forward(self, x):
        return {}["no key"] if self.training else super().forward(x)

class NoForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

class NoSuper(nn.Module):
    def __init__(self):
        self.size = 3

def seven(): return Net(7)
def unfitting(): return Net(inputs=100)
def doubles(): return Net().double()

def frozen():
    net = Net()
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    return net

class Draws(Net):
    def __init__(self):
        super().__init__()
        self.norm, self.drop, self.calls = nn.BatchNorm1d(784), nn.Dropout(0.3), 0
        self.own = np.random.default_rng(3)
    def forward(self, x):
        self.calls += 1
        random.random()
        noise = np.random.standard_normal() + self.own.standard_normal()
        return self.linear(self.drop(self.norm(x.flatten(1)))) * (1 + 0.01 * noise)

class Breaks(Callback):
    def epoch(self, trainer, row):
        raise ValueError("no such thing")

class Doubles:
    def __len__(self): return 40
    def __getitem__(self, i): return np.zeros((1, 28, 28)), i % 3

class Flags(Doubles):
    def __getitem__(self, i): return np.zeros((1, 28, 28), np.float32), i % 2 == 0

class Narrow(Doubles):
    labels = np.arange(40) % 3
    def __getitem__(self, i): return np.zeros((1, 28, 28 - i % 2), np.float32), i % 3

def doubled(): return Doubles(), Doubles()
def flags(): return Flags(), Flags()
def narrow(): return Narrow(), Narrow()
def single(): return (np.zeros(40), np.arange(40) % 2), (np.zeros(40), np.arange(40) % 2)
"""


@pytest.fixture(autouse=True)
def file() -> None:
    Path("mine.py").write_text(FILE)


def own_config(**changes):
    return small_config(**{"model": "mine.py:Net", "model_options": {}, **changes})


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("seven", r"forward gives \(2, 7\) for a batch of 2, but digits needs an output for each of 10 .*: \(2, 10\)"),
        ("Scalar", r"forward gives \(\) for a batch of 2"),
        ("Tuple", "forward must return a Tensor, not tuple"),
        ("Array", "forward must return a Tensor, not ndarray"),
        ("Whole", "forward must give floating-point numbers, not int64"),
        ("unfitting", r"RuntimeError: linear: an input of shape \(2, 784\) does not fit .* \(mine.py, line 12\)"),
        ("Raises", r"failed with KeyError: 'no key' \(mine.py, line 32\)"),
        ("NoForward", 'NotImplementedError: .* is missing the required "forward" function'),
        ("NoSuper", r"NoSuper.__init__ must call super\(\).__init__\(\)"),
        ("doubles", "linear needs tensors of one dtype, got float32, float64"),
        ("frozen", "no parameter requires a gradient, so there is nothing to train"),
    ],
)
def test_strange_models_of_the_user(model: str, message: str, backend: str) -> None:
    with pytest.raises(ConfigError, match=f"^model mine.py:{model}[: ].*{message}"):
        Trainer(own_config(model=f"mine.py:{model}", backend=backend), "run")
    assert not Path("run").exists()


def test_outputs_of_other_numbers_than_the_targets() -> None:
    Path("data.py").write_text(
        "import numpy as np\n\n\ndef make():\n    part = np.zeros((40, 784)), np.zeros((40, 2))\n"
        "    return part, part\n"
    )
    with pytest.raises(ConfigError, match=r"needs outputs of the targets' shape: \(2, 2\)"):
        Trainer(own_config(dataset="data.py:make", loss="mse"), "run")


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("doubled", "inputs are float64, but the model mlp takes float32"),
        ("flags", "class numbers are bool; give whole numbers"),
        ("single", "inputs are single numbers, but the model mlp takes arrays"),
    ],
)
def test_samples_that_no_model_of_ours_takes(dataset: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^dataset mine.py:{dataset}: {message}"):
        Trainer(own_config(model="mlp", dataset=f"mine.py:{dataset}"), "run")


def test_shapes_that_differ_are_told_when_they_appear() -> None:
    with pytest.raises(DataError, match="the samples of a batch differ in shape"):
        Trainer(own_config(model="mlp", dataset="mine.py:narrow"), "run").fit()


def test_trying_leaves_no_trace(monkeypatch) -> None:
    trained = []
    for tries in (True, False):
        if not tries:
            monkeypatch.setattr(SampleTask, "check_model", lambda *_: None)
        np.random.seed(5)  # noqa: NPY002 - what a user's model may draw by
        python_random.seed(5)
        trainer = Trainer(own_config(model="mine.py:Draws"), f"run-{tries}")
        states = random.get_state(), python_random.getstate(), np.random.random()  # noqa: NPY002
        trained.append((states, trainer.model.calls, trainer.model.training, content_of(trainer)))
    assert trained[0] == trained[1]


def content_of(trainer: Trainer) -> dict:
    trainer.fit()
    return content(trainer.run.folder)


def test_models_of_ours_are_not_tried(monkeypatch) -> None:
    tried = []
    monkeypatch.setattr("numbanet.training.trial._tried", lambda *arguments, **_: tried.append(arguments))
    Trainer(small_config(), "run")
    assert tried == []


@pytest.mark.parametrize(
    "changes", [{"limit": 65, "batch_size": 64}, {"limit": 64, "batch_size": 32, "accumulate": 32}]
)
def test_a_single_sample_for_batch_norm(changes: dict) -> None:
    with pytest.raises(ConfigError, match="choose a batch_size that leaves no single sample over"):
        Trainer(small_config(model_options={"norm": "batch"}, **changes), "run")


def test_a_single_picture_is_enough_for_batch_norm_of_pictures() -> None:
    settings = {"model": "resnet20", "dataset": "digits", "model_options": {}, "limit": 65, "batch_size": 64}
    assert Trainer(small_config(**settings, epochs=1), "run").fit()["steps"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "mine.py:RaisesInTraining"}, r"KeyError: 'no key' \(mine.py, line 36\)"),
        ({"callbacks": ["mine.py:Breaks"]}, r"ValueError: no such thing \(mine.py, line 70\)"),
    ],
)
def test_the_users_errors_while_training(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^code of yours failed with {message}"):
        Trainer(own_config(**changes), "run").fit()


def test_errors_of_a_library_users_callback_stay_what_they_are() -> None:
    class Breaks(Callback):
        def begin(self, trainer) -> None:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Trainer(small_config(), "run", callbacks=[Breaks()]).fit()
