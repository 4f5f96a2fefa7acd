"""Data sets by name: ``datasets.load("digits")`` hands out training and test samples, ready for a DataLoader.

``digits`` ships with the package, ``python-docs`` with every CPython; ``dates``, ``copy``, ``reverse`` and ``adding``
are generated; ``text`` and ``pairs`` are files of one's own, and so is what is named by a path: a folder of pictures by
class, or an .npz file (:mod:`numbanet.datasets.own_pictures`). The others are looked for in a folder (``data_dir``,
else the environment variable NUMBANET_DATA) and in the user's cache, and downloaded where they are missing.
NUMBANET_OFFLINE=1 forbids downloads; NUMBANET_MIRROR names a server of one's own that is asked first
(``<mirror>/mnist/train-images-idx3-ubyte.gz``). Data sets of texts hand out plain strings.
"""

from __future__ import annotations

from numbanet.datasets import (
    cifar10,
    cifar100,
    dates,
    digits,
    fashion_mnist,
    mnist,
    multi30k,
    own_text,
    python_docs,
    sequences,
    sst2,
    tinyshakespeare,
)
from numbanet.datasets.errors import DatasetError, UnknownDatasetError
from numbanet.datasets.info import Arrays, DatasetInfo, DatasetSplits, RemoteFile
from numbanet.datasets.registry import (
    dataset_info,
    fetch,
    is_dataset,
    is_own,
    list_datasets,
    load,
    locate,
    register_dataset,
    short_name,
)
from numbanet.datasets.text_info import TextInfo, TextParts, TextSplits

for _module in (digits, mnist, fashion_mnist, cifar10, cifar100, python_docs, tinyshakespeare, sst2, multi30k, dates):
    register_dataset(_module.INFO, _module.read)
register_dataset(sequences.COPY, sequences.read_copy)
register_dataset(sequences.REVERSE, sequences.read_reverse)
register_dataset(sequences.ADDING, sequences.read_adding)
register_dataset(own_text.TEXT, own_text.read_own_text)
register_dataset(own_text.PAIRS, own_text.read_own_pairs)

__all__ = [
    "Arrays",
    "DatasetError",
    "DatasetInfo",
    "DatasetSplits",
    "RemoteFile",
    "TextInfo",
    "TextParts",
    "TextSplits",
    "UnknownDatasetError",
    "dataset_info",
    "fetch",
    "is_dataset",
    "is_own",
    "list_datasets",
    "load",
    "locate",
    "register_dataset",
    "short_name",
]
