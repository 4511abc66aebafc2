import json
import logging
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import h5py
import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser
from the_well.data import WellDataset

from fno_lightning.data import FieldDataModule, GeneratedDataModule, WellDataModule
from fno_lightning.data.simulation.data_set import Simulation
from fno_lightning.files import folder_lock
from tests.travelling_wave import TravellingWave


class CountingWave(TravellingWave):
    """Remembers what it was asked to simulate."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.calls = []

    def simulate(self, parameters, seeds, **options):
        self.calls.append((parameters["speed"], list(seeds)))
        return super().simulate(parameters, seeds, **options)


@pytest.fixture
def make(tmp_path):
    def make(pde=None, **options):
        options = {"n_train": 3, "n_steps_input": 2, "base_path": str(tmp_path)} | options
        return GeneratedDataModule(pde or CountingWave(grid=(8, 6)), **options)

    return make


def names(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != ".lock")


FILES = [
    *(f"data/{split}/travelling_wave_speed_{s}.hdf5" for split in ("test", "train", "valid") for s in ("0.50", "1.00")),
    "settings.json",
]


def test_the_specification_needs_no_simulation(make, tmp_path):
    module = make(fields=["flux"], dt_stride=2)
    before = module.spec
    assert not list(tmp_path.iterdir())
    assert before.fields == ("flux",)
    assert before.source.startswith("simulated: fno_lightning ")
    assert before.source.endswith(" CountingWave")
    module.prepare_data()
    module.setup("fit")
    as_read = WellDataModule(module.root.name, str(tmp_path), fields=["flux"], dt_stride=2).spec
    assert as_read == before


def test_a_data_set_is_simulated_once(make):
    module = make()
    module.prepare_data()
    assert names(module.root) == sorted(FILES)
    assert [(speed, len(seeds)) for speed, seeds in module.simulation.pde.calls] == [(0.5, 5), (1.0, 5)]
    again = make()
    again.prepare_data()
    again.setup("fit")
    assert again.simulation.pde.calls == []
    assert (again.root / "stats.yaml").exists()
    assert json.loads((again.root / "settings.json").read_text()) == again.simulation.settings


def test_the_wells_reader_opens_what_is_simulated(make):
    module = make()
    module.prepare_data()
    reference = WellDataset(path=str(module.root), well_split_name="train", n_steps_input=2, n_steps_output=1)
    data = module.dataset("train")
    assert len(data) == len(reference)
    assert torch.equal(data[7].history.movedim(1, -1), reference[7]["input_fields"])
    assert torch.equal(data[7].scalars, reference[7]["constant_scalars"])


def test_files_say_how_they_were_made(make):
    module = make()
    module.prepare_data()
    with h5py.File(module.root / FILES[2]) as file:
        assert file.attrs["source"] == module.spec.source
        assert json.loads(file.attrs["settings"]) == module.simulation.settings
        assert json.loads(file.attrs["parameters"]) == {"speed": 0.5}
        assert json.loads(file.attrs["seeds"]) == module.simulation.seeds("train", 0)
        assert "created" in file.attrs


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_no_two_trajectories_share_a_seed(seed):
    simulation = Simulation(TravellingWave(speeds=(1.0, 2.0, 3.0)), {"train": 200, "valid": 30, "test": 30}, seed)
    seeds = [
        seed for split in ("train", "valid", "test") for index in range(3) for seed in simulation.seeds(split, index)
    ]
    assert len(set(seeds)) == len(seeds) == 3 * 260
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_more_trajectories_keep_the_others():
    few, many = (Simulation(TravellingWave(), {"train": n, "valid": 2, "test": 1}, 5) for n in (3, 9))
    for index in range(2):
        assert many.seeds("train", index)[:3] == few.seeds("train", index)
        assert many.seeds("valid", index) == few.seeds("valid", index)


def test_the_same_settings_make_the_same_data(make, tmp_path):
    first, second = make(base_path=str(tmp_path / "a")), make(base_path=str(tmp_path / "b"))
    for module in (first, second):
        module.prepare_data()
    assert first.root.name == second.root.name
    for sample, same in zip(first.dataset("train"), second.dataset("train"), strict=True):
        assert torch.equal(sample.history, same.history)
    train, valid = first.dataset("train")[0].history, first.dataset("valid")[0].history
    assert not torch.allclose(train, valid, atol=1e-2)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"n_train": 4},
        {"n_valid": 2},
        {"n_test": 2},
        {"pde": TravellingWave(grid=(8, 6))},
        {"pde": CountingWave(grid=(8, 7))},
        {"pde": CountingWave(grid=(8, 6), speeds=(0.5, 1.5))},
    ],
    ids=["seed", "n_train", "n_valid", "n_test", "equation", "grid", "speeds"],
)
def test_every_setting_has_its_own_folder(make, change):
    assert make(**change).root != make().root


@pytest.mark.parametrize(
    "change", [{"dt_stride": 2}, {"batch_size": 3}, {"fields": ["flux"]}, {"device": "cpu"}], ids=str
)
def test_what_does_not_change_the_data_does_not_change_the_folder(make, change):
    assert make(**change).root == make().root


@pytest.mark.parametrize(
    ("source", "is_simulated"), [("auto", False), ("simulate", True), ("download", False)], ids=str
)
def test_the_real_data_set_is_used_where_there_is_one(make, tmp_path, caplog, source, is_simulated):
    caplog.set_level(logging.INFO)
    made = make()
    made.prepare_data()
    made.root.rename(tmp_path / "travelling_wave")
    module = make(source=source)
    module.prepare_data()
    module.setup("fit")
    assert module.is_simulated is is_simulated
    assert bool(module.simulation.pde.calls) is is_simulated
    assert str(module.root) in caplog.text
    assert (module.root == tmp_path / "travelling_wave") is not is_simulated


def test_an_interrupted_simulation_continues(make):
    class Interrupted(CountingWave):
        def simulate(self, parameters, seeds, **options):
            if parameters["speed"] == 1.0 and not getattr(self, "is_well", False):
                raise FloatingPointError("density is negative at t = 0.3 for seed 5")
            return super().simulate(parameters, seeds, **options)

    module = make(Interrupted(grid=(8, 6)))
    with pytest.raises(FloatingPointError, match="seed 5"):
        module.prepare_data()
    assert names(module.root) == sorted(name for name in FILES if "1.00" not in name)
    (module.root / FILES[4]).unlink()
    module.simulation.pde.is_well = True
    module.simulation.pde.calls.clear()
    module.prepare_data()
    assert names(module.root) == sorted(FILES)
    assert [(speed, len(seeds)) for speed, seeds in module.simulation.pde.calls] == [(0.5, 1), (1.0, 5)]


@pytest.mark.long
def test_a_killed_simulation_leaves_no_partial_file_and_continues(make, tmp_path):
    """A real process is killed in the middle of writing its third file."""
    script = f"""
        import os, signal
        import fno_lightning.data.hdf5.writer as writer
        from fno_lightning.data import GeneratedDataModule
        from tests.data.test_generated import CountingWave

        original, written = writer._write_fields, []

        def kill_at_the_third(file, trajectories):
            written.append(file)
            original(file, trajectories)
            if len(written) == 3:
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)

        writer._write_fields = kill_at_the_third
        pde = CountingWave(grid=(8, 6))
        GeneratedDataModule(pde, {str(tmp_path)!r}, n_train=3, n_steps_input=2).prepare_data()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    module = make()
    left = names(module.root)
    assert sum(name.endswith(".hdf5") for name in left) == 2
    assert sum(name.endswith(".part") for name in left) == 1
    module.prepare_data()
    assert names(module.root) == sorted(FILES)
    module.setup()
    assert len(list(module.test_dataloader())) > 0


def test_a_full_disk_is_noticed_before_the_simulation(make, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    module = make()
    expected = r"cannot simulate 10 trajectories in 6 files, 38\.4 kB, in .*: only 1\.0 kB are free"
    with pytest.raises(OSError, match=expected):
        module.prepare_data()
    assert module.simulation.pde.calls == []


def test_a_disk_that_fills_up_while_simulating(make, monkeypatch):
    module = make()

    def no_space(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("fno_lightning.data.hdf5.writer._write_scalars", no_space)
        with pytest.raises(
            OSError, match=r"cannot write .*train.*hdf5, which needs .* No space left .* finished files"
        ):
            module.prepare_data()
    assert names(module.root) == ["settings.json"]
    module.prepare_data()
    assert names(module.root) == sorted(FILES)


def test_two_processes_do_not_simulate_the_same(make):
    modules = [make(), make()]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda module: module.prepare_data(), modules))
    assert sorted(len(module.simulation.pde.calls) for module in modules) == [0, 2]


def test_a_folder_that_cannot_be_made_is_not_locked(tmp_path):
    (tmp_path / "file").write_text("")
    with folder_lock(tmp_path / "file" / "folder"):
        assert not (tmp_path / "file" / "folder").exists()


def test_the_log_says_what_will_be_simulated(make, caplog):
    caplog.set_level(logging.INFO)
    module = make()
    module.prepare_data()
    assert "simulating 10 trajectories in 6 files, 38.4 kB, in" in caplog.text
    assert "Simulating travelling_wave: 100%" in caplog.text


def test_an_equation_that_does_not_keep_to_its_schema_is_noticed(make):
    class Fickle(TravellingWave):
        @property
        def schema(self):
            return TravellingWave(grid=(4, 4)).schema

    module = make(Fickle(grid=(8, 6)))
    module.prepare_data()
    with pytest.raises(ValueError, match=r"has the grid \(8, 6\), but travelling_wave has \(4, 4\)"):
        module.setup("fit")


def test_the_command_line_makes_it_from_a_class_path(tmp_path):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(FieldDataModule, "data")
    init_args = {
        "pde": {"class_path": "tests.travelling_wave.TravellingWave", "init_args": {"grid": [8, 6]}},
        "base_path": str(tmp_path),
        "n_train": 2,
        "n_steps_input": 3,
        "batch_size": 5,
    }
    values = {"class_path": "fno_lightning.data.GeneratedDataModule", "init_args": init_args}
    module = parser.instantiate_classes(parser.parse_object({"data": values})).data
    assert module.spec.grid_shape == (8, 6)
    assert (module.n_steps_input, module.batch_size) == (3, 5)
    with pytest.raises(ArgumentError, match="dataset_name"):
        parser.parse_object({"data": values | {"init_args": init_args | {"dataset_name": "other"}}})


def test_options_and_the_settings_of_the_equation_are_hyperparameters(make):
    module = make(n_valid=2, source="simulate", batch_size=3)
    expected = {"n_train": 3, "n_valid": 2, "source": "simulate", "batch_size": 3, "n_steps_input": 2, "seed": 0}
    assert expected.items() <= module.hparams.items()
    assert module.hparams["pde"] == {"class": "CountingWave", **module.simulation.pde.settings}
    json.dumps(dict(module.hparams))


@pytest.mark.parametrize("option", [{"n_train": 0}, {"n_valid": 0}, {"n_test": -1}, {"seed": -1}], ids=str)
def test_counts_that_are_too_small_are_named(make, option):
    ((name, value),) = option.items()
    with pytest.raises(ValueError, match=rf"{name} is {value}, expected at least"):
        make(**option)
