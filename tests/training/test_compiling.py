"""What is compiled before the first step is all that a run needs: nothing is compiled or even loaded later."""

from __future__ import annotations

import subprocess
import sys

import pytest

from numbanet.training.toml import dumps
from tests.training.conftest import small_config

pytest.importorskip("numba", reason="without Numba nothing is compiled")

CODE = """
import sys
from numbanet.kernels.cpu import driver
from numbanet.kernels.cpu.kernel import KERNELS
from numbanet.training import Config, Reporter, Trainer
from numbanet.training.toml import read

def ready():
    return sorted(name for name, kernel in KERNELS.items() if kernel.is_loaded)

class Listener(Reporter):
    def epoch(self, row):
        if row["epoch"] == 1:
            print(*ready())

trainer = Trainer(Config(**read(sys.argv[1])), sys.argv[2], Listener())
trainer._create()
trainer._compile()
print(*ready())
trainer.fit()
print(*ready())
"""


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "lenet5", "model_options": {}},
        pytest.param(
            {"model": "lenet5", "model_options": {"activation": "tanh", "pool": "avg"}, "optimizer": "adam"},
            marks=pytest.mark.slow,
        ),
        pytest.param({"optimizer": "adamw", "validation": 0.1, "label_smoothing": 0.1}, marks=pytest.mark.slow),
        {
            "optimizer": "rmsprop",
            "class_weights": "balanced",
            "accumulate": 3,
            "ema_decay": 0.9,
            "clip_norm": 1.0,
            "clip_value": 0.1,
            "decay_all": False,
            "weight_decay": 0.01,
        },
        pytest.param({"loss": "smooth_l1"}, marks=pytest.mark.slow),
    ],
    ids=["lenet5", "lenet5 of 1998", "mlp", "mlp with everything", "mlp, another loss"],
)
def test_nothing_is_loaded_after_the_first_step(tmp_path, changes: dict) -> None:
    config = small_config(backend="cpu", epochs=2, limit=83, eval_batch_size=40, **changes)
    (tmp_path / "config.toml").write_text(dumps(config))
    command = [sys.executable, "-c", CODE, "config.toml", "run"]
    before, first, last = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert before.split()
    assert first.split() == before.split()
    assert last.split() == before.split()
