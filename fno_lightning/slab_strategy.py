"""Training and evaluation on fields that are split over processes: a strategy for Lightning's Trainer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from fno_lightning.arguments import plain, require_list
from fno_lightning.data import FieldDataModule, WellDataModule
from fno_lightning.layers import AxisSpectralConv, SphericalConv
from fno_lightning.losses import InverseGradientNorm, Loss
from fno_lightning.models import FNO
from fno_lightning.modules import ForecastModule
from fno_lightning.slabs import Slabs, even_sizes, slab_mesh, split_fields


class SlabStrategy(DDPStrategy):
    """Split each field along one axis over several processes, and the samples over groups of these.

    For fields that are too large for one device. Each process reads, keeps and computes its own points, and has all
    weights. A spectral convolution sums its kept modes over the group, which does not grow with the grid; local
    operators exchange the points at the edges of the slabs, norms, losses and metrics their sums. Output, loss and
    gradient are those of one process up to round-off, so a group counts as one device: a batch has ``batch_size``
    samples for each group.

    Rank r of the processes is slab ``r % n_slabs`` of group ``r // n_slabs``, so that a group is on one machine where
    that has room for it. Modules are those with an :class:`~fno_lightning.models.FNO`, dense or of low rank, losses
    those that are means over points (``MSE``, ``RMSE``, ``VRMSE``, ``MeanFluctuation``, ``RelativeL2``, ``Lp`` and
    their sums). Metrics that need more than sums over points gather whole fields, and so does what is drawn.

    Args:
        n_slabs: Processes that share a field; the number of devices, over all nodes, is a multiple of it.
        axis: Axis that is split, by number or name.
        points: Points of each slab; ``None``: they differ by one at most.
        **kwargs: See Lightning's ``DDPStrategy``.

    Raises:
        ValueError: if ``n_slabs`` does not divide the number of processes, there is no such axis, ``points`` do not add
            up to it, or something of module, data or trainer needs whole fields; says what.
    """

    strategy_name = "slabs"

    def __init__(self, n_slabs: int, axis: int | str = 0, points: Sequence[int] | None = None, **kwargs: Any) -> None:
        require_list(points=points)
        super().__init__(**kwargs)
        self.n_slabs = n_slabs
        self.axis = axis
        self.points: list[int] | None = plain(points, "points")
        self._mesh: DeviceMesh | None = None
        self._split = ExitStack()

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        """Shares of the groups, not of the processes."""
        assert self._mesh is not None
        return {"num_replicas": self._mesh.size(0), "rank": self._mesh.get_local_rank("data")}

    def setup_environment(self) -> None:
        """Form the groups, and leave whole fields out of each device's memory."""
        super().setup_environment()
        self._mesh = slab_mesh(self.n_slabs, self.root_device.type)
        data = _field_data(self._module.trainer)
        if isinstance(data, WellDataModule):
            data.keep_off_device()

    def setup(self, trainer: Trainer) -> None:
        """Check that everything goes with split fields, and split them from here on."""
        module = self._module
        data = _field_data(trainer)
        if obstacle := next(obstacles(trainer, module, data), None):
            raise ValueError(f"SlabStrategy splits fields over processes, but {obstacle}")
        self._split.close()
        self._split.enter_context(split_fields(self._slabs(data)))
        super().setup(trainer)

    def teardown(self) -> None:
        """Take fields as whole ones again."""
        self._split.close()
        super().teardown()

    @property
    def _module(self) -> ForecastModule:
        module: object = self.lightning_module
        if not isinstance(module, ForecastModule):
            raise ValueError(
                f"SlabStrategy splits the fields of a ForecastModule, got {type(module).__name__}: use FNOModule or "
                "TFNOModule, or ddp"
            )
        return module

    def _slabs(self, data: FieldDataModule) -> Slabs:
        assert self._mesh is not None
        names, grid = data.spec.axis_names, data.spec.grid_shape
        axis = names.index(self.axis) if self.axis in names else self.axis
        if not isinstance(axis, int) or not 0 <= axis < len(grid):
            raise ValueError(f"axis {self.axis!r} of SlabStrategy is none of the axes {list(names)} of the data")
        sizes = even_sizes(grid[axis], self.n_slabs) if self.points is None else tuple(self.points)
        if sum(sizes) != grid[axis]:
            raise ValueError(
                f"points {list(sizes)} of SlabStrategy add up to {sum(sizes)}, but {names[axis]} has {grid[axis]}"
            )
        return Slabs(self._mesh, axis, sizes)


def _field_data(trainer: Trainer) -> FieldDataModule:
    data: object = getattr(trainer, "datamodule", None)
    if not isinstance(data, FieldDataModule):
        raise ValueError(
            f"SlabStrategy takes slabs from a FieldDataModule, got {type(data).__name__}: pass datamodule=... to the "
            "trainer, or use ddp"
        )
    return data


def obstacles(trainer: Trainer, module: ForecastModule, data: FieldDataModule) -> Iterator[str]:
    """Yield what needs whole fields, each with what to do."""
    if trainer.state.fn is TrainerFn.PREDICTING:
        yield "predict returns whole ones: use one device"
    yield from _obstacles_of_data(data)
    yield from _obstacles_of_module(module)
    yield from _obstacles_of_network(module.network)
    if module.activation_checkpointing == "full" and getattr(module.network, "padding", None) is not None:
        yield "activation_checkpointing=full evaluates blocks again without domain_padding: leave one of them out"


def _obstacles_of_data(data: FieldDataModule) -> Iterator[str]:
    if data.spec.is_irregular:
        yield "irregular points have no axes: use ddp"
    if type(data).train_dataloader is not FieldDataModule.train_dataloader:
        yield f"{type(data).__name__} has loaders of its own: use WellDataModule or GeneratedDataModule"
    if data.augment:
        yield f"augment={data.augment} moves points from slab to slab: leave it out"
    if tuple(data.train_strides) != (1,) or len(data.train_grids) > 1:
        yield "training on several grids (train_strides, train_resolutions) splits each otherwise: use one grid"


def _obstacles_of_module(module: ForecastModule) -> Iterator[str]:
    if module.patching is not None:
        yield "patching cuts them already: leave it out"
    if module.compile_network:
        yield "a compiled network does not exchange slabs: leave compile out"
    if module.input_noise > 0 or module.mc_dropout is not None:
        yield "input_noise and mc_dropout draw the same numbers on each slab: leave them out"
    loss = module.loss
    if not isinstance(loss, Loss) or not loss.weighs_points:
        yield (
            f"the loss {type(loss).__name__} needs whole ones: use MSE, RMSE, VRMSE, MeanFluctuation, RelativeL2, Lp "
            "or sums of them"
        )
    if any(isinstance(part, InverseGradientNorm) for part in loss.modules()):
        yield "InverseGradientNorm takes gradients of one process: use WeightedSum, SoftAdapt or ReLoBRaLo"


def _obstacles_of_network(network: nn.Module) -> Iterator[str]:
    if not isinstance(network, FNO) or type(network).forward is not FNO.forward:
        yield f"the network {type(network).__name__} takes whole ones: use FNOModule or TFNOModule, without an ensemble"
    if any(isinstance(part, SphericalConv) for part in network.modules()):
        yield "latitudes convolve on whole spheres: use a plane"
    if any(isinstance(part, AxisSpectralConv) for part in network.modules()):
        yield "by_axis keeps modes of every line, whose sum over processes grows with the grid: leave it out"
    if any(getattr(part, "dropout", 0) for part in network.modules()):
        yield "dropout draws the same numbers on each slab: set channel_mlp_dropout to 0"
