import errno
import resource
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from fno_lightning.data import read_well_file, write_well_file
from fno_lightning.data.simulation.schema import schema_file
from fno_lightning.files import atomic_file
from tests.travelling_wave import TravellingWave


@pytest.fixture
def trajectories(random_trajectories):
    return random_trajectories((6, 4))


def test_what_is_written_is_read(tmp_path, trajectories):
    path = tmp_path / "new" / "a.hdf5"
    write_well_file(path, trajectories, dataset_name="some", provenance={"source": "a test", "solver": "exact"})
    file = read_well_file(path)
    assert (file.dataset_name, file.source, file.n_trajectories) == ("some", "a test", 2)
    assert file.components(time_varying=True) == ("pressure", "density", "velocity_x", "velocity_y")
    assert file.components(time_varying=False) == ("mask",)
    assert file.boundaries == (("periodic", "periodic"), ("open", "wall"))
    np.testing.assert_array_equal(file.time, trajectories.time)
    np.testing.assert_array_equal(file.coordinates[1], trajectories.coordinates["y"])
    np.testing.assert_array_equal(file.scalars["forcing"], trajectories.scalars["forcing"])
    np.testing.assert_array_equal(file.scalars["viscosity"], np.float32([0.1, 0.1]))
    with h5py.File(path) as handle:
        assert handle.attrs["solver"] == "exact"
        for group in (trajectories.scalar_fields, trajectories.constant_fields):
            for name, values in group.items():
                np.testing.assert_array_equal(handle[f"t0_fields/{name}"], values)


def test_a_path_may_be_a_string_and_provenance_may_be_left_out(tmp_path, trajectories):
    path = str(tmp_path / "new" / "a.hdf5")
    write_well_file(path, trajectories, dataset_name="some")
    file = read_well_file(path)
    assert (file.path, file.source) == (tmp_path / "new" / "a.hdf5", None)


def test_the_rules_of_the_format_hold(tmp_path, trajectories):
    """The rules of The Well's documentation and of its format checker."""
    write_well_file(tmp_path / "a.hdf5", trajectories, dataset_name="some", provenance={})
    with h5py.File(tmp_path / "a.hdf5") as file:
        root = file.attrs
        assert isinstance(root["dataset_name"], str)
        assert isinstance(root["grid_type"], str)
        assert isinstance(root["n_trajectories"], np.integer)
        assert root["n_spatial_dims"] == 2
        assert set(root["simulation_parameters"]) == {"viscosity"} <= set(root)
        assert list(file["dimensions"].attrs["spatial_dims"]) == ["x", "y"]
        for name, entry in file["dimensions"].items():
            assert entry.attrs["time_varying"] == np.bool_(name == "time")
            assert isinstance(entry.attrs["sample_varying"], np.bool_)
            assert entry.dtype == np.float32
        for group in ("t0_fields", "t1_fields", "t2_fields", "scalars"):
            names = file[group].attrs["field_names"]
            assert all(isinstance(name, str) for name in names)
            assert set(names) == set(file[group])
        for order in range(3):
            for entry in file[f"t{order}_fields"].values():
                assert entry.attrs["dim_varying"].dtype == bool
                assert entry.dtype == np.float32
        for entry in file["scalars"].values():
            assert entry.ndim == entry.attrs["sample_varying"] + entry.attrs["time_varying"]
        assert set(file["boundary_conditions"]) == {"x_periodic", "y_open", "y_wall"}
        for name, condition in file["boundary_conditions"].items():
            (axis,) = condition.attrs["associated_dims"]
            assert len(condition.attrs["associated_fields"]) == 0
            assert condition["mask"].shape == file["dimensions"][axis].shape
            assert list(condition["mask"][[0, -1]]) == [name != "y_wall", name != "y_open"]
            assert not condition["mask"][1:-1].any()


@pytest.mark.parametrize("grid", [(6,), (6, 4), (4, 3, 5)], ids=["1-D", "2-D", "3-D"])
def test_a_schema_describes_the_file_that_a_simulation_becomes(tmp_path, random_trajectories, grid):
    simulated = random_trajectories(grid, n_trajectories=1)

    class EveryKindOfField(TravellingWave):
        schema = replace(
            simulated,
            **{
                kind: {name: values.to("meta") for name, values in getattr(simulated, kind).items()}
                for kind in ("scalar_fields", "vector_fields", "constant_fields")
            },
        )

    pde = EveryKindOfField()
    write_well_file(tmp_path / "a.hdf5", simulated, dataset_name=pde.dataset_name, provenance={"source": "a test"})
    written, described = read_well_file(tmp_path / "a.hdf5"), schema_file(pde, "a test")
    assert tuple(replace(field, offset=None) for field in written.fields) == described.fields
    for name in ("dataset_name", "source", "axes", "boundaries", "grid_shape", "n_frames"):
        assert getattr(written, name) == getattr(described, name)
    for points, same in zip(written.coordinates, described.coordinates, strict=True):
        np.testing.assert_array_equal(points, same)


def test_a_full_disk_leaves_nothing_and_says_how_much_is_missing(tmp_path, random_trajectories):
    trajectories = random_trajectories((64, 64))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"cannot write .*a\.hdf5, which needs 1\.1 MB \(.* are free there\)"):
            write_well_file(tmp_path / "a.hdf5", trajectories, dataset_name="some", provenance={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), ValueError("no"), OSError(errno.ENOSPC, "No space left")])
def test_an_interruption_leaves_the_old_file(tmp_path, failure):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write():
        with atomic_file(path) as temporary:
            temporary.write_text("half of the n")
            raise failure

    with pytest.raises(type(failure)):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file(tmp_path, trajectories):
    (tmp_path / "data").write_text("")
    with pytest.raises(OSError, match=r"cannot write .*data/a\.hdf5"):
        write_well_file(tmp_path / "data" / "a.hdf5", trajectories, dataset_name="some", provenance={})


@pytest.mark.parametrize(("dtype", "stored"), [(torch.float64, np.float64), (torch.float16, np.float32)])
def test_double_precision_stays_and_half_precision_is_stored_as_float32(tmp_path, trajectories, dtype, stored):
    fields = {"density": torch.full((2, 8, 6, 4), 1 / 3, dtype=dtype)}
    trajectories = replace(trajectories, scalar_fields=fields)
    write_well_file(tmp_path / "a.hdf5", trajectories, dataset_name="some", provenance={})
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert file["t0_fields/density"].dtype == stored
        assert file["t0_fields/density"][0, 0, 0, 0] == fields["density"].flatten()[0].item()


@pytest.mark.parametrize(("value", "stored"), [(-7, np.float32), (2**24 + 1, np.float64)])
def test_integers_lose_nothing(tmp_path, trajectories, value, stored):
    fields = {"density": torch.full((2, 8, 6, 4), value)}
    write_well_file(tmp_path / "a.hdf5", replace(trajectories, scalar_fields=fields), dataset_name="some")
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert file["t0_fields/density"].dtype == stored
        assert (file["t0_fields/density"][()] == value).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "part", ["time", "coordinates", "scalars", "scalar_fields", "vector_fields", "constant_fields"]
)
def test_what_is_not_finite_is_not_written(tmp_path, trajectories, part, value):
    values = getattr(trajectories, part)
    name, tensor = ("time", values) if part == "time" else list(values.items())[-1]
    tensor.view(-1)[-1] = value
    with pytest.raises(ValueError, match=rf"'{name}' holds NaN or infinite values.*a\.hdf5 is not written"):
        write_well_file(tmp_path / "a.hdf5", trajectories, dataset_name="some")
    assert not list(tmp_path.iterdir())


def test_complex_fields_are_not_written(tmp_path, trajectories):
    fields = {"wave": torch.zeros(2, 8, 6, 4, dtype=torch.complex64)}
    with pytest.raises(ValueError, match="'wave' is complex"):
        write_well_file(tmp_path / "a.hdf5", replace(trajectories, scalar_fields=fields), dataset_name="some")


def test_forecasts_may_have_diverged(tmp_path, trajectories):
    trajectories.scalar_fields["density"].fill_(float("nan"))
    write_well_file(tmp_path / "a.hdf5", trajectories, dataset_name="some", must_be_finite=False)
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert np.isnan(file["t0_fields/density"]).all()
