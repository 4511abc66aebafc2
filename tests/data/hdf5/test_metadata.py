import h5py
import numpy as np
import pytest
from the_well.data import WellDataset
from the_well.utils.dummy_data import write_dummy_data

from fno_lightning.data import WellFormatError, read_well_file, write_well_file


@pytest.fixture
def path(tmp_path, random_trajectories):
    path = tmp_path / "a.hdf5"
    write_well_file(path, random_trajectories((6, 4)), dataset_name="some", provenance={"source": "a test"})
    return path


def assert_rejected(path, *parts):
    with pytest.raises(WellFormatError) as caught:
        read_well_file(path)
    for part in (str(path), *parts):
        assert part in str(caught.value)


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.hdf5"):
        read_well_file(tmp_path / "nothing.hdf5")


def test_a_file_that_is_not_hdf5(tmp_path):
    path = tmp_path / "page.hdf5"
    path.write_text("<html>404 Not Found</html>")
    assert_rejected(path, "is not an HDF5 file", "<html>40")


@pytest.mark.parametrize("part", [0.01, 0.5, 0.99])
def test_a_truncated_file(path, part):
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert_rejected(path, "truncated", "download or simulate it again")


@pytest.mark.parametrize(
    "name",
    ["dimensions", "boundary_conditions", "scalars", "t0_fields", "t1_fields", "t2_fields", "t1_fields/velocity"],
)
def test_a_file_that_lacks_an_entry(path, name):
    with h5py.File(path, "r+") as file:
        del file[name]
    assert_rejected(path, f"'{name.split('/')[-1]}'")


@pytest.mark.parametrize(
    ("entry", "attribute"),
    [
        ("/", "n_trajectories"),
        ("/", "dataset_name"),
        ("dimensions", "spatial_dims"),
        ("t0_fields", "field_names"),
        ("t0_fields/density", "time_varying"),
        ("boundary_conditions/x_periodic", "bc_type"),
    ],
)
def test_a_file_that_lacks_an_attribute(path, entry, attribute):
    with h5py.File(path, "r+") as file:
        del file[entry].attrs[attribute]
    assert_rejected(path, f"no attribute '{attribute}'", entry)


def replace(path, name, values):
    with h5py.File(path, "r+") as file:
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update(attributes)


@pytest.mark.parametrize(
    ("name", "values", "parts"),
    [
        ("t0_fields/density", np.zeros((2, 8, 6, 5), np.float32), ["(2, 8, 6, 5)", "(2, 8, 6, 4)"]),
        ("t0_fields/density", np.zeros((2, 8, 6, 4), np.complex64), ["complex64", "real numbers"]),
        ("t1_fields/velocity", np.zeros((2, 8, 6, 4, 3), np.float32), ["(2, 8, 6, 4, 3)", "(2, 8, 6, 4, 2)"]),
        ("scalars/forcing", np.zeros(3), ["(3,)", "(2,)"]),
        ("scalars/viscosity", np.float32(np.nan), ["not finite"]),
        ("dimensions/x", np.zeros((6, 2)), ["(6, 2)"]),
    ],
)
def test_a_file_with_wrong_data(path, name, values, parts):
    replace(path, name, values)
    assert_rejected(path, f"/{name}", *parts)


@pytest.mark.parametrize(
    ("entry", "attribute", "value", "part"),
    [
        ("/", "n_trajectories", 2.5, "one integer"),
        ("/", "n_spatial_dims", 3, "n_spatial_dims is 3"),
        ("boundary_conditions/x_periodic", "bc_type", "SLIP", "SLIP"),
        ("boundary_conditions/x_periodic", "associated_dims", ["z"], "('z',)"),
        ("t0_fields/density", "dim_varying", [True], "1 entries"),
    ],
)
def test_a_file_with_a_wrong_attribute(path, entry, attribute, value, part):
    with h5py.File(path, "r+") as file:
        file[entry].attrs[attribute] = value
    assert_rejected(path, entry, part)


def test_boundaries_are_the_wells(tmp_path, random_trajectories):
    kinds = ("wall", "open", "periodic")
    trajectories = random_trajectories((4, 3, 5))
    trajectories.boundaries.update(x=("periodic", "periodic"), y=("open", "wall"), z=("wall", "wall"))
    write_well_file(tmp_path / "a.hdf5", trajectories, dataset_name="some", provenance={})
    theirs = WellDataset(path=str(tmp_path))[0]["boundary_conditions"].int().tolist()
    ours = read_well_file(tmp_path / "a.hdf5").boundaries
    assert ours == tuple(trajectories.boundaries.values())
    assert ours == tuple((kinds[lower], kinds[upper]) for lower, upper in theirs)


def test_a_boundary_across_two_axes_is_a_wall_only_where_all_of_a_side_is(tmp_path, path):
    mask = np.zeros((6, 4), dtype=bool)
    mask[0, :] = mask[2:, 0] = True
    with h5py.File(path, "r+") as file:
        for name in list(file["boundary_conditions"]):
            del file["boundary_conditions"][name]
        group = file["boundary_conditions"].create_group("xy_wall")
        group.attrs.update(associated_dims=["x", "y"], bc_type="WALL", sample_varying=False, time_varying=False)
        group["mask"] = mask
    assert read_well_file(path).boundaries == (("wall", "open"), ("open", "open"))


def test_the_wells_dummy_data_are_understood(tmp_path):
    write_dummy_data(tmp_path / "dummy.hdf5")
    file = read_well_file(tmp_path / "dummy.hdf5")
    assert (file.dataset_name, file.grid_shape, file.n_trajectories, file.n_frames) == (
        "dummy_dataset",
        (32, 32),
        2,
        10,
    )
    assert file.components(time_varying=True) == ("field_x", "field_y")
    assert file.components(time_varying=False) == ("constant_field",)
    assert {name: values.tolist() for name, values in file.scalars.items()} == {"a": [0.25, 0.25], "b": [0.75, 0.75]}
    assert file.time_varying_scalars == ("time_varying_scalar",)
