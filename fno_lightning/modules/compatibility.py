"""Compatibility of data, checkpoints and modules, of older versions too."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from fno_lightning.checkpoints import DamagedCheckpointError, read_checkpoint
from fno_lightning.class_path import current_path, public_path
from fno_lightning.data import FieldSpec
from fno_lightning.data.hdf5.points import same_interval, spacing_text
from fno_lightning.files import expanded_path


def require_same_fields(expected: FieldSpec, given: FieldSpec, owner: str) -> None:
    """Check that data have the fields, in the same order, that a module or a checkpoint was made for.

    Grids may differ in everything but the number of axes: an operator takes any resolution. Another time step, other
    boundaries, axes, lengths or spacings may be meant, so they only give a warning each.

    Args:
        expected: Description of the data that the owner was made for.
        given: Description of the data.
        owner: Owner of the expectation, for the message, e.g. ``the checkpoint``.

    Raises:
        ValueError: if fields, constant fields, scalars or the number of axes differ.
    """
    for kind in ("fields", "constant_fields", "scalars", "members", "positions"):
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
    for difference in _differences(expected, given):
        rank_zero_warn(f"{owner} {difference}")


def _differences(expected: FieldSpec, given: FieldSpec) -> Iterator[str]:
    """Yield what is known of both descriptions and differs, as the rest of a sentence on the owner of the first."""
    data = f"({given.dataset_name!r}, {given.source})"
    steps = expected.time_step, given.time_step
    if steps[0] is not None and steps[1] is not None and not same_interval(steps[1], steps[0]):
        yield (
            f"steps by {steps[0]:.6g}, the data by {steps[1]:.6g} {data}: a network takes the frame interval that it "
            "was trained on, so use data with that one (dt_stride, other files) unless the change is meant"
        )
    for kind in ("axes", "boundaries"):
        wanted, found = getattr(expected, kind), getattr(given, kind)
        if wanted and found and wanted != found:
            yield f"was made for {kind} {wanted}, the data {data} have {found}: its forecasts may not hold there"
    for position, (low, high), (least, most) in zip(given.positions, expected.box, given.box, strict=False):
        if min(least - low, high - most) < -0.05 * (high - low):
            yield (
                f"was made for points from {position} = {low:.4g} to {high:.4g}, those of the data {data} reach from "
                f"{least:.4g} to {most:.4g}: its forecasts may not hold there"
            )
    names = given.axes or expected.axes or ("x", "y", "z")
    for number, (wanted_edges, edges) in enumerate(zip(expected.extent, given.extent, strict=False)):
        wanted_length, length = (abs(high - low) for low, high in (wanted_edges, edges))
        spacing = max(wanted_length / expected.grid_shape[number], length / given.grid_shape[number])
        if abs(length - wanted_length) > 1.01 * spacing:  # a stride may leave out the last points
            yield (
                f"was made for a domain {wanted_length:.6g} long in {names[number]}, that of the data {data} is "
                f"{length:.6g} long: its forecasts may not hold there"
            )
    for axis, was_even, is_even in zip(names, expected.uniform, given.uniform, strict=False):
        if was_even != is_even:
            kinds = ("even", "uneven") if was_even else ("uneven", "even")
            yield f"was made for {kinds[0]} points along {axis}, those of the data {data} are {kinds[1]}"


def check_axes(spec: FieldSpec, module: Any) -> None:
    """Refuse uneven axes for a module with ``needs_even_axes``, and warn of them for others; refuse irregular data.

    Args:
        spec: Description of the data.
        module: The module; axes whose points suit it (``suits_axis``) are left out.

    Raises:
        ValueError: if the points along an axis are not even, and the module needs them to be; if the module is for the
            other kind of data.
    """
    name = type(module).__name__
    if spec.is_irregular and not module.takes_points:
        raise ValueError(
            f"{spec.dataset_name!r} ({spec.source}) has irregular points, at {list(spec.positions)}, but {name} takes "
            "fields on a grid: use GeometryFNOModule, or bring the data to a grid"
        )
    if module.takes_points and not spec.is_irregular:
        raise ValueError(
            f"{name} is for irregular points with positions, but {spec.dataset_name!r} ({spec.source}) has fields on a "
            f"grid {spec.grid_shape}: use FNOModule, or another one for grids"
        )
    axes = enumerate(zip(spec.axis_names, spec.coordinates, strict=False))
    uneven = [
        f"along {axis_name} {spacing_text(np.array(points))}"
        for axis, (axis_name, points) in axes
        if points and not module.suits_axis(spec, axis)
    ]
    if not uneven:
        return
    found = f"the points of {spec.dataset_name!r} ({spec.source}) are not even, {' and '.join(uneven)}"
    resample = "bring the fields to even ones with resample='uniform' (--data.init_args.resample uniform)"
    remedy = ", ".join(filter(None, [module.remedy_for_uneven_axes, resample]))
    if module.needs_even_axes:
        raise ValueError(
            f"{found}, but {name} expands fields in bases that need even points: {remedy}, or take a "
            "network that does not care (NetworkModule, or a subclass with needs_even_axes = False)"
        )
    rank_zero_warn(f"{found}, and {name} takes them as they are: {remedy} if its network needs that")


def require_same_history(expected: int, given: int, owner: str) -> None:
    """Check that data give as many past frames as a module or a checkpoint takes.

    Raises:
        ValueError: if the numbers differ.
    """
    if expected != given:
        raise ValueError(
            f"{owner} takes n_steps_input={expected} past frames, but the data give {given}: "
            f"pass --data.init_args.n_steps_input {expected}, or n_steps_input={expected} to the datamodule"
        )


def complete_inputs(
    spec: FieldSpec, n_steps_input: int, history: Tensor | None, constants: Tensor | None, scalars: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the inputs of a forecast, the parts that the data lack as tensors without channels.

    Args:
        spec: Description of the data.
        n_steps_input: Number of past frames of a forecast.
        history: ``(batch, T_in, field, *grid)``; may be left out of a steady problem.
        constants: ``(batch, constant, *grid)``; may be left out where the data have none.
        scalars: ``(batch, scalar)``; may be left out where the data have none.

    Raises:
        ValueError: if a part that the data have is missing, or has another number of channels or frames.
    """
    given = next((part for part in (history, constants, scalars) if part is not None), None)
    if given is None:
        raise ValueError("a forecast needs a history, constant fields or scalars to start from, got none of them")
    grid = next((tuple(p.shape[-spec.n_dims :]) for p in (history, constants) if p is not None), spec.grid_shape)
    shapes = {
        "history": (len(given), n_steps_input, len(spec.fields), *grid),
        "constants": (len(given), len(spec.constant_fields), *grid),
        "scalars": (len(given), len(spec.scalars)),
    }
    parts = []
    for (name, shape), part in zip(shapes.items(), (history, constants, scalars), strict=True):
        if part is None and 0 not in shape[1:]:
            names = {"history": spec.fields, "constants": spec.constant_fields, "scalars": spec.scalars}[name]
            raise ValueError(f"{name} is missing: a forecast of {spec.dataset_name} takes {list(names)}, shape {shape}")
        if part is not None and tuple(part.shape) != shape and not torch.compiler.is_compiling():
            raise ValueError(f"{name} has the shape {tuple(part.shape)}, but {spec.dataset_name} takes {shape}")
        parts.append(given.new_zeros(shape) if part is None else part)
    return parts[0], parts[1], parts[2]


def class_path_hparams(module_class: type) -> dict[str, str]:
    """Return the entries of a checkpoint that name its class, as LightningCLI writes them."""
    if "<locals>" in module_class.__qualname__:
        return {}
    return {
        "_class_path": public_path(module_class),
        "_instantiator": "lightning.pytorch.cli.instantiate_module",
    }


def current_hparams(hparams: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyper-parameters of a checkpoint as this version writes them.

    Version 0.1 named a class by the file that defined it, and kept the number of a mixture's member among the scalars.
    """
    current = dict(hparams)
    if "_class_path" in current:
        current["_class_path"] = current_path(current["_class_path"])
    if "spec" in current:
        current["spec"] = FieldSpec.from_dict(current["spec"]).to_dict()
    return current


def readable_checkpoint(file: str | Path | IO[bytes]) -> str | Path | IO[bytes]:
    """Return a checkpoint as Lightning can load it: the file itself, or a translation in memory if it is older.

    Args:
        file: Path of a checkpoint, or an open file, which is passed on.

    Raises:
        DamagedCheckpointError: if the file is damaged, or no checkpoint of a module.
    """
    if not isinstance(file, str | Path) or "://" in str(file):
        return file
    file = expanded_path(file, "the checkpoint")
    if not file.is_file():
        return file
    checkpoint = read_checkpoint(file, mmap=True)
    if checkpoint.get("state_dict") is None:
        raise DamagedCheckpointError(f"{file} is no checkpoint of a module: it has no state_dict, the weights")
    hparams = checkpoint.get("hyper_parameters", {})
    current = current_hparams(hparams)
    if current == hparams:
        return file
    translated = io.BytesIO()
    torch.save(checkpoint | {"hyper_parameters": current}, translated)
    translated.seek(0)
    return translated
