import h5py
import pytest
import yaml

from fno_lightning.check.statistics import check_statistics
from fno_lightning.data import read_well_file, write_well_file


@pytest.fixture
def path(tmp_path):
    return tmp_path / "stats.yaml"


@pytest.fixture
def train(tmp_path, random_trajectories, write_statistics):
    """A train split of two files, and statistics without faults."""
    for seed, name in enumerate("ab"):
        trajectories = random_trajectories((6, 4), seed=seed)
        write_well_file(tmp_path / "data" / "train" / f"{name}.hdf5", trajectories, dataset_name="some")
    return write_statistics(tmp_path)


def change_statistics(path, change):
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def test_good_statistics(path, train):
    assert check_statistics(path, train) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda content: content["mean"].update(density=content["mean"]["density"] + 0.01),
            ("error", "mean/density", "in the train split: delete the file"),
        ),
        (
            lambda content: content["std"].update(density=1.01 * content["std"]["density"]),
            ("error", "std/density", "in the train split"),
        ),
        (
            lambda content: content["std_delta"]["velocity"].reverse(),
            ("error", "std_delta/velocity", "in the train split"),
        ),
        (lambda content: content["std"].update(density=0.0), ("error", "std/density", "is 0.0, but")),
        (
            lambda content: content["std_delta"].update(velocity=[-1.0, 1.0]),
            ("error", "std_delta/velocity", "no standard deviation is negative"),
        ),
        (lambda content: content["mean"].pop("mask"), ("error", "mean/mask", "is missing")),
        (lambda content: content["std_delta"].pop("density"), ("error", "std_delta/density", "is missing")),
        (lambda content: content["rms"].pop("density"), ("warning", "rms/density", "is missing")),
        (
            lambda content: content["mean"].update(velocity=0.1),
            ("error", "mean/velocity", "is 0.1, expected a list of 2 finite numbers"),
        ),
        (
            lambda content: content["mean"].update(velocity=[[0.1], [0.1, 0.2]]),
            ("error", "mean/velocity", "expected a list of 2 finite numbers"),
        ),
        (
            lambda content: content["mean"].update(density="low"),
            ("error", "mean/density", "is 'low', expected one finite number"),
        ),
        (lambda content: content["std"].update(density=float("nan")), ("error", "std/density", "is nan, expected")),
        (lambda content: content["mean"].update(energy=1.0), ("warning", "mean/energy", "no field of the train split")),
        (lambda content: content.update(max={}), ("warning", "max", "no statistic that readers know")),
    ],
)
def test_a_fault(path, train, change, expected, assert_found):
    change_statistics(path, change)
    faults = check_statistics(path, train)
    assert_found(faults, expected)
    assert faults[0].path == path


@pytest.mark.parametrize(
    ("text", "part"),
    [("mean: [", "is not YAML"), ("- 1", "does not list statistics"), ("mean: 1", "does not list statistics")],
)
def test_a_file_that_is_no_table(path, train, text, part, assert_found):
    path.write_text(text)
    assert_found(check_statistics(path, train), ("error", "/", part, "delete the file"))


def test_no_file(path, train, assert_found):
    path.unlink()
    assert_found(check_statistics(path, train), ("warning", "/", "is missing", "on first use"))


def test_data_that_cannot_all_be_compared(path, train, assert_found):
    """A value that is not finite spoils one field's statistics, not those of the others."""
    with h5py.File(train[1].path, "r+") as file:
        file["t0_fields/density"][0, 0, 0, 0] = float("nan")
    change_statistics(path, lambda content: content["mean"].update(density=9.0, pressure=9.0))
    assert_found(check_statistics(path, train), ("error", "mean/pressure", "is 9.0"))
    assert_found(check_statistics(path, train, compare=False), ("warning", "/", "is not compared with the data"))


def test_what_is_constant_has_no_deviation(path, train, write_statistics, tmp_path, assert_found):
    for file in train:
        with h5py.File(file.path, "r+") as handle:
            handle["t1_fields/velocity"][..., 1] = 0.0
    write_statistics(tmp_path)
    assert_found(
        check_statistics(path, train),
        ("warning", "std/velocity", "cannot be normalised"),
        ("warning", "std_delta/velocity", "cannot be normalised"),
    )


def test_tensors_and_fields_that_trajectories_share(path, tmp_path, irregular_file, write_statistics, assert_found):
    train = [read_well_file(irregular_file(tmp_path / "data" / "train" / "a.hdf5"))]
    write_statistics(tmp_path)
    assert check_statistics(path, train) == []
    change_statistics(path, lambda content: content["mean"].update(stress=[0.0] * 4))
    assert_found(check_statistics(path, train), ("error", "mean/stress", "expected 2 lists of 2 finite numbers"))


def test_a_steady_problem_needs_no_differences(path, tmp_path, random_trajectories, write_statistics):
    target = tmp_path / "data" / "train" / "a.hdf5"
    write_well_file(target, random_trajectories((6, 4), n_frames=1), dataset_name="some")
    write_statistics(tmp_path)

    def forget(content):
        for key in ("mean_delta", "std_delta", "rms_delta"):
            del content[key]

    change_statistics(path, forget)
    assert check_statistics(path, [read_well_file(target)]) == []
