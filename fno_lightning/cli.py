"""LightningCLI that links the specification of the data to the module."""

from __future__ import annotations

import logging
import sys
import warnings
from copy import copy
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter, Checkpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info

# Imported so that equations have short names on the command line, as in `--data.pde Burgers`.
import fno_lightning.pdes  # noqa: F401
from fno_lightning.callbacks import ErrorTable, OneStepErrors, PredictionWriter, RolloutEvaluation
from fno_lightning.callbacks.error_table import Errors, logged_errors
from fno_lightning.checkpoints import last_checkpoint, read_checkpoint, save_atomically
from fno_lightning.config_files import ConfigFile
from fno_lightning.configured_paths import check_initial_weights, checked_checkpoint, with_expanded_paths
from fno_lightning.data import FieldDataModule, FieldSpec, NotPreparedError
from fno_lightning.files import write_unused
from fno_lightning.malloc import keep_freed_memory
from fno_lightning.modules import ForecastModule
from fno_lightning.modules.compatibility import current_hparams
from fno_lightning.parser import Parser
from fno_lightning.runs import run_folder
from fno_lightning.trainer_options import without_turned_off
from fno_lightning.version import __version__


class ConfigLogger(SaveConfigCallback):
    """Save the resolved configuration in the run's folder, over no other file, and in TensorBoard as text."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the folder, which takes all processes, then save."""
        run_folder(trainer)
        super().setup(trainer, pl_module, stage)

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the configuration as ``config.yaml``, ``config-v1.yaml`` if that is another one, and so on."""
        if (folder := run_folder(trainer)) is not None:
            saved = write_unused(folder / self.config_filename, self.parser.dump(self.config, skip_none=False))
            rank_zero_info(f"the configuration of this run is in {saved}")
        indented = "\n".join(f"    {line}" for line in self.parser.dump(self.config, skip_none=True).splitlines())
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_text("config", indented)


class FNOCLI(LightningCLI):
    """LightningCLI whose module takes the specification of its fields from the data."""

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Make a parser whose ``--config`` also takes the name of a shipped configuration."""
        header = [f"fno_lightning=={__version__}, lightning=={lightning.__version__}"]
        parser = self.parser_class(**{"dump_header": header, **kwargs})
        parser.add_argument(
            "-c", "--config", action=ConfigFile, help="a YAML file, or the name of one that fno-lightning configs lists"
        )
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link the data set's specification and history to the module."""
        parser.link_arguments("data", "model.init_args.spec", compute_fn=_spec_of, apply_on="instantiate")
        parser.link_arguments("data.n_steps_input", "model.init_args.n_steps_input", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the command line; refuse to evaluate a module that is not trained."""
        super().parse_arguments(parser, args)
        subcommand = self.config.get("subcommand")
        if subcommand:
            config = self.config[subcommand]
            _check_seed(config.get("seed_everything"))
            config["ckpt_path"] = checked_checkpoint(subcommand, config.get("ckpt_path"))
            config["trainer"] = with_expanded_paths(config["trainer"])
            self._move_steps_per_launch(subcommand)
            if subcommand == "fit" and config["ckpt_path"] is None:
                check_initial_weights(config.get("model.init_args.initial_weights"))
        if subcommand != "fit":
            _quiet_evaluation()

    def _move_steps_per_launch(self, subcommand: str) -> None:
        """Give the trainer the strategy that an option of the module in version 0.1 stood for."""
        config = self.config[subcommand]
        steps = config.get("model.init_args.steps_per_launch")
        if steps is None:
            return
        config["model.init_args.steps_per_launch"] = None
        name = "MultiStepStrategy" if str(config.get("trainer.devices")) in ("1", "auto") else "MultiStepDDPStrategy"
        warnings.warn(
            f"model.init_args.steps_per_launch: {steps} is now trainer.strategy: fno_lightning.multistep.{name} with "
            f"steps_per_execution: {steps}; the former name goes with the next release",
            FutureWarning,
            stacklevel=2,
        )
        strategy = {"class_path": f"fno_lightning.multistep.{name}", "init_args": {"steps_per_execution": steps}}
        self.config = self.parser.parse_object({subcommand: {"trainer": {"strategy": strategy}}}, self.config)

    def _parse_ckpt_path(self) -> None:
        """Take class and options of the network from the checkpoint, as Lightning does, also from one of 0.1."""
        subcommand = self.config.get("subcommand")
        path = self.config[subcommand].get("ckpt_path") if subcommand else None
        if path is None or not Path(path).is_file():
            return
        hparams = read_checkpoint(Path(path), mmap=True).get("hyper_parameters", {})
        options = {name: value for name, value in current_hparams(hparams).items() if name != "_instantiator"}
        if "_class_path" in options:
            options = {"class_path": options.pop("_class_path"), "dict_kwargs": options}
        if options:
            self.config = self.parser.parse_object({subcommand: {"model": options}}, self.config)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer, without the callbacks that its other options turn off, and with atomic checkpoints."""
        options = without_turned_off({**self._get(self.config_init, "trainer", default={}), **kwargs})
        trainer = super().instantiate_trainer(**options)
        save_atomically(trainer)
        return trainer

    def before_fit(self) -> None:
        """Find the checkpoint that ``--ckpt_path last`` stands for."""
        if self.config["fit"].get("ckpt_path") == "last":
            self.config_init["fit"]["ckpt_path"] = last_checkpoint(self.trainer)

    def before_validate(self) -> None:
        """Suppress Lightning's list of metrics if an ErrorTable prints its own."""
        self._print_one_table("validate")

    def before_test(self) -> None:
        """Suppress Lightning's list of metrics if an ErrorTable prints its own, with the other best checkpoints."""
        self._print_one_table("test")
        path = self.config["test"].get("ckpt_path")
        table = next((callback for callback in self._callbacks if isinstance(callback, ErrorTable)), None)
        if table is not None and path is not None and Path(path).name.startswith("best"):
            others = [other for other in sorted(Path(path).parent.glob("best*.ckpt")) if other.name != Path(path).name]
            table.others = {other.name: self._errors_of(other) for other in others}

    def _errors_of(self, checkpoint: Path) -> Errors:
        """Test another checkpoint of the same training, without logs and pictures."""
        trainer, callbacks, loggers = self.trainer, self._callbacks, self.trainer.loggers
        rank_zero_info(f"testing {checkpoint} too, for the table")
        kept = [copy(one) for one in callbacks if isinstance(one, OneStepErrors | RolloutEvaluation | Checkpoint)]
        for callback in kept:
            if isinstance(callback, RolloutEvaluation):
                callback.n_pictures = 0
                callback.writes_report = False
        trainer.callbacks = kept  # type: ignore[attr-defined]
        trainer.loggers = []
        try:
            trainer.test(self.model, datamodule=self.datamodule, ckpt_path=checkpoint, verbose=False)
            return logged_errors(trainer, "test")
        finally:
            trainer.callbacks, trainer.loggers = callbacks, loggers  # type: ignore[attr-defined]

    def before_predict(self) -> None:
        """Write forecasts to disk, which would be lost in memory."""
        if not self._has_callback(BasePredictionWriter):
            self.trainer.callbacks.append(PredictionWriter())  # type: ignore[attr-defined]
        self.config_init["predict"]["return_predictions"] = False

    def _print_one_table(self, subcommand: str) -> None:
        """Suppress Lightning's list of all logged values if an ErrorTable prints the important ones."""
        if self._has_callback(ErrorTable):
            self.config_init[subcommand]["verbose"] = False

    def _has_callback(self, kind: type[Callback]) -> bool:
        return any(isinstance(callback, kind) for callback in self._callbacks)

    @property
    def _callbacks(self) -> list[Callback]:
        callbacks: list[Callback] = getattr(self.trainer, "callbacks", [])
        return callbacks


def _spec_of(data: FieldDataModule) -> FieldSpec:
    """Return the description of the data, after they are downloaded where that is what they lack."""
    try:
        return data.spec
    except NotPreparedError:
        data.prepare_data()
        return data.spec


def _check_seed(seed: bool | int | None) -> None:
    """Exit with an explanation if a seed is none of NumPy's."""
    if seed is not None and not 0 <= seed < 2**32:
        raise SystemExit(f"--seed_everything: expected a number from 0 to {2**32 - 1}, got {seed}")


def _quiet_evaluation() -> None:
    """Suppress warnings of Lightning that every evaluation causes and that do not apply here."""
    # applies to a resumed training; an evaluation has a folder of its own
    warnings.filterwarnings("ignore", message="The dirpath has changed from")
    # does not apply: the samplers of FieldDataModule repeat no sample
    warnings.filterwarnings("ignore", message="Using `DistributedSampler` with the dataloaders")


def main(args: ArgsType = None) -> FNOCLI:
    """Run ``fit``, ``validate``, ``test`` or ``predict``.

    Args:
        args: Arguments as on the command line; ``None``: those of the process.
    """
    prepare_process()
    return FNOCLI(
        ForecastModule,
        FieldDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        save_config_callback=ConfigLogger,
        save_config_kwargs={"save_to_log_dir": False},
        seed_everything_default=0,
        auto_configure_optimizers=False,
        parser_class=Parser,
        parser_kwargs={
            "prog": "fno-lightning",
            "version": f"fno_lightning {__version__}",
            "description": "Train and evaluate neural operators. Further commands: check FILES..., which checks data "
            "sets; cluster, which writes a start script for a batch system; configs, which lists the configurations; "
            "generate, which simulates data without training; import, which makes a data set of your files; transfer, "
            "a transfer-learning study.",
        },
        args=args,
    )


def prepare_process() -> None:
    """Set up the process of a program: memory allocator, import path, logging and warnings; not for libraries."""
    keep_freed_memory()
    here = str(Path.cwd())
    if here not in sys.path:  # a user's own classes, which a console script would not find
        sys.path.insert(0, here)
    logger = logging.getLogger("fno_lightning")
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler())
        logger.setLevel(logging.INFO)
    # Lightning 2.6 on torch 2.13, in every run: lightning/pytorch/utilities/_pytree.py
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
    # true of networks that are built in configure_model alone, not of these
    warnings.filterwarnings("ignore", message="You're using the WeightAveraging callback with a model that overrides")
    # equations convert lists to tuples themselves; jsonargparse has no types for MixedDataModule's members
    warnings.filterwarnings(
        "ignore", message=r"\s*Dump of a value that does not round-trip: a tuple is serialized as list"
    )
