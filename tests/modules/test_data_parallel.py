"""Processes that share out the batches train the weights, and find the errors, of one process with whole batches."""

import warnings

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from fno_lightning.callbacks import OneStepErrors, RolloutEvaluation
from fno_lightning.checkpoints import AtomicCheckpointIO
from fno_lightning.data import GeneratedDataModule
from fno_lightning.metrics import VRMSE
from fno_lightning.modules import FNOModule, WarmupCosine
from fno_lightning.multistep import MultiStepDDPStrategy
from tests.travelling_wave import TravellingWave
from tests.two_processes import join, results_of

BATCH, STEPS = 12, 4
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


class Sharded(FNOModule):
    """Module that divides its weights among the processes, if there are several."""

    def configure_model(self):
        super().configure_model()
        is_sharded = isinstance(next(self.network.parameters()), DTensor)
        if self.device_mesh is not None and not is_sharded:
            fully_shard(self.network, mesh=self.device_mesh["data_parallel"])


def train(folder, n_processes=1, strategy="ddp", module_class=FNOModule, precision="64-true", rollouts=True):
    """Return errors, weights and statistics of a training, in which round-off alone may differ."""
    seed_everything(3)
    warnings.filterwarnings("ignore", "You're using the WeightAveraging callback")
    data = GeneratedDataModule(
        TravellingWave(grid=(16,)),
        n_steps_input=2,
        n_steps_output=2,
        n_train=4,
        n_valid=3,  # an uneven number of samples
        batch_size=BATCH // n_processes,
        eval_batch_size=4,
        base_path=folder,
    )
    module = module_class(data.spec, (4,), 4, n_layers=2, n_steps_input=2, lr_scheduler=WarmupCosine)
    errors = [OneStepErrors({"vrmse": VRMSE})]
    if rollouts:
        errors.append(RolloutEvaluation(metrics={"vrmse": VRMSE}, n_pictures=0))
    trainer = Trainer(
        devices=n_processes,
        strategy="auto" if n_processes == 1 else strategy,
        precision=precision,
        max_epochs=2,
        limit_train_batches=STEPS,
        gradient_clip_val=0.5,
        callbacks=[EMAWeightAveraging(decay=0.9), *errors] if precision == "64-true" else errors,
        enable_checkpointing=False,
        **QUIET,
    )
    trainer.fit(module, data)
    assert trainer.global_step == 2 * STEPS
    logged = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
    weights = [weight.full_tensor() if isinstance(weight, DTensor) else weight for weight in module.parameters()]
    return logged, [weight.detach() for weight in weights], [*vars(data.statistics).values()]


def train_one_of(rank, port, folder, n_processes):
    join(rank, port, n_processes)
    return train(folder, n_processes)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Using `DistributedSampler` with the dataloaders")
@pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback with a model that overrides")
def test_the_same_global_batch_gives_the_same_weights_and_errors(tmp_path):
    expected = train(str(tmp_path))
    assert any(name.startswith("val/rollout") for name in expected[0])
    for n_processes in (2, 4):
        for found in results_of(train_one_of, str(tmp_path), n_processes, n_processes=n_processes):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def train_sharded(rank, port, folder):
    join(rank, port)

    def run(sizes=(2, 1), module_class=Sharded, *, rollouts=False):
        return train(folder, 2, ModelParallelStrategy(*sizes), module_class, "32-true", rollouts)

    refused = []
    for options in ({"sizes": ("auto", "auto")}, {"module_class": FNOModule}, {"rollouts": True}):
        with pytest.raises(ValueError, match=r".") as error:
            run(**options)
        refused.append(str(error.value))
    return run(), refused


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Using `DistributedSampler` with the dataloaders")
def test_sharded_weights_are_those_of_one_process_or_refused(tmp_path):
    expected = train(str(tmp_path), module_class=Sharded, precision="32-true", rollouts=False)
    for found, refused in results_of(train_sharded, str(tmp_path)):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        assert "(1 data_parallel x 2 tensor_parallel), and the weights of Sharded are not divided" in refused[0]
        assert "(2 data_parallel x 1 tensor_parallel), and the weights of FNOModule are not divided" in refused[1]
        assert "their shares of the rollouts differ" in refused[2]


class SeedsByProcess(Callback):
    """Other random numbers in each process."""

    def on_train_start(self, trainer, pl_module):
        if trainer.global_step == 0:
            torch.manual_seed(trainer.global_rank)


def resume(folder, name, ckpt_path=None, at_once=None):
    """Train two processes' share, with checkpoints of every step."""
    seed_everything(3)
    data = GeneratedDataModule(TravellingWave(grid=(16,)), n_steps_input=2, n_train=2, batch_size=3, base_path=folder)
    module = FNOModule(
        data.spec,
        (4,),
        4,
        n_layers=2,
        n_steps_input=2,
        channel_mlp_dropout=0.2,
        input_noise=0.05,
        lr_scheduler=WarmupCosine,
    )
    keep = ModelCheckpoint(f"{folder}/{name}", filename="{step}", every_n_train_steps=1, save_top_k=-1)
    trainer = Trainer(
        devices=2,
        strategy="ddp" if at_once is None else MultiStepDDPStrategy(at_once),
        max_epochs=2,
        limit_train_batches=STEPS,
        callbacks=[keep, SeedsByProcess()],
        plugins=[AtomicCheckpointIO()],
        **QUIET,
    )
    trainer.fit(module, data, ckpt_path=ckpt_path)
    return torch.get_rng_state(), [weight.detach() for weight in module.parameters()]


def resume_one_of(rank, port, folder):
    join(rank, port)
    found = {}
    for at_once in (None, 3):
        name = f"whole-{at_once}"
        found[at_once, 0] = resume(folder, name, at_once=at_once)
        for step in (2, STEPS, STEPS + 1):
            checkpoint = f"{folder}/{name}/step={step}.ckpt"
            found[at_once, step] = resume(folder, f"from-{step}-{at_once}", checkpoint, at_once)
    return found


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Using `DistributedSampler` with the dataloaders")
def test_a_resumed_training_of_two_processes_is_the_same_bit_by_bit(tmp_path):
    first, second = results_of(resume_one_of, str(tmp_path))
    assert not torch.equal(first[None, 0][0], second[None, 0][0])
    for found in (first, second):
        for (at_once, step), state in found.items():
            for part, expected in zip(state, found[at_once, 0], strict=True):
                torch.testing.assert_close(part, expected, rtol=0, atol=0, msg=f"{at_once} at once, from step {step}")
