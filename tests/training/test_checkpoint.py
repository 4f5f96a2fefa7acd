"""Checkpoints: exact, whole or not at all, and recognised when they are not what they should be."""

from __future__ import annotations

import io
import json
import os
import zipfile

import numpy as np
import pytest

from numbanet.training import checkpoint as checkpoints
from numbanet.training import files
from numbanet.training.checkpoint import Checkpoint
from numbanet.training.errors import CheckpointError


def example() -> Checkpoint:
    arrays = {
        "model.weight": np.array([[1.5, -0.0], [np.float32(1e-45), 3e38]], np.float32),
        "optimizer.0.step": np.array(7, np.int64),
        "empty": np.zeros((0, 3), np.float64),
        "strided": np.arange(12.0).reshape(3, 4).T,
    }
    return Checkpoint(arrays, {"step": 12, "loss": 0.1 + 0.2, "names": ["ä", "b"], "best": None})


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "last.npz"
    checkpoints.save(path, example())
    return path


def test_round_trip_is_exact(path) -> None:
    loaded, expected = checkpoints.load(path), example()
    assert loaded.state == expected.state
    assert list(loaded.arrays) == list(expected.arrays)
    for name, array in expected.arrays.items():
        assert loaded.arrays[name].dtype == array.dtype
        assert loaded.arrays[name].shape == array.shape
        assert loaded.arrays[name].tobytes() == array.tobytes()


def test_is_an_npz_without_pickle_with_one_json_text(path) -> None:
    with np.load(path, allow_pickle=False) as archive:
        others = {name: archive[name].dtype.kind for name in archive.files}
        header = json.loads(str(archive["json"]))
    assert others.pop("json") == "U"
    assert set(others.values()) <= set("biuf")
    assert header["format"] == "numbanet checkpoint"
    assert header["format_version"] == 1
    assert header["checksum"].startswith("sha256:")


def test_same_content_same_bytes(path, tmp_path) -> None:
    checkpoints.save(tmp_path / "again.npz", example())
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated(path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match=r"last\.npz is (damaged|not a numbanet checkpoint)"):
        checkpoints.load(path)


def test_every_flipped_byte_is_noticed_or_harmless(path) -> None:
    content, expected, noticed = path.read_bytes(), example(), 0
    for position in range(0, len(content), 13):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :])
        try:
            loaded = checkpoints.load(path)
        except CheckpointError:
            noticed += 1
            continue
        assert loaded.state == expected.state  # a byte of the zip archive that holds no content
        for name, array in expected.arrays.items():
            assert loaded.arrays[name].tobytes() == array.tobytes()
    assert noticed > len(content) / 13 / 2


def edited(path, change) -> None:
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(str(arrays.pop("json")))
    change(header, arrays)
    np.savez(path, json=np.array(json.dumps(header)), **arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header, arrays: arrays["model.weight"].__setitem__((0, 0), 2), "was changed after it was written"),
        (lambda header, arrays: header.update(step=13), "was changed after it was written"),
        (lambda header, arrays: arrays.pop("empty"), "was changed after it was written"),
        (lambda header, arrays: arrays.update(more=np.zeros(2)), "was changed after it was written"),
        (lambda header, arrays: arrays.update(empty=np.zeros((3, 0))), "was changed after it was written"),
        (lambda header, arrays: header.pop("checksum"), "was changed after it was written"),
        (lambda header, arrays: header.update(format_version=2), "has format version 2; this numbanet reads version 1"),
        (lambda header, arrays: header.update(format="other"), "is not a numbanet checkpoint"),
    ],
)
def test_edited(path, change, message: str) -> None:
    edited(path, lambda header, arrays: None)
    checkpoints.load(path)  # written anew with the same content, it is as good
    edited(path, change)
    with pytest.raises(CheckpointError, match=message):
        checkpoints.load(path)


def foreign_files() -> dict[str, bytes]:
    npz, npy, pickled, zipped = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(npz, a=np.zeros(3))
    np.save(npy, np.zeros(3))
    np.savez(pickled, json=np.array({"a": 1}, dtype=object))
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("hello.txt", "hello")
    return {
        "npz": npz.getvalue(),
        "npy": npy.getvalue(),
        "pickle": pickled.getvalue(),
        "zip": zipped.getvalue(),
        "text": b"hello",
        "empty": b"",
    }


@pytest.mark.parametrize("kind", foreign_files())
def test_foreign(tmp_path, kind: str) -> None:
    path = tmp_path / "last.npz"
    path.write_bytes(foreign_files()[kind])
    with pytest.raises(CheckpointError, match=r"last\.npz is (not a numbanet checkpoint|damaged)"):
        checkpoints.load(path)


def test_missing_or_a_folder(tmp_path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        checkpoints.load(tmp_path / "last.npz")
    with pytest.raises(CheckpointError, match="cannot read"):
        checkpoints.load(tmp_path)


@pytest.mark.parametrize(
    "bad",
    [
        Checkpoint({"a": np.array(["text"])}, {}),
        Checkpoint({"a": np.array([None])}, {}),
        Checkpoint({"json": np.zeros(1)}, {}),
        Checkpoint({}, {"loss": float("nan")}),
        Checkpoint({}, {"loss": {1, 2}}),
    ],
)
def test_refuses_what_it_cannot_hold_and_leaves_the_old_file(path, bad: Checkpoint) -> None:
    before = path.read_bytes()
    with pytest.raises((ValueError, TypeError)):
        checkpoints.save(path, bad)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["last.npz"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file(path, monkeypatch, step: str) -> None:
    before = path.read_bytes()

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(path, Checkpoint({}, {}))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["last.npz"]


def test_permissions_are_those_of_any_new_file(path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"")
    assert path.stat().st_mode == other.stat().st_mode
