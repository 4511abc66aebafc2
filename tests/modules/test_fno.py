import dataclasses
import inspect

import pytest
import torch
from jsonargparse import ArgumentParser

from fno_lightning.cli import main
from fno_lightning.models import FNO, TFNO
from fno_lightning.modules import FFNOModule, FNOModule, TFNOModule

OF_SPHERE = {"latitudes", "by_order"}
"""Options of the network that are those of SFNOModule."""


def module_of(kind, make_data, **options):
    module = kind(make_data().spec, n_modes=(4,), hidden_channels=4, n_layers=1, n_steps_input=2, **options)
    module.configure_model()
    return module


@pytest.mark.parametrize("kind", [FNOModule, TFNOModule, FFNOModule])
def test_every_option_of_the_network_is_one_of_the_module_and_a_hyper_parameter(kind, make_data):
    module = module_of(kind, make_data)
    network = inspect.signature(kind.network_class).parameters
    of_data = {"periodic", "n_conditions"}
    options = network.keys() - {"in_channels", "out_channels"} - of_data - OF_SPHERE
    assert module.network_arguments.keys() == options | of_data
    assert options <= module.hparams.keys()
    defaults = options - {"n_modes", "hidden_channels", "n_layers"}
    assert all(module.network_arguments[name] == module.hparams[name] == network[name].default for name in defaults)


def test_an_fno_module_takes_low_rank_weights(make_data):
    torch.manual_seed(0)
    low_rank = module_of(FNOModule, make_data, factorization="tucker", rank=0.1)
    torch.manual_seed(0)
    tensorised = module_of(TFNOModule, make_data)
    assert (type(low_rank.network), type(tensorised.network)) == (FNO, TFNO)
    torch.testing.assert_close(low_rank.state_dict(), tensorised.state_dict())


@pytest.mark.parametrize("conditioning", ["film", "spectral"])
def test_a_modulated_network_starts_as_one_with_planes_and_reads_the_scalars(make_data, conditioning):
    modulated, planes = (module_of(FNOModule, make_data, conditioning=c) for c in (conditioning, "planes"))
    planes.network.load_state_dict(modulated.network.state_dict(), strict=False)
    history, speeds = torch.randn(2, 2, 2, 16), torch.tensor([[0.5], [1.0]])
    torch.testing.assert_close(modulated.forecast(history, scalars=speeds), planes.forecast(history, scalars=speeds))
    torch.nn.init.zeros_(modulated.network.lifting.layers[0].weight[:, 4])  # of the plane as an input
    for name, parameter in modulated.network.named_parameters():
        if "film" in name or "modulation" in name:
            torch.nn.init.normal_(parameter)
    first, second = (modulated.forecast(history, scalars=s) for s in (speeds, speeds * torch.tensor([[1.0], [2.0]])))
    torch.testing.assert_close(second[0], first[0])
    assert (second[1] - first[1]).abs().max() > 1e-3


def test_a_modulated_network_is_trained_and_loaded(make_data, make_trainer, tmp_path):
    data = make_data()
    module = FNOModule(data.spec, (4,), 4, n_layers=1, n_steps_input=data.n_steps_input, conditioning="film")
    trainer = make_trainer(precision="bf16-mixed")
    trainer.fit(module, data)
    assert module.network.blocks[0].film.mlp.layers[-1].weight.any()
    trainer.save_checkpoint(tmp_path / "film.ckpt")
    loaded = FNOModule.load_from_checkpoint(tmp_path / "film.ckpt", weights_only=True)
    batch = next(iter(data.test_dataloader()))
    torch.testing.assert_close(loaded.forecast(batch), module.forecast(batch))


def test_conditioning_needs_scalars_and_joint_modes(make_data):
    spec = dataclasses.replace(make_data().spec, scalars=())
    with pytest.raises(ValueError, match="conditioning=film is by the scalars of the data, but 'travelling_wave' have"):
        FNOModule(spec, (4,), conditioning="film")
    with pytest.raises(ValueError, match="conditioning=spectral is for convolutions along all axes at once: use film"):
        module_of(FFNOModule, make_data, conditioning="spectral")
    with pytest.raises(ValueError, match=r"needs n_conditions, .* end of the 3 input channels, got 4"):
        FNO((4,), 3, 1, 4, conditioning="film", n_conditions=4)


@pytest.mark.parametrize("name", ["FNOModule", "TFNOModule", "FFNOModule"])
def test_help_explains_every_option(name, capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--model.help", name])
    shown = capsys.readouterr().out
    of_data = {"in_channels", "out_channels", "periodic", "n_conditions"}
    for option in (set(inspect.signature(FNO).parameters) - of_data - OF_SPHERE) | {"freeze", "loss"}:
        assert f"--model.init_args.{option} " in shown or f"--model.{option} " in shown, option
    assert "See :class:" not in shown


def test_the_command_line_knows_every_argument_of_a_tfno():
    parser = ArgumentParser()
    parser.add_class_arguments(TFNO, "network")
    given = parser.parse_args(["--network.n_modes=[4]", "--network.in_channels=1", "--network.out_channels=1"])
    assert set(vars(given.network)) == set(inspect.signature(TFNO).parameters)
    assert (given.network.factorization, given.network.rank, given.network.n_layers) == ("tucker", 0.1, 4)
