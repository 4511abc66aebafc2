"""Several data sets as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property, reduce
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from fno_lightning.arguments import plain, require_list, require_mapping
from fno_lightning.data.base import FieldDataModule
from fno_lightning.data.batch import Batch, Precisions, Split
from fno_lightning.data.loading import read_batch
from fno_lightning.data.on_the_fly import OnTheFlyDataModule
from fno_lightning.data.statistics import Statistics
from fno_lightning.data.well import WellDataModule
from fno_lightning.field_spec import FieldSpec


class Aligned:
    """Samples of a member in the channels of the mixture.

    Args:
        own: Description of the member.
        mixed: Description of the mixture.
        number: Number of the member.
        dataset: Samples of the member.
    """

    def __init__(self, own: FieldSpec, mixed: FieldSpec, number: int, dataset: Dataset[Batch]) -> None:
        self.number = number
        self.dataset = dataset
        self._constants = [mixed.constant_fields.index(name) for name in own.constant_fields]
        self._scalars = [mixed.scalars.index(name) for name in own.scalars]
        self._n_constants, self._n_scalars = len(mixed.constant_fields), len(mixed.scalars)

    @property
    def precisions(self) -> Precisions:
        """Types of the numbers in the samples; float32 of a data set that does not say."""
        return getattr(self.dataset, "precisions", Precisions())

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def read(self, indices: Sequence[int]) -> Batch:
        """Read some samples as a batch."""
        batch = read_batch(self.dataset, indices)
        constants = batch.constants.new_zeros(len(indices), self._n_constants, *batch.constants.shape[2:])
        constants[:, self._constants] = batch.constants
        scalars = batch.scalars.new_zeros(len(indices), self._n_scalars)
        scalars[:, self._scalars] = batch.scalars
        return batch._replace(constants=constants, scalars=scalars, member=torch.full_like(batch.member, self.number))


class MixedDataset(Dataset[Batch]):
    """Samples of several members; a batch may hold some of each, and has the precision of the finest.

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
        """Return samples as one batch, in the order of the indices."""
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
        batch = Batch(*(torch.cat(part)[order.to(part[0].device)] for part in zip(*parts, strict=True)))
        frames, constants, scalars = self._precisions
        return batch._replace(
            history=batch.history.to(frames),
            constants=batch.constants.to(constants),
            scalars=batch.scalars.to(scalars),
            target=batch.target.to(frames),
        )

    @cached_property
    def _precisions(self) -> Precisions:
        of_members = (member.precisions for member in self.members)
        return Precisions(*(reduce(torch.promote_types, dtypes) for dtypes in zip(*of_members, strict=True)))


class MixedDataModule(FieldDataModule):
    """Several data sets, interleaved to train one model on all of them.

    The members share their fields, constant fields and grid. Their scalars are aligned by name: a sample has those of
    all members, and 0 for those that its own data set lacks, as a term that is absent from its equation has the
    coefficient 0. Constant fields are aligned likewise. By the number of a sample's data set, ``Batch.member``, the
    module normalises the fields of each member with its own statistics, while scalars share theirs.

    A checkpoint of a mixture is fine-tuned on, or tested with, one of its members, or a shifted version of it: a
    mixture of that one member whose ``names`` and ``scalars`` are those of the checkpoint.

    Args:
        members: The data sets by name.
        names: Names of all members that there may be, in the order of their numbers; those of ``members`` unless given.
        scalars: Names of all scalars that there may be; the members' in the order of their appearance unless given.
        **loader_options: Batch sizes and options of the loaders, see :class:`FieldDataModule`; of those of the members
            only ``rollout_batch_size`` matters.

    Raises:
        ValueError: if the members do not fit together, or have names or scalars that are not listed.
    """

    def __init__(
        self,
        members: dict[str, FieldDataModule],
        *,
        names: Sequence[str] | None = None,
        scalars: Sequence[str] | None = None,
        **loader_options: Any,
    ) -> None:
        super().__init__(**loader_options)
        require_mapping(members=members)
        require_list(names=names, scalars=scalars)
        if not members:
            raise ValueError("members is empty, expected at least one data set by name")
        self.members = dict(members)
        self.names = tuple(members if names is None else plain(names, "names"))
        self.scalars = None if scalars is None else tuple(plain(scalars, "scalars"))
        if fresh := [name for name, member in members.items() if isinstance(member, OnTheFlyDataModule)]:
            raise ValueError(f"the members {fresh} have no stored samples: use GeneratedDataModule in a mixture")
        if cached := [name for name, member in members.items() if getattr(member, "cache", None) == "device"]:
            raise ValueError(
                f"the members {cached} have cache=device, but the batches of a mixture are put together in main "
                "memory: use cache=ram"
            )
        for member in members.values():
            if isinstance(member, WellDataModule):
                member.keep_off_device()
        if unknown := [name for name in members if name not in self.names]:
            raise ValueError(f"members {unknown} are not among the names {list(self.names)}: list them there too")
        self.n_steps_input = next(iter(members.values())).n_steps_input
        for name, member in members.items():
            if member.n_steps_input != self.n_steps_input:
                raise ValueError(
                    f"the member {name!r} has n_steps_input={member.n_steps_input}, but the first one has "
                    f"{self.n_steps_input}: all must have the same"
                )
        lengths = {name: getattr(member, "n_steps_output", 1) for name, member in members.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the members have n_steps_output {lengths}: all must have the same")

    @cached_property
    def spec(self) -> FieldSpec:
        """Description that the members share, with the constant fields and scalars of all."""
        specs = {name: member.spec for name, member in self.members.items()}
        first = next(iter(specs.values()))
        for name, spec in specs.items():
            if spec.is_irregular:
                raise ValueError(f"the member {name!r} has irregular points: a mixture is of fields on one grid")
            for attribute in ("fields", "grid_shape", "axes", "boundaries", "time_step", "coordinates"):
                found, expected = getattr(spec, attribute), getattr(first, attribute)
                if found != expected:
                    raise ValueError(
                        f"the member {name!r} has {attribute} {found}, but the first one has {expected}: the members "
                        "of a mixture must agree"
                    )
        scalars = _union(spec.scalars for spec in specs.values())
        if self.scalars is not None:
            if unknown := [name for name in scalars if name not in self.scalars]:
                raise ValueError(f"the members' scalars {unknown} are not among the scalars {list(self.scalars)}")
            scalars = self.scalars
        return replace(
            first,
            dataset_name="+".join(self.members),
            constant_fields=_union(spec.constant_fields for spec in specs.values()),
            scalars=scalars,
            members=self.names,
            source="; ".join(f"{name}: {spec.source}" for name, spec in specs.items()),
        )

    @cached_property
    def statistics(self) -> Statistics:
        """Statistics of the fields of each member, ``(member, channel)``, and of the scalars of all, ``(scalar,)``."""
        own = {name: member.statistics for name, member in self.members.items()}
        sizes = [len(member.dataset("train")) for member in self.members.values()]  # type: ignore[arg-type]
        tables: dict[str, Tensor] = {}
        for name in (field.name for field in fields(Statistics) if not field.name.startswith("scalar_")):
            channels = self.spec.constant_fields if name.startswith("constant_") else self.spec.fields
            fallback = 1.0 if "std" in name else 0.0
            tables[name] = torch.full((len(self.names), len(channels)), fallback, dtype=torch.float64)
            for member, statistics in own.items():
                known = self.members[member].spec
                present = known.constant_fields if name.startswith("constant_") else known.fields
                columns = [channels.index(channel) for channel in present]
                tables[name][self.names.index(member), columns] = getattr(statistics, name)
        return Statistics(**tables, **self._pooled_scalars(own, sizes))

    def prepare_data(self) -> None:
        """Prepare every member."""
        for member in self.members.values():
            member.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Set every member up, and check that they fit together."""
        for member in self.members.values():
            member.trainer = self.trainer
            member.setup(stage)  # type: ignore[arg-type]
        _ = self.spec

    def dataset(self, split: Split) -> Dataset[Batch]:
        """Return the samples of all members, one member after the other."""
        return self._mixed({name: member.dataset(split) for name, member in self.members.items()})

    def rollout_dataset(self, split: Split) -> Dataset[Batch]:
        """Return the full trajectories of all members."""
        return self._mixed({name: member.rollout_dataset(split) for name, member in self.members.items()})

    def beginnings(self, split: Split) -> Dataset[Batch] | None:
        """Return the trajectories of all members with their histories alone, if all of them can tell."""
        found = {name: member.beginnings(split) for name, member in self.members.items()}
        known = {name: dataset for name, dataset in found.items() if dataset is not None}
        return self._mixed(known) if len(known) == len(found) else None

    def at_resolution(self, resolution: Sequence[int]) -> MixedDataModule:
        """Return the same mixture on another grid."""
        members = {name: member.at_resolution(resolution) for name, member in self.members.items()}
        return self._changed(members=members)

    def rollout_batches(self, split: Split) -> list[list[int]]:
        """Return the batches of each member, after one another."""
        batches, first = [], 0
        for member in self.members.values():
            own = member.rollout_batches(split)
            batches += [[first + index for index in batch] for batch in own]
            first += sum(map(len, own))
        return batches

    def _mixed(self, datasets: Mapping[str, Dataset[Batch]]) -> MixedDataset:
        aligned = [
            Aligned(self.members[name].spec, self.spec, self.names.index(name), dataset)
            for name, dataset in datasets.items()
        ]
        return MixedDataset(aligned)

    def _pooled_scalars(self, own: Mapping[str, Statistics], sizes: Sequence[int]) -> dict[str, Tensor]:
        """Statistics of each scalar over the samples of all members; it is 0 where a member lacks it.

        It has a logarithm only where all members that there may be are here, and have it.
        """
        names, shape = self.spec.scalars, (len(self.members), len(self.spec.scalars))
        tables = {
            field.name: torch.full(shape, torch.nan if "_log_" in field.name else 0.0, dtype=torch.float64)
            for field in fields(Statistics)
            if field.name.startswith("scalar_")
        }
        for row, (member, statistics) in enumerate(own.items()):
            columns = [names.index(name) for name in self.members[member].spec.scalars]
            for name, table in tables.items():
                found = getattr(statistics, name)
                table[row, columns] = torch.nan if found is None else found
        if len(self.members) < len(self.names):
            tables["scalar_log_mean"].fill_(torch.nan)
        weights = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
        pooled = {"scalar_min": tables["scalar_min"].amin(dim=0), "scalar_max": tables["scalar_max"].amax(dim=0)}
        for kind in ("scalar", "scalar_log"):
            means, stds = tables[f"{kind}_mean"], tables[f"{kind}_std"]
            mean = weights @ means
            pooled[f"{kind}_mean"] = mean
            pooled[f"{kind}_std"] = (weights @ (stds.square() + (means - mean).square())).sqrt()
        return pooled


def _union(groups: Any) -> tuple[str, ...]:
    """All names, in the order of their first appearance."""
    return tuple(dict.fromkeys(name for group in groups for name in group))
