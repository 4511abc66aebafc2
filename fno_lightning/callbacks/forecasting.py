"""Forecasts inside a Trainer: type guards, trajectories, divergence."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from fno_lightning.data import Batch, FieldDataModule, FieldSpec
from fno_lightning.data.loading import process_count
from fno_lightning.modules import ForecastDistribution, ForecastModule
from fno_lightning.slabs import active_slabs, gather, largest
from fno_lightning.viz.forecast import parameters_text


def forecast_module(pl_module: LightningModule) -> ForecastModule:
    """Return the module, if it is one that forecasts fields.

    Raises:
        TypeError: if it is not a :class:`~fno_lightning.modules.ForecastModule`.
    """
    if not isinstance(pl_module, ForecastModule):
        raise TypeError(
            f"the callbacks that evaluate forecasts need a ForecastModule, got {type(pl_module).__name__}: subclass "
            "fno_lightning.modules.ForecastModule, or leave these callbacks out"
        )
    return pl_module


def field_data(trainer: Trainer, callback: Callback) -> FieldDataModule:
    """Return the trainer's datamodule, if it is one that serves trajectories of fields, for a callback to evaluate.

    Raises:
        TypeError: if there is none, or it is not a :class:`~fno_lightning.data.FieldDataModule`.
    """
    data: object = getattr(trainer, "datamodule", None)
    if not isinstance(data, FieldDataModule):
        raise TypeError(
            f"{type(callback).__name__} takes trajectories from a FieldDataModule, got {type(data).__name__}: pass "
            "datamodule=... to the trainer, or leave this callback out"
        )
    return data


def tensorboard_logger(trainer: Trainer) -> TensorBoardLogger | None:
    """Return the trainer's TensorBoard logger, if it has one."""
    return next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)


log = logging.getLogger(__name__)

_T = TypeVar("_T")


@contextmanager
def evaluation_mode(module: torch.nn.Module) -> Iterator[None]:
    """Evaluate without gradients, and restore every submodule's mode and the random numbers afterwards."""
    training = [part for part in module.modules() if part.training]
    with isolate_rng(), torch.no_grad():
        module.eval()
        try:
            yield
        finally:
            for part in training:
                part.training = True


def forecast_trajectories(
    trainer: Trainer, module: ForecastModule, loader: Iterable[Batch], max_steps: int | None = None
) -> Iterator[tuple[Batch, ForecastDistribution]]:
    """Yield trajectories, batch by batch on the module's device, with their forecasts.

    Every batch is filled up to the size of the first, so that a compiled network is compiled once. The network runs in
    the trainer's precision; histories are normalised in their own.

    Args:
        trainer: Supplies device and precision.
        module: Author of the forecasts.
        loader: Batches of trajectories.
        max_steps: Longest forecast; ``None``: to the end of the trajectory.

    Raises:
        ValueError: if weights are divided among processes, whose forecasts are not equally many.
    """
    strategy: object = trainer.strategy
    if isinstance(strategy, FSDPStrategy | ModelParallelStrategy) and trainer.world_size > 1:
        raise ValueError(
            f"{type(strategy).__name__} gathers the weights of all processes for each step, and they would wait for "
            "each other forever: their shares of the rollouts differ. Leave out callbacks that forecast whole "
            "trajectories, such as RolloutEvaluation, and test on one device afterwards"
        )
    size = 0
    for on_host in islice(loader, 1 if getattr(trainer, "fast_dev_run", False) else None):
        batch: Batch = trainer.strategy.batch_to_device(on_host)
        batch = batch._replace(target=batch.target[:, :max_steps])
        n_trajectories, n_steps = batch.target.shape[:2]
        size = size or n_trajectories
        inputs = Batch(*(_filled_up(part, size) for part in batch))
        with trainer.precision_plugin.forward_context():
            if module.has_uncertainty:
                forecast = module.forecast_distribution(inputs, n_steps=n_steps)
            else:
                forecast = ForecastDistribution(module.forecast(inputs, n_steps=n_steps))
        yield batch, forecast.first(n_trajectories).to(batch.target.dtype)


def _filled_up(part: Tensor, size: int) -> Tensor:
    """Repeat the last sample until there are ``size``."""
    return torch.cat((part, part[-1:].expand(max(size - len(part), 0), *part.shape[1:])))


def gathered(own: Sequence[_T]) -> list[_T]:
    """Return the small values of all processes, which all must ask for them, in the order of the processes."""
    if process_count() == 1:
        return list(own)
    shares: list[list[_T]] = [[] for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(shares, list(own))
    first_of_group = len(shares) // process_count()  # processes with slabs of the same samples have the same values
    return [value for share in shares[::first_of_group] for value in share]


def is_first_of_group() -> bool:
    """Whether this process is the one that counts and draws, of those that have slabs of the same samples."""
    slabs = active_slabs()
    return slabs is None or slabs.is_first


def on_whole_fields(batch: Batch, forecast: ForecastDistribution) -> tuple[Batch, ForecastDistribution]:
    """Return trajectories and the means of their forecasts on the whole grid, which all processes must ask for.

    Where fields are whole, these are the trajectories and forecasts as they are.
    """
    slabs = active_slabs()
    if slabs is None:
        return batch, forecast
    history, constants, target, mean = (
        gather(part, slabs.axis - batch.target.ndim + 3, slabs)
        for part in (batch.history, batch.constants, batch.target, forecast.mean)
    )
    return batch._replace(history=history, constants=constants, target=target), ForecastDistribution(mean)


def report_divergence(prediction: Tensor, batch: Batch, spec: FieldSpec, numbers: Sequence[int]) -> Tensor:
    """Log the trajectories that stop being finite, with the step, and return a mask of them, ``(batch,)``.

    Args:
        prediction: Forecasts, ``(batch, time, field, *grid)``.
        batch: Their trajectories.
        spec: Specification of the data set.
        numbers: Number of each trajectory in its split.
    """
    finite = prediction.isfinite().flatten(start_dim=2).all(dim=2)
    if (slabs := active_slabs()) is not None:
        finite = largest((~finite).float(), slabs) == 0
    diverged = ~finite.all(dim=1)
    for i in diverged.nonzero().flatten().tolist() if is_first_of_group() else ():
        step = int(finite[i].int().argmin()) + 1
        scalars = parameters_text(spec, batch.scalars[i])
        log.warning(
            "the rollout of trajectory %d%s is not finite from step %d of %d on",
            numbers[i],
            f" ({scalars})" if scalars else "",
            step,
            finite.shape[1],
        )
    return diverged
