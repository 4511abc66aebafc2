import inspect

import pytest
import torch
from jsonargparse import ArgumentParser

from fno_lightning.cli import main
from fno_lightning.models import FNO, TFNO
from fno_lightning.modules import FFNOModule, FNOModule, TFNOModule


def module_of(kind, make_data, **options):
    module = kind(make_data().spec, n_modes=(4,), hidden_channels=4, n_layers=1, n_steps_input=2, **options)
    module.configure_model()
    return module


@pytest.mark.parametrize("kind", [FNOModule, TFNOModule, FFNOModule])
def test_every_option_of_the_network_is_one_of_the_module_and_a_hyper_parameter(kind, make_data):
    module = module_of(kind, make_data)
    network = inspect.signature(kind.network_class).parameters
    of_data = {"periodic", "n_conditions"}
    options = network.keys() - {"in_channels", "out_channels"} - of_data
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


@pytest.mark.parametrize("name", ["FNOModule", "TFNOModule", "FFNOModule"])
def test_help_explains_every_option(name, capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--model.help", name])
    shown = capsys.readouterr().out
    of_data = {"in_channels", "out_channels", "periodic", "n_conditions"}
    for option in (set(inspect.signature(FNO).parameters) - of_data) | {"freeze", "loss"}:
        assert f"--model.init_args.{option} " in shown or f"--model.{option} " in shown, option
    assert "See :class:" not in shown


def test_the_command_line_knows_every_argument_of_a_tfno():
    parser = ArgumentParser()
    parser.add_class_arguments(TFNO, "network")
    given = parser.parse_args(["--network.n_modes=[4]", "--network.in_channels=1", "--network.out_channels=1"])
    assert set(vars(given.network)) == set(inspect.signature(TFNO).parameters)
    assert (given.network.factorization, given.network.rank, given.network.n_layers) == ("tucker", 0.1, 4)
