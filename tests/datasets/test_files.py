"""Where data sets are looked for."""

from __future__ import annotations

import gzip
import os

import pytest

from numbanet import datasets
from numbanet.datasets import DatasetError, files
from tests.datasets.samples import IDX_NAMES, write_idx


def where(name="mnist", data_dir=None):
    found = datasets.locate(name, data_dir)
    return None if found is None else {path.parent for path in found.values()}


@pytest.mark.parametrize("place", ["mnist", "MNIST/raw", "."])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("named_by", ["argument", "variable"])
def test_in_a_folder_of_its_name_or_directly_inside(tmp_path, monkeypatch, place, zipped, named_by):
    write_idx(tmp_path / "data" / place, zipped)
    if named_by == "variable":
        monkeypatch.setenv("NUMBANET_DATA", str(tmp_path / "data"))
        assert where() == {tmp_path / "data" / place}
        assert len(datasets.load("mnist").train) == 30
    else:
        assert where(data_dir=tmp_path / "data") == {tmp_path / "data" / place}
        assert len(datasets.load("mnist", tmp_path / "data").train) == 30


def test_gzipped_and_plain_files_may_be_mixed(tmp_path):
    write_idx(tmp_path)
    path = tmp_path / IDX_NAMES[2]
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert len(datasets.load("mnist", tmp_path, download=False).test) == 20


def test_names_with_a_dot_are_known_too(tmp_path):
    write_idx(tmp_path)
    for name in IDX_NAMES:
        (tmp_path / name).rename(tmp_path / name.replace("-idx", ".idx"))
    assert len(datasets.load("mnist", tmp_path, download=False).test) == 20


def test_the_argument_goes_before_the_variable_and_the_cache_comes_last(tmp_path, monkeypatch):
    cache = tmp_path / "cache" / "mnist"
    write_idx(cache)
    assert where() == {cache}
    write_idx(tmp_path / "b" / "mnist")
    monkeypatch.setenv("NUMBANET_DATA", str(tmp_path / "b"))
    assert where() == {tmp_path / "b" / "mnist"}
    assert where(data_dir=tmp_path / "elsewhere") == {cache}
    write_idx(tmp_path / "c")
    assert where(data_dir=tmp_path / "c") == {tmp_path / "c"}


def test_a_home_folder_may_be_abbreviated(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_idx(tmp_path / "data" / "mnist")
    assert where(data_dir="~/data") == {tmp_path / "data" / "mnist"}


@pytest.mark.parametrize("name", IDX_NAMES)
def test_a_missing_file_is_named(tmp_path, name):
    write_idx(tmp_path / "mnist", zipped=True)
    (tmp_path / "mnist" / f"{name}.gz").unlink()
    assert where(data_dir=tmp_path) is None
    with pytest.raises(DatasetError, match=f"mnist is incomplete: {name}.gz .* is missing in {tmp_path / 'mnist'}"):
        datasets.load("mnist", tmp_path, download=False)


@pytest.mark.parametrize("forbidden_by", ["argument", "variable"])
def test_nothing_there_and_no_download_allowed(tmp_path, monkeypatch, forbidden_by):
    if forbidden_by == "variable":
        monkeypatch.setenv("NUMBANET_OFFLINE", "1")
    with pytest.raises(DatasetError, match=r"numbanet datasets fetch mnist.*--data-dir or NUMBANET_DATA") as caught:
        datasets.load("mnist", tmp_path / "data", download=forbidden_by != "argument")
    assert str(tmp_path / "data") in str(caught.value)
    assert str(tmp_path / "cache") in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_a_data_folder_that_is_a_file(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(DatasetError, match="data is not a folder"):
        datasets.load("mnist", tmp_path / "data")


def test_what_ships_does_not_care_about_data_folders(tmp_path):
    (tmp_path / "data").write_text("")
    assert len(datasets.load("digits", tmp_path / "data").test) == 2000


# --- where a download goes ------------------------------------------------------------------------------------------
def target(data_dir=None):
    return files._download_folder(datasets.dataset_info("mnist"), data_dir)


def test_downloads_go_into_the_data_folder(tmp_path, monkeypatch):
    assert target() == tmp_path / "cache" / "mnist"
    assert target(tmp_path / "new" / "data") == tmp_path / "new" / "data" / "mnist"
    monkeypatch.setenv("NUMBANET_DATA", str(tmp_path))
    assert target() == tmp_path / "mnist"


def test_downloads_go_beside_what_is_there(tmp_path):
    write_idx(tmp_path)
    (tmp_path / IDX_NAMES[1]).unlink()
    assert target(tmp_path) == tmp_path


def test_downloads_go_into_the_cache_if_the_data_folder_is_read_only(tmp_path, monkeypatch):
    writable = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and writable(path, mode))
    assert target(tmp_path) == tmp_path / "cache" / "mnist"


def test_the_cache_folder_is_the_users(monkeypatch):
    monkeypatch.undo()
    assert files.cache_folder().name == "numbanet"
    assert files.cache_folder().is_absolute()
