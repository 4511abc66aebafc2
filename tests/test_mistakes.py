"""Mistakes of every kind, each told in one line with the option's name."""

import logging
import re
import sys
from pathlib import Path

import jaxtyping
import pytest

from fno_lightning.__main__ import run
from fno_lightning.callbacks import (
    ErrorTable,
    HyperparameterSummary,
    OneStepErrors,
    ResolutionErrors,
    RolloutEvaluation,
)
from fno_lightning.commands import COMMANDS
from fno_lightning.parser import OTHER_COMMANDS
from tests.wave_config import CONFIG

WAVE = ["--config", "wave.yaml"]
WELL, FNO = "fno_lightning.data.GeneratedDataModule", "fno_lightning.modules.FNOModule"


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """Run the program with wrong arguments; return the line that says what is wrong, without ``error: ``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger("fno_lightning"), "handlers", [])  # the program adds one to a passing stream
    Path("wave.yaml").write_text(CONFIG)

    def line(*args):
        monkeypatch.setattr(sys, "argv", ["fno-lightning", *args])
        with pytest.raises(SystemExit) as stopped:
            run()
        printed = stopped.value.code if isinstance(stopped.value.code, str) else capsys.readouterr().err
        first, *hints = printed.strip().splitlines()
        assert len(hints) <= 1
        assert all("FNO_LIGHTNING_TRACEBACK" in hint for hint in hints)
        return first.removeprefix("error: ")

    return line


@pytest.fixture
def unchecked():
    """Run without the type checks of the tests, which a user does not have."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ErrorTable(metrics="vrmse"), "metrics is 'vrmse', expected a list"),
        (lambda: HyperparameterSummary(metrics="val/loss"), "metrics is 'val/loss', expected a list"),
        (lambda: OneStepErrors(metrics="vrmse"), "metrics is 'vrmse', expected a dictionary"),
        (lambda: OneStepErrors(metrics=["vrmse"]), "metrics is ['vrmse'], expected a dictionary"),
        (lambda: RolloutEvaluation(metrics="vrmse"), "metrics is 'vrmse', expected a dictionary"),
        (lambda: RolloutEvaluation(windows="6-12"), "windows is '6-12', expected a list"),
        (lambda: RolloutEvaluation(windows=[6, 12]), "windows[0] is 6, expected a list"),
        (lambda: ResolutionErrors("64"), "resolutions is '64', expected a list"),
        (lambda: ResolutionErrors([64, 64]), "resolutions[0] is 64, expected a list"),
        (lambda: ResolutionErrors(["64x64"]), "resolutions[0] is '64x64', expected a list"),
    ],
)
def test_one_text_is_no_list_in_python_either(make, message, unchecked):
    with pytest.raises(TypeError) as raised:
        make()
    assert str(raised.value).startswith(message)


def test_the_parser_knows_all_commands():
    assert set(OTHER_COMMANDS) == set(COMMANDS)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            [],
            "a command is missing, one of fit, validate, test, predict, check, cluster, configs, convert, generate,",
        ),
        (WAVE, "a command is missing, one of fit"),
        (["fti"], "there is no command fti, did you mean fit?"),
        (["cofigs"], "there is no command cofigs, did you mean configs?"),
        (["fit"], "--model and --data must be given, here or in a file, such as --config trl2d"),
        (["generate"], "--data must be given, here or in a file"),
        (["convert"], "--weights, --output must be given"),
        (
            ["convert", "--weights=a", "--output=b"],
            "weights: a is no file, nor has it model.safetensors",
        ),
        (["transfer"], "--config must be given"),
        (["check"], "files must be given"),
        (["fit", "wave.yaml"], "wave.yaml is no option, did you mean --config wave.yaml?"),
        (["fit", *WAVE, "trainer.max_epochs=2"], "trainer.max_epochs=2 is no option, options begin with --"),
        (["generate", "wave.yaml"], "wave.yaml is no option, did you mean --config wave.yaml?"),
        (["check", "--wrong", "."], "there is no option --wrong"),
        (["configs", "--wrong"], "there is no option --wrong"),
        (["transfer", "--config=transfer", "--sizez=3"], "there is no option --sizez, did you mean sizes?"),
        (["transfer", "--config=transfer", "--sizes=a"], "--sizes: expected a list, got a"),
    ],
)
def test_a_wrong_command(args, message, told):
    assert told(*args).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("trainer:\n\tmax_epochs: 3\n", ", line 2, column 1: found character '\\t' that cannot start any token"),
        ("trainer: max_epochs: 3\n", ", line 1, column 20: mapping values are not allowed here"),
        ("trainer: {max_epochs: [8}\n", ", line 1, column 25: expected ',' or ']', but got '}'"),
        ("seed_everything: 0\nseed_everything: 1\n", ", line 1, column 1: seed_everything is given twice"),
        ("- a\n- b\n", " holds ['a', 'b'], expected options by name"),
        ("hello\n", " holds 'hello', expected options by name"),
        ("base: own.yaml\n", " starts from itself"),
        ("base: [a]\n", ": base is ['a'], expected the name of a configuration"),
        (b"\x89HDF\r\n\x1a\n", " is not text in UTF-8"),
        ("# f\u00fcr dich\n".encode("latin-1"), " is not text in UTF-8"),
        ("a: \x00\n", ": unacceptable character #x0000"),
    ],
)
@pytest.mark.parametrize("command", ["fit", "generate", "transfer"])
def test_a_file_that_is_no_configuration(command, content, message, told):
    Path("own.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert told(command, "--config=own.yaml").startswith(f"own.yaml{message}")


def test_yaml_on_the_command_line(told):
    assert told("fit", *WAVE, "--config={trainer: {max_epochs: 1").startswith(
        "--config, line 1, column 25: expected ','"
    )
    option = "--trainer.callbacks=[{class_path: ErrorTable"
    assert told("fit", *WAVE, option).startswith(
        "--trainer.callbacks: [{class_path: ErrorTable is not YAML, expected ','"
    )


@pytest.mark.parametrize("command", ["fit", "generate", "transfer"])
def test_no_file_at_all(command, told):
    Path("folder.yaml").mkdir()
    assert told(command, "--config=nothing").startswith(
        "there is no configuration nothing, neither a file nor a shipped"
    )
    assert told(command, "--config=folder.yaml").startswith("there is no configuration folder.yaml, neither a file")
    assert told(command, "--config=").startswith("the configuration is empty")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trainer.max_epochs="], "--trainer.max_epochs: expected int, got ''"),
        (["--trainer.max_epochs=2.5"], "--trainer.max_epochs: expected int, got 2.5"),
        (["--trainer.limit_val_batches=a"], "--trainer.limit_val_batches: expected int or float, got a"),
        (["--seed_everything=-3"], "--seed_everything: expected a number from 0 to 4294967295, got -3"),
        (["--batch_size=8"], "there is no option --batch_size, did you mean data.init_args.batch_size?"),
        (["--n_modes=[8]"], "there is no option --n_modes, did you mean model.init_args.n_modes?"),
        (["--lr=0.1"], "there is no option --lr, did you mean model.init_args.optimizer.init_args.lr?"),
        (["--max_epochs=3"], "there is no option --max_epochs, did you mean trainer.max_epochs?"),
        (["--model=FNOModul"], "--model: there is no class FNOModul, did you mean FNOModule?"),
        (["--model="], "--model: there is no class ''"),
        (["--model=torch.nn.Linear"], "--model: torch.nn.Linear is no ForecastModule"),
        (["--model=ForecastModule"], "--model: ForecastModule is abstract"),
        (["--data=WellDataModule"], "--data .*: the following arguments are required: dataset_name"),
        (
            ["--data.pde=fno_lightning.pdes.Burgerz"],
            "--data.*: there is no Burgerz in fno_lightning.pdes, did you",
        ),
        (["--model.init_args.rank=a"], f"--model.init_args.rank \\({FNO}\\): expected int or float or a list, got a"),
        (["--model.init_args.n_modes=4,4"], f"--model.init_args.n_modes \\({FNO}\\): expected a list, got 4,4"),
        (["--data.init_args.fields=height"], f"--data.init_args.fields \\({WELL}\\): expected a list, got height"),
        (["--data.init_args.base_path="], "base_path is empty: leave it out, or write . for the current folder"),
        (
            ["--trainer.callbacks=ErrorTabel"],
            "--trainer.callbacks: there is no class ErrorTabel, did you mean Err",
        ),
        (
            ["--trainer.logger=TensorBoard"],
            "--trainer.logger: there is no class TensorBoard, did you mean Tensor",
        ),
        (["--trainer.accelerator=tpuu"], "You selected an invalid accelerator name: `accelerator='tpuu'`"),
        (["--trainer.strategy=dp"], "You selected an invalid strategy name: `strategy='dp'`"),
        (["--trainer.devices=many"], "`devices` selected with `CPUAccelerator` should be an int > 0"),
        (["--trainer.profiler=simpel"], "When passing string value for the `profiler` parameter"),
    ],
)
def test_a_wrong_value_or_option(options, message, told):
    assert re.match(message, told("fit", *WAVE, *options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["lr=1e-3x"], "--model.init_args.optimizer.init_args.lr: expected float, got 1e-3x"),
        (["lr=-1"], "Invalid learning rate: -1.0 \\(AdamW\\)"),
        (["lrr=1"], "--model.init_args.optimizer.init_args.lrr: torch.optim.AdamW has no option lrr, did you mean lr?"),
    ],
)
def test_a_wrong_option_of_an_optimizer(options, message, told):
    chosen = "--model.init_args.optimizer=torch.optim.AdamW"
    assert re.match(message, told("fit", *WAVE, chosen, f"--model.init_args.optimizer.{options[0]}"))


def test_a_schedule_without_its_argument(told):
    optimizer = "--model.init_args.optimizer=torch.optim.SGD"
    schedule = "--model.init_args.lr_scheduler=StepLR"
    message = "--model.init_args.lr_scheduler: the following arguments are required: step_size"
    assert told("fit", *WAVE, optimizer, schedule) == message


def test_a_monitor_that_is_not_logged(told):
    options = ["--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=val/nothing"]
    assert told("fit", *WAVE, *options).startswith(
        "Early stopping conditioned on metric `val/nothing` which is not avail"
    )


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ("experiment: wave.yaml\n", "own.yaml has no downstream data sets"),
        ("experiment: wave.yaml\ndownstream: [a]\n", "downstream is ['a'], expected a dictionary"),
        ("experiment: wave.yaml\ndownstream: {a: 3}\n", "downstream['a'] is 3, expected a dictionary"),
        (
            "experiment: wave.yaml\ndownstream: {a: {}}\nsizez: [3]\n",
            "own.yaml has the keys ['sizez'], but a",
        ),
        ("experiment: nothing\ndownstream: {a: {}}\n", "there is no configuration nothing"),
    ],
)
def test_a_wrong_study(study, message, told, unchecked):
    Path("own.yaml").write_text(study)
    assert told("transfer", "--config=own.yaml").startswith(message)


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        *([command, "--help"] for command in ("fit", "validate", "test", "predict", *OTHER_COMMANDS)),
        ["fit", "--model.help=FNOModule"],
        ["fit", "--trainer.callbacks.help=ErrorTable"],
        ["fit", "--data=GeneratedDataModule", "--data.pde.help=Burgers"],
        ["generate", "--data.help=WellDataModule"],
    ],
)
def test_every_help_names_the_program(args, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/some/where/__main__.py", *args])
    with pytest.raises(SystemExit) as stopped:
        run()
    assert stopped.value.code in (None, 0)
    assert capsys.readouterr().out.startswith("usage: fno-lightning ")
