import h5py
import pytest
import yaml

from fno_lightning.check import check_file
from fno_lightning.data import read_well_file, write_well_file
from fno_lightning.data.hdf5.statistics import compute_statistics


@pytest.fixture
def good_file(tmp_path, random_trajectories):
    """A file without faults: two trajectories of eight frames on a grid of 6 x 4 points."""
    path = tmp_path / "good.hdf5"
    write_well_file(path, random_trajectories((6, 4)), dataset_name="some", provenance={"source": "a test"})
    return path


@pytest.fixture
def break_file(good_file):
    """Changes the good file, and returns its faults."""

    def change(*changes):
        with h5py.File(good_file, "r+") as file:
            for changed in changes:
                changed(file)
        return check_file(good_file)

    return change


def _assert_found(faults, *expected):
    """Asserts that there are these faults and no others: severity, place, parts of the message."""
    shown = "\n".join(f"{fault.severity}  {fault}" for fault in faults)
    for severity, place, *parts in expected:
        matches = [
            fault
            for fault in faults
            if (fault.severity, fault.location) == (severity, place) and all(part in fault.message for part in parts)
        ]
        assert len(matches) == 1, f"{severity} at {place} with {parts} not found once in\n{shown}"
    assert len(faults) == len(expected), shown


@pytest.fixture
def assert_found():
    return _assert_found


@pytest.fixture
def replace_values():
    """Makes a change that stores other values in a data set, with the same attributes."""

    def make(name, values, **options):
        def change(file):
            attributes = dict(file[name].attrs)
            del file[name]
            file.create_dataset(name, data=values, **options).attrs.update(attributes)

        return change

    return make


def _rounded(values):
    """Four decimals, as The Well writes."""
    return [_rounded(value) for value in values] if isinstance(values, list) else float(f"{values:.4e}")


def _write_statistics(root):
    """Writes a data set's statistics as The Well does; returns the metadata of the train split."""
    files = [read_well_file(path) for path in sorted((root / "data" / "train").glob("*"))]
    content = {}
    for key, entries in compute_statistics(files, [field.name for field in files[0].fields]).items():
        for field in files[0].fields:
            if field.time_varying or "delta" not in key:
                n_dims = len(files[0].axes)
                values = entries[field.name].reshape((n_dims,) * field.order).tolist()
                content.setdefault(key, {})[field.name] = _rounded(values)
    (root / "stats.yaml").write_text(yaml.safe_dump(content))
    return files


@pytest.fixture
def write_statistics():
    return _write_statistics
