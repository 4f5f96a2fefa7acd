"""Which threading layer is taken: the user's, omp, tbb, or workqueue with a word on what to install."""

from __future__ import annotations

import os
import warnings

import pytest
from numba.core import config

from numbanet.kernels.cpu import layer
from tests.kernels_cpu.helpers import run_child


@pytest.fixture
def fresh(monkeypatch):
    """Nothing is chosen yet; what the test chooses is undone."""
    monkeypatch.setattr(config, "THREADING_LAYER", "default")
    layer.choose_layer.cache_clear()
    yield monkeypatch
    layer.choose_layer.cache_clear()


def test_omp_is_taken_where_it_loads(fresh):
    fresh.setattr(layer, "_loads", lambda module: module == "omppool")
    assert layer.choose_layer() == config.THREADING_LAYER == "omp"


@pytest.mark.parametrize("needs_path", [False, True])
def test_tbb_is_next(fresh, needs_path):
    """It loads at once, or after its library was found by path."""
    found = not needs_path

    def preload() -> bool:
        nonlocal found
        found = True
        return True

    fresh.setattr(layer, "_loads", lambda module: module == "tbbpool" and found)
    fresh.setattr(layer, "_preload_tbb", preload)
    assert layer.choose_layer() == config.THREADING_LAYER == "tbb"


def test_tbb_is_looked_for_where_pip_puts_it(fresh, tmp_path):
    name = {"win32": "tbb12.dll", "darwin": "libtbb.12.dylib"}.get(layer.sys.platform, "libtbb.so.12")
    (tmp_path / "lib").mkdir()
    opened = []
    fresh.setattr(layer.sysconfig, "get_path", lambda kind: str(tmp_path))
    fresh.setattr(layer.sys, "prefix", str(tmp_path / "nothing"))
    fresh.setattr(layer.ctypes, "CDLL", lambda path, mode: opened.append(path))
    assert not layer._preload_tbb()
    (tmp_path / "lib" / name).write_bytes(b"")
    assert layer._preload_tbb()
    assert opened == [str(tmp_path / "lib" / name)]

    def broken(path, mode):
        raise OSError("not a library")

    fresh.setattr(layer.ctypes, "CDLL", broken)
    assert not layer._preload_tbb()


@pytest.mark.parametrize(("platform", "remedy"), [("linux", "pip install tbb"), ("darwin", "brew install libomp")])
def test_workqueue_warns_once(fresh, platform, remedy):
    fresh.setattr(layer, "_loads", lambda module: False)
    fresh.setattr(layer, "_preload_tbb", lambda: False)
    fresh.setattr(layer.sys, "platform", platform)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [layer.choose_layer() for _ in range(3)] == ["workqueue"] * 3
    assert len(caught) == 1
    assert remedy in str(caught[0].message)
    assert issubclass(caught[0].category, RuntimeWarning)


def test_the_users_choice_stands(fresh):
    fresh.setattr(config, "THREADING_LAYER", "workqueue")
    fresh.setattr(layer, "_loads", lambda module: pytest.fail("nothing is looked for"))
    assert layer.choose_layer() == "workqueue"


def test_a_layer_that_cannot_be_imported_does_not_load():
    assert not layer._loads("no_such_pool")


@pytest.mark.parametrize("chosen", ["", "workqueue"])
def test_kernels_run_on_the_layer(chosen):
    """A parallel replay on the layer of our choice, and on one that the environment names."""
    code = """
import numba
from tests.kernels_cpu.test_program import busy_program
from numbanet.kernels import threads
from numbanet.kernels.cpu import layer
threads.set_num_threads(2)
run, product, _ = busy_program(0)
run.run()
print(layer.choose_layer(), numba.threading_layer())
"""
    wanted, used = run_child(code, NUMBA_THREADING_LAYER=chosen).split()
    assert wanted == used
    assert used == (chosen or used)


def test_waiting_threads_sleep_soon_and_the_environment_is_left_alone(fresh):
    """GNU OpenMP reads its variable while it is loaded; what the user has set stands."""
    seen = []
    fresh.setattr(layer, "_loads", lambda module: seen.append(os.environ.get("GOMP_SPINCOUNT")) or True)
    fresh.delenv("GOMP_SPINCOUNT", raising=False)
    fresh.delenv("OMP_WAIT_POLICY", raising=False)
    layer.choose_layer()
    assert "GOMP_SPINCOUNT" not in os.environ
    fresh.setattr(config, "THREADING_LAYER", "default")
    fresh.setenv("GOMP_SPINCOUNT", "5")
    layer.choose_layer.__wrapped__()
    assert seen == [layer.SPINS, "5"]
