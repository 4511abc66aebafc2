"""A whole training of a small one-dimensional FNO, against JAX with ``lax.scan``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from fno_lightning.data import WellDataModule
from fno_lightning.modules import FNOModule
from tests.benchmarks.checks import parameter_count, require_close, require_equal_counts, require_falling
from tests.benchmarks.data_sets import write_smooth_pairs
from tests.benchmarks.harness import Benchmark, Contestant, Measurement, Row, Settings, interleave, times_as_fast
from tests.benchmarks.lightning_training import fit, loss_of_samples, make_module

ROW = Row("training_1d", "whole training of a 1-D FNO (256 points, batch 8) in Lightning, against JAX lax.scan", 1.3)
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 1e-4
STEPS_PER_EXECUTION = 32


class LightningTraining:
    """Our module in Lightning's ``fit``.

    Args:
        module: The module, with its network.
        data: The data.
        settings: Of the suite.
        n_epochs: Epochs of a training; the next one continues from its weights.
        **options: Further arguments of :func:`~tests.benchmarks.lightning_training.fit`.
    """

    def __init__(
        self, module: FNOModule, data: WellDataModule, settings: Settings, n_epochs: int, **options: Any
    ) -> None:
        self.module, self.data, self.settings, self.n_epochs, self.options = module, data, settings, n_epochs, options
        self.losses = [self._loss()]
        self.n_steps = 0

    def measure(self) -> float:
        """Train; return the seconds of a step."""
        stopwatch = fit(self.module, self.data, self.settings, max_epochs=self.n_epochs, **self.options)
        self.losses.append(self._loss())
        self.n_steps = stopwatch.n_steps_in_all
        return stopwatch.seconds_per_step

    def _loss(self) -> float:
        return loss_of_samples(self.module, self.data, len(self.data.dataset("train")))


class JAXTraining:
    """The same network with the same weights, trained inside one compiled call.

    Args:
        module: Our module, whose weights it starts with.
        x: Normalised inputs ``(sample, channel, point)``.
        y: Normalised targets.
        batch_size: Samples of a batch.
        n_epochs: Epochs of a training; the next one continues from its weights.
    """

    def __init__(self, module: FNOModule, x: Tensor, y: Tensor, batch_size: int, n_epochs: int) -> None:
        import jax
        import jax.numpy as jnp
        import optax

        from tests.benchmarks import jax_fno

        self._jax = jax
        self._x, self._y = (jnp.array(part.mT.cpu().numpy()) for part in (x, y))
        self._parameters = jax_fno.parameters_of(module.network.state_dict(), len(module.network.blocks))
        self._optimizer = optax.adamw(LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        self._train = jax_fno.make_training(
            self._x, self._y, batch_size=batch_size, n_epochs=n_epochs, optimizer=self._optimizer
        )
        self._n_trainings = 0
        self.n_parameters = jax_fno.parameter_count(self._parameters)
        self._loss = lambda: float(jax_fno.mean_squared_error(self._parameters, self._x, self._y))
        self.losses = [self._loss()]
        self.n_steps = 0

    def measure(self) -> float:
        """Train; return the seconds of a step."""
        state = self._optimizer.init(self._parameters)
        key = self._jax.random.key(self._n_trainings)
        self._n_trainings += 1
        begin = time.perf_counter()
        self._parameters, _, losses = self._jax.block_until_ready(self._train(self._parameters, state, key))
        elapsed = time.perf_counter() - begin
        self.losses.append(self._loss())
        self.n_steps = losses.size
        return elapsed / self.n_steps


class NeuralopTraining:
    """neuralop's network in neuralop's Trainer, with the loop's defaults.

    Args:
        x: Normalised inputs ``(sample, channel, point)``.
        y: Normalised targets.
        batch_size: Samples of a batch.
        n_epochs: Epochs of a training; the next one continues from its weights.
        device: Where it is trained.
        **network: Arguments of the network.
    """

    def __init__(
        self, x: Tensor, y: Tensor, batch_size: int, n_epochs: int, device: torch.device, **network: object
    ) -> None:
        from neuralop.models import FNO

        samples = [{"x": one, "y": other} for one, other in zip(x, y, strict=True)]
        self._loader = DataLoader(samples, batch_size=batch_size, shuffle=True, drop_last=True)
        self._network = FNO(in_channels=x.shape[1], out_channels=y.shape[1], **network).to(device)
        self._n_epochs, self._device = n_epochs, device
        self.n_parameters = parameter_count(self._network)

    def measure(self) -> float:
        """Train; return the seconds of a step."""
        from neuralop.training import Trainer

        optimizer = torch.optim.AdamW(self._network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
        trainer = Trainer(model=self._network, n_epochs=self._n_epochs, device=self._device)
        begin = time.perf_counter()
        trainer.train(self._loader, {}, optimizer, schedule, training_loss=lambda out, y, **_: F.mse_loss(out, y))
        return (time.perf_counter() - begin) / (self._n_epochs * len(self._loader))


def measure(settings: Settings) -> Mapping[str, Measurement]:
    n_points, n_samples = settings.size(256, 32), settings.size(512, 16)
    batch_size, n_epochs = settings.size(8, 4), settings.size(6, 2)
    network = {
        "n_modes": [settings.size(16, 8)],
        "hidden_channels": settings.size(64, 8),
        "n_layers": 4,
    }
    with tempfile.TemporaryDirectory() as folder:
        write_smooth_pairs(Path(folder) / "pairs", n_points, n_samples)
        data = WellDataModule("pairs", folder, n_steps_input=1, batch_size=batch_size)
        return {ROW.name: compare(settings, data, network, n_epochs)}


def compare(settings: Settings, data: WellDataModule, network: dict, n_epochs: int) -> Measurement:
    """Measure all trainings in turn."""
    n_steps = settings.size(STEPS_PER_EXECUTION, 2)
    options: dict[str, dict[str, int]] = {
        f"ours, Lightning, {n_steps} steps per execution": {"steps_per_execution": n_steps},
        "ours, Lightning": {},
    }
    if settings.quick:
        del options["ours, Lightning"]
    modules = {name: make_module(data, settings, network) for name in options}
    first, *_ = modules.values()
    x, y = normalised_samples(data, first)
    jax_training = JAXTraining(first, x, y, data.batch_size, n_epochs)
    ours = {
        name: LightningTraining(module, data, settings, n_epochs, **options[name]) for name, module in modules.items()
    }
    contestants = {name: Contestant(training.measure) for name, training in ours.items()}
    contestants["JAX, lax.scan"] = Contestant(jax_training.measure)
    if not settings.quick:
        neuralop = NeuralopTraining(x, y, data.batch_size, n_epochs, settings.device, **network)
        contestants["neuralop's Trainer"] = Contestant(neuralop.measure)
    series = interleave(contestants, settings.rounds(5), unit="ms/step", scale=1e3)

    losses = {name: training.losses for name, training in ours.items()} | {"JAX": jax_training.losses}
    require_close({name: values[0] for name, values in losses.items()}, 1e-4, "the loss before the training")
    require_falling(losses)
    steps = {training.n_steps for training in ours.values()} | {jax_training.n_steps}
    if len(steps) != 1:
        raise RuntimeError(f"the trainings had different numbers of steps: {steps}")
    counts = {name: parameter_count(training.module.network) for name, training in ours.items()}
    counts["JAX"] = jax_training.n_parameters
    if not settings.quick:
        counts["neuralop"] = neuralop.n_parameters
    notes = [
        require_equal_counts(counts),
        f"{steps.pop()} steps of AdamW, compilation before the measurement",
        "loss of all samples " + ", ".join(f"{v[0]:.3g} to {v[-1]:.2g} ({name})" for name, v in losses.items()),
    ]
    return times_as_fast(series, list(ours), ["JAX, lax.scan"], notes)


def normalised_samples(data: WellDataModule, module: FNOModule) -> tuple[Tensor, Tensor]:
    """Return all samples of the train split as the network sees them, ``(sample, channel, *grid)``."""
    dataset = data.dataset("train")
    batch = dataset.__getitems__(list(range(len(dataset))))
    x, y = (module.normalizer.encode(part).flatten(1, 2) for part in (batch.history, batch.target))
    return x.cpu(), y.cpu()


BENCHMARK = Benchmark((ROW,), measure, peers=("jax", "optax", "neuralop"))
