import h5py
import numpy as np
import pytest
import torch
from the_well.utils.dummy_data import write_dummy_data

from fno_lightning.check import check_file
from fno_lightning.data import write_well_file
from fno_lightning.pdes import Trajectories


@pytest.mark.parametrize("grid", [(6,), (6, 4), (5, 4, 3)])
def test_what_the_package_writes(tmp_path, random_trajectories, grid):
    write_well_file(tmp_path / "a.hdf5", random_trajectories(grid), dataset_name="some")
    assert check_file(tmp_path / "a.hdf5") == []


def test_a_steady_problem(tmp_path):
    """One frame, a coefficient of two values, a parameter of each sample, a source that is the same everywhere."""
    trajectories = Trajectories(
        time=torch.zeros(1),
        coordinates={"x": torch.linspace(0, 1, 6), "y": torch.linspace(0, 1, 5)},
        boundaries={"x": ("wall", "wall"), "y": ("wall", "wall")},
        scalars={"wavenumber": torch.rand(3)},
        scalar_fields={"pressure": torch.rand(3, 1, 6, 5)},
        constant_fields={"permeability": torch.randint(2, (3, 6, 5)).float(), "source": torch.ones(3, 6, 5)},
    )
    write_well_file(tmp_path / "a.hdf5", trajectories, dataset_name="some")
    assert check_file(tmp_path / "a.hdf5") == []


@pytest.mark.parametrize("storage", [{}, {"chunks": True, "compression": "gzip"}])
@pytest.mark.parametrize("grid", [(6,), (5, 4), (4, 3, 5)])
def test_what_real_files_do(tmp_path, irregular_file, grid, storage, assert_found):
    """Tensors, shared fields, axes without variation, scalars that depend on time; here no boundaries are stated."""
    path = irregular_file(tmp_path / "a.hdf5", grid, **storage)
    expected = [("warning", "/boundary_conditions", f"for the axis {axis}") for axis in "xyz"[: len(grid)]]
    assert_found(check_file(path), *expected)


def test_more_of_what_real_files_do(break_file, replace_values, assert_found):
    """Absent axes, a scalar of the shape (1,), times of each trajectory, attributes that nobody asks for."""

    def decorate(file):
        file.attrs["author"] = "somebody"
        group = file["t2_fields"]
        group.attrs["field_names"] = ["stress"]
        rng = np.random.default_rng(0)
        stress = group.create_dataset("stress", data=rng.standard_normal((2, 8, 6, 2, 2), dtype=np.float32))
        stress.attrs.update(
            sample_varying=True, time_varying=True, dim_varying=[True, False], symmetric=True, antisymmetric=False
        )
        file["dimensions/time"].attrs["sample_varying"] = True

    times = np.stack([np.linspace(0, 1, 8), np.linspace(0, 2, 8)])
    longitudes = np.array([0.0, 0.1, 0.3, 0.7, 1.5, 3.1])
    changes = (
        decorate,
        replace_values("dimensions/time", times),
        replace_values("dimensions/x", longitudes),
        replace_values("dimensions/y", -np.arange(4.0)),
        replace_values("scalars/viscosity", np.float32([0.1])),
    )
    assert_found(
        break_file(*changes),
        ("warning", "/dimensions/time", "different time steps, 0.142857 in trajectory 0 and 0.285714 in trajectory 1"),
        ("warning", "/dimensions/x", "not evenly spaced, 0.1 to 1.6 apart"),
    )


def test_the_wells_dummy_data(tmp_path, assert_found):
    """Their masks are false everywhere, for which they read back as open, and their dimensions lack a flag."""
    write_dummy_data(tmp_path / "dummy.hdf5")
    assert_found(
        check_file(tmp_path / "dummy.hdf5"),
        *(("error", f"/boundary_conditions/{axis}_periodic/mask", "false everywhere", "OPEN") for axis in "xy"),
        *(("warning", f"/dimensions/{name}", "no attribute 'time_varying'") for name in ("time", "x", "y")),
    )


def test_what_the_reader_refuses_is_an_error(good_file, monkeypatch, assert_found):
    """Should the reader come to know a rule that the check does not."""
    from fno_lightning.check import file as checked
    from fno_lightning.data import WellFormatError

    def refuse(path):
        raise WellFormatError(f"{path}: the moon is full")

    monkeypatch.setattr(checked, "read_well_file", refuse)
    assert_found(check_file(good_file), ("error", "/", "the moon is full"))


def test_a_file_is_left_as_it_is(good_file):
    before = good_file.read_bytes()
    check_file(good_file)
    with h5py.File(good_file, "r+"):
        pass  # nobody else has it open
    assert good_file.read_bytes()[100:] == before[100:]
