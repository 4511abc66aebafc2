"""Samples of several data sets in common channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from fno_lightning.data.batch import Batch
from fno_lightning.data.batching import read_batch
from fno_lightning.data.spec import FieldSpec


class Aligned:
    """Brings the samples of a member into the channels of the mixture.

    Args:
        own: What the member is.
        mixed: What the mixture is.
        number: Number of the member.
        dataset: Samples of the member.
    """

    def __init__(self, own: FieldSpec, mixed: FieldSpec, number: int, dataset: Dataset[Batch]) -> None:
        self.number = number
        self.dataset = dataset
        self._constants = [mixed.constant_fields.index(name) for name in own.constant_fields]
        self._scalars = [mixed.scalars.index(name) for name in own.scalars]
        self._n_constants, self._n_scalars = len(mixed.constant_fields), len(mixed.scalars)

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def read(self, indices: Sequence[int]) -> Batch:
        """Reads some samples as a batch."""
        batch = read_batch(self.dataset, indices)
        constants = batch.constants.new_zeros(len(indices), self._n_constants, *batch.constants.shape[2:])
        constants[:, self._constants] = batch.constants
        scalars = batch.scalars.new_zeros(len(indices), self._n_scalars)
        scalars[:, self._scalars] = batch.scalars
        scalars[:, -1] = self.number
        return batch._replace(constants=constants, scalars=scalars)


class MixedSamples(Dataset[Batch]):
    """Samples of several members; a batch may hold some of each.

    Args:
        members: The members.
    """

    def __init__(self, members: Sequence[Aligned]) -> None:
        self.members = members
        self._ends = torch.tensor([len(member) for member in members]).cumsum(dim=0)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Batch:
        return Batch(*(part[0] for part in self.__getitems__([index])))

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Returns samples as one batch, in the order of the indices."""
        positions = torch.as_tensor(indices)
        numbers = torch.searchsorted(self._ends, positions, right=True)
        parts, rows = [], []
        for number, member in enumerate(self.members):
            chosen = (numbers == number).nonzero()[:, 0]
            if len(chosen):
                first = int(self._ends[number]) - len(member)
                parts.append(member.read((positions[chosen] - first).tolist()))
                rows.append(chosen)
        order = torch.cat(rows).argsort()
        return Batch(*(torch.cat(part)[order.to(part[0].device)] for part in zip(*parts, strict=True)))
