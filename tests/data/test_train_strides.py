"""Training on several grids at once."""

import pytest
import torch
from lightning.pytorch import Callback

from fno_lightning.modules import FNOModule, ForecastModule
from fno_lightning.multistep import MultiStepStrategy


class Grids(Callback):
    """Keep the training batches, and those of the validation."""

    def __init__(self):
        self.trained, self.validated = [], []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.trained.append(batch)

    def on_validation_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0):
        self.validated.append(batch)


def make_module(data):
    return FNOModule(data.spec, (4,) * data.spec.n_dims, 4, n_layers=1, n_steps_input=2)


def fit(make_trainer, data, **options):
    grids = Grids()
    module = make_module(data)
    make_trainer(grids, **{"max_epochs": 3, **options}).fit(module, data)
    return module, grids


@pytest.mark.parametrize("grid", [(16,), (12, 8)])
def test_each_training_batch_has_one_of_the_grids_and_validation_all_points(grid, make_data, make_trainer):
    data = make_data(grid=grid, train_strides=[1, 2])
    _, grids = fit(make_trainer, data)
    shapes = {batch.target.shape[3:] for batch in grids.trained}
    assert shapes == {torch.Size(grid), torch.Size(n // 2 for n in grid)}
    for batch in grids.trained:
        assert batch.history.shape[3:] == batch.target.shape[3:]
    assert {batch.target.shape[3:] for batch in grids.validated} == {torch.Size(grid)}


def test_a_coarser_batch_holds_every_second_point(make_data, make_trainer):
    torch.manual_seed(0)
    _, coarse = fit(make_trainer, make_data(train_strides=[2]), max_epochs=1)
    torch.manual_seed(0)
    _, fine = fit(make_trainer, make_data(), max_epochs=1)
    for few, many in zip(coarse.trained, fine.trained, strict=True):
        assert torch.equal(few.target, many.target[..., ::2])
        assert torch.equal(few.history, many.history[..., ::2])
        assert torch.equal(few.scalars, many.scalars)


def test_the_grids_are_drawn_alike_in_a_training_that_is_repeated(make_data, make_trainer, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    sizes = []
    for _ in range(2):
        _, grids = fit(make_trainer, make_data(train_strides=[1, 2]))
        sizes.append([batch.target.shape[-1] for batch in grids.trained])
    assert sizes[0] == sizes[1]
    assert set(sizes[0]) == {8, 16}


def test_several_steps_at_once_have_one_grid(make_data, make_trainer):
    data = make_data(train_strides=[1, 2])
    _, grids = fit(make_trainer, data, max_epochs=4, strategy=MultiStepStrategy(steps_per_execution=2))
    assert {batch.target.shape[-1] for batch in grids.trained} == {8, 16}


def test_a_checkpoint_knows_the_grids_and_forecasts_on_them_without_a_warning(make_data, make_trainer, tmp_path):
    data = make_data(train_strides=[1, 2])
    module = make_module(data)
    trainer = make_trainer()
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "grids.ckpt")
    loaded = ForecastModule.load_from_checkpoint(tmp_path / "grids.ckpt")
    assert loaded.trained_grids == {(8,), (16,)}
    batch = next(iter(data.val_dataloader()))
    coarse = batch._replace(history=batch.history[..., ::2], constants=batch.constants[..., ::2])
    loaded.forecast(batch)
    loaded.forecast(coarse)
    quarter = coarse._replace(history=coarse.history[..., ::2], constants=coarse.constants[..., ::2])
    with pytest.warns(UserWarning, match="on a grid of 4 points, but the network was trained on 8 and 16"):
        loaded.forecast(quarter)


@pytest.mark.parametrize(
    ("strides", "message"), [([], "train_strides is empty"), ([0], "train_strides is 0, expected at least 1")]
)
def test_impossible_strides_are_refused(strides, message, make_data):
    with pytest.raises(ValueError, match=message):
        make_data(train_strides=strides)


def test_a_stride_that_leaves_a_single_point_is_refused(make_data, make_trainer):
    data = make_data(train_strides=[1, 16])
    with pytest.raises(ValueError, match=r"a stride of 16 leaves \[1\] points of the grid \[16\]"):
        make_trainer().fit(make_module(data), data)
