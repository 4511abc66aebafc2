"""Training batches that are transformed at random: which, by what they are drawn, and what is left alone."""

from random import Random

import lightning as L
import pytest
import torch

from fno_lightning.data import GeneratedDataModule, MixedDataModule, OnTheFlyDataModule, WellDataModule
from fno_lightning.data.augmentation import AugmentedDataset
from fno_lightning.data.symmetries import Symmetries
from fno_lightning.modules import FNOModule
from fno_lightning.multistep import MultiStepStrategy
from fno_lightning.pdes import Burgers, GrayScott, NavierStokes, Poisson, ShallowWater
from tests.travelling_wave import TravellingWave
from tests.two_processes import join, results_of


class ShiftedWave(TravellingWave):
    """Waves on a periodic box, whose places are alike but not its directions."""

    @property
    def symmetries(self):
        return ("shift",)


def waves(folder, grid=(8, 6), **options):
    options = {"n_train": 2, "n_steps_input": 2, "batch_size": 4, "augment": ["shift"]} | options
    data = GeneratedDataModule(ShiftedWave(grid=grid), str(folder), **options)
    data.prepare_data()
    data.setup("fit")
    return data


def batches_of(data, epoch=0):
    torch.manual_seed(0)
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def drawn(data, epoch, seed=0):
    """The first frame of each sample as it is in an epoch, with its number."""
    plain, symmetries = data.dataset("train"), Symmetries(data.spec, data.augment)
    draws = [symmetries.draw(Random(f"{seed} {epoch} {number}"), data.spec.grid_shape) for number in range(len(plain))]
    samples = [symmetries.transformed(plain[number], *draw) for number, draw in enumerate(draws)]
    return {part_key(sample.history[0, 0]): number for number, sample in enumerate(samples)}


def part_key(frame):
    return tuple(frame.flatten().tolist())


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_sample_is_transformed_by_seed_epoch_and_its_number_alone(tmp_path, monkeypatch, num_workers):
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    data = waves(tmp_path, num_workers=num_workers)
    for epoch in (0, 3):
        numbers, batches = drawn(data, epoch, seed=7), batches_of(data, epoch)
        found = [numbers[part_key(history[0, 0])] for batch in batches for history in batch.history]
        assert len(set(found)) == len(found) == len(numbers) // 4 * 4


def test_epochs_and_seeds_differ_and_repeat(tmp_path, monkeypatch):
    data = waves(tmp_path)
    first, again, other = batches_of(data, 0), batches_of(data, 0), batches_of(data, 1)
    assert torch.equal(first[0].history, again[0].history)
    assert not torch.equal(first[0].history, other[0].history)
    monkeypatch.setenv("PL_GLOBAL_SEED", "8")
    assert not torch.equal(first[0].history, batches_of(data, 0)[0].history)


def test_other_splits_and_the_stored_samples_stay_as_they_are(tmp_path):
    data, plain = waves(tmp_path), waves(tmp_path, augment=())
    before = plain.dataset("train")[0].history.clone()
    batches_of(data)
    assert torch.equal(data.dataset("train")[0].history, before)
    for batch, expected in zip(data.val_dataloader(), plain.val_dataloader(), strict=True):
        assert torch.equal(batch.target, expected.target)


def test_several_grids_are_those_of_the_transformed_samples(tmp_path):
    data = waves(tmp_path, train_strides=[1, 2], batch_size=1)
    plain, symmetries = data.dataset("train"), Symmetries(data.spec, ["shift"])
    transformed = [
        symmetries.transformed(plain[i], *symmetries.draw(Random(f"0 2 {i}"), (8, 6))).target for i in range(len(plain))
    ]
    seen = set()
    for batch in batches_of(data, 2):
        stride = 8 // batch.target.shape[3]
        seen.add(stride)
        assert any(torch.equal(batch.target[0], target[..., ::stride, ::stride]) for target in transformed)
    assert seen == {1, 2}


def burgers(**options):
    pde = Burgers((64,), 0.1, n_frames=3, frame_interval=0.1)
    options = {"samples_per_epoch": 8, "batch_size": 4, "n_valid": 1, "n_test": 1, "n_statistics": 1} | options
    return OnTheFlyDataModule(pde, n_steps_input=1, **options)


def test_fresh_samples_are_transformed_too_with_the_signs_that_the_equation_states():
    (plain,) = (batch.history for batch in burgers(batch_size=8).train_dataloader())
    (turned,) = (batch.history for batch in burgers(batch_size=8, augment=["flip"]).train_dataloader())
    images = [torch.equal(new, -old.flip(-1)) for new, old in zip(turned, plain, strict=True)]
    same = [torch.equal(new, old) for new, old in zip(turned, plain, strict=True)]
    assert all(a != b for a, b in zip(images, same, strict=True))
    assert any(images)
    assert any(same)


class Seen(FNOModule):
    """Remembers the first frames that it was trained on."""

    def step(self, batch):
        if self.training:
            self.seen = [*getattr(self, "seen", []), batch.history[:, 0, 0].clone()]
        return super().step(batch)


def fit(data, folder, ckpt_path=None, **options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    options = {"max_epochs": 2, "enable_checkpointing": False} | quiet | options
    trainer = L.Trainer(accelerator="cpu", **options)
    module = Seen(data.spec, (4,) * data.spec.n_dims, 4, n_layers=1, n_steps_input=data.n_steps_input)
    torch.manual_seed(0)
    trainer.fit(module, data, ckpt_path=ckpt_path)
    if ckpt_path is None and folder is not None:
        trainer.save_checkpoint(folder / "last.ckpt")
    return module


def key(frames):
    return sorted(tuple(frame.flatten().tolist()) for batch in frames for frame in batch)


def test_a_training_in_executions_and_a_resumed_one_see_the_same_samples(tmp_path):
    data = waves(tmp_path)
    fit(data, tmp_path, max_epochs=2)
    resumed = fit(data, None, ckpt_path=tmp_path / "last.ckpt", max_epochs=4)
    executions = fit(data, None, max_epochs=4, strategy=MultiStepStrategy(3))
    n_batches = len(resumed.seen) // 2
    assert len(executions.seen) == 4 * n_batches
    for epoch in (2, 3):
        numbers = drawn(data, epoch)
        for seen in (resumed.seen[(epoch - 2) * n_batches :], executions.seen[epoch * n_batches :]):
            found = [numbers[part_key(frame)] for frames in seen[:n_batches] for frame in frames]
            assert len(set(found)) == len(found) == 4 * n_batches


@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_overfitting_on_a_few_batches_takes_the_samples_as_they_are(tmp_path):
    data = waves(tmp_path)
    module = fit(data, None, overfit_batches=1, limit_val_batches=0)
    plain = [data.dataset("train")[i].history[0, 0] for i in range(4)]
    assert all(torch.equal(frame, torch.stack(plain)) for frame in module.seen)


def work(rank, port, folder):
    join(rank, port)
    module = fit(waves(folder, batch_size=2), None, devices=2, strategy="ddp", max_epochs=1)
    return key(module.seen)


@pytest.mark.filterwarnings("ignore:Using `DistributedSampler` with the dataloaders")
def test_two_processes_transform_the_samples_as_one_does(tmp_path):
    first, second = results_of(work, str(tmp_path))
    alone = key(fit(waves(tmp_path, batch_size=2), None, max_epochs=1).seen)
    assert not set(first) & set(second)
    assert set(first + second) <= set(alone)
    assert len(first) == len(second) == len(alone) // 2


# --- what is stated, and what is refused ------------------------------------------------------------------------------


def test_an_equation_that_does_not_state_a_symmetry_refuses_it(tmp_path):
    cases = {
        "augment has flip, which is no symmetry of ShiftedWave with these arguments: it has": (
            ShiftedWave(grid=(8,)),
            ["flip"],
        ),
        "augment has shift, which is no symmetry of TravellingWave with these arguments: it has none": (
            TravellingWave(grid=(8,)),
            ["shift"],
        ),
        "augment has rotate, which is no symmetry of NavierStokes": (
            NavierStokes((32, 32), 0.01, refinement=1),
            ["rotate"],
        ),
        "augment has flip_x, which is no symmetry of ShallowWater": (ShallowWater((16, 16), 5.0), ["flip_x"]),
        r"augment has \['turn'\], expected some of": (GrayScott((32, 32)), ["turn"]),
    }
    for message, (pde, augment) in cases.items():
        data = OnTheFlyDataModule(pde, n_steps_input=1, augment=augment)
        with pytest.raises(ValueError, match=message):
            data.train_dataloader()


def test_the_grid_of_an_equation_may_break_what_it_states():
    data = OnTheFlyDataModule(Poisson((32, 48)), augment=["rotate"])
    with pytest.raises(ValueError, match=r"the axes have \[32, 48\] points"):
        data.train_dataloader()


def test_of_files_the_user_states_the_symmetries(tmp_path):
    root = waves(tmp_path).root
    options = {"n_steps_input": 2, "augment": ["flip_x"], "pseudo_fields": ["flux"]}
    data = WellDataModule(root.name, str(root.parent), **options)
    data.setup("fit")
    dataset = data.train_dataloader().dataset
    assert isinstance(dataset, AugmentedDataset)
    assert [action[0].signs for action in dataset.symmetries.actions] == [[1, 1], [1, -1]]


def test_a_mixture_is_transformed_by_its_own_option(tmp_path):
    members = {"one": waves(tmp_path), "other": waves(tmp_path, seed=1)}
    data = MixedDataModule(members, batch_size=4, augment=["shift"])
    data.setup("fit")
    members_alone = MixedDataModule(members, batch_size=4)
    members_alone.setup("fit")
    assert isinstance(data.train_dataloader().dataset, AugmentedDataset)
    assert not isinstance(members_alone.train_dataloader().dataset, AugmentedDataset)


# --- from coarse to fine ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [None, 3])
def test_a_curriculum_goes_from_coarse_to_fine_by_the_epoch(tmp_path, steps):
    strategy = "auto" if steps is None else MultiStepStrategy(steps)
    data = waves(tmp_path, grid=(16, 8), augment=(), train_strides=[1, 4, 2], train_grid_epochs=[2, 1])
    module = fit(data, tmp_path, strategy=strategy, max_epochs=2)
    resumed = fit(
        data,
        None,
        ckpt_path=tmp_path / "last.ckpt",
        strategy="auto" if steps is None else MultiStepStrategy(steps),
        max_epochs=5,
    )
    n_batches = len(module.seen) // 2
    assert {tuple(frames.shape[1:]) for frames in module.seen} == {(4, 2)}
    sizes = [frames.shape[1] for frames in resumed.seen]
    assert sizes == [8] * n_batches + [16] * 2 * n_batches


def test_data_that_are_simulated_on_other_grids_take_part_in_it(tmp_path):
    pde = Burgers((64,), 0.1, n_frames=3, frame_interval=0.1)
    options = {"n_train": 2, "n_steps_input": 1, "augment": ["shift"], "train_grid_epochs": [1]}
    data = GeneratedDataModule(pde, str(tmp_path), train_resolutions=[[32]], **options)
    module = fit(data, None, max_epochs=2)
    assert [frames.shape[1] for frames in module.seen] == [32] * (len(module.seen) // 2) + [64] * (
        len(module.seen) // 2
    )


def test_a_curriculum_needs_a_number_for_each_grid_but_the_finest(tmp_path):
    with pytest.raises(ValueError, match=r"train_grid_epochs\[0\] is 0, expected at least 1"):
        waves(tmp_path, train_strides=[1, 2], train_grid_epochs=[0])
    with pytest.raises(ValueError, match=r"train_grid_epochs \[2, 2\] has 2 entries, but the training has 2 grids"):
        waves(tmp_path, train_strides=[1, 2], train_grid_epochs=[2, 2]).train_dataloader()
    with pytest.raises(ValueError, match=r"has 1 entries, but the training has 1 grids"):
        waves(tmp_path, train_grid_epochs=[2]).train_dataloader()
