"""Pre-training, then fine-tuning and training from scratch for each number of downstream examples."""

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
from typing import Any, TypeAlias

import yaml

from fno_lightning.arguments import require_list, require_mapping
from fno_lightning.cli import FNOCLI, main
from fno_lightning.commands.transfer.report import REPORT, Kind, Result, write_report
from fno_lightning.config_files import find_config, merged, read_config
from fno_lightning.files import atomic_file, expanded_path
from fno_lightning.metrics import STANDARD_METRICS
from fno_lightning.version import __version__

Config: TypeAlias = dict[str, Any]
"""Part of a configuration, as in a YAML file."""


def digest(path: str) -> str:
    """Return the hash of a file's content."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@contextmanager
def as_program() -> Iterator[None]:
    """Hide the arguments of this process, which LightningCLI would take for its own."""
    arguments = sys.argv
    sys.argv = arguments[:1]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # it goes on
            yield
    finally:
        sys.argv = arguments


logger = logging.getLogger(__name__)

QUIET: Config = {"enable_progress_bar": False, "enable_model_summary": False, "devices": 1}


@dataclass(frozen=True)
class TransferStudy:
    """Study of the data that a pre-trained model saves, after Subramanian et al., NeurIPS 2023, arXiv:2306.00258.

    The experiment is trained once on its own data. For each downstream data set, which is the same but for a few
    settings, and each number of examples a model is fine-tuned from those weights and another is trained from scratch,
    with the same number of steps; of several learning rates the best on the validation split counts. The pre-trained
    model alone is the case of no examples (``zero-shot``). Downstream data have another seed than those of the
    pre-training; all runs on a downstream data set share its examples, validation and test split.

    Every run is an ordinary ``fit`` and ``test`` of the command line; its folder keeps ``override.yaml``, with which it
    can be repeated, and its result. A study that was interrupted goes on where it stopped. It runs on one device; the
    downstream data sets can be studied side by side, each by a command of its own, in one folder.

    Args:
        experiment: Configuration of the pre-training, with a GeneratedDataModule: a YAML file or a shipped one's name.
        downstream: Changes to the experiment for each downstream data set, by name: parts of a configuration.
        folder: Folder of the results.
        sizes: Numbers of downstream examples, for each set of parameters; the largest must be a multiple of the others.
        steps: Optimizer steps of a downstream training, unless ``finetune`` or ``scratch`` give other ``max_steps``.
        batch_size: Largest batch of a downstream training.
        learning_rates: Learning rates of downstream trainings.
        seeds: Seeds of downstream trainings.
        common: Changes to the experiment in every run, e.g. the size of the network.
        pretrain: Changes to the experiment in the pre-training.
        finetune: Changes to the experiment in fine-tuning, e.g. parts to freeze.
        scratch: Changes to the experiment in training from scratch.
        pretrained: Checkpoint to start from instead of pre-training.
        metric: The error, one of :data:`~fno_lightning.metrics.STANDARD_METRICS` for which lower is better.

    Raises:
        ValueError: if there is nothing to do, a number is out of range, or a file or the metric does not exist.
    """

    experiment: str
    downstream: dict[str, Config]
    folder: str = "runs/transfer"
    sizes: Sequence[int] = (8, 32, 128, 512)
    steps: int = 500
    batch_size: int = 32
    learning_rates: Sequence[float] = (1e-3,)
    seeds: Sequence[int] = (0,)
    common: Config = field(default_factory=dict)
    pretrain: Config = field(default_factory=dict)
    finetune: Config = field(default_factory=dict)
    scratch: Config = field(default_factory=dict)
    pretrained: str | None = None
    metric: str = "nrmse"

    def __post_init__(self) -> None:
        require_list(sizes=self.sizes, learning_rates=self.learning_rates, seeds=self.seeds)
        parts = {name: getattr(self, name) for name in ("downstream", "common", "pretrain", "finetune", "scratch")}
        require_mapping(**parts)
        require_mapping(**{f"downstream[{name!r}]": changes for name, changes in self.downstream.items()})
        for name in ("experiment", "downstream", "sizes", "learning_rates", "seeds"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty, expected at least one")
        if min(*self.sizes, self.steps, self.batch_size) < 1:
            raise ValueError(
                f"sizes {list(self.sizes)}, steps {self.steps} and batch_size {self.batch_size} must be positive"
            )
        if unequal := [size for size in self.sizes if max(self.sizes) % size]:
            raise ValueError(f"sizes {unequal} do not divide the largest, {max(self.sizes)}: choose others")
        known = [name for name, make in STANDARD_METRICS.items() if not make(1).higher_is_better]
        if self.metric not in known:
            raise ValueError(f"metric is {self.metric!r}, expected one of {known}")
        find_config(self.experiment)
        object.__setattr__(self, "folder", str(expanded_path(self.folder, "folder")))
        if self.pretrained is not None:
            object.__setattr__(self, "pretrained", str(expanded_path(self.pretrained, "pretrained")))
        if self.pretrained is not None and not Path(self.pretrained).is_file():
            raise ValueError(f"there is no file {self.pretrained}: give pretrained the path of a checkpoint")

    def run(self) -> list[Result]:
        """Run the trainings without a result, write table and figure after each data set, and return the results.

        Raises:
            FileExistsError: if a file has the name of the table or the figure, and no study has made it.
        """
        self._require_own_folder()
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

    def _require_own_folder(self) -> None:
        folder = Path(self.folder)
        if not any(folder.glob("*/override.yaml")):  # which the runs of a study leave
            for path in (folder / name for name in REPORT):
                if path.exists():
                    raise FileExistsError(f"{path} is of no study, and is not written over: choose another folder")

    def _pretrain(self) -> str:
        """Return the checkpoint of the pre-training, after training if there is none."""
        override = merged(self.common, self.pretrain)
        folder = self._run_folder("pretrain", {"override": override, "metric": self.metric})
        done = folder / "best.json"
        if not done.exists():
            cli = self._fit(folder, override)
            with atomic_file(done) as temporary:
                temporary.write_text(json.dumps(cli.trainer.checkpoint_callback.best_model_path))  # type: ignore[union-attr]
        path: str = json.loads(done.read_text())
        return path

    def _zero_shot(self, shift: str, checkpoint: str) -> Result:
        override = merged(self.common, self._data(shift, max(self.sizes)))
        settings = {"override": override, "metric": self.metric, "checkpoint": digest(checkpoint)}
        folder = self._run_folder(f"{shift}-zero-shot", settings)
        if not (folder / "result.json").exists():
            self._write_override(folder, override)
            error = self._test(folder, checkpoint)
            Result(shift, "zero-shot", 0, 0, 0.0, error, error).save(folder / "result.json")
        return Result.load(folder / "result.json")

    def _best(self, shift: str, kind: Kind, size: int, seed: int, start: Mapping[str, str]) -> Result:
        """Return the result of the learning rate with the lowest error on the validation split."""
        results = [self._train(shift, kind, size, seed, rate, start) for rate in self.learning_rates]
        return min(results, key=lambda result: result.valid_error)

    def _train(self, shift: str, kind: Kind, size: int, seed: int, rate: float, start: Mapping[str, str]) -> Result:
        override = merged(
            self._trainer(),
            self.common,
            self.finetune if start else self.scratch,
            self._data(shift, size),
            {"seed_everything": seed, "model": {"init_args": {**start, "optimizer": {"init_args": {"lr": rate}}}}},
        )
        settings = {"override": override, "metric": self.metric}
        settings |= {name: digest(path) for name, path in start.items()}
        folder = self._run_folder(f"{shift}-{kind.replace(' ', '-')}-{size}-seed{seed}-lr{rate:g}", settings)
        if not (folder / "result.json").exists():
            shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run has left
            cli = self._fit(folder, override)
            checkpoint = cli.trainer.checkpoint_callback
            valid_error = float(checkpoint.best_model_score)  # type: ignore[union-attr]
            test_error = self._test(folder, checkpoint.best_model_path)  # type: ignore[union-attr]
            Result(shift, kind, size, seed, rate, valid_error, test_error).save(folder / "result.json")
            logger.info("%s, %s, %d examples, seed %d: %s %.4g", shift, kind, size, seed, self.metric, test_error)
        return Result.load(folder / "result.json")

    def _data(self, shift: str, size: int) -> Config:
        """Return the downstream data, with every n-th example of the train split."""
        n_train = max(self.sizes)
        pretraining = merged(self._experiment(), self.common, self.pretrain)
        init_args = {
            "seed": pretraining["data"]["init_args"].get("seed", 0) + 1,  # no source or initial state is used again
            "n_train": n_train,
            "subsample": n_train // size,
            "batch_size": min(self.batch_size, size),
        }
        return merged({"data": {"init_args": init_args}}, self.downstream[shift])

    def _experiment(self) -> Config:
        return read_config(find_config(self.experiment))

    def _trainer(self) -> Config:
        """Return the trainer's options: the same number of steps for every size, with ten validations."""
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
        """Train, or resume from the last checkpoint in the folder."""
        self._write_override(folder, override)
        last = folder / "checkpoints" / "last.ckpt"
        with as_program():
            return main(["fit", *self._configs(folder), *(["--ckpt_path", str(last)] if last.exists() else [])])

    def _test(self, folder: Path, checkpoint: str) -> float:
        with as_program():
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
        """Return the folder of a run, which depends on its settings."""
        identity = json.dumps([self._experiment(), settings, __version__], sort_keys=True)
        return Path(self.folder) / f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
