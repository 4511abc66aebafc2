"""Training that starts with few modes and takes more while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities import rank_zero_info

from fno_lightning.arguments import plain
from fno_lightning.layers import AxisSpectralConv, SpectralConv, spectral_layers

NewModes = Literal["zero", "initial"]


class IncrementalModes(Callback):
    """Train with few modes of each spectral layer first, and with more of them axis by axis as a criterion says.

    The module's ``n_modes`` are the most that there can be. Its weights have that size from the start, so optimizer,
    checkpoints and processes see one network; the modes that are not used yet are left out of all products and
    transforms, and their gradient is zero, as are their moments in the optimizer. All spectral layers of the package
    in the network (of FNO, TFNO, FFNO, UNO) use equally many modes, up to their own number. A subclass decides, by
    :meth:`decide`, when an epoch or a validation ends; the first process decides for all, and the modes are added
    before the next training step. Checkpoints hold the numbers, so that a training resumes with them and
    ``load_from_checkpoint`` forecasts with them.

    Args:
        start: Modes of each axis at the beginning, counted as the network's ``n_modes``; one number for all axes or one
            for each.
        step: Modes that an axis gains at a time.
        new_modes: What the weights of added modes are. ``zero``: zero, set when the training starts; the network is
            the same function before and after, and weight decay cannot have changed them. ``initial``: what they were
            built with, which weight decay has shrunk by then, and which changes the function at once.

    Raises:
        ValueError: if a number is not positive or ``new_modes`` is something else; when training starts, if the network
            has no spectral layer of the package, ``start`` does not fit its axes, ``initial_weights`` would be set to
            zero, or the strategy divides weights among devices.

    Reference: George et al. 2024, TMLR, arXiv:2211.15188.
    """

    def __init__(self, start: int | Sequence[int], step: int = 2, *, new_modes: NewModes = "zero") -> None:
        starts = plain(start, "start")
        self.start: int | list[int] = starts if isinstance(starts, int) else list(starts)
        self.step: int = plain(step, "step")
        if self.step < 1 or min([self.start] if isinstance(self.start, int) else self.start, default=0) < 1:
            raise ValueError(f"start and step count modes, at least 1 each, got start={start!r} and step={step!r}")
        if new_modes not in get_args(NewModes):
            raise ValueError(f"new_modes is {new_modes!r}, expected 'zero' or 'initial'")
        self.new_modes = new_modes
        self.layers: list[SpectralConv | AxisSpectralConv] = []
        self._has_started = False
        self._pending: list[bool] = []

    @property
    def n_modes(self) -> tuple[int, ...]:
        """Modes of each axis that the layers use now, of the layer that uses most."""
        return tuple(map(max, zip(*(layer.kept_modes for layer in self.layers), strict=True)))

    @property
    def most_modes(self) -> tuple[int, ...]:
        """Modes of each axis that there can be."""
        return tuple(map(max, zip(*(layer.n_modes for layer in self.layers), strict=True)))

    # --- life cycle ---------------------------------------------------------------------------------------------------

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that the strategy leaves weights whole."""
        if stage == "fit" and isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy | DeepSpeedStrategy):
            raise ValueError(
                f"{type(self).__name__} needs whole weights on each device, but {type(trainer.strategy).__name__} "
                "divides them: use ddp"
            )
        if stage == "fit" and getattr(pl_module, "ensemble_size", None) is not None:
            raise ValueError(
                f"{type(self).__name__} counts the modes of a layer by the axes of its weight, but those of an "
                "ensemble have one more: leave it or ensemble_size out"
            )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the spectral layers, and begin with few modes unless a training is resumed."""
        self.layers = list(spectral_layers(pl_module).values())
        name = type(self).__name__
        if not self.layers or len({len(layer.n_modes) for layer in self.layers}) > 1:
            raise ValueError(
                f"{name} grows the spectral layers of fno_lightning.layers, on one kind of grid, but the network of "
                f"{type(pl_module).__name__} has {len(self.layers)} of them: leave the callback out"
            )
        if self._has_started:
            return
        n_axes = len(self.most_modes)
        start = [self.start] * n_axes if isinstance(self.start, int) else self.start
        if len(start) != n_axes:
            raise ValueError(f"{name}: start {start} has {len(start)} entries, but the network has {n_axes} axes")
        if any(n > most for n, most in zip(start, self.most_modes, strict=True)):
            raise ValueError(f"{name}: start {start} is more than the modes {list(self.most_modes)} of the network")
        if self.new_modes == "zero" and getattr(pl_module, "initial_weights", None) is not None:
            raise ValueError(
                f"{name} with new_modes=zero sets weights to zero that initial_weights has brought: choose "
                "new_modes=initial, or leave out one of the two"
            )
        self._use(start)
        self._has_started = True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Add the modes that a criterion has decided on, before the step."""
        if not any(self._pending):
            return
        grown = [
            min(n + self.step, most) if grows else n
            for n, most, grows in zip(self.n_modes, self.most_modes, self._pending, strict=True)
        ]
        self._pending = []
        self._use(grown)
        if any(module._compiled_call_impl is not None for module in pl_module.modules()):
            torch.compiler.reset()  # else the compiler stops at its limit of versions
        rank_zero_info(f"{type(self).__name__}: {' x '.join(map(str, grown))} modes from step {trainer.global_step} on")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the modes of each axis, as ``modes/x``."""
        names = getattr(getattr(pl_module, "spec", None), "axis_names", "xyzuvw")
        values = {f"modes/{name}": float(n) for name, n in zip(names, self.n_modes, strict=False)}
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs, beside the modes, which are the module's."""
        return {"has_started": self._has_started, "pending": list(self._pending)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of an interrupted training."""
        self._has_started = state_dict["has_started"]
        self._pending = list(state_dict["pending"])

    def decide(self, trainer: Trainer, grows: Sequence[bool]) -> None:
        """Let the axes gain modes that a criterion says and that have any left, before the next training step.

        Args:
            trainer: The trainer; the decision of its first process counts.
            grows: Whether each axis gains modes.
        """
        has_left = [n < most for n, most in zip(self.n_modes, self.most_modes, strict=True)]
        decided = [bool(grow) and left for grow, left in zip(grows, has_left, strict=True)]
        self._pending = list(trainer.strategy.broadcast(decided))

    def _use(self, n_modes: Sequence[int]) -> None:
        for layer in self.layers:
            if self.new_modes == "zero":  # here too, for optimizers that move weights without a gradient
                layer.zero_unused_modes_()
            layer.keep_modes([min(n, most) for n, most in zip(n_modes, layer.n_modes, strict=True)])
            if self.new_modes == "zero":
                layer.zero_unused_modes_()
