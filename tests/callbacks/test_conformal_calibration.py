"""Calibration in validate: bands in checkpoints, tests, predictions and pictures, and data that cannot calibrate."""

import csv

import h5py
import numpy as np
import pytest
import torch

from fno_lightning.callbacks import ConformalCalibration, PredictionWriter, RolloutEvaluation
from fno_lightning.cli import main
from fno_lightning.data import GeneratedDataModule
from fno_lightning.metrics import CRPS, VRMSE, SpreadSkill, ranks
from fno_lightning.modules import FNOModule, ForecastModule, OffRangeError
from tests.callbacks.waves import WaveData, WaveModule, make_module
from tests.travelling_wave import TravellingWave
from tests.wave_config import CONFIG


def waves(tmp_path, **options):
    pde = TravellingWave(grid=(16,), speeds=(1.0,), n_frames=8)
    options = {"n_train": 4, "n_valid": 12, "n_test": 12, "n_steps_input": 2, "batch_size": 2} | options
    return GeneratedDataModule(pde, str(tmp_path / "datasets"), rollout_batch_size=5, **options)


def fno(data, **options):
    return FNOModule(data.spec, [4], 4, n_layers=1, n_steps_input=2, **options)


@pytest.mark.parametrize("share", [None, 0.9])
@pytest.mark.parametrize("options", [{}, {"ensemble_size": 3}, {"mc_dropout": 3, "channel_mlp_dropout": 0.2}])
def test_the_calibration_trajectories_are_covered_as_asked(options, share, tmp_path, make_trainer):
    data = waves(tmp_path, n_valid=10)  # in two full batches, on whose size draws of dropout depend
    data.prepare_data()
    module = fno(data, **options)
    module.fit_normalization(data.statistics)
    make_trainer(ConformalCalibration(0.8, share)).validate(module, data, verbose=False)
    inside = []
    for batch in data.rollout_dataloader("valid"):
        found = module.forecast_distribution(batch)
        width = found.half_width * (1 + 1e-5)  # a trajectory that decides on a factor lies on the edge of its band
        inside.append(((found.mean - batch.target).abs() <= width).double().mean(dim=-1))
    inside = torch.cat(inside)
    assert inside.shape == (10, 6, 2)
    if share is None:
        assert (inside.mean(dim=0) >= 0.8).all()
    else:
        assert ((inside >= share).sum(dim=0) == 9).all()  # ⌈11 · 0.8⌉ of 10
    assert module.certified_range.n_steps == 6


@pytest.mark.long
def test_a_calibrated_checkpoint_measures_its_coverage_and_writes_bands(tmp_path, make_trainer):
    data = waves(tmp_path)
    module = fno(data, ensemble_size=3)
    trainer = make_trainer(RolloutEvaluation(n_pictures=0, metrics={"vrmse": VRMSE}))
    trainer.fit(module, data)
    assert {"val/rollout/crps", "val/rollout/spread", "val/rollout/spread_skill"} <= set(trainer.callback_metrics)
    assert "val/rollout/coverage" not in trainer.callback_metrics
    trainer.save_checkpoint(path := tmp_path / "best.ckpt")
    for _ in range(2):
        make_trainer(ConformalCalibration(0.9)).validate(
            fno(data, ensemble_size=3), data, ckpt_path=path, verbose=False
        )
    assert sorted(p.name for p in tmp_path.glob("*.ckpt")) == [
        "best.ckpt",
        "calibrated-best-v1.ckpt",
        "calibrated-best.ckpt",
    ]
    calibrated = ForecastModule.load_from_checkpoint(tmp_path / "calibrated-best.ckpt", weights_only=True)
    assert calibrated.bands.coverage == 0.9
    batches = list(data.rollout_dataloader("test"))
    found = [calibrated.forecast_distribution(batch) for batch in batches]
    inside = [((f.lower <= b.target) & (b.target <= f.upper)).double() for f, b in zip(found, batches, strict=True)]
    trainer = make_trainer(RolloutEvaluation(metrics={"vrmse": VRMSE}, windows=[(0, 2)], animation=False))
    trainer.test(calibrated, data, verbose=False)
    logged = trainer.callback_metrics
    assert logged["test/rollout/coverage"].item() == pytest.approx(torch.cat(inside).mean().item(), rel=1e-5)
    for name, metric in (("crps", CRPS(1)), ("spread_skill", SpreadSkill(1))):
        for forecast, batch in zip(found, batches, strict=True):
            metric.update(forecast.ensemble, batch.target)
        by_hand = metric.compute()
        assert logged[f"test/rollout/{name}"].item() == pytest.approx(by_hand.mean().item(), rel=1e-4)
        assert logged[f"test/rollout/{name}_0-2/flux"].item() == pytest.approx(by_hand[:2, 1].mean().item(), rel=1e-4)
    folder = tmp_path / "log" / "version_0"
    with (folder / "rank_histogram.csv").open() as file:
        shares = {(row["step"], row["field"], row["rank"]): float(row["share"]) for row in csv.DictReader(file)}
    counted = torch.cat([ranks(f.ensemble, b.target, 1) for f, b in zip(found, batches, strict=True)]).mean(dim=0)
    assert len(shares) == 6 * 2 * 4
    assert shares["2", "flux", "3"] == pytest.approx(counted[1, 1, 3].item(), rel=1e-5)
    assert list((folder / "pictures" / "test" / "rollout").glob("height_worst*.png"))
    make_trainer(PredictionWriter(tmp_path / "predictions")).predict(calibrated, data, return_predictions=False)
    with h5py.File(tmp_path / "predictions" / "forecast_00003.hdf5") as file:
        one, fields = found[0], file["t0_fields"]
        np.testing.assert_allclose(fields["flux"][0], one.mean[3, :, 1], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(fields["flux_lower"][0], one.lower[3, :, 1], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(fields["flux_upper"][0], one.upper[3, :, 1], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(fields["height_spread"][0], one.spread[3, :, 0], rtol=1e-3, atol=1e-5)
        assert file.attrs["bands"] == "0.9 of the points, on average"


def test_bands_end_with_the_lead_times_of_the_calibration(tmp_path, make_trainer):
    data = waves(tmp_path)
    data.prepare_data()
    module = fno(data)
    module.fit_normalization(data.statistics)
    make_trainer(ConformalCalibration(0.9, max_steps=3)).validate(module, data, verbose=False)
    batch = next(iter(data.rollout_dataloader("valid")))
    module.certified_range.off_range = "ignore"
    finite = module.forecast_distribution(batch).half_width.isfinite().all(dim=-1)
    assert finite[0, :, 0].tolist() == [True] * 3 + [False] * 3
    module.certified_range.off_range = "refuse"
    with pytest.raises(OffRangeError, match="forecast of 6 steps, but whole trajectories were forecast up to 3"):
        module.forecast(batch)


def test_too_few_trajectories_are_refused(tmp_path, make_trainer):
    module = make_module(data := WaveData(n_trajectories=3))
    with pytest.raises(
        ValueError, match=r"a coverage of 0\.9 takes at least 9 calibration trajectories, but there are 3"
    ):
        make_trainer(ConformalCalibration()).validate(module, data, verbose=False)
    assert module.bands is None


def test_trajectories_of_the_training_are_refused(tmp_path, make_trainer):
    data = waves(tmp_path)
    module = fno(data)
    make_trainer(limit_val_batches=0).fit(module, data)
    root = data.root / "data"
    for file in (root / "valid").iterdir():
        file.unlink()
    for file in (root / "train").iterdir():
        (root / "valid" / file.name).write_bytes(file.read_bytes())

    class SameFiles(GeneratedDataModule):
        def prepare_data(self):
            pass

    same = SameFiles(data.simulation.pde, str(tmp_path / "datasets"), n_train=4, n_valid=12, n_test=12, n_steps_input=2)
    with pytest.raises(
        ValueError, match=r"4 trajectories of the split 'valid', number 0, 1, 2, 3, are among those that"
    ):
        make_trainer(ConformalCalibration(0.5)).validate(module, same, verbose=False)
    with pytest.raises(ValueError, match="split is 'train', but bands are calibrated on trajectories that the network"):
        ConformalCalibration(split="train")


def test_further_training_drops_the_bands(tmp_path, make_trainer):
    data = waves(tmp_path)
    data.prepare_data()
    module = fno(data)
    module.fit_normalization(data.statistics)
    make_trainer(ConformalCalibration(0.9), inference_mode=False).validate(module, data, verbose=False)
    with pytest.warns(UserWarning, match="the calibrated bands are dropped"):
        make_trainer(ConformalCalibration(0.9)).fit(module, data)
    assert module.bands is None


class Diverging(WaveModule):
    def _distribution(self, *args, **kwargs):
        found = super()._distribution(*args, **kwargs)
        found.mean[:, 4:] = torch.nan
        return found

    @property
    def has_uncertainty(self):
        return True


def test_bands_where_forecasts_diverge_are_infinite_and_said_so(make_trainer):
    module = make_module(data := WaveData(n_trajectories=12), Diverging)
    with pytest.warns(UserWarning, match="the bands are infinite from step 5 of 16 on"):
        make_trainer(ConformalCalibration(0.9)).validate(module, data, verbose=False)
    assert module.bands.n_steps == 4


@pytest.mark.long
def test_everything_is_reached_from_yaml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = "{model: {init_args: {ensemble_size: 2}}, data: {init_args: {n_valid: 5}}}"
    fitted = main(["fit", "--config", CONFIG, "--config", options])
    best = fitted.trainer.checkpoint_callback.best_model_path
    callback = ["--trainer.callbacks+=fno_lightning.callbacks.ConformalCalibration", "--trainer.callbacks.coverage=0.8"]
    main(["validate", "--config", CONFIG, "--config", options, "--ckpt_path", best, *callback])
    (calibrated,) = tmp_path.rglob("calibrated-best.ckpt")
    rollout = "--trainer.callbacks+=fno_lightning.callbacks.RolloutEvaluation"
    tested = main(["test", "--config", CONFIG, "--config", options, "--ckpt_path", str(calibrated), rollout])
    assert 0 < tested.trainer.callback_metrics["test/rollout/coverage"] <= 1
    main(["predict", "--config", CONFIG, "--config", options, "--ckpt_path", str(calibrated)])
    with h5py.File(next(iter(tmp_path.rglob("forecast_00000.hdf5")))) as file:
        assert {"height", "height_lower", "height_upper", "height_spread"} <= set(file["t0_fields"])


@pytest.mark.parametrize(
    ("options", "named"), [({"coverage": 90.0}, "coverage"), ({"share": 0.0}, "share"), ({"max_steps": 0}, "max_steps")]
)
def test_what_is_out_of_range_is_named(options, named):
    with pytest.raises(ValueError, match=f"{named} is"):
        ConformalCalibration(**options)
