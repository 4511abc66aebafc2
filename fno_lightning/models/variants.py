"""Fourier neural operators with other defaults: tensorised, factorised by axis, and on the sphere."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal

from fno_lightning.layers import SkipName
from fno_lightning.models.fno import FNO
from fno_lightning.sphere import LatitudeName


def _signature_with_defaults(function: Callable[..., object], **defaults: object) -> inspect.Signature:
    signature = inspect.signature(function)
    changed = {name: signature.parameters[name].replace(default=value) for name, value in defaults.items()}
    return signature.replace(parameters=list((dict(signature.parameters) | changed).values()))


class TFNO(FNO):
    """Fourier neural operator with low-rank spectral weights: a Tucker decomposition with 10 % of the parameters.

    Takes the arguments of :class:`FNO`, of which two have other defaults.

    Args:
        *args: Positional arguments of :class:`FNO`.
        factorization: Low rank of the spectral weights: ``tucker``, ``cp`` or ``tt`` (tensor train).
        rank: Fraction of the parameters of a dense weight to keep (float), or ranks (int, or one for each axis).
        **kwargs: The other arguments of :class:`FNO`.

    Reference: Kossaifi et al. 2024, arXiv:2310.00120.
    """

    def __init__(
        self,
        *args: Any,
        factorization: Literal["tucker", "cp", "tt"] = "tucker",
        rank: int | float | Sequence[int] = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, factorization=factorization, rank=rank, **kwargs)

    __signature__ = _signature_with_defaults(FNO, factorization="tucker", rank=0.1)


class FFNO(FNO):
    r"""Factorised Fourier neural operator: spectral convolutions along one axis at a time, and residual blocks.

    Takes the arguments of :class:`FNO`, of which four have other defaults: the block is
    :math:`x + \mathrm{mlp}(\mathrm{conv}(x))`, with a perceptron of twice the channels.

    Args:
        *args: Positional arguments of :class:`FNO`.
        by_axis: Convolve along one axis at a time.
        fno_skip: Connection around each spectral convolution.
        channel_mlp_skip: Connection around each block.
        channel_mlp_expansion: Hidden channels of the perceptron over channels of the block.
        **kwargs: The other arguments of :class:`FNO`.

    Reference: Tran et al. 2023, arXiv:2111.13802; without the weights that its blocks share.
    """

    def __init__(
        self,
        *args: Any,
        by_axis: bool = True,
        fno_skip: SkipName | None = None,
        channel_mlp_skip: SkipName | None = "identity",
        channel_mlp_expansion: float = 2.0,
        **kwargs: Any,
    ) -> None:
        kwargs |= {"by_axis": by_axis, "fno_skip": fno_skip, "channel_mlp_skip": channel_mlp_skip}
        super().__init__(*args, channel_mlp_expansion=channel_mlp_expansion, **kwargs)

    __signature__ = _signature_with_defaults(
        FNO, by_axis=True, fno_skip=None, channel_mlp_skip="identity", channel_mlp_expansion=2.0
    )


class SFNO(FNO):
    """Spherical Fourier neural operator: an expansion in spherical harmonics in place of waves on a plane.

    Takes the arguments of :class:`FNO`, of which one has another default. Axes are latitude and longitude. Without
    ``positional_embedding`` it commutes with rotations about any axis, on fields whose harmonics it keeps and up to the
    harmonics above them that non-linearities make; with it, about the axis of the poles.

    Args:
        *args: Positional arguments of :class:`FNO`.
        latitudes: Kind of the points along the first axis: ``equiangular`` (centres of equal cells),
            ``equiangular_poles`` (with both poles) or ``gauss_legendre``.
        **kwargs: The other arguments of :class:`FNO`.

    Reference: Bonev et al. 2023, arXiv:2306.03838.
    """

    def __init__(self, *args: Any, latitudes: LatitudeName = "equiangular", **kwargs: Any) -> None:
        super().__init__(*args, latitudes=latitudes, **kwargs)

    __signature__ = _signature_with_defaults(FNO, latitudes="equiangular")
