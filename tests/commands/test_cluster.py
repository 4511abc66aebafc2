"""The start scripts, which stand-ins of a batch system run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

from fno_lightning.commands.cluster import main
from tests.wave_config import CONFIG

SRUN = """#!/bin/bash
while [[ "$1" == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """#!/bin/bash
echo "$@" >> requeued.txt
"""


class SignalsOnce(Callback):
    """Sends the process a signal, if that has not happened in this folder."""

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == 2 and not Path("signalled").exists():
            Path("signalled").touch()
            os.kill(os.getpid(), signal.SIGUSR1)


def script(capsys, *args):
    assert main(args) == 0
    return capsys.readouterr().out


def test_a_job_asks_for_what_was_asked_of_it(capsys):
    asked = ("--nodes", "4", "--processes", "8", "--gpus", "--bind", "--partition", "long", "--account", "abc")
    found = script(capsys, *asked, "--", "fit", "--config", "trl2d")
    wanted = ("nodes=4", "ntasks-per-node=8", "gpus-per-node=8", "partition=long", "account=abc", "signal=USR1@120")
    for option in wanted:
        assert f"#SBATCH --{option}\n" in found
    for option in ("num_nodes=4", "devices=8", "accelerator=gpu", "strategy=ddp"):
        assert f"--trainer.{option}" in found
    assert "--ckpt_path=last" in found
    assert "CoreAffinity" in found


def test_what_the_command_says_itself_is_kept(capsys):
    options = ("--trainer.strategy=fsdp", "--ckpt_path", "a.ckpt")
    found = script(capsys, "--nodes", "2", "--", "fit", "--config", "trl2d", *options)
    assert "strategy=ddp" not in found
    assert "--ckpt_path=last" not in found
    quoted = script(capsys, "--", "fit", "--config", "my file.yaml")
    assert "'my file.yaml'" in quoted


@pytest.mark.parametrize("launcher", ["slurm", "torchrun"])
def test_scripts_are_bash(capsys, launcher):
    found = script(capsys, "--launcher", launcher, "--nodes", "2", "--", "fit", "--config", "trl2d")
    assert subprocess.run(["bash", "-n"], input=found, text=True, capture_output=True, check=True).stderr == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "stands behind two dashes"),
        (("--", "test"), "begins with fit"),
        (("--nodes", "0", "--", "fit"), "--nodes is 0"),
        (("--notice", "0", "--", "fit"), "--notice is 0"),
    ],
)
def test_bad_arguments_are_named(args, message):
    with pytest.raises(ValueError, match=message):
        main(args)


@pytest.mark.long
def test_a_job_that_is_ended_is_queued_again_and_goes_on(capsys, tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    for name, text in {
        "srun": SRUN,
        "scontrol": SCONTROL,
        "python": f'#!/bin/bash\nexec {sys.executable} "$@"\n',
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    options = ["--trainer.max_epochs=2", "--trainer.callbacks+=tests.commands.test_cluster.SignalsOnce"]
    job = script(capsys, "--cores", "1", "--", "fit", "--config", "config.yaml", *options)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "SLURM_JOB_ID": "1234",
    }
    environment.pop("PL_GLOBAL_SEED", None)

    def run():
        return subprocess.run(
            ["bash", "-c", job], cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
        )

    first = run()
    assert first.returncode == 75, first.stderr
    assert (tmp_path / "requeued.txt").read_text() == "requeue 1234\n"
    second = run()
    assert second.returncode == 0, second.stderr
    assert "goes on from" in second.stderr
    assert (tmp_path / "requeued.txt").read_text() == "requeue 1234\n"
    done = torch.load(next(tmp_path.glob("runs/wave/version_1/checkpoints/best.ckpt")), weights_only=True)
    assert done["epoch"] == 1
