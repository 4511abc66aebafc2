"""Residuals of equations as a loss, alone and beside data."""

import pytest
import torch

from fno_lightning.data import Batch, FieldSpec, GeneratedDataModule, OnTheFlyDataModule, WellDataModule
from fno_lightning.losses import (
    MSE,
    VRMSE,
    Comparison,
    EquationResidual,
    InverseGradientNorm,
    ReLoBRaLo,
    SoftAdapt,
    WeightedSum,
)
from fno_lightning.modules import FNOModule
from fno_lightning.pdes import Burgers, DarcyFlow, Equation, KuramotoSivashinsky, Poisson, Residual
from fno_lightning.pdes.equation import named
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


class Exchange(Equation):
    """a' = -b', of fields that no data set here has."""

    def residual(self, solution):
        a, b = named(solution.fields, ("a", "b"), "fields")
        return Residual((a + b).diff(dim=1)[:, :, None], torch.ones(len(a), 1))


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


@pytest.mark.long
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
    with pytest.raises(ValueError, match=r"needs the fields \['a', 'b'\], but the data lack \['a', 'b'\]"):
        trainer.fit(module_of(data, EquationResidual(Exchange())), data)
    with pytest.raises(
        ValueError, match=r"DarcyFlow is an equation on axes of the lengths 1, 1, but the data have axes "
    ):
        make_trainer().fit(module_of(data, EquationResidual(DarcyFlow())), data)
    with pytest.raises(ValueError, match="a module calls compare"):
        EquationResidual()(torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 1, 4))
    data.prepare_data()
    stored = WellDataModule(data.root.name, str(tmp_path / "generated"), n_steps_input=1, batch_size=4)
    with pytest.raises(ValueError, match="the data do not come from one: set its argument equation"):
        make_trainer().fit(module_of(stored, EquationResidual()), stored)


def residual_of(equation, frames, constants=None, scalars=None, extent=(), boundaries=(), time_step=0.1):
    """Loss of the frames of one field (a dictionary with one entry), after the first one if there is time."""
    ((name, frames),) = frames.items()
    constants, scalars = constants or {}, scalars or {}
    n_known = 0 if time_step is None else 1
    grid = tuple(frames.shape[2:])
    loss = EquationResidual(equation)
    loss.bind(
        FieldSpec(
            "data",
            (name,),
            grid,
            constant_fields=tuple(constants),
            scalars=tuple(scalars),
            extent=extent,
            boundaries=boundaries,
            time_step=time_step,
        )
    )
    loss.take_equation(None)
    known = {
        "constants": torch.stack([*constants.values()], 1) if constants else torch.empty(len(frames), 0, *grid),
        "scalars": torch.stack([*scalars.values()], 1) if scalars else torch.empty(len(frames), 0),
    }
    both = (frames[:, n_known:, None],) * 2
    return loss.compare(Comparison(lambda _: both, frames[:, :n_known, None], **known))


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_even_fields_that_stay_leave_no_residual_and_others_are_measured_by_their_size(value):
    burgers, viscosity = Burgers((16,), 0.5, n_frames=3), {"viscosity": torch.tensor([0.5])}
    frames = torch.full((1, 3, 16), value)
    assert residual_of(burgers, {"velocity": frames}, scalars=viscosity) < 1e-12
    frames = torch.cat((frames[:, :1], frames[:, 1:] + torch.randn(1, 2, 16)), dim=1).requires_grad_()
    loss = residual_of(burgers, {"velocity": frames}, scalars=viscosity)
    loss.backward()
    assert 0 < loss < 100
    assert frames.grad.isfinite().all()


def test_coefficients_and_sources_of_zero_have_a_finite_residual():
    """What flows out of an impermeable medium is nothing, so that the source is left; a source of 0 has the scale 1."""
    grid = (16, 16)
    zero, pressure = {"permeability": torch.zeros(1, *grid)}, torch.randn(1, 1, *grid)
    assert residual_of(DarcyFlow(grid), {"pressure": pressure}, zero, time_step=None) == 1
    poisson = Poisson(grid, n_gaussians=4, sigma=1 / 8)
    scalars = dict.fromkeys(poisson.scalar_names, torch.ones(1))
    empty = {"solution": torch.zeros(1, 1, *grid)}
    assert residual_of(poisson, empty, {"source": torch.zeros(1, *grid)}, scalars, time_step=None) == 0


@pytest.mark.parametrize(
    ("equation", "domain", "message"),
    [
        (
            Burgers((16,), 0.5),
            {"extent": ((0.0, 6.2832),), "boundaries": (("periodic", "periodic"),)},
            r"on axes of the lengths 1 \(periodic\), but the data have axes of the lengths 6.2832 \(periodic\): its",
        ),
        (
            Burgers((16,), 0.5),
            {"extent": ((0.0, 1.0),), "boundaries": (("wall", "wall"),)},
            r"1 \(periodic\), but the data have axes of the lengths 1: its residual would be wrong",
        ),
        (KuramotoSivashinsky((16,), length=8.0), {"extent": ((0.0, 1.0),)}, "the lengths 8 "),
    ],
)
def test_data_on_other_axes_than_those_of_the_equation_are_refused(equation, domain, message):
    with pytest.raises(ValueError, match=message):
        residual_of(equation, {"velocity": torch.zeros(1, 3, 16)}, **domain)


@pytest.mark.parametrize("factor", [1.0, 60.0])
def test_data_in_other_units_than_those_of_the_equation_give_a_warning(tmp_path, factor):
    data = burgers(tmp_path, n_steps_output=8)
    data.prepare_data()
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    loss = EquationResidual(data.equation).eval()
    loss.bind(data.spec)
    target = factor * batch.target
    own = Comparison(lambda _: (target, target), factor * batch.history, batch.constants, batch.scalars)
    if factor != 1:
        with pytest.warns(UserWarning, match="more than half of the change between frames, .*: check that fields"):
            loss.compare(own)
    loss.compare(own)  # warns once, and not of good data


def test_a_source_in_other_units_gives_a_warning():
    poisson, grid = Poisson((16, 16), n_gaussians=4, sigma=1 / 8), (16, 16)
    sample = poisson.simulate(seeds=[0])
    loss = EquationResidual(poisson).eval()
    loss.bind(FieldSpec("poisson", ("solution",), grid, constant_fields=("source",), scalars=poisson.scalar_names))
    target = sample.scalar_fields["solution"][:, :, None]
    scalars = torch.stack([sample.scalars[name] for name in poisson.scalar_names], dim=1)
    known = target[:, :0], 1e3 * sample.constant_fields["source"][:, None], scalars
    with pytest.warns(UserWarning, match="a residual of 0.999, more than half of that of a field of zeros, 1:"):
        loss.compare(Comparison(lambda _: (target, target), *known))


def test_the_mean_that_an_equation_leaves_open_is_that_of_the_solver():
    poisson = Poisson((16, 16), n_gaussians=4, sigma=1 / 8)
    sample = poisson.simulate(seeds=[0])
    solution = sample.scalar_fields["solution"]
    scalars = {name: sample.scalars[name] for name in poisson.scalar_names}
    own, shifted = (
        residual_of(poisson, {"solution": frames}, sample.constant_fields, scalars, time_step=None)
        for frames in (solution, solution + 1)
    )
    assert own < 1e-9
    assert shifted > 1e-3


@pytest.mark.parametrize("make", [WeightedSum, SoftAdapt, ReLoBRaLo, InverseGradientNorm])
def test_data_and_equation_train_on_batches_of_one_sample(tmp_path, make_trainer, make):
    data = burgers(tmp_path, n_steps_output=2)
    data.batch_size = 1
    loss = make({"data": VRMSE(), "equation": EquationResidual()})
    trainer = make_trainer()
    trainer.fit(module_of(data, loss), data)
    assert all(value.isfinite() for value in trainer.callback_metrics.values())
