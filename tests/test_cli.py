"""The command line, as a user types it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fno_lightning.__main__ import run
from fno_lightning.cli import main
from fno_lightning.data import read_well_file
from fno_lightning.modules import FNOModule, ForecastModule, TFNOModule
from tests.wave_config import CONFIG

DATA = "fno_lightning.data.GeneratedDataModule"
TENSORBOARD = "lightning.pytorch.loggers.TensorBoardLogger"

USER_MODULE = '''
from torch import nn
from fno_lightning.modules import ForecastModule

class Pointwise(ForecastModule):
    """A user's own module.

    Args:
        width: Hidden channels.
    """
    def __init__(self, width: int = 3, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    def build_network(self):
        return nn.Sequential(nn.Conv1d(self.in_channels, self.width, 1), nn.Conv1d(self.width, self.out_channels, 1))
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A fresh folder with a configuration, as the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("wave.yaml").write_text(CONFIG)
    return tmp_path


def fit(*options):
    return main(["fit", "--config", "wave.yaml", *options])


BEST = "runs/wave/version_0/checkpoints/best.ckpt"


def test_fit_validate_test_predict_one_after_the_other(here):
    fit()
    cli = main(["test", "--config", "wave.yaml", "--ckpt_path", BEST])
    assert 0 < cli.trainer.callback_metrics["test/vrmse"] < 2
    cli = main(["validate", "--config", "wave.yaml", "--ckpt_path", BEST])
    assert 0 < cli.trainer.callback_metrics["val/vrmse"] < 2
    writer = "--trainer.callbacks+=fno_lightning.callbacks.PredictionWriter"
    main(["predict", "--config", "wave.yaml", "--ckpt_path", BEST, writer])
    forecasts = sorted(Path("runs/wave").glob("version_*/predictions/*.hdf5"))
    assert forecasts
    assert read_well_file(forecasts[0]).n_frames >= 1


@pytest.mark.parametrize("subcommand", ["validate", "test", "predict"])
def test_random_weights_are_not_evaluated(subcommand, here):
    with pytest.raises(SystemExit, match=f"{subcommand} needs a trained model: pass --ckpt_path"):
        main([subcommand, "--config", "wave.yaml"])
    with pytest.raises(SystemExit, match=r"no_such\.ckpt: there is no such file"):
        main([subcommand, "--config", "wave.yaml", "--ckpt_path", "no_such.ckpt"])
    Path("broken.ckpt").write_text("no checkpoint")
    for empty in ("", "$NO_SUCH_VARIABLE/best.ckpt"):
        with pytest.raises(ValueError, match="--ckpt_path is "):
            main([subcommand, "--config", "wave.yaml", "--ckpt_path", empty])
    with pytest.raises(SystemExit, match=r"broken\.ckpt: this is not a checkpoint"):
        main([subcommand, "--config", "wave.yaml", "--ckpt_path", "broken.ckpt"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--model.init_args.n_modes=[4,4]", "error: n_modes [4, 4] has 2 entries, but the data have 1 spatial axes"),
        ("--data.init_args.n_steps_output=0", "error: n_steps_output is 0, expected at least 1"),
        ("--data.init_args.fields=[heigth]", "error: unknown fields ['heigth']"),
    ],
)
def test_a_wrong_value_is_told_in_a_line(option, message, here, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fno-lightning", "fit", "--config", "wave.yaml", option])
    with pytest.raises(SystemExit) as stopped:
        run()
    assert str(stopped.value).startswith(message)
    monkeypatch.setenv("FNO_LIGHTNING_TRACEBACK", "1")
    with pytest.raises(ValueError, match=re.escape(message.removeprefix("error: "))):
        run()


def test_weights_that_are_not_there_are_noticed_before_data_are_made(here):
    with pytest.raises(SystemExit, match=r"initial_weights nowhere\.ckpt: there is no such file"):
        fit("--model.init_args.initial_weights=nowhere.ckpt")
    assert not Path("datasets").exists()


@pytest.fixture
def failing(here, monkeypatch, capsys):
    """Runs ``fit`` with wrong options and returns the line that says so."""

    def line(*options):
        monkeypatch.setattr(sys, "argv", ["fno-lightning", "fit", "--config", "wave.yaml", *options])
        capsys.readouterr()  # what an earlier call has printed
        with pytest.raises(SystemExit) as stopped:
            run()
        code = stopped.value.code
        told = code if isinstance(code, str) else capsys.readouterr().err
        (first, hint) = told.strip().splitlines()
        assert "FNO_LIGHTNING_TRACEBACK=1 shows" in hint
        return first

    return line


def test_a_missing_package_is_named_with_the_class_that_needs_it(failing):
    Path("their_models.py").write_text("import no_such_package\n")
    needs_it = "--model.init_args.network.class_path=their_models.UNet"
    needs = "their_models.UNet needs the package no_such_package, which is not installed: pip install no_such_package"
    assert failing("--model=NetworkModule", needs_it) == f"error: network.class_path: {needs} (NetworkModule)"
    assert failing("--model=their_models.UNet") == f"error: --model (their_models.UNet): {needs}"
    nowhere = "there is no nowhere.UNet: no module nowhere is installed, or lies in the current directory"
    assert failing("--model=nowhere.UNet") == f"error: --model (nowhere.UNet): {nowhere}"
    needs_it = needs_it.replace("their_models", "nowhere")
    assert failing("--model=NetworkModule", needs_it) == f"error: network.class_path: {nowhere} (NetworkModule)"
    Path("their_logger.py").write_text(
        "from lightning.pytorch.loggers import CSVLogger\n\nclass Log(CSVLogger):\n"
        "    def __init__(self, save_dir: str = '.'):\n        import no_such_package\n"
    )
    assert failing("--trainer.logger=their_logger.Log") == "error: No module named 'no_such_package' (Log)"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--model.init_args.n_modes=[0]", "n_modes must be positive numbers, one for each axis, got (0,) (FNOModule)"),
        ("--data.init_args.n_steps_output=0", "n_steps_output is 0, expected at least 1 (GeneratedDataModule)"),
        (
            "--model.init_args.n_modes=a",
            "--model.init_args.n_modes (fno_lightning.modules.FNOModule): expected a list, got a",
        ),
        ("--trainer.max_epochs=x", "--trainer.max_epochs: expected int, got x"),
        (
            "--data.init_args.pde.init_args.grid=4.5",
            "--data.init_args.pde.init_args.grid (tests.travelling_wave.TravellingWave): expected a list, got 4.5",
        ),
        (
            "--data.init_args.pde=Burger",
            f"--data.init_args.pde ({DATA}): there is no class Burger, did you mean Burgers?",
        ),
    ],
)
def test_a_wrong_value_is_named_with_option_and_class(option, message, failing):
    assert failing(option) == f"error: {message}"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--model.init_args.n_mods=4",
            "--model.init_args.n_mods: fno_lightning.modules.FNOModule has no option n_mods, did you mean n_modes?",
        ),
        (
            "--config={model: {init_args: {n_mods: 4}}}",
            "--model.init_args.n_mods: fno_lightning.modules.FNOModule has no option n_mods, did you mean n_modes?",
        ),
        (
            "--trainer.logger.init_args.sav_dir=x",
            f"--trainer.logger.init_args.sav_dir: {TENSORBOARD} has no option sav_dir, did you mean save_dir?",
        ),
        ("--trainer.max_epoks=3", "there is no option --trainer.max_epoks, did you mean trainer.max_epochs?"),
        (
            "--config={trainer: {max_epoks: 3}}",
            "there is no option --trainer.max_epoks, did you mean trainer.max_epochs?",
        ),
    ],
)
def test_the_near_name_of_a_wrong_option_is_suggested(option, message, failing):
    assert failing(option) == f"error: {message}"


def test_the_whole_message_is_shown_on_request(here, monkeypatch, capsys):
    monkeypatch.setenv("FNO_LIGHTNING_TRACEBACK", "1")
    with pytest.raises(SystemExit):
        fit("--model.init_args.n_mods=4")
    assert "Problem with given class_path 'fno_lightning.modules.FNOModule'" in capsys.readouterr().err


def test_a_folder_is_no_checkpoint(here):
    Path("run/checkpoints").mkdir(parents=True)
    with pytest.raises(SystemExit, match="--ckpt_path run: this is a folder, not a checkpoint, and there is no"):
        fit("--ckpt_path=run")
    Path("run/checkpoints/best.ckpt").touch()
    with pytest.raises(
        SystemExit, match=r"this is a folder, not a checkpoint, did you mean run/checkpoints/best\.ckpt\?"
    ):
        main(["test", "--config", "wave.yaml", "--ckpt_path=run"])


def test_help_names_the_program(here, capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    assert capsys.readouterr().out.startswith("usage: fno-lightning [options] fit ")


def test_a_fault_of_the_program_is_not_hidden(here, monkeypatch):
    monkeypatch.setattr("fno_lightning.__main__.main", lambda: torch.zeros(2).view(3))
    with pytest.raises(RuntimeError):
        run()


def test_the_module_learns_from_the_data_what_they_are(here):
    cli = fit("--trainer.max_steps=0", "--data.init_args.n_steps_input=3")
    assert cli.model.spec == cli.datamodule.spec
    assert cli.model.spec.fields == ("height", "flux")
    assert cli.model.in_channels == 3 * 2 + 1


def test_later_files_and_options_win(here):
    Path("more.yaml").write_text("model: {init_args: {hidden_channels: 12}}\ntrainer: {max_steps: 0}\n")
    cli = main(["fit", "--config", "wave.yaml", "--config", "more.yaml", "--model.init_args.n_layers=1"])
    arguments = cli.model.network_arguments
    assert (arguments["hidden_channels"], arguments["n_layers"], list(arguments["n_modes"])) == (12, 1, [8])


def test_optimizer_schedule_and_loss_come_from_the_command_line(here):
    cli = fit(
        "--model.init_args.optimizer=torch.optim.SGD",
        "--model.init_args.optimizer.init_args.lr=0.25",
        "--model.init_args.lr_scheduler=torch.optim.lr_scheduler.ExponentialLR",
        "--model.init_args.lr_scheduler.init_args.gamma=0.5",
        "--model.init_args.loss=fno_lightning.losses.RelativeL2",
        "--trainer.max_epochs=2",
    )
    (optimizer,) = cli.trainer.optimizers
    assert type(optimizer) is torch.optim.SGD
    assert optimizer.param_groups[0]["lr"] == 0.25 * 0.5**2
    assert type(cli.model.loss).__name__ == "RelativeL2"


def test_a_loss_and_a_sum_of_losses_come_from_a_file(here):
    Path("loss.yaml").write_text(
        "model:\n"
        "  init_args:\n"
        "    loss:\n"
        "      class_path: fno_lightning.losses.WeightedSum\n"
        "      init_args:\n"
        "        losses:\n"
        "          - {class_path: fno_lightning.losses.VRMSE, init_args: {weights: {flux: 3}}}\n"
        "          - {class_path: fno_lightning.losses.Spectrum}\n"
        "        factors: [1, 0.1]\n"
    )
    cli = fit("--config=loss.yaml")
    first, second = cli.model.loss.losses
    assert (type(first).__name__, type(second).__name__, cli.model.loss.factors) == ("VRMSE", "Spectrum", [1.0, 0.1])
    assert first.weight.tolist() == [0.5, 1.5]
    assert torch.isfinite(cli.trainer.callback_metrics["val/loss"])
    main(["test", "--config", "runs/wave/version_0/config.yaml", "--ckpt_path", BEST])
    cli = fit("--model.init_args.loss=VRMSE", '--model.init_args.loss.init_args.weights={"flux": 3}')
    assert cli.model.loss.weight.tolist() == [0.5, 1.5]


def test_the_rhythm_of_a_schedule_comes_from_a_file(here):
    Path("schedule.yaml").write_text(
        "trainer: {max_epochs: 2}\n"
        "model:\n"
        "  init_args:\n"
        "    lr_scheduler: {class_path: torch.optim.lr_scheduler.OneCycleLR, init_args: {max_lr: 0.01}}\n"
    )
    trainer = fit("--config=schedule.yaml").trainer
    (schedule,) = trainer.lr_scheduler_configs
    assert schedule.scheduler.last_epoch == schedule.scheduler.total_steps == trainer.global_step
    options = "--model.init_args.lr_scheduler=StepLR", "--model.init_args.lr_scheduler.init_args.step_size=1"
    trainer = fit(*options, "--model.init_args.lr_interval=step", "--model.init_args.lr_frequency=2").trainer
    (schedule,) = trainer.lr_scheduler_configs
    assert schedule.scheduler.last_epoch == trainer.global_step // 2


def test_an_optimizer_given_on_the_command_line_keeps_its_own_defaults(here):
    cli = fit("--model.init_args.optimizer=torch.optim.Adam", "--trainer.limit_train_batches=1")
    assert cli.trainer.optimizers[0].param_groups[0]["weight_decay"] == 0


def test_weights_of_fields_that_do_not_exist_are_refused_in_one_line(failing):
    told = failing("--model.init_args.loss=VRMSE", '--model.init_args.loss.init_args.weights={"flow": 3}')
    assert told == (
        "error: weights of the loss name the fields ['flow'], but the data have ['height', 'flux'] (FNOModule)"
    )


@pytest.mark.parametrize(
    ("value", "modes"), [("false", []), ("true", [None]), ("reduce-overhead", ["reduce-overhead"])]
)
def test_the_compilers_mode_comes_from_the_command_line(value, modes, here, monkeypatch):
    used = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, mode=None: used.append(mode))
    fit(f"--model.init_args.compile={value}", "--trainer.max_steps=0")
    assert used == modes


def test_an_unknown_mode_of_the_compiler_is_refused(failing):
    told = failing("--model.init_args.compile=fast")
    assert told.endswith("expected bool or one of 'default', 'reduce-overhead', 'max-autotune', got fast")


def test_a_saved_configuration_replays(here):
    first = fit()
    second = main(["fit", "--config", "runs/wave/version_0/config.yaml"])
    for name, weight in first.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], weight, rtol=0, atol=0)


def test_print_config_is_a_starting_point(here, capsys):
    with pytest.raises(SystemExit):
        fit("--print_config")
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["init_args"]["hidden_channels"] == 8
    Path("printed.yaml").write_text(yaml.safe_dump(printed))
    assert main(["fit", "--config", "printed.yaml", "--trainer.max_steps=0"]).model.network_arguments["n_layers"] == 2


def test_a_checkpoint_decides_the_network_and_the_command_line_the_run(here):
    fit("--model.init_args.hidden_channels=6")
    loss = "--model.init_args.loss=fno_lightning.losses.RelativeL2"
    cli = main(["test", "--config", "wave.yaml", "--ckpt_path", BEST, loss])
    assert cli.model.network_arguments["hidden_channels"] == 6
    assert type(cli.model.loss).__name__ == "RelativeL2"


def test_a_checkpoint_is_tested_on_another_resolution(here):
    fit()
    finer = "--data.init_args.pde.init_args.grid=[24]"
    with pytest.warns(UserWarning, match="on a grid of 24 points, but the network was trained on 16 alone"):
        cli = main(["test", "--config", "wave.yaml", "--ckpt_path", BEST, finer])
    assert cli.model.spec.grid_shape == (24,)
    assert cli.trainer.callback_metrics["test/vrmse"] < 2


def test_a_checkpoint_of_another_history_is_refused(here):
    fit()
    with pytest.raises(ValueError, match="the checkpoint takes n_steps_input=2 past frames, but the data give 3"):
        main(["test", "--config", "wave.yaml", "--ckpt_path", BEST, "--data.init_args.n_steps_input=3"])


def test_a_checkpoint_made_in_python_is_tested_from_the_command_line(here, make_data, make_trainer):
    data = make_data()
    module = TFNOModule(data.spec, n_modes=(8,), n_steps_input=2, hidden_channels=8)
    trainer = make_trainer()
    trainer.fit(module, data)
    trainer.save_checkpoint("python.ckpt")
    cli = main(["test", "--config", "wave.yaml", "--ckpt_path", "python.ckpt"])
    assert type(cli.model) is TFNOModule


def test_a_misspelt_option_is_named(here, capsys):
    with pytest.raises(SystemExit):
        fit("--model.init_args.hiden_channels=4")
    assert "hiden_channels" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("program", [["-m", "fno_lightning"], ["script"]])
def test_a_users_module_in_the_current_directory_is_found(program, here):
    Path("my_models.py").write_text(USER_MODULE)
    script = Path(sys.executable).with_name("fno-lightning")
    command = [str(script)] if program == ["script"] else [sys.executable, *program]
    root = Path(__file__).parents[1]
    options = ["--trainer.limit_train_batches=1", "--model=my_models.Pointwise", "--model.init_args.width=5"]
    config = yaml.safe_load(CONFIG)
    del config["model"]
    Path("user.yaml").write_text(yaml.safe_dump(config))
    finished = subprocess.run(
        [*command, "fit", "--config", "user.yaml", *options],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    weights = torch.load("runs/wave/version_0/checkpoints/best.ckpt", weights_only=True)
    assert weights["hyper_parameters"]["width"] == 5


def test_tensorboard_shows_configuration_and_losses(here):
    fit("--trainer.callbacks+=LearningRateMonitor")
    events = EventAccumulator("runs/wave/version_0").Reload()
    assert "config/text_summary" in events.Tags()["tensors"]
    shown = events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "hidden_channels: 8" in shown
    assert {"train/loss", "val/loss", "val/vrmse", "val/vrmse/height", "lr-AdamW"} <= set(events.Tags()["scalars"])


def test_a_loaded_checkpoint_predicts_without_data(here):
    fit()
    module = ForecastModule.load_from_checkpoint(BEST, weights_only=True)
    assert type(module) is FNOModule
    assert module.forecast(torch.zeros(1, 2, 2, 16), scalars=torch.ones(1, 1), n_steps=4).shape == (1, 4, 2, 16)


@pytest.mark.long
def test_two_processes_share_the_work(here):
    options = ["--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.max_epochs=2"]
    finished = subprocess.run(
        [sys.executable, "-m", "fno_lightning", "fit", "--config", "wave.yaml", *options],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert Path(BEST).is_file()


@pytest.mark.long
def test_a_test_shows_the_other_best_checkpoint_beside_the_one_that_is_asked_for(here, capsys):
    """The rows of both are what a test of each alone logs."""
    callbacks = [
        {
            "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
            "init_args": {"filename": name, "monitor": monitor, "auto_insert_metric_name": False},
        }
        for name, monitor in (("best", "val/vrmse"), ("best_rollout", "val/rollout/vrmse"))
    ]
    callbacks += [{"class_path": f"fno_lightning.callbacks.{name}"} for name in ("OneStepErrors", "ErrorTable")]
    rollouts = {"class_path": "fno_lightning.callbacks.RolloutEvaluation", "init_args": {"windows": [[0, 2]]}}
    options = ["--config=wave.yaml", f"--trainer.callbacks={json.dumps([*callbacks, rollouts])}"]
    main(["fit", *options, "--trainer.max_epochs=2"])
    folder = Path("runs/wave/version_0/checkpoints")
    rows = {}
    for name in ("best", "best_rollout"):
        capsys.readouterr()
        cli = main(["test", *options, f"--ckpt_path={folder / name}.ckpt"])
        printed = [line for line in capsys.readouterr().out.splitlines() if "│ best" in line]
        rows[name] = {line.split("│")[1].strip(): line for line in printed}
        assert next(iter(rows[name])) == f"{name}.ckpt"
        logged = cli.trainer.callback_metrics
        assert f"{logged['test/vrmse']:.3g}" in printed[0]
        assert f"{logged['test/rollout/vrmse_0-2']:.3g}" in printed[0]
    assert rows["best"] == rows["best_rollout"]
    assert len(list(Path("runs/wave").glob("version_*"))) == 3
    assert len(list(Path().rglob("trajectories*.csv"))) == 2  # of the checkpoints that were asked for
