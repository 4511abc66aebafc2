"""Ensembles: one batched network that trains as its members do alone, and combines with everything else."""

import lightning as L
import pytest
import torch
from torch import nn

from fno_lightning.callbacks import IncrementalModesByLoss
from fno_lightning.data import Batch
from fno_lightning.losses import VRMSE
from fno_lightning.modules import EnsembleNetwork, FNOModule, ForecastModule, MuonAdamW, NetworkModule
from fno_lightning.multistep import MultiStepStrategy
from fno_lightning.unrolling import Pushforward

SMALL = {"n_modes": [4], "hidden_channels": 4, "n_layers": 2}


def fno(data, **options):
    return FNOModule(data.spec, n_steps_input=2, **{**SMALL, **options})


def prepared(data):
    data.prepare_data()
    data.setup("fit")
    return data


def first_batch(data):
    return next(iter(prepared(data).val_dataloader()))


def single(data, ensemble, number, **options):
    """Return a module of one network with the weights of a member."""
    module = fno(data, **options)
    module.network.load_state_dict(ensemble.network.member_state(number))
    module.normalizer.load_state_dict(ensemble.normalizer.state_dict())
    return module


@pytest.mark.parametrize("options", [{}, {"residual": True, "reversible_norm": True, "bundle": 2}])
def test_members_train_as_alone(make_data, options):
    data = prepared(make_data(n_steps_output=4))
    ensemble = fno(data, ensemble_size=3, **options)
    ensemble.fit_normalization(data.statistics)
    alone = [single(data, ensemble, i, **options) for i in range(3)]
    batches = [batch for batch, _ in zip(data.train_dataloader(), range(4), strict=False)]
    for module in (ensemble, *alone):
        module.train()
        optimizer = torch.optim.SGD(module.network.parameters(), lr=0.1)  # whose steps scale with the gradient
        for batch in batches:
            optimizer.zero_grad()
            module.step(batch)[0].backward()
            optimizer.step()
    for i, module in enumerate(alone):
        torch.testing.assert_close(ensemble.network.member_state(i), dict(module.network.state_dict()))
    losses = [module.step(batches[0])[0] for module in alone]
    torch.testing.assert_close(ensemble.step(batches[0])[0], torch.stack(losses).mean())


def test_a_forecast_is_the_mean_of_the_members_own_rollouts(make_data):
    data = make_data()
    batch = first_batch(data)
    ensemble = fno(data, ensemble_size=3)
    found = ensemble.forecast_distribution(batch, n_steps=5)
    alone = torch.stack([single(data, ensemble, i).forecast(batch, n_steps=5) for i in range(3)])
    torch.testing.assert_close(found.ensemble, alone)
    torch.testing.assert_close(found.mean, alone.mean(dim=0))
    torch.testing.assert_close(ensemble.forecast(batch, n_steps=5), alone.mean(dim=0))
    torch.testing.assert_close(found.spread, alone.std(dim=0))
    assert found.spread.min() > 0
    assert found.half_width is None


@pytest.mark.parametrize("checkpointing", ["none", "auto", "full", "offload"])
def test_activation_checkpointing_leaves_the_gradient_as_it_is(make_data, checkpointing):
    data = make_data(n_steps_output=2)
    batch = first_batch(data)
    reference, module = (fno(data, ensemble_size=2, activation_checkpointing=mode) for mode in ("none", checkpointing))
    module.network.load_state_dict(reference.network.state_dict())
    for one in (reference, module):
        one.train().step(batch)[0].backward()
    for a, b in zip(reference.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_everything_combines_and_reloads_without_arguments(make_data, make_trainer, tmp_path):
    data = make_data(n_steps_output=8, n_train=4)
    module = fno(
        data,
        ensemble_size=2,
        bundle=2,
        residual=True,
        reversible_norm=True,
        unrolling=Pushforward(),
        loss=VRMSE(),
        input_noise=0.01,
        channel_mlp_dropout=0.1,
    )
    trainer = make_trainer(strategy=MultiStepStrategy(steps_per_execution=2), precision="bf16-mixed")
    trainer.fit(module, data)
    trainer.save_checkpoint(path := tmp_path / "ensemble.ckpt")
    batch = next(iter(data.val_dataloader()))
    reloaded = ForecastModule.load_from_checkpoint(path, weights_only=True)
    torch.testing.assert_close(reloaded.forecast(batch), module.forecast(batch))
    assert reloaded.forecast_distribution(batch).ensemble.shape == (2, *batch.target.shape)
    assert 0 < trainer.validate(reloaded, data, verbose=False)[0]["val/vrmse"] < float("inf")
    make_trainer(max_epochs=2).fit(fno(data, ensemble_size=2, bundle=2), data)


def test_the_error_of_a_validation_is_that_of_the_mean(make_data, make_trainer):
    data = make_data(eval_batch_size=100)
    module = fno(data, ensemble_size=3)
    found = make_trainer().validate(module, data, verbose=False)[0]["val/vrmse"]
    batch = next(iter(data.val_dataloader()))
    members = module.forecast_distribution(batch).ensemble
    error, variance = (members.mean(dim=0) - batch.target).square().mean(-1), batch.target.var(-1)
    assert found == pytest.approx(float((error / variance).sqrt().mean()), rel=1e-3)


@pytest.mark.usefixtures("compiler")
def test_a_compiled_ensemble_forecasts_the_same(make_data):
    data = make_data()
    batch = first_batch(data)
    module = fno(data, ensemble_size=2)
    expected = module.forecast(batch)
    module.network.compile(backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(module.forecast(batch), expected, rtol=1e-4, atol=1e-5)


class WritesIntoParts(nn.Module):
    """A network whose operations cannot be batched over weights, as those of neuralop."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.mix = nn.Conv1d(in_channels, out_channels, 1)

    def forward(self, x):
        result = torch.zeros(len(x), self.mix.out_channels, x.shape[-1])
        result[:, :, 2:] = self.mix(x)[:, :, 2:]
        return result


@pytest.mark.parametrize("batched", [False, True])
def test_networks_that_cannot_be_batched_are_evaluated_one_by_one(batched, caplog):
    networks = [nn.Conv1d(3, 2, 1) if batched else WritesIntoParts(3, 2) for _ in range(3)]
    x = torch.randn(3 * 4, 3, 8)
    expected = torch.cat([network(part) for network, part in zip(networks, x.split(4), strict=True)])
    ensemble = EnsembleNetwork(networks)
    for _ in range(2):
        torch.testing.assert_close(ensemble(x), expected)
    assert ensemble.is_batched is batched


def test_networks_of_other_libraries_make_ensembles(make_data, make_trainer):
    data = make_data()
    network = {"class_path": "neuralop.models.FNO", "init_args": {"n_modes": [4], "hidden_channels": 4}}
    module = NetworkModule(network, spec=data.spec, n_steps_input=2, ensemble_size=2)
    make_trainer(limit_train_batches=2).fit(module, data)
    first, second = (module.network.member_state(i)["lifting.fcs.0.weight"] for i in range(2))
    assert not torch.equal(first, second)


def test_frozen_parts_are_named_as_those_of_one_network(make_data, make_trainer):
    data = make_data()
    module = fno(data, ensemble_size=2, freeze=["lifting"])
    before = module.network.members.lifting.layers[0].weight.detach().clone()
    make_trainer(limit_train_batches=2).fit(module, data)
    torch.testing.assert_close(module.network.members.lifting.layers[0].weight, before, rtol=0, atol=0)


@pytest.mark.parametrize("size", [1, 0])
def test_an_ensemble_of_one_is_refused(make_data, size):
    with pytest.raises(ValueError, match=f"ensemble_size is {size}, but an ensemble has two members at least"):
        fno(make_data(), ensemble_size=size)
    with pytest.raises(ValueError, match=f"mc_dropout is {size}, but"):
        fno(make_data(), mc_dropout=size)


def test_what_does_not_go_with_an_ensemble_is_refused(make_data, make_trainer):
    data = make_data()
    with pytest.raises(ValueError, match="ensemble_size and patching do not go together"):
        fno(data, ensemble_size=2, patching={"n_patches": [2]})
    with pytest.raises(ValueError, match="MuonAdamW tells matrices by their two axes"):
        make_trainer().fit(fno(data, ensemble_size=2, optimizer=MuonAdamW), data)
    with pytest.raises(ValueError, match="IncrementalModesByLoss counts the modes of a layer"):
        make_trainer(IncrementalModesByLoss(start=2)).fit(fno(data, ensemble_size=2), data)
    with pytest.raises(ValueError, match="keeps running statistics"):
        EnsembleNetwork([nn.BatchNorm1d(2), nn.BatchNorm1d(2)])
    with pytest.raises(ValueError, match="different shapes"):
        EnsembleNetwork([nn.Linear(2, 2), nn.Linear(2, 3)])


def test_buffers_of_each_member_are_kept():
    class Scaled(nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))
            self.register_buffer("factor", torch.tensor(float(factor)))
            self.register_buffer("same", torch.tensor(2.0))

        def forward(self, x):
            return x * self.weight * self.factor * self.same

    ensemble = EnsembleNetwork([Scaled(1), Scaled(3)])
    assert ensemble(torch.ones(2, 1, 1)).flatten().tolist() == [2, 6]
    assert ensemble.member_state(1)["factor"] == 3


def test_dropout_makes_members_that_stay_the_same_along_a_rollout(make_data):
    data = make_data()
    batch = first_batch(data)
    module = fno(data, mc_dropout=6, channel_mlp_dropout=0.3)
    found = module.forecast_distribution(batch, n_steps=4)
    assert found.ensemble.shape[:3] == (6, len(batch.target), 4)
    assert found.spread.min() > 0
    torch.testing.assert_close(module.forecast_distribution(batch, n_steps=4).ensemble, found.ensemble)
    by_hand = found.ensemble[:, :, 1:2]  # the first step from where each member was after its first
    start = torch.cat((batch.history[:, -1:].expand(6, *batch.history[:, -1:].shape), found.ensemble[:, :, :1]), dim=2)
    again = module._advance(
        start.flatten(0, 1), *(part.repeat(6, *[1] * (part.ndim - 1)) for part in batch[1:3]), None, 1, draws=True
    )
    torch.testing.assert_close(module.normalizer.decode(again).unflatten(0, (6, -1)), by_hand, rtol=1e-4, atol=1e-5)
    assert not any(part.training for part in module.eval().modules())
    plain = fno(data, channel_mlp_dropout=0.3)
    plain.network.load_state_dict(module.network.state_dict())
    assert not torch.allclose(plain.forecast(batch), found.mean[:, :1])


def test_dropout_is_drawn_for_each_member_of_an_ensemble_too(make_data):
    data = make_data()
    module = fno(data, ensemble_size=2, mc_dropout=3, channel_mlp_dropout=0.3)
    ensemble = module.forecast_distribution(first_batch(data)).ensemble
    assert ensemble.shape[0] == 6
    assert ensemble.flatten(1).unique(dim=0).shape[0] == 6


def test_mc_dropout_without_dropout_is_refused(make_data):
    data = make_data()
    with pytest.raises(ValueError, match="mc_dropout draws forecasts by dropout, but the network has none"):
        fno(data, mc_dropout=4).forecast(first_batch(data))


def test_the_seed_of_a_run_is_not_touched(make_data):
    data = make_data()
    module, batch = fno(data, mc_dropout=2, channel_mlp_dropout=0.3), first_batch(data)
    module.configure_model()
    L.seed_everything(1)
    expected = torch.rand(3)
    L.seed_everything(1)
    module.forecast(Batch(*batch))
    torch.testing.assert_close(torch.rand(3), expected)
