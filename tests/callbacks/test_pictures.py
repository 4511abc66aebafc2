"""A picture that cannot be drawn or written is missing, and stops nothing."""

import dataclasses
import logging

import pytest
from lightning.pytorch import Callback

from fno_lightning.callbacks import RolloutEvaluation
from fno_lightning.callbacks import pictures as pictures_module
from fno_lightning.metrics import VRMSE
from fno_lightning.runs import run_path
from fno_lightning.viz.axes import STYLE
from tests.callbacks.waves import WaveData, make_module, make_spec


@pytest.fixture(autouse=True)
def _small_figures(monkeypatch):
    monkeypatch.setitem(STYLE, "figure.dpi", 30)


def failing(*_, **__):
    raise ValueError("no colour\nfor this")


def fit(make_trainer, *callbacks):
    data = WaveData(n_rollout=3)
    trainer = make_trainer(RolloutEvaluation(metrics={"vrmse": VRMSE}), *callbacks)
    trainer.fit(make_module(data), datamodule=data)
    return trainer


@pytest.mark.parametrize(
    ("function", "missing"),
    [
        ("rollout_figure", {"height_0.png", "velocity_x_0.png"}),
        ("spectra_figure", {"spectra_0.png"}),
        ("error_figure", {"vrmse_by_lead_time.png"}),
        ("write_animation", {"height_0.gif"}),
    ],
)
def test_an_error_in_a_figure_is_logged_and_the_training_goes_on(
    make_trainer, monkeypatch, caplog, tmp_path, function, missing
):
    caplog.set_level(logging.DEBUG, logger="fno_lightning.callbacks.pictures")
    monkeypatch.setattr(pictures_module, function, failing)
    trainer = fit(make_trainer)
    assert trainer.callback_metrics["val/rollout/vrmse"].isfinite()
    records = [record for record in caplog.records if record.name == pictures_module.__name__]
    warned = {record.getMessage() for record in records if record.levelno == logging.WARNING}
    assert warned == {f"the picture val/rollout/{name} is missing: ValueError: no colour for this" for name in missing}
    traces = [record.exc_text or record.exc_info for record in records if record.levelno == logging.DEBUG]
    assert len(traces) == len(missing)
    assert all(traces)
    every = {"height_0.png", "velocity_x_0.png", "spectra_0.png", "vrmse_by_lead_time.png", "height_0.gif"}
    assert {path.name for path in tmp_path.rglob("*_0.*")} | {path.name for path in tmp_path.rglob("vrmse*")} == (
        every - missing
    )


def test_a_folder_that_cannot_be_made_stops_nothing(make_trainer, caplog, tmp_path):
    folder = tmp_path / "log" / "version_0"

    class InTheWay(Callback):
        """A file in the place of the folder that this run is to make."""

        def on_train_start(self, trainer, pl_module):
            run_path(trainer, "pictures").parent.mkdir(parents=True, exist_ok=True)
            run_path(trainer, "pictures").touch()

    trainer = fit(make_trainer, InTheWay())
    assert trainer.callback_metrics["val/rollout/vrmse"].isfinite()
    assert f"the picture val/rollout/height_0.png is missing: NotADirectoryError: [Errno 20] cannot write {folder}" in (
        caplog.text
    )


def test_fields_with_strange_names_are_drawn(make_trainer, monkeypatch, tmp_path):
    names = "flow/u v", "θ" * 200
    monkeypatch.setattr(WaveData, "spec", dataclasses.replace(make_spec(), fields=names))
    fit(make_trainer)
    drawn = {path.name for path in tmp_path.rglob("*_0.png")}
    assert drawn == {"flow_u_v_0.png", f"{'θ' * 50}_0.png", "spectra_0.png"}
