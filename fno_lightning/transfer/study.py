"""Pre-trains, and then for each number of downstream examples fine-tunes and trains from scratch."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fno_lightning.cli import FNOCLI, main
from fno_lightning.data.atomic_file import atomic_file
from fno_lightning.transfer.report import write_report
from fno_lightning.transfer.result import Kind, Result

logger = logging.getLogger(__name__)

Config = dict[str, Any]
"""A part of a configuration, as in a YAML file."""

QUIET: Config = {"enable_progress_bar": False, "enable_model_summary": False}


@dataclass(frozen=True)
class TransferStudy:
    """How much data a pre-trained model saves, after Subramanian et al., NeurIPS 2023, arXiv:2306.00258.

    The experiment is trained once on its own data. For each downstream data set, which is the same but for a few
    settings, and each number of examples a model is fine-tuned from those weights and another is trained from scratch,
    with the same number of steps; of several learning rates the best on the validation split counts. The pre-trained
    model alone is the case of no examples (``zero-shot``).

    Every run is an ordinary ``fit`` and ``test`` of the command line; its folder keeps ``override.yaml``, with which it
    can be repeated, and its result. A study that was interrupted goes on where it stopped.

    Args:
        experiment: Configuration of the pre-training, a YAML file with a GeneratedDataModule.
        downstream: What differs in each downstream data set, by name: parts of a configuration.
        folder: Where the results are written.
        sizes: Numbers of downstream examples.
        steps: Optimizer steps of a downstream training.
        batch_size: Largest batch of a downstream training.
        learning_rates: Learning rates of downstream trainings.
        seeds: Seeds of downstream trainings; each also takes other examples.
        pretrain: What differs from the experiment in the pre-training.
        finetune: What differs from the experiment in fine-tuning, e.g. parts to freeze.
        scratch: What differs from the experiment in training from scratch.
        pretrained: Checkpoint to start from instead of pre-training.
        metric: The error, by its log name.

    Raises:
        ValueError: if there is nothing to do, or a size or the number of steps is not positive.
    """

    experiment: str
    downstream: dict[str, Config]
    folder: str = "runs/transfer"
    sizes: Sequence[int] = (8, 32, 128, 512)
    steps: int = 500
    batch_size: int = 32
    learning_rates: Sequence[float] = (1e-3,)
    seeds: Sequence[int] = (0,)
    pretrain: Config = field(default_factory=dict)
    finetune: Config = field(default_factory=dict)
    scratch: Config = field(default_factory=dict)
    pretrained: str | None = None
    metric: str = "nrmse"

    def __post_init__(self) -> None:
        for name in ("downstream", "sizes", "learning_rates", "seeds"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty, expected at least one")
        if min(*self.sizes, self.steps, self.batch_size) < 1:
            raise ValueError(
                f"sizes {list(self.sizes)}, steps {self.steps} and batch_size {self.batch_size} must be positive"
            )
        for path in filter(None, (self.experiment, self.pretrained)):
            if not Path(path).is_file():
                raise ValueError(f"there is no file {path}: give the path of a configuration or checkpoint")

    def run(self) -> list[Result]:
        """Does what is not done yet, writes table and figure after each data set, and returns the results."""
        checkpoint = self.pretrained or self._pretrain()
        results: list[Result] = []
        for shift in self.downstream:
            results.append(self._zero_shot(shift, checkpoint))
            for size in sorted(self.sizes):
                for seed in self.seeds:
                    results += [
                        self._best(shift, "fine-tuned", size, seed, {"initial_weights": checkpoint}),
                        self._best(shift, "from scratch", size, seed, {}),
                    ]
                write_report(Path(self.folder), results, self.metric)
        return results

    def _pretrain(self) -> str:
        """Returns the checkpoint of the pre-training, after training if there is none."""
        folder = self._run_folder("pretrain", self.pretrain)
        done = folder / "best.json"
        if not done.exists():
            cli = self._fit(folder, self.pretrain)
            with atomic_file(done) as temporary:
                temporary.write_text(json.dumps(cli.trainer.checkpoint_callback.best_model_path))  # type: ignore[union-attr]
        path: str = json.loads(done.read_text())
        return path

    def _zero_shot(self, shift: str, checkpoint: str) -> Result:
        override = self._data(shift, max(self.sizes), seed=0)
        folder = self._run_folder(f"{shift}-zero-shot", {"override": override, "checkpoint": checkpoint})
        if not (folder / "result.json").exists():
            self._write_override(folder, override)
            error = self._test(folder, checkpoint)
            Result(shift, "zero-shot", 0, 0, 0.0, error, error).save(folder / "result.json")
        return Result.load(folder / "result.json")

    def _best(self, shift: str, kind: Kind, size: int, seed: int, start: Mapping[str, Any]) -> Result:
        """The result of the learning rate that does best on the validation split."""
        results = [self._train(shift, kind, size, seed, rate, start) for rate in self.learning_rates]
        return min(results, key=lambda result: result.valid_error)

    def _train(self, shift: str, kind: Kind, size: int, seed: int, rate: float, start: Mapping[str, Any]) -> Result:
        override = merged(
            self.finetune if start else self.scratch,
            self._data(shift, size, seed),
            self._trainer(),
            {"seed_everything": seed, "model": {"init_args": {**start, "optimizer": {"init_args": {"lr": rate}}}}},
        )
        folder = self._run_folder(f"{shift}-{kind.replace(' ', '-')}-{size}-seed{seed}-lr{rate:g}", override)
        if not (folder / "result.json").exists():
            shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run has left
            cli = self._fit(folder, override)
            checkpoint = cli.trainer.checkpoint_callback
            valid_error = float(checkpoint.best_model_score)  # type: ignore[union-attr]
            test_error = self._test(folder, checkpoint.best_model_path)  # type: ignore[union-attr]
            Result(shift, kind, size, seed, rate, valid_error, test_error).save(folder / "result.json")
            logger.info("%s, %s, %d examples, seed %d: %s %.4g", shift, kind, size, seed, self.metric, test_error)
        return Result.load(folder / "result.json")

    def _data(self, shift: str, size: int, seed: int) -> Config:
        """The downstream data: of its train split, every how many-th example; each seed takes others.

        Seed 0 is that of most pre-trainings, whose sources and initial states are not used again.
        """
        n_train = max(self.sizes)
        init_args = {"n_train": n_train, "subsample": n_train // size, "batch_size": min(self.batch_size, size)}
        return merged(
            {"data": {"init_args": init_args}}, self.downstream[shift], {"data": {"init_args": {"seed": seed + 1}}}
        )

    def _trainer(self) -> Config:
        """As many steps for every size, with ten validations."""
        validations = {"check_val_every_n_epoch": None, "val_check_interval": -(-self.steps // 10)}
        return {"trainer": {"max_steps": self.steps, "max_epochs": -1, "log_every_n_steps": 10, **validations}}

    def _callbacks(self) -> list[Config]:
        checkpoint = {
            "filename": "best",
            "monitor": f"val/{self.metric}",
            "save_last": True,
            "save_on_train_epoch_end": False,
        }
        return [
            {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": checkpoint},
            {"class_path": "fno_lightning.callbacks.OneStepErrors"},
        ]

    def _fit(self, folder: Path, override: Config) -> FNOCLI:
        """Trains, or goes on with what was interrupted."""
        self._write_override(folder, override)
        last = folder / "checkpoints" / "last.ckpt"
        with _as_program():
            return main(["fit", *self._configs(folder), *(["--ckpt_path", str(last)] if last.exists() else [])])

    def _test(self, folder: Path, checkpoint: str) -> float:
        with _as_program():
            cli = main(["test", *self._configs(folder), "--ckpt_path", checkpoint])
        return cli.trainer.callback_metrics[f"test/{self.metric}"].item()

    def _configs(self, folder: Path) -> list[str]:
        return ["--config", self.experiment, "--config", str(folder / "override.yaml")]

    def _write_override(self, folder: Path, override: Config) -> None:
        logger_args = {"save_dir": str(folder), "name": "", "version": "", "default_hp_metric": False}
        common = {
            "trainer": {
                **QUIET,
                "callbacks": self._callbacks(),
                "logger": {"class_path": "lightning.pytorch.loggers.TensorBoardLogger", "init_args": logger_args},
            }
        }
        with atomic_file(folder / "override.yaml") as temporary:
            temporary.write_text(yaml.safe_dump(merged(common, override), sort_keys=False))

    def _run_folder(self, name: str, settings: Mapping[str, Any]) -> Path:
        """A folder for a run, another one for other settings."""
        identity = json.dumps([Path(self.experiment).read_text(), settings, self.steps, self.metric], sort_keys=True)
        return Path(self.folder) / f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def merged(*configs: Mapping[str, Any]) -> Config:
    """Puts parts of a configuration together; where they name the same value, the later one wins."""
    result: Config = {}
    for config in configs:
        for key, value in config.items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = merged(result[key], value) if both else value
    return result


@contextmanager
def _as_program() -> Iterator[None]:
    """Hides the arguments of this process, which LightningCLI would take for its own."""
    arguments = sys.argv
    sys.argv = arguments[:1]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # it goes on
            yield
    finally:
        sys.argv = arguments
