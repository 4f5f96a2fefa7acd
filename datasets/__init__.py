"""Data sets by name: ``datasets.load("digits")`` hands out training and test samples, ready for a DataLoader.

``digits`` ships with the package. The others are looked for in a folder (``data_dir``, else the environment variable
NUMBANET_DATA) and in the user's cache, and downloaded where they are missing. NUMBANET_OFFLINE=1 forbids downloads;
NUMBANET_MIRROR names a server of one's own that is asked first (``<mirror>/mnist/train-images-idx3-ubyte.gz``).
"""

from __future__ import annotations

from numbanet.datasets import cifar10, digits, fashion_mnist, mnist
from numbanet.datasets.errors import DatasetError, UnknownDatasetError
from numbanet.datasets.info import Arrays, DatasetInfo, DatasetSplits, RemoteFile
from numbanet.datasets.registry import dataset_info, fetch, list_datasets, load, locate, register_dataset

for _module in (digits, mnist, fashion_mnist, cifar10):
    register_dataset(_module.INFO, _module.read)

__all__ = [
    "Arrays",
    "DatasetError",
    "DatasetInfo",
    "DatasetSplits",
    "RemoteFile",
    "UnknownDatasetError",
    "dataset_info",
    "fetch",
    "list_datasets",
    "load",
    "locate",
    "register_dataset",
]
