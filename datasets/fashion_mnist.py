"""fashion-mnist: 60,000 + 10,000 articles of clothing (Xiao, Rasul, Vollgraf 2017)."""

from __future__ import annotations

from numbanet.datasets.idx import FILES, read_splits
from numbanet.datasets.info import DatasetInfo, RemoteFile

_MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)

INFO = DatasetInfo(
    name="fashion-mnist",
    title="Fashion-MNIST: 70,000 articles of clothing",
    source="Zalando Research, https://github.com/zalandoresearch/fashion-mnist",
    licence="MIT",
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    shape=(1, 28, 28),
    n_train=60_000,
    n_test=10_000,
    mean=(0.2860,),
    std=(0.3530,),
    style="figure",
    augment="flip,crop(padding=2)",
    folders=("fashion-mnist", "FashionMNIST/raw"),
    layouts=(FILES,),
    downloads=(
        RemoteFile(FILES[0], "8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880, _MIRRORS),
        RemoteFile(FILES[1], "25c81989df183df01b3e8a0aad5dffbe", 29_515, _MIRRORS),
        RemoteFile(FILES[2], "bef4ecab320f06d8554ea6380940ec79", 4_422_102, _MIRRORS),
        RemoteFile(FILES[3], "bb300cfdad3c16e7a12a480ee83cd310", 5_148, _MIRRORS),
    ),
)

read = read_splits
