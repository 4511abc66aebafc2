"""The Helmholtz equation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.linear import Coefficients, LinearPDE, solve_linear
from fno_lightning.pdes.requirements import require_positive, require_range
from fno_lightning.pdes.solvers import PeriodicBox

MAX_DRAWS = 1000


@dataclass(frozen=True)
class Helmholtz(LinearPDE):
    r"""The Helmholtz equation on the periodic unit square.

    .. math:: d_0 \Delta u + \omega u = -f

    with ω uniform in ``omegas``. The operator is indefinite; near a resonance, where :math:`d_0 |k|^2 \approx \omega`,
    the solution is large. As in the transfer-learning study, whose SYS-3 this is (``o1_10`` is ``omegas=(1, 10)``),
    source and ω are drawn again until :math:`\max |u| \le` ``max_solution``, so that ω is not quite uniform. The bound
    is tested on the sample's own grid: close to it a seed may mean another sample on another grid.

    Constant field: ``source``, ``(batch, x, y)``, with its mean; scalars: ``diffusion_xx`` and ``diffusion_yy``, which
    are d₀, and ``omega``; solution: ``solution``.

    Args:
        resolution: Points along x and y.
        omegas: Range of ω, both ends included.
        integer: Whether ω is an integer, as in the study.
        diffusion: d₀.
        max_solution: Largest absolute value of a solution.
        n_gaussians: Gaussians of a source along each axis, see :class:`~fno_lightning.pdes.GaussianSources`.
        sigma: Width of a Gaussian.
        sparsities: Shares of the Gaussians that are left out, equally likely.

    Raises:
        ValueError: if a value is impossible, a range empty, or the grid too coarse for the sources.

    Good values: 128 x 128 points, omegas in (1, 10) to pre-train, (5, 15) or (10, 20) for a shift.

    Reference: Subramanian et al., NeurIPS 2023, arXiv:2306.00258, section 3; sign and rejection as in its code.
    """

    dataset_name: ClassVar[str] = "helmholtz"
    scalar_names: ClassVar[tuple[str, ...]] = ("diffusion_xx", "diffusion_yy", "omega")

    resolution: tuple[int, int] = (128, 128)
    omegas: tuple[float, float] = (1.0, 10.0)
    integer: bool = True
    _: KW_ONLY
    max_solution: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(omegas=tuple(map(float, self.omegas)))
        require_positive(max_solution=self.max_solution, omegas=self.omegas)
        require_range(omegas=self.omegas)
        if self.integer and int(np.ceil(self.omegas[0])) > int(self.omegas[1]):
            raise ValueError(f"omegas is {self.omegas}, which holds no integer: choose a wider range or integer=False")

    def draw(self, seeds: Sequence[int], box: PeriodicBox) -> tuple[Float[Tensor, "batch x y"], Coefficients]:
        """Source and coefficients of each sample, drawn again where the solution is too large.

        Raises:
            FloatingPointError: if a seed's solutions all are.
        """
        source, coefficients = self._draw([np.random.default_rng(seed) for seed in seeds], box)
        again = self._too_large(source, coefficients, box).nonzero()[:, 0]
        for number in range(1, MAX_DRAWS):
            if len(again) == 0:
                return source, coefficients
            generators = [np.random.default_rng((seeds[i], number)) for i in again.tolist()]
            source[again], redrawn = self._draw(generators, box)
            for values, new in zip(coefficients, redrawn, strict=True):
                values[again] = new
            again = again[self._too_large(source[again], redrawn, box)]
        raise FloatingPointError(
            f"Helmholtz: {MAX_DRAWS} draws gave no solution below max_solution = {self.max_solution:g} for seeds "
            f"{[seeds[i] for i in again.tolist()]}: raise it, or choose other omegas"
        )

    def _too_large(self, source: Tensor, coefficients: Coefficients, box: PeriodicBox) -> Tensor:
        return solve_linear(source, coefficients, box).abs().amax(dim=(1, 2)) > self.max_solution

    def _draw(self, generators: Sequence[np.random.Generator], box: PeriodicBox) -> tuple[Tensor, Coefficients]:
        x, y = box.coordinates
        source = self.sources.evaluate(self.sources.draw(generators), x, y)
        omega = torch.tensor([self._omega(generator) for generator in generators]).to(x)
        diffusion, zero = torch.full_like(omega, self.diffusion), torch.zeros_like(omega)
        return source, Coefficients(diffusion, diffusion, zero, zero, zero, omega)

    def _omega(self, generator: np.random.Generator) -> float:
        lowest, highest = self.omegas
        if self.integer:
            return float(generator.integers(int(np.ceil(lowest)), int(highest), endpoint=True))
        return generator.uniform(lowest, highest)
