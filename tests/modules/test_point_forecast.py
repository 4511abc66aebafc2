"""Modules on irregular points: padding changes nothing, whatever a Trainer does with them, and what is refused."""

import lightning as L
import pytest
import torch

from fno_lightning import FNOModule
from fno_lightning.callbacks import OneStepErrors, PredictionWriter, RolloutEvaluation
from fno_lightning.data import Batch, FieldSpec, PointCloud, PointCloudDataModule, read_well_file
from fno_lightning.losses import H1, RelativeL2
from fno_lightning.modules import ForecastModule, GeometryFNOModule, MultigridPatching
from fno_lightning.multistep import MultiStepStrategy
from tests.points import SIZES, cloud, cloud_data, clouds, small_module

MOVING = {"n_frames": 5, "n_steps_input": 2, "time_step": 0.1, "fields": ("height", "depth")}


def fitted(data, **options):
    torch.manual_seed(0)
    module = small_module(data, **options)
    module.fit_normalization(data.statistics)
    return module


def trainer(folder, **options):
    defaults = {"max_epochs": 1, "accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    return L.Trainer(default_root_dir=folder, enable_model_summary=False, **defaults | options)


@pytest.mark.parametrize("options", [{}, {"loss": RelativeL2()}])
def test_a_padded_batch_has_loss_gradient_and_metrics_of_its_clouds(options):
    data = cloud_data()
    module, dataset = fitted(data, **options).double(), data.dataset("train")
    batch = dataset.__getitems__(range(len(SIZES)))
    batch = Batch(*(part.double() for part in batch[:4]), batch.member)
    apart = [
        Batch(*(p[row : row + 1, ..., :n] if p.ndim > 2 else p[row : row + 1] for p in batch))
        for row, n in enumerate(SIZES)
    ]
    loss, prediction = module.step(batch)
    parts = [module.step(sample) for sample in apart]
    mean = torch.stack([part for part, _ in parts]).mean()
    torch.testing.assert_close(loss, mean)
    for row, (_, alone) in enumerate(parts):
        torch.testing.assert_close(prediction[row, ..., : SIZES[row]], alone[0])
        assert not prediction[row, ..., SIZES[row] :].any()
    parameters = list(module.network.parameters())
    together, one_by_one = (torch.autograd.grad(value, parameters, retain_graph=True) for value in (loss, mean))
    torch.testing.assert_close(together, one_by_one, rtol=1e-5, atol=1e-9)


def test_the_order_of_the_points_does_not_matter():
    data = cloud_data()
    module, sample = fitted(data), data.dataset("train")[3]
    order = torch.randperm(SIZES[3], generator=torch.Generator().manual_seed(1))
    scalars = sample.scalars[None]
    orders = sample.constants, sample.constants[..., order]
    whole, shuffled = (module.forecast(None, constants[None], scalars) for constants in orders)
    torch.testing.assert_close(whole[..., order], shuffled)


def test_it_trains_reloads_and_predicts_the_same(tmp_path):
    data = cloud_data(**MOVING)
    module = small_module(data)
    run = trainer(tmp_path, callbacks=[OneStepErrors()], max_epochs=2)
    run.fit(module, data)
    assert {"val/vrmse", "val/vrmse/depth", "val/persistence/pearson"} <= set(run.callback_metrics)
    assert not [name for name in run.callback_metrics if "spectral" in name]
    run.save_checkpoint(tmp_path / "a.ckpt")
    torch.load(tmp_path / "a.ckpt", weights_only=True)
    again = ForecastModule.load_from_checkpoint(tmp_path / "a.ckpt")
    assert type(again) is GeometryFNOModule
    batch = next(iter(data.rollout_dataloader("test")))
    torch.testing.assert_close(again.forecast(batch), module.forecast(batch))


def test_training_lowers_the_error(tmp_path):
    data = cloud_data((40, 50, 60, 45))
    module = small_module(data, optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-2))
    before = trainer(tmp_path).validate(module, data, verbose=False)[0]["val/vrmse"]
    trainer(tmp_path, max_epochs=60, limit_val_batches=0).fit(module, data)
    after = trainer(tmp_path).validate(module, data, verbose=False)[0]["val/vrmse"]
    assert after < 0.5 * before


@pytest.mark.parametrize(
    "options",
    [{"bundle": 2}, {"residual": True, "input_noise": 0.1}, {"loss": RelativeL2(units="physical")}],
    ids=lambda options: next(iter(options)),
)
def test_options_of_forecasts_combine(tmp_path, options):
    data = cloud_data(**MOVING | {"n_steps_output": 2})
    run = trainer(tmp_path, accumulate_grad_batches=2)
    run.fit(small_module(data, **options), data)
    assert run.callback_metrics["val/vrmse"].isfinite()


@pytest.mark.parametrize(
    "options", [{"precision": "bf16-mixed"}, {"strategy": MultiStepStrategy(2)}], ids=["bf16", "twice"]
)
def test_options_of_trainers_combine(tmp_path, options):
    data = cloud_data(batch_size=2)
    run = trainer(tmp_path, **options)
    run.fit(small_module(data), data)
    assert run.global_step == 2
    assert run.callback_metrics["val/vrmse"].isfinite()


@pytest.mark.long
def test_a_test_reports_and_draws_rollouts_and_predict_writes_them(tmp_path):
    data = cloud_data(**MOVING)
    module = fitted(data)
    evaluation = RolloutEvaluation(windows=[(0, 2)], n_worst=0)
    run = trainer(tmp_path, callbacks=[evaluation, PredictionWriter(tmp_path / "predicted")])
    run.test(module, data, verbose=False)
    assert {"test/rollout/vrmse_0-2", "test/rollout/valid_time"} <= set(run.callback_metrics)
    (folder,) = tmp_path.glob("fno_runs/*")
    drawn = {path.name for path in (folder / "pictures/test/rollout").glob("*.png")}
    assert {"height_0.png", "depth_0.png"} <= drawn
    assert not [name for name in drawn if "spectra" in name]
    assert (folder / "trajectories.csv").read_text().count("\n") == 1 + len(SIZES)
    run.predict(module, data)
    files = sorted((tmp_path / "predicted").glob("*.hdf5"))
    assert [read_well_file(file).grid_shape for file in files] == [(n,) for n in SIZES]


def test_padding_to_the_longest_is_not_written(tmp_path):
    data = cloud_data(padding="longest")
    run = trainer(tmp_path, callbacks=[PredictionWriter(tmp_path / "predicted")])
    run.predict(fitted(data), data)
    files = sorted((tmp_path / "predicted").glob("*.hdf5"))
    assert [read_well_file(file).grid_shape for file in files] == [(n,) for n in SIZES]


def test_a_model_for_grids_refuses_points_and_one_for_points_grids():
    spec = cloud_data().spec
    with pytest.raises(
        ValueError, match=r"'point_clouds' \(tensors\) has irregular points, at \['x', 'y'\], but FNOModule"
    ):
        FNOModule(spec, n_modes=(4,))
    grid = FieldSpec("flow", ("u",), (8, 8), time_step=1.0)
    with pytest.raises(
        ValueError, match=r"GeometryFNOModule is for irregular points .* a grid \(8, 8\): use FNOModule"
    ):
        GeometryFNOModule(grid, n_modes=(4, 4), latent_grid=(6, 6), n_steps_input=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": H1()}, "H1 compares fields on grids, but 'point_clouds' has irregular points"),
        ({"loss": torch.nn.L1Loss()}, "L1Loss compares fields on grids"),
        ({"patching": MultigridPatching([1])}, "patching and normalization=source_norm are for fields on a grid"),
    ],
)
def test_what_needs_a_grid_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        small_module(cloud_data(), **options)


def test_modes_and_grids_need_an_entry_for_each_coordinate():
    spec = cloud_data().spec
    with pytest.raises(ValueError, match=r"latent_grid \[6\] has 1 entries, but the points .* \['x', 'y'\]"):
        GeometryFNOModule(spec, n_modes=(4, 4), latent_grid=(6,), n_steps_input=0)


def test_points_beyond_those_of_the_training_give_a_warning(tmp_path):
    data = cloud_data()
    far = [PointCloud(c.positions * torch.tensor([3.0, 1.0]), c.fields, c.constant_fields, c.scalars) for c in clouds()]
    expected = r"was made for points from x = 0.0\d+ to 0.9\d+, .* from 0.0\d+ to 2.9"
    with pytest.warns(UserWarning, match=expected):
        trainer(tmp_path).validate(fitted(data), PointCloudDataModule(far, far, far), verbose=False)


def test_points_in_space_are_forecast():
    generator = torch.Generator().manual_seed(0)
    samples = [
        PointCloud(torch.rand(n, 3, generator=generator), {"p": torch.rand(n, generator=generator)}) for n in (9, 14)
    ]
    data = PointCloudDataModule(samples, samples, samples, batch_size=2)
    module = GeometryFNOModule(
        data.spec, n_modes=(2, 2, 2), latent_grid=(4, 4, 4), hidden_channels=4, n_layers=1, n_steps_input=0
    )
    assert module.forecast(next(iter(data.val_dataloader()))).shape == (2, 1, 1, 14)


def test_a_cloud_with_fewer_points_than_neighbours_is_forecast():
    few = [cloud(3)]
    data = PointCloudDataModule(few, few, few)
    assert fitted(data).forecast(next(iter(data.val_dataloader()))).isfinite().all()
