"""What starting costs: imports, the command line's help, compiling from an empty cache, starting from a full one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from .common import needs_numba

STEP = """
import numbanet
from numbanet import models, optim
from numbanet.nn import functional as F
model = models.create_model("lenet5")
optimiser = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
loss = F.cross_entropy(model(numbanet.randn(128, 1, 28, 28)), numbanet.arange(128) % 10)
loss.backward()
optimiser.step()
"""


def run_python(code: str, **environment: str) -> float:
    """Seconds that a fresh interpreter takes for code."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **environment}, capture_output=True)
    return time.perf_counter() - began


class Import:
    """Seconds over `import numpy`, the least of several: at most 0.15 for the library, 0.3 for the help."""

    repeats = 7

    def _over_numpy(self, code: str) -> float:
        pairs = [(run_python("import numpy"), run_python(code)) for _ in range(self.repeats)]
        return min(second for _, second in pairs) - min(first for first, _ in pairs)

    def track_numbanet(self) -> float:
        return self._over_numpy("import numbanet")

    track_numbanet.unit = "s"

    def track_help(self) -> float:
        return self._over_numpy("from numbanet.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass")

    track_help.unit = "s"


class Compile:
    """One LeNet-5 training step in a fresh process."""

    timeout = 300

    def setup(self) -> None:
        needs_numba()
        self.folder = tempfile.TemporaryDirectory()

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def _step(self) -> float:
        return run_python(STEP, NUMBANET_CACHE_DIR=self.folder.name, NUMBANET_BACKEND="cpu")

    def track_cold(self) -> float:
        return self._step()

    track_cold.unit = "s"

    def track_warm(self) -> float:
        self._step()
        return min(self._step() for _ in range(3))

    track_warm.unit = "s"
