"""cifar10: 50,000 + 10,000 small colour photographs (Krizhevsky 2009), from the binary version."""

from __future__ import annotations

from functools import partial

from numbanet.datasets.cifar import MIRRORS, CifarFiles, read_cifar
from numbanet.datasets.info import DatasetInfo, RemoteFile

FILES = CifarFiles(
    archive="cifar-10-binary.tar.gz",
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test="test_batch.bin",
    label_bytes=1,
)

INFO = DatasetInfo(
    name="cifar10",
    title="CIFAR-10: 60,000 small colour photographs of ten kinds of things",
    source="Krizhevsky, Nair, Hinton, https://www.cs.toronto.edu/~kriz/cifar.html",
    licence="none stated; the makers ask to cite Krizhevsky (2009), Learning Multiple Layers of Features",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    shape=(3, 32, 32),
    n_train=50_000,
    n_test=10_000,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    style="photo",
    augment="flip,crop(padding=4)",
    folders=(FILES.folder, "cifar10", "cifar-10"),
    layouts=(FILES.all, (FILES.archive,)),
    downloads=(RemoteFile(FILES.archive, "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171, MIRRORS),),
)

read = partial(read_cifar, FILES)
