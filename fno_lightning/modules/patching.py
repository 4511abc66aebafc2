"""Apply a network to a field patch by patch, so that its memory is that of a few patches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fno_lightning.arguments import plain, require_list
from fno_lightning.modules.checkpointing import evaluated_again
from fno_lightning.modules.patch_windows import PatchAxis, cropped, stitched, windows_of


@dataclass(frozen=True)
class MultigridPatching:
    r"""Apply a network to overlapping patches of a field, each with coarser views of what lies around it.

    The domain is cut into equal patches. The network sees one with a halo of points around it; for level l = 1, 2, ...
    also every :math:`2^l`-th point of a surrounding :math:`2^l` times as long, centred on the patch, as further
    channels; and the position in the domain. Of its output the halo is cut off, and what remains is stitched together.
    Its channels are, in this order: the positions, the channels of the field, those of level 1, of level 2, ...

    A few patches are evaluated at once, and training evaluates them again in the backward pass: the activations in
    memory are those of ``chunk`` patches, whatever the size of the field. The result is a function of the whole field,
    and that of a network applied to the whole where the network is local within the halo, but for ends that are not
    periodic, where a network may continue its own hidden fields otherwise. A norm over the grid is one over the window.

    Beyond an end that is not periodic the halo and the surroundings hold the value at the end, and the position goes on
    below 0 or above 1. An axis with one patch is left whole, without halo and on every level.

    Args:
        n_patches: Patches along each axis; they divide its points.
        halo: Points on each side of a patch, or a fraction of the points of the whole axis (a number with a decimal
            point, below 1); one for all axes, or one for each.
        levels: Coarser surroundings; the coarsest is at most as long as the domain, :math:`2^{levels}` at most
            ``n_patches``.
        chunk: Patches that are evaluated at once.
        trained_patches: Patches of each sample that a training step differentiates, drawn at random; the others are
            evaluated without gradient. The gradient is that of the whole in the mean over the draws. ``None``: all.
        positions: Show the network the position of each point in the whole domain, from 0 at the first point to 1,
            excluded, as one channel for each axis.
        periodic: Whether each axis is periodic; ``None``: as the boundaries of the data say, outside of a module all.

    Raises:
        ValueError: if a number is out of its range, or they do not have one entry for each axis of the field; in use,
            if the patches do not divide the grid, a patch with its halo is longer than the domain, or the network
            changes the grid.

    Good values: a window (patch and halos) of 32 to 128 points along each axis, a halo of what a step of the forecast
    can be influenced from, 1 or 2 levels if there is influence from further away.
    Reference: Kossaifi et al. 2023, arXiv:2310.00120, section 3.

    >>> patching = MultigridPatching(n_patches=(4, 4), halo=2, levels=1)
    >>> patching.in_channels(3, n_dims=2), patching.patch(torch.zeros(1, 3, 32, 32)).shape
    (8, torch.Size([16, 8, 12, 12]))
    >>> patching(lambda windows: windows[:, 2:5] + 1, torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 3, 32, 32])
    """

    n_patches: Sequence[int]
    halo: int | float | Sequence[int | float] = 0
    levels: int = 0
    chunk: int = 1
    trained_patches: int | None = None
    positions: bool = True
    periodic: Sequence[bool] | None = None

    def __post_init__(self) -> None:
        require_list(n_patches=self.n_patches, periodic=self.periodic)
        for name in ("n_patches", "halo", "levels", "chunk", "trained_patches", "periodic"):
            object.__setattr__(self, name, plain(getattr(self, name), name))
        _require_counts("n_patches", self.n_patches, 1)
        _require_counts("levels", [self.levels], 0)
        _require_counts("chunk", [self.chunk], 1)
        if self.trained_patches is not None and not 1 <= self.trained_patches <= math.prod(self.n_patches):
            raise ValueError(
                f"patching.trained_patches is {self.trained_patches}, expected 1 to {math.prod(self.n_patches)}, the "
                f"patches of a sample ({_text(self.n_patches)})"
            )
        for name, entries in (("halo", self._halos), ("periodic", self._periodic)):
            if len(entries) != len(self.n_patches):
                raise ValueError(
                    f"patching.{name} has {len(entries)} entries and patching.n_patches {len(self.n_patches)}: give "
                    "one for each axis"
                )
        if wrong := [halo for halo in self._halos if halo < 0 or (isinstance(halo, float) and halo >= 1)]:
            raise ValueError(
                f"patching.halo is {wrong[0]}, expected a number of points, at least 0, or a fraction of the points of "
                "the axis, below 1"
            )
        if fewest := [n for n in self.n_patches if 1 < n < 2**self.levels]:
            raise ValueError(
                f"patching.levels={self.levels} has surroundings {2**self.levels} times as long as a patch, which is "
                f"more than the domain of {fewest[0]} patches: at most {int(math.log2(fewest[0]))}, or more patches"
            )

    def in_channels(self, n_channels: int, n_dims: int) -> int:
        """Return the channels that the network sees of a field of so many channels."""
        return n_channels * (self.levels + 1) + (n_dims if self.positions else 0)

    def window(self, grid: Sequence[int]) -> tuple[int, ...]:
        """Return the grid that the network sees of a whole grid: a patch with its halos."""
        return tuple(axis.window for axis in self.axes(grid))

    def axes(self, grid: Sequence[int]) -> list[PatchAxis]:
        """Return how each axis of a grid is cut.

        Raises:
            ValueError: if the patches do not divide the grid, or have halos that make them longer than it.
        """
        if len(grid) != len(self.n_patches):
            raise ValueError(
                f"patching.n_patches {_text(self.n_patches)} has {len(self.n_patches)} entries, but the grid "
                f"{_text(grid)} has {len(grid)} axes: give one for each"
            )
        halos = [
            round(halo * n) if isinstance(halo, float) else halo for halo, n in zip(self._halos, grid, strict=True)
        ]
        axes = [PatchAxis(*of_axis) for of_axis in zip(grid, self.n_patches, halos, self._periodic, strict=True)]
        for number, axis in enumerate(axes):
            if axis.n_points % axis.n_patches:
                raise ValueError(
                    f"patching.n_patches {_text(self.n_patches)} does not divide the grid {_text(grid)}: axis {number} "
                    f"has {axis.n_points} points, give it one of {_divisors(axis.n_points)} patches"
                )
            if axis.window > axis.n_points:
                raise ValueError(
                    f"patching.halo makes a window of {axis.window} points along axis {number} (a patch of "
                    f"{axis.length} and halos of {halos[number]}), more than the {axis.n_points} of the domain: choose "
                    f"at most {(axis.n_points - axis.length) // 2}"
                )
        return axes

    def patch(self, x: Float[Tensor, "batch channel *grid"]) -> Float[Tensor, "patch in_channel *window"]:
        """Return the windows of all patches, those of a sample one after the other, the last axis fastest."""
        axes = self.axes(x.shape[2:])
        patches = torch.arange(len(x) * math.prod(self.n_patches), device=x.device)
        return windows_of(x, axes, patches, levels=self.levels, positions=self.positions)

    def stitch(
        self, windows: Float[Tensor, "patch channel *window"], grid: Sequence[int]
    ) -> Float[Tensor, "batch channel *grid"]:
        """Cut off the halos of all windows, in the order of :meth:`patch`, and put the patches together."""
        axes = self.axes(grid)
        return stitched(cropped(windows, axes), axes)

    def __call__(
        self,
        network: Callable[[Tensor], Tensor],
        x: Float[Tensor, "batch channel *grid"],
        *,
        recompute: bool = True,
    ) -> Float[Tensor, "batch out_channel *grid"]:
        """Apply a network ``(patch, in_channels, *window) -> (patch, out_channels, *window)`` to all patches.

        Args:
            network: The network; in training, if it is a module in training mode.
            x: The field.
            recompute: Evaluate each chunk again in the backward pass, rather than to keep what that needs.
        """
        axes = self.axes(x.shape[2:])
        n_patches = math.prod(self.n_patches)
        output = partial(self._output, network, x, axes, recompute=recompute)
        is_training = isinstance(network, nn.Module) and network.training and torch.is_grad_enabled()
        if not is_training or self.trained_patches in (None, n_patches):
            return stitched(output(torch.arange(len(x) * n_patches, device=x.device)), axes)
        drawn = torch.rand(len(x), n_patches, device=x.device).argsort(dim=1)
        drawn += n_patches * torch.arange(len(x), device=x.device)[:, None]
        trained, others = (part.flatten() for part in drawn.tensor_split([self.trained_patches], dim=1))
        with torch.no_grad():
            without_gradient = output(others)
        with_gradient = _with_gradient_times(n_patches / self.trained_patches, output(trained))
        order = torch.cat((trained, others)).argsort()
        return stitched(torch.cat((with_gradient, without_gradient))[order], axes)

    @property
    def _halos(self) -> list[int | float]:
        return list(self.halo) if isinstance(self.halo, Sequence) else [self.halo] * len(self.n_patches)

    @property
    def _periodic(self) -> Sequence[bool]:
        return [True] * len(self.n_patches) if self.periodic is None else self.periodic

    def _output(
        self,
        network: Callable[[Tensor], Tensor],
        x: Tensor,
        axes: Sequence[PatchAxis],
        patches: Int[Tensor, " patch"],
        *,
        recompute: bool,
    ) -> Float[Tensor, "patch out_channel *length"]:
        """Return the network's output for some patches, without the halos, chunk by chunk."""
        evaluate: Callable[..., Tensor] = partial(self._output_of_chunk, network, axes)
        if recompute and isinstance(network, nn.Module):
            evaluate = partial(evaluated_again, network, evaluate)
        return torch.cat([evaluate(x, some) for some in torch.split(patches, self.chunk)])

    def _output_of_chunk(
        self, network: Callable[[Tensor], Tensor], axes: Sequence[PatchAxis], x: Tensor, patches: Tensor
    ) -> Tensor:
        windows = windows_of(x, axes, patches, levels=self.levels, positions=self.positions)
        output = network(windows)
        if output.shape[2:] != windows.shape[2:]:
            raise ValueError(
                f"patching: the network makes {_text(output.shape[2:])} points of a window of "
                f"{_text(windows.shape[2:])}, expected as many: choose n_patches and halo such that it keeps the grid"
            )
        return cropped(output, axes).contiguous()


def _with_gradient_times(factor: float, x: Tensor) -> Tensor:
    value = x.detach()
    return value + factor * (x - value)


def _require_counts(name: str, counts: Sequence[int], least: int) -> None:
    if not counts or not all(isinstance(count, int) and count >= least for count in counts):
        raise ValueError(f"patching.{name} is {_text(counts) or 'empty'}, expected whole numbers of at least {least}")


def _text(numbers: Sequence[int]) -> str:
    return " x ".join(map(str, numbers))


def _divisors(n: int) -> list[int]:
    return [divisor for divisor in range(1, n + 1) if n % divisor == 0]
