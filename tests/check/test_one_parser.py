"""The reader refuses a file exactly where the check reports an error that readers cannot pass over."""

import h5py
import numpy as np
import pytest
import yaml

from fno_lightning.check import check_data_set, check_file
from fno_lightning.data import WellDataModule, WellFormatError, read_well_file
from fno_lightning.data.hdf5 import read_split

X, DENSITY = "boundary_conditions/x_periodic", "t0_fields/density"


def delete(name):
    return lambda file: file.__delitem__(name)


def set_attribute(name, **values):
    return lambda file: file[name].attrs.update(values)


def replace(name, values):
    def change(file):
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update(attributes)

    return change


def errors_of(issues):
    return {(issue.path, issue.location) for issue in issues if issue.severity == "error"}


def refusal(read, *arguments):
    """Where the reader stops; nothing if it does not."""
    try:
        read(*arguments)
    except WellFormatError as error:
        return getattr(error, "path", None), getattr(error, "location", "") or "/"
    return None


@pytest.mark.parametrize(
    "change",
    [
        delete("dimensions/y"),
        delete("t1_fields/velocity"),
        delete(f"{X}/mask"),
        lambda file: file[X].attrs.__delitem__("bc_type"),
        lambda file: file[DENSITY].attrs.__delitem__("time_varying"),
        set_attribute(X, bc_type="SLIP"),
        set_attribute(X, bc_type=3),
        set_attribute(X, associated_dims=["z"]),
        set_attribute(X, associated_dims=np.array([], h5py.string_dtype())),
        set_attribute(DENSITY, dim_varying=[True]),
        set_attribute("/", n_spatial_dims=3),
        replace(f"{X}/mask", np.zeros(5, dtype=bool)),
        replace(f"{X}/mask", np.array([2.0, 0, 0, 0, 0, 1])),
        replace(f"{X}/mask", np.bool_(True)),
        replace(DENSITY, np.zeros((2, 8, 6, 5), np.float32)),
        replace("scalars/forcing", np.zeros(3)),
        replace("scalars/viscosity", np.float32(np.nan)),
        replace("dimensions/x", np.zeros((6, 2))),
    ],
)
def test_what_the_reader_refuses_is_an_error_at_the_same_place(good_file, break_file, change):
    issues = break_file(change)
    refused = refusal(read_well_file, good_file)
    assert refused is not None
    assert refused in errors_of(issues)


@pytest.mark.parametrize(
    "change",
    [
        set_attribute(X, bc_type="periodic"),
        set_attribute(X, bc_type=b"PERIODIC", associated_dims="x"),
        replace(f"{X}/mask", np.array([1, 0, 0, 0, 0, 1], np.uint8)),
        lambda file: file["dimensions/x"].attrs.__delitem__("time_varying"),
        delete(X),
        replace("scalars/viscosity", np.float32([0.1])),
    ],
)
def test_what_is_no_error_is_read(good_file, break_file, change):
    assert errors_of(break_file(change)) == set()
    assert refusal(read_well_file, good_file) is None


def rename_scalar(file):
    file["scalars"].move("forcing", "force")
    file["scalars"].attrs["field_names"] = ["viscosity", "force"]


def make_scalar_vary(file):
    file["scalars/viscosity"].attrs["time_varying"] = True
    replace("scalars/viscosity", np.full(8, 0.1, np.float32))(file)
    file.attrs["viscosity"] = np.float32(0.1)


@pytest.mark.parametrize(
    "change",
    [
        None,
        lambda file: replace("dimensions/x", 2 * file["dimensions/x"][()])(file),
        lambda file: replace("dimensions/x", (1 + 1e-6) * file["dimensions/x"][()])(file),
        lambda file: replace("dimensions/time", 2 * file["dimensions/time"][()])(file),
        set_attribute("/", dataset_name="another"),
        set_attribute("boundary_conditions/y_wall", bc_type="OPEN"),
        set_attribute("t0_fields", field_names=["density", "pressure", "mask"]),
        set_attribute("t0_fields/mask", time_varying=True),
        rename_scalar,
        make_scalar_vary,
    ],
)
def test_files_disagree_for_both_or_for_neither(data_set, change):
    root = data_set()
    reference, path = root / "data" / "train" / "a.hdf5", root / "data" / "train" / "b.hdf5"
    if change is not None:
        with h5py.File(path, "r+") as file:
            change(file)
    refused = refusal(read_split, [path], read_well_file(reference))
    errors = {error for error in errors_of(check_data_set(root)) if error[0] == path}
    assert (refused is not None) is bool(errors)


@pytest.mark.parametrize(
    ("key", "name", "entry"),
    [
        ("mean", "density", 0.5),
        ("mean", "density", "low"),
        ("mean", "density", [0.5]),
        ("mean", "velocity", 0.5),
        ("mean", "velocity", [0.5, float("nan")]),
        ("std", "velocity", [-1.0, 1.0]),
        ("rms", "density", None),
        ("mean_delta", "velocity", [[0.5], [0.5, 0.5]]),
        ("mean_delta", "mask", "not a statistic of a field without time dependence"),
        ("largest", "density", "not a statistic"),
        ("mean", "energy", "not a field"),
    ],
)
def test_entries_of_statistics_are_valid_for_both_or_for_neither(data_set, write_statistics, key, name, entry):
    root = data_set()
    write_statistics(root)
    path = root / "stats.yaml"
    content = yaml.safe_load(path.read_text())
    content.setdefault(key, {})[name] = entry
    path.write_text(yaml.safe_dump(content))
    errors = {
        (issue.path, issue.location)
        for issue in check_data_set(root)
        if issue.path == path and issue.severity == "error" and "in the train split" not in issue.message
    }
    refused = refusal(lambda: WellDataModule(root.name, str(root.parent)).statistics)
    assert errors == ({refused} if refused else set())


def test_a_file_without_faults_is_read(good_file):
    assert check_file(good_file) == []
    assert refusal(read_well_file, good_file) is None
