"""Pairs of texts from files: two columns with a tab between them, or two files that go together line by line."""

from __future__ import annotations

from pathlib import Path

from numbanet.datasets.errors import DatasetError
from numbanet.text import lines_of, read_text

Pairs = list[tuple[str, str]]


def read_pairs(path: str | Path) -> Pairs:
    """The pairs of a file with a source, a tab and a target in each line; empty lines are passed over.

    Raises:
        TextError: the file cannot be read.
        DatasetError: a line has not two columns, or one is empty; the line is named.
    """
    pairs = []
    for number, line in enumerate(lines_of(read_text(path)), start=1):
        if not line.strip():
            continue
        columns = line.split("\t")
        if len(columns) == 2 and not all(column.strip() for column in columns):
            raise DatasetError(f"{path}, line {number}: the {'target' if columns[0].strip() else 'source'} is empty")
        if len(columns) != 2:
            raise DatasetError(
                f"{path}, line {number}: expected a source, a tab and a target, not {len(columns)} "
                f"column{'' if len(columns) == 1 else 's'} ({line[:60]!r})"
            )
        pairs.append((columns[0], columns[1]))
    return pairs


def read_parallel(source: Path, target: Path) -> Pairs:
    """The pairs of two files with a text a line.

    Raises:
        TextError: a file cannot be read.
        DatasetError: the files differ in length.
    """
    sources, targets = (lines_of(read_text(path)) for path in (source, target))
    if len(sources) != len(targets):
        raise DatasetError(f"{source} has {len(sources)} lines and {target} has {len(targets)}: they do not match")
    return list(zip(sources, targets, strict=True))
