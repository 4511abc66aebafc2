"""Readers share the file descriptors of a process, and hold few."""

import gc
import os
import subprocess
import sys

import h5py
import pytest
import torch

from fno_lightning.data import WellDataModule, write_well_file
from fno_lightning.data.hdf5 import open_files

N_FILES = 12


@pytest.fixture(autouse=True)
def _no_readers_of_another_test(monkeypatch):
    """Begin without the files that readers of an earlier test, not yet collected, hold open."""
    monkeypatch.setattr(open_files, "_pools", [open_files._Pool()])


@pytest.fixture
def many_files(tmp_path, random_trajectories):
    """A data set with many files in each split, stored in one piece or in chunks; five fields."""

    def make(*, chunked):
        for number in range(3 * N_FILES):
            path = tmp_path / "many" / "data" / ("train", "valid", "test")[number % 3] / f"{number:02d}.hdf5"
            write_well_file(path, random_trajectories((4,), seed=number), dataset_name="many", provenance={})
            if chunked:
                with h5py.File(path, "r+") as file:
                    values, attributes = file["t0_fields/density"][()], dict(file["t0_fields/density"].attrs)
                    del file["t0_fields/density"]
                    dataset = file.create_dataset("t0_fields/density", data=values, chunks=True)
                    dataset.attrs.update(attributes)
        return WellDataModule("many", str(tmp_path), n_steps_input=2, cache="none")

    return make


def n_held():
    return sum(held.n_descriptors for holder in open_files._pools[0].holders for held in holder.opened.values())


def read_all(data):
    """Read from every file through four readers in turn, as a fit with rollouts does."""
    sets = [data_set for split in ("train", "valid") for data_set in (data.dataset(split), data.rollout_dataset(split))]
    return [each[len(each) * number // N_FILES].history for number in range(N_FILES) for each in sets]


@pytest.mark.parametrize("chunked", [False, True], ids=["mapped", "chunked"])
def test_all_readers_together_keep_to_the_limit(many_files, monkeypatch, chunked):
    gc.collect()
    data = many_files(chunked=chunked)
    unlimited = read_all(data)
    assert n_held() == 4 * N_FILES * (2 if chunked else 1)
    monkeypatch.setattr(open_files, "descriptor_limit", lambda: 6)
    for before, now in zip(unlimited, read_all(data), strict=True):
        assert torch.equal(before, now)
    data = data._changed()
    for before, now in zip(unlimited, read_all(data), strict=True):
        assert torch.equal(before, now)
    assert 0 < n_held() <= 6


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs the list of open descriptors")  # noqa: PTH112
def test_a_file_counts_the_descriptors_that_it_holds(many_files):
    for chunked in (False, True):
        data = many_files(chunked=chunked)
        gc.collect()
        before, held = len(os.listdir("/proc/self/fd")), n_held()  # noqa: PTH208
        windows = data.dataset("train")
        for index in range(len(windows)):
            windows[index]
        assert len(os.listdir("/proc/self/fd")) - before == n_held() - held  # noqa: PTH208


def test_a_reader_that_is_gone_holds_nothing(many_files):
    data = many_files(chunked=True)
    gc.collect()
    before = n_held()
    read_all(data)
    assert n_held() > before
    del data
    gc.collect()
    assert n_held() == before


def test_a_source_in_use_survives_the_need_for_room(many_files, monkeypatch):
    monkeypatch.setattr(open_files, "descriptor_limit", lambda: 1)
    data = many_files(chunked=True)
    reader, other = data.dataset("train")._reader, data.dataset("valid")._reader
    opened = reader._open.get(reader.files[0])
    expected = [opened.sources[name][0, slice(0, 2)].copy() for name in ("t0_fields/density", "t0_fields/pressure")]
    for file in other.files:
        other._open.get(file)
    assert not reader._open.opened
    for name, values in zip(("t0_fields/density", "t0_fields/pressure"), expected, strict=True):
        assert (opened.sources[name][0, slice(0, 2)] == values).all()


LIMITED = """
import resource, sys
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
import torch
from fno_lightning.data import WellDataModule
data = WellDataModule("many", sys.argv[1], n_steps_input=2, cache=sys.argv[2], num_workers=int(sys.argv[3]))
data.setup("fit")
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[4]), hard))
for _ in range(2):
    for split in ("train", "valid"):
        for data_set in (data.dataset(split), data.rollout_dataset(split)):
            for index in range(0, len(data_set), 2):
                data_set[index]
    for batch in data.train_dataloader():
        pass
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("chunked", "cache", "n_workers", "limit"),
    [(False, "none", 0, 40), (True, "ram", 0, 40), (True, "none", 1, 72)],
    ids=["mapped", "chunked-ram", "chunked-worker"],
)
def test_few_descriptors_are_enough(many_files, tmp_path, chunked, cache, n_workers, limit):
    pytest.importorskip("resource")
    many_files(chunked=chunked)
    command = [sys.executable, "-W", "ignore", "-c", LIMITED, str(tmp_path), cache, str(n_workers), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_limit_follows_that_of_the_system(monkeypatch):
    resource = pytest.importorskip("resource")
    for soft, expected in ((1024, 256), (256, 64), (2, 1), (2**20, 1024), (resource.RLIM_INFINITY, 1024)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert open_files.descriptor_limit() == expected


def test_a_forked_process_opens_its_own_files(many_files):
    if not hasattr(os, "fork"):
        pytest.skip("no fork")
    data = many_files(chunked=True)
    expected = read_all(data)
    read_end, write_end = os.pipe()
    if not os.fork():
        try:
            windows = data.dataset("train")
            same = torch.equal(windows[0].history, expected[0])
            os.write(write_end, f"{same} {n_held()}".encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        assert answer.read() == "True 2"
    os.wait()
    assert torch.equal(data.dataset("train")[0].history, expected[0])


VIRTUAL = """
import resource, sys
from pathlib import Path
from fno_lightning.check import check_file
from fno_lightning.data import WellDataModule, read_well_file
path = Path(sys.argv[1])
read_well_file(path)
data = WellDataModule("many", str(path.parents[3]), n_steps_input=2, include_filters=[path.name])
data.setup("predict")
data._split("train")
resource.setrlimit(resource.RLIMIT_NOFILE, (32, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for use in (lambda: data.statistics, lambda: data.dataset("train")[0], lambda: read_well_file(path)):
    try:
        use()
    except ValueError as error:
        print(error)
print(*check_file(path))
"""


@pytest.mark.long
def test_a_virtual_data_set_without_enough_descriptors_is_not_read_as_zeros(many_files, tmp_path):
    pytest.importorskip("resource")
    many_files(chunked=False)
    for split, number in (("train", 0), ("test", 2)):
        path = (tmp_path / f"many/data/{split}/{number:02d}.hdf5").rename(tmp_path / f"many/data/{split}/virtual.hdf5")
        with h5py.File(path, "r+") as file:
            values, attributes = file["t0_fields/density"][()], dict(file["t0_fields/density"].attrs)
            layout = h5py.VirtualLayout((2, 8, 4), "f4")
            for part in range(64):
                with h5py.File(path.with_name(f"{part}.bin"), "w") as source:
                    source["u"] = values.ravel()[part : part + 1]
                place = (part // 32, part // 4 % 8, slice(part % 4, part % 4 + 1))
                layout[place] = h5py.VirtualSource(f"{part}.bin", "u", (1,))
            del file["t0_fields/density"]
            file["t0_fields"].create_virtual_dataset("density", layout, fillvalue=0)
            file["t0_fields/density"].attrs.update(attributes)
    path = tmp_path / "many/data/train/virtual.hdf5"
    command = [sys.executable, "-W", "ignore", "-c", VIRTUAL, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = "/t0_fields/density is a virtual data set of too many files"
    assert (done.stdout.count(found), done.returncode) == (3, 0), done.stdout + done.stderr
    assert "/t0_fields/density: is a virtual data set of too many files" in done.stdout
