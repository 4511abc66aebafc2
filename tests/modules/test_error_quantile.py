"""A network that bounds the errors of another one."""

import pytest
import torch

from fno_lightning.callbacks import ConformalCalibration
from fno_lightning.cli import main
from fno_lightning.losses import PointwiseQuantile
from fno_lightning.modules import ErrorQuantileModule, FNOModule, ForecastModule
from tests.wave_config import CONFIG


@pytest.fixture
def trained(make_data, make_trainer, tmp_path):
    """Data, and a function that trains a base with some options and returns the path of its checkpoint."""
    data = make_data(n_steps_output=4, n_train=4, n_valid=10)

    def train(**options):
        trainer = make_trainer()
        module = FNOModule(data.spec, [4], 4, n_layers=2, n_steps_input=2, **options)
        trainer.fit(module, data)
        trainer.save_checkpoint(path := str(tmp_path / "base.ckpt"))
        return path

    return data, train


@pytest.mark.parametrize("options", [{}, {"bundle": 2, "residual": True, "reversible_norm": True}])
def test_it_trains_on_the_errors_of_the_base_and_reloads_alone(trained, options, make_trainer, tmp_path):
    data, train = trained
    path = train(**options)
    base = ForecastModule.load_from_checkpoint(path)
    module = ErrorQuantileModule(data.spec, path, quantile=0.8, n_steps_input=2)
    before = {name: value.clone() for name, value in module.network.state_dict().items()}
    torch.testing.assert_close(before, dict(base.network.state_dict()))
    batch = next(iter(data.val_dataloader()))
    forecast, bound = module._forecast_and_bound(*batch[:3], None, 4)
    loss = PointwiseQuantile(0.8)(bound, forecast - base.normalizer.encode(batch.target))
    torch.testing.assert_close(module.step(batch)[0], loss)
    trainer = make_trainer(precision="bf16-mixed")
    trainer.fit(module, data)
    assert any(not torch.equal(value, before[name]) for name, value in module.network.state_dict().items())
    torch.testing.assert_close(dict(module.base.network.state_dict()), dict(base.network.state_dict()))
    trainer.save_checkpoint(saved := tmp_path / "bound.ckpt")
    (tmp_path / "base.ckpt").unlink()
    again = ForecastModule.load_from_checkpoint(saved, weights_only=True)
    torch.testing.assert_close(again.forecast(batch), base.forecast(batch))
    found = again.forecast_distribution(batch)
    torch.testing.assert_close(found.scale, module.forecast_distribution(batch).scale)
    assert found.scale.shape == found.mean.shape
    assert found.scale.min() > 0


def test_calibrated_bands_are_multiples_of_the_bound(trained, make_trainer):
    data, train = trained
    module = ErrorQuantileModule(data.spec, train(), n_steps_input=2)
    make_trainer(ConformalCalibration(0.9)).validate(module, data, verbose=False)
    batch = next(iter(data.val_dataloader()))
    found = module.forecast_distribution(batch)
    scale = found.scale + 1e-3 * module.normalizer.spread()[:, None]
    torch.testing.assert_close(found.half_width, (scale * module.bands.factor[:4, :, None]).float())


def test_the_bound_learns_a_quantile(trained):
    data, train = trained
    module = ErrorQuantileModule(data.spec, train(), quantile=0.8, n_steps_input=2)
    batch = next(iter(data.train_dataloader()))
    optimizer = torch.optim.Adam(module.network.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        module.train().step(batch)[0].backward()
        optimizer.step()
    found = module.forecast_distribution(batch)
    inside = (batch.target - found.mean).abs() <= found.scale
    assert inside.double().mean() == pytest.approx(0.8, abs=0.1)


def test_it_is_trained_and_tested_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = main(["fit", "--config", CONFIG]).trainer.checkpoint_callback.best_model_path
    trainer = "{max_epochs: 1, accelerator: cpu, enable_progress_bar: false}"
    model = f"{{class_path: fno_lightning.modules.ErrorQuantileModule, init_args: {{base: {base}}}}}"
    options = "{pde: {class_path: tests.travelling_wave.TravellingWave}, n_train: 2, n_steps_input: 2}"
    data = f"{{class_path: fno_lightning.data.GeneratedDataModule, init_args: {options}}}"
    bound = f"{{trainer: {trainer}, model: {model}, data: {data}}}"
    saved = main(["fit", "--config", bound]).trainer.checkpoint_callback.best_model_path
    tested = main(["test", "--config", bound, "--ckpt_path", saved])
    assert 0 < tested.trainer.callback_metrics["test/vrmse"] < float("inf")


def test_what_is_no_base_is_refused(trained, tmp_path):
    data, train = trained
    with pytest.raises(ValueError, match="base: there is no checkpoint"):
        ErrorQuantileModule(data.spec, str(tmp_path / "missing.ckpt"), n_steps_input=2)
    with pytest.raises(ValueError, match="base is an ensemble"):
        ErrorQuantileModule(data.spec, train(ensemble_size=2), n_steps_input=2)
    path = train()
    with pytest.raises(ValueError, match=r"\['residual'\] are options of the base"):
        ErrorQuantileModule(data.spec, path, n_steps_input=2, residual=True)
    with pytest.raises(ValueError, match=r"no use for \['input_noise'\]"):
        ErrorQuantileModule(data.spec, path, n_steps_input=2, input_noise=0.1)
