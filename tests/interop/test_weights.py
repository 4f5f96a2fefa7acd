"""Files of weights without PyTorch: what is written is read, what is none is refused, and nothing in it is run."""

from __future__ import annotations

import os
import pickle
import zipfile

import numpy as np
import pytest

import numbanet as nb
from numbanet import interop

STATE = {
    "layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "file": np.zeros((0, 4), np.float64),
    "n": np.array(7),
    "ä": np.array([True, False]),
    "half": np.ones((2, 1, 3), np.float16)[:, :, ::2],
    **{str(kind): np.array([1, 2], kind) for kind in (np.uint8, np.int8, np.int16, np.int32)},
}


@pytest.mark.parametrize("format", interop.FORMATS)
def test_there_and_back(backend, format, tmp_path):
    state = {**STATE, "tensor": nb.tensor([1.0, 2.0])}
    path = tmp_path / f"weights{interop.SUFFIXES[format]}"
    interop.save_weights(state, path, format)
    loaded = interop.load_weights(path)
    assert list(loaded) == list(state)
    for name, value in state.items():
        np.testing.assert_array_equal(loaded[name], np.asarray(value))
        assert loaded[name].dtype == value.dtype
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    assert (os.stat(path).st_mode & 0o777) == 0o666 & ~current_umask()


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_npz_is_numpys_and_ours(tmp_path):
    tensors = {name: value for name, value in STATE.items() if name != "half"}  # float16 is none of our dtypes
    interop.save_weights(tensors, tmp_path / "weights.npz")
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as file:
        assert file.files == list(tensors)
    np.testing.assert_array_equal(nb.load(tmp_path / "weights.npz")["layer.weight"].numpy(), STATE["layer.weight"])
    nb.save(tensors, tmp_path / "ours.npz")
    assert list(interop.load_weights(tmp_path / "ours.npz")) == list(tensors)


def test_records_of_a_torch_file_are_stored_at_multiples_of_64(tmp_path):
    interop.save_weights(STATE, tmp_path / "weights.pt", "torch")
    with zipfile.ZipFile(tmp_path / "weights.pt") as archive:
        content = (tmp_path / "weights.pt").read_bytes()
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            header = content[info.header_offset : info.header_offset + 30]
            names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
            assert (info.header_offset + 30 + names) % 64 == 0


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match="unknown format 'onnx'; use one of: npz, torch"):
        interop.save_weights(STATE, tmp_path / "x", "onnx")
    with pytest.raises(interop.WeightsError, match="no arrays of uint32"):
        interop.save_weights({"a": np.zeros(1, np.uint32)}, tmp_path / "x", "torch")
    with pytest.raises(TypeError, match="takes names with tensors or arrays"):
        interop.save_weights({"a": [1]}, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def torch_like(path, data, **records):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", data)
        for name, content in records.items():
            archive.writestr(f"a/{name}", content)


class Evil:
    def __reduce__(self):
        return os.system, ("exit 1",)


def changed_size(data):
    """The pickle of a tensor of two elements that claims to have three."""
    return data.replace(b"J\x02\x00\x00\x00t(J\x01", b"J\x03\x00\x00\x00t(J\x01", 1)


def files(folder):
    """Bad files: name, what is said of it."""
    interop.save_weights({"a": np.arange(2.0)}, folder / "good", "torch")
    with zipfile.ZipFile(folder / "good") as archive:
        data, elements = archive.read("weights/data.pkl"), archive.read("weights/data/0")
    torch_like(folder / "evil", pickle.dumps({"a": Evil()}), version=b"3")
    torch_like(folder / "list", pickle.dumps([1, 2]), version=b"3")
    torch_like(folder / "numbers", pickle.dumps({"a": 1}), version=b"3")
    torch_like(folder / "cut", data[:-20], **{"data/0": elements})
    torch_like(folder / "beyond", changed_size(data), **{"data/0": elements})
    torch_like(folder / "short", data, **{"data/0": elements[:-1]})
    torch_like(folder / "without", data)
    torch_like(folder / "bfloat16", data.replace(b"DoubleStorage", b"BFloat16Storage"), **{"data/0": elements})
    np.savez_compressed(folder / "packed", a=np.arange(1000.0))
    packed = bytearray((folder / "packed.npz").read_bytes())
    packed[60:90] = bytes(range(30))
    (folder / "packed.npz").write_bytes(packed)
    (folder / "text").write_text("no weights")
    (folder / "empty").write_bytes(b"")
    np.savez(folder / "objects", a=np.array([{}], dtype=object))
    np.savez(folder / "texts", json=np.array("{}"))
    with zipfile.ZipFile(folder / "photos", "w") as archive:
        archive.writestr("me.jpg", b"")
    with zipfile.ZipFile(folder / "nothing", "w"):
        pass
    return {
        "evil": "it asks for (posix|nt).system, which is not in the pickle of a state dict",
        "list": "it does not hold a state dict",
        "numbers": "it does not hold a state dict",
        "cut": "damaged, or no state dict",
        "beyond": r"size \(3,\) and stride \(1,\) reaches beyond its storage",
        "short": "damaged, or no state dict",
        "without": "damaged, or no state dict",
        "bfloat16": "its elements are a BFloat16Storage, which cannot be read: save them as float32",
        "packed.npz": "is damaged: Error -3 while decompressing",
        "text": "neither an .npz file nor one of torch.save",
        "empty": "neither an .npz file nor one of torch.save",
        "objects.npz": "'a.npy' in it cannot be read",
        "texts.npz": "'json.npy' in it holds no numbers; `numbanet export RUN`",
        "photos": "'me.jpg' in it is no array",
        "nothing": "no arrays in it",
    }


def test_files_that_hold_no_weights(tmp_path):
    for name, message in files(tmp_path).items():
        with pytest.raises(interop.WeightsError, match=f"{name}.*{message}"):
            interop.load_weights(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        interop.load_weights(tmp_path / "none")
