"""A loss of its own for each field."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.arguments import require_mapping
from fno_lightning.field_spec import FieldSpec
from fno_lightning.losses.base import FieldLoss, Loss
from fno_lightning.losses.loss_sum import common_units, members


class ByField(FieldLoss):
    """Mean over the fields of a loss of each, which sees this field alone.

    In a :class:`~fno_lightning.losses.BalancedSum` every field is a term, with a weight of its own.

    The counterpart of neuralop's ``FieldwiseAggregatorLoss``, which turns the prediction of a field, but not its
    target, into one column. Here both keep their shape, and a field without a loss is an error.

    Args:
        losses: Loss of each field, by its name; all compare fields in the same units.
        default: Loss of each field that is not named; ``None``: there must be none.
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.

    Raises:
        ValueError: if there are no losses, or one compares normalised fields and another physical ones; in a module, if
            there is no field of a name, or a field has no loss.
    """

    def __init__(
        self,
        losses: Mapping[str, Loss] | None = None,
        default: Loss | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(weights)
        require_mapping(losses=losses)
        self._named = dict(losses or {})
        self._default = default
        given = [*self._named.values(), *([] if default is None else [default])]
        if not given:
            raise ValueError("ByField needs losses by the names of the fields, a default or both, got neither")
        self.units = common_units(given)
        self.losses = nn.ModuleList()

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields; none before :meth:`bind`."""
        return self._fields

    @property
    def weighs_points(self) -> bool:
        """Whether the losses of all fields do; see :class:`~fno_lightning.losses.Loss`."""
        return all(loss.weighs_points for loss in (*self._named.values(), self._default) if loss is not None)

    def bind(self, spec: FieldSpec) -> None:
        """Find the loss of each field; see :meth:`Loss.bind`."""
        fields = spec.fields
        if unknown := sorted(set(self._named) - set(fields)):
            raise ValueError(f"losses name the fields {unknown}, but the data have {list(fields)}")
        if self._default is None and (missing := [name for name in fields if name not in self._named]):
            raise ValueError(f"the fields {missing} have no loss: name one for each in losses, or give a default")
        super().bind(spec)
        losses = [self._named.get(name) or copy.deepcopy(self._default) for name in fields]
        self.losses = nn.ModuleList(loss for loss in losses if loss is not None)
        for name, loss in zip(fields, members(self.losses), strict=True):
            loss.bind(replace(spec, fields=(name,)))

    def terms(
        self,
        prediction: Float[Tensor, "batch time field *grid"],
        target: Float[Tensor, "batch time field *grid"],
        weight: Float[Tensor, " batch *grid"] | None = None,
    ) -> list[Float[Tensor, ""]]:
        """Return the loss of each field.

        Raises:
            ValueError: before :meth:`bind`.
        """
        if len(self.losses) != prediction.shape[2]:
            raise ValueError("losses by field need the names of the fields: call bind(spec) first")
        weights = () if weight is None else (weight,)
        return [
            loss(prediction[:, :, i : i + 1], target[:, :, i : i + 1], *weights)
            for i, loss in enumerate(members(self.losses))
        ]

    def errors(
        self,
        prediction: Float[Tensor, "batch time field *grid"],
        target: Float[Tensor, "batch time field *grid"],
        weight: Float[Tensor, " batch *grid"] | None = None,
    ) -> Float[Tensor, "batch time field"]:
        """Return the loss of each field, the same for all samples and times."""
        return torch.stack(self.terms(prediction, target, weight)).expand(prediction.shape[:3])
