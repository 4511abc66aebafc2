"""Chunks are decoded once for the windows that share them, within bounded memory."""

import h5py
import numpy as np
import pytest

from fno_lightning.data import WellDataModule
from fno_lightning.data.hdf5 import chunks as chunk_cache
from fno_lightning.data.hdf5.chunks import ChunkCache, ChunkedFrames
from tests.well_files import write_irregular_file


@pytest.fixture
def decoded(monkeypatch):
    """Counts the values that are read from chunked data sets."""
    counts = []

    class Counted(ChunkedFrames):
        def __init__(self, dataset, cache, n_leading):
            super().__init__(dataset, cache, n_leading)
            self._dataset = Spy(dataset)

    class Spy:
        def __init__(self, dataset):
            self.dataset = dataset

        def __getattr__(self, name):
            return getattr(self.dataset, name)

        def __getitem__(self, index):
            values = self.dataset[index]
            counts.append(values.size)
            return values

    monkeypatch.setattr("fno_lightning.data.hdf5.open_files.ChunkedFrames", Counted)
    return counts


@pytest.fixture
def chunked(tmp_path):
    """Opens a compressed data set of random values."""
    handles = []

    def make(shape, chunks):
        handle = h5py.File(tmp_path / f"{len(handles)}.hdf5", "w")
        handles.append(handle)
        return handle.create_dataset(
            "u", data=np.random.default_rng(0).random(shape, np.float32), chunks=chunks, compression="gzip"
        )

    yield make
    for handle in handles:
        handle.close()


@pytest.mark.parametrize("chunks", [(1, 1, 5, 4), (1, 4, 3, 4), (2, 3, 5, 2), (3, 11, 5, 4), (2, 10, 1, 1)], ids=str)
@pytest.mark.parametrize("n_bytes", [0, 4000, 2**20])
def test_values_are_those_of_the_data_set(chunked, chunks, n_bytes):
    dataset = chunked((3, 11, 5, 4), chunks)
    frames = ChunkedFrames(dataset, ChunkCache(n_bytes), 2)
    for trajectory in (2, 0, 1, 2):
        for start, stop, step in ((0, 1, 1), (3, 8, 1), (0, 11, 1), (1, 10, 3), (2, 11, 4), (10, 11, 2)):
            index = (trajectory, slice(start, stop, step))
            assert np.array_equal(frames[index], dataset[index])
            assert frames[index].dtype == dataset.dtype


def test_data_without_trajectories_or_time(chunked):
    dataset = chunked((11, 5), (4, 2))
    frames = ChunkedFrames(dataset, ChunkCache(), 1)
    assert np.array_equal(frames[slice(2, 9, 3)], dataset[2:9:3])
    assert np.array_equal(frames[7], dataset[7])


def test_memory_is_bounded_and_the_oldest_goes_first(chunked):
    dataset = chunked((1, 40, 5, 4), (1, 2, 5, 4))
    cache = ChunkCache(n_bytes=5 * dataset[0, :2].nbytes)
    frames = ChunkedFrames(dataset, cache, 2)
    for start in range(0, 40, 2):
        _ = frames[0, start : start + 2]
        _ = frames[0, 0:1]
        assert cache._used == sum(block.nbytes for block in cache._blocks.values()) <= cache.n_bytes
    assert [key[-1][1] for key in cache._blocks] == [16, 17, 18, 19, 0]


def test_an_array_that_was_read_is_the_readers_own(chunked):
    dataset = chunked((1, 8, 5, 4), (1, 4, 5, 4))
    frames = ChunkedFrames(dataset, ChunkCache(), 2)
    frames[0, 0:4][:] = 7
    assert np.array_equal(frames[0, 0:4], dataset[0, 0:4])


def one_epoch(root, split):
    data = WellDataModule(root.name, str(root.parent), n_steps_input=2, cache="none", batch_size=3)
    return list(data.val_dataloader() if split == "valid" else data.train_dataloader())


def test_an_epoch_decodes_every_chunk_once(tmp_path, decoded):
    root = tmp_path / "odd"
    for split in ("train", "valid"):
        write_irregular_file(root / "data" / split / "a.hdf5", n_frames=30, chunks=True, compression="gzip")
    with h5py.File(root / "data" / "train" / "a.hdf5") as file:
        varying = [dataset for group in (0, 1, 2) for dataset in file[f"t{group}_fields"].values() if is_read(dataset)]
        stored = sum(dataset.size for dataset in varying)
    one_epoch(root, "valid")
    assert sum(decoded) == stored
    decoded.clear()
    one_epoch(root, "train")
    assert sum(decoded) == stored


def is_read(dataset):
    return dataset.attrs["time_varying"] or dataset.attrs["sample_varying"]


def test_without_the_cache_chunks_are_decoded_for_every_window(tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(chunk_cache.ChunkCache.__init__, "__defaults__", (0,))
    root = tmp_path / "odd"
    write_irregular_file(root / "data" / "valid" / "a.hdf5", n_frames=30, chunks=True, compression="gzip")
    with h5py.File(root / "data" / "valid" / "a.hdf5") as file:
        stored = file["t1_fields/velocity"].size
    one_epoch(root, "valid")
    assert sum(decoded) > 2 * stored
