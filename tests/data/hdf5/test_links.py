"""Values behind links, in virtual data sets and in every layout are those that HDF5 gives; what is missing is named."""

import h5py
import numpy as np
import pytest
import torch

from fno_lightning.check import check, check_file
from fno_lightning.data import WellDataModule, WellFormatError, read_well_file

FIELD = "t0_fields/density"


def moved(file, name, to, target):
    """Move an entry of a file to another file, in which something else comes first."""
    with h5py.File(to, "w") as other:
        other["first"] = np.full(300, 7.0, np.float32)
        file.copy(name, other, target)
    del file[name]


def stored(file, **options):
    """Store the field anew, with other options of storage."""
    values, attributes = file[FIELD][()], dict(file[FIELD].attrs)
    del file[FIELD]
    if "layout" in options:
        file[FIELD.split("/")[0]].create_virtual_dataset("density", options["layout"], fillvalue=0)
    else:
        file.create_dataset(FIELD, **{"data": values} | options)
    file[FIELD].attrs.update(attributes)
    return values


def external_field(file, folder):
    moved(file, FIELD, folder / "other.bin", "pressure_of_another")
    file[FIELD] = h5py.ExternalLink("other.bin", "/pressure_of_another")


def external_group(file, folder):
    moved(file, "t0_fields", folder / "other.bin", "group")
    file["t0_fields"] = h5py.ExternalLink("other.bin", "/group")


def chained_links(file, folder):
    moved(file, FIELD, folder / "other.bin", "u")
    with h5py.File(folder / "between.bin", "w") as between:
        between["soft"] = h5py.SoftLink("/external")
        between["external"] = h5py.ExternalLink("other.bin", "/u")
    file[FIELD] = h5py.ExternalLink("between.bin", "/soft")


def soft_link(file, _):
    file.move(FIELD, "elsewhere")
    file[FIELD] = h5py.SoftLink("/elsewhere")


def link_to_itself(file, folder):
    file.move(FIELD, "elsewhere")
    file[FIELD] = h5py.ExternalLink(file.filename, "/elsewhere")


def virtual(file, folder):
    with h5py.File(folder / "source.bin", "w") as source:
        source["u"] = file[FIELD][()]
        layout = h5py.VirtualLayout(source["u"].shape, "f4")
        layout[:] = h5py.VirtualSource("source.bin", "u", source["u"].shape)
    stored(file, layout=layout)


def raw_storage(file, folder):
    stored(file, external=[(str(folder / "values.raw"), 64, h5py.h5f.UNLIMITED)])


def compact(file, _):
    values, attributes = file[FIELD][()], dict(file[FIELD].attrs)
    del file[FIELD]
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple(values.shape)
    h5py.h5d.create(file["t0_fields"].id, b"density", h5py.h5t.NATIVE_FLOAT, space, properties)
    file[FIELD][...] = values
    file[FIELD].attrs.update(attributes)


def never_written(file, _):
    stored(file, data=None, shape=file[FIELD].shape, dtype="f4", fillvalue=3.5)


def filtered(file, _):
    stored(file, chunks=(1, 2, 6, 4), compression="gzip", shuffle=True, fletcher32=True)


def of_a_width_unknown_to_numpy(file, _):
    values, attributes = file[FIELD][()], dict(file[FIELD].attrs)
    del file[FIELD]
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(15, 7, 8, 0, 7)  # two bytes: a sign, eight bits of exponent, seven of mantissa
    kind.set_precision(16)
    kind.set_size(2)
    space = h5py.h5s.create_simple(values.shape)
    h5py.h5d.create(file["t0_fields"].id, b"density", kind, space)
    file[FIELD][...] = values
    file[FIELD].attrs.update(attributes)


CHANGES = pytest.mark.parametrize(
    "change",
    [
        external_field,
        external_group,
        chained_links,
        soft_link,
        link_to_itself,
        virtual,
        raw_storage,
        compact,
        never_written,
        filtered,
        of_a_width_unknown_to_numpy,
    ],
    ids=lambda change: change.__name__,
)


def change_files(root, change, userblock=0):
    for path in sorted(root.glob("data/*/*.hdf5")):
        folder = path.parent / path.stem
        folder.mkdir()
        path = path.rename(folder / path.name)
        if userblock:
            with h5py.File(path) as old, h5py.File(folder / "new", "w", userblock_size=userblock) as new:
                for name in old:
                    old.copy(name, new)
                new.attrs.update(old.attrs)
            path = (folder / "new").rename(path)
        with h5py.File(path, "r+") as file:
            change(file, folder)
        (root / path.relative_to(root).parent.parent / path.name).symlink_to(path)


@CHANGES
@pytest.mark.parametrize(("userblock", "cache"), [(0, "none"), (1024, "ram")], ids=["files", "userblock-ram"])
def test_values_are_those_of_hdf5(data_set, change, userblock, cache):
    root = data_set()
    change_files(root, change, userblock)
    with h5py.File(root / "data/train/a.hdf5") as file:
        truth = torch.from_numpy(file[FIELD][()])
    data = WellDataModule(root.name, str(root.parent), n_steps_input=2, cache=cache)
    data.setup("fit")
    channel = data.spec.fields.index("density")
    windows = data.dataset("train")
    assert torch.equal(windows[0].history[:, channel], truth[0, :2])
    assert torch.equal(windows[0].target[:, channel], truth[0, 2:3])
    both = [h5py.File(root / f"data/train/{part}.hdf5") for part in "ab"]
    mean = np.mean([file[FIELD][()].astype(np.float64).mean() for file in both])
    assert data.statistics.mean[channel].item() == pytest.approx(mean, rel=1e-5, abs=1e-8)
    for file in both:
        file.close()


@CHANGES
def test_the_checker_reads_the_same(data_set, change):
    root = data_set()
    change_files(root, change)
    errors = [issue.message for issue in check([root]) if issue.severity == "error"]
    assert not errors


@pytest.mark.parametrize(
    ("link", "target"),
    [
        (h5py.ExternalLink("nothing.bin", "/u"), "nothing.bin:/u"),
        (h5py.ExternalLink("present.bin", "/nothing"), "present.bin:/nothing"),
        (h5py.ExternalLink("page.bin", "/u"), "page.bin:/u"),
        (h5py.SoftLink("/nothing"), "/nothing"),
        (h5py.SoftLink("/circle"), "/circle"),
    ],
    ids=["no-file", "no-entry", "not-hdf5", "soft", "circle"],
)
@pytest.mark.parametrize("name", [FIELD, "t0_fields", "dimensions/x", "scalars/forcing"])
def test_a_dangling_link_is_named_with_its_target(data_set, link, target, name):
    path = data_set() / "data/train/a.hdf5"
    h5py.File(path.parent / "present.bin", "w").close()
    (path.parent / "page.bin").write_text("<html>")
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = link
        file["circle"] = h5py.SoftLink("/circle")
    with pytest.raises(WellFormatError) as caught:
        read_well_file(path)
    assert str(caught.value).startswith(f"{path}: /{name} is a link to {target}, which cannot be followed")
    issues = [issue for issue in check_file(path) if issue.location == f"/{name}"]
    assert [issue.severity for issue in issues] == ["error"]
    assert target in issues[0].message


@pytest.mark.parametrize("change", [virtual, raw_storage], ids=lambda change: change.__name__)
def test_a_source_that_is_missing_is_not_read_as_zeros(data_set, change):
    root = data_set()
    change_files(root, change)
    path = root / "data/train/a.hdf5"
    source = path.parent / "a" / ("source.bin" if change is virtual else "values.raw")
    source.unlink()
    with pytest.raises(WellFormatError, match=rf"a\.hdf5: /{FIELD} is .*{source.name}.*"):
        read_well_file(path)
    assert any(source.name in issue.message and issue.severity == "error" for issue in check_file(path))


@pytest.mark.parametrize("name", [FIELD, "dimensions/x", "dimensions/time", "scalars/forcing"])
def test_an_empty_data_set_is_named(data_set, name):
    path = data_set() / "data/train/a.hdf5"
    with h5py.File(path, "r+") as file:
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = h5py.Empty("f4")
        file[name].attrs.update(attributes)
    with pytest.raises(WellFormatError, match=rf"a\.hdf5: /{name} holds no values"):
        read_well_file(path)
    assert ("error", f"/{name}") in [(issue.severity, issue.location) for issue in check_file(path)]


def test_a_scalar_data_set_as_a_field_is_named(data_set):
    path = data_set() / "data/train/a.hdf5"
    with h5py.File(path, "r+") as file:
        stored(file, data=np.float32(1.0))
    with pytest.raises(WellFormatError, match=rf"/{FIELD} has the shape \(\)"):
        read_well_file(path)


def test_what_a_source_of_a_source_lacks_is_not_read_as_zeros(data_set):
    path = data_set() / "data/train/a.hdf5"
    with h5py.File(path, "r+") as file:
        shape = file[FIELD].shape
        with h5py.File(path.parent / "between.bin", "w") as between:
            layout = h5py.VirtualLayout(shape, "f4")
            layout[:] = h5py.VirtualSource("nothing.bin", "u", shape)
            between.create_virtual_dataset("u", layout)
        layout = h5py.VirtualLayout(shape, "f4")
        layout[:] = h5py.VirtualSource("between.bin", "u", shape)
        stored(file, layout=layout)
    with pytest.raises(WellFormatError, match=rf"a\.hdf5: /{FIELD} is .*between\.bin:u.*nothing\.bin:u"):
        read_well_file(path)
    assert any("nothing.bin" in issue.message and issue.severity == "error" for issue in check_file(path))


def test_external_storage_that_is_too_short_is_not_read_as_zeros(data_set):
    path = data_set() / "data/train/a.hdf5"
    raw = path.parent / "values.raw"
    with h5py.File(path, "r+") as file:
        n_bytes = stored(file, external=[(str(raw), 64, file[FIELD].nbytes)]).nbytes
    read_well_file(path)
    raw.write_bytes(raw.read_bytes()[:-1])
    with pytest.raises(
        WellFormatError, match=rf"/{FIELD} is .*values\.raw, which has {63 + n_bytes} of {64 + n_bytes} "
    ):
        read_well_file(path)


@pytest.mark.parametrize("change", [external_field, chained_links, virtual], ids=lambda change: change.__name__)
def test_a_copy_in_memory_follows_the_file_that_a_link_leads_to(data_set, change):
    root = data_set()
    change_files(root, change)

    def first():
        data = WellDataModule(root.name, str(root.parent), n_steps_input=2, cache="ram")
        return data, data.dataset("train")[0].history[:, data.spec.fields.index("density")]

    kept, before = first()
    target = root / "data/train/a" / ("source.bin" if change is virtual else "other.bin")
    with h5py.File(target, "r+") as file:
        values = file["u" if "u" in file else "pressure_of_another"]
        values[...] = values[()] + 1
    assert torch.equal(first()[1], before + 1)
    del kept


def test_an_entry_named_in_latin_1(data_set):
    path = data_set() / "data/train/a.hdf5"
    name = "größe".encode("latin-1")
    with h5py.File(path, "r+") as file:
        group = file["t0_fields"]
        group.id.move(b"density", name)
        group.attrs["field_names"] = np.array([b"pressure", name, b"mask"])
    assert read_well_file(path).components(time_varying=True)[:2] == ("pressure", "größe")
    assert not [issue for issue in check_file(path) if issue.severity == "error"]
