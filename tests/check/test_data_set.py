import shutil

import h5py
import numpy as np
import pytest

from fno_lightning.check import check, check_data_set, check_file, files_at


def edit(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


@pytest.fixture
def root(data_set, write_statistics):
    """A data set without faults: two files to train on, one each to validate and test, and statistics."""
    root = data_set()
    for spare in ("valid/a.hdf5", "test/b.hdf5"):
        (root / "data" / spare).unlink()
    write_statistics(root)
    return root


def test_a_good_data_set_has_no_faults(root):
    assert check_data_set(str(root)) == []


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data/train and data/valid"):
        check_data_set(tmp_path / "nothing")


@pytest.mark.parametrize(("split", "severity"), [("train", "error"), ("valid", "error"), ("test", "warning")])
def test_a_split_that_is_missing_or_empty(root, split, severity, assert_found):
    folder = root / "data" / split
    for path in folder.glob("*"):
        path.unlink()
    assert_found(check_data_set(root), (severity, f"data/{split}", "no .hdf5 or .h5 file"))
    folder.rename(root / "data" / "other")
    assert_found(check_data_set(root), (severity, f"data/{split}", "is missing", "there is other"))


@pytest.mark.parametrize("split", ["valid", "test"])
def test_trajectories_of_another_split(root, split, assert_found):
    """Here one of the file's two trajectories was trained on."""
    source = root / "data" / "train" / "a.hdf5"
    (target,) = (root / "data" / split).glob("*")

    def copy(file):
        with h5py.File(source) as other:
            for name in ("t0_fields/pressure", "t0_fields/density", "t0_fields/mask", "t1_fields/velocity"):
                file[name][0] = other[name][1]
            file["scalars/forcing"][0] = other["scalars/forcing"][1]
            file["scalars/viscosity"][()] = other["scalars/viscosity"][()]
            file.attrs["viscosity"] = other.attrs["viscosity"]

    edit(target, copy)
    faults = check_data_set(root)
    assert_found(faults, ("error", "/", "1 of 2 trajectories are also in train: trajectory 0", f"number 1 of {source}"))
    assert faults[0].path == target


def test_trajectories_that_only_start_alike(root):
    """With another parameter, a state evolves differently."""
    target = root / "data" / "test" / "a.hdf5"
    shutil.copy(root / "data" / "train" / "a.hdf5", target)

    def change(file):
        file["scalars/viscosity"][()] = file.attrs["viscosity"] = 0.7

    edit(target, change)
    assert check_data_set(root) == []


def test_trajectories_that_start_at_rest(root, assert_found):
    """A first frame that is the same everywhere tells nothing: then the last one is compared."""

    def rest(file):
        for name in ("t0_fields/pressure", "t0_fields/density", "t1_fields/velocity"):
            file[name][:, 0] = 1.0
        file["t0_fields/mask"][:] = 0.0
        file["scalars/forcing"][:] = file["scalars/viscosity"][()] = file.attrs["viscosity"] = 0.5

    paths = [root / "data" / split / "a.hdf5" for split in ("train", "valid", "test")]
    shutil.copy(paths[0], paths[1])
    for path in paths:
        edit(path, rest)
    (root / "stats.yaml").unlink()
    faults = [fault for fault in check_data_set(root) if fault.severity == "error"]
    assert_found(faults, ("error", "/", "2 of 2 trajectories are also in train"))
    assert faults[0].path == paths[1]


def test_trajectories_twice_in_a_split(root, assert_found):
    shutil.copy(root / "data" / "test" / "a.hdf5", root / "data" / "test" / "c.hdf5")
    assert_found(check_data_set(root), ("warning", "/", "2 of 2 trajectories are also in test", "keep one of each"))


def other_grid(file):
    for order, name in ((0, "pressure"), (0, "density"), (0, "mask"), (1, "velocity")):
        place = f"t{order}_fields/{name}"
        attributes, values = dict(file[place].attrs), file[place][()]
        del file[place]
        file[place] = values.take(range(3), axis=values.ndim - 1 - order)
        file[place].attrs.update(attributes)
    for place in ("dimensions/y", "boundary_conditions/y_open/mask", "boundary_conditions/y_wall/mask"):
        attributes, values = dict(file[place].attrs), file[place][()]
        del file[place]
        file[place] = np.delete(values, 1)
        file[place].attrs.update(attributes)


def scale(name, factor):
    def change(file):
        file[name][...] = file[name][()] * factor

    return change


def rename_scalar(file):
    file["scalars"].move("forcing", "force")
    file["scalars"].attrs["field_names"] = ["viscosity", "force"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (other_grid, ("error", "/dimensions", "has the grid (6, 3), but", "has (6, 4)")),
        (scale("dimensions/x", 2), ("error", "/dimensions/x", "coordinate number 5 1.833333", "0.9166667")),
        (
            lambda file: file["boundary_conditions/y_wall"].attrs.create("bc_type", "OPEN"),
            ("error", "/boundary_conditions", "('open', 'open')", "('open', 'wall')"),
        ),
        (rename_scalar, ("error", "/scalars", "('viscosity', 'force')", "('viscosity', 'forcing')")),
        (
            lambda file: file["t0_fields"].attrs.create("field_names", ["density", "pressure", "mask"]),
            ("error", "/", "time-dependent fields ('density', 'pressure'", "('pressure', 'density'"),
        ),
        (scale("dimensions/time", 2), ("warning", "/dimensions/time", "frame interval 0.5, but", "has 0.25")),
        (
            lambda file: file.attrs.create("dataset_name", "other"),
            ("warning", "/", "dataset_name other, but", "has waves"),
        ),
    ],
)
def test_files_that_disagree(root, change, expected, assert_found):
    path = root / "data" / "valid" / "b.hdf5"
    edit(path, change)
    assert check_file(path) == []
    faults = check_data_set(root)
    assert_found(faults, expected)
    assert faults[0].path == path


def test_faults_of_all_files_are_collected(root, assert_found):
    (root / "data" / "train" / "a.hdf5").write_text("no")
    edit(
        root / "data" / "valid" / "b.hdf5",
        lambda file: file["t0_fields/density"].write_direct(np.full((2, 8, 6, 4), np.nan, np.float32)),
    )
    edit(root / "data" / "test" / "a.hdf5", scale("dimensions/time", 2))
    assert_found(
        check_data_set(root),
        ("error", "/", "is not an HDF5 file"),
        ("error", "/t0_fields/density", "384 NaN"),
        ("warning", "/dimensions/time", "frame interval"),
        ("warning", "/", "is not compared with the data"),
    )


def test_paths_of_every_kind(root, assert_found):
    train = root / "data" / "train"
    assert check([root, train, str(train / "a.hdf5")]) == []
    others = [root / "data" / "valid" / "b.hdf5", root / "data" / "test" / "a.hdf5"]
    assert files_at(root) == [train / "a.hdf5", train / "b.hdf5", *others]
    assert files_at(train) == [train / "a.hdf5", train / "b.hdf5"]
    assert files_at(train / "a.hdf5") == [train / "a.hdf5"]
    edit(train / "b.hdf5", scale("dimensions/time", 2))
    assert_found(check([train, train]), ("warning", "/dimensions/time", "frame interval"))
    assert check([train / "a.hdf5", train / "b.hdf5"]) == []
    (root / "empty").mkdir()
    for name in ("nothing", "empty"):
        with pytest.raises(FileNotFoundError, match=name):
            check([root / name])
        with pytest.raises(FileNotFoundError, match=name):
            files_at(root / name)


def test_statistics_belong_to_a_data_set(root, assert_found):
    shutil.copy(root / "data" / "train" / "a.hdf5", root / "stats.yaml")
    assert_found(check_data_set(root), ("error", "/", "is not text in UTF-8"))
    (root / "stats.yaml").unlink()
    faults = check_data_set(root)
    assert_found(faults, ("warning", "/", "is missing"))
    assert faults[0].path == root / "stats.yaml"
