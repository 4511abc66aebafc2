"""A forecast of many steps."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from fno_lightning.data import WellDataModule
from fno_lightning.models import convert_neuralop_state_dict
from tests.benchmarks.checks import DifferentResultError, parameter_count, require_equal_counts
from tests.benchmarks.data_sets import write_radiative_layers
from tests.benchmarks.harness import (
    Benchmark,
    Contestant,
    Measurement,
    Row,
    Settings,
    interleave,
    seconds,
    times_as_fast,
)
from tests.benchmarks.lightning_training import make_module

N_STEPS_INPUT = 4
ROW = Row("rollout", "rollout of 97 steps, 64 x 192 points, one trajectory, against neuralop in a plain loop", 3)


def measure(settings: Settings) -> Mapping[str, Measurement]:
    from neuralop.models import FNO

    grid = settings.size(64, 8), settings.size(192, 12)
    n = settings.size(16, 4)
    network = {"n_modes": [n, n], "hidden_channels": settings.size(64, 8), "n_layers": 4}
    n_steps = settings.size(97, 5)
    with tempfile.TemporaryDirectory() as folder:
        write_radiative_layers(Path(folder) / "random", grid, 1, n_frames=8)
        data = WellDataModule("random", folder, n_steps_input=N_STEPS_INPUT)
        module = make_module(data, settings, network).to(settings.device)
        batch = data.dataset("train")[0]
    history, constants, scalars = (part[None].to(settings.device) for part in batch[:3])
    torch.manual_seed(0)
    peer = FNO(in_channels=module.in_channels, out_channels=module.out_channels, **network).to(settings.device)
    module.network.load_state_dict(convert_neuralop_state_dict(peer.state_dict(), network["n_modes"]))
    frames = module.normalizer.encode(history)
    context = module.normalizer.context(constants, scalars)

    def ours() -> Tensor:
        return module.forecast(history, constants, scalars, n_steps)

    def theirs() -> Tensor:
        return module.normalizer.decode(plain_rollout(peer, frames, context, n_steps))

    notes = [
        require_equal_counts({"ours": parameter_count(module.network), "neuralop": parameter_count(peer)}),
        require_same_forecast(*(module.normalizer.encode(forecast()) for forecast in (ours, theirs))),
    ]
    contestants = {
        "neuralop": Contestant(lambda: seconds(theirs, settings.device)),
        "ours, compiled": Contestant(lambda: seconds(ours, settings.device)),
    }
    series = interleave(contestants, settings.rounds(5))
    return {ROW.name: times_as_fast(series, ["ours, compiled"], ["neuralop"], notes)}


@torch.no_grad()
def plain_rollout(network: nn.Module, frames: Tensor, context: Tensor, n_steps: int) -> Tensor:
    """Apply a network to its own output, ``(batch, time, field, *grid)``."""
    network.eval()
    predictions = []
    for _ in range(n_steps):
        frame = network(torch.cat([frames.flatten(1, 2), context], dim=1))
        predictions.append(frame)
        frames = torch.cat([frames[:, 1:], frame[:, None]], dim=1)
    return torch.stack(predictions, dim=1)


def require_same_forecast(ours: Tensor, theirs: Tensor) -> str:
    """Check that normalised forecasts agree to a thousandth, at the first step and at the last.

    Raises:
        DifferentResultError: if they do not.
    """
    differences = [((ours[:, k] - theirs[:, k]).norm() / theirs[:, k].norm()).item() for k in (0, -1)]
    if not max(differences) < 1e-3:
        raise DifferentResultError(f"the forecasts differ, first and last step: {differences}")
    return f"equal weights, last frames differ by {differences[1]:.0e} (relative L2)"


BENCHMARK = Benchmark((ROW,), measure, peers=("neuralop",))
