"""Downloading a file: several mirrors, a checksum, resumed after a cut, never a half file under its final name."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from numbanet.datasets.errors import DatasetError
from numbanet.datasets.info import RemoteFile

MIRROR_VARIABLE = "NUMBANET_MIRROR"
_TIMEOUT = (10, 60)  # seconds: to connect, between two pieces
_CHUNK = 1 << 16


class Cut(Exception):
    """The server closed the connection too early."""


def download_file(file: RemoteFile, folder: Path, dataset: str) -> Path:
    """Download a file into a folder from the first mirror that has it, and check its MD5.

    What has come before a connection was cut stays beside it as ``<name>.part``, and the next attempt goes on from
    there if the server can. Only the whole, checked file gets its own name, in one step.

    Raises:
        DatasetError: no mirror gave the right file, or it cannot be written; the message names the file, what went
            wrong and where to put it by hand.
    """
    path = folder / file.name
    made = _make_folder(folder, file, dataset)
    reasons = []
    try:
        for url in _addresses(file, folder):
            try:
                _fetch(url, file, path)
                path.chmod(0o644)  # pooch's temporary files are for the user alone
                _drop_part(_part(path))
                return path
            except _network_errors() as error:
                if path.exists():  # another process was luckier
                    _drop_part(_part(path))
                    return path
                reasons.append(f"{url}: {_reason(error)}")
            except OSError as error:
                raise DatasetError(
                    f"cannot write {path}: {error.strerror or error}. Make room, or name another folder with "
                    f"--data-dir or NUMBANET_DATA"
                ) from None
    finally:
        if made and not path.exists():
            _drop_empty(made)
    raise DatasetError(
        f"cannot download {file.name} of {dataset} ({'; '.join(reasons)}). Run the command again, or get the file by "
        f"hand (MD5 {file.md5}) and put it into {folder}"
    )


def _addresses(file: RemoteFile, folder: Path) -> list[str]:
    urls = [f"{mirror.rstrip('/')}/{file.name}" for mirror in file.mirrors]
    own = os.environ.get(MIRROR_VARIABLE)
    return [f"{own.rstrip('/')}/{folder.name}/{file.name}", *urls] if own else urls


def _make_folder(folder: Path, file: RemoteFile, dataset: str) -> list[Path]:
    """Make the folder; which folders were new, the deepest first."""
    new = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(
            f"cannot make the folder {folder} for {file.name} of {dataset}: {error.strerror or error}. Name another "
            f"folder with --data-dir or NUMBANET_DATA"
        ) from None
    return new


def _drop_empty(folders: list[Path]) -> None:
    with contextlib.suppress(OSError):  # one that holds something stays
        for folder in folders:
            folder.rmdir()


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _fetch(url: str, file: RemoteFile, path: Path) -> None:
    """One file from one address, through pooch: a temporary file, its checksum, then its name."""
    import pooch

    # Pooch announces each download on its logger; the progress bar says so already.
    pooch.get_logger().setLevel(logging.WARNING)
    receiver = _Receiver(_part(path), file)
    try:
        pooch.retrieve(url, known_hash=f"md5:{file.md5}", fname=path.name, path=path.parent, downloader=receiver)
    except ValueError:
        if not receiver.resumed:
            raise
        # The beginning that was already there may have been the wrong half.
        pooch.retrieve(url, known_hash=f"md5:{file.md5}", fname=path.name, path=path.parent, downloader=receiver)


class _Receiver:
    """A downloader for pooch that writes to ``<name>.part`` and goes on where that ends."""

    def __init__(self, part: Path, file: RemoteFile) -> None:
        self.part = part
        self.file = file
        self.resumed = False

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        with _locked(self.part) as target:
            if target is not None:
                try:
                    self._receive(url, target)
                except BaseException as error:
                    if not target.tell() or _is_local(error):
                        self.part.unlink()
                    raise
                # Still locked, so that nobody else writes to what now becomes ours.
                os.replace(self.part, output_file)
                return
        with open(output_file, "wb") as target:
            self._receive(url, target)

    def _receive(self, url: str, target: IO[bytes]) -> None:
        import requests

        begin = target.seek(0, os.SEEK_END)
        # Packed in transit, a file's length and a resumed offset would mean something else.
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={begin}-"} if begin else {})}
        with requests.get(url, stream=True, timeout=_TIMEOUT, headers=headers) as response:
            if begin and response.status_code in (200, 206, 416):
                self.resumed = response.headers.get("Content-Range", "").startswith(f"bytes {begin}-")
                if not self.resumed:
                    begin = 0
                    target.truncate(0)
                    target.seek(0)
                if response.status_code == 416:  # the part is as long as the file or longer, so it is not its beginning
                    return self._receive(url, target)
            response.raise_for_status()
            total = begin + int(response.headers.get("Content-Length", 0))
            received = begin
            with _progress(self.file.name, url, total, begin) as advance:
                try:
                    for chunk in response.iter_content(_CHUNK):
                        target.write(chunk)
                        received += len(chunk)
                        advance(len(chunk))
                except requests.exceptions.ChunkedEncodingError:
                    raise Cut(_cut_message(received, total)) from None
        if received < total:
            raise Cut(_cut_message(received, total))
        target.flush()
        os.fsync(target.fileno())
        return None


def _cut_message(received: int, total: int) -> str:
    return f"the connection was cut after {received:,} of {total:,} bytes"


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[IO[bytes] | None]:
    """The part file, open for appending and for this process alone; None if another one is writing to it."""
    try:
        import fcntl
    except ImportError:  # Windows: no resuming, each download has a file of its own
        yield None
        return
    with part.open("ab") as target:
        try:
            fcntl.flock(target, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = _is_there(target, part)
        except BlockingIOError:
            mine = False
        except OSError:  # a file system without locks, where nobody ever writes to a part
            mine = False
            part.unlink(missing_ok=True)
        yield target if mine else None


def _drop_part(part: Path) -> None:
    """Remove a part that is no longer needed, unless another process is writing to it."""
    if part.exists():
        with _locked(part) as target:
            if target is not None:
                part.unlink()


def _is_there(file: IO[bytes], path: Path) -> bool:
    """Whether the open file still has this name: its former owner may have finished and moved it away."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


# --- what went wrong ------------------------------------------------------------------------------------------------
def _network_errors() -> tuple[type[Exception], ...]:
    import requests

    # ValueError is pooch's for a wrong checksum. requests' errors are OSErrors, so they have to be asked for first.
    return (Cut, requests.RequestException, ValueError)


def _is_local(error: BaseException) -> bool:
    """Whether this machine could not write, rather than the network not deliver."""
    return isinstance(error, OSError) and not isinstance(error, _network_errors())


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, Cut):
        return str(error)
    if isinstance(error, requests.HTTPError):
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.RequestException):
        return _root_cause(error)
    return "the file there is another one (wrong checksum)"


def _root_cause(error: BaseException) -> str:
    """The words of the operating system behind an error that was wrapped several times."""
    import requests

    seen: list[BaseException] = []
    pending: list[Any] = [error]
    while pending:
        current = pending.pop()
        if not isinstance(current, BaseException) or current in seen:
            continue
        seen.append(current)
        if isinstance(current, OSError) and not isinstance(current, requests.RequestException) and current.strerror:
            return current.strerror
        pending += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
    return str(error)


# --- progress -------------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def _progress(name: str, url: str, total: int, begin: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, one plain line elsewhere; yields a function that takes how many bytes came."""
    if not sys.stderr.isatty():
        size = f" ({total / 1e6:.1f} MB)" if total else ""
        print(f"downloading {name}{size} from {url}", file=sys.stderr, flush=True)
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=total or None, completed=begin)
        yield lambda count: bar.advance(task, count)
