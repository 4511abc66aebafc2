"""What a test says about each trajectory, against numbers computed by hand."""

import csv
import math
from dataclasses import replace

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from fno_lightning.callbacks import RolloutEvaluation
from fno_lightning.metrics import VRMSE, vrmse
from tests.callbacks.waves import DivergingModule, WaveData, make_module, make_spec, trajectory

WINDOWS = ((0, 4), (4, 12))


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def evaluate(make_trainer, data, *, module=None, **options):
    options = {"windows": WINDOWS, "metrics": {"vrmse": VRMSE}, "n_pictures": 0, "animation": False} | options
    trainer = make_trainer(RolloutEvaluation(**options))
    module = module or make_module(data)
    trainer.test(module, datamodule=data, verbose=False)
    return module, trainer.callback_metrics


def errors_by_hand(data, module, numbers):
    """Returns VRMSE of model and persistence by trajectory, mean over the fields, ``(trajectory, time)``."""
    frames = torch.stack([trajectory(i, data.grid) for i in numbers])
    n_input = data.n_steps_input
    history, target = frames[:, :n_input], frames[:, n_input : n_input + data.n_rollout]
    scalars = torch.tensor([[0.1 * (i + 1)] for i in numbers])
    model = module.forecast(history, scalars=scalars, n_steps=data.n_rollout)
    persistence = history[:, -1:].expand_as(target)
    return [vrmse(forecast, target, len(data.grid)).mean(dim=2).double() for forecast in (model, persistence)]


def test_files_hold_the_errors_of_every_trajectory(make_trainer, tmp_path):
    data = WaveData(n_trajectories=3)
    module, logged = evaluate(make_trainer, data, valid_time_threshold=1.2)
    model, persistence = errors_by_hand(data, module, (10, 11, 12))
    folder = tmp_path / "log" / "version_0"
    written = rows(folder / "trajectories.csv")
    assert [row["number"] for row in written] == ["0", "1", "2"]
    assert [float(row["speed"]) for row in written] == pytest.approx([1.1, 1.2, 1.3])
    for i, row in enumerate(written):
        assert float(row["vrmse_4-12"]) == pytest.approx(model[i, 4:12].mean().item(), rel=1e-4)
        assert float(row["persistence/vrmse_0-4"]) == pytest.approx(persistence[i, :4].mean().item(), rel=1e-4)
        assert float(row["vrmse"]) == pytest.approx(model[i].mean().item(), rel=1e-4)
    for errors, name in ((model, "valid_time"), (persistence, "persistence/valid_time")):
        times = [next((t for t, e in enumerate(line, 1) if e > 1.2), len(line)) for line in errors.tolist()]
        assert logged[f"test/rollout/{name}"].item() == pytest.approx(sum(times) / 3)
        if name == "valid_time":
            assert [int(row["valid_time"]) for row in written] == times
    by_lead_time = rows(folder / "errors_by_lead_time.csv")
    assert len(by_lead_time) == 16 * 3 * 3  # steps, two fields and their mean, forecasters
    (row,) = (
        row
        for row in by_lead_time
        if (row["step"], row["field"], row["forecaster"]) == ("5", "mean over fields", "persistence")
    )
    assert float(row["time"]) == 2.5
    assert float(row["value"]) == pytest.approx(persistence[:, 4].mean().item(), rel=1e-4)


def test_errors_are_shown_by_parameter(make_trainer, tmp_path, capsys):
    data = WaveData(n_trajectories=3)
    module, _ = evaluate(make_trainer, data)
    model, persistence = errors_by_hand(data, module, (10, 11, 12))
    text = (tmp_path / "log" / "version_0" / "errors_by_parameter.md").read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| 1.2 "))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    expected = (1.2, 1, model[1, :4].mean(), persistence[1, :4].mean(), model[1, 4:12].mean())
    assert [float(cell) for cell in cells[:5]] == pytest.approx([float(value) for value in expected], rel=5e-3)
    worse = [speed for speed, i in ((1.1, 0), (1.2, 1), (1.3, 2)) if model[i, :4].mean() >= persistence[i, :4].mean()]
    assert worse
    printed = capsys.readouterr().out
    assert f"no better than persistence, by speed: 0-4 at {', '.join(map(str, worse))}" in printed
    assert "VRMSE by speed" in printed


def test_many_values_are_binned(make_trainer, tmp_path):
    evaluate(make_trainer, WaveData((8,), n_rollout=4, n_trajectories=13), windows=())
    text = (tmp_path / "log" / "version_0" / "errors_by_parameter.md").read_text()
    table = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| ")][2:]
    counts = [(label.strip(), int(count)) for label, count in table]
    assert counts[0] == ("1.1 to 1.3", 3)
    assert [count for _, count in counts] == [3, 2, 2, 2, 2, 2, 13]


def test_trajectories_that_are_never_bad_count_as_their_full_length(make_trainer, capsys, tmp_path):
    _, logged = evaluate(make_trainer, WaveData(), valid_time_threshold=1e9)
    assert logged["test/rollout/valid_time"] == 16
    assert "model 16 steps (t = 8), 3 of 3 never above" in capsys.readouterr().out
    assert "≥ 16" in (tmp_path / "log" / "version_0" / "errors_by_parameter.md").read_text()
    assert {row["is_valid_to_the_end"] for row in rows(tmp_path / "log" / "version_0" / "trajectories.csv")} == {"1"}


def test_diverged_trajectories_are_the_worst_and_end_their_valid_time(make_trainer, tmp_path, capsys):
    data = WaveData()
    module = make_module(data, DivergingModule)
    evaluate(make_trainer, data, module=module, n_pictures=1, valid_time_threshold=1e9)
    folder = tmp_path / "log" / "version_0"
    written = rows(folder / "trajectories.csv")
    assert [row["valid_time"] for row in written] == ["16", "5", "16"]
    assert written[1]["vrmse_4-12"] == "inf"
    assert math.isfinite(float(written[1]["vrmse_0-4"]))
    assert "worst trajectory: number 1 (speed = 1.2), VRMSE inf" in capsys.readouterr().out
    pictures = {path.name for path in folder.rglob("*.png")}
    assert {"height_worst_speed=1.2.png", "velocity_x_worst_speed=1.2.png", "errors_by_speed.png"} <= pictures


@pytest.mark.long
@pytest.mark.parametrize(("n_worst", "expected"), [(0, set()), (2, {"height_worst", "height_worst_1"})])
def test_as_many_of_the_worst_are_drawn_as_are_asked_for(make_trainer, tmp_path, n_worst, expected):
    data = WaveData((8,), n_rollout=3)
    module, _ = evaluate(make_trainer, data, n_pictures=1, n_worst=n_worst)
    drawn = {path.name.partition("_speed")[0]: path for path in tmp_path.rglob("height_worst*.png")}
    assert drawn.keys() == expected
    model, _ = errors_by_hand(data, module, (10, 11, 12))
    speeds = [f"{1.1 + 0.1 * i:.4g}" for i in model.mean(dim=1).argsort(descending=True).tolist()]
    for name, speed in zip(sorted(drawn), speeds, strict=False):
        assert drawn[name].stem == f"{name}_speed={speed}"


def test_a_steady_problem_has_errors_by_parameter_and_no_valid_time(make_trainer, tmp_path):
    data = WaveData((12,), n_input=0, n_rollout=1)
    _, logged = evaluate(make_trainer, data, n_pictures=1)
    folder = tmp_path / "log" / "version_0"
    assert not any("valid_time" in name for name in logged)
    text = (folder / "errors_by_parameter.md").read_text()
    assert "| speed | trajectories | solution, model |" in text
    assert "persistence" not in text
    assert not (folder / "conservation.csv").exists()
    assert list(folder.rglob("errors_by_speed.png"))


class Uneven(WaveData):
    """The last trajectory is shorter than the others."""

    def rollout_dataset(self, split):
        dataset = super().rollout_dataset(split)
        whole = type(dataset).__getitem__

        class Shortened(type(dataset)):
            def __getitem__(self, i):
                batch = whole(self, i)
                return batch._replace(target=batch.target[:6]) if i == 2 else batch

        return Shortened(dataset.indices, self.grid, self.n_fields, self.n_steps_input, self.n_rollout)


def test_trajectories_of_different_lengths_have_the_windows_that_they_reach(make_trainer, tmp_path):
    _, logged = evaluate(make_trainer, Uneven(), valid_time_threshold=1e9)
    written = rows(tmp_path / "log" / "version_0" / "trajectories.csv")
    assert [row["n_steps"] for row in written] == ["16", "16", "6"]
    assert [row["vrmse_4-12"] == "" for row in written] == [False, False, True]
    assert written[2]["vrmse_0-4"]
    assert logged["test/rollout/valid_time"].item() == pytest.approx((16 + 16 + 6) / 3)


def test_drift_is_written_where_the_data_have_conserved_quantities(make_trainer, tmp_path, monkeypatch, capsys):
    flow = replace(make_spec(), fields=("density", "velocity_x"))
    monkeypatch.setattr(WaveData, "spec", flow)
    evaluate(make_trainer, WaveData())
    written = rows(tmp_path / "log" / "version_0" / "conservation.csv")
    assert {(row["quantity"], row["of"]) for row in written} == {
        (quantity, of) for quantity in ("mass", "momentum_x") for of in ("model", "truth")
    }
    assert "conservation" in capsys.readouterr().out


def test_training_and_validation_write_no_report(make_trainer, tmp_path, capsys):
    data = WaveData(n_rollout=2)
    trainer = make_trainer(RolloutEvaluation(metrics={"vrmse": VRMSE}, animation=False), logger=CSVLogger(tmp_path))
    module = make_module(data)
    trainer.fit(module, datamodule=data)
    trainer.validate(module, datamodule=data, verbose=False)
    assert not [path for path in tmp_path.rglob("*.csv") if path.name != "metrics.csv"]
    assert "VRMSE by" not in capsys.readouterr().out
    assert not any("valid_time" in name for name in trainer.callback_metrics)


def test_a_test_without_report_logs_valid_times_and_leaves_nothing(make_trainer, tmp_path, capsys):
    data = WaveData()
    rollouts = RolloutEvaluation(metrics={"vrmse": VRMSE}, n_pictures=0)
    rollouts.writes_report = False
    trainer = make_trainer(rollouts, tensorboard=False)
    trainer.test(make_module(data), datamodule=data, verbose=False)
    assert trainer.callback_metrics["test/rollout/valid_time"] > 0
    assert not list(tmp_path.iterdir())
    assert "VRMSE" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "options", [{"n_worst": -1}, {"valid_time_threshold": 0.0}, {"valid_time_threshold": math.nan}]
)
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        RolloutEvaluation(**options)
