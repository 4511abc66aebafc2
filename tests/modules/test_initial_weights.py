"""Transfer: start from the weights of another training, all or some of them trained on."""

import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from neuralop.models import FNO
from torch import nn

from fno_lightning import from_neuralop
from fno_lightning.modules import FNOModule, ForecastModule


def make_module(data, **options):
    options = {"n_modes": (8,), "hidden_channels": 6, "n_layers": 2} | options
    return FNOModule(data.spec, n_steps_input=data.n_steps_input, **options)


@pytest.fixture
def pretrained(make_data, make_trainer, tmp_path):
    """A checkpoint, and the data it was trained on."""
    data = make_data()
    module = make_module(data)
    trainer = make_trainer()
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "pretrained.ckpt")
    return tmp_path / "pretrained.ckpt", data


def state(module, part):
    return {name: value.clone() for name, value in module.state_dict().items() if name.startswith(part)}


def start(make_trainer, module, data):
    """The state at the first training step."""
    make_trainer(max_steps=0, limit_val_batches=0).fit(module, data)
    return module


def test_weights_and_normalisation_are_taken_over(pretrained, make_trainer, make_data):
    path, _ = pretrained
    other = make_data(n_train=3, seed=1)
    before = ForecastModule.load_from_checkpoint(path)
    module = start(make_trainer, make_module(other, initial_weights=str(path)), other)
    for part in ("network.", "normalizer."):
        for name, value in state(before, part).items():
            assert torch.equal(module.state_dict()[name], value), name
    refitted = start(make_trainer, make_module(other, initial_weights=str(path), refit_normalization=True), other)
    assert torch.equal(refitted.normalizer.fields.mean, other.statistics.mean)
    assert not torch.equal(refitted.normalizer.fields.mean, module.normalizer.fields.mean)
    assert torch.equal(refitted.network.lifting.layers[0].weight, before.network.lifting.layers[0].weight)


def test_fine_tuning_trains_all_weights_and_the_result_stands_alone(pretrained, make_trainer, tmp_path):
    path, data = pretrained
    module = make_module(data, initial_weights=str(path), compile=False)
    trainer = make_trainer(max_epochs=2)
    trainer.fit(module, data)
    for name, value in state(ForecastModule.load_from_checkpoint(path), "network.").items():
        assert not torch.equal(module.state_dict()[name], value), name
    trainer.save_checkpoint(tmp_path / "tuned.ckpt")
    path.unlink()
    tuned = ForecastModule.load_from_checkpoint(tmp_path / "tuned.ckpt")
    assert tuned.initial_weights is None
    make_trainer(max_epochs=3).fit(
        make_module(data, initial_weights=str(path)), data, ckpt_path=tmp_path / "tuned.ckpt"
    )  # a resumed training does not look for the weights it once started from


def test_frozen_parts_stay(pretrained, make_trainer):
    path, data = pretrained
    module = make_module(data, initial_weights=str(path), freeze=["lifting", "blocks.0"])
    before = state(ForecastModule.load_from_checkpoint(path), "network.")
    make_trainer().fit(module, data)
    frozen = {name for name, value in state(module, "network.").items() if torch.equal(value, before[name])}
    assert frozen == {name for name in before if name.startswith(("network.lifting.", "network.blocks.0."))}
    assert len(frozen) >= 4


def test_weights_of_neuralop_are_a_start(make_data, make_trainer, tmp_path):
    data = make_data()
    theirs = FNO(n_modes=(8,), in_channels=5, out_channels=2, hidden_channels=6, n_layers=2)
    torch.save(theirs.state_dict(), tmp_path / "neuralop.pt")
    module = make_module(data, initial_weights=str(tmp_path / "neuralop.pt"))
    with pytest.raises(
        ValueError, match=r"neuralop.pt holds more than tensors .* convert --weights .*neuralop.pt reads them"
    ):
        start(make_trainer, module, data)
    converted = from_neuralop(torch.load(tmp_path / "neuralop.pt", weights_only=False))
    torch.save(converted.state_dict(), tmp_path / "converted.pt")
    module = start(make_trainer, make_module(data, initial_weights=str(tmp_path / "converted.pt")), data)
    x = torch.randn(2, 5, 16)
    torch.testing.assert_close(module.network(x), theirs(x), atol=1e-5, rtol=1e-4)
    assert torch.equal(module.normalizer.fields.mean, data.statistics.mean)


def test_weights_that_do_not_fit_are_named(pretrained, make_trainer, make_data, tmp_path):
    path, data = pretrained

    def fails(message, module):
        with pytest.raises(ValueError, match=message):
            start(make_trainer, module, data)

    fails(
        r"differ: .*\(6,.* instead of \(7,.*Give the module the options",
        make_module(data, hidden_channels=7, initial_weights=str(path)),
    )
    fails("initial_weights: there is no file nowhere.ckpt", make_module(data, initial_weights="nowhere.ckpt"))
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    fails(
        "text.ckpt is not a checkpoint, or only a part of one",
        make_module(data, initial_weights=str(tmp_path / "text.ckpt")),
    )
    torch.save({"epoch": 3}, tmp_path / "empty.ckpt")
    fails("empty.ckpt is neither a checkpoint nor", make_module(data, initial_weights=str(tmp_path / "empty.ckpt")))
    longer = make_data(n_steps_input=3)
    with pytest.raises(ValueError, match="the checkpoint takes n_steps_input=2 past frames, but"):
        start(make_trainer, make_module(longer, initial_weights=str(path)), longer)


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        (["liftign"], r"the network has no part 'liftign' with weights, it has \['embedding', 'lifting', 'blocks'"),
        (["lifting", "blocks", "projection"], "leaves no weights to train"),
    ],
)
def test_parts_that_cannot_be_frozen_are_named(make_data, make_trainer, freeze, message):
    data = make_data()
    with pytest.raises(ValueError, match=message):
        start(make_trainer, make_module(data, freeze=freeze), data)


def test_zero_shot_on_shifted_data_is_an_ordinary_test(pretrained, make_trainer, make_data):
    path, data = pretrained
    shifted = make_data(seed=5)
    module = ForecastModule.load_from_checkpoint(path)
    (result,) = make_trainer().test(module, datamodule=shifted, verbose=False)
    assert result["test/vrmse"] > 0
    assert torch.equal(module.normalizer.fields.mean, data.statistics.mean)
    assert isinstance(module.network, nn.Module)


def test_options_that_no_shape_tells_must_be_the_same(pretrained, make_trainer):
    path, data = pretrained
    module = make_module(data, initial_weights=str(path), residual=True)
    with pytest.raises(ValueError, match="trained with residual=False, but the module has residual=True: give it the"):
        start(make_trainer, module, data)


def test_weights_are_taken_over_once(pretrained, make_trainer):
    path, data = pretrained
    module = start(make_trainer, make_module(data, initial_weights=str(path)), data)
    make_trainer().fit(module, data)
    trained = state(module, "network.")
    make_trainer(max_steps=0, limit_val_batches=0).fit(module, data)
    for name, value in trained.items():
        assert torch.equal(module.state_dict()[name], value), name


def test_a_test_with_a_checkpoint_does_not_count_as_a_start(pretrained, make_trainer):
    path, data = pretrained
    module = make_module(data, initial_weights=str(path))
    make_trainer().test(module, datamodule=data, ckpt_path=path, verbose=False)
    torch.nn.init.zeros_(module.network.lifting.layers[0].weight)
    start(make_trainer, module, data)
    assert module.network.lifting.layers[0].weight.abs().sum() > 0


@pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback with a model that overrides")
def test_averaged_weights_are_taken_of_a_checkpoint_that_has_them(make_data, make_trainer, tmp_path, caplog):
    data = make_data()
    checkpoint = ModelCheckpoint(dirpath=tmp_path / "run", filename="averaged", monitor="val/loss", every_n_epochs=2)
    make_trainer(EMAWeightAveraging(decay=0.5), checkpoint, enable_checkpointing=True, max_epochs=3).fit(
        make_module(data), data
    )
    saved = torch.load(tmp_path / "run" / "averaged.ckpt", weights_only=True)
    weights = {name: value for name, value in saved["state_dict"].items() if name.startswith("network.")}
    assert any(not torch.equal(value, saved["current_model_state"][name]) for name, value in weights.items())
    with caplog.at_level("INFO"):
        module = start(make_trainer, make_module(data, initial_weights=str(tmp_path / "run" / "averaged.ckpt")), data)
    assert "holds averaged weights beside the last ones; the averaged ones are taken" in caplog.text
    for name, value in weights.items():
        assert torch.equal(module.state_dict()[name], value), name
