import logging
import re

import matplotlib as mpl
import pytest
import torch
from lightning.pytorch import Callback
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fno_lightning.callbacks import ErrorTable, OneStepErrors, RolloutEvaluation
from fno_lightning.callbacks.pictures import Pictures
from fno_lightning.metrics import RMSE, VRMSE, Pearson, rmse, vrmse
from tests.callbacks.waves import DivergingModule, WaveData, make_module, trajectory

VRMSE_ONLY = {"vrmse": VRMSE}


def logged(folder):
    board = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    board.Reload()
    return board


def test_errors_and_baselines_equal_those_computed_by_hand(make_trainer):
    data = WaveData()
    module = make_module(data)
    trainer = make_trainer(RolloutEvaluation(metrics={"vrmse": VRMSE, "rmse": RMSE}, n_pictures=0), tensorboard=False)
    trainer.fit(module, datamodule=data)

    frames = torch.stack([trajectory(i, data.grid) for i in range(3)])
    history, target = frames[:, :2], frames[:, 2:18]
    scalars = torch.tensor([[0.1], [0.2], [0.3]])
    forecasts = {
        "": module.forecast(history, scalars=scalars, n_steps=16),
        "persistence/": history[:, -1:].expand_as(target),
        "mean/": torch.tensor([3.0, -1.0]).view(2, 1, 1).expand_as(target),
    }
    errors = trainer.callback_metrics
    for source, forecast in forecasts.items():
        for name, function in (("vrmse", vrmse), ("rmse", rmse)):
            expected = function(forecast, target, 2)
            torch.testing.assert_close(errors[f"val/rollout/{source}{name}"], expected.mean())
            torch.testing.assert_close(errors[f"val/rollout/{source}{name}_6-12"], expected[:, 6:12].mean())
            by_field = errors[f"val/rollout/{source}{name}_6-12/velocity_x"]
            torch.testing.assert_close(by_field, expected[:, 6:12, 1].mean())
    assert errors["val/rollout/diverged"] == 0
    assert not any("13-30" in name for name in errors)


@pytest.mark.parametrize("n_input", [0, 2], ids=["steady", "unsteady"])
def test_one_step_of_one_field(make_trainer, n_input):
    data = WaveData(n_fields=1, n_input=n_input, n_rollout=1, n_trajectories=1)
    module = make_module(data)
    callbacks = OneStepErrors(), RolloutEvaluation(), ErrorTable()
    trainer = make_trainer(*callbacks)
    trainer.fit(module, datamodule=data)
    frames = trajectory(0, data.grid)[None, : n_input + 1, :1]
    forecast = module.forecast(frames[:, :n_input], scalars=torch.tensor([[0.1]]))
    for name in ("val/rollout/vrmse", "val/rollout/vrmse/height"):
        torch.testing.assert_close(trainer.callback_metrics[name], vrmse(forecast, frames[:, -1:], 2).mean())
    make_trainer(*callbacks).test(module, datamodule=data, verbose=False)


@pytest.mark.parametrize("grid", [(12,), (8, 6), (4, 6, 5)], ids=["1-D", "2-D", "3-D"])
def test_pictures_are_in_tensorboard_and_on_disk(make_trainer, tmp_path, grid):
    data = WaveData(grid, n_rollout=4)
    trainer = make_trainer(RolloutEvaluation(windows=((0, 2),), metrics=VRMSE_ONLY))
    trainer.fit(make_module(data), datamodule=data)
    board = logged(tmp_path / "log" / "version_0")
    names = {"height_0", "velocity_x_0", "spectra_0", "vrmse_by_lead_time"}
    assert set(board.Tags()["images"]) == {f"val/rollout/{name}" for name in names}
    assert {"val/rollout/vrmse_0-2", "val/rollout/mean/vrmse_0-2/height"} <= set(board.Tags()["scalars"])
    folder = tmp_path / "log" / "version_0" / "pictures" / "val" / "rollout"
    assert {path.name for path in folder.iterdir()} == {f"{name}.png" for name in names} | {"height_0.gif"}
    with Image.open(folder / "height_0.gif") as animation:
        assert animation.n_frames == 4


def test_a_steady_problem_has_no_persistence(make_trainer, tmp_path):
    data = WaveData((12,), n_input=0, n_rollout=1)
    trainer = make_trainer(RolloutEvaluation(metrics=VRMSE_ONLY))
    trainer.fit(make_module(data), datamodule=data)
    errors = {name for name in trainer.callback_metrics if name.startswith("val/rollout/")}
    assert "val/rollout/mean/vrmse" in errors
    assert not any("persistence" in name for name in errors)


@pytest.mark.long
def test_divergence_is_reported_and_stops_nothing(make_trainer, caplog):
    data = WaveData()
    callback = RolloutEvaluation(metrics={"vrmse": VRMSE, "pearson": Pearson}, n_pictures=2, animation=False)
    trainer = make_trainer(callback, max_epochs=2, check_val_every_n_epoch=2)
    trainer.fit(make_module(data, DivergingModule), datamodule=data)
    assert trainer.current_epoch == 2
    assert "trajectory 1 (speed = 0.2) is not finite from step 5 of 16 on" in caplog.text
    errors = trainer.callback_metrics
    assert errors["val/rollout/diverged"] == pytest.approx(1 / 3)
    assert errors["val/rollout/vrmse_6-12"] == torch.inf
    assert errors["val/rollout/pearson_6-12"] == -torch.inf
    assert errors["val/rollout/persistence/vrmse_6-12"].isfinite()


def test_a_smaller_last_batch_is_filled_up(make_trainer):
    data = WaveData(rollout_batch_size=2, n_trajectories=3)
    module = make_module(data)
    sizes, forecast = [], module.forecast
    module.forecast = lambda batch, **options: (sizes.append(len(batch.target)), forecast(batch, **options))[1]
    make_trainer(RolloutEvaluation(n_pictures=0, metrics=VRMSE_ONLY)).fit(module, datamodule=data)
    assert sizes == [2, 2]


def weights_after_training(make_trainer, *callbacks):
    torch.manual_seed(0)
    data = WaveData()
    module = make_module(data)
    make_trainer(*callbacks, max_epochs=3).fit(module, datamodule=data)
    assert all(part.training for part in module.modules() if not hasattr(part, "compute"))
    return module.state_dict()


def test_training_is_not_perturbed(make_trainer):
    without = weights_after_training(make_trainer)
    observed = weights_after_training(make_trainer, RolloutEvaluation(every_n_epochs=2, metrics=VRMSE_ONLY))
    for name, weight in without.items():
        assert torch.equal(weight, observed[name]), name


@pytest.mark.parametrize(
    ("options", "evaluated"),
    [
        ({"max_epochs": 5}, [2, 4, 5]),
        ({"max_epochs": 4, "check_val_every_n_epoch": 3}, [3, 4]),
        ({"max_epochs": -1, "max_steps": 6}, [2, 3]),
        ({"max_epochs": -1, "max_steps": 5}, [2, 2.5]),
        ({"max_epochs": 5, "val_check_interval": 0.5}, [2, 4, 5]),
        ({"max_epochs": -1, "max_steps": 5, "val_check_interval": 0.5}, [2, 2.5]),
        ({"max_epochs": 4, "val_check_interval": {"minutes": 1e-9}}, [1.5, 3.5, 4]),
    ],
)
def test_evaluates_every_few_epochs_and_at_the_end(make_trainer, monkeypatch, options, evaluated):
    epochs = []
    original = RolloutEvaluation._evaluate

    def spy(self, trainer, *args, **kwargs):
        epochs.append(trainer.global_step / 2)
        return original(self, trainer, *args, **kwargs)

    monkeypatch.setattr(RolloutEvaluation, "_evaluate", spy)
    data = WaveData()
    trainer = make_trainer(RolloutEvaluation(every_n_epochs=2, n_pictures=0, metrics=VRMSE_ONLY), **options)
    trainer.fit(make_module(data), datamodule=data)
    assert epochs == evaluated
    assert "val/rollout/vrmse" in trainer.callback_metrics


class StopsAfter(Callback):
    """Asks training to stop as EarlyStopping does: after a validation."""

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def on_validation_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch + 1 == self.n_epochs


@pytest.mark.parametrize(
    ("options", "stops_after"),
    [
        ({"max_epochs": 3, "val_check_interval": 0.5}, 9),
        ({"max_epochs": -1, "max_steps": 6}, 9),
        ({"max_epochs": 9}, 3),
    ],
    ids=["epochs", "steps", "stopped early"],
)
def test_animations_are_made_once_at_the_end(make_trainer, monkeypatch, options, stops_after):
    steps = []
    monkeypatch.setattr(
        Pictures,
        "draw_forecasts",
        lambda self, forecasts, *, animation: steps.append(self.step) if animation else None,
    )
    data = WaveData(n_rollout=4)
    callbacks = RolloutEvaluation(metrics=VRMSE_ONLY), StopsAfter(stops_after)
    make_trainer(*callbacks, **options).fit(make_module(data), datamodule=data)
    assert steps == [6]


def test_says_how_many_trajectories_took_how_long(make_trainer, caplog):
    logging.getLogger("lightning.pytorch").setLevel(logging.INFO)
    data = WaveData()
    trainer = make_trainer(RolloutEvaluation(n_pictures=0, metrics=VRMSE_ONLY), tensorboard=False)
    with caplog.at_level(logging.INFO):
        trainer.test(make_module(data), datamodule=data, verbose=False)
    lines = [message for message in caplog.messages if message.startswith("forecast")]
    assert len(lines) == 1
    assert re.fullmatch(r"forecast 3 test trajectories in \d+\.\d s", lines[0])


def test_windows_that_are_left_out_are_not_drawn(make_trainer, monkeypatch):
    figures = {}
    monkeypatch.setattr(Pictures, "_save", lambda self, name, figure: figures.setdefault(name, figure))
    data = WaveData()
    trainer = make_trainer(RolloutEvaluation(metrics=VRMSE_ONLY, animation=False))
    trainer.test(make_module(data), datamodule=data, verbose=False)
    figure = figures["rollout/vrmse_by_lead_time"]
    assert {text.get_text() for text in figure.findobj(mpl.text.Text)} >= {"6-12"}
    assert not any("13-30" in text.get_text() for text in figure.findobj(mpl.text.Text))
    assert figure.axes[0].get_xlim()[1] < 0.5 * 17.5


def test_a_second_training_is_evaluated_like_the_first(make_trainer):
    data = WaveData()
    callback = RolloutEvaluation(every_n_epochs=2, n_pictures=0, metrics=VRMSE_ONLY)
    for max_steps in (6, 4):
        trainer = make_trainer(callback, max_epochs=-1, max_steps=max_steps)
        trainer.fit(make_module(data), datamodule=data)
        assert "val/rollout/vrmse" in trainer.callback_metrics


def test_test_and_validate_evaluate_their_own_trajectories(make_trainer):
    data = WaveData()
    module = make_module(data)
    callback = RolloutEvaluation(n_pictures=0, metrics=VRMSE_ONLY)
    trainer = make_trainer(callback, tensorboard=False)
    trainer.fit(module, datamodule=data)
    after_fit = trainer.callback_metrics["val/rollout/vrmse"]
    (tested,) = trainer.test(module, datamodule=data, verbose=False)
    (validated,) = make_trainer(callback, tensorboard=False).validate(module, datamodule=data, verbose=False)
    assert validated["val/rollout/vrmse"] == pytest.approx(after_fit.item())
    assert tested["test/rollout/vrmse"] != validated["val/rollout/vrmse"]


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_other_precisions(make_trainer, precision):
    data = WaveData()
    trainer = make_trainer(RolloutEvaluation(n_pictures=0), precision=precision)
    trainer.fit(make_module(data), datamodule=data)
    assert trainer.callback_metrics["val/rollout/vrmse_6-12"].isfinite()


def test_forecasts_can_be_cut_short(make_trainer):
    data = WaveData()
    trainer = make_trainer(RolloutEvaluation(max_steps=7, windows=((3, 7), (3, 8)), n_pictures=0, metrics=VRMSE_ONLY))
    trainer.fit(make_module(data), datamodule=data)
    assert "val/rollout/vrmse_3-7" in trainer.callback_metrics
    assert "val/rollout/vrmse_3-8" not in trainer.callback_metrics


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every_n_epochs": 0}, "every_n_epochs and max_steps must be at least 1"),
        ({"max_steps": 0}, "must be at least 1"),
        ({"n_pictures": -1}, "n_pictures at least 0"),
        ({"windows": ((6, 12), (5, 5))}, r"got \[\(5, 5\)\]"),
        ({"metrics": {}}, "metrics is empty"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RolloutEvaluation(**options)


def test_data_without_trajectories_are_refused(make_trainer):
    data = WaveData()
    module = make_module(data)
    with pytest.raises(TypeError, match="trajectories from a FieldDataModule, got NoneType"):
        make_trainer(RolloutEvaluation()).fit(module, data.train_dataloader(), data.val_dataloader())
