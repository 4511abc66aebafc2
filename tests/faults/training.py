"""Small trainings of the command line that everything is in which a resumed one has to take up again."""

from __future__ import annotations

import json
import os
import pydoc
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler, ReduceLROnPlateau

from fno_lightning.__main__ import run
from fno_lightning.checkpoints import last_checkpoint, save_atomically
from fno_lightning.cli import prepare_process
from fno_lightning.modules import FNOModule

LOSSES = "losses.csv"
"""Lines of the epoch, the step and the bits of its loss, of every start of a training."""

FINAL = "final.ckpt"
"""The checkpoint of the end of a training."""


class FinalCheckpoint(Callback):
    """Save the end of a training."""

    def on_train_end(self, trainer, pl_module):
        trainer.save_checkpoint(FINAL)


class RecordedFNO(FNOModule):
    """Appends the loss of every step to a file, which a kill leaves as it is."""

    def on_train_start(self):
        super().on_train_start()
        with Path(LOSSES).open("a") as file:
            file.write(f"start,{self.trainer.global_step},\n")

    def step(self, batch):
        loss, prediction = super().step(batch)
        if self.training:
            samples = sha256(b"".join(part.contiguous().cpu().numpy().tobytes() for part in batch[:4])).hexdigest()
            with Path(LOSSES).open("a") as file:
                file.write(f"{self.trainer.current_epoch},{samples},{loss.item().hex()}\n")
        return loss, prediction


class Halving(ExponentialLR):
    """A schedule by epoch."""

    def __init__(self, optimizer):
        super().__init__(optimizer, gamma=0.5)


class HalvingByError(ReduceLROnPlateau):
    """A schedule that follows the validation, and halves the rate after each but the first."""

    def __init__(self, optimizer):
        super().__init__(optimizer, factor=0.5, patience=0, threshold=1e3, threshold_mode="abs")


def _config(trainer, model, data):
    saver = {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": {
            "dirpath": "kept",
            "filename": "{step}",
            "monitor": "step",
            "mode": "max",
            "save_top_k": 2,
            "every_n_train_steps": 2,
            "save_last": True,
        },
    }
    averages = {"class_path": "lightning.pytorch.callbacks.EMAWeightAveraging", "init_args": {"decay": 0.9}}
    logger = {"class_path": "lightning.pytorch.loggers.TensorBoardLogger", "init_args": {"save_dir": "runs"}}
    return {
        "seed_everything": 3,
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": 3,
            "limit_train_batches": 7,
            "log_every_n_steps": 1,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "logger": logger,
            "callbacks": [saver, averages, {"class_path": "tests.faults.training.FinalCheckpoint"}],
            **trainer,
        },
        "model": {
            "class_path": "tests.faults.training.RecordedFNO",
            "init_args": {
                "n_modes": [4],
                "hidden_channels": 4,
                "n_layers": 2,
                "channel_mlp_dropout": 0.2,
                "input_noise": 0.05,
                "lr_scheduler": {"class_path": "fno_lightning.modules.WarmupCosine"},
                **model,
            },
        },
        "data": {
            "class_path": "fno_lightning.GeneratedDataModule",
            "init_args": {
                "n_train": 2,
                "batch_size": 3,
                "n_steps_input": 2,
                "n_steps_output": 3,
                "pde": {"class_path": "tests.travelling_wave.TravellingWave", "init_args": {"grid": [16]}},
                **data,
            },
        },
    }


_PUSHFORWARD = {
    "class_path": "fno_lightning.unrolling.Pushforward",
    "init_args": {"probabilities": [0.5, 0.5], "begin": 0.0, "end": 0.5},
}
_BALANCED = {
    "class_path": "fno_lightning.losses.ReLoBRaLo",
    "init_args": {"losses": [{"class_path": "fno_lightning.losses.VRMSE"}, {"class_path": "fno_lightning.losses.MSE"}]},
}
_BY_EPOCH = {"class_path": "tests.faults.training.Halving"}
_BY_ERROR = {"class_path": "tests.faults.training.HalvingByError"}
_SEVERAL = {"class_path": "fno_lightning.multistep.MultiStepStrategy", "init_args": {"steps_per_execution": 3}}

VARIANTS = {
    "workers": _config({}, {"unrolling": _PUSHFORWARD, "lr_scheduler": _BY_ERROR}, {"num_workers": 1}),
    "several": _config(
        {"strategy": _SEVERAL, "gradient_clip_val": 0.5},
        {"lr_scheduler": _BY_EPOCH},
        {"num_workers": 2, "persistent_workers": True},
    ),
    "balanced": _config(
        {"accumulate_grad_batches": 2, "precision": "bf16-mixed"}, {"loss": _BALANCED}, {"train_strides": [1, 2]}
    ),
}
"""Configurations by name: worker processes and pushforward; several steps at once; balanced losses in bfloat16."""


def fit(folder: Path, variant: str, *, by_command_line: bool) -> None:
    """Do in a folder what ``fno-lightning fit --ckpt_path last`` does, with all output in ``output.txt``.

    The command line takes longer to read its options than the training takes; without it the same objects are made.
    """
    os.chdir(folder)
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    torch.set_num_threads(1)
    if by_command_line:
        Path("config.yaml").write_text(json.dumps(VARIANTS[variant]))
        sys.argv = ["fno-lightning", "fit", "--config", "config.yaml", "--ckpt_path", "last"]
        run()
        return
    prepare_process()
    config = VARIANTS[variant]
    seed_everything(config["seed_everything"])
    trainer, data = Trainer(**_made(config["trainer"])), _made(config["data"])
    save_atomically(trainer)
    options = _made(config["model"]["init_args"])
    module = RecordedFNO(spec=data.spec, n_steps_input=data.n_steps_input, **options)
    trainer.fit(module, data, ckpt_path=last_checkpoint(trainer))


def _made(config: Any) -> Any:
    """Return a part of a configuration with the objects that it names."""
    if isinstance(config, list):
        return [_made(entry) for entry in config]
    if not isinstance(config, dict):
        return config
    if "class_path" not in config:
        return {key: _made(value) for key, value in config.items()}
    kind = pydoc.locate(config["class_path"])
    if issubclass(kind, LRScheduler):  # made with the optimizer
        return kind
    return kind(**_made(config.get("init_args", {})))
