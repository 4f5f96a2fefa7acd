"""The format of ``torch.save`` since PyTorch 1.6, written and read without PyTorch.

A zip archive, stored without compression: ``data.pkl`` is a pickle of the state dict, in which a tensor is a call of
``torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`` and a storage the tuple
("storage", its class, its key, "cpu", its number of elements); ``data/KEY`` are the elements, and ``version`` and
``byteorder`` say what they say. The pickle is written by its few opcodes and read by an unpickler that knows these
names and no others, so that nothing in a file is run.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

import numpy as np

from numbanet.interop.errors import WeightsError

STORAGES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
"""PyTorch's classes of storages and what their elements are."""

ALIGNMENT = 64  # PyTorch's, so that a file can be mapped into memory
ROOT = "weights"


# --- out -------------------------------------------------------------------------------------------------------------
def write(file: BinaryIO, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as a state dict of tensors. Raises WeightsError for a dtype that PyTorch does not have."""
    storages = [np.ascontiguousarray(array).reshape(array.shape) for array in arrays.values()]
    data = _pickle(dict(zip(arrays, storages, strict=True)))
    with zipfile.ZipFile(file, "w") as archive:
        _store(archive, "data.pkl", data)
        _store(archive, "byteorder", b"little")
        for key, array in enumerate(storages):
            _store(archive, f"data/{key}", array.astype(STORAGES[_storage_of(array)], copy=False).tobytes())
        _store(archive, "version", b"3\n")


def _store(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a record, padded by an extra field so that its bytes begin at a multiple of ``ALIGNMENT``."""
    info = zipfile.ZipInfo(f"{ROOT}/{name}")
    start = archive.fp.tell() + zipfile.sizeFileHeader + len(info.filename.encode()) + 4
    padding = -start % ALIGNMENT
    info.extra = struct.pack("<2sH", b"FB", padding) + bytes(padding)
    archive.writestr(info, content)


def _storage_of(array: np.ndarray) -> str:
    for name, dtype in STORAGES.items():
        if array.dtype.newbyteorder("<") == dtype:
            return name
    raise WeightsError(f"PyTorch's files hold no arrays of {array.dtype}")


def _pickle(arrays: dict[str, np.ndarray]) -> bytes:
    """The pickle of the state dict; the key of a storage is the number of its array."""
    parts = [pickle.PROTO, b"\x02", pickle.EMPTY_DICT, pickle.MARK]
    for key, (name, array) in enumerate(arrays.items()):
        parts += [_text(name), _tensor(str(key), array)]
    return b"".join([*parts, pickle.SETITEMS, pickle.STOP])


def _tensor(key: str, array: np.ndarray) -> bytes:
    """The call that rebuilds a contiguous tensor."""
    strides = [math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim)]
    storage = _tuple(
        _text("storage"), _global("torch", _storage_of(array)), _text(key), _text("cpu"), _number(array.size)
    )
    no_hooks = _global("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
    arguments = _tuple(
        storage + pickle.BINPERSID,
        _number(0),
        _tuple(*map(_number, array.shape)),
        _tuple(*map(_number, strides)),
        pickle.NEWFALSE,
        no_hooks,
    )
    return _global("torch._utils", "_rebuild_tensor_v2") + arguments + pickle.REDUCE


def _text(value: str) -> bytes:
    encoded = value.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded


def _number(value: int) -> bytes:
    if value < 2**31:
        return pickle.BININT + struct.pack("<i", value)
    encoded = pickle.encode_long(value)
    return pickle.LONG1 + bytes([len(encoded)]) + encoded


def _tuple(*parts: bytes) -> bytes:
    return pickle.MARK + b"".join(parts) + pickle.TUPLE


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


# --- in --------------------------------------------------------------------------------------------------------------
def read(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """The arrays of a state dict, also of one that lies in a checkpoint under "state_dict" or "model"."""
    root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("/data.pkl")
    try:
        tree = _Unpickler(archive, root).load()
    except WeightsError:
        raise
    except (pickle.UnpicklingError, zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError, IndexError) as error:
        raise WeightsError(f"it is damaged, or no state dict: {error}") from None
    for name in ("state_dict", "model_state_dict", "model"):
        if isinstance(tree, Mapping) and isinstance(tree.get(name), Mapping):
            tree = tree[name]
    if not isinstance(tree, Mapping) or not all(isinstance(value, np.ndarray) for value in tree.values()):
        raise WeightsError("it does not hold a state dict, names with tensors, and nothing else")
    return dict(tree)


@dataclass(frozen=True)
class _StorageClass:
    """What stands for PyTorch's class of a storage."""

    dtype: np.dtype


def _rebuild_tensor(
    storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *others: Any
) -> np.ndarray:
    """The tensor of this size and stride, copied out of its storage."""
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 in size:
        return np.zeros(size, storage.dtype)
    if min((offset, *size, *stride)) < 0 or last >= storage.size:
        raise WeightsError(f"a tensor of size {tuple(size)} and stride {tuple(stride)} reaches beyond its storage")
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy()


def _rebuild_parameter(data: np.ndarray, *others: Any) -> np.ndarray:
    return data


class _Unpickler(pickle.Unpickler):
    """Reads the pickle of a state dict, and refuses every name that has no business in one."""

    _KNOWN: ClassVar[dict[tuple[str, str], Any]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        **{("torch", name): _StorageClass(dtype) for name, dtype in STORAGES.items()},
    }

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")))
        self._archive, self._root = archive, root
        order = f"{root}/byteorder"
        self._is_big = order in archive.namelist() and archive.read(order) == b"big"
        self._storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name.endswith("Storage") and name not in STORAGES:
            raise WeightsError(
                f"its elements are a {name}, which cannot be read: save them as float32 (.float()) there"
            )
        if (module, name) not in self._KNOWN:
            raise WeightsError(f"it asks for {module}.{name}, which is not in the pickle of a state dict")
        return self._KNOWN[module, name]

    def persistent_load(self, reference: Any) -> np.ndarray:
        kind, storage_class, key, _, count = reference
        if kind != "storage" or not isinstance(storage_class, _StorageClass):
            raise WeightsError(f"it refers to {kind!r}, which is not a storage")
        if key not in self._storages:
            dtype = storage_class.dtype.newbyteorder(">") if self._is_big else storage_class.dtype
            content = np.frombuffer(self._archive.read(f"{self._root}/data/{key}"), dtype, count)
            self._storages[key] = content.astype(dtype.newbyteorder("="), copy=False)
        return self._storages[key]
