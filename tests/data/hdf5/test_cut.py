"""Windows on a part of the grid are the parts of whole windows, and nothing else is read."""

import pickle

import numpy as np
import pytest
import torch

from fno_lightning.data import WindowDataset, read_well_file
from fno_lightning.data.hdf5 import Resampling
from fno_lightning.data.hdf5.reader import Cut
from fno_lightning.data.windows import SlidingWindows, TrajectoryKey

STORAGES = {
    "one piece": {},
    "chunks": {"chunks": True},
    "compressed": {"compression": "gzip", "chunks": True},
}


def windows_of(path, grid_stride, resampling=None):
    file = read_well_file(path)
    keys = [TrajectoryKey(0, trajectory, file.n_frames) for trajectory in range(file.n_trajectories)]
    varying = {field.time_varying: [] for field in file.fields}
    for field in file.fields:
        varying[field.time_varying] += field.components
    return WindowDataset(
        [file], SlidingWindows(keys, 2, 2), 2, 1, varying[True], varying[False], ["mass"], grid_stride,
        resampling,
    )  # fmt: skip


@pytest.mark.parametrize("resampling", [None, Resampling((np.eye(9)[::-1], None))], ids=["stored", "resampled"])
@pytest.mark.parametrize("grid_stride", [1, 2])
@pytest.mark.parametrize("storage", STORAGES.values(), ids=list(STORAGES))
def test_cut_windows(tmp_path, irregular_file, storage, grid_stride, resampling):
    path = irregular_file(tmp_path / "file.hdf5", grid=(9, 7), **storage)
    whole = windows_of(path, grid_stride, resampling)
    expected = whole.__getitems__([0, 3, 7])
    n_x, n_y = whole.grid_shape
    for axis, first, end in [(0, 0, 2), (0, 2, n_x), (1, 1, 3), (1, 3, n_y)]:
        found = whole.along(Cut(axis, first, end)).__getitems__([0, 3, 7])
        for name in ("history", "constants", "target"):
            part = getattr(expected, name)
            assert torch.equal(getattr(found, name), part.narrow(part.ndim - 2 + axis, first, end - first)), name
        assert torch.equal(found.scalars, expected.scalars)


def test_decodes_its_own_points_alone(tmp_path, irregular_file):
    whole = windows_of(irregular_file(tmp_path / "file.hdf5", grid=(9, 7), chunks=True), 1)
    cut = whole.along(Cut(0, 2, 5))
    sample = cut[0]
    in_a_worker = pickle.loads(pickle.dumps(cut))
    assert torch.equal(in_a_worker[0].history, sample.history)
    blocks = cut._reader._open.chunks._blocks
    velocity = [block for (_, name, *_), block in blocks.items() if name.endswith("velocity")]
    assert velocity
    assert {block.shape[2:4] for block in velocity} == {(3, 7)}
