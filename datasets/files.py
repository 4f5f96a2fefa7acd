"""Where the files of a data set lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from numbanet.datasets.errors import DatasetError
from numbanet.datasets.info import DatasetInfo

DATA_VARIABLE = "NUMBANET_DATA"
OFFLINE_VARIABLE = "NUMBANET_OFFLINE"


def locate(info: DatasetInfo, data_dir: str | os.PathLike | None = None) -> dict[str, Path] | None:
    """The files of the first folder that holds one of the layouts completely, by name; None if no folder does."""
    for folder in _folders(info, data_dir):
        for layout in info.layouts:
            found = {name: _variant(folder, name) for name in layout}
            if all(found.values()):
                return found
    return None if info.layouts else {}


def provide(info: DatasetInfo, data_dir: str | os.PathLike | None, download: bool) -> dict[str, Path]:
    """The files of a data set, downloaded if need be.

    Raises:
        DatasetError: they are missing and may not or cannot be downloaded, or ``data_dir`` is no folder.
    """
    found = locate(info, data_dir)
    if found is not None:
        return found
    root = _root(data_dir)
    if root is not None and os.path.exists(root) and not os.path.isdir(root):
        raise DatasetError(f"the data folder {root} is not a folder")
    if not download or _offline() or not info.downloads:
        raise DatasetError(_missing_message(info, data_dir))
    from numbanet.datasets.download import download_file

    target = _download_folder(info, data_dir)
    for file in info.downloads:
        if _variant(target, file.name) is None:
            download_file(file, target, info.name)
    return {file.name: _variant(target, file.name) for file in info.downloads}


def cache_folder() -> Path:
    """The user's own folder for downloads."""
    import pooch

    return Path(pooch.os_cache("numbanet"))


def _root(data_dir: str | os.PathLike | None) -> Path | None:
    chosen = data_dir if data_dir is not None else os.environ.get(DATA_VARIABLE)
    return Path(chosen).expanduser() if chosen else None


def _offline() -> bool:
    return os.environ.get(OFFLINE_VARIABLE, "0") not in ("", "0")


def _folders(info: DatasetInfo, data_dir: str | os.PathLike | None) -> Iterator[Path]:
    """Where to look, in this order."""
    if not info.layouts:
        return
    root = _root(data_dir)
    if root is not None:
        yield from (root / name for name in info.folders)
        yield root
    yield cache_folder() / info.folders[0]


def _variant(folder: Path, name: str) -> Path | None:
    """The file of this name, gzipped or not; IDX files are also passed around as ``train-images.idx3-ubyte``."""
    plain = name.removesuffix(".gz")
    for stem in (plain, plain.replace("-idx", ".idx")):
        for candidate in (folder / f"{stem}.gz", folder / stem):
            if os.path.isfile(candidate):  # False, too, where one may not look (Path.is_file would raise)
                return candidate
    return None


def _download_folder(info: DatasetInfo, data_dir: str | os.PathLike | None) -> Path:
    """Where a download goes: beside files that are already there, else into a folder of the data set's name."""
    root = _root(data_dir)
    if root is not None:
        for folder in (root / info.folders[0], root):
            if any(_variant(folder, file.name) for file in info.downloads) and os.access(folder, os.W_OK):
                return folder
        if _can_make(root / info.folders[0]):
            return root / info.folders[0]
    return cache_folder() / info.folders[0]


def _can_make(folder: Path) -> bool:
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)


def _missing_message(info: DatasetInfo, data_dir: str | os.PathLike | None) -> str:
    """Which file is missing where; if nothing is there at all, where was looked."""
    folders = list(_folders(info, data_dir))
    for folder in folders:
        for layout in info.layouts:
            missing = [name for name in layout if _variant(folder, name) is None]
            if len(missing) < len(layout):
                return f"{info.name} is incomplete: {', '.join(missing)} (gzipped or not) is missing in {folder}"
    looked = ", ".join(str(folder) for folder in folders)
    way = f"Run `numbanet datasets fetch {info.name}`" if info.downloads else f"Get it from {info.source}"
    return (
        f"{info.name} is not there: no {info.layouts[0][0]} in {looked}. {way}, "
        f"or name the folder that holds it with --data-dir or {DATA_VARIABLE}"
    )
