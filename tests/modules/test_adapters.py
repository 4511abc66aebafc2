"""Low-rank adapters: what is trained, what a checkpoint holds, how a training is resumed."""

import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import nn

from fno_lightning.modules import FNOModule, ForecastModule, LowRankAdapters, NetworkModule

NEURALOP = {"class_path": "neuralop.models.FNO", "init_args": {"n_modes": [4], "hidden_channels": 6, "n_layers": 1}}

MODULES = {
    "ours": lambda **options: FNOModule(n_modes=(4,), hidden_channels=6, n_layers=2, **options),
    "neuralop's": lambda **options: NetworkModule(network=NEURALOP, **options),
}


@pytest.fixture(params=MODULES)
def make(request, data):
    return lambda **options: MODULES[request.param](spec=data.spec, n_steps_input=2, **options)


@pytest.fixture
def data(make_data):
    return make_data()


@pytest.fixture
def pretrained(make, data, make_trainer, tmp_path):
    trainer = make_trainer(limit_train_batches=2)
    trainer.fit(make(), data)
    trainer.save_checkpoint(tmp_path / "pretrained.ckpt")
    return str(tmp_path / "pretrained.ckpt")


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def is_over_channels(name, weight):
    """Whether a weight of ours or of neuralop is that of a linear layer, or of a convolution with one point."""
    is_spectral = ".convs." in name or name.endswith(".kernel")
    return name.endswith("weight") and not is_spectral and weight.ndim in (2, 3) and min(weight.shape[:2]) > 1


def test_only_low_rank_updates_of_channel_layers_are_trained_and_saved_as_sums(
    make, pretrained, data, make_trainer, tmp_path
):
    module = make(initial_weights=pretrained, adapters=LowRankAdapters(rank=2))
    trainer = make_trainer(max_epochs=2)
    trainer.fit(module, data)
    trained = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    assert trained
    assert all(name.endswith((".down", ".up")) for name in trained)
    trainer.save_checkpoint(tmp_path / "tuned.ckpt")
    before, after = weights(pretrained), weights(tmp_path / "tuned.ckpt")
    assert before.keys() == after.keys()
    for name, weight in before.items():
        change = after[name] - weight
        if is_over_channels(name, weight):
            assert 1 <= torch.linalg.matrix_rank(change.flatten(1), rtol=1e-3) <= 2, name
        else:
            assert not change.any(), name
    loaded = ForecastModule.load_from_checkpoint(tmp_path / "tuned.ckpt")
    batch = next(iter(data.val_dataloader()))
    torch.testing.assert_close(loaded.forecast(batch), module.forecast(batch), rtol=1e-4, atol=1e-4)
    make_trainer().test(module, datamodule=data, ckpt_path=tmp_path / "tuned.ckpt", verbose=False)


def test_the_start_is_the_pretrained_network(make, pretrained, data, make_trainer):
    module = make(initial_weights=pretrained, adapters=LowRankAdapters())
    make_trainer(max_steps=0, limit_val_batches=0).fit(module, data)
    batch = next(iter(data.val_dataloader()))
    assert torch.equal(module.forecast(batch), ForecastModule.load_from_checkpoint(pretrained).forecast(batch))


def test_a_training_goes_on_as_if_it_had_not_stopped(make, pretrained, data, make_trainer, tmp_path):
    data._loader_seed = 0
    data.train_dataloader = data.val_dataloader  # in order

    def fit(epochs, **options):
        torch.manual_seed(0)
        module = make(initial_weights=pretrained, adapters=LowRankAdapters(rank=2))
        trainer = make_trainer(max_epochs=epochs, limit_val_batches=0)
        trainer.fit(module, data, **options)
        return module, trainer

    _, trainer = fit(1)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = fit(2, ckpt_path=tmp_path / "half.ckpt")
    whole, _ = fit(2)
    for name, weight in whole.state_dict().items():
        if name.startswith("network."):
            torch.testing.assert_close(resumed.state_dict()[name], weight)


def test_parts_are_chosen(pretrained, data, make, make_trainer):
    module = make(initial_weights=pretrained, adapters=LowRankAdapters(parts=["projection"]))
    make_trainer(max_steps=1).fit(module, data)
    trained = [name for name, parameter in module.network.named_parameters() if parameter.requires_grad]
    assert len(trained) == 4
    assert all(name.startswith("projection.") for name in trained)


@pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback")
def test_what_does_not_go_is_refused(data, make_trainer, tmp_path):
    def fails(message, *callbacks, **options):
        module = FNOModule(data.spec, (4,), 6, 1, n_steps_input=2, **options)
        with pytest.raises(ValueError, match=message):
            make_trainer(*callbacks, max_steps=1).fit(module, data)

    adapters = LowRankAdapters()
    fails("adapters adapt weights that are trained already: give initial_weights", adapters=adapters)
    parts = LowRankAdapters(parts=["liftign"])
    fails(r"no part 'liftign' with layers over the channels, it has \['embedding', 'lifting'", adapters=parts)
    averaging = EMAWeightAveraging(decay=0.5)
    fails("do not go with averaged weights", averaging, adapters=adapters, initial_weights="any.ckpt")
    with pytest.raises(ValueError, match="leave freeze out"):
        FNOModule(data.spec, (4,), 6, 1, n_steps_input=2, adapters=adapters, freeze=["lifting"])
    with pytest.raises(ValueError, match="adapters need a positive rank and scale, got rank=0"):
        LowRankAdapters(rank=0)
    with pytest.raises(ValueError, match="the network has no layer over the channels"):
        LowRankAdapters().add_to(nn.Conv1d(2, 2, 3))
