"""Reading text: UTF-8, gzipped or not, with an error that names the byte."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

from numbanet.text.errors import TextError


def read_text(path: str | os.PathLike) -> str:
    """The text of a UTF-8 file, gzipped if its name ends in ``.gz``; line ends of any system become ``\\n``.

    Raises:
        TextError: the file cannot be read, is no gzip file, is empty, or holds a byte that is not UTF-8.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except FileNotFoundError:
        raise TextError(f"there is no file {path}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise TextError(f"{path} is damaged: {error}") from None
    except OSError as error:
        raise TextError(f"cannot read {path}: {error.strerror or error}") from None
    return decode_text(data, str(path))


def decode_text(data: bytes, source: str) -> str:
    """``data`` as text, without a byte order mark; ``source`` is named by the errors.

    Raises:
        TextError: there is nothing but white space, or a byte is not UTF-8; the byte and its line are named.
    """
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TextError(
            f"{source} is not UTF-8 text: byte 0x{data[error.start]:02x} at position {error.start} (line {line}); "
            "save it as UTF-8"
        ) from None
    if not text.strip():
        raise TextError(f"{source} is empty: there is no text in it")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def lines_of(text: str) -> list[str]:
    """The lines of what :func:`decode_text` gave. Unlike ``str.splitlines`` only a line end ends one: form feeds and
    Unicode's separators may stand within a sentence."""
    return text.removesuffix("\n").split("\n")
