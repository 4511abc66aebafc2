"""Fresh samples in every epoch, reproducible, different on every device."""

import pytest
import torch

from fno_lightning.data import OnTheFlyDataModule
from fno_lightning.data.simulation import fresh as fresh_samples
from fno_lightning.data.simulation.fresh import FreshNumbers
from fno_lightning.modules import FNOModule
from fno_lightning.pdes import Poisson
from tests.travelling_wave import TravellingWave

SMALL = {"samples_per_epoch": 12, "n_valid": 4, "n_test": 4, "n_statistics": 8, "batch_size": 4}


def make(pde=None, **options):
    return OnTheFlyDataModule(pde or Poisson(resolution=(32, 32)), **SMALL | options)


def waves(**options):
    return make(TravellingWave(), **{"n_steps_input": 2} | options)


class Seen(FNOModule):
    """Remembers the first value of every training target."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen += batch.target[:, 0, 0].flatten(1)[:, 0].tolist()
        return super().training_step(batch, batch_idx)


def train(make_trainer, data, n_epochs=2):
    module = Seen(data.spec, (8,) * data.spec.n_dims, 4, n_layers=1, n_steps_input=data.n_steps_input)
    make_trainer(max_epochs=n_epochs, num_sanity_val_steps=0).fit(module, data)
    return module.seen


def test_every_epoch_has_samples_of_its_own_and_a_training_repeats(make_trainer):
    seen = train(make_trainer, make())
    assert len(seen) == len(set(seen)) == 24
    assert train(make_trainer, make()) == seen
    assert not set(train(make_trainer, make(seed=1))) & set(seen)


def test_splits_share_no_sample():
    data = make()
    targets = [data.dataset(split)[i].target[0, 0, 0, 0].item() for split in ("valid", "test") for i in range(4)]
    targets += [data.dataset("train")[number].target[0, 0, 0, 0].item() for number in range(50)]
    assert len(set(targets)) == 58


@pytest.mark.parametrize("samples", [12, 13])
def test_processes_share_out_the_samples_of_an_epoch(monkeypatch, samples):
    alone = FreshNumbers(12)
    assert list(alone) == list(range(12))
    numbers = []
    for process in range(3):
        monkeypatch.setattr(fresh_samples, "process_count", lambda: 3)
        monkeypatch.setattr(fresh_samples, "process_rank", lambda process=process: process)
        sampler = FreshNumbers(samples)
        numbers.append([])
        for epoch in range(2):
            sampler.set_epoch(epoch)
            numbers[-1] += list(sampler)
    n_each = -(-samples // 3)
    assert {len(own) for own in numbers} == {2 * n_each}
    assert sorted(number for own in numbers for number in own) == list(range(6 * n_each))


def test_windows_of_a_time_series_are_frames_of_a_trajectory():
    data = waves(n_steps_output=3)
    batch = data.dataset("train").__getitems__(list(range(40)))
    assert batch.history.shape == (40, 2, 2, 16)
    assert batch.target.shape == (40, 3, 2, 16)
    assert sorted(set(batch.scalars[:, 0].tolist())) == [0.5, 1.0]
    frames = torch.cat((batch.history, batch.target), dim=1)[:, :, 0]
    # u(x, t + dt) = u(x - c dt, t): an exact shift of the Fourier coefficients
    k = torch.arange(9) * 2 * torch.pi
    shift = torch.exp(-1j * k * batch.scalars[:, :1] * 0.05)
    advanced = torch.fft.irfft(torch.fft.rfft(frames[:, 0]) * shift, n=16)
    torch.testing.assert_close(frames[:, 1], advanced, atol=1e-5, rtol=0)
    alone = data.dataset("train")[7]
    torch.testing.assert_close(alone.target, batch.target[7])


def test_validation_and_test_are_all_windows_and_whole_trajectories():
    data = waves()
    assert len(data.dataset("valid")) == 4 * (10 - 2)
    assert data.rollout_dataset("test")[0].target.shape == (8, 2, 16)
    assert torch.equal(data.dataset("valid")[0].history, data.rollout_dataset("valid")[0].history)


def test_statistics_are_those_of_training_trajectories():
    data = waves(n_statistics=16)
    trajectories = [data.rollout_dataset("train")[i] for i in range(16)]
    frames = torch.stack([torch.cat((t.history, t.target)) for t in trajectories]).double()
    torch.testing.assert_close(data.statistics.mean, frames.mean(dim=(0, 1, 3)))
    torch.testing.assert_close(data.statistics.std, frames.transpose(0, 2).flatten(1).std(dim=1, correction=0))
    delta = frames[:, 1:] - frames[:, :-1]
    torch.testing.assert_close(data.statistics.std_delta, delta.transpose(0, 2).flatten(1).std(dim=1, correction=0))
    scalars = torch.stack([t.scalars for t in trajectories]).double()
    torch.testing.assert_close(data.statistics.scalar_mean, scalars.mean(dim=0))
    torch.testing.assert_close(data.statistics.scalar_std, scalars.std(dim=0, correction=0))


def test_worker_processes_simulate_the_same():
    alone, workers = make(), make(num_workers=1, persistent_workers=False)
    for one, other in zip(alone.train_dataloader(), workers.train_dataloader(), strict=True):
        assert torch.equal(one.target, other.target)


def test_another_resolution_has_the_same_samples():
    data = make(Poisson(resolution=(64, 64)))
    finer = data.at_resolution((128, 128))
    assert data.at_resolution((64, 64)) is data
    coarse, fine = data.dataset("test")[1].target, finer.dataset("test")[1].target[..., ::2, ::2]
    assert (coarse - fine).norm() < 1e-3 * fine.norm()


def test_the_options_are_hyperparameters():
    expected = {"samples_per_epoch": 12, "n_steps_input": 0, "seed": 0, "batch_size": 4}
    assert expected.items() <= make().hparams.items()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"n_steps_input": 1},
            r"Poisson makes trajectories of 1 frames, but n_steps_input=1 and n_steps_output=1 need 2",
        ),
        ({"samples_per_epoch": 0}, "samples_per_epoch is 0, expected at least 1"),
        ({"num_workers": 1, "device": "cuda"}, "num_workers is 1, but worker processes simulate on the CPU"),
        (
            {"pde": TravellingWave()},
            r"makes trajectories of 10 frames, .* a steady problem \(n_steps_input=0\) exactly 1",
        ),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
