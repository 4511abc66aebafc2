"""Compatibility of data, checkpoints and modules, those of older versions included."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

import torch

from fno_lightning.class_path import current_path, public_path
from fno_lightning.data import FieldSpec


def require_same_fields(expected: FieldSpec, given: FieldSpec, owner: str) -> None:
    """Checks that data have the fields, in the same order, that a module or a checkpoint was made for.

    Grids may differ in everything but the number of axes: an operator takes any resolution.

    Args:
        expected: What the owner was made for.
        given: What the data are.
        owner: Whom the message blames, e.g. ``the checkpoint``.

    Raises:
        ValueError: if fields, constant fields, scalars or the number of axes differ.
    """
    for kind in ("fields", "constant_fields", "scalars", "members"):
        wanted, found = list(getattr(expected, kind)), list(getattr(given, kind))
        if wanted != found:
            raise ValueError(
                f"{owner} was made for {kind.replace('_', ' ')} {wanted}, but the data {given.dataset_name!r} "
                f"({given.source}) have {found}: use data with the same {kind.replace('_', ' ')} in the same order"
            )
    if expected.n_dims != given.n_dims:
        raise ValueError(
            f"{owner} was made for {expected.n_dims}-D grids, but the data {given.dataset_name!r} ({given.source}) are "
            f"{given.n_dims}-D: use data with the same number of axes"
        )


def require_same_history(expected: int, given: int, owner: str) -> None:
    """Checks that data give as many past frames as a module or a checkpoint takes.

    Raises:
        ValueError: if the numbers differ.
    """
    if expected != given:
        raise ValueError(
            f"{owner} takes n_steps_input={expected} past frames, but the data give {given}: "
            f"pass --data.init_args.n_steps_input {expected}, or n_steps_input={expected} to the datamodule"
        )


def how_to_rebuild(module_class: type) -> dict[str, str]:
    """Names a class in a checkpoint, as LightningCLI does, so that loading by a base class finds it."""
    if "<locals>" in module_class.__qualname__:
        return {}
    return {
        "_class_path": public_path(module_class),
        "_instantiator": "lightning.pytorch.cli.instantiate_module",
    }


def with_current_class(hparams: dict[str, Any]) -> dict[str, Any]:
    """Return hyper-parameters of a checkpoint with the public path of its class, which older versions did not write."""
    if "_class_path" not in hparams:
        return hparams
    return hparams | {"_class_path": current_path(hparams["_class_path"])}


def readable_checkpoint(file: str | Path | IO[bytes]) -> str | Path | IO[bytes]:
    """Return a checkpoint as Lightning can load it: the file itself, or a translation in memory if it is older.

    Args:
        file: Path of a checkpoint, or an open file, which is passed on.
    """
    if not isinstance(file, str | Path) or not Path(file).is_file():
        return file
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # whatever is wrong with it, Lightning says it
        return file
    hparams = checkpoint.get("hyper_parameters", {})
    current = with_current_class(hparams)
    if current == hparams:
        return file
    translated = io.BytesIO()
    torch.save(checkpoint | {"hyper_parameters": current}, translated)
    translated.seek(0)
    return translated
