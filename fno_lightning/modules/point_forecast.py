"""The base class of LightningModules that forecast fields on irregular points."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fno_lightning.data import FieldSpec, point_positions, point_weight
from fno_lightning.field_spec import POINT_WEIGHT
from fno_lightning.modules.base import ForecastModule
from fno_lightning.modules.field_forecaster import Context


class PointForecastModule(ForecastModule):
    """LightningModule of a network on point clouds and meshes.

    A subclass overrides :meth:`build_network`. The network is called as ``network(x, positions, weight)`` with

    - ``x``, ``(batch, in_channels, point)``: normalised past frames, constant fields with the positions, and scalars;
    - ``positions``, ``(batch, point, dim)``: from 0 to 1 in the box of the train split (``spec.box``);
    - ``weight``, ``(batch, point)``: what each point stands for in a mean over the domain, 0 for padding,

    and returns ``(batch, out_channels, point)``. What it returns for padding is dropped; nothing else may depend on it.

    Args:
        spec: Description of the data set; from the command line it comes from the datamodule.
        **kwargs: Options of every forecast, see :class:`~fno_lightning.modules.ForecastModule`.

    Raises:
        ValueError: if the data are fields on a grid, or ``reversible_norm``, ``patching``, a ``normalization`` other
            than ``zscore``, ``ensemble_size`` or ``mc_dropout`` is given, which are for grids.
    """

    takes_points = True

    def __init__(self, spec: FieldSpec | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(spec, **kwargs)
        if self.reversible_norm or self.patching is not None or self.normalizer.source_channel is not None:
            raise ValueError(
                "reversible_norm, patching and normalization=source_norm are for fields on a grid, not for irregular "
                "points: leave them out"
            )
        if self.n_forecasts > 1:
            raise ValueError(
                "ensemble_size and mc_dropout are for fields on a grid, not for irregular points: leave them out"
            )

    @property
    def in_channels(self) -> int:
        """Number of input channels of the network: those of a grid's, without the weights of the points."""
        return super().in_channels - 1

    def _apply_network(self, x: Tensor, context: Context) -> Tensor:
        spec = self.spec
        weight = point_weight(context.constants, spec)
        assert weight is not None
        low, high = context.constants.new_tensor(spec.box).unbind(dim=1)
        length = torch.where(high > low, high - low, 1)
        positions = (point_positions(context.constants, spec) - low) / length
        dropped = self.n_steps_input * len(spec.fields) + spec.constant_fields.index(POINT_WEIGHT)
        x = torch.cat((x[:, :dropped], x[:, dropped + 1 :]), dim=1)
        output: Tensor = self.network(x, positions.to(x.dtype), weight.to(x.dtype))
        return torch.where(weight[:, None] > 0, output, 0)
