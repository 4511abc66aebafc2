import pytest
import torch
from torch.utils.data import SequentialSampler

from fno_lightning.data import OnTheFlyDataModule
from fno_lightning.data.loading import FirstSamples, several_batches
from fno_lightning.data.simulation.fresh import FreshNumbers
from fno_lightning.modules import FNOModule
from fno_lightning.multistep import MultiStepStrategy
from tests.travelling_wave import TravellingWave


@pytest.mark.parametrize(
    ("drop_last", "limit", "expected"),
    [(True, None, 9), (False, None, 11), (True, 2, 6), (False, 100, 11)],
)
def test_batches_at_once_are_those_of_a_plain_loader(drop_last, limit, expected):
    options = several_batches(SequentialSampler(range(11)), 3, 2, drop_last=drop_last, limit=limit)
    assert options["batch_size"] == 6
    assert list(options["sampler"]) == list(range(expected))
    assert len(options["sampler"]) == expected


def test_the_first_samples_follow_the_epoch():
    sampler = FirstSamples(FreshNumbers(4), 3)
    assert list(sampler) == [0, 1, 2]
    sampler.set_epoch(2)
    assert list(sampler) == [8, 9, 10]


@pytest.mark.parametrize("limit", [1.0, 3])
def test_fresh_samples_come_in_executions_too(make_trainer, limit):
    def train(steps_per_execution):
        data = OnTheFlyDataModule(
            TravellingWave(), n_steps_input=2, samples_per_epoch=14, batch_size=4, n_valid=2, n_statistics=4
        )
        torch.manual_seed(0)
        module = FNOModule(data.spec, (8,), 4, n_layers=1, n_steps_input=2)
        strategy = "auto" if steps_per_execution is None else MultiStepStrategy(steps_per_execution)
        trainer = make_trainer(max_epochs=2, limit_train_batches=limit, strategy=strategy)
        trainer.fit(module, data)
        return trainer.global_step, list(module.parameters())

    (n_steps, expected), (n_steps_of_executions, found) = train(None), train(3)
    assert n_steps_of_executions == n_steps == 2 * (4 if limit == 1.0 else 3)
    for weight, expected_weight in zip(found, expected, strict=True):
        assert torch.equal(weight, expected_weight)
