"""GPU: training of a wide two-dimensional FNO, and its distance from the floor of the hardware."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from fno_lightning.data import WellDataModule
from fno_lightning.modules import FNOModule
from tests.benchmarks.checks import parameter_count, require_equal_counts, require_falling
from tests.benchmarks.data_sets import write_radiative_layers
from tests.benchmarks.harness import (
    Benchmark,
    Contestant,
    Measurement,
    Row,
    Series,
    Settings,
    interleave,
    seconds,
    times_as_fast,
    with_tf32,
)
from tests.benchmarks.lightning_training import WARM_UP_EXECUTIONS, fit, loss_of_samples, make_module
from tests.benchmarks.roofline import Roofline, measure_roofline

CASE = "batch 4, width 128, 5 layers, 128 x 384 points, 16 modes"
BF16 = Row("hpc_bf16_capture", f"training step, {CASE}: ours bf16, captured, against neuralop float32 eager", 8)
TF32 = Row("hpc_tf32", "the same in float32 with TF32 on both sides", 3)
FLOOR = Row("hpc_floor", "our bf16 step over the least time that the GPU needs for it", 2, "at most")
STEPS_PER_EXECUTION = 12  # divides the batches of an epoch
N_STEPS_INPUT = 4


def measure(settings: Settings) -> Mapping[str, Measurement]:
    n = settings.size(16, 4)
    network = {"n_modes": [n, n], "hidden_channels": settings.size(128, 8), "n_layers": settings.size(5, 2)}
    grid, batch_size = (settings.size(128, 8), settings.size(384, 12)), 4
    steps_per_execution = settings.size(STEPS_PER_EXECUTION, 2)
    n_steps = 4 * steps_per_execution
    roofline = measure_roofline(settings)
    with tempfile.TemporaryDirectory() as folder:
        write_radiative_layers(Path(folder) / "random", grid, n_trajectories=2)
        data = WellDataModule("random", folder, n_steps_input=N_STEPS_INPUT, batch_size=batch_size, cache="device")
        modules = {name: make_module(data, settings, network).to(settings.device) for name in ("bf16", "tf32")}
        losses = {name: [loss_of_samples(module, data, batch_size)] for name, module in modules.items()}
        peer = PeerTraining(modules["bf16"], data, settings, network, n_steps)
        bf16, tf32 = (
            partial(fit_seconds, modules[name], data, settings, steps_per_execution, n_steps, precision)
            for name, precision in (("bf16", "bf16-mixed"), ("tf32", "32-true"))
        )
        contestants = {
            "ours, bf16, captured": Contestant(bf16),
            "neuralop, float32": Contestant(peer.measure),
            "ours, TF32, captured": Contestant(partial(with_tf32, tf32)),
            "neuralop, TF32": Contestant(partial(with_tf32, peer.measure)),
        }
        series = interleave(contestants, settings.rounds(5), unit="ms/step", scale=1e3)
        for name, module in modules.items():
            losses[name].append(loss_of_samples(module, data, batch_size))
        floor = floor_seconds(modules["bf16"], data, settings, roofline)
    require_falling(losses | {"neuralop": peer.losses})
    notes = [
        require_equal_counts(
            {name: parameter_count(module.network) for name, module in modules.items()}
            | {"neuralop": parameter_count(peer.network)}
        ),
        "optimizer included",
    ]
    mine, theirs, mine_tf32, theirs_tf32 = series
    ours = series[mine]
    floors = Series("floor", [1e3 * floor], "ms/step")
    return {
        BF16.name: times_as_fast({name: series[name] for name in (mine, theirs)}, [mine], [theirs], notes),
        TF32.name: times_as_fast(
            {name: series[name] for name in (mine_tf32, theirs_tf32)}, [mine_tf32], [theirs_tf32], notes
        ),
        FLOOR.name: Measurement(
            [value / floors.median for value in ours.values], ours, floors, notes=[roofline.description]
        ),
    }


class PeerTraining:
    """neuralop's network in a plain eager loop on one resident batch.

    Args:
        module: Ours, whose normalisation the batch gets.
        data: Where the batch comes from.
        settings: Of the suite.
        network: Arguments of the network.
        n_steps: Steps of a measurement.
    """

    def __init__(
        self, module: FNOModule, data: WellDataModule, settings: Settings, network: dict, n_steps: int
    ) -> None:
        from neuralop.models import FNO

        batch = data.dataset("train").__getitems__(list(range(data.batch_size)))
        history, constants, scalars, target = (part.to(settings.device) for part in batch[:4])
        context = module.normalizer.context(constants, scalars)
        self._x = torch.cat([module.normalizer.encode(history).flatten(1, 2), context], dim=1)
        self._y = module.normalizer.encode(target)[:, 0]
        self._settings, self._n_steps = settings, n_steps
        self.network = FNO(in_channels=self._x.shape[1], out_channels=self._y.shape[1], **network).to(settings.device)
        self._optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3, weight_decay=1e-4)
        self.losses: list[float] = []

    def measure(self) -> float:
        elapsed = seconds(self._train, self._settings.device) / self._n_steps
        self.losses.append(self._loss.item())
        return elapsed

    def _train(self) -> None:
        for _ in range(self._n_steps):
            self._loss = torch.nn.functional.mse_loss(self.network(self._x), self._y)
            self._optimizer.zero_grad()
            self._loss.backward()
            self._optimizer.step()


def fit_seconds(
    module: FNOModule,
    data: WellDataModule,
    settings: Settings,
    steps_per_execution: int,
    n_steps: int,
    precision: str,
) -> float:
    """Train with Lightning; return the seconds of a step after those that warm up and are captured."""
    skip = WARM_UP_EXECUTIONS * steps_per_execution
    stopwatch = fit(
        module,
        data,
        settings,
        steps_per_execution=steps_per_execution,
        skip=skip,
        precision=precision,
        max_steps=skip + n_steps,
        max_epochs=-1,
    )
    return stopwatch.seconds_per_step


def floor_seconds(module: FNOModule, data: WellDataModule, settings: Settings, roofline: Roofline) -> float:
    """Return the larger of two least times of a bfloat16 step: for its products, and for moving its fields.

    The products are counted. A block has to move its fields, ``points x width`` numbers each, at least 15 times: read
    by the analysis and by the skip, write and read the activation, write the result, and twice as often backward.
    Lifting and projection have hidden layers of twice the width: 7 times each.
    """
    batch = data.dataset("train").__getitems__(list(range(data.batch_size)))
    batch = type(batch)(*(part.to(settings.device) for part in batch))
    network = module.network
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        module.step(batch)[0].backward()
    module.zero_grad()
    blocks = len(network.blocks)
    points = batch.target[:, 0, 0].numel()
    n_bytes = 2 * (15 * blocks + 14) * points * module.network_arguments["hidden_channels"]
    return max(counter.get_total_flops() / roofline.flops_per_second, n_bytes / roofline.bytes_per_second)


BENCHMARK = Benchmark((BF16, TF32, FLOOR), measure, peers=("neuralop",))
