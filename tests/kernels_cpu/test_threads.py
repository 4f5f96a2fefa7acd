"""How many threads there are, by affinity, quota, environment and command."""

from __future__ import annotations

import math
import os

import pytest

from numbanet.kernels import threads


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    """No number of threads is known yet, and none is left behind."""
    monkeypatch.setattr(threads, "count", None)
    monkeypatch.delenv("NUMBANET_NUM_THREADS", raising=False)
    threads.available_threads.cache_clear()
    yield
    threads.available_threads.cache_clear()


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    """Writes files that stand for those below /sys/fs/cgroup."""
    real = threads.Path
    monkeypatch.setattr(threads, "Path", lambda path: real(str(path).replace("/sys/fs/cgroup", str(tmp_path))))

    def write(**files: str) -> None:
        for name, text in files.items():
            file = tmp_path / name.replace("__", "/").replace("cpu_", "cpu.")
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)

    return write


@pytest.mark.parametrize(
    ("text", "quota"),
    [("max 100000", math.inf), ("150000 100000\n", 1.5), ("50000 100000", 0.5), ("max", math.inf), ("", math.inf)],
)
def test_version_2(cgroup, text, quota):
    cgroup(cpu_max=text)
    assert threads._cgroup_quota() == quota


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [("-1", "100000", math.inf), ("300000", "100000", 3), ("x", "100000", math.inf), ("1", "0", math.inf)],
)
def test_version_1(cgroup, quota, period, expected):
    cgroup(cpu__cpu_cfs_quota_us=quota, cpu__cpu_cfs_period_us=period)
    assert threads._cgroup_quota() == expected


def test_no_cgroup(cgroup):
    assert threads._cgroup_quota() == math.inf


@pytest.mark.parametrize(
    ("affinity", "quota", "expected"), [(8, math.inf, 8), (8, 2.5, 3), (2, 3.0, 2), (4, 0.2, 1), (1, math.inf, 1)]
)
def test_the_smaller_counts(monkeypatch, affinity, quota, expected):
    monkeypatch.setattr(threads, "_affinity", lambda: affinity)
    monkeypatch.setattr(threads, "_cgroup_quota", lambda: quota)
    assert threads.available_threads() == expected
    assert threads.get_num_threads() == expected


def test_affinity(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 9}, raising=False)
    assert threads._affinity() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads._affinity() == 1


def test_the_environment_decides(monkeypatch):
    monkeypatch.setenv("NUMBANET_NUM_THREADS", "7")
    assert threads.get_num_threads() == 7


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", " "])
def test_a_wrong_environment_is_named(monkeypatch, text):
    monkeypatch.setenv("NUMBANET_NUM_THREADS", text)
    with pytest.raises(ValueError, match="NUMBANET_NUM_THREADS is .* it must be a whole number from 1 on"):
        threads.get_num_threads()


def test_set(monkeypatch):
    threads.set_num_threads(3)
    assert threads.get_num_threads() == 3


@pytest.mark.parametrize("count", [0, -2, 1.5, "2", None, True])
def test_a_wrong_number_is_named(count):
    threads.set_num_threads(3)
    with pytest.raises(ValueError, match="the number of threads must be a whole number from 1 on, not"):
        threads.set_num_threads(count)
    assert threads.get_num_threads() == 3
