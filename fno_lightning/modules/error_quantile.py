"""A network that predicts a quantile of the error of another one."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, MutableMapping
from typing import Any, Self

import torch
import torch.nn.functional as F
from lightning.pytorch.cli import instantiate_module
from torch import Tensor, nn

from fno_lightning.arguments import require_mapping, unconfigured
from fno_lightning.autoregressive import rollout
from fno_lightning.data import Batch, FieldSpec
from fno_lightning.files import expanded_path
from fno_lightning.losses import PointwiseQuantile
from fno_lightning.modules.base import ForecastModule
from fno_lightning.modules.compatibility import require_same_fields, require_same_history
from fno_lightning.modules.forecast_distribution import ForecastDistribution
from fno_lightning.modules.reversible_norm import ReversibleNorm

_OF_THE_BASE = ("bundle", "residual", "normalization", "log_scalars", "reversible_norm", "patching")


class ErrorQuantileModule(ForecastModule):
    r"""Predict, at each point, a bound :math:`E` that a share q of the errors of a trained network stay below.

    The forecast is that of the trained network, ``base``, whose weights stay as they are. A second network of the same
    class, which starts from its weights, sees what the base sees at each step of its rollout and predicts the bound of
    the frames that come next:

    .. math:: E = \mathrm{softplus}\, G_\phi(\hat u^{k-n+1}, \dots, \hat u^k, c)

    in units of each field's standard deviation over the train split. It is trained by
    :class:`~fno_lightning.losses.PointwiseQuantile` on the errors of the base over the whole target, its rollout
    included. Errors on data that the base was trained on are too small: train on others, or rely on the factors of
    :class:`~fno_lightning.callbacks.ConformalCalibration`, which make the bound a band with a guarantee in either case.

    Args:
        spec: Description of the data set; the command line takes it from the datamodule.
        base: Checkpoint of the trained network. In a checkpoint of this module it is its options by name instead.
        quantile: q, between 0 and 1.
        n_steps_input: Past frames, as many as the base takes.
        **kwargs: Choices of the run, such as ``optimizer``; all others are those of the base.

    Raises:
        ValueError: if ``base`` is no checkpoint of a single network, or the data have other fields; if an option is
            given that is the base's, or one that there is no use for (``loss``, ``unrolling``, ``input_noise``).

    Reference: Ma et al. 2024, arXiv:2402.01960 (UQNO).
    """

    def __init__(
        self,
        spec: FieldSpec | dict[str, Any],
        base: str | dict[str, Any],
        quantile: float = 0.9,
        n_steps_input: int = 4,
        **kwargs: Any,
    ) -> None:
        read = _read(base) if isinstance(base, str) else _instantiated(base)
        options = dict(read.hparams)
        given = {name: kwargs.pop(name) for name in _OF_THE_BASE if name in kwargs}
        if wrong := [name for name, value in given.items() if value != options[name]]:
            raise ValueError(
                f"{wrong} are options of the base, which an ErrorQuantileModule takes over: leave them out"
            )
        unused = {"loss": None, "unrolling": None, "input_noise": 0.0, "ensemble_size": None, "mc_dropout": None}
        if wrong := [name for name, default in unused.items() if kwargs.pop(name, default) != default]:
            raise ValueError(f"ErrorQuantileModule has no use for {wrong}: leave them out")
        from_base = {name: options[name] for name in _OF_THE_BASE}
        super().__init__(spec, n_steps_input, loss=PointwiseQuantile(quantile), **from_base, **kwargs)
        require_same_fields(read.spec, self.spec, "the base")
        require_same_history(read.n_steps_input, self.n_steps_input, "the base")
        if read.n_forecasts > 1:
            raise ValueError(
                "base is an ensemble, which has a spread of its own: calibrate that, or give a single network"
            )
        self.base = read.requires_grad_(False)
        self.normalizer.load_state_dict(read.normalizer.state_dict())
        self.training_grids.add(read.training_grids.seen)
        self.certified_range.add_plain(read.certified_range.to_plain())

    def _set_hparams(self, hp: MutableMapping[str, Any] | Namespace | str) -> None:
        given = vars(hp) if isinstance(hp, Namespace) else hp
        if isinstance(given, Mapping) and isinstance(given.get("base"), str):
            hp = {**given, "base": dict(_read(given["base"]).hparams)}
        super()._set_hparams(hp)

    @property
    def has_uncertainty(self) -> bool:
        """Whether there is more than a forecast: here always."""
        return True

    def build_network(self) -> nn.Module:
        """Build a network as that of the base, with its weights."""
        network = self.base.build_network()
        network.load_state_dict(self.base.network.state_dict())
        return network

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the network; the base is always evaluated."""
        super().train(mode)
        self.base.eval()
        return self

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss of the bounds of a batch, and the normalised forecast of the base."""
        if self.training:
            self.certified_range.add(batch)
        n_steps = batch.target.shape[1]
        forecast, bound = self._forecast_and_bound(*batch[:3], batch.member, n_steps)
        residual = forecast - self.normalizer.encode(batch.target, batch.member).to(forecast)
        loss: Tensor = self.loss(bound, residual)
        return loss, forecast

    def _forecast_and_bound(
        self, history: Tensor, constants: Tensor, scalars: Tensor, member: Tensor | None, n_steps: int
    ) -> tuple[Tensor, Tensor]:
        """Return normalised frames of the base, and bounds of their errors in the same units."""
        bounds = []
        context = self._context(constants, scalars, member)

        def step(frames: Tensor) -> Tensor:
            with torch.no_grad():
                following = self.base._next_frames(frames, context, member)
            norm = ReversibleNorm.of(frames) if self.reversible_norm else None
            bounds.append(F.softplus(self._output(frames, context, norm).float()))
            return following

        forecast = rollout(step, self.normalizer.encode(history, member).to(self._precision), n_steps)
        return forecast, torch.cat(bounds, dim=1)[:, :n_steps]

    def _predict(
        self, history: Tensor, constants: Tensor, scalars: Tensor, n_steps: int, member: Tensor | None
    ) -> ForecastDistribution:
        forecast, bound = self._forecast_and_bound(history, constants, scalars, member, n_steps)
        mean = self.normalizer.decode(forecast, member, history.dtype)
        return ForecastDistribution(mean, scale=self.normalizer.in_physical_units(bound, member).to(mean))


def _read(base: str) -> ForecastModule:
    """Return the module of a checkpoint, with its weights."""
    path = expanded_path(base, "base")
    if not path.is_file():
        raise ValueError(f"base: there is no checkpoint {path}")
    with unconfigured():
        return ForecastModule.load_from_checkpoint(path, map_location="cpu", weights_only=True)


def _instantiated(options: Mapping[str, Any]) -> ForecastModule:
    """Return the module that a checkpoint of this one has the options of, whose weights are in that too."""
    require_mapping(base=options)
    with unconfigured():
        return instantiate_module(
            ForecastModule,  # type: ignore[type-abstract]
            {name: value for name, value in options.items() if name != "_instantiator"},
        )
