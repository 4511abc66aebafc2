"""Large data sets: in parts, with an estimate, in several processes, and never with a bad sample."""

import logging

import h5py
import pytest
import torch

from fno_lightning.data import GeneratedDataModule, WellDataModule
from fno_lightning.data.hdf5.writer import trajectory_bytes
from fno_lightning.data.simulation import data_set
from fno_lightning.data.simulation.data_set import Simulation
from fno_lightning.pdes import (
    Burgers,
    EulerMultiQuadrantsOpenBC,
    GrayScott,
    NavierStokes,
    ShallowWater,
    ShearFlow,
    TurbulentRadiativeLayer2D,
)
from tests.travelling_wave import TravellingWave

WAVE = TravellingWave(grid=(8, 6), speeds=(0.5,))


class BreakingWave(TravellingWave):
    """Is not finite for one seed."""

    def simulate(self, parameters, seeds, **options):
        trajectories = super().simulate(parameters, seeds, **options)
        trajectories.scalar_fields["height"][seeds.index(max(seeds)), -1, 0] = torch.nan
        return trajectories


@pytest.fixture
def small_files(monkeypatch):
    """Files and batches of at most two trajectories."""
    monkeypatch.setattr(data_set, "FILE_BYTES", 2 * trajectory_bytes(WAVE.schema))
    monkeypatch.setitem(data_set.BATCH_BYTES, "cpu", 2 * trajectory_bytes(WAVE.schema))


def make(folder, pde=WAVE, **options):
    options = {"n_train": 5, "n_valid": 1, "n_test": 1, "n_steps_input": 2} | options
    return GeneratedDataModule(pde, str(folder), **options)


def heights(root):
    """Heights of every trajectory of the train split, file by file."""
    fields = []
    for path in sorted((root / "data" / "train").glob("*.hdf5")):
        with h5py.File(path) as file:
            fields.append(torch.from_numpy(file["t0_fields/height"][()]))
    return torch.cat(fields)


@pytest.mark.usefixtures("small_files")
def test_a_large_split_lies_in_several_files_that_hold_the_same_trajectories(tmp_path, monkeypatch):
    module = make(tmp_path / "parts")
    module.prepare_data()
    files = sorted(path.name for path in (module.root / "data" / "train").iterdir())
    assert files == [f"travelling_wave_speed_0.50_part_0000{part}.hdf5" for part in range(3)]
    assert (module.root / "data" / "valid" / "travelling_wave_speed_0.50.hdf5").exists()
    monkeypatch.setattr(data_set, "FILE_BYTES", 2**27)
    whole = make(tmp_path / "whole")
    whole.prepare_data()
    assert torch.equal(heights(module.root), heights(whole.root))
    assert len(module.dataset("train")) == len(whole.dataset("train"))


@pytest.mark.usefixtures("small_files")
def test_only_the_parts_that_are_missing_are_simulated_again(tmp_path):
    module = make(tmp_path)
    module.prepare_data()
    before = heights(module.root)
    gone = module.root / "data" / "train" / "travelling_wave_speed_0.50_part_00001.hdf5"
    gone.unlink()
    batches = module.simulation.batches(module.root, "cpu")
    assert [[file.path for file in batch.files] for batch in batches] == [[gone.relative_to(module.root)]]
    make(tmp_path).prepare_data()
    assert torch.equal(heights(module.root), before)


def test_small_files_of_one_set_of_parameters_are_simulated_at_once(tmp_path):
    batches = Simulation(TravellingWave(speeds=(0.5, 1.0)), {"train": 2, "valid": 1, "test": 1}, 0).batches(
        tmp_path, "cpu"
    )
    assert [batch.n_trajectories for batch in batches] == [4, 4]
    assert [batch.parameters["speed"] for batch in batches] == [0.5, 1.0]


@pytest.mark.parametrize(
    ("pde", "message"),
    [
        (Burgers(viscosities=(0.1, 0.10000001)), r"{'viscosity': 0.10000001} agree .* burgers_viscosity_0.1.hdf5"),
        (NavierStokes(viscosities=(1e-3, 1.0000001e-3)), r"{'viscosity': 0.001} and .* agree .*_viscosity_0.001.hdf5"),
        (ShallowWater(coriolis_parameters=(5.0, 5.0)), r"agree .* shallow_water_coriolis_parameter_5.hdf5"),
        (ShearFlow(reynolds=(100.0, 100.0)), r"agree .* shear_flow_Reynolds_1e2_Schmidt_1e-1.hdf5"),
        (GrayScott(rates=[(0.03, 0.06), (0.03, 0.06)]), r"agree .*_F_0.03_k_0.06.hdf5"),
        (EulerMultiQuadrantsOpenBC(gammas=(1.4, 1.4)), r"agree .*_gamma_1.4_Dry_air_20.hdf5"),
        (TurbulentRadiativeLayer2D(cooling_times=(0.101, 0.1)), r"{'tcool': 0.101} .* agree .*_tcool_0.10.hdf5"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_two_sets_of_parameters_need_two_names(pde, message):
    with pytest.raises(ValueError, match=message):
        Simulation(pde, {"train": 1}, 0)


def test_the_name_that_an_older_equation_gives_its_file_is_used_for_one_more_release():
    class Old(TravellingWave):
        def file_name(self, parameters):
            return f"speed_{parameters['speed']}.h5"

    with pytest.warns(FutureWarning, match="Old overrides file_name.*override label instead"):
        files = [file.path.name for file in Simulation(Old(speeds=(0.5,)), {"train": 1}, 0).files()]
    assert files == ["speed_0.5.h5"]


def test_an_older_equation_may_extend_the_name_of_its_base():
    class Old(Burgers):
        def file_name(self, parameters):
            return f"my_{super().file_name(parameters)}"

    with pytest.warns(FutureWarning, match="label"):
        files = [file.path.name for file in Simulation(Old(viscosities=[0.1]), {"train": 1}, 0).files()]
    assert files == ["my_burgers_viscosity_0.1.hdf5"]


@pytest.mark.long
@pytest.mark.usefixtures("small_files")
def test_several_processes_make_the_same_files(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    alone, together = make(tmp_path / "alone"), make(tmp_path / "together", n_processes=2)
    assert alone.root.name == together.root.name
    alone.prepare_data()
    together.prepare_data()
    assert torch.equal(heights(alone.root), heights(together.root))
    assert "Simulating travelling_wave: 100%" in caplog.text
    assert "simulating 7 trajectories in 5 files, 26.9 kB, in " in caplog.text


@pytest.mark.long
@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("n_processes", [1, 2])
def test_no_sample_that_is_not_finite_is_written(tmp_path, n_processes):
    module = make(tmp_path, BreakingWave(grid=(8, 6), speeds=(0.5,)), n_processes=n_processes)
    with pytest.raises(FloatingPointError, match=r"'height' is not finite in the trajectories of seeds \[\d+\]"):
        module.prepare_data()
    for path in module.root.rglob("*.hdf5"):
        with h5py.File(path) as file:
            assert torch.from_numpy(file["t0_fields/height"][()]).isfinite().all()


@pytest.mark.usefixtures("small_files")
def test_statistics_of_a_part_are_not_kept(tmp_path):
    module = make(tmp_path)
    module.prepare_data()
    whole = module.statistics
    (module.root / "data" / "train" / "travelling_wave_speed_0.50_part_00001.hdf5").unlink()
    (module.root / "stats.yaml").unlink()
    part = WellDataModule(module.root.name, str(tmp_path), n_steps_input=2).statistics
    again = make(tmp_path)
    again.prepare_data()
    assert not (module.root / "stats.yaml").exists()
    assert torch.equal(again.statistics.mean, whole.mean)
    assert not torch.equal(part.mean, whole.mean)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def read_only(self, *_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fno_lightning.files.Path.mkdir", read_only)
    with pytest.raises(OSError, match=r"cannot write .*settings\.json.*Permission denied.*choose another folder"):
        make(tmp_path / "new").prepare_data()
