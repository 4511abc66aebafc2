"""Symmetries of fields on a grid: shifts, mirror images and rotations by 90°, with the components of vectors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations, permutations
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from fno_lightning.data.batch import Batch
from fno_lightning.field_spec import FieldSpec, component

KINDS = {"shift": 1, "flip": 1, "rotate": 2}
"""Kinds of symmetries, with the number of axes that each acts on."""


class Orientation(NamedTuple):
    """Signed permutation of the axes: along axis i lies what was axis ``axes[i]``, reversed where ``signs[i]`` is -1.

    As a matrix M, with one entry ``signs[i]`` in column ``axes[i]`` of row i, it turns positions and vectors.
    """

    axes: tuple[int, ...]
    signs: tuple[int, ...]

    def after(self, other: Orientation) -> Orientation:
        """Return the product of the matrices: first the other one, then this one."""
        axes = tuple(other.axes[axis] for axis in self.axes)
        signs = tuple(sign * other.signs[axis] for sign, axis in zip(self.signs, self.axes, strict=True))
        return Orientation(axes, signs)

    @property
    def determinant(self) -> int:
        """1 for a rotation, -1 for a mirror image."""
        n_inversions = sum(first > second for first, second in combinations(self.axes, 2))
        return math.prod(self.signs) * (-1 if n_inversions % 2 else 1)


class Action(NamedTuple):
    """What an orientation does to channels: the channel that each is taken from, and the sign that it gets."""

    sources: list[int]
    signs: list[int]

    def on(self, part: Tensor, dim: int) -> Tensor:
        """Return a tensor whose axis ``dim`` are the channels, with these taken and their signs changed."""
        if self.sources != list(range(len(self.sources))):
            part = part.index_select(dim, torch.tensor(self.sources, device=part.device))
        if -1 in self.signs:
            trailing = (1,) * (part.ndim - dim - 1)
            part = part * torch.tensor(self.signs, dtype=part.dtype, device=part.device).view(-1, *trailing)
        return part


class Symmetries:
    """Group of the symmetries that were asked for, on data of one description.

    Args:
        spec: Description of the data; components of vectors and tensors are found by their names.
        names: ``shift``, ``flip`` and ``rotate``, for all axes, or for named ones, as in ``flip_x`` and ``rotate_xy``.
        pseudo_fields: Fields, or vectors by their name without the axis, that change sign in a mirror image besides.

    Raises:
        ValueError: if a name is unknown, if the boundaries, the points or the shape of the grid break a symmetry, if a
            component of a vector that is rotated is missing, or if ``pseudo_fields`` names none of the data's.
    """

    def __init__(self, spec: FieldSpec, names: Sequence[str], pseudo_fields: Sequence[str] = ()) -> None:
        self.spec = spec
        _require_known(spec, pseudo_fields)
        asked = by_axes(names, spec.axis_names)
        for name, axes in sorted(asked):
            _require_allowed(spec, name, axes, names)
        self.shifted = sorted(axes[0] for kind, axes in asked if kind == "shift")
        self.orientations = generated_group(
            spec.n_dims, [_generator(spec.n_dims, kind, axes) for kind, axes in sorted(asked) if kind != "shift"]
        )
        parts = (spec.fields, spec.constant_fields, spec.scalars)
        self.actions = [
            tuple(channel_action(part, orientation, spec.axis_names, pseudo_fields) for part in parts)
            for orientation in self.orientations
        ]

    def draw(self, random: Random, grid: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        """Return the number of an orientation and the points to shift by along each axis, all equally likely."""
        number = random.randrange(len(self.orientations))
        return number, tuple(random.randrange(n) if axis in self.shifted else 0 for axis, n in enumerate(grid))

    def transformed(self, sample: Batch, orientation: int, shifts: Sequence[int]) -> Batch:
        """Return a sample, without a batch axis, in another orientation, and then shifted.

        Args:
            sample: The sample.
            orientation: Number of one of :attr:`orientations`.
            shifts: Points to shift by along each axis.
        """
        on_fields, on_constants, on_scalars = self.actions[orientation]

        def moved(part: Tensor) -> Tensor:
            return _moved(part, self.orientations[orientation], shifts)

        return sample._replace(
            history=moved(on_fields.on(sample.history, 1)),
            constants=moved(on_constants.on(sample.constants, 0)),
            scalars=on_scalars.on(sample.scalars, 0),
            target=moved(on_fields.on(sample.target, 1)),
        )


def by_axes(names: Iterable[str], axes: Sequence[str]) -> set[tuple[str, tuple[int, ...]]]:
    """Return what names of symmetries mean, one by one: the kind, and the numbers of its axes.

    Raises:
        ValueError: if a name is unknown.

    >>> sorted(by_axes(["flip", "rotate_yx"], ["x", "y"]))
    [('flip', (0,)), ('flip', (1,)), ('rotate', (0, 1))]
    """
    known = {}
    for kind, n_axes in KINDS.items():
        chosen = list(combinations(range(len(axes)), n_axes))
        known[kind] = {(kind, numbers) for numbers in chosen}
        for numbers in chosen:
            for order in permutations(numbers):
                known[f"{kind}_{''.join(axes[number] for number in order)}"] = {(kind, numbers)}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"augment has {unknown}, expected some of {[name for name in known if known[name]]}")
    return set().union(*(known[name] for name in names))


def generated_group(n_dims: int, generators: Sequence[Orientation]) -> list[Orientation]:
    """Return all products of orientations, the identity first."""
    group = [Orientation(tuple(range(n_dims)), (1,) * n_dims)]
    for member in group:  # which grows meanwhile
        group += [new for new in (generator.after(member) for generator in generators) if new not in group]
    return group


def channel_action(
    names: Sequence[str], orientation: Orientation, axes: Sequence[str], pseudo_fields: Sequence[str] = ()
) -> Action:
    """Return what an orientation does to channels of these names.

    Raises:
        ValueError: if a component is missing.
    """
    sources, signs = [], []
    for name in names:
        base, indices = component(name, axes)
        old = [tuple(orientation.axes[index] for index in indices)]
        old += list(permutations(old[0]))  # of a symmetric tensor one of two equal components is enough
        candidates = [f"{base}_{''.join(axes[index] for index in order)}" if order else name for order in old]
        found = next((candidate for candidate in candidates if candidate in names), None)
        if found is None:
            raise ValueError(
                f"augment=rotate turns {name} into {candidates[0]}, which the data do not have among {list(names)}"
            )
        sources.append(list(names).index(found))
        sign = math.prod(orientation.signs[index] for index in indices)
        signs.append(sign * orientation.determinant if {name, base} & set(pseudo_fields) else sign)
    return Action(sources, signs)


def _moved(part: Tensor, orientation: Orientation, shifts: Sequence[int]) -> Tensor:
    """Return a part whose last axes are those of the grid, turned and shifted."""
    first = part.ndim - len(shifts)
    if orientation.axes != tuple(range(len(shifts))):
        part = part.permute(*range(first), *(first + axis for axis in orientation.axes))
    if reversed_axes := [first + axis for axis, sign in enumerate(orientation.signs) if sign < 0]:
        part = part.flip(reversed_axes)
    return part.roll(tuple(shifts), tuple(range(first, part.ndim))) if any(shifts) else part


def _generator(n_dims: int, kind: str, axes: Sequence[int]) -> Orientation:
    order, signs = list(range(n_dims)), [1] * n_dims
    signs[axes[0]] = -1
    if kind == "rotate":
        order[axes[0]], order[axes[1]] = axes[1], axes[0]
    return Orientation(tuple(order), tuple(signs))


def _require_allowed(spec: FieldSpec, kind: str, axes: Sequence[int], asked: Sequence[str]) -> None:
    names = [spec.axis_names[axis] for axis in axes]
    along = " and ".join(names)
    start = f"augment has {list(asked)}, but {kind} along {along} is no symmetry of {spec.dataset_name}"
    if not spec.boundaries:
        raise ValueError(f"{start} as far as is known, for its boundaries are not")
    uneven = [name for name, axis in zip(names, axes, strict=True) if not spec.uniform[axis]]
    if uneven:
        raise ValueError(f"{start}: the points along {uneven[0]} are not even")
    lower, upper = spec.boundaries[axes[0]]
    if kind == "shift" and (lower, upper) != ("periodic", "periodic"):
        raise ValueError(f"{start}: the sides are {lower} and {upper}, not periodic; name the axes that are")
    if kind == "flip" and lower != upper:
        raise ValueError(f"{start}: the sides are {lower} and {upper}, not alike; name the axes with sides that are")
    if kind == "rotate":
        if len({side for axis in axes for side in spec.boundaries[axis]}) > 1:
            found = [spec.boundaries[axis] for axis in axes]
            raise ValueError(f"{start}: their sides are {found}, not alike")
        points = [spec.grid_shape[axis] for axis in axes]
        edges = spec.extent or ((0.0, 1.0),) * spec.n_dims
        lengths = [edges[axis][1] - edges[axis][0] for axis in axes]
        if points[0] != points[1] or not math.isclose(*lengths, rel_tol=1e-5):
            raise ValueError(f"{start}: the axes have {points} points on lengths {lengths}, which must be equal")


def _require_known(spec: FieldSpec, pseudo_fields: Sequence[str]) -> None:
    names = [*spec.fields, *spec.constant_fields, *spec.scalars]
    known = {*names, *(component(name, spec.axis_names)[0] for name in names)}
    if unknown := [name for name in pseudo_fields if name not in known]:
        raise ValueError(f"pseudo_fields has {unknown}, but {spec.dataset_name} has the fields {names}")
