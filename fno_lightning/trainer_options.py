"""Options of the Trainer that turn something off, and callbacks of a configuration that need it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import Checkpoint, DeviceStatsMonitor, LearningRateMonitor, ModelSummary, ProgressBar
from lightning.pytorch.utilities import rank_zero_info

_NEED: Mapping[str, tuple[type[Callback], ...]] = {
    "enable_checkpointing": (Checkpoint,),
    "enable_progress_bar": (ProgressBar,),
    "enable_model_summary": (ModelSummary,),
    "logger": (LearningRateMonitor, DeviceStatsMonitor),
}
"""Callbacks that the Trainer refuses where an option is off."""


def without_turned_off(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a Trainer without the callbacks that others of them turn off, and log which are left out.

    A callback in a configuration file so does not stand in the way of ``--trainer.enable_checkpointing false``.

    Args:
        options: Arguments of a Trainer, with instances of callbacks and loggers.
    """
    kept = dict(options)
    callbacks = kept.get("callbacks") or []
    kept["callbacks"] = list(callbacks) if isinstance(callbacks, list) else [callbacks]
    if kept.get("barebones"):  # which needs all of these off, and refuses other settings
        kept |= dict.fromkeys(_NEED, False) | dict.fromkeys(("log_every_n_steps", "num_sanity_val_steps", "profiler"))
    for name, kinds in _NEED.items():
        if kept.get(name) is False or kept.get(name) == []:
            needing = [callback for callback in kept["callbacks"] if isinstance(callback, kinds)]
            kept["callbacks"] = [callback for callback in kept["callbacks"] if callback not in needing]
            for callback in needing:
                rank_zero_info(f"{type(callback).__name__} is left out: trainer.{name} is off")
    return kept
