r"""Metrics of ensembles and of bands: a function for each, and a class for its mean over samples.

Functions take an ensemble :math:`x_1, \dots, x_m` of predictions, ``(ensemble, ..., *grid)``, and a target :math:`t`,
``(..., *grid)``, with ``n_dims`` grid axes, and return one value for each field, ``(...)``. :math:`\langle \cdot
\rangle` is the mean over the grid.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.metrics.base import FieldMetric
from fno_lightning.metrics.pointwise import rmse


def crps(
    ensemble: Float[Tensor, "ensemble ..."], target: Float[Tensor, ...], n_dims: int, *, fair: bool = True
) -> Float[Tensor, ...]:
    r"""Continuous ranked probability score over the grid, in the units of the field; of one member the absolute error.

    .. math:: \left\langle \frac1m \sum_i |x_i - t| - \frac{1}{2 m (m - 1)} \sum_{i, j} |x_i - x_j| \right\rangle

    which does not depend on the number of members in the mean (``fair``); otherwise with :math:`m^2` in the place of
    :math:`m (m - 1)`, the score of the ensemble as a distribution, which a larger ensemble makes smaller.

    Reference: Gneiting and Raftery 2007, eq. 21; fair: Ferro 2014, Q. J. R. Meteorol. Soc. 140.

    >>> from torch import tensor
    >>> ensemble, target = tensor([[0.0], [2.0]]), tensor([1.0])
    >>> crps(ensemble, target, n_dims=1), crps(ensemble, target, n_dims=1, fair=False)
    (tensor(0.), tensor(0.5000))
    """
    m = len(ensemble)
    error = (ensemble - target).abs().mean(dim=0)
    if m > 1:
        weight = (2 * torch.arange(m, device=target.device, dtype=target.dtype) - m + 1) / (m * (m - 1 if fair else m))
        error = error - (weight.view(-1, *(1,) * target.ndim) * ensemble.sort(dim=0).values).sum(dim=0)
    return error.mean(dim=_grid(n_dims))


def spread(ensemble: Float[Tensor, "ensemble ..."], n_dims: int) -> Float[Tensor, ...]:
    r"""Standard deviation of an ensemble that is comparable with the error of its mean, in the units of the field.

    .. math:: \sqrt{\frac{m + 1}{m} \left\langle \frac{1}{m - 1} \sum_i (x_i - \bar x)^2 \right\rangle}

    In the mean over samples its square is that of the RMSE of the ensemble mean, if the target is drawn as a member is.

    Reference: Fortin et al. 2014, J. Hydrometeorol. 15, eq. 15.

    >>> from torch import tensor
    >>> spread(tensor([[0.0], [2.0]]), n_dims=1)  # √(3/2 · 2)
    tensor(1.7321)
    """
    return (_variance(ensemble) * ((len(ensemble) + 1) / len(ensemble))).mean(dim=_grid(n_dims)).sqrt()


def coverage(
    lower: Float[Tensor, ...], upper: Float[Tensor, ...], target: Float[Tensor, ...], n_dims: int
) -> Float[Tensor, ...]:
    """Share of the points of a field that lie within a band, its edges included.

    >>> from torch import tensor
    >>> coverage(tensor([0.0, 0.0]), tensor([1.0, 1.0]), tensor([0.5, 2.0]), n_dims=1)
    tensor(0.5000)
    """
    return ((lower <= target) & (target <= upper)).to(target.dtype).mean(dim=_grid(n_dims))


def ranks(
    ensemble: Float[Tensor, "ensemble ..."], target: Float[Tensor, ...], n_dims: int
) -> Float[Tensor, "... rank"]:
    """Share of the points at which so many members are below the target, from none to all of them.

    In the mean over samples all ranks are equally frequent, if the target is drawn as a member is. A point where
    members equal the target counts in equal parts for each rank that it may have.

    Reference: Hamill 2001, Mon. Weather Rev. 129.

    >>> from torch import tensor
    >>> ranks(tensor([[0.0, 0.0], [1.0, 2.0]]), tensor([0.5, 3.0]), n_dims=1)
    tensor([0.0000, 0.5000, 0.5000])
    """
    below = (ensemble < target).sum(dim=0)
    upto = (ensemble <= target).sum(dim=0)
    shares = [((below <= rank) & (rank <= upto)) / (upto - below + 1) for rank in range(len(ensemble) + 1)]
    return torch.stack([share.to(target.dtype).mean(dim=_grid(n_dims)) for share in shares], dim=-1)


class EnsembleFunction(Protocol):
    """Score of an ensemble ``(ensemble, ..., *grid)`` of fields, one value for each field: ``(...)``."""

    def __call__(self, ensemble: Tensor, target: Tensor, n_dims: int) -> Tensor:
        """Compare an ensemble with a target; the last ``n_dims`` axes are the grid."""


class EnsembleMetric(FieldMetric):
    """Mean over samples of a function of an ensemble and a target.

    ``update(ensemble, target, unit)`` takes an ensemble ``(ensemble, batch, time, field, *grid)`` where a
    :class:`FieldMetric` takes a prediction.
    """

    ensemble_function: ClassVar[EnsembleFunction]
    """The function, as a static method."""
    degree = 1

    def update(  # noqa: D102 (that of the class above)
        self,
        prediction: Float[Tensor, "ensemble batch time field *grid"],
        target: Float[Tensor, "batch time field *grid"],
        unit: Float[Tensor, "*batch field"] | None = None,
        weight: Float[Tensor, " batch *grid"] | None = None,
    ) -> None:
        if weight is not None:
            raise ValueError(f"{type(self).__name__} is of ensembles on grids, whose points all weigh alike")
        if prediction.shape[1:] != target.shape or target.ndim != 3 + self.n_dims:
            raise ValueError(
                "the ensemble must have the shape (ensemble, batch, time, field, *grid) and the target the same "
                f"without the first axis, with {self.n_dims} grid axes, got {tuple(prediction.shape)} and "
                f"{tuple(target.shape)}"
            )
        dtype = torch.promote_types(target.dtype, torch.float32)
        self.add(self.ensemble_function(prediction.to(dtype), target.to(dtype), self.n_dims), unit)


class CRPS(EnsembleMetric):
    """Mean over samples of the fair :func:`crps`."""

    ensemble_function = staticmethod(crps)


class Spread(EnsembleMetric):
    """Mean over samples of :func:`spread`."""

    @staticmethod
    def ensemble_function(ensemble: Tensor, target: Tensor, n_dims: int) -> Tensor:
        """Return the spread, which needs no target."""
        return spread(ensemble, n_dims)


class SpreadSkill(EnsembleMetric):
    r"""Spread over skill: 1 for a reliable ensemble, below 1 for one that is too sure of itself.

    .. math:: \sqrt{\frac{\sum \mathrm{spread}^2}{\sum \mathrm{RMSE}(\bar x)^2}}

    with sums over samples, by lead time and field; :func:`spread`.
    """

    degree = 0

    @staticmethod
    def ensemble_function(ensemble: Tensor, target: Tensor, n_dims: int) -> Tensor:
        """Return the squares of spread and error, ``(batch, time, 2 · field)``."""
        squares = spread(ensemble, n_dims).square(), rmse(ensemble.mean(dim=0), target, n_dims).square()
        return torch.cat(squares, dim=-1)

    def compute(self) -> Float[Tensor, "time field"]:
        """Return the ratio over the samples of all processes; 0 where a forecast has diverged."""
        spreads, errors = self.total.chunk(2, dim=1)
        return (spreads / errors).sqrt().nan_to_num(nan=0.0)


class Coverage(EnsembleMetric):
    """Mean over samples of :func:`coverage`.

    ``update(bounds, target)`` takes the lower and the upper edge of a band as an ensemble of two,
    ``(2, batch, time, field, *grid)``.
    """

    degree = 0
    higher_is_better = True

    @staticmethod
    def ensemble_function(ensemble: Tensor, target: Tensor, n_dims: int) -> Tensor:
        """Return the share of points within."""
        return coverage(ensemble[0], ensemble[1], target, n_dims)


class Ranks(EnsembleMetric):
    """Rank histogram: mean over samples of :func:`ranks`, which :meth:`histogram` gives the axes of its own."""

    degree = 0

    @staticmethod
    def ensemble_function(ensemble: Tensor, target: Tensor, n_dims: int) -> Tensor:
        """Return the share of each rank, ``(batch, time, field · rank)``."""
        return ranks(ensemble, target, n_dims).flatten(2)

    def histogram(self, n_members: int) -> Float[Tensor, "time field rank"]:
        """Return the share of each rank, from the target below all members to the target above all."""
        return torch.unflatten(self.compute(), 1, (-1, n_members + 1))


def _grid(n_dims: int) -> tuple[int, ...]:
    return tuple(range(-n_dims, 0))


def _variance(ensemble: Tensor) -> Tensor:
    return ensemble.var(dim=0) if len(ensemble) > 1 else torch.zeros_like(ensemble[0])
