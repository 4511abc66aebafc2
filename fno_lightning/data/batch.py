"""The batch that data and modules exchange, and the splits of a data set."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor


class _Parts(NamedTuple):
    history: Tensor
    constants: Tensor
    scalars: Tensor
    target: Tensor
    member: Tensor


class Batch(_Parts):
    """Samples of a data set, in physical units, channels before the grid.

    Channels are ordered as in the data set's :class:`~fno_lightning.data.FieldSpec`. A steady problem has no history
    (``T_in = 0``): its fields follow from the constants and the scalars alone. Absent parts are tensors with zero
    channels, never ``None``. A single sample of a dataset is a ``Batch`` without the leading batch axis.

    History and target, constants, and scalars each have the precision of the data: float64 where one of their channels
    is stored so, else float32. The module normalises them so, and casts them to the precision of its weights then.

    Attributes:
        history: Frames that a forecast starts from, ``(batch, T_in, field, *grid)``, oldest first.
        constants: Fields without time dependence, ``(batch, constant_field, *grid)``.
        scalars: Parameters of the trajectory, ``(batch, scalar)``.
        target: Frames to be predicted, ``(batch, T_out, field, *grid)``.
        member: Number of the data set that a sample of a mixture is from, ``(batch,)``, int64; zeros unless given.
    """

    __slots__ = ()

    def __new__(
        cls, history: Tensor, constants: Tensor, scalars: Tensor, target: Tensor, member: Tensor | None = None
    ) -> Batch:
        """Make a batch from its parts."""
        if member is None:
            member = scalars.new_zeros(scalars.shape[:-1], dtype=torch.int64)
        return super().__new__(cls, history, constants, scalars, target, member)


class Precisions(NamedTuple):
    """Types of the numbers in the parts of a data set's batches, float32 or float64.

    Attributes:
        frames: Type of history and target.
        constants: Type of the fields without time dependence.
        scalars: Type of the parameters.
    """

    frames: torch.dtype = torch.float32
    constants: torch.dtype = torch.float32
    scalars: torch.dtype = torch.float32


Split: TypeAlias = Literal["train", "valid", "test"]

SPLITS: tuple[Split, ...] = ("train", "valid", "test")


def splits_of(stage: str | None) -> tuple[Split, ...]:
    """Return the splits that a stage of the trainer needs; ``None``: all."""
    needed: dict[str | None, tuple[Split, ...]] = {"fit": ("train", "valid"), "validate": ("valid",), None: SPLITS}
    return needed.get(stage, ("test",))
