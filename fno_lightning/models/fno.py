"""Fourier neural operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers import (
    AxisSpectralConv,
    BasisName,
    ChannelMLP,
    ConditioningName,
    CPWeight,
    DenseWeight,
    DomainPadding,
    FiLM,
    FNOBlock,
    GridEmbedding,
    HeightEmbedding,
    LocalName,
    NormName,
    SkipName,
    SpectralConv,
    SpectralWeight,
    SphericalConv,
    TensorTrainWeight,
    TuckerWeight,
    local_branch,
)
from fno_lightning.slabs import split_fields
from fno_lightning.sphere import LatitudeName


class FNO(nn.Module):
    r"""Fourier neural operator on a grid of any number of dimensions and any resolution.

    Lifts the channels of every point, applies the blocks of :class:`~fno_lightning.layers.FNOBlock`, and projects to
    the output channels:

    .. math:: y = P \circ B_L \circ \dots \circ B_1 \circ Q\,(x, \text{position})

    Arguments and defaults have neuralop 2.0.0's names, order and meaning; all values are plain, so that they go through
    a configuration file and a checkpoint.

    Args:
        n_modes: Modes to keep along each axis, both signs counted; their number is the number of dimensions.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        hidden_channels: Channels of the blocks.
        n_layers: Number of blocks.
        bases: Basis of each axis, see :class:`~fno_lightning.layers.SpectralConv`; Fourier by default.
        lifting_channel_ratio: Hidden channels of the lifting over ``hidden_channels``; 0 lifts with one linear layer.
        projection_channel_ratio: Hidden channels of the projection over ``hidden_channels``.
        positional_embedding: ``grid`` appends the coordinates of each point to the input; ``None`` does not.
        norm: Normalisation in the blocks: ``instance_norm``, ``group_norm``, ``layer_norm`` or ``None``.
        use_channel_mlp: End each block with a perceptron over the channels.
        final_activation: Activate at the end of each block but the last, besides before its perceptron; ``False``
            without perceptrons is the FNO of arXiv:2010.08895 and of neuralop before 1.0.
        channel_mlp_dropout: Dropout in that perceptron.
        channel_mlp_expansion: Hidden channels of that perceptron over ``hidden_channels``.
        channel_mlp_skip: Connection around each block: ``linear``, ``identity``, ``soft-gating`` or ``None``.
        fno_skip: Connection around each spectral convolution, as above.
        domain_padding: Zeros added at both sides of the axes as a fraction of their points, one number or one for each
            axis; for axes that are not periodic (bases of axes that end do without).
        factorization: Low rank of the spectral weights: ``tucker``, ``cp``, ``tt`` (tensor train) or ``None``.
        rank: Fraction of the parameters of a dense weight to keep (float), or ranks (int, or one for each axis).
        implementation: ``factorized`` or ``reconstructed`` low-rank weights,
            see :class:`~fno_lightning.layers.LowRankWeight`.
        local: Operator over neighbouring points beside each spectral convolution: ``differential`` (first derivatives,
            the same on every grid), ``convolution`` (a kernel of points), or ``None``.
        local_kernel_size: Points of the kernel of ``convolution`` along each axis.
        periodic: Whether each axis is periodic, for the local operator; ``None``: those with a Fourier basis.
        by_axis: Convolve along one axis at a time, :class:`~fno_lightning.layers.AxisSpectralConv`, not along all.
        filter_order: Damp the shortest kept waves, see :class:`~fno_lightning.layers.SpectralConv`; ``None``: do not.
        conditioning: What the last ``n_conditions`` input channels, constant planes, do besides being input: nothing
            (``planes``), scale and shift the channels of each block (``film``, :class:`~fno_lightning.layers.FiLM`), or
            scale the coefficients of its modes (``spectral``, :class:`~fno_lightning.layers.SpectralModulation`). Their
            values are read at the first point.
        n_conditions: Number of these planes; ``planes`` does not need it.
        latitudes: Convolve on the sphere, :class:`~fno_lightning.layers.SphericalConv`: kind of the points along the
            first axis, ``equiangular`` (centres of equal cells), ``equiangular_poles`` (with both poles) or
            ``gauss_legendre``; the second axis is the longitude, a whole circle. The position is then the sine of the
            latitude. ``None``: not a sphere.
        by_order: On the sphere, give each order of a degree a matrix of its own.

    Raises:
        ValueError: if ``n_modes`` is empty, if it or ``hidden_channels`` is not positive, if ``bases`` or
            ``domain_padding`` do not have one entry for each axis, if ``local_kernel_size`` is even, if
            ``conditioning`` lacks planes or does not go with ``by_axis``, if an option does not go with ``latitudes``,
            or, in the forward pass, if the input has another number of dimensions or of channels.

    Good values: ``n_modes`` a quarter of the points of each axis at most, ``hidden_channels`` 32 to 128.
    Reference: Li et al. 2021, arXiv:2010.08895.

    >>> network = FNO(n_modes=(8, 8), in_channels=3, out_channels=2, hidden_channels=16)
    >>> network(torch.zeros(1, 3, 32, 24)).shape, network(torch.zeros(1, 3, 64, 48)).shape
    (torch.Size([1, 2, 32, 24]), torch.Size([1, 2, 64, 48]))
    """

    def __init__(
        self,
        n_modes: Sequence[int],
        in_channels: int,
        out_channels: int,
        hidden_channels: int = 64,
        n_layers: int = 4,
        *,
        bases: Sequence[BasisName] | None = None,
        lifting_channel_ratio: float = 2.0,
        projection_channel_ratio: float = 2.0,
        positional_embedding: Literal["grid"] | None = "grid",
        norm: NormName | None = None,
        use_channel_mlp: bool = True,
        final_activation: bool = True,
        channel_mlp_dropout: float = 0.0,
        channel_mlp_expansion: float = 0.5,
        channel_mlp_skip: SkipName | None = "soft-gating",
        fno_skip: SkipName | None = "linear",
        domain_padding: float | Sequence[float] | None = None,
        factorization: Literal["tucker", "cp", "tt"] | None = None,
        rank: int | float | Sequence[int] = 1.0,
        implementation: Literal["factorized", "reconstructed"] = "factorized",
        local: LocalName | None = None,
        local_kernel_size: int = 3,
        periodic: Sequence[bool] | None = None,
        by_axis: bool = False,
        filter_order: int | None = None,
        conditioning: ConditioningName = "planes",
        n_conditions: int = 0,
        latitudes: LatitudeName | None = None,
        by_order: bool = False,
    ) -> None:
        super().__init__()
        if hidden_channels < 1:
            raise ValueError(f"hidden_channels is {hidden_channels}, expected at least 1")
        self.n_dims = len(n_modes)
        self.in_channels = in_channels
        self.out_channels = out_channels
        _check_sphere(
            latitudes,
            len(n_modes),
            by_order=by_order,
            bases=bases,
            padding=domain_padding,
            local=local,
            by_axis=by_axis,
        )
        position = HeightEmbedding(latitudes) if latitudes else GridEmbedding()
        self.embedding = position if positional_embedding == "grid" else None
        n_positions = 1 if latitudes else self.n_dims
        self.lifting = ChannelMLP(
            in_channels + (n_positions if self.embedding else 0),
            int(lifting_channel_ratio * hidden_channels),
            hidden_channels,
        )
        self.padding = _domain_padding(domain_padding, self.n_dims)
        if self.padding is not None and any(
            fraction and str(basis).startswith("chebyshev")
            for fraction, basis in zip(self.padding.fractions, bases or (), strict=False)
        ):
            raise ValueError(
                f"domain_padding {list(self.padding.fractions)} adds points to an axis that the bases "
                f"{list(bases or ())} need as it is: 0 for axes with Chebyshev points"
            )
        weight = _spectral_weight(factorization, rank, implementation)
        wraps = [basis == "fourier" for basis in bases or ["fourier"] * self.n_dims] if periodic is None else periodic
        self.n_conditions = 0 if conditioning == "planes" else n_conditions
        _check_conditioning(conditioning, n_conditions, in_channels, by_axis=by_axis)
        plane = partial(SpectralConv, bases=bases)
        convolution = partial(SphericalConv, latitudes=latitudes, by_order=by_order) if latitudes else plane
        modulated = partial(convolution, n_conditions=n_conditions if conditioning == "spectral" else 0)
        along_axes = partial(AxisSpectralConv, bases=bases)
        spectral_conv = partial(along_axes if by_axis else modulated, filter_order=filter_order)
        branch = partial(local_branch, channels=hidden_channels, n_modes=n_modes, kernel_size=local_kernel_size)
        self.blocks = nn.ModuleList(
            FNOBlock(
                spectral_conv(hidden_channels, hidden_channels, n_modes, weight=weight),
                hidden_channels,
                skip=fno_skip,
                use_channel_mlp=use_channel_mlp,
                final_activation=final_activation,
                channel_mlp_expansion=channel_mlp_expansion,
                channel_mlp_dropout=channel_mlp_dropout,
                channel_mlp_skip=channel_mlp_skip,
                norm=norm,
                activate=layer < n_layers - 1,
                local=branch(local, periodic=wraps) if local else None,
                film=FiLM(n_conditions, hidden_channels) if conditioning == "film" else None,
            )
            for layer in range(n_layers)
        )
        self.projection = ChannelMLP(hidden_channels, int(projection_channel_ratio * hidden_channels), out_channels)

    def forward(self, x: Float[Tensor, "batch in_channels *grid"]) -> Float[Tensor, "batch out_channels *grid"]:
        """Apply the operator."""
        if not torch.compiler.is_compiling():
            self._check(x)
        grid = x.shape[2:]
        x = x.movedim(1, -1)
        conditions = self._conditions(x)
        if self.embedding is not None:
            x = self.embedding(x)
        x = self.lifting(x)
        if self.padding is not None:
            x = self.padding(x)
        if self.padding is None or (slabs := self.padding.padded_slabs()) is None:
            x = self._apply_blocks(x, conditions)
        else:
            with split_fields(slabs):
                x = self._apply_blocks(x, conditions)
        if self.padding is not None:
            x = self.padding.crop(x, grid)
        y: Tensor = self.projection(x)
        return y.movedim(-1, 1)

    def _apply_blocks(self, x: Tensor, conditions: Tensor | None) -> Tensor:
        for block in self.blocks:
            x = block(x) if conditions is None else block(x, conditions)
        return x

    def _conditions(self, x: Float[Tensor, "batch *grid channel"]) -> Float[Tensor, "batch *one condition"] | None:
        """Return the parameters of each sample, from one point of their planes."""
        if not self.n_conditions:
            return None
        return x[(slice(None), *(slice(1),) * self.n_dims, slice(-self.n_conditions, None))]

    def _check(self, x: Tensor) -> None:
        if x.ndim != self.n_dims + 2 or x.shape[1] != self.in_channels:
            axes = "".join(f", n_{axis}" for axis in range(1, self.n_dims + 1))
            raise ValueError(
                f"expected an input of shape (batch, {self.in_channels}{axes}), got {tuple(x.shape)}: the network has "
                f"{self.n_dims} spatial dimensions (the length of n_modes) and {self.in_channels} input channels"
            )


def _spectral_weight(
    factorization: Literal["tucker", "cp", "tt"] | None,
    rank: int | float | Sequence[int],
    implementation: Literal["factorized", "reconstructed"],
) -> Callable[..., SpectralWeight]:
    if factorization is None:
        return DenseWeight
    low_rank: dict[str, Callable[..., SpectralWeight]] = {
        "tucker": TuckerWeight,
        "cp": CPWeight,
        "tt": TensorTrainWeight,
    }
    return partial(low_rank[factorization], rank=rank, implementation=implementation)


def _check_conditioning(conditioning: ConditioningName, n_conditions: int, in_channels: int, *, by_axis: bool) -> None:
    if conditioning not in get_args(ConditioningName):
        raise ValueError(f"conditioning is {conditioning!r}, expected one of {get_args(ConditioningName)}")
    if conditioning != "planes" and not 1 <= n_conditions <= in_channels:
        raise ValueError(
            f"conditioning={conditioning} needs n_conditions, the number of constant planes at the end of the "
            f"{in_channels} input channels, got {n_conditions}"
        )
    if conditioning == "spectral" and by_axis:
        raise ValueError("conditioning=spectral is for convolutions along all axes at once: use film with by_axis")


def _check_sphere(latitudes: LatitudeName | None, n_axes: int, *, by_order: bool, **others: object) -> None:
    if latitudes is None:
        if by_order:
            raise ValueError("by_order is for convolutions on the sphere: give latitudes too")
        return
    if n_axes != 2:
        raise ValueError(f"n_modes has {n_axes} entries, but on the sphere (latitudes={latitudes}) there are two axes")
    if given := [name for name, value in others.items() if value]:
        names = " and ".join({"padding": "domain_padding"}.get(name, name) for name in given)
        raise ValueError(f"{names} is for a plane, not for the sphere (latitudes={latitudes}): leave it out")


def _domain_padding(fractions: float | Sequence[float] | None, n_dims: int) -> DomainPadding | None:
    if not fractions:
        return None
    by_axis = tuple(fractions) if isinstance(fractions, Sequence) else (fractions,) * n_dims
    if len(by_axis) != n_dims:
        raise ValueError(f"domain_padding {by_axis} must have one entry for each of the {n_dims} axes of n_modes")
    return DomainPadding(by_axis) if any(by_axis) else None
