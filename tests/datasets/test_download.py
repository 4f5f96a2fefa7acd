"""Downloads from a real server on loopback: the right file, and everything that goes wrong on the way to it."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace

import numpy as np
import pytest

from numbanet import datasets
from numbanet.datasets import DatasetError, download, registry
from numbanet.datasets.info import RemoteFile
from tests.datasets.samples import CIFAR_ARCHIVE, cifar_archive, cifar_records, idx_arrays, idx_bytes

CONTENT = np.random.default_rng(5).bytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "new" / "toy"


def toy(*mirrors, md5=MD5):
    return RemoteFile("toy.bin", md5, len(CONTENT), mirrors)


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else None


def refuse(file, folder):
    """The message with which the download ends; it names the file, its checksum and the folder to put it into."""
    with pytest.raises(DatasetError) as caught:
        download.download_file(file, folder, "toys")
    message = str(caught.value)
    assert message.startswith("cannot download toy.bin of toys (")
    assert f"get the file by hand (MD5 {file.md5}) and put it into {folder}" in message
    assert not (folder / "toy.bin").exists()
    return message


def test_the_right_file(server, folder):
    server.files["/toy.bin"] = CONTENT
    path = download.download_file(toy(server.url), folder, "toys")
    assert path == folder / "toy.bin"
    assert path.read_bytes() == CONTENT
    assert names(folder) == ["toy.bin"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_plain_line_says_what_happens_where_there_is_no_terminal(server, folder, capsys):
    server.files["/toy.bin"] = CONTENT
    download.download_file(toy(f"{server.url}/"), folder, "toys")
    captured = capsys.readouterr()
    assert captured.err == f"downloading toy.bin (0.3 MB) from {server.url}/toy.bin\n"
    assert not captured.out


def test_a_progress_bar_on_a_terminal(server, folder):
    server.files["/toy.bin"] = CONTENT
    shown = run_in_a_terminal(server, folder)
    assert "toy.bin" in shown
    assert "300.0/300.0 kB" in shown
    assert (folder / "toy.bin").read_bytes() == CONTENT


def test_a_wrong_checksum(server, folder):
    server.files["/toy.bin"] = CONTENT[:-1] + b"?"
    message = refuse(toy(server.url), folder)
    assert f"{server.url}/toy.bin: the file there is another one (wrong checksum)" in message
    assert not folder.parent.exists()


def test_not_found(server, folder):
    assert f"{server.url}/toy.bin: 404 Not Found" in refuse(toy(server.url), folder)
    assert not folder.parent.exists()


def test_no_network(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert f"{url}/toy.bin: Connection refused" in refuse(toy(url), folder)
    assert not folder.parent.exists()


def test_no_such_server(folder):
    message = refuse(toy("http://no-such-server.invalid"), folder)
    assert re.search(r"no-such-server.invalid/toy.bin: [^;()]*(resol|name|known)", message, re.IGNORECASE)
    assert "HTTPConnectionPool" not in message


def test_a_server_that_does_not_answer(folder, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert f"{url}/toy.bin: no answer in time" in refuse(toy(url), folder)
    assert not folder.parent.exists()


def test_a_cut_says_so_and_is_taken_up_again(server, folder):
    server.files["/toy.bin"] = CONTENT
    server.cut["/toy.bin"] = 200_000
    message = refuse(toy(server.url), folder)
    assert re.search(r"the connection was cut after [\d,]+ of 300,000 bytes", message)
    assert names(folder) == ["toy.bin.part"]
    come = (folder / "toy.bin.part").stat().st_size
    assert 0 < come <= 200_000

    assert download.download_file(toy(server.url), folder, "toys").read_bytes() == CONTENT
    assert server.requests[-1] == ("/toy.bin", f"bytes={come}-")
    assert names(folder) == ["toy.bin"]


def test_a_cut_before_the_first_byte_leaves_nothing(server, folder):
    server.files["/toy.bin"] = CONTENT
    server.cut["/toy.bin"] = 0
    assert "cut after 0 of 300,000 bytes" in refuse(toy(server.url), folder)
    assert not folder.parent.exists()


def test_the_next_mirror_goes_on_after_a_cut(server, folder):
    server.files |= {"/a/toy.bin": CONTENT, "/b/toy.bin": CONTENT}
    server.cut["/a/toy.bin"] = 150_000
    path = download.download_file(toy(f"{server.url}/a", f"{server.url}/b"), folder, "toys")
    assert path.read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/a/toy.bin", "/b/toy.bin"]
    assert server.requests[1][1].startswith("bytes=")


def test_a_server_that_cannot_resume_starts_again(server, folder):
    server.files["/toy.bin"], server.ranges = CONTENT, False
    folder.mkdir(parents=True)
    (folder / "toy.bin.part").write_bytes(CONTENT[:1000])
    assert download.download_file(toy(server.url), folder, "toys").read_bytes() == CONTENT
    assert names(folder) == ["toy.bin"]


@pytest.mark.parametrize("part", [b"rubbish", CONTENT, CONTENT + b"more"], ids=["foreign", "whole", "too long"])
def test_a_part_that_is_no_beginning_is_thrown_away(server, folder, part):
    server.files["/toy.bin"] = CONTENT
    folder.mkdir(parents=True)
    (folder / "toy.bin.part").write_bytes(part)
    assert download.download_file(toy(server.url), folder, "toys").read_bytes() == CONTENT
    assert names(folder) == ["toy.bin"]


def test_mirrors_are_tried_in_turn_and_all_are_reported(server, folder):
    server.files |= {"/wrong/toy.bin": b"x" * 300_000, "/right/toy.bin": CONTENT}
    wrong = (f"{server.url}/absent", f"{server.url}/wrong")
    message = refuse(toy(*wrong), folder)
    assert "absent/toy.bin: 404 Not Found; " in message
    assert "wrong/toy.bin: the file there is another one" in message
    assert download.download_file(toy(*wrong, f"{server.url}/right"), folder, "toys").read_bytes() == CONTENT


def test_ones_own_mirror_is_asked_first(server, folder, monkeypatch):
    monkeypatch.setenv("NUMBANET_MIRROR", f"{server.url}/own/")
    server.files["/own/toy/toy.bin"] = CONTENT
    assert download.download_file(toy(f"{server.url}/other"), folder, "toys").read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/own/toy/toy.bin"]


def test_two_downloads_at_once_do_not_disturb_each_other(server, folder):
    server.files["/toy.bin"] = CONTENT
    errors = []

    def fetch():
        try:
            download.download_file(toy(server.url), folder, "toys")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert (folder / "toy.bin").read_bytes() == CONTENT
    assert names(folder) == ["toy.bin"]


# --- a disk that is full, a folder that cannot be written -----------------------------------------------------------
def test_a_full_disk(server, folder, monkeypatch):
    """What the operating system says on a full disk, said by a file that takes half."""
    server.files["/toy.bin"] = CONTENT
    folder.mkdir(parents=True)
    receive = download._Receiver._receive

    class Full:
        def __init__(self, file):
            self.file = file
            self.room = 150_000

        def write(self, chunk):
            self.room -= len(chunk)
            if self.room < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(chunk)

        def __getattr__(self, name):
            return getattr(self.file, name)

    monkeypatch.setattr(download._Receiver, "_receive", lambda self, url, target: receive(self, url, Full(target)))
    with pytest.raises(DatasetError, match=r"cannot write .*toy.bin: No space left on device. Make room") as caught:
        download.download_file(toy(server.url), folder, "toys")
    assert str(folder / "toy.bin") in str(caught.value)
    assert names(folder) == []


DOWNLOAD = """
    import sys
    from pathlib import Path
    from numbanet.datasets.download import download_file
    from numbanet.datasets.info import RemoteFile
    def fetch():
        url, folder, md5 = sys.argv[1:]
        download_file(RemoteFile("toy.bin", md5, 0, (url,)), Path(folder), "toys")
"""


def run(code, server, folder, **options):
    command = [sys.executable, "-c", textwrap.dedent(DOWNLOAD) + textwrap.dedent(code), server.url, str(folder), MD5]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_real_limit_on_the_size_of_files(server, folder):
    server.files["/toy.bin"] = CONTENT
    code = """
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    fetch()
    """
    done = run(code, server, folder)
    assert done.returncode == 1
    assert f"DatasetError: cannot write {folder / 'toy.bin'}: File too large. Make room" in done.stderr
    assert not folder.parent.exists()


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 100 kB, where one can be made."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=102400", "tmpfs", str(place)]
    try:
        made = subprocess.run(mount, capture_output=True, timeout=10, check=False).returncode == 0
    except OSError:
        made = False
    if not made:
        pytest.skip("needs the right to mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True, timeout=10)


def test_a_really_full_disk(server, tiny_disk):
    server.files["/toy.bin"] = CONTENT
    with pytest.raises(DatasetError, match=r"cannot write .*toy.bin: No space left on device. Make room"):
        download.download_file(toy(server.url), tiny_disk / "toy", "toys")
    assert names(tiny_disk) == []


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"cannot make the folder .*file.toy for toy.bin of toys: .*--data-dir"):
        download.download_file(toy(server.url), tmp_path / "file" / "toy", "toys")
    assert not server.requests


def test_a_killed_download_leaves_no_file_under_the_final_name(server, folder):
    server.files["/toy.bin"] = CONTENT
    code = """
    import os
    from numbanet.datasets import download
    def kill(handle):
        os.kill(os.getpid(), 9)
    download.os.fsync = kill  # after the last byte, before the name
    fetch()
    """
    assert run(code, server, folder).returncode == -9
    assert not (folder / "toy.bin").exists()
    assert (folder / "toy.bin.part").stat().st_size == len(CONTENT)
    assert download.download_file(toy(server.url), folder, "toys").read_bytes() == CONTENT


def run_in_a_terminal(server, folder):
    """What a download shows on a terminal."""
    pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")
    code = textwrap.dedent(DOWNLOAD) + "fetch()"
    main, other = pty.openpty()
    command = [sys.executable, "-c", code, server.url, str(folder), MD5]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=environment) as process:
        os.close(other)
        shown = b""
        with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
            while piece := os.read(main, 65536):
                shown += piece
        os.close(main)
    assert process.returncode == 0, shown
    return shown.decode()


# --- whole data sets ------------------------------------------------------------------------------------------------
@pytest.fixture
def online(server, monkeypatch):
    """The real data sets of pictures with small files on the server in the place of the mirrors."""
    arrays = idx_arrays()
    packed = {f"{name}.gz": gzip.compress(idx_bytes(array)) for name, array in arrays.items()}
    packed[CIFAR_ARCHIVE] = cifar_archive(cifar_records())
    hundred = {name: np.zeros((2, 3074), np.uint8) for name in ("train.bin", "test.bin")}
    packed["cifar-100-binary.tar.gz"] = cifar_archive(hundred, "cifar-100-binary/")
    entries = {}
    for name, entry in registry._ENTRIES.items():
        if isinstance(entry.info, datasets.TextInfo):
            continue
        files = []
        for file in entry.info.downloads:
            server.files[f"/{name}/{file.name}"] = packed[file.name]
            md5 = hashlib.md5(packed[file.name]).hexdigest()
            files.append(RemoteFile(file.name, md5, len(packed[file.name]), (f"{server.url}/{name}/",)))
        info = replace(entry.info, downloads=tuple(files))
        entries[name] = registry._Entry(info, entry.read)
    monkeypatch.setattr(registry, "_ENTRIES", entries)
    return server


@pytest.mark.parametrize(("name", "count"), [("mnist", 30), ("fashion-mnist", 30), ("cifar10", 20)])
def test_a_data_set_is_downloaded_once(online, tmp_path, name, count):
    place = tmp_path / "cache" / datasets.dataset_info(name).folders[0]
    assert datasets.locate(name) is None
    assert len(datasets.load(name).train) == count
    assert names(place) == sorted(file.name for file in datasets.dataset_info(name).downloads)
    online.files.clear()
    asked = len(online.requests)
    assert len(datasets.load(name).train) == count
    assert set(datasets.fetch(name).values()) == set(datasets.locate(name).values()) == set(place.iterdir())
    assert len(online.requests) == asked


def test_a_data_folder_takes_the_download(online, tmp_path):
    datasets.load("mnist", tmp_path / "data")
    assert len(names(tmp_path / "data" / "mnist")) == 4
    assert not (tmp_path / "cache").exists()


def test_only_what_is_missing_is_downloaded(online, tmp_path):
    file = "/mnist/t10k-labels-idx1-ubyte.gz"
    kept = online.files.pop(file)
    with pytest.raises(DatasetError, match=r"cannot download t10k-labels-idx1-ubyte.gz of mnist .*404"):
        datasets.load("mnist", tmp_path)
    assert len(names(tmp_path / "mnist")) == 3
    online.files[file] = kept
    online.requests.clear()
    assert len(datasets.load("mnist", tmp_path).test) == 20
    assert [path for path, _ in online.requests] == [file]


def test_offline_nobody_is_asked(online, monkeypatch):
    monkeypatch.setenv("NUMBANET_OFFLINE", "1")
    with pytest.raises(DatasetError, match="mnist is not there"):
        datasets.load("mnist")
    assert not online.requests
