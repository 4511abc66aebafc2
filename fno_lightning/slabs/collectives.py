"""Exchange between the processes of a group, with its gradient.

The processes run one program on different slabs. Each of the operations here is linear in the values of all of them,
and its backward pass is the transpose of that map: of a sum that all receive, the sum of the gradients of all.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from fno_lightning.slabs.partition import Slabs


def total(values: Tensor, slabs: Slabs) -> Tensor:
    """Return the sum over the processes of a group, the same in all; that of 16-bit numbers is taken in float32."""
    if values.dtype in (torch.float16, torch.bfloat16):
        return total(values.float(), slabs).to(values.dtype)
    summed: Tensor = _Total.apply(values, slabs)  # type: ignore[no-untyped-call]
    return summed


def stack(values: Tensor, slabs: Slabs) -> Tensor:
    """Return the values of all processes of a group, along a new first axis."""
    own = torch.zeros(slabs.n_slabs, *values.shape, dtype=values.dtype, device=values.device)
    own = torch.index_copy(own, 0, torch.tensor([slabs.rank], device=values.device), values.unsqueeze(0))
    return total(own, slabs)


@torch.no_grad()
def largest(values: Tensor, slabs: Slabs) -> Tensor:
    """Return the largest over the processes of a group, without a gradient; infinity where one is no number."""
    values = values.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf).contiguous()
    dist.all_reduce(values, dist.ReduceOp.MAX, group=slabs.group)
    return values


@torch.no_grad()
def gather(values: Tensor, dim: int, slabs: Slabs) -> Tensor:
    """Return whole fields in every process, without a gradient; traffic and memory grow with the grid.

    Args:
        values: Slabs of fields.
        dim: Their axis that is split.
        slabs: The slabs.
    """
    longest = max(slabs.sizes)
    sent = values.new_zeros(longest, *values.movedim(dim, 0).shape[1:])
    sent[: slabs.size] = values.movedim(dim, 0)
    received = [torch.empty_like(sent) for _ in slabs.sizes]
    dist.all_gather(received, sent, group=slabs.group)
    parts = [part[:size] for part, size in zip(received, slabs.sizes, strict=True)]
    return torch.cat(parts).movedim(0, dim)


def halo(values: Tensor, dim: int, width: int, slabs: Slabs, *, periodic: bool) -> tuple[Tensor | None, Tensor | None]:
    """Return the points before and after a slab, from its neighbours; ``None`` where the axis ends.

    Args:
        values: The slab.
        dim: Its axis that is split.
        width: Number of points on each side.
        slabs: The slabs.
        periodic: Whether the axis is, so that the first and the last slab are neighbours.

    Raises:
        ValueError: if a slab has fewer points.
    """
    if width > min(slabs.sizes):
        raise ValueError(
            f"a local operator needs {width} points of the slab beside each slab, but the slabs have "
            f"{list(slabs.sizes)} points: use fewer slabs, or a smaller kernel"
        )
    first, last = values.narrow(dim, 0, width), values.narrow(dim, values.shape[dim] - width, width)
    before, after = _Exchange.apply(last, first, slabs, periodic)  # type: ignore[no-untyped-call]
    return (
        before if periodic or not slabs.is_first else None,
        after if periodic or not slabs.is_last else None,
    )


class _Total(torch.autograd.Function):
    """Sum over the processes of a group; its transpose is the same sum."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, slabs: Slabs) -> Tensor:
        ctx.slabs = slabs
        return _summed(values, slabs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _summed(gradient, ctx.slabs), None


class _Exchange(torch.autograd.Function):
    """What goes to the next process comes from the one before, and the other way round; the transpose is so too."""

    @staticmethod
    def forward(ctx: Any, to_next: Tensor, to_previous: Tensor, slabs: Slabs, periodic: bool) -> tuple[Tensor, Tensor]:
        ctx.slabs, ctx.periodic = slabs, periodic
        return _exchanged(to_next, to_previous, slabs, periodic=periodic)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_previous: Tensor, of_next: Tensor) -> tuple[Tensor, Tensor, None, None]:
        first, last = _exchanged(of_next, of_previous, ctx.slabs, periodic=ctx.periodic)
        return last, first, None, None


def _summed(values: Tensor, slabs: Slabs) -> Tensor:
    values = values.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(values, group=slabs.group)
    return values


def _exchanged(to_next: Tensor, to_previous: Tensor, slabs: Slabs, *, periodic: bool) -> tuple[Tensor, Tensor]:
    """Return what comes from the process before and from the next one; zeros where there is none."""
    rank, n_slabs = slabs.rank, slabs.n_slabs
    sent = (to_next.contiguous(), to_previous.contiguous())
    received = (torch.zeros_like(sent[0]), torch.zeros_like(sent[1]))
    has_previous, has_next = periodic or not slabs.is_first, periodic or not slabs.is_last
    ranks = dist.get_process_group_ranks(slabs.group)
    previous, following = ranks[(rank - 1) % n_slabs], ranks[(rank + 1) % n_slabs]
    operations = []  # in one order in all processes, of which two may be each other's neighbours on both sides
    if has_next:
        operations.append(dist.P2POp(dist.isend, sent[0], following, slabs.group, tag=0))
    if has_previous:
        operations.append(dist.P2POp(dist.isend, sent[1], previous, slabs.group, tag=1))
        operations.append(dist.P2POp(dist.irecv, received[0], previous, slabs.group, tag=0))
    if has_next:
        operations.append(dist.P2POp(dist.irecv, received[1], following, slabs.group, tag=1))
    for work in dist.batch_isend_irecv(operations) if operations else ():
        work.wait()
    return received
