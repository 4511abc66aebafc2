import pytest
import torch

from fno_lightning.modules import CODANOModule, ForecastModule, MultigridPatching

TOKENS = ["height", "flux", "speed"]


def module_of(data, **options):
    options = {"n_modes": (4,), "hidden_channels": 4, "n_layers": 1} | options
    return CODANOModule(data.spec, n_steps_input=data.n_steps_input, **options)


@pytest.fixture
def pretrained(make_data, make_trainer, tmp_path):
    """A checkpoint of a training on one field."""
    data = make_data(fields=["height"])
    trainer = make_trainer()
    trainer.fit(module_of(data), data)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    return tmp_path / "one.ckpt"


def test_a_training_goes_on_with_a_further_field(pretrained, make_data, make_trainer, tmp_path):
    before = ForecastModule.load_from_checkpoint(pretrained)
    assert before.spec.fields == ("height",)
    data = make_data()
    module = module_of(data, initial_weights=str(pretrained), refit_normalization=True)
    make_trainer(max_steps=0, limit_val_batches=0).fit(module, data)
    assert [*data.spec.fields, *data.spec.scalars] == TOKENS
    for name, value in before.network.named_parameters():
        own = module.network.get_parameter(name)
        expected = own[[0, 2]] if name == "embedding" else own
        assert torch.equal(expected, value), name
    trainer = make_trainer(max_epochs=1)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    again = CODANOModule.load_from_checkpoint(tmp_path / "two.ckpt")
    history = torch.randn(1, data.n_steps_input, 2, 16)
    arguments = {"scalars": torch.ones(1, 1), "n_steps": 3}
    torch.testing.assert_close(again.forecast(history, **arguments), module.forecast(history, **arguments))


def test_only_the_vectors_of_names_may_be_trained(pretrained, make_data, make_trainer):
    data = make_data()
    module = module_of(
        data,
        initial_weights=str(pretrained),
        refit_normalization=True,
        freeze=["lifting", "attention", "blocks", "projection"],
    )
    make_trainer(max_steps=3).fit(module, data)
    before = ForecastModule.load_from_checkpoint(pretrained).network
    for name, value in before.named_parameters():
        if name != "embedding":
            assert torch.equal(module.network.get_parameter(name), value), name
    assert not torch.equal(module.network.embedding[0], before.embedding[0])


def test_other_fields_need_their_own_statistics(pretrained, make_data, make_trainer):
    data = make_data()
    with pytest.raises(ValueError, match="set refit_normalization to true"):
        make_trainer().fit(module_of(data, initial_weights=str(pretrained)), data)


def test_other_layers_are_refused_as_ever(pretrained, make_data, make_trainer):
    data = make_data()
    other = module_of(data, initial_weights=str(pretrained), refit_normalization=True, hidden_channels=6)
    with pytest.raises(ValueError, match="initial_weights do not fit the network"):
        make_trainer().fit(other, data)
    vectors = module_of(data, initial_weights=str(pretrained), refit_normalization=True, embedding_channels=3)
    with pytest.raises(ValueError, match="initial_weights do not fit the network"):
        make_trainer().fit(vectors, data)


@pytest.mark.parametrize("options", [{"bundle": 2}, {"reversible_norm": True}, {"residual": True, "bases": "auto"}])
def test_it_goes_with_options_of_forecasts(options, make_data, make_trainer):
    data = make_data(n_steps_output=2)
    module = module_of(data, **options)
    make_trainer().fit(module, data)
    assert module.forecast(data.dataset("valid").__getitems__([0]), n_steps=4).isfinite().all()


def test_patches_are_refused(make_data):
    with pytest.raises(ValueError, match="patching adds channels"):
        module_of(make_data(), patching=MultigridPatching(n_patches=[2], halo=2))
