"""Executions of two processes take the steps that two processes take one by one."""

import pytest
import torch
from lightning.pytorch import Trainer

from fno_lightning.data import GeneratedDataModule
from fno_lightning.modules import FNOModule, WarmupCosine
from fno_lightning.multistep import MultiStepDDPStrategy
from tests.travelling_wave import TravellingWave
from tests.two_processes import join, results_of


def train(folder, steps_per_execution):
    torch.manual_seed(0)
    data = GeneratedDataModule(TravellingWave(grid=(16,)), n_steps_input=2, batch_size=3, n_train=4, base_path=folder)
    module = FNOModule(
        data.spec,
        n_modes=(8,),
        hidden_channels=8,
        n_layers=2,
        n_steps_input=2,
        lr_scheduler=WarmupCosine,
    )
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp" if steps_per_execution is None else MultiStepDDPStrategy(steps_per_execution),
        max_epochs=2,
        gradient_clip_val=0.5,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(module, data)
    return trainer.global_step, [weight.detach().numpy() for weight in module.parameters()]


def work(rank, port, folder):
    join(rank, port)
    return {steps: train(folder, steps) for steps in (None, 4)}


@pytest.mark.filterwarnings("ignore:Using `DistributedSampler` with the dataloaders")
def test_processes_take_the_same_steps_in_executions(tmp_path):
    results = results_of(work, str(tmp_path))
    n_steps, expected = results[0][None]
    assert n_steps == 2 * 10
    for rank in range(2):
        found_steps, found = results[rank][4]
        assert found_steps == n_steps
        for weight, expected_weight in zip(found, expected, strict=True):
            assert (weight == expected_weight).all(), rank
