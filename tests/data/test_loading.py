"""Batches that processes share out, and what two processes evaluate with them."""

import itertools

import lightning as L
import pytest
import torch
from torch.utils.data import Dataset
from torchmetrics import MeanMetric

from fno_lightning.data import Batch, FieldDataModule, FieldSpec
from fno_lightning.data.loading import shared_batches
from tests.two_processes import join, results_of


@pytest.mark.parametrize(("n_samples", "size"), [(1, 3), (3, 3), (7, 3), (9, 3), (0, 2)])
def test_a_single_process_gets_full_batches_and_the_rest(n_samples, size):
    sizes = [len(batch) for batch in shared_batches(n_samples, size, 1)]
    assert sizes == [size] * (n_samples // size) + [n_samples % size] * (n_samples % size > 0)


@pytest.mark.parametrize("n_processes", [2, 3, 4])
def test_processes_get_equally_many_batches_and_every_sample_once(n_processes):
    for n_samples, size in itertools.product(range(n_processes, 40), range(1, 9)):
        batches = shared_batches(n_samples, size, n_processes)
        sizes = {len(batch) for batch in batches}
        assert list(itertools.chain(*batches)) == list(range(n_samples))
        assert len(batches) % n_processes == 0
        assert max(sizes) - min(sizes) <= 1
        assert 0 < max(sizes) <= max(size, 2)
        if size > 1:
            assert max(sizes) <= size


def test_fewer_samples_than_processes_are_batches_of_one():
    assert shared_batches(3, 8, 4) == [[0], [1], [2]]


class Squares(Dataset):
    def __init__(self, n_samples):
        self.n_samples = n_samples

    def __len__(self):
        return self.n_samples

    def __getitem__(self, index):
        value = torch.full((1, 1, 4), float(index))
        return Batch(value, torch.empty(0, 4), torch.empty(0), value.square())


class SquaresData(FieldDataModule):
    spec = FieldSpec("squares", ("u",), (4,))
    n_steps_input = 1
    statistics = None

    def __init__(self, n_train=10, n_valid=7, **options):
        super().__init__(**options)
        self.n_samples = {"train": n_train, "valid": n_valid, "test": n_valid}

    def dataset(self, split):
        return Squares(self.n_samples[split])

    rollout_dataset = dataset


class Mean(L.LightningModule):
    """Logs the mean of the targets; remembers the sizes of the batches that it was trained on."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.mean = MeanMetric()
        self.sizes = []

    def training_step(self, batch):
        self.sizes.append(len(batch.history))
        return self.scale.square()

    def validation_step(self, batch):
        assert isinstance(batch, Batch)
        self.mean.update(batch.target)
        self.log("mean", self.mean, batch_size=len(batch.target))

    test_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def train_and_test(make_trainer, **options):
    """Returns the sizes of the training batches, and the mean over the validation and the test split."""
    module, data = Mean(), SquaresData(batch_size=8, eval_batch_size=3, **options)
    trainer = make_trainer(num_sanity_val_steps=1)
    trainer.fit(module, data)
    validated = trainer.callback_metrics["mean"].item()
    trainer.test(module, data, verbose=False)
    return module.sizes, validated, trainer.callback_metrics["mean"].item()


def work(rank, port):
    join(rank, port)

    def make_trainer(**options):
        return L.Trainer(
            accelerator="cpu",
            strategy="ddp",
            devices=2,
            max_epochs=1,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            **options,
        )

    return train_and_test(make_trainer, num_workers=rank)


@pytest.mark.long
def test_two_processes_train_on_a_small_split_and_evaluate_every_sample_once(make_trainer):
    expected = sum(k**2 for k in range(7)) / 7
    sizes, validated, tested = train_and_test(make_trainer)
    assert sizes == [8]
    assert (validated, tested) == pytest.approx((expected, expected))
    for sizes, *means in results_of(work):
        assert sizes == [5]
        assert means == pytest.approx([expected, expected], rel=1e-6)


def test_a_split_smaller_than_a_batch_for_each_process_is_not_dropped(monkeypatch):
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda *_: 2)
    monkeypatch.setattr("torch.distributed.get_rank", lambda *_: 0)
    assert not SquaresData(n_train=10, batch_size=8).train_dataloader().drop_last
    assert SquaresData(n_train=16, batch_size=8).train_dataloader().drop_last


@pytest.mark.parametrize("num_workers", [0, 1])
def test_evaluation_batches_pass_workers_and_pinning(num_workers):
    data = SquaresData(eval_batch_size=3, num_workers=num_workers, prefetch_factor=2, pin_memory=False)
    batches = list(data.val_dataloader())
    assert [len(batch.target) for batch in batches] == [3, 3, 1]
    assert all(isinstance(batch, Batch) for batch in batches)
    assert torch.cat([batch.history for batch in batches])[:, 0, 0, 0].tolist() == list(range(7))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_no_loader_takes_random_numbers_of_the_training(num_workers):
    data = SquaresData(batch_size=2, num_workers=num_workers, prefetch_factor=2, pin_memory=False)
    loaders = [data.train_dataloader(), data.val_dataloader(), data.rollout_dataloader("valid")]
    before = torch.get_rng_state()
    for loader in loaders * 2:  # workers start, and go on
        list(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_rollouts_are_read_by_workers_too():
    data = SquaresData(num_workers=1, prefetch_factor=2, pin_memory=False)
    loader = data.rollout_dataloader("test")
    assert (loader.num_workers, loader.prefetch_factor) == (1, 2)
    assert len(list(loader)) == len(data.rollout_batches("test"))
