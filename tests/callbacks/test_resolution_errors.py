import pytest

from fno_lightning.callbacks import ResolutionErrors
from fno_lightning.data import GeneratedDataModule, OnTheFlyDataModule, WellDataModule, collate
from fno_lightning.metrics import nrmse
from fno_lightning.modules import FNOModule
from fno_lightning.pdes import Poisson
from tests.callbacks.waves import WaveData, make_module

POISSON = Poisson(resolution=(32, 32))


def generated(folder, pde=POISSON, **options):
    options = {"n_train": 2, "n_valid": 1, "n_test": 3, "n_steps_input": 0, "batch_size": 2} | options
    return GeneratedDataModule(pde, str(folder), **options)


def make_operator(data):
    module = FNOModule(data.spec, (8, 8), 4, n_layers=1, n_steps_input=0)
    module.fit_normalization(data.statistics)
    return module


@pytest.mark.parametrize("on_the_fly", [False, True])
def test_one_test_run_gives_an_error_for_each_resolution(make_trainer, tmp_path, capsys, on_the_fly):
    data = generated(tmp_path / "data")
    if on_the_fly:
        data = OnTheFlyDataModule(POISSON, n_valid=1, n_test=3, n_statistics=2, batch_size=2)
    data.prepare_data()
    module = make_operator(data)
    trainer = make_trainer(ResolutionErrors([(64, 64), (48, 40)]))
    trainer.test(module, datamodule=data, verbose=False)
    printed = capsys.readouterr().out
    logged = trainer.callback_metrics
    for grid in ((32, 32), (48, 40), (64, 64)):
        other = data.at_resolution(grid)
        samples = [other.dataset("test")[i] for i in range(3)]
        assert samples[0].target.shape[-2:] == grid
        batch = collate(samples)
        expected = nrmse(module.forecast(batch), batch.target, n_dims=2).mean().item()
        name = f"{grid[0]}x{grid[1]}"
        assert logged[f"test/resolution_{name}/nrmse"].item() == pytest.approx(expected, rel=1e-5)
        (row,) = (line for line in printed.splitlines() if line.startswith(f"│ {name}"))
        assert f"{expected:.3g}" in row
    assert "trained at 32x32" in printed
    (markdown,) = tmp_path.rglob("resolutions.md")
    assert "| 64x64 |" in markdown.read_text()


def test_the_train_split_is_not_simulated_again(make_trainer, tmp_path):
    data = generated(tmp_path)
    finer = data.at_resolution((64, 64))
    finer.prepare_data()
    assert sorted(path.name for path in (finer.root / "data").iterdir()) == ["test", "valid"]
    assert finer.root != data.root
    coarse, fine = (module.simulation.seeds("test", 0) for module in (data, finer))
    assert coarse == fine
    assert data.at_resolution((32, 32)) is data


def test_stored_data_are_taken_on_a_coarser_grid(make_trainer, tmp_path):
    simulated = generated(tmp_path)
    simulated.prepare_data()
    stored = WellDataModule(simulated.root.name, str(tmp_path), n_steps_input=0, batch_size=2)
    trainer = make_trainer(ResolutionErrors([(16, 16)]))
    trainer.test(make_operator(stored), datamodule=stored, verbose=False)
    assert {"test/resolution_16x16/nrmse", "test/resolution_32x32/nrmse"} <= trainer.callback_metrics.keys()
    with pytest.raises(ValueError, match=r"no data at the resolution \[20, 20\]: the files of poisson-\w+ hold"):
        stored.at_resolution((20, 20))
    with pytest.raises(ValueError, match=r"no data at the resolution \[128, 128\]"):
        stored.at_resolution((128, 128))


def test_half_and_twice_the_points_are_the_default_with_the_ratio_of_each_error(make_trainer, tmp_path, capsys):
    data = generated(tmp_path / "data", pde=Poisson(resolution=(64, 64)))
    data.prepare_data()
    module = make_operator(data)
    module.training_grids.add([(64, 64), (32, 32)])
    trainer = make_trainer(ResolutionErrors())
    trainer.test(module, datamodule=data, verbose=False)
    logged = trainer.callback_metrics
    errors = {n: logged[f"test/resolution_{n}x{n}/nrmse"].item() for n in (32, 64, 128)}
    (markdown,) = tmp_path.rglob("resolutions.md")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in markdown.read_text().splitlines()[2:]]
    assert rows[0] == ["resolution", "nrmse", "vrmse", "nrmse over that at 64x64", "trained"]
    for (grid, *_, ratio, trained), (n, error), expected in zip(
        rows[2:], errors.items(), ("yes", "yes", "no"), strict=True
    ):
        assert grid == f"{n}x{n}"
        assert float(ratio) == pytest.approx(error / errors[64], abs=0.005)
        assert trained == expected
    assert (markdown.parent / "test" / "resolutions.png").stat().st_size > 0
    assert "trained at 32x32, 64x64" in capsys.readouterr().out


def test_the_default_leaves_out_grids_on_which_there_are_no_data(make_trainer, tmp_path):
    simulated = generated(tmp_path)
    simulated.prepare_data()
    stored = WellDataModule(simulated.root.name, str(tmp_path), n_steps_input=0, batch_size=2)
    trainer = make_trainer(ResolutionErrors())
    trainer.test(make_operator(stored), datamodule=stored, verbose=False)
    grids = {name.split("/")[1] for name in trainer.callback_metrics if name.startswith("test/resolution_")}
    assert grids == {"resolution_16x16", "resolution_32x32"}


def test_a_grid_stride_does_not_confuse_the_resolutions(tmp_path):
    pde = Poisson(resolution=(64, 64))
    data = GeneratedDataModule(pde, str(tmp_path), n_train=1, n_valid=1, n_test=1, n_steps_input=0, grid_stride=2)
    data.prepare_data()
    for grid in ((32, 32), (64, 64), (128, 128)):
        other = data.at_resolution(grid)
        other.prepare_data()
        assert other.spec.grid_shape == grid
        assert other.dataset("test")[0].target.shape[-2:] == grid


def test_data_without_other_grids_say_so(make_trainer):
    data = WaveData()
    trainer = make_trainer(ResolutionErrors([(16, 12)]))
    with pytest.raises(ValueError, match=r"WaveData has its data on one grid only, asked for"):
        trainer.test(make_module(data), datamodule=data, verbose=False)


def test_no_resolutions_are_refused():
    with pytest.raises(ValueError, match="resolutions is empty"):
        ResolutionErrors([])


def test_data_without_trajectories_are_refused(make_trainer):
    data = WaveData()
    with pytest.raises(TypeError, match="ResolutionErrors takes trajectories from a FieldDataModule, got NoneType"):
        make_trainer(ResolutionErrors([(16, 12)])).test(make_module(data), data.test_dataloader(), verbose=False)
