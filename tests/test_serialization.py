"""numbanet.save and numbanet.load."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb


def test_save_and_load(backend, tmp_path):
    state = {"conv.weight": nb.randn(2, 3), "n": nb.tensor(5), "file": nb.ones(1), "array": np.arange(3)}
    nb.save(state, tmp_path / "x.npz")
    loaded = nb.load(tmp_path / "x.npz")
    assert list(loaded) == list(state)
    for name, value in state.items():
        np.testing.assert_array_equal(loaded[name].numpy(), np.asarray(value))
    assert list(tmp_path.iterdir()) == [tmp_path / "x.npz"]


def test_files_that_are_none(backend, tmp_path):
    with pytest.raises(TypeError, match="takes names with tensors"):
        nb.save({"a": [1]}, tmp_path / "x.npz")
    with pytest.raises(FileNotFoundError):
        nb.load(tmp_path / "none.npz")
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(ValueError, match="is not a file of tensors"):
        nb.load(tmp_path / "x.npz")
    (tmp_path / "y.npz").write_bytes(b"")
    with pytest.raises(ValueError, match="is not a file of tensors"):
        nb.load(tmp_path / "y.npz")
    np.save(tmp_path / "z.npy", np.arange(3))
    with pytest.raises(ValueError, match="is not a file of tensors"):
        nb.load(tmp_path / "z.npy")
    np.savez(tmp_path / "o.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="is not a file of tensors|allow_pickle"):
        nb.load(tmp_path / "o.npz")


def test_a_failed_save_leaves_the_old_file(backend, tmp_path, monkeypatch):
    nb.save({"a": nb.ones(1)}, tmp_path / "x.npz")
    monkeypatch.setattr(np, "savez", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        nb.save({"a": nb.zeros(1)}, tmp_path / "x.npz")
    assert nb.load(tmp_path / "x.npz")["a"].item() == 1
    assert len(list(tmp_path.iterdir())) == 1
