"""Residuals of equations as a loss, alone and beside data."""

import pytest
import torch

from fno_lightning.data import Batch, FieldSpec, GeneratedDataModule, OnTheFlyDataModule, WellDataModule
from fno_lightning.losses import MSE, Comparison, EquationResidual, SoftAdapt, WeightedSum
from fno_lightning.modules import FNOModule
from fno_lightning.pdes import Burgers, DarcyFlow, Equation, Poisson, Residual
from fno_lightning.unrolling import Pushforward
from tests.travelling_wave import TravellingWave


class Transport(Equation):
    """u_t + speed u_x = 0, by the trapezoidal rule; of a user."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed

    def residual(self, solution):
        u = solution.fields["height"]
        rate = -self.speed * solution.derivatives.partial(u, 0)
        change = u[:, 1:] - u[:, :-1] - solution.time_step * (rate[:, 1:] + rate[:, :-1]) / 2
        return Residual(change[:, solution.n_known - 1 :, None], u[:, 0].std(dim=-1, keepdim=True))


def burgers(folder, **options):
    pde = Burgers((64,), [0.05, 0.1], n_frames=11, frame_interval=0.02)
    return GeneratedDataModule(pde, str(folder), n_train=2, n_steps_input=1, batch_size=4, **options)


def module_of(data, loss, **options):
    options = {"n_modes": (8,) * data.spec.n_dims, "hidden_channels": 8, "n_layers": 2} | options
    return FNOModule(data.spec, n_steps_input=data.n_steps_input, loss=loss, **options)


def comparison(batch, prediction):
    return Comparison(lambda _: (prediction, batch.target), batch.history, batch.constants, batch.scalars)


def test_the_truth_has_a_smaller_residual_than_standing_still(tmp_path):
    data = burgers(tmp_path, n_steps_output=8)
    data.prepare_data()
    data.setup("fit")
    loss = EquationResidual()
    loss.bind(data.spec)
    loss.take_equation(data.equation)
    batch = next(iter(data.val_dataloader()))
    still = comparison(batch, batch.history[:, -1:].expand_as(batch.target))
    assert loss.of_data(still) < 1e-4 * loss.compare(still)


def test_a_training_by_the_equation_alone_lowers_the_error_against_data(tmp_path, make_trainer):
    torch.manual_seed(0)
    data = burgers(tmp_path, n_steps_output=2)
    module = module_of(data, EquationResidual())
    trainer = make_trainer(max_epochs=20, gradient_clip_val=1.0, inference_mode=False)
    (before,) = trainer.validate(module, data, verbose=False)
    trainer.fit(module, data)
    (after,) = trainer.validate(module, data, verbose=False)
    assert after["val/loss"] < 0.2 * before["val/loss"]
    assert after["val/vrmse"] < 0.6 * before["val/vrmse"]


@pytest.mark.parametrize("make", [WeightedSum, SoftAdapt])
def test_data_and_equation_combine_with_pushforward_and_a_reload(tmp_path, make_trainer, make):
    data = burgers(tmp_path, n_steps_output=8)
    loss = make([MSE(), EquationResidual()], [1.0, 0.1])
    module = module_of(data, loss, bundle=4, unrolling=Pushforward([0.5, 0.5]))
    trainer = make_trainer()
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    same = make([MSE(), EquationResidual()], [1.0, 0.1])
    again = FNOModule.load_from_checkpoint(tmp_path / "last.ckpt", loss=same)
    (first,) = trainer.validate(module, data, verbose=False)
    (second,) = make_trainer().validate(again, data, verbose=False)
    assert first["val/loss"] == second["val/loss"]


def test_the_frames_before_a_pushed_prediction_are_those_of_the_forecast(tmp_path):
    """Not those of the batch, which end before the first frame that is compared."""
    data = burgers(tmp_path, n_steps_output=8)
    data.prepare_data()
    data.setup("fit")
    seen = []

    class Spy(EquationResidual):
        def compare(self, comparison):
            seen.append(comparison)
            return super().compare(comparison)

    module = module_of(data, Spy(data.equation), bundle=4)
    module.fit_normalization(data.statistics)
    module.configure_model()
    module._unrolled = lambda _: (8, 1)
    batch = next(iter(data.train_dataloader()))
    module.step(batch)
    whole = module(*batch[:3], 8)
    torch.testing.assert_close(seen[0].history, whole[:, 3:4].detach())
    torch.testing.assert_close(seen[0].in_units("physical")[0], whole[:, 4:])
    assert not seen[0].history.requires_grad


def test_steady_equations_on_the_fly_and_on_other_grids(make_trainer):
    data = OnTheFlyDataModule(Poisson(resolution=(32, 32)), samples_per_epoch=8, n_valid=1, n_test=1, n_statistics=2)
    module = module_of(data, EquationResidual())
    trainer = make_trainer()
    trainer.fit(module, data)
    assert trainer.callback_metrics["train/loss"].isfinite()
    loss = EquationResidual(DarcyFlow((16, 16)))
    loss.bind(FieldSpec("darcy", ("pressure",), (16, 16), constant_fields=("permeability",)))
    for grid in ((16, 16), (8, 12)):
        sample = DarcyFlow(grid).simulate(seeds=[0])
        batch = Batch(
            torch.empty(1, 0, 1, *grid),
            sample.constant_fields["permeability"][:, None],
            torch.empty(1, 0),
            sample.scalar_fields["pressure"][:, :, None],
        )
        assert loss.of_data(comparison(batch, batch.target)) < 1e-8


def test_a_users_equation_needs_its_residual_only(tmp_path, make_trainer):
    data = GeneratedDataModule(TravellingWave(grid=(16,)), str(tmp_path), n_train=2, n_steps_input=1, batch_size=4)
    data.prepare_data()
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    fields = dict.fromkeys(data.spec.fields)
    name = next(iter(fields))

    class Own(Transport):
        def residual(self, solution):
            return super().residual(solution._replace(fields={"height": solution.fields[name]}))

    loss = EquationResidual(Own(0.0))
    loss.bind(data.spec)
    still = batch.history[:, -1:].expand_as(batch.target)
    assert loss.compare(comparison(batch, still)) == 0
    assert loss.compare(comparison(batch, batch.target)) > 1e-3


def test_an_equation_that_the_data_do_not_fit_is_refused(tmp_path, make_trainer):
    data = burgers(tmp_path / "generated")
    trainer = make_trainer()
    with pytest.raises(ValueError, match=r"needs the fields \['pressure'\], but the data lack"):
        trainer.fit(module_of(data, EquationResidual(DarcyFlow())), data)
    with pytest.raises(ValueError, match="a module calls compare"):
        EquationResidual()(torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 1, 4))
    data.prepare_data()
    stored = WellDataModule(data.root.name, str(tmp_path / "generated"), n_steps_input=1, batch_size=4)
    with pytest.raises(ValueError, match="the data do not come from one: set its argument equation"):
        make_trainer().fit(module_of(stored, EquationResidual()), stored)
