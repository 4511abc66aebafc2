"""What stands in the way of a file is said as it is: only damage leads to the advice to delete the file."""

import errno
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch

from fno_lightning.check import check, check_file
from fno_lightning.data import WellDataModule, WellFormatError, read_well_file
from fno_lightning.data.hdf5 import download
from fno_lightning.data.hdf5.entry import UnreadableError
from fno_lightning.data.hdf5.text import decoded

FIELD = "t0_fields/density"


def assert_refused(path, *parts, kind=WellFormatError):
    """The reader and the checker say the same, in one line that names the file, and neither says to delete it."""
    with pytest.raises(kind) as caught:
        read_well_file(path)
    assert str(caught.value).startswith(str(path))
    (issue,) = check_file(path)
    for text in (str(caught.value), str(issue)):
        assert all(part in text for part in parts), text
        assert "\n" not in text
        assert "delete it" not in text
        assert "damaged" not in text
    return str(caught.value)


def write_in_another_process(code, path):
    return subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_a_file_in_use_by_another_process(data_set):
    path = data_set() / "data/train/a.hdf5"
    code = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print(flush=True); sys.stdin.read()"
    with write_in_another_process(code, path) as writer:
        writer.stdout.readline()
        assert_refused(path, "in use by another process", "HDF5_USE_FILE_LOCKING=FALSE", kind=UnreadableError)
        writer.stdin.close()
    assert check_file(path) == []


@pytest.mark.parametrize("swmr", [True, False], ids=["swmr", "ordinary"])
def test_the_mark_of_a_killed_writer(tmp_path, swmr):
    path = tmp_path / "a.hdf5"
    code = (
        "import h5py, os, sys; file = h5py.File(sys.argv[1], 'w', libver='latest'); file['u'] = [1.0]; file.flush(); "
        f"{'file.swmr_mode = True; file.flush(); ' if swmr else ''}os._exit(0)"
    )
    with write_in_another_process(code, path) as writer:
        assert writer.wait() == 0
    assert_refused(path, "marked as open for writing", f"h5clear -s {path}", kind=UnreadableError)


@pytest.mark.parametrize(
    ("number", "message", "parts"),
    [
        (37, "unable to lock file, errno = 37, error message = 'No locks available'", "HDF5_USE_FILE_LOCKING=FALSE"),
        (95, "unable to lock file, errno = 95, error message = 'Not supported'", "HDF5_USE_FILE_LOCKING=FALSE"),
        (524, "unable to lock file, errno = 524, error message = 'Unknown error 524'", "HDF5_USE_FILE_LOCKING=FALSE"),
        (None, "unable to lock file, errno = 37, error message = 'No locks available'", "HDF5_USE_FILE_LOCKING=FALSE"),
        (errno.EIO, "file read failed: time = now\n, filename = 'a', errno = 5, error message = 'x'", "try again"),
        (errno.EMFILE, "unable to open file: errno = 24, error message = 'Too many open files'", "ulimit -n"),
        (errno.EACCES, "unable to open file: name = 'a', errno = 13, error message = 'Permission'", "permissions"),
        (None, "bad object header version number", "bad object header version number"),
    ],
)
def test_what_the_system_refuses(data_set, monkeypatch, number, message, parts):
    path = data_set() / "data/train/a.hdf5"

    def refuse(*_, **__):
        text = f"Unable to synchronously open file ({message})"
        raise OSError(text) if number is None else OSError(number, text)

    monkeypatch.setattr(h5py, "File", refuse)
    assert_refused(path, parts)


def test_a_file_without_a_byte(tmp_path):
    path = tmp_path / "a.hdf5"
    path.touch()
    assert_refused(path, "is empty (0 bytes)")


def test_a_folder(tmp_path):
    path = tmp_path / "a.hdf5"
    path.mkdir()
    with pytest.raises(UnreadableError, match=r"a\.hdf5 is a folder"):
        read_well_file(path)


def test_a_link_to_a_file_that_is_missing(data_set):
    root = data_set()
    path = root / "data/train/c.hdf5"
    path.symlink_to("nowhere/c.hdf5")
    assert_refused(path, "nowhere/c.hdf5", kind=UnreadableError)
    assert [issue.path for issue in check([root]) if issue.severity == "error"] == [path]
    with pytest.raises(UnreadableError, match=r"nowhere/c\.hdf5"):
        _ = WellDataModule(root.name, str(root.parent)).statistics


@pytest.mark.parametrize(
    ("begin", "end", "content"),
    [(0, 8, b"nonsense"), (8, 9, b"\x63"), (13, 14, b"\0")],
    ids=["signature", "version", "size"],
)
def test_a_damaged_beginning(data_set, begin, end, content):
    path = data_set() / "data/train/a.hdf5"
    old = path.read_bytes()
    path.write_bytes(old[:begin] + content + old[end:])
    with pytest.raises(WellFormatError, match=r"delete it, then download or simulate it again"):
        read_well_file(path)


def test_a_file_in_use_is_not_downloaded_again(data_set, monkeypatch):
    path = data_set() / "data/train/a.hdf5"

    def refuse(*_, **__):
        raise BlockingIOError(11, "unable to lock file, errno = 11, error message = 'Resource temporarily unavailable'")

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(UnreadableError, match="in use by another process"):
        download._incomplete({path: "https://example.org/a.hdf5"})


def with_filter(file, code, *, is_applied=True):
    """Store a field in chunks that have passed a filter, or have left it out because it is optional."""
    values, attributes = file[FIELD][()], dict(file[FIELD].attrs)
    del file[FIELD]
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(values.shape)
    properties.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (1,))
    space = h5py.h5s.create_simple(values.shape)
    low = h5py.h5d.create(file["t0_fields"].id, b"density", h5py.h5t.NATIVE_FLOAT, space, properties)
    low.write_direct_chunk((0,) * values.ndim, values.tobytes(), 0 if is_applied else 1)
    file[FIELD].attrs.update(attributes)


@pytest.mark.parametrize(
    ("code", "name"), [(32001, "32001 (blosc)"), (32004, "32004 (lz4)"), (32013, "32013 (zfp)"), (65000, "65000")]
)
def test_a_filter_that_is_not_installed(data_set, monkeypatch, code, name):
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda _: False)
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    path = data_set() / "data/train/a.hdf5"
    with h5py.File(path, "r+") as file:
        with_filter(file, code)
    found = f"/{FIELD} is compressed with the filter {name}, which is not installed: pip install hdf5plugin"
    assert found in assert_refused(path, f"the filter {name}", "HDF5_PLUGIN_PATH")


def test_a_filter_that_was_left_out_is_not_needed(data_set):
    path = data_set() / "data/train/a.hdf5"
    with h5py.File(path, "r+") as file:
        with_filter(file, 65000, is_applied=False)
    assert read_well_file(path).field("density").offset is None
    assert check_file(path) == []


def test_installed_filters_are_imported_when_a_file_needs_one(data_set, tmp_path, monkeypatch):
    available = set()
    module = tmp_path / "site" / "hdf5plugin.py"
    module.parent.mkdir()
    module.write_text("import h5py\nh5py.h5z.filter_avail.__self__.add(32001)\n")
    monkeypatch.syspath_prepend(module.parent)
    monkeypatch.delitem(sys.modules, "hdf5plugin", raising=False)
    monkeypatch.setattr(h5py.h5z, "filter_avail", available.__contains__)
    path = data_set() / "data/train/a.hdf5"
    read_well_file(path)
    assert "hdf5plugin" not in sys.modules
    with h5py.File(path, "r+") as file:
        with_filter(file, 32001)
    read_well_file(path)
    assert "hdf5plugin" in sys.modules


def damage_a_chunk(root):
    """Damage the values of the second trajectory of a file."""
    path = root / "data/train/b.hdf5"
    with h5py.File(path, "r+") as file:
        values, attributes = file[FIELD][()], dict(file[FIELD].attrs)
        del file[FIELD]
        file.create_dataset(FIELD, data=values, chunks=(1, 8, 6, 4), fletcher32=True).attrs.update(attributes)
        position = file[FIELD].id.get_chunk_info(1).byte_offset
    with path.open("rb+") as raw:
        raw.seek(position)
        raw.write(b"damage")
    return path


def read_last_window(data):
    windows = data.dataset("train")
    return windows[len(windows) - 1]


def fill_cache(data):
    source = data._source("train")
    return source.read(torch.empty(source.frames_shape), torch.empty(source.constants_shape), lambda _: None)


@pytest.mark.parametrize("use", [read_last_window, fill_cache, lambda data: data.statistics])
def test_a_damaged_chunk_is_named(data_set, use):
    root = data_set()
    damage_a_chunk(root)
    data = WellDataModule(root.name, str(root.parent), n_steps_input=2, cache="none")
    with pytest.raises(WellFormatError, match=rf"b\.hdf5: /{FIELD} cannot be read"):
        use(data)


def test_the_checker_names_a_damaged_chunk(data_set):
    path = damage_a_chunk(data_set())
    (issue,) = check_file(path)
    assert (issue.location, issue.path) == (f"/{FIELD}", path)


@pytest.mark.parametrize(
    ("values", "noun"),
    [
        ("Boussinesq", "text"),
        (np.bytes_("Boussinesq"), "text"),
        (np.float32(1) + 2j, "complex numbers"),
        (np.zeros((), [("a", "f4"), ("b", "f4")]), "records of a, b"),
    ],
    ids=["text", "bytes", "complex", "records"],
)
@pytest.mark.parametrize("name", ["scalars/viscosity", "dimensions/x"])
def test_what_is_no_number_is_named(data_set, values, noun, name):
    path = data_set() / "data/train/a.hdf5"
    with h5py.File(path, "r+") as file:
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update(attributes)
    with pytest.raises(WellFormatError, match=rf"a\.hdf5: /{name} holds {noun}.*, expected real numbers"):
        read_well_file(path)
    assert any(issue.location == f"/{name}" and noun in issue.message for issue in check_file(path))


def test_text_that_depends_on_time_is_left_out(data_set):
    path = data_set() / "data/train/a.hdf5"
    with h5py.File(path, "r+") as file:
        file["scalars/phase"] = "melting"
        file["scalars/phase"].attrs.update(sample_varying=False, time_varying=True)
        file["scalars"].attrs["field_names"] = [*file["scalars"].attrs["field_names"], "phase"]
    assert read_well_file(path).time_varying_scalars == ("phase",)


@pytest.mark.parametrize(
    "encoded",
    [lambda text: np.bytes_(text), lambda text: np.bytes_(text.ljust(20)), lambda text: np.bytes_(text + "\0\0")],
    ids=["fixed", "spaces", "nulls"],
)
def test_text_of_fixed_length(data_set, encoded):
    path = data_set() / "data/train/a.hdf5"
    before = read_well_file(path)
    with h5py.File(path, "r+") as file:
        for group in (file, file["dimensions"], file["scalars"], *(file[f"t{order}_fields"] for order in range(3))):
            for name, value in dict(group.attrs).items():
                if isinstance(value, str):
                    group.attrs[name] = encoded(value)
                elif value.dtype == object and len(value):
                    group.attrs[name] = np.array([encoded(text) for text in value])
        file["boundary_conditions/x_periodic"].attrs["bc_type"] = encoded("PERIODIC")
    after = read_well_file(path)
    assert (after.dataset_name, after.axes, after.boundaries) == (before.dataset_name, before.axes, before.boundaries)
    assert after.components(time_varying=True) == before.components(time_varying=True)
    assert list(after.scalars) == list(before.scalars)


def test_text_in_latin_1(data_set):
    path = data_set() / "data/train/a.hdf5"
    with h5py.File(path, "r+") as file:
        file.attrs["dataset_name"] = np.bytes_("Strömung".encode("latin-1"))
    assert read_well_file(path).dataset_name == "Strömung"


def test_a_flag_that_is_text(data_set):
    path = data_set() / "data/train/a.hdf5"
    with h5py.File(path, "r+") as file:
        file[FIELD].attrs["time_varying"] = "False"
    with pytest.raises(WellFormatError, match=rf"/{FIELD} has the attribute 'time_varying' = 'False', expected true"):
        read_well_file(path)


def test_damaged_metadata_are_named(data_set):
    path = data_set() / "data/train/a.hdf5"
    content = path.read_bytes()
    for position in range(96, 6096, 120):
        path.write_bytes(content[:position] + b"\xa5\x5a\x00\xff" + content[position + 4 :])
        try:
            read_well_file(path)
        except WellFormatError as error:
            assert str(error).startswith(str(path))  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
        check_file(path)


def test_variable_text_that_is_not_utf_8():
    assert decoded("Str\udcf6mung") == "Strömung"


@pytest.mark.parametrize(
    ("content", "said"), [(b"\x89HDF\r\n\x1a\n\x00\x00", "probably truncated"), (b"version https", "git lfs pull")]
)
def test_a_file_of_a_few_bytes(tmp_path, content, said):
    path = tmp_path / "a.hdf5"
    path.write_bytes(content)
    with pytest.raises(WellFormatError, match=said) as caught:
        read_well_file(path)
    assert ("delete" in str(caught.value)) is (said == "probably truncated")
