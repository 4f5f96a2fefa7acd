"""mnist: 60,000 + 10,000 handwritten digits (LeCun, Bottou, Bengio, Haffner 1998)."""

from __future__ import annotations

from numbanet.datasets.idx import FILES, read_splits
from numbanet.datasets.info import DatasetInfo, RemoteFile

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

INFO = DatasetInfo(
    name="mnist",
    title="MNIST: 70,000 handwritten digits",
    source="LeCun, Cortes, Burges, http://yann.lecun.com/exdb/mnist",
    licence="CC BY-SA 3.0",
    classes=tuple("0123456789"),
    shape=(1, 28, 28),
    n_train=60_000,
    n_test=10_000,
    mean=(0.1307,),
    std=(0.3081,),
    style="digit",
    augment="affine(degrees=10,interpolation=bilinear)",
    folders=("mnist", "MNIST/raw"),
    layouts=(FILES,),
    downloads=(
        RemoteFile(FILES[0], "f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422, _MIRRORS),
        RemoteFile(FILES[1], "d53e105ee54ea40749a09fcbcd1e9432", 28_881, _MIRRORS),
        RemoteFile(FILES[2], "9fb629c4189551a2d022fa330f9573f3", 1_648_877, _MIRRORS),
        RemoteFile(FILES[3], "ec29112dd5afa0611ce80d1b7f02629c", 4_542, _MIRRORS),
    ),
)

read = read_splits
