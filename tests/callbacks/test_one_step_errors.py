import pytest
import torch
from lightning.pytorch.callbacks import Callback

from fno_lightning import metrics
from fno_lightning.callbacks import OneStepErrors
from fno_lightning.modules import FNOModule
from tests.callbacks.waves import WaveData, make_module, trajectory


class Recorder(Callback):
    """Keeps what the module predicted."""

    def __init__(self):
        self.predictions = []

    def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0):
        self.predictions.append(outputs["prediction"])


def test_errors_and_baselines_equal_those_computed_by_hand(make_trainer):
    data = WaveData()
    recorder = Recorder()
    trainer = make_trainer(OneStepErrors(), recorder, tensorboard=False)
    trainer.validate(make_module(data), datamodule=data, verbose=False)

    frames = torch.stack([trajectory(i, data.grid) for i in range(200, 204)])
    history, target = frames[:, :2], frames[:, 2:3]
    forecasts = {
        "": torch.cat(recorder.predictions),
        "persistence/": history[:, -1:],
        "mean/": torch.zeros(2).view(2, 1, 1).expand_as(target),
    }
    logged = trainer.callback_metrics
    for source, forecast in forecasts.items():
        for name in ("nrmse", "rmse", "mae", "l_infinity", "pearson", "vrmse"):
            expected = getattr(metrics, name)(forecast, target, 2)
            if (source, name) != ("", "vrmse"):
                torch.testing.assert_close(logged[f"val/{source}{name}"], expected.mean())
                torch.testing.assert_close(logged[f"val/{source}{name}/height"], expected[..., 0].mean())
        bands = metrics.spectral_error(forecast, target, 2)
        for band, expected in zip(("low", "mid", "high"), bands.unbind(-1), strict=True):
            torch.testing.assert_close(logged[f"val/{source}spectral_{band}"], expected.mean())


def test_the_mean_is_that_of_the_training_data(make_trainer):
    data = WaveData()
    trainer = make_trainer(OneStepErrors({"vrmse": metrics.VRMSE}))
    trainer.fit(make_module(data), datamodule=data)
    target = torch.stack([trajectory(i, data.grid)[2:3] for i in range(200, 204)])
    expected = metrics.vrmse(torch.tensor([3.0, -1.0]).view(2, 1, 1).expand_as(target), target, 2)
    torch.testing.assert_close(trainer.callback_metrics["val/mean/vrmse"], expected.mean())


def test_the_sanity_check_counts_for_nothing(make_trainer):
    data = WaveData()
    once, twice = (make_trainer(OneStepErrors(), num_sanity_val_steps=n) for n in (0, 2))
    for trainer in (once, twice):
        trainer.fit(make_module(data), datamodule=data)
    name = "val/persistence/mae"
    assert once.callback_metrics[name] == twice.callback_metrics[name]


def test_the_modules_own_error_is_logged_by_the_module(make_trainer):
    data = WaveData()
    trainer = make_trainer(OneStepErrors())
    (logged,) = trainer.test(make_module(data), datamodule=data, verbose=False)
    assert {"test/vrmse", "test/vrmse/height", "test/persistence/vrmse/height", "test/mean/nrmse"} <= set(logged)


def test_a_steady_problem_has_no_persistence(make_trainer):
    data = WaveData(n_input=0)
    (logged,) = make_trainer(OneStepErrors()).test(make_module(data), datamodule=data, verbose=False)
    assert "test/mean/mae" in logged
    assert not any("persistence" in name for name in logged)


def test_other_modules_are_refused(make_trainer):
    from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel

    with pytest.raises(TypeError, match="need a ForecastModule, got BoringModel"):
        make_trainer(OneStepErrors()).validate(BoringModel(), datamodule=BoringDataModule(), verbose=False)


def test_one_step_is_the_next_frame_and_all_of_the_target_has_a_name_of_its_own(make_data, make_trainer):
    data = make_data(n_steps_output=3)
    recorder = Recorder()
    data.prepare_data()
    module = FNOModule(data.spec, [4], 4, 1, n_steps_input=2)
    module.fit_normalization(data.statistics)
    trainer = make_trainer(OneStepErrors(), recorder, tensorboard=False)
    trainer.validate(module, datamodule=data, verbose=False)
    batches = list(data.val_dataloader())
    target = torch.cat([batch.target for batch in batches])
    last = torch.cat([batch.history[:, -1:] for batch in batches]).expand_as(target)
    logged = trainer.callback_metrics
    for source, forecast in (("", torch.cat(recorder.predictions)), ("persistence/", last)):
        error = metrics.vrmse(forecast, target, 1)
        for field, expected in (("", error), ("/height", error[..., :1]), ("/flux", error[..., 1:])):
            name = f"val/{source}vrmse"
            assert logged[f"{name}{field}"].item() == pytest.approx(expected[:, 0].mean().item(), rel=1e-4)
            assert logged[f"{name}_0-3{field}"].item() == pytest.approx(expected.mean().item(), rel=1e-4)
