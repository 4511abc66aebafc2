import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from fno_lightning.callbacks import HyperparameterSummary
from tests.callbacks.waves import WaveData, make_module


def test_hyperparameters_stand_beside_the_final_errors(make_trainer, tmp_path):
    data = WaveData()
    trainer = make_trainer(HyperparameterSummary(), max_epochs=2)
    trainer.fit(make_module(data), datamodule=data)
    board = EventAccumulator(str(tmp_path / "log" / "version_0"))
    board.Reload()
    content = board.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    started = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert started["n_steps_input"].number_value == 2
    assert started["optimizer/class"].string_value == "AdamW"
    assert started["optimizer/lr"].number_value == pytest.approx(1e-3)
    assert started["module"].string_value == "WaveModule"
    assert not any(name.startswith(("spec", "_")) for name in started)
    experiment = board.SummaryMetadata("_hparams_/experiment").plugin_data.content
    shown = plugin_data_pb2.HParamsPluginData.FromString(experiment).experiment.metric_infos
    assert {info.name.tag for info in shown} == {"val/loss", "val/vrmse"}
    assert board.Scalars("val/vrmse")[-1].value == pytest.approx(trainer.callback_metrics["val/vrmse"].item())


def test_works_without_a_logger(make_trainer):
    data = WaveData()
    make_trainer(HyperparameterSummary(), tensorboard=False).fit(make_module(data), datamodule=data)
