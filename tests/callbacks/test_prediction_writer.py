import dataclasses

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from fno_lightning.callbacks import PredictionWriter
from fno_lightning.data.hdf5.metadata import read_well_file
from tests.callbacks.waves import WaveData, make_module, make_spec, trajectory


def test_every_trajectory_has_its_file(make_trainer, tmp_path):
    data = WaveData()
    module = make_module(data)
    make_trainer(PredictionWriter()).predict(module, datamodule=data, return_predictions=False)
    folder = tmp_path / "log" / "version_0" / "predictions"
    assert sorted(path.name for path in folder.iterdir()) == [f"forecast_{i:05d}.hdf5" for i in range(3)]
    for i in range(3):
        history = trajectory(10 + i, data.grid)[None, :2]
        speed = torch.tensor([[0.1 * (11 + i)]])
        expected = module.forecast(history, scalars=speed, n_steps=16)[0]
        path = folder / f"forecast_{i:05d}.hdf5"
        assert read_well_file(path).n_frames == 16
        with h5py.File(path) as file:
            np.testing.assert_allclose(file["t0_fields/height"][0], expected[:, 0], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(file["t0_fields/velocity_x"][0], expected[:, 1], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(file["scalars/speed"], speed[0])
            np.testing.assert_allclose(file["dimensions/time"], 0.5 * np.arange(2, 18))
            np.testing.assert_allclose(file["dimensions/x"], (np.arange(8) + 0.5) / 8)
            assert file.attrs["coordinates"] == "centres of equal cells between the edges of the domain"


def test_files_follow_the_data_sets_order_and_not_the_batches(make_trainer, tmp_path):
    data = WaveData()
    loader = DataLoader(data.rollout_dataset("test"), batch_size=2, sampler=[2, 0, 1])
    make_trainer(PredictionWriter(str(tmp_path / "here"))).predict(make_module(data), loader, return_predictions=False)
    for i in range(3):
        with h5py.File(tmp_path / "here" / f"forecast_{i:05d}.hdf5") as file:
            np.testing.assert_allclose(file["scalars/speed"], [0.1 * (11 + i)], rtol=1e-6)


def test_uneven_axes_have_the_points_of_the_data(make_trainer, tmp_path):
    points = (0.0, 0.1, 0.3, 0.35, 0.6, 0.9)

    class UnevenWaves(WaveData):
        spec = dataclasses.replace(make_spec(), coordinates=((), points))

    data = UnevenWaves()
    with pytest.warns(UserWarning, match="not even, along y"):
        module = make_module(data)
    make_trainer(PredictionWriter(str(tmp_path))).predict(module, datamodule=data, return_predictions=False)
    with h5py.File(tmp_path / "forecast_00000.hdf5") as file:
        np.testing.assert_allclose(file["dimensions/x"], (np.arange(8) + 0.5) / 8)
        np.testing.assert_allclose(file["dimensions/y"], points, rtol=1e-6)
        assert file.attrs["coordinates"].endswith(", along y the points of the data")


class Stream(IterableDataset):
    def __iter__(self):
        yield WaveData().rollout_dataset("test")[0]


@pytest.mark.filterwarnings("ignore:Couldn.t infer the batch indices")
def test_trajectories_without_an_index_are_refused(make_trainer):
    data = WaveData()
    with pytest.raises(ValueError, match="names files by the indices of the trajectories"):
        make_trainer(PredictionWriter()).predict(make_module(data), DataLoader(Stream()), return_predictions=False)


def test_other_modules_are_refused(make_trainer):
    from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel

    with pytest.raises(TypeError, match="need a ForecastModule, got BoringModel"):
        make_trainer(PredictionWriter()).predict(BoringModel(), datamodule=BoringDataModule())


def test_forecasts_are_not_mixed_with_those_of_another_run(make_trainer, tmp_path, monkeypatch):
    monkeypatch.setenv("FORECASTS", str(tmp_path / "forecasts"))
    data = WaveData()
    make_trainer(PredictionWriter("$FORECASTS")).predict(make_module(data), datamodule=data, return_predictions=False)
    before = {path: path.read_bytes() for path in (tmp_path / "forecasts").iterdir()}
    assert len(before) == 3
    with pytest.raises(FileExistsError, match="forecasts of PredictionWriter holds forecasts already"):
        make_trainer(PredictionWriter("$FORECASTS")).predict(make_module(data), datamodule=data)
    assert {path: path.read_bytes() for path in (tmp_path / "forecasts").iterdir()} == before


def test_one_trainer_predicts_twice(make_trainer, tmp_path):
    data = WaveData()
    trainer = make_trainer(PredictionWriter())
    for folder in ("predictions", "predictions-v1"):
        trainer.predict(make_module(data), datamodule=data, return_predictions=False)
        assert len(list((tmp_path / "log" / "version_0" / folder).iterdir())) == 3


def test_a_fast_run_writes_no_forecasts(make_trainer, tmp_path):
    data = WaveData()
    trainer = make_trainer(PredictionWriter(), fast_dev_run=True)
    trainer.predict(make_module(data), datamodule=data, return_predictions=False)
    assert list(tmp_path.rglob("*.hdf5")) == []
