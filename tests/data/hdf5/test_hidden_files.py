"""What is data, among the files of a folder."""

import h5py
import pytest

from fno_lightning.check import check
from fno_lightning.check.data_set import files_at
from fno_lightning.data import WellDataModule
from fno_lightning.data.hdf5 import split_files

HIDDEN = ("._a.hdf5", ".nfs000000012.h5", ".hidden.hdf5", ".hdf5", ".a.hdf5.17.part")


@pytest.fixture
def littered(data_set):
    """A data set with hidden files and folders among its files."""
    root = data_set()
    for folder in sorted(root.glob("data/*")):
        for name in HIDDEN:
            (folder / name).write_bytes(b"junk")
        (folder / "folder.hdf5").mkdir()
        (folder / ".folder.h5").mkdir()
    (root / "data" / ".checkpoints").mkdir()
    return root


def test_hidden_files_and_folders_are_no_data(littered):
    names = ["a.hdf5", "b.hdf5"]
    assert [path.name for path in split_files(littered / "data/train")] == names
    data = WellDataModule(littered.name, str(littered.parent), n_steps_input=2, cache="ram")
    data.setup("fit")
    assert [file.path.name for file in data._split("train")] == names
    assert data.dataset("train")[0].history.isfinite().all()
    assert [path.name for path in files_at(littered)] == names * 3
    assert not [issue for issue in check([littered]) if issue.severity == "error"]
    assert not check([littered / "data/train"])


def test_hidden_files_do_not_stand_for_a_download(tmp_path):
    folder = tmp_path / "waves/data/train"
    folder.mkdir(parents=True)
    for name in HIDDEN:
        (folder / name).write_bytes(b"junk")
    (tmp_path / "waves/data/.cache").mkdir()
    (tmp_path / "waves/data/.cache/a.hdf5").touch()
    data = WellDataModule("waves", str(tmp_path), source="download")
    assert data._needs_download
    (folder / "a.hdf5").touch()
    assert not data._needs_download


def test_a_folder_of_hidden_files_is_empty(tmp_path):
    for name in HIDDEN:
        (tmp_path / name).write_bytes(b"junk")
    with pytest.raises(FileNotFoundError, match=r"holds no \.hdf5 or \.h5 file"):
        split_files(tmp_path)


def test_endings_in_capitals_count(data_set):
    folder = data_set() / "data/train"
    (folder / "a.hdf5").rename(folder / "A.HDF5")
    (folder / "b.hdf5").rename(folder / "B.H5")
    assert [path.name for path in split_files(folder)] == ["A.HDF5", "B.H5"]


def test_a_hidden_file_that_is_named_is_checked(data_set):
    path = data_set() / "data/train/a.hdf5"
    hidden = path.rename(path.with_name(".a.hdf5"))
    assert check([hidden]) == []
    with h5py.File(hidden, "r+") as file:
        del file["scalars"]
    assert check([hidden])
