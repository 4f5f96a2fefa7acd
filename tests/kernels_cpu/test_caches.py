"""The sizes of caches, as a Linux kernel tells of them."""

from __future__ import annotations

import pytest

from numbanet.kernels.cpu import caches

# siblings of a core, and (level, type, size, shared by) of each cache; what a core has in level 1 and 2
MACHINES = {
    "a cloud's core": (
        "0", [(1, "Data", "32K", "0"), (1, "Instruction", "32K", "0"), (2, "Unified", "512K", "0")], (32, 512)
    ),
    "two threads a core": ("0,4", [(1, "Data", "48K", "0,4"), (2, "Unified", "1280K", "0,4")], (48, 1280)),
    "four cores share the second level": ("0", [(1, "Data", "64K", "0"), (2, "Unified", "2M", "0-3")], (64, 512)),
    "instructions first": ("0-1", [(1, "Instruction", "64K", "0-1"), (1, "Data", "32K", "0-1")], (32, 0)),
    "nothing is told": (None, [], (0, 0)),
    "nonsense": ("0", [(1, "Data", "much", "0"), (2, "Unified", "512K", "-")], (0, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", MACHINES)
def test_what_linux_says(tmp_path, name):
    siblings, found, expected = MACHINES[name]
    if siblings is not None:
        (tmp_path / "topology").mkdir()
        (tmp_path / "topology" / "thread_siblings_list").write_text(f"{siblings}\n")
    for number, words in enumerate(found):
        folder = tmp_path / "cache" / f"index{number}"
        folder.mkdir(parents=True)
        for file, word in zip(("level", "type", "size", "shared_cpu_list"), words, strict=True):
            (folder / file).write_text(f"{word}\n")
    assert tuple(caches._on_linux(level, tmp_path) for level in (1, 2)) == tuple(size << 10 for size in expected)


def test_here():
    """Whatever the machine says, sizes are believable."""
    assert 8 << 10 <= caches.cache_bytes(1) <= 1 << 20
    assert 64 << 10 <= caches.cache_bytes(2) <= 64 << 20
