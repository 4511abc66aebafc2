"""Refinement of single forecasts by the residual of their equation."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from fno_lightning.callbacks.forecasting import forecast_module
from fno_lightning.data import Batch
from fno_lightning.losses import Comparison, EquationResidual
from fno_lightning.modules import ForecastModule
from fno_lightning.pdes import Equation


class PhysicsRefinement(Callback):
    """Fine-tune the network on the residual of each batch that ``predict`` forecasts, and then take its weights back.

    Adam minimises :class:`~fno_lightning.losses.EquationResidual` of the forecast itself, which needs no truth; the
    weights of the smallest residual make the forecast, at worst those of the checkpoint. It costs as much as
    ``n_iterations`` training steps for each batch: choose small batches (``rollout_batch_size``), for the trajectories
    of a batch share the weights.

    A residual says nothing where frames or points are too far apart for it: compare the errors of both forecasts on
    trajectories whose truth is known (``test``, whose next-step errors are refined as well) before relying on it.

    Args:
        equation: The equation; ``None``: that of the data, if an equation has made them.
        n_iterations: Steps of Adam for each batch.
        lr: Learning rate.
        anchor: Weight of the mean square distance to the forecast of the checkpoint, in units of each field's spread;
            0: none.
        max_frames: Number of first frames whose residual counts; ``None``: all of the forecast.

    Raises:
        ValueError: if a number is not positive, or ``anchor`` negative; when prediction starts, if there is no
            equation.

    Reference: Li et al. 2024, arXiv:2111.03794, section 3.3 (test-time optimisation).
    """

    def __init__(
        self,
        equation: Equation | None = None,
        n_iterations: int = 30,
        lr: float = 1e-3,
        anchor: float = 0.0,
        max_frames: int | None = None,
    ) -> None:
        if n_iterations < 1 or lr <= 0 or anchor < 0 or (max_frames is not None and max_frames < 1):
            raise ValueError(
                "PhysicsRefinement needs positive numbers of iterations and frames, a positive rate and an anchor of "
                f"at least 0, got n_iterations={n_iterations}, max_frames={max_frames}, lr={lr}, anchor={anchor}"
            )
        self.residual = EquationResidual(equation)
        self.n_iterations = n_iterations
        self.lr = lr
        self.anchor = anchor
        self.max_frames = max_frames
        self.history: list[tuple[float, float]] = []
        """Residual of the forecast of each batch, before and after."""
        self._weights: list[tuple[torch.nn.Parameter, Tensor]] = []

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the equation of the data."""
        self.residual.bind(forecast_module(pl_module).spec)
        self.residual.take_equation(getattr(getattr(trainer, "datamodule", None), "equation", None))
        self.history = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the equation of the data."""
        self.on_predict_start(trainer, pl_module)

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Refine the weights for a batch."""
        with torch.inference_mode(False), torch.enable_grad():
            self._refine(forecast_module(pl_module), Batch(*(part.clone() for part in batch)))

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Refine the weights for a batch."""
        self.on_predict_batch_start(trainer, pl_module, batch, batch_idx)

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Take the weights back."""
        self._restore()

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Take the weights back."""
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the weights back."""
        self._restore()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say by how much the residual has fallen."""
        if self.history:
            before, after = (sum(values) / len(self.history) for values in zip(*self.history, strict=True))
            rank_zero_info(f"PhysicsRefinement: mean residual {before:.3g} before, {after:.3g} after refinement")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say by how much the residual has fallen."""
        self.on_predict_end(trainer, pl_module)

    def _refine(self, module: ForecastModule, batch: Batch) -> None:
        n_frames = min(self.max_frames or batch.target.shape[1], batch.target.shape[1])
        trained = [weight for weight in module.parameters() if weight.requires_grad]
        self._weights = [(weight, weight.detach().clone()) for weight in trained]
        best = [weight.detach().clone() for weight in trained]
        optimizer = torch.optim.Adam(trained, self.lr)
        first: Tensor | None = None
        residuals: list[float] = []
        for iteration in range(self.n_iterations + 1):
            frames = module(*batch[:3], n_frames, member=batch.member)
            residual = self.residual.of_frames(frames, _known(batch))
            residuals.append(residual.item())
            if not residual.isfinite():
                break
            if residuals[-1] <= min(residuals):
                best = [weight.detach().clone() for weight in trained]
            first = frames.detach() if first is None else first
            if iteration < self.n_iterations:
                apart = module.normalizer.in_spreads(frames - first, batch.member)
                optimizer.zero_grad()
                torch.autograd.backward(residual + self.anchor * apart.square().mean())
                optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            for weight, value in zip(trained, best, strict=True):
                weight.copy_(value)
        finite = [value for value in residuals if value < float("inf")]
        self.history.append((residuals[0], min(finite) if finite else residuals[0]))

    def _restore(self) -> None:
        with torch.no_grad():
            for weight, value in self._weights:
                weight.copy_(value)
        self._weights = []


def _known(batch: Batch) -> Comparison:
    """What the residual of a forecast needs to know: all but the target."""

    def no_target(units: str) -> tuple[Tensor, Tensor]:
        raise ValueError("the residual of a forecast looks at no target")

    return Comparison(no_target, batch.history, batch.constants, batch.scalars)
