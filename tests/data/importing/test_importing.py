"""Files of other formats as data sets: values, names, axes, splits, and what does not tell."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from fno_lightning.check import check
from fno_lightning.commands.import_data import main
from fno_lightning.data import WellDataModule
from fno_lightning.data.importing import Arrays, split_trajectories, trajectories_of

N, T, X, Y = 5, 4, 6, 3
RNG = np.random.default_rng(0)
DENSITY = RNG.normal(size=(N, T, X, Y))
VELOCITY = RNG.normal(size=(N, T, X, Y, 2))
MASK = RNG.normal(size=(N, X, Y))


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def frames_of(name, split, base="datasets", **options):
    """All trajectories of a split as the data module reads them."""
    data = WellDataModule(name, base, **{"n_steps_input": 1} | options)
    data.setup()
    dataset = data.rollout_dataset(split)
    return data.spec, [dataset[i] for i in range(len(dataset))]


def whole(batch):
    return torch.cat([batch.history, batch.target])


def write_npz(path="flow.npz", **changes):
    content = {
        "density": DENSITY,
        "velocity": VELOCITY,
        "mask": MASK,
        "viscosity": np.arange(N) * 0.1,
        "gravity": 9.5,
        "t": np.arange(T) * 0.5,
        "x": np.linspace(0.1, 1, X),
        "y": np.linspace(-1, 1, Y),
    }
    np.savez(path, **{name: value for name, value in (content | changes).items() if value is not None})
    return path


def test_an_npz_file_tells_everything_by_the_lengths_of_its_axes():
    assert main([write_npz(), "--name", "flow", "--boundaries", "periodic,wall", "--split", "3", "1", "1"]) == 0
    chosen = split_trajectories(N, (3, 1, 1), 0)
    for split, numbers in chosen.items():
        spec, samples = frames_of("flow", split)
        assert spec.fields == ("density", "velocity_x", "velocity_y")
        assert spec.constant_fields == ("mask",)
        assert set(spec.scalars) == {"viscosity", "gravity"}
        assert spec.boundaries == (("periodic", "periodic"), ("wall", "wall"))
        assert spec.time_step == pytest.approx(0.5)
        for number, sample in zip(numbers, samples, strict=True):
            found = whole(sample).numpy()
            np.testing.assert_array_equal(found[:, 0], DENSITY[number])
            np.testing.assert_array_equal(found[:, 1:], VELOCITY[number].transpose(0, 3, 1, 2))
            np.testing.assert_array_equal(sample.constants[0], MASK[number])
            values = dict(zip(spec.scalars, sample.scalars.tolist(), strict=True))
            assert values["viscosity"] == pytest.approx(0.1 * number)
            assert values["gravity"] == 9.5
    assert not [issue for issue in check(["datasets/flow"]) if issue.severity == "error"]


def test_no_trajectory_is_in_two_splits_and_all_are_in_one():
    for n, parts in ((3, (0.8, 0.1, 0.1)), (10, (0.8, 0.1, 0.1)), (101, (1, 1, 1)), (4, (1, 100, 1))):
        shares = split_trajectories(n, parts, seed=4)
        assert sorted(number for numbers in shares.values() for number in numbers) == list(range(n))
        assert all(shares.values())
    assert split_trajectories(50, (8, 1, 1), 0) != split_trajectories(50, (8, 1, 1), 1)


@pytest.mark.parametrize("order", [">f4", "<f8", "<i4", "|u1"])
def test_numbers_of_any_kind_and_byte_order_keep_their_values(order):
    values = RNG.integers(0, 100, (N, T, X, Y)).astype(order)
    np.save("a.npy", values)
    args = ["a.npy", "--name", "a", "--dims", "trajectory,time,x,y", "--time_step", "0.1", "--extent", "[[0,1],[0,2]]"]
    assert main(args) == 0
    spec, samples = frames_of("a", "test")
    (number,) = split_trajectories(N, (0.8, 0.1, 0.1), 0)["test"]
    np.testing.assert_array_equal(whole(samples[0])[:, 0], values[number].astype("f8"))
    assert spec.extent == ((0.0, 1.0), (0.0, 2.0))


def test_components_of_an_array_and_another_order_of_axes():
    array = RNG.normal(size=(X, N, 2, T)).astype("f4")
    np.save("b.npy", array)
    options = ["--dims", "x,trajectory,component,time", "--names", "u,w", "--time_step", "1", "--extent", "[[0,1]]"]
    assert main(["b.npy", "--name", "b", *options]) == 0
    spec, samples = frames_of("b", "test")
    (number,) = split_trajectories(N, (0.8, 0.1, 0.1), 0)["test"]
    assert spec.fields == ("u", "w")
    np.testing.assert_array_equal(whole(samples[0]), array[:, number].transpose(2, 1, 0))


def test_files_of_pdebench_with_a_data_set_for_each_field():
    with h5py.File("cfd.hdf5", "w") as file:
        file["density"], file["Vx"] = DENSITY.astype("f4"), VELOCITY[..., 0].astype("f4")
        file["t-coordinate"], file["x-coordinate"] = np.arange(T + 1) * 0.1, np.linspace(0, 1, X)
        file["y-coordinate"] = np.linspace(0, 1, Y)
        file.attrs["eta"] = 0.01
    assert main(["cfd.hdf5", "--name", "cfd", "--boundaries", "periodic"]) == 0
    spec, samples = frames_of("cfd", "test")
    (number,) = split_trajectories(N, (0.8, 0.1, 0.1), 0)["test"]
    assert (set(spec.fields), spec.scalars) == ({"density", "Vx"}, ("eta",))
    assert spec.time_step == pytest.approx(0.1)
    np.testing.assert_array_equal(whole(samples[0])[:, spec.fields.index("density")], DENSITY[number].astype("f4"))


def test_files_of_pdebench_for_darcy_flow():
    with h5py.File("darcy.hdf5", "w") as file:
        file["tensor"], file["nu"] = DENSITY[:, :1].astype("f4"), MASK.astype("f4")
        file["x-coordinate"], file["y-coordinate"] = np.linspace(0, 1, X), np.linspace(0, 1, Y)
    assert main(["darcy.hdf5", "--name", "d", "--constant_fields", "nu", "--boundaries", "wall"]) == 0
    spec, samples = frames_of("d", "test", n_steps_input=0)
    (number,) = split_trajectories(N, (0.8, 0.1, 0.1), 0)["test"]
    assert (spec.fields, spec.constant_fields) == (("tensor",), ("nu",))
    np.testing.assert_array_equal(samples[0].target[0, 0], DENSITY[number, 0].astype("f4"))


def test_files_of_pdebench_with_a_group_for_each_trajectory():
    with h5py.File("swe.h5", "w") as file:
        for number in range(N):
            file[f"{number:04d}/data"] = VELOCITY[number].astype("f4")
            file[f"{number:04d}/grid/t"] = np.arange(T) * 0.01
            file[f"{number:04d}/grid/x"], file[f"{number:04d}/grid/y"] = np.linspace(-1, 1, X), np.linspace(-1, 1, Y)
    assert main(["swe.h5", "--name", "swe", "--names", "h,q"]) == 0
    spec, samples = frames_of("swe", "test")
    (number,) = split_trajectories(N, (0.8, 0.1, 0.1), 0)["test"]
    assert spec.fields == ("h", "q")
    np.testing.assert_array_equal(whole(samples[0]), VELOCITY[number].astype("f4").transpose(0, 3, 1, 2))


def test_files_of_neuralop_with_splits_of_their_own():
    for name, n in (("train", 3), ("valid", 1), ("test", 2)):
        torch.save({"x": torch.rand(n, X, X) > 0.5, "y": torch.rand(n, 1, X, X)}, f"{name}.pt")
    args = ["train.pt", "--valid", "valid.pt", "--test", "test.pt", "--name", "n", "--constant_fields", "x"]
    assert main([*args, "--extent", "[[0,1],[0,1]]", "--boundaries", "wall"]) == 0
    for name, n in (("train", 3), ("valid", 1), ("test", 2)):
        _, samples = frames_of("n", name, n_steps_input=0)
        content = torch.load(f"{name}.pt")
        assert len(samples) == n
        torch.testing.assert_close(samples[-1].target[0, 0], content["y"][-1, 0], rtol=0, atol=0)
        torch.testing.assert_close(samples[-1].constants[0], content["x"][-1].float(), rtol=0, atol=0)


def test_several_files_are_joined():
    for number in range(4):
        write_npz(
            f"{number}.npz", density=DENSITY[number : number + 1], velocity=None, mask=None, viscosity=number * 1.0
        )
    assert main([*(f"{number}.npz" for number in range(4)), "--name", "j"]) == 0
    found = {}
    for split in ("train", "valid", "test"):
        spec, samples = frames_of("j", split)
        position = spec.scalars.index("viscosity")
        found |= {int(sample.scalars[position]): whole(sample)[:, 0].numpy() for sample in samples}
    assert sorted(found) == list(range(4))
    for number, frames in found.items():
        np.testing.assert_array_equal(frames, DENSITY[number])


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"x": None}, (), "the axes of the shape .* are not those of the coordinates: name them with --dims"),
        ({"t": None, "density": DENSITY[0, :], "velocity": None}, (), "are trajectory,x,y or time,x,y"),
        ({"t": np.array([0.0, 0.1, 0.1, 0.2])}, (), "time does not increase: value 2 is 0.1 after 0.1"),
        ({"x": np.array([0, 1, np.nan, 3, 4, 5.0])}, (), "x holds NaN"),
        ({"density": DENSITY[:3]}, (), "density has 3 points along trajectory"),
        ({"density": np.full_like(DENSITY, np.nan)}, (), "density.*NaN"),
        ({"density": DENSITY.astype("c16")}, (), "density holds complex128"),
        ({"viscosity": np.arange(N + 1)}, (), "viscosity has the shape"),
        ({}, ("--boundaries", "round"), "expected periodic, wall, open"),
        ({}, ("--boundaries", "wall,wall,wall"), "--boundaries has 3 entries"),
        ({}, ("--constant_fields", "phi"), "there is no phi"),
        ({}, ("--constant_fields", "density"), "density changes in time"),
        ({}, ("--extent", "[[0,1]]"), "for each of the 2 axes"),
        ({}, ("--valid", "flow.npz"), "--valid and --test go together"),
        ({}, ("--split", "1", "0", "1"), "three positive numbers"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(changes, options, message):
    write_npz(**changes)
    with pytest.raises(ValueError, match=message):
        main(["flow.npz", "--name", "flow", *options])
    assert not list(Path("datasets").rglob("*.hdf5"))


def test_an_existing_data_set_is_not_overwritten():
    Path("datasets/flow").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="is not overwritten"):
        main([write_npz(), "--name", "flow"])


def test_objects_are_not_loaded(tmp_path):
    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"objects\.npy cannot be read: .*objects"):
        main(["objects.npy", "--name", "o", "--dims", "trajectory"])


def test_too_few_trajectories_are_not_split():
    with pytest.raises(ValueError, match="there are 2 trajectories, but train, valid and test need one each"):
        split_trajectories(2, (8, 1, 1), 0)


def test_steady_fields_that_are_given_must_be_named():
    arrays = Arrays({"a": MASK, "u": MASK}, dict.fromkeys("au", ("trajectory", "x", "y")), source="f.npz")
    with pytest.raises(ValueError, match="--constant_fields"):
        trajectories_of(arrays, boundaries=["wall"], extent=[[0, 1], [0, 1]])
    with pytest.raises(ValueError, match="nothing is left to be predicted"):
        trajectories_of(arrays, boundaries=["wall"], constant_fields=["a", "u"], extent=[[0, 1], [0, 1]])
