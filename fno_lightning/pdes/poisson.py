"""Poisson's equation with anisotropic diffusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.linear import Coefficients, LinearPDE, anisotropic_diffusion
from fno_lightning.pdes.requirements import require_positive, require_range
from fno_lightning.pdes.solvers import PeriodicBox


@dataclass(frozen=True)
class Poisson(LinearPDE):
    r"""Poisson's equation with a random anisotropic diffusion tensor on the periodic unit square.

    .. math:: -\nabla \cdot (D \nabla u) = f, \qquad D = d_0\, R^T \mathrm{diag}(1, e)\, R

    with the rotation R by an angle uniform in [0, 2π) and the eigenvalue e uniform in ``eigenvalues``. Source and
    solution have no mean. This is SYS-1 of the transfer-learning study; its ``k1_5`` is ``eigenvalues=(1, 5)``.

    Constant field: ``source``, ``(batch, x, y)``; scalars: ``diffusion_xx``, ``diffusion_yy``, ``diffusion_xy``;
    solution: ``solution``.

    Args:
        resolution: Points along x and y.
        eigenvalues: Range of e.
        diffusion: d₀.
        n_gaussians: Gaussians of a source along each axis, see :class:`~fno_lightning.pdes.GaussianSources`.
        sigma: Width of a Gaussian.
        sparsities: Shares of the Gaussians that are left out, equally likely.

    Raises:
        ValueError: if a value is impossible, a range empty, or the grid too coarse for the sources.

    Good values: 128 x 128 points, eigenvalues in (1, 5) to pre-train, (5, 10) or (10, 20) for a shift.

    Reference: Subramanian et al., NeurIPS 2023, arXiv:2306.00258, section 3.
    """

    dataset_name: ClassVar[str] = "poisson"
    scalar_names: ClassVar[tuple[str, ...]] = ("diffusion_xx", "diffusion_yy", "diffusion_xy")

    resolution: tuple[int, int] = (128, 128)
    eigenvalues: tuple[float, float] = (1.0, 5.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(eigenvalues=tuple(map(float, self.eigenvalues)))
        require_positive(eigenvalues=self.eigenvalues)
        require_range(eigenvalues=self.eigenvalues)

    def draw(self, seeds: Sequence[int], box: PeriodicBox) -> tuple[Float[Tensor, "batch x y"], Coefficients]:
        """Source and coefficients of each sample."""
        generators = [np.random.default_rng(seed) for seed in seeds]
        x, y = box.coordinates
        source = self.sources.evaluate(self.sources.draw(generators), x, y)
        diffusion = self.diffusion * anisotropic_diffusion(generators, self.eigenvalues).to(x)
        zero = torch.zeros_like(diffusion[0])
        xx, yy, xy = diffusion
        return source - source.mean(dim=(1, 2), keepdim=True), Coefficients(xx, yy, xy, zero, zero, zero)
