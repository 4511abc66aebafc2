import pickle
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from the_well.data import WellDataset
from the_well.utils.dummy_data import write_dummy_data
from torch.utils.data import DataLoader

from fno_lightning.check import check_file
from fno_lightning.data import WellDataModule, WellFormatError, WindowDataset, collate, read_well_file, write_well_file
from fno_lightning.data.windows import SlidingWindows, TrajectoryKey, whole_trajectories


def windows_of(folder, n_in=1, n_out=1, dt_stride=1, *, full=False):
    files = [read_well_file(path) for path in sorted(folder.iterdir())]
    keys = [TrajectoryKey(i, k, file.n_frames) for i, file in enumerate(files) for k in range(file.n_trajectories)]
    windows = whole_trajectories(keys, n_in, dt_stride) if full else SlidingWindows(keys, n_in, n_out, dt_stride)
    names = [files[0].components(time_varying=time_varying) for time_varying in (True, False)]
    return WindowDataset(files, windows, n_in, dt_stride, *names, tuple(files[0].scalars))


def assert_equal_samples(folder, n_in, n_out, dt_stride, *, full=False):
    ours = windows_of(folder, n_in, n_out, dt_stride, full=full)
    reference = WellDataset(
        path=str(folder),
        n_steps_input=n_in,
        n_steps_output=n_out,
        min_dt_stride=dt_stride,
        max_dt_stride=dt_stride,
        full_trajectory_mode=full,
    )
    assert len(ours) == len(reference) > 0
    for sample, expected in zip(ours, (reference[index] for index in range(len(reference))), strict=True):
        assert torch.equal(sample.history.movedim(1, -1), expected["input_fields"])
        n_both = len(expected["output_fields"])  # in full trajectories The Well leaves out the last step that fits
        assert n_both in ({len(sample.target), len(sample.target) - 1} if full else {len(sample.target)})
        assert torch.equal(sample.target[:n_both].movedim(1, -1), expected["output_fields"])
        assert torch.equal(sample.scalars, expected["constant_scalars"].float())
        if "constant_fields" in expected or len(sample.constants):
            assert torch.equal(sample.constants.movedim(0, -1), expected["constant_fields"])
    both = ours.__getitems__([len(ours) - 1, 0])
    assert torch.equal(both.history[1], ours[0].history)
    assert torch.equal(both.target[0], ours[len(ours) - 1].target)
    names = reference.metadata.field_names
    assert list(ours.fields) == [name for order in range(3) for name in names[order]]


CASES = pytest.mark.parametrize(
    ("n_in", "n_out", "dt_stride", "full"),
    [(1, 1, 1, False), (4, 1, 1, False), (2, 3, 1, False), (2, 1, 2, False), (3, 1, 1, True), (2, 1, 2, True)],
    ids=["1+1", "4+1", "2+3", "stride", "full", "full-stride"],
)


@CASES
@pytest.mark.parametrize("grid", [(7,), (6, 4), (4, 3, 5)], ids=["1-D", "2-D", "3-D"])
def test_samples_equal_the_wells(tmp_path, random_trajectories, grid, n_in, n_out, dt_stride, full):
    for seed in (0, 1):
        trajectories = random_trajectories(grid, seed=seed)
        write_well_file(tmp_path / f"{seed}.hdf5", trajectories, dataset_name="some", provenance={})
    assert_equal_samples(tmp_path, n_in, n_out, dt_stride, full=full)


@CASES
@pytest.mark.parametrize("storage", [{}, {"chunks": True, "compression": "gzip"}], ids=["contiguous", "chunked"])
@pytest.mark.parametrize("grid", [(5,), (5, 4), (4, 3, 2)], ids=["1-D", "2-D", "3-D"])
def test_samples_of_irregular_files_equal_the_wells(
    tmp_path, irregular_file, grid, storage, n_in, n_out, dt_stride, full
):
    irregular_file(tmp_path / "irregular.hdf5", grid, **storage)
    assert_equal_samples(tmp_path, n_in, n_out, dt_stride, full=full)


@CASES
def test_samples_of_the_wells_dummy_data_equal_the_wells(tmp_path, n_in, n_out, dt_stride, full):
    for name in ("a.h5", "b.hdf5"):
        write_dummy_data(tmp_path / name)
    assert_equal_samples(tmp_path, n_in, n_out, dt_stride, full=full)


def test_chosen_components_are_those_of_the_full_set(tmp_path, irregular_file):
    file = read_well_file(irregular_file(tmp_path / "irregular.hdf5"))
    windows = SlidingWindows([TrajectoryKey(0, 1, file.n_frames)], 2, 1)
    everything = WindowDataset([file], windows, 2, 1, file.components(time_varying=True), (), ())
    chosen = ("profile", "velocity_y", "stress_xx", "stress_yx")
    some = WindowDataset([file], windows, 2, 1, chosen, (), ())
    channels = [everything.fields.index(name) for name in chosen]
    assert torch.equal(some[3].history, everything[3].history[:, channels])
    assert torch.equal(some[3].target, everything[3].target[:, channels])


def test_axes_without_variation_may_be_absent(tmp_path, irregular_file):
    for name in ("kept", "absent"):
        irregular_file(tmp_path / name / "a.hdf5", (5, 4, 3))
    with h5py.File(tmp_path / "absent" / "a.hdf5", "r+") as file:
        for name in ("profile", "shared_map"):
            group = file["t0_fields"]
            values, attributes = group[name][..., 0, 0], dict(group[name].attrs)
            del group[name]
            group[name] = values
            group[name].attrs.update(attributes)
    for sample, expected in zip(windows_of(tmp_path / "absent", 2), windows_of(tmp_path / "kept", 2), strict=True):
        assert all(torch.equal(part, same) for part, same in zip(sample, expected, strict=True))


STORED = {
    "<f8": torch.float64,
    ">f8": torch.float64,
    ">f4": torch.float32,
    "<f2": torch.float32,
    "longdouble": torch.float64,
    "?": torch.float32,
    "<i1": torch.float32,
    ">u2": torch.float32,
    "<i8": torch.float64,
}
"""Precision of a batch by the type on disk."""


@pytest.mark.parametrize(("stored", "dtype"), STORED.items())
@pytest.mark.parametrize("layout", [{}, {"chunks": True}, {"chunks": True, "compression": "gzip"}], ids=str)
@pytest.mark.parametrize("name", ["pressure", "mask"])
def test_every_type_of_number_is_read_alike(tmp_path, random_trajectories, stored, dtype, layout, name):
    path = tmp_path / "waves" / "data" / "train" / "a.hdf5"
    write_well_file(path, random_trajectories((6, 4)), dataset_name="waves")
    with h5py.File(path, "r+") as file:
        field = file["t0_fields"]
        values, attributes = (1000 * field[name][()]).astype(stored), dict(field[name].attrs)
        del field[name]
        field.create_dataset(name, data=values, **layout).attrs.update(attributes)
    expected = torch.from_numpy(values.astype(np.float64))
    for cache in ("none", "ram"):
        data = WellDataModule("waves", str(tmp_path), n_steps_input=2, cache=cache)
        sample = data.dataset("train")[0]
        found, part = (sample.constants, sample.constants) if name == "mask" else (sample.history[:, 0], sample.history)
        assert part.dtype == dtype
        assert sample.target.dtype == sample.history.dtype
        assert torch.equal(found.double(), expected[0][None] if name == "mask" else expected[0, :2])
    statistics = data.statistics
    mean = statistics.constant_mean if name == "mask" else statistics.mean
    std = statistics.constant_std if name == "mask" else statistics.std
    torch.testing.assert_close(mean[0], expected.mean(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(std[0], expected.std(correction=0), rtol=1e-12, atol=0)
    assert not [issue for issue in check_file(path) if issue.severity == "error"]


@pytest.mark.parametrize("stored", ["<f4", ">f8", "<i8"])
def test_scalars_keep_their_precision(tmp_path, random_trajectories, stored):
    path = tmp_path / "waves" / "data" / "train" / "a.hdf5"
    write_well_file(path, random_trajectories((6, 4)), dataset_name="waves")
    values = np.array([1e9 + 1, 1e9 + 3] if stored == "<i8" else [1e-3, 1e30] if stored == "<f4" else [1e51, 1e-47])
    with h5py.File(path, "r+") as file:
        attributes = dict(file["scalars/forcing"].attrs)
        del file["scalars/forcing"]
        file["scalars"].create_dataset("forcing", data=values.astype(stored)).attrs.update(attributes)
    data = WellDataModule("waves", str(tmp_path), n_steps_input=2)
    samples = [data.rollout_dataset("train")[number] for number in range(2)]
    column = data.spec.scalars.index("forcing")
    found = torch.stack([sample.scalars[column] for sample in samples])
    assert torch.equal(found.double(), torch.from_numpy(values.astype(stored).astype(np.float64)))


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 1e-8), (torch.float64, 1e-16)])
def test_a_spread_of_no_more_than_rounding_is_none(tmp_path, random_trajectories, dtype, rounding):
    trajectories = random_trajectories((6, 4))
    noise = trajectories.scalar_fields["density"].double()
    fields = {
        "still": (101325 * (1 + rounding * noise)).to(dtype),
        "moving": (101325 * (1 + 1e3 * rounding * noise)).to(dtype),
        "medium": noise[:, :1].expand_as(noise).to(dtype).contiguous(),
    }
    path = tmp_path / "waves" / "data" / "train" / "a.hdf5"
    changed = replace(trajectories, scalar_fields=fields, vector_fields={})
    write_well_file(path, changed, dataset_name="waves")
    statistics = WellDataModule("waves", str(tmp_path), n_steps_input=2).statistics
    assert statistics.std[0] == 0
    assert statistics.std[1] > 0
    assert statistics.std[2] > 0
    assert (statistics.std_delta > 0).tolist() == [False, True, False]


def test_values_whose_squares_overflow_are_named(tmp_path, random_trajectories):
    trajectories = random_trajectories((6, 4))
    fields = {"energy": 1e200 * trajectories.scalar_fields["density"].double()}
    path = tmp_path / "waves" / "data" / "train" / "a.hdf5"
    write_well_file(path, replace(trajectories, scalar_fields=fields), dataset_name="waves")
    with pytest.raises(ValueError, match=r"'energy' in .*a.hdf5 has values whose squares .*: store it in another unit"):
        _ = WellDataModule("waves", str(tmp_path), n_steps_input=2).statistics


@pytest.mark.parametrize("layout", [{}, {"chunks": True}], ids=str)
@pytest.mark.parametrize("name", ["t0_fields/density", "t0_fields/mask", "scalars/forcing"])
def test_long_doubles_beyond_float64_are_not_called_infinite(data_set, name, layout):
    root = data_set()
    path = root / "data/train/a.hdf5"
    with h5py.File(path, "r+") as file:
        values, attributes = file[name][()].astype(np.longdouble), dict(file[name].attrs)
        values.flat[-1] = np.longdouble("1e400")
        del file[name]
        file.create_dataset(name, data=values, **layout).attrs.update(attributes)
    message = rf"a\.hdf5: /{name} holds finite values up to 1\.?e\+400, beyond float64: store it in another unit"
    data = WellDataModule(root.name, str(root.parent), n_steps_input=2, cache="none")
    for read in (lambda: list(data.val_dataloader()) + list(data.train_dataloader()), lambda: data.statistics):
        with pytest.raises(WellFormatError, match=message):
            read()
    assert any("beyond float64" in issue.message for issue in check_file(path))


def test_scalars_whose_squares_overflow_are_named(data_set):
    root = data_set()
    with h5py.File(root / "data/train/a.hdf5", "r+") as file:
        attributes = dict(file["scalars/forcing"].attrs)
        del file["scalars/forcing"]
        file["scalars/forcing"] = np.array([1e200, -1e200])
        file["scalars/forcing"].attrs.update(attributes)
    with pytest.raises(ValueError, match=r"'forcing' in .* has values whose squares float64 cannot hold"):
        _ = WellDataModule(root.name, str(root.parent), n_steps_input=2).statistics


def test_rounding_is_that_of_the_coarsest_file(data_set):
    root = data_set()
    for part, dtype in (("a", np.float64), ("b", np.float32)):
        with h5py.File(root / f"data/train/{part}.hdf5", "r+") as file:
            attributes, shape = dict(file["t0_fields/density"].attrs), file["t0_fields/density"].shape
            del file["t0_fields/density"]
            file["t0_fields/density"] = np.full(shape, 0.1, dtype)
            file["t0_fields/density"].attrs.update(attributes)
    data = WellDataModule(root.name, str(root.parent), n_steps_input=2)
    assert data.statistics.std[data.spec.fields.index("density")] == 0
    assert data.dataset("train")[0].history.dtype == torch.float64


@pytest.mark.parametrize("field", ["density", "velocity_y", "mask"])
def test_a_value_that_is_not_finite_is_named(tmp_path, random_trajectories, field):
    trajectories = random_trajectories((6, 4))
    if field == "density":
        trajectories.scalar_fields["density"][1, 5, 2, 2] = float("nan")
        place = "frame 5 of trajectory 1"
    elif field == "velocity_y":
        trajectories.vector_fields["velocity"][1, 5, 2, 2, 1] = float("inf")
        place = "frame 5 of trajectory 1"
    else:
        trajectories.constant_fields["mask"][1, 3, 3] = -float("inf")
        place = "trajectory 1"
    write_well_file(tmp_path / "a.hdf5", trajectories, dataset_name="some", must_be_finite=False)
    data = windows_of(tmp_path, 2)
    data.__getitems__(range(3))
    with pytest.raises(ValueError, match=rf"'{field}' holds NaN or infinite values in {place} of .*a\.hdf5"):
        data.__getitems__(range(len(data)))


def test_large_finite_values_pass(tmp_path, random_trajectories):
    trajectories = random_trajectories((6, 4))
    trajectories.scalar_fields["density"].fill_(3e38)
    write_well_file(tmp_path / "a.hdf5", trajectories, dataset_name="some", provenance={})
    assert windows_of(tmp_path, 2)[0].history[:, 1].min() == np.float32(3e38)


def test_trajectories_of_different_lengths_do_not_stack(tmp_path, random_trajectories):
    for n_frames in (6, 8):
        trajectories = random_trajectories((4,), n_frames=n_frames)
        write_well_file(tmp_path / f"{n_frames}.hdf5", trajectories, dataset_name="some", provenance={})
    data = windows_of(tmp_path, 2, full=True)
    with pytest.raises(ValueError, match=r"different lengths \[4, 6\]"):
        data.__getitems__([0, 2])


def test_a_pickled_copy_opens_its_own_files(tmp_path, irregular_file):
    irregular_file(tmp_path / "irregular.hdf5", chunks=True)
    data = windows_of(tmp_path, 2)
    first = data[0]
    copy = pickle.loads(pickle.dumps(data))
    assert torch.equal(copy[0].history, first.history)


@pytest.mark.long
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_read_the_same_batches(tmp_path, irregular_file, context):
    irregular_file(tmp_path / "irregular.hdf5", chunks=True)
    data = windows_of(tmp_path, 2)
    expected = list(DataLoader(data, batch_size=4, collate_fn=collate))
    workers = DataLoader(data, batch_size=4, collate_fn=collate, num_workers=1, multiprocessing_context=context)
    for batch, other in zip(workers, expected, strict=True):
        assert all(torch.equal(part, same) for part, same in zip(batch, other, strict=True))


def test_few_files_stay_open(tmp_path, random_trajectories, monkeypatch):
    monkeypatch.setattr("fno_lightning.data.hdf5.open_files.descriptor_limit", lambda: 2)
    for number in range(4):
        trajectories = random_trajectories((4,), seed=number)
        write_well_file(tmp_path / f"{number}.hdf5", trajectories, dataset_name="some", provenance={})
    data = windows_of(tmp_path, 2)
    once = [sample.history for sample in data]
    assert len(data._reader._open.opened) == 2
    assert all(torch.equal(sample.history, first) for sample, first in zip(data, once, strict=True))
