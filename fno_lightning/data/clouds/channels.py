"""Positions and weights of the points of irregular data, which are constant fields of a batch."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from fno_lightning.field_spec import POINT_WEIGHT, FieldSpec


def point_weight(
    constants: Float[Tensor, "*batch constant_field *grid"], spec: FieldSpec
) -> Float[Tensor, "*batch *grid"] | None:
    """Return what each point weighs in a mean over the domain, 0 for padding; ``None`` for fields on a grid.

    Args:
        constants: Fields without time dependence, in physical units.
        spec: Description of the data.
    """
    if not spec.is_irregular:
        return None
    return constants.select(-2, spec.constant_fields.index(POINT_WEIGHT))


def point_positions(
    constants: Float[Tensor, "*batch constant_field point"], spec: FieldSpec
) -> Float[Tensor, "*batch point dim"]:
    """Return the coordinates of the points of irregular data.

    Args:
        constants: Fields without time dependence, in physical units.
        spec: Description of the data.
    """
    channels = [spec.constant_fields.index(name) for name in spec.positions]
    return constants[..., channels, :].mT
