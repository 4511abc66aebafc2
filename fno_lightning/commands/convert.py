"""``fno-lightning convert``: a checkpoint of ours from the weights of another library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml
from rich.console import Console

import fno_lightning.pdes  # noqa: F401 (short names of equations)
from fno_lightning.arguments import require_mapping
from fno_lightning.config_files import ConfigFile
from fno_lightning.data import FieldDataModule, FieldSpec, Statistics
from fno_lightning.files import atomic_file, expanded_path
from fno_lightning.models.the_well import is_well_fno
from fno_lightning.modules import ForecastModule
from fno_lightning.modules.foreign_weights import module_of_weights, network_in_folder, read_foreign_weights
from fno_lightning.parser import Parser


def main(args: Sequence[str]) -> int:
    """Convert weights, and print the path of the checkpoint.

    Returns:
        The exit status, 0.

    Raises:
        ValueError: if neither data nor a description are given, or the weights do not fit them.
        FileExistsError: if there is a file where the checkpoint should be.
    """
    parser = _parser()
    options = parser.parse_args(list(args))
    output = expanded_path(options.output, "output")
    if output.exists():
        raise FileExistsError(f"{output} exists already and is not overwritten: choose another output")
    state = read_foreign_weights(options.weights)
    spec, n_steps_input, statistics = _description(parser, options)
    network = None
    if options.network_class is not None:
        network = network_in_folder(options.weights, options.network_class)
        network["init_args"] |= options.network_args or {}
    module = module_of_weights(
        state,
        spec,
        n_steps_input,
        statistics,
        network=network,
        bundle=options.bundle,
        with_blocks=options.with_blocks,
    )
    _save(module, output)
    console = Console(soft_wrap=True, highlight=False)
    if is_well_fno(state) and options.with_blocks:
        console.print(
            "The Well's FNO and TFNO were trained without their Fourier layers before its version 1.2: if these were, "
            "convert them with --with_blocks false"
        )
    console.print(f"wrote {output}: {type(module).__name__} for {list(spec.fields)} of {spec.dataset_name}")
    return 0


def _description(parser: Parser, options: Any) -> tuple[FieldSpec, int, Statistics]:
    """Return what the weights were trained for, from the data or from a file."""
    if (options.spec is None) == (options.get("data") is None):
        raise ValueError("give what the weights were trained on, by data (--config trl2d) or by a description (--spec)")
    if options.spec is None:
        data: FieldDataModule = parser.instantiate_classes(options).data
        data.prepare_data()
        return data.spec, data.n_steps_input, data.statistics
    path = expanded_path(options.spec, "spec")
    if not path.is_file():
        raise ValueError(f"spec: there is no file {path}")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    require_mapping(**{f"the content of {path}": content})
    content = dict(content)
    n_steps_input, normalization = content.pop("n_steps_input", 1), content.pop("normalization", {})
    require_mapping(normalization=normalization)
    try:
        spec = FieldSpec.from_dict(content)
    except TypeError as error:
        raise ValueError(f"{path} is no description of data: {error}") from error
    return spec, n_steps_input, _statistics(spec, normalization)


def _statistics(spec: FieldSpec, normalization: dict[str, Any]) -> Statistics:
    """Return means and deviations of the channels; those that are not named are not normalised."""
    known = [*spec.fields, *spec.constant_fields, *spec.scalars]
    if unknown := [name for name in normalization if name not in known]:
        raise ValueError(f"normalization names {unknown}, but the data have {known}")
    for name, pair in normalization.items():
        if not (isinstance(pair, list | tuple) and len(pair) == 2 and pair[1] > 0):
            raise ValueError(f"normalization of {name} is {pair}, expected a mean and a positive deviation")

    def moments(names: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        pairs = torch.tensor([normalization.get(name, (0.0, 1.0)) for name in names], dtype=torch.float64)
        mean, std = pairs.view(len(names), 2).unbind(1)
        return mean, std

    mean, std = moments(spec.fields)
    zero, one = torch.zeros_like(mean), torch.ones_like(std)
    rms = torch.hypot(mean, std)
    return Statistics(mean, std, rms, zero, one, one, *moments(spec.constant_fields), *moments(spec.scalars))


def _save(module: ForecastModule, output: Path) -> None:
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.strategy.connect(module)
    with atomic_file(output) as temporary:
        trainer.save_checkpoint(temporary, weights_only=True)


def _parser() -> Parser:
    parser = Parser(
        prog="fno-lightning convert",
        description="Makes a checkpoint of the weights of another library: The Well's published networks, neuralop's "
        "checkpoints and state dicts, and those of any network that NetworkModule takes.",
    )
    parser.add_argument("--weights", required=True, help="a file of weights, or the folder with it")
    parser.add_argument("--output", required=True, help="the checkpoint to write")
    parser.add_argument("--config", action=ConfigFile, help="a configuration with the data, as for fit")
    parser.add_subclass_arguments(FieldDataModule, "data", required=False)
    parser.add_argument(
        "--spec",
        type=str | None,
        default=None,
        help="a YAML file that describes the data instead: the entries of FieldSpec (dataset_name, fields, grid_shape, "
        "...), n_steps_input, and normalization, a mean and a deviation for each field",
    )
    parser.add_argument(
        "--network_class", type=str | None, default=None, help="class of the network, where the weights do not tell"
    )
    parser.add_argument("--network_args", type=dict[str, Any] | None, default=None, help="its arguments")
    parser.add_argument("--bundle", type=int, default=1, help="frames that the network predicts at once")
    parser.add_argument(
        "--with_blocks",
        type=bool,
        default=True,
        help="false: The Well's FNO and TFNO as they were trained before its version 1.2, without Fourier layers",
    )
    for other in ("trainer", "model", "seed_everything", "ckpt_path"):
        parser.add_argument(f"--{other}", type=Any, default=None, help="not used, may be in the configuration")
    return parser
