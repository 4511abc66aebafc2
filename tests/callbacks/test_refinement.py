"""Refinement of single forecasts by their equation."""

import pytest
import torch

from fno_lightning.callbacks import PhysicsRefinement
from fno_lightning.data import GeneratedDataModule, WellDataModule
from fno_lightning.metrics.pointwise import vrmse
from fno_lightning.modules import FNOModule
from fno_lightning.pdes import Burgers


@pytest.fixture
def data(tmp_path):
    pde = Burgers((32,), 0.1, n_frames=5, frame_interval=0.05)
    data = GeneratedDataModule(pde, str(tmp_path), n_train=2, n_test=1, n_steps_input=1, n_steps_output=4, batch_size=4)
    data.prepare_data()
    return data


@pytest.fixture
def module(data):
    torch.manual_seed(0)
    data.setup("fit")
    module = FNOModule(data.spec, (8,), 8, n_layers=2, n_steps_input=1, bundle=4, residual=True)
    module.fit_normalization(data.statistics)
    module.configure_model()
    return module


def errors(predictions, data):
    return torch.stack(
        [
            vrmse(prediction, batch.target, 1).mean()
            for prediction, batch in zip(predictions, data.predict_dataloader(), strict=True)
        ]
    )


def test_forecasts_come_closer_to_the_truth_and_the_weights_come_back(data, module, make_trainer):
    before = {name: values.clone() for name, values in module.state_dict().items()}
    plain = make_trainer().predict(module, data)
    refinement = PhysicsRefinement(n_iterations=150, lr=5e-3)
    refined = make_trainer(refinement).predict(module, data)

    assert all(after < 0.5 * first for first, after in refinement.history)
    assert (errors(refined, data) < 0.8 * errors(plain, data)).all()
    assert all(torch.equal(values, before[name]) for name, values in module.state_dict().items())
    again = make_trainer().predict(module, data)
    assert all(torch.equal(own, other) for own, other in zip(plain, again, strict=True))


def test_the_smallest_residual_makes_the_forecast(data, module, make_trainer):
    plain = make_trainer().predict(module, data)
    refinement = PhysicsRefinement(n_iterations=3, lr=1e3)  # every step makes it worse
    refined = make_trainer(refinement).predict(module, data)
    assert all(torch.equal(own, other) for own, other in zip(plain, refined, strict=True))
    assert all(first == after for first, after in refinement.history)


def test_an_anchor_holds_the_forecast(data, module, make_trainer):
    plain = make_trainer().predict(module, data)

    def distance(**options):
        refined = make_trainer(PhysicsRefinement(n_iterations=10, **options)).predict(module, data)
        return sum((own - other).square().mean() for own, other in zip(plain, refined, strict=True))

    assert 0 < distance(anchor=100.0) < 0.5 * distance()
    assert distance(max_frames=1) > 0


def test_a_test_is_refined_too_and_a_failure_gives_the_weights_back(data, module, make_trainer):
    (plain,) = make_trainer().test(module, data, verbose=False)
    (refined,) = make_trainer(PhysicsRefinement(n_iterations=40, lr=3e-3)).test(module, data, verbose=False)
    assert refined["test/vrmse"] < plain["test/vrmse"]
    before = {name: values.clone() for name, values in module.state_dict().items()}
    module.predict_step = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        make_trainer(PhysicsRefinement(n_iterations=2)).predict(module, data)
    assert all(torch.equal(values, before[name]) for name, values in module.state_dict().items())


def test_what_cannot_be_refined_is_refused(data, module, make_trainer):
    for options in ({"n_iterations": 0}, {"lr": 0.0}, {"anchor": -1.0}, {"max_frames": 0}):
        with pytest.raises(ValueError, match="PhysicsRefinement needs positive numbers"):
            PhysicsRefinement(**options)
    stored = WellDataModule(data.root.name, str(data.base_path), n_steps_input=1, n_steps_output=4, batch_size=4)
    with pytest.raises(ValueError, match="set its argument equation"):
        make_trainer(PhysicsRefinement()).predict(module, stored)
