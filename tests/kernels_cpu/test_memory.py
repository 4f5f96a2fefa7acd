"""The memory pool: aligned blocks that come back when nobody else can see them, and only then."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from numbanet.kernels import memory
from numbanet.kernels.array import Array, Storage, pooled_storage


@pytest.fixture(autouse=True)
def _empty_pool():
    memory.empty_cache()
    yield
    memory.empty_cache()


def storage(nbytes: int) -> Storage:
    return pooled_storage(None, nbytes, memory.pool_for(nbytes))


@pytest.mark.parametrize("nbytes", [0, 1, 255, 256, 257, 1000, 4097, 123_457, 1 << 20, 50_000_001])
def test_blocks_are_aligned_and_large_enough(nbytes):
    block, address = memory.take(memory.pool_for(nbytes))
    assert address % 64 == 0
    assert address == block.ctypes.data
    assert nbytes <= block.size == memory.size_class(nbytes)
    assert block.size <= max(256, 1.15 * nbytes + 64)


def test_size_classes_grow():
    classes = [memory.size_class(n) for n in range(5000)]
    assert classes == sorted(classes)
    assert all(memory.size_class(size) == size for size in classes)


def test_a_dead_storages_block_is_used_again():
    first = storage(1000)
    address = first.address
    del first
    assert memory.pooled_bytes() == memory.size_class(1000)
    assert storage(1000).address == address


VIEWS = {
    "the buffer": lambda one: one.buffer,
    "an ndarray": lambda one: Array(one, (100,), np.dtype(np.float32)).numpy(),
    "a slice of an ndarray": lambda one: Array(one, (10, 10), np.dtype(np.float32)).numpy()[2:, 1],
    "a slice of the buffer": lambda one: one.buffer[5:9],
    "a memoryview": lambda one: memoryview(one.buffer),
    "a view of another type": lambda one: one.buffer[:400].view(np.int32),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_block_that_somebody_sees_is_never_used_again(name):
    first = storage(1000)
    view, address = VIEWS[name](first), first.address
    del first
    assert memory.pooled_bytes() == 0
    assert storage(1000).address != address
    del view


def test_the_pool_is_bounded(monkeypatch):
    """Small blocks of each size by their number, large ones all together."""
    monkeypatch.setattr(memory.pool_for(1000), "most", 2)
    blocks = [storage(1000) for _ in range(5)]
    blocks.clear()
    assert memory.pooled_bytes() == 2 * memory.size_class(1000)
    memory.empty_cache()
    sizes = [memory.LARGE_BYTES, 3 * memory.LARGE_BYTES]
    monkeypatch.setattr(memory, "POOL_BYTES", 2 * sum(sizes))
    blocks = [storage(size) for size in sizes * 4]
    blocks.clear()
    assert sum(sizes) < memory.pooled_bytes() <= 2 * sum(sizes)
    assert storage(sizes[0]).nbytes == sizes[0]
    memory.empty_cache()
    assert memory.pooled_bytes() == memory._waiting == 0


def test_a_large_block_is_counted_where_it_waits():
    first = storage(memory.LARGE_BYTES)
    address = first.address
    del first
    assert memory._waiting == memory.LARGE_BYTES
    first = storage(memory.LARGE_BYTES)
    assert first.address == address
    assert memory._waiting == 0


def test_a_release_while_the_pool_is_locked():
    """A garbage collection can begin anywhere in this thread, inside the pool's own code too."""
    first, done = storage(memory.LARGE_BYTES), threading.Event()

    def collect() -> None:
        nonlocal first
        with memory._lock:
            first = None
        done.set()

    threading.Thread(target=collect, daemon=True).start()
    assert done.wait(20), "the pool waits for itself"
    assert memory.pooled_bytes() > 0


def test_threads_never_share_a_block():
    """Each writes its number all over its blocks and finds it there."""
    wrong = []

    def work(number: int) -> None:
        for step in range(300):
            mine = [storage(size) for size in (300, 1000, 1000, 5000, memory.LARGE_BYTES)]
            for one in mine:
                one.buffer[:] = number
            if step % 50 == 0:
                memory.empty_cache()
            if any((one.buffer != number).any() for one in mine):
                wrong.append(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []
    large = [pool for pool in memory._pools.values() if pool.size >= memory.LARGE_BYTES]
    assert memory._waiting == sum(pool.size * len(pool) for pool in large)


def test_a_storage_may_outlive_its_module():
    """At the interpreter's end modules are taken apart, and what other modules hold dies later."""
    program = "import builtins, numbanet; builtins.kept = numbanet.zeros(9)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stderr == ""
