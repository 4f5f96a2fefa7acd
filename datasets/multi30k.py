"""multi30k: captions of pictures, German and English (Elliott, Frank, Sima'an, Specia 2016)."""

from __future__ import annotations

from pathlib import Path

from numbanet.datasets.pairs import read_parallel
from numbanet.datasets.text_info import TRANSLATION, TextInfo, TextParts

_PARTS = ("train", "val", "test_2016_flickr")

INFO = TextInfo(
    name="multi30k",
    title="Multi30k: 31,014 captions of pictures, German to English",
    source="https://github.com/multi30k/dataset, data/task1/raw",
    licence="CC BY-NC-SA 4.0",
    task=TRANSLATION,
    tokenizer="words",
    n_train=29_000,
    n_validation=1_014,
    n_test=1_000,
    folders=("multi30k", "translation/multi30k"),
    layouts=(tuple(f"{part}.{language}.gz" for part in _PARTS for language in ("de", "en")),),
)


def read(info: TextInfo, paths: dict[str, Path]) -> TextParts:
    """German sources and English targets; the test part is test_2016_flickr."""
    return TextParts(*(read_parallel(paths[f"{part}.de.gz"], paths[f"{part}.en.gz"]) for part in _PARTS))
