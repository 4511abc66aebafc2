"""Fourier neural operators as LightningModules."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from fno_lightning.arguments import plain
from fno_lightning.data import FieldSpec
from fno_lightning.layers import BasisName, ConditioningName, LocalName, NormName, SkipName
from fno_lightning.models import FFNO, FNO, TFNO
from fno_lightning.modules.spectral import SpectralModule


class FNOModule(SpectralModule):
    """Forecasts with a Fourier neural operator, :class:`~fno_lightning.models.FNO`.

    Args:
        spec: Description of the data set; from the command line it comes from the datamodule.
        n_modes: Modes to keep along each axis, both signs counted; a quarter of the points at most is a good value.
        hidden_channels: Channels of the blocks.
        n_layers: Number of blocks.
        bases: Basis of each axis: ``fourier``, for axes that end ``cosine`` (zero gradient at the ends), ``sine`` (zero
            value), ``sine_cosine`` or ``cosine_sine`` (the lower end first), on Chebyshev points ``chebyshev`` or, with
            the ends, ``chebyshev_lobatto``. ``auto``: Chebyshev where the points are, else Fourier on the periodic axes
            of the data, cosine on the others and on those that ``patching`` cuts. ``None``: Fourier.
        lifting_channel_ratio: Hidden channels of the lifting over ``hidden_channels``; 0 lifts with one linear layer.
        projection_channel_ratio: Hidden channels of the projection over ``hidden_channels``.
        positional_embedding: ``grid`` appends the coordinates of each point to the input; ``None`` does not; with
            ``patching``, its ``positions`` decide.
        norm: Normalisation in the blocks: ``instance_norm``, ``group_norm``, ``layer_norm`` or ``None``.
        use_channel_mlp: End each block with a perceptron over the channels.
        final_activation: Activate at the end of each block but the last, besides before its perceptron.
        channel_mlp_dropout: Dropout in that perceptron.
        channel_mlp_expansion: Hidden channels of that perceptron over ``hidden_channels``.
        channel_mlp_skip: Connection around each block: ``linear``, ``identity``, ``soft-gating`` or ``None``.
        fno_skip: Connection around each spectral convolution, of the same kinds.
        domain_padding: Zeros to add at both sides of each axis, as a fraction of its points.
        factorization: Low rank of the spectral weights: ``tucker``, ``cp``, ``tt`` (tensor train) or ``None`` (dense).
        rank: Fraction of the parameters of a dense weight to keep (float), or ranks (int, or one for each axis).
        implementation: Multiply the factors of a low-rank weight one after the other (``factorized``), or with each
            other first (``reconstructed``).
        local: Operator over neighbouring points beside each spectral convolution: ``differential`` (first derivatives,
            the same on every grid), ``convolution`` (a kernel of points), or ``None``.
        local_kernel_size: Points of the kernel of ``convolution`` along each axis.
        by_axis: Convolve along one axis at a time, not along all.
        filter_order: Damp the shortest kept waves by an exponential filter of this order, such as 8, which keeps what a
            network makes of them from growing in a rollout; ``None``: do not.
        conditioning: How the scalars of the data act: as constant planes among the input alone (``planes``); besides,
            as functions that scale and shift the channels of each block (``film``), or that scale the coefficients of
            its modes (``spectral``).
        **kwargs: Options of every forecast, see :class:`~fno_lightning.modules.ForecastModule`.

    Raises:
        ValueError: if ``n_modes`` or ``bases`` do not have one entry for each axis of the data, or the points of an
            axis are not those of its basis (all but Chebyshev's need even ones); if ``conditioning`` is not ``planes``
            and the data have no scalars, or it is ``spectral`` and convolutions are ``by_axis``.
    """

    network_class: ClassVar[type[FNO]] = FNO

    def __init__(
        self,
        spec: FieldSpec | dict[str, Any],
        n_modes: Sequence[int],
        hidden_channels: int = 64,
        n_layers: int = 4,
        *,
        bases: Literal["auto"] | Sequence[BasisName] | None = None,
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
        by_axis: bool = False,
        filter_order: int | None = None,
        conditioning: ConditioningName = "planes",
        **kwargs: Any,
    ) -> None:
        given = locals()  # every argument of the network that is one of this method too
        super().__init__(spec, n_modes, bases, **kwargs)
        if conditioning != "planes" and not self.spec.scalars:
            raise ValueError(
                f"conditioning={conditioning} is by the scalars of the data, but {self.spec.dataset_name!r} have none: "
                "use planes"
            )
        network_arguments = inspect.signature(self.network_class).parameters.keys() & given.keys()
        self.network_arguments: dict[str, Any] = {name: plain(given[name], name) for name in network_arguments} | {
            "n_modes": self.n_modes,
            "bases": self.bases,
            "n_conditions": len(self.spec.scalars),
            "periodic": self.network_periodic,
            "positional_embedding": positional_embedding if self.patching is None else None,
        }

    def build_network(self) -> FNO:
        """Build the operator."""
        return self.network_class(
            in_channels=self.in_channels, out_channels=self.out_channels, **self.network_arguments
        )


class TFNOModule(FNOModule):
    """Forecasts with a tensorised Fourier neural operator, :class:`~fno_lightning.models.TFNO`.

    Args:
        spec: Description of the data set; from the command line it comes from the datamodule.
        n_modes: Modes to keep along each axis, both signs counted; a quarter of the points at most is a good value.
        factorization: Low rank of the spectral weights: ``tucker``, ``cp`` or ``tt`` (tensor train).
        rank: Fraction of the parameters of a dense weight to keep (float), or ranks (int, or one for each axis).
        **kwargs: The other options of :class:`FNOModule`.
    """

    network_class = TFNO

    def __init__(
        self,
        spec: FieldSpec | dict[str, Any],
        n_modes: Sequence[int],
        *,
        factorization: Literal["tucker", "cp", "tt"] = "tucker",
        rank: int | float | Sequence[int] = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(spec, n_modes, factorization=factorization, rank=rank, **kwargs)


class FFNOModule(FNOModule):
    """Forecasts with a factorised Fourier neural operator, :class:`~fno_lightning.models.FFNO`.

    Args:
        spec: Description of the data set; from the command line it comes from the datamodule.
        n_modes: Modes to keep along each axis, both signs counted; a quarter of the points at most is a good value.
        by_axis: Convolve along one axis at a time.
        fno_skip: Connection around each spectral convolution: ``linear``, ``identity``, ``soft-gating`` or ``None``.
        channel_mlp_skip: Connection around each block, of the same kinds.
        channel_mlp_expansion: Hidden channels of the blocks' perceptrons over ``hidden_channels``.
        **kwargs: The other options of :class:`FNOModule`.
    """

    network_class = FFNO

    def __init__(
        self,
        spec: FieldSpec | dict[str, Any],
        n_modes: Sequence[int],
        *,
        by_axis: bool = True,
        fno_skip: SkipName | None = None,
        channel_mlp_skip: SkipName | None = "identity",
        channel_mlp_expansion: float = 2.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            spec,
            n_modes,
            by_axis=by_axis,
            fno_skip=fno_skip,
            channel_mlp_skip=channel_mlp_skip,
            channel_mlp_expansion=channel_mlp_expansion,
            **kwargs,
        )
