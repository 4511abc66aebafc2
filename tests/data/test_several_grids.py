"""Training batches on several grids."""

from random import Random

import lightning as L
import pytest
import torch

from fno_lightning.data import Batch, FieldSpec, GeneratedDataModule, OnTheFlyDataModule
from fno_lightning.data.several_grids import coarse_grids, coarsened
from fno_lightning.modules import FNOModule
from fno_lightning.multistep import MultiStepStrategy
from fno_lightning.pdes import Burgers, Poisson
from tests.travelling_wave import TravellingWave


def waves(folder, **options):
    options = {"n_train": 3, "n_steps_input": 2, "batch_size": 4} | options
    data = GeneratedDataModule(TravellingWave(grid=(8, 6)), str(folder), **options)
    data.prepare_data()
    data.setup("fit")
    return data


def random_batch(*grid):
    return Batch(torch.rand(2, 3, 1, *grid), torch.rand(2, 2, *grid), torch.rand(2, 1), torch.rand(2, 1, 1, *grid))


def test_points_are_every_nth_one_and_means_are_those_of_blocks():
    batch = random_batch(8, 6)
    points, means = coarsened(batch, 2), coarsened(batch, 2, "mean")
    for name in ("history", "constants", "target"):
        fine = getattr(batch, name)
        blocks = torch.stack([fine[..., i::2, j::2] for i in range(2) for j in range(2)])
        assert torch.equal(getattr(points, name), blocks[0])
        torch.testing.assert_close(getattr(means, name), blocks.mean(dim=0))
    assert torch.equal(points.scalars, batch.scalars)
    assert points.history.untyped_storage().nbytes() == points.history.nbytes
    assert coarsened(batch, 1, "mean") is batch


def test_parts_without_frames_or_channels_are_coarsened_too():
    batch = Batch(torch.empty(2, 0, 1, 8), torch.empty(2, 0, 8), torch.empty(2, 0), torch.rand(2, 1, 1, 8))
    for how in ("points", "mean"):
        coarse = coarsened(batch, 4, how)
        assert coarse.history.shape == (2, 0, 1, 2)
        assert coarse.constants.shape == (2, 0, 2)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_epoch_has_every_sample_once_and_each_batch_one_grid(tmp_path, num_workers):
    data = waves(tmp_path, train_strides=[1, 2], num_workers=num_workers)
    full = data.dataset("train")
    loader = data.train_dataloader()
    loader.sampler.set_epoch(1)
    batches = list(loader)
    grids = {tuple(batch.target.shape[3:]) for batch in batches}
    assert grids == set(data.train_grids) == {(8, 6), (4, 3)}
    corners = sorted(value for batch in batches for value in batch.target[:, 0, 0, 0, 0].tolist())
    expected = sorted(full[i].target[0, 0, 0, 0].item() for i in range(len(full)))
    assert corners == expected
    assert {tuple(batch.target.shape[3:]) for batch in data.val_dataloader()} == {(8, 6)}


def test_the_strides_follow_from_seed_epoch_and_number_of_the_batch(tmp_path, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "5")
    data = waves(tmp_path, train_strides=[1, 2])
    loader = data.train_dataloader()
    for epoch in (0, 3):
        loader.sampler.set_epoch(epoch)
        sizes = [batch.target.shape[3] for batch in loader]
        assert sizes == [8 // Random(f"5 {epoch} {number}").choice((1, 2)) for number in range(len(sizes))]


def test_one_stride_alone_trains_on_one_coarser_grid(tmp_path):
    data = waves(tmp_path, train_strides=[2])
    assert {tuple(batch.history.shape[3:]) for batch in data.train_dataloader()} == {(4, 3)}


class Shapes(FNOModule):
    """Remembers the grids of the batches that it was trained on."""

    def step(self, batch):
        if self.training:
            self.shapes = [*getattr(self, "shapes", []), tuple(batch.target.shape)]
        return super().step(batch)


def fit(data, **options):
    options = {"max_epochs": 2, "accelerator": "cpu", "logger": False, "enable_checkpointing": False} | options
    trainer = L.Trainer(**options, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)
    module = Shapes(data.spec, (4,) * data.spec.n_dims, 4, n_layers=1, n_steps_input=data.n_steps_input)
    trainer.fit(module, data)
    return module


@pytest.mark.parametrize("strategy", ["auto", MultiStepStrategy(3)])
def test_a_training_takes_the_drawn_grids_epoch_by_epoch(tmp_path, monkeypatch, strategy):
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    data = waves(tmp_path, train_strides=[1, 2], batch_size=3)
    module = fit(data, strategy=strategy, max_epochs=3)
    at_once = 1 if strategy == "auto" else 3
    n_batches = len(data.dataset("train")) // 3
    expected = [
        8 // Random(f"1 {epoch} {number // at_once}").choice((1, 2))
        for epoch in range(3)
        for number in range(n_batches)
    ]
    assert [shape[3] for shape in module.shapes] == expected
    assert {shape[0] for shape in module.shapes} == {3}
    assert len(set(expected)) == 2


@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_overfitting_on_a_few_batches_takes_the_full_grid(tmp_path):
    module = fit(waves(tmp_path, train_strides=[1, 2]), overfit_batches=1, limit_val_batches=0)
    assert {shape[3:] for shape in module.shapes} == {(8, 6)}


def burgers(folder, **options):
    pde = Burgers((64,), 0.1, n_frames=3, frame_interval=0.1)
    return GeneratedDataModule(pde, str(folder), n_train=3, n_steps_input=1, batch_size=2, **options)


def test_a_training_takes_the_same_functions_simulated_on_several_grids(tmp_path):
    data = burgers(tmp_path, train_resolutions=[[32], [128]])
    module = fit(data)
    assert {shape[3:] for shape in module.shapes} == set(data.train_grids) == {(64,), (32,), (128,)}
    assert module.training_grids.seen == {(64,), (32,), (128,)}
    loader = data.train_dataloader()
    for epoch in range(4):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            own = {tuple(data.dataset("train")[i].target[0, 0, ::2].tolist()) for i in range(6)}
            stride = batch.target.shape[-1] // 32
            assert {tuple(frame) for frame in batch.target[:, 0, 0, ::stride].tolist()} <= own


def test_further_grids_that_cannot_be_had_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"Burgers at the resolution \[5\]: .* too coarse for the shocks"):
        burgers(tmp_path, train_resolutions=[[5]])
    (tmp_path / "burgers" / "data").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"train_resolutions are simulated, but the data in .*burgers are not: use"):
        _ = burgers(tmp_path, train_resolutions=[[32]]).train_grids


def test_fresh_samples_are_taken_on_several_grids():
    data = OnTheFlyDataModule(
        Poisson(resolution=(32, 32)),
        samples_per_epoch=24,
        n_valid=1,
        n_test=1,
        n_statistics=2,
        batch_size=2,
        train_strides=[1, 2],
        coarsen="mean",
    )
    whole = OnTheFlyDataModule(Poisson(resolution=(32, 32)), samples_per_epoch=24, batch_size=2)
    seen = set()
    for batch, fine in zip(data.train_dataloader(), whole.train_dataloader(), strict=True):
        stride = 32 // batch.target.shape[-1]
        seen.add(stride)
        assert torch.equal(batch.constants, coarsened(fine, stride, "mean").constants)
    assert seen == {1, 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_strides": []}, r"train_strides is empty, expected at least one stride"),
        ({"train_strides": [1, 0]}, r"train_strides\[1\] is 0, expected at least 1"),
        ({"coarsen": "median"}, r"coarsen is 'median', expected 'points' or 'mean'"),
    ],
)
def test_options_that_mean_nothing_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        GeneratedDataModule(TravellingWave(grid=(8, 6)), str(tmp_path), **options)


def test_strides_that_do_not_fit_the_grid_are_refused(tmp_path):
    for stride, message in {
        8: r"train_strides has 8, but the grid of travelling_wave has 8 points along x, of which fewer than 2",
        4: r"train_strides has 4, but the grid of travelling_wave has 6 points along y, and a periodic axis needs",
    }.items():
        data = waves(tmp_path, train_strides=[1, stride])
        with pytest.raises(ValueError, match=message):
            data.train_dataloader()


def test_only_means_and_periodic_axes_need_strides_that_divide_the_points():
    spec = FieldSpec("box", ("u",), (9,), boundaries=(("wall", "wall"),))
    assert coarse_grids(spec, (1, 2), "points") == ((9,), (5,))
    with pytest.raises(ValueError, match="9 points along x, and coarsen=mean needs"):
        coarse_grids(spec, (2,), "mean")
