import h5py
import numpy as np
import pytest

from fno_lightning.check import check_file

GROUPS = ["dimensions", "boundary_conditions", "scalars", "t0_fields", "t1_fields", "t2_fields"]


def delete(name):
    def change(file):
        del file[name]

    return change


def set_attribute(entry, name, value):
    return lambda file: file[entry].attrs.create(name, value)


def delete_attribute(entry, name):
    return lambda file: file[entry].attrs.__delitem__(name)


def test_a_good_file_has_no_faults(good_file):
    progress = []
    assert check_file(str(good_file), progress.append) == []
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.hdf5"):
        check_file(tmp_path / "nothing.hdf5")


def test_a_file_that_is_not_hdf5(tmp_path, assert_found):
    path = tmp_path / "page.hdf5"
    path.write_text("<html>404 Not Found</html>")
    assert_found(check_file(path), ("error", "/", "is not an HDF5 file", "<html>40"))


@pytest.mark.parametrize("part", [0.01, 0.5, 0.99])
def test_a_truncated_file(good_file, part, assert_found):
    content = good_file.read_bytes()
    good_file.write_bytes(content[: int(part * len(content))])
    assert_found(check_file(good_file), ("error", "/", "probably truncated"))


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_that_is_missing(break_file, name):
    faults = break_file(delete(name))
    assert ("error", "/", f"has no group '{name}'") in [
        (fault.severity, fault.location, fault.message.split(" (")[0]) for fault in faults
    ]


@pytest.mark.parametrize(
    ("entry", "attribute"),
    [
        ("/", "dataset_name"),
        ("/", "grid_type"),
        ("/", "n_spatial_dims"),
        ("/", "n_trajectories"),
        ("/", "simulation_parameters"),
        ("/dimensions", "spatial_dims"),
        ("/dimensions/time", "sample_varying"),
        ("/boundary_conditions/x_periodic", "bc_type"),
        ("/boundary_conditions/x_periodic", "associated_dims"),
        ("/boundary_conditions/x_periodic", "associated_fields"),
        ("/boundary_conditions/x_periodic", "sample_varying"),
        ("/boundary_conditions/x_periodic", "time_varying"),
        ("/scalars", "field_names"),
        ("/scalars/forcing", "sample_varying"),
        ("/scalars/forcing", "time_varying"),
        ("/t2_fields", "field_names"),
        ("/t0_fields/density", "sample_varying"),
        ("/t0_fields/density", "time_varying"),
        ("/t0_fields/density", "dim_varying"),
    ],
)
def test_an_attribute_that_is_missing(break_file, entry, attribute, assert_found):
    faults = break_file(delete_attribute(entry, attribute))
    assert_found(faults, ("error", entry, f"has no attribute '{attribute}'", "rewrite the file with it"))


def test_a_dimension_without_time_varying_is_only_unusual(break_file, assert_found):
    faults = break_file(delete_attribute("dimensions/y", "time_varying"))
    assert_found(faults, ("warning", "/dimensions/y", "no attribute 'time_varying'", "add it"))


@pytest.mark.parametrize(
    ("entry", "attribute", "value", "expected"),
    [
        ("/", "dataset_name", 7, "expected text"),
        ("/", "grid_type", ["cartesian"], "expected text"),
        ("/", "n_trajectories", 2.0, "expected a positive integer"),
        ("/", "n_trajectories", 0, "expected a positive integer"),
        ("/", "n_spatial_dims", "2", "expected a positive integer"),
        ("/", "simulation_parameters", [0.1], "expected a list of names"),
        ("/dimensions", "spatial_dims", "xy", "readers take each letter for a name"),
        ("/dimensions", "spatial_dims", [0, 1], "expected a list of names"),
        ("/t0_fields", "field_names", h5py.Empty("f"), "expected a list of names"),
        ("/t0_fields/density", "time_varying", "False", "expected true or false"),
        ("/t0_fields/density", "sample_varying", [True, True], "expected true or false"),
        ("/t0_fields/density", "dim_varying", [True], "each of the 2 axes"),
        ("/t0_fields/density", "dim_varying", [0.5, 1.0], "a list of true or false"),
        ("/scalars/forcing", "sample_varying", 2, "expected true or false"),
    ],
)
def test_an_attribute_of_the_wrong_type(break_file, entry, attribute, value, expected, assert_found):
    faults = break_file(set_attribute(entry, attribute, value))
    assert_found(faults, ("error", entry, f"'{attribute}' = ", expected))


@pytest.mark.parametrize(
    ("entry", "attribute", "value", "part"),
    [
        ("/t0_fields/density", "time_varying", 1, "strict readers require booleans"),
        ("/dimensions", "spatial_dims", np.array([b"x", b"y"]), "in bytes"),
        ("/dimensions/time", "time_varying", False, "has time_varying = False, expected True"),
        ("/dimensions/x", "time_varying", True, "has time_varying = True, expected False"),
    ],
)
def test_an_attribute_of_an_unusual_type(break_file, entry, attribute, value, part, assert_found):
    faults = break_file(set_attribute(entry, attribute, value))
    assert_found(faults, ("warning", entry, part))


@pytest.mark.parametrize(
    ("name", "values", "parts"),
    [
        ("/t0_fields/density", np.ones((2, 8, 6, 5), np.float32), ["(2, 8, 6, 5)", "imply (2, 8, 6, 4)"]),
        ("/t0_fields/density", np.ones((2, 8, 6, 4), np.complex64), ["(complex64)", "real numbers"]),
        ("/t0_fields/mask", np.ones((2, 8, 6, 4), np.float32), ["(2, 8, 6, 4)", "imply (2, 6, 4)"]),
        ("/t1_fields/velocity", np.ones((2, 8, 6, 4, 3), np.float32), ["(2, 8, 6, 4, 3)", "imply (2, 8, 6, 4, 2)"]),
        ("/scalars/forcing", np.zeros(3), ["(3,)", "imply (2,)"]),
        ("/scalars/forcing", np.array([0.1, np.inf]), ["not finite"]),
        ("/scalars/forcing", np.array([b"a", b"b"]), ["type |S1", "expected real numbers"]),
        ("/dimensions/x", np.zeros((6, 2)), ["(6, 2)", "one value for each point"]),
        ("/dimensions/x", np.array([0, 1, 2, np.nan, 4, 5]), ["not finite"]),
        ("/dimensions/x", np.array([0.0, 1, 2, 2, 3, 4]), ["2 at index 2, then 2", "only increase or only decrease"]),
        ("/dimensions/x", np.array([5.0, 4, 3, 4, 2, 1]), ["3 at index 2, then 4", "only increase or only decrease"]),
        ("/dimensions/time", np.array([0.0, 1, 2, 3, 2, 5, 6, 7]), ["3 at index 3, then 2", "times that increase"]),
        ("/dimensions/time", -np.arange(8.0), ["times that increase"]),
    ],
)
def test_wrong_values(break_file, replace_values, name, values, parts, assert_found):
    assert_found(break_file(replace_values(name, values)), ("error", name, *parts))


def test_fields_in_double_precision_are_only_unusual(break_file, replace_values, assert_found):
    values = np.random.default_rng(0).standard_normal((2, 8, 6, 4))
    faults = break_file(replace_values("t0_fields/density", values))
    assert_found(faults, ("warning", "/t0_fields/density", "float64", "The Well's are float32"))


def test_times_of_each_trajectory(break_file, replace_values, assert_found):
    times = np.stack([np.arange(8.0), np.array([0.0, 1, 2, 3, 4, 5, 5, 7])])
    faults = break_file(
        replace_values("dimensions/time", times), set_attribute("dimensions/time", "sample_varying", True)
    )
    assert_found(faults, ("error", "/dimensions/time", "index 5 of trajectory 1, then 5"))


def test_times_that_are_flagged_for_each_trajectory_but_shared(break_file, assert_found):
    faults = break_file(set_attribute("dimensions/time", "sample_varying", True))
    assert_found(faults, ("error", "/dimensions/time", "is sample_varying, but has the shape (8,)"))


def test_counts_that_disagree(break_file, assert_found):
    faults = break_file(set_attribute("/", "n_spatial_dims", 3))
    assert_found(faults, ("error", "/", "n_spatial_dims = 3", "('x', 'y')"))


def test_names_that_lead_nowhere(break_file, assert_found):
    names = ["pressure", "density", "mask", "energy", "density"]
    faults = break_file(set_attribute("t0_fields", "field_names", names), delete("dimensions/y"))
    assert_found(
        faults,
        ("error", "/t0_fields", "no data set 'energy'"),
        ("error", "/t0_fields", "names 'density' 2 times"),
        ("error", "/dimensions", "no data set 'y'"),
    )


def test_data_sets_without_a_name(break_file, assert_found):
    faults = break_file(
        set_attribute("t0_fields", "field_names", ["pressure", "mask"]),
        set_attribute("scalars", "field_names", ["viscosity"]),
        lambda file: file["dimensions"].create_dataset("w", data=np.arange(3.0)),
    )
    assert_found(
        faults,
        ("error", "/t0_fields", "holds 'density', which field_names ['pressure', 'mask'] does not name"),
        ("error", "/scalars", "holds 'forcing'"),
        ("warning", "/dimensions", "holds 'w'"),
    )


def test_a_name_that_two_fields_share(break_file, assert_found):
    def rename(file):
        file["t0_fields"].move("density", "velocity_y")
        file["t0_fields"].attrs["field_names"] = ["pressure", "velocity_y", "mask"]

    faults = break_file(rename)
    assert_found(faults, ("error", "/t1_fields/velocity", "component 'velocity_y', as has /t0_fields/velocity_y"))


def test_an_axis_that_is_named_twice(break_file):
    faults = break_file(set_attribute("dimensions", "spatial_dims", ["x", "x"]))
    assert ("error", "/dimensions") in [(fault.severity, fault.location) for fault in faults]
    assert any("a name of its own for each axis" in fault.message for fault in faults)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (delete_attribute("/", "viscosity"), ("error", "/", "names 'viscosity' in simulation_parameters")),
        (
            set_attribute("/", "viscosity", 0.2),
            ("error", "/scalars/viscosity", "holds 0.1, but", "is 0.2: correct one of them"),
        ),
        (set_attribute("/", "viscosity", "low"), ("error", "/scalars/viscosity", "is low: correct")),
    ],
)
def test_parameters_that_the_root_does_not_repeat(break_file, change, expected, assert_found):
    assert_found(break_file(change), expected)


def test_a_parameter_that_is_no_scalar_is_only_unusual(break_file, assert_found):
    faults = break_file(
        set_attribute("/", "simulation_parameters", ["viscosity", "solver"]), set_attribute("/", "solver", "exact")
    )
    assert_found(faults, ("warning", "/scalars", "no data set 'solver'"))


def test_faults_do_not_hide_each_other(break_file, replace_values, assert_found):
    holes = np.random.default_rng(0).standard_normal((2, 8, 6, 4)).astype(np.float32)
    holes[1, 4, 0, 0] = np.nan
    faults = break_file(
        delete_attribute("/", "dataset_name"),
        set_attribute("boundary_conditions/y_wall", "bc_type", "SLIP"),
        set_attribute("/", "viscosity", 0.3),
        delete_attribute("t1_fields/velocity", "dim_varying"),
        replace_values("t0_fields/pressure", np.ones((2, 8, 6), np.float32)),
        replace_values("t0_fields/density", holes),
        replace_values("dimensions/time", np.zeros(8)),
    )
    assert_found(
        faults,
        ("error", "/", "no attribute 'dataset_name'"),
        ("error", "/boundary_conditions/y_wall", "'SLIP'"),
        ("error", "/scalars/viscosity", "0.3"),
        ("error", "/t1_fields/velocity", "'dim_varying'"),
        ("error", "/t0_fields/pressure", "(2, 8, 6)"),
        ("error", "/t0_fields/density", "1 NaN"),
        ("error", "/dimensions/time", "increase"),
    )
