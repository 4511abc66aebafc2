"""Location of profiler traces."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.profilers import PyTorchProfiler
from lightning.pytorch.utilities import rank_zero_info


class TraceReport(Callback):
    """Print the location of the traces of Lightning's PyTorchProfiler at the end of training.

    The profiler itself then prints the operators that took longest.
    """

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """List the traces."""
        profiler: object = getattr(trainer, "profiler", None)
        if isinstance(profiler, PyTorchProfiler) and profiler.dirpath is not None:
            traces = sorted(Path(profiler.dirpath).glob("fit-*.pt.trace.json"))
            listed = "".join(f"\n    {trace}" for trace in traces)
            rank_zero_info(f"profiler traces, to be opened in https://ui.perfetto.dev:{listed}")
