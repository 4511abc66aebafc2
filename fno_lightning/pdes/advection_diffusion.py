"""Steady advection and diffusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.linear import Coefficients, LinearPDE, anisotropic_diffusion
from fno_lightning.pdes.requirements import require_positive, require_range
from fno_lightning.pdes.solvers import PeriodicBox

N_NEWTON_STEPS = 50
RATIO_TOLERANCE = 1e-10


@dataclass(frozen=True)
class AdvectionDiffusion(LinearPDE):
    r"""Steady advection and anisotropic diffusion on the periodic unit square, at a given ratio of the two.

    .. math::
        \lambda\, v \cdot \nabla u - (1 - \lambda)\, d_0 \nabla \cdot (K \nabla u) = f, \qquad \rho =
        \frac{\lVert \lambda\, v \cdot \nabla u \rVert_2}{\lVert (1 - \lambda)\, d_0 \nabla \cdot (K \nabla u) \rVert_2}

    with a velocity v of length 1 in a direction uniform in [0, 2π), K as in :class:`~fno_lightning.pdes.Poisson`, and
    the ratio ρ uniform in ``ratios``. Source and solution have no mean. This is SYS-2 of the transfer-learning study;
    its ``adr0p2_1`` is ``ratios=(0.2, 1)``.

    The study looks λ up in a table of mean ratios, so that ρ scatters by a quarter about the wanted one. Here every
    sample has exactly its ρ: by Parseval's theorem ρ² / (1 + ρ²) is the mean over the source's spectrum of
    :math:`r^2 a_k^2 / (d_k^2 + r^2 a_k^2)` with :math:`r = \lambda / (1 - \lambda)` and the symbols a and d of both
    terms, which grows with r; Newton's method finds the one r.

    Constant field: ``source``, ``(batch, x, y)``; scalars: ``diffusion_xx``, ``diffusion_yy``, ``diffusion_xy``, which
    are (1 - λ) d₀ K, ``velocity_x`` and ``velocity_y``, which are λ v; solution: ``solution``.

    Args:
        resolution: Points along x and y.
        ratios: Range of ρ.
        eigenvalues: Range of the eigenvalue e of K.
        diffusion: d₀.
        n_gaussians: Gaussians of a source along each axis, see :class:`~fno_lightning.pdes.GaussianSources`.
        sigma: Width of a Gaussian.
        sparsities: Shares of the Gaussians that are left out, equally likely.

    Raises:
        ValueError: if a value is impossible, a range empty, or the grid too coarse for the sources.

    Good values: 128 x 128 points, ratios in (0.2, 1) to pre-train, (1, 2) or (2, 5) for a shift.

    Reference: Subramanian et al., NeurIPS 2023, arXiv:2306.00258, section 3.
    """

    dataset_name: ClassVar[str] = "advection_diffusion"
    scalar_names: ClassVar[tuple[str, ...]] = (
        "diffusion_xx",
        "diffusion_yy",
        "diffusion_xy",
        "velocity_x",
        "velocity_y",
    )

    resolution: tuple[int, int] = (128, 128)
    ratios: tuple[float, float] = (0.2, 1.0)
    _: KW_ONLY
    eigenvalues: tuple[float, float] = (1.0, 5.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(ratios=tuple(map(float, self.ratios)), eigenvalues=tuple(map(float, self.eigenvalues)))
        require_positive(eigenvalues=self.eigenvalues, ratios=self.ratios)
        require_range(eigenvalues=self.eigenvalues, ratios=self.ratios)

    def draw(self, seeds: Sequence[int], box: PeriodicBox) -> tuple[Float[Tensor, "batch x y"], Coefficients]:
        """Source and coefficients of each sample."""
        generators = [np.random.default_rng(seed) for seed in seeds]
        x, y = box.coordinates
        source = self.sources.evaluate(self.sources.draw(generators), x, y)
        source = source - source.mean(dim=(1, 2), keepdim=True)
        diffusion = self.diffusion * anisotropic_diffusion(generators, self.eigenvalues).to(x)
        angle, ratio = torch.tensor([(g.uniform(0, 2 * np.pi), g.uniform(*self.ratios)) for g in generators]).to(x).T
        zero = torch.zeros_like(angle)
        xx, yy, xy = diffusion
        pure = Coefficients(xx, yy, xy, torch.cos(angle), torch.sin(angle), zero)
        advected = advection_share(source, pure, ratio, box)
        shares = (1 - advected,) * 3 + (advected,) * 2 + (zero,)
        return source, Coefficients._make(share * value for share, value in zip(shares, pure, strict=True))


def advection_share(
    source: Float[Tensor, "batch x y"], pure: Coefficients, ratio: Float[Tensor, " batch"], box: PeriodicBox
) -> Float[Tensor, " batch"]:
    """Return the λ with which the norms of advection and diffusion have a given ratio.

    Args:
        source: f, without mean.
        pure: D for λ = 0 and v for λ = 1.
        ratio: ρ of each sample.
        box: The grid.

    Raises:
        FloatingPointError: if Newton's method does not find it.
    """
    wanted = torch.log(ratio.square())
    (advection, diffusion), weights = _squared_symbols(pure, box), _spectral_weights(source, box)
    log_r = torch.log(ratio)
    for _ in range(N_NEWTON_STEPS):
        advected = torch.exp(2 * log_r).view(-1, 1, 1) * advection
        part = advected / (diffusion + advected)
        mean = (weights * part).sum(dim=(1, 2))
        slope = 2 * (weights * part * (1 - part)).sum(dim=(1, 2)) / (mean * (1 - mean))
        error = torch.logit(mean) - wanted
        if bool((error.abs() <= RATIO_TOLERANCE).all()):
            return torch.sigmoid(log_r)
        log_r = log_r - (error / slope).clamp(-2, 2)
    raise FloatingPointError(
        f"no balance of advection and diffusion was found for the ratios {ratio.tolist()}: choose a range of ratios "
        "closer to 1"
    )


def _squared_symbols(pure: Coefficients, box: PeriodicBox) -> tuple[Tensor, Tensor]:
    """Squares of the symbols of advection and of diffusion; the latter is 1 for the mean, which has no weight."""
    c = Coefficients(*(value.view(-1, 1, 1) for value in pure))
    (kx, ky), (dx, dy) = box.wavenumbers, box.derivatives
    advection = (c.velocity_x * dx + c.velocity_y * dy).abs().square()
    diffusion = c.diffusion_xx * kx**2 + c.diffusion_yy * ky**2 - 2 * c.diffusion_xy * (dx * dy).real
    return advection, torch.where(diffusion == 0, 1.0, diffusion).square()


def _spectral_weights(source: Tensor, box: PeriodicBox) -> Tensor:
    """Share of each Fourier coefficient of the half spectrum in the mean square."""
    power = box.transform(source).abs().square()
    n = box.resolution[-1]
    power[..., 1 : (n + 1) // 2] *= 2
    power[..., 0, 0] = 0
    return power / power.sum(dim=(1, 2), keepdim=True)
