"""Weights of other libraries become checkpoints that compute the same."""

import json
import sys
from pathlib import Path

import pytest
import torch
import yaml
from neuralop import models
from safetensors.torch import load_file, save_file

from fno_lightning import FNOModule, ForecastModule
from fno_lightning.cli import main as cli
from fno_lightning.commands import COMMANDS
from fno_lightning.modules import NetworkModule, TFNOModule
from tests.modules.test_foreign_networks import timm  # noqa: F401 (a fixture)
from tests.wave_config import CONFIG

WELL = Path(__file__).parents[1] / "models" / "the_well"
GRID = (8, 10)
SPEC = {
    "dataset_name": "waves",
    "fields": ["height", "flux"],
    "scalars": ["speed"],
    "grid_shape": list(GRID),
    "n_steps_input": 2,
    "normalization": {"height": [3.0, 2.0], "flux": [-1.0, 0.5]},
}
NORMALIZED = torch.tensor([[3.0, -1.0], [2.0, 0.5]]).view(2, 1, 1, 2, 1, 1)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with a description of data."""
    monkeypatch.chdir(tmp_path)
    Path("waves.yaml").write_text(yaml.safe_dump(SPEC))


def convert(weights, *options, spec=("--spec", "waves.yaml")):
    assert COMMANDS["convert"](["--weights", str(weights), "--output", "converted.ckpt", *spec, *options]) == 0
    torch.load("converted.ckpt", weights_only=True)
    return ForecastModule.load_from_checkpoint("converted.ckpt")


def assert_computes(module, network, *, with_scalars=False):
    """Compare a forecast with a network's output for the normalised history, mapped back."""
    torch.manual_seed(1)
    (mean, std), history = NORMALIZED, torch.randn(3, 2, 2, *GRID)
    speed = torch.rand(3, 1)
    x = ((history - mean) / std).flatten(1, 2)
    if with_scalars:
        x = torch.cat((x, speed.view(3, 1, 1, 1).expand(3, 1, *GRID)), dim=1)
    with torch.no_grad():
        expected = network(x)[:, None] * std + mean
    torch.testing.assert_close(module.forecast(history, scalars=speed), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "module_class"), [("fno", FNOModule), ("tfno", TFNOModule)])
def test_networks_of_the_well_as_on_the_hub(name, module_class, capsys):
    tensors = load_file(WELL / f"{name}.safetensors")
    example = [tensors.pop(f"example.{key}") for key in ("x", "y", "y_without_blocks")]
    Path("hub").mkdir()
    save_file(tensors, "hub/model.safetensors")
    Path("hub/config.json").write_text(json.dumps({"dim_in": 4, "dim_out": 2, "modes1": 4, "modes2": 6}))
    module = convert("hub")
    assert type(module) is module_class
    assert "convert them with --with_blocks false" in capsys.readouterr().out
    x, y, y_without_blocks = example
    (mean, std), speed = NORMALIZED, torch.tensor([[7.0]])  # a scalar that the network did not see
    history = x.unflatten(1, (2, 2)) * std + mean
    torch.testing.assert_close(module.forecast(history, scalars=speed), y[:, None] * std + mean)
    Path("converted.ckpt").unlink()
    module = convert("hub", "--with_blocks=false")
    torch.testing.assert_close(module.forecast(history, scalars=speed), y_without_blocks[:, None] * std + mean)


@pytest.mark.parametrize("network_class", [models.FNO, models.TFNO])
@pytest.mark.parametrize("in_channels", [4, 5])
def test_a_folder_of_neuralop(network_class, in_channels):
    network = network_class(n_modes=(4, 6), in_channels=in_channels, out_channels=2, hidden_channels=4, n_layers=2)
    network.save_checkpoint("neuralop", "model")
    assert_computes(convert("neuralop"), network, with_scalars=in_channels == 5)


@pytest.mark.parametrize("in_channels", [4, 5])
def test_a_state_dict_alone_needs_the_class(in_channels):
    network = models.UNO(
        in_channels=in_channels,
        out_channels=2,
        hidden_channels=4,
        n_layers=1,
        uno_out_channels=[4],
        uno_n_modes=[[4, 4]],
        uno_scalings=[[1.0, 1.0]],
        channel_mlp_skip="linear",
    )
    torch.save({"model_state_dict": network.state_dict(), "epoch": 3}, "uno.pt")
    arguments = (
        "{hidden_channels: 4, n_layers: 1, uno_out_channels: [4], uno_n_modes: [[4, 4]], uno_scalings: [[1, 1]]}"
    )
    module = convert("uno.pt", "--network_class=neuralop.models.UNO", f"--network_args={arguments}")
    assert type(module) is NetworkModule
    assert_computes(module, network, with_scalars=in_channels == 5)


@pytest.mark.usefixtures("timm")
def test_another_network_of_the_well_has_its_arguments_in_its_folder():
    from the_well.benchmark.models import DilatedResNet

    network = DilatedResNet(4, 2, 2, GRID, blocks=1, hidden_dim=4)
    network.save_pretrained("hub")
    module = convert("hub", "--network_class=the_well.benchmark.models.DilatedResNet")
    assert_computes(module, network)


def test_a_converted_network_is_tested_predicted_and_fine_tuned(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    Path("wave.yaml").write_text(CONFIG)
    network = models.FNO(n_modes=(8,), in_channels=4, out_channels=2, hidden_channels=4, n_layers=1)
    torch.save(network.state_dict(), "neuralop.pt")
    module = convert("neuralop.pt", spec=("--config", "wave.yaml"))
    assert module.normalizer.is_fitted
    quiet = ["--config", "wave.yaml", "--trainer.logger=false", "--trainer.callbacks=null"]
    metrics = cli(["test", *quiet, "--ckpt_path", "converted.ckpt"]).trainer.callback_metrics
    assert 0 < metrics["test/vrmse"] < float("inf")
    assert cli(["predict", *quiet, "--ckpt_path", "converted.ckpt"]) is not None
    options = ["--model.init_args.hidden_channels=4", "--model.init_args.n_layers=1"]
    start = ["--model.init_args.initial_weights=converted.ckpt", "--model.init_args.adapters.rank=2"]
    tuned = cli(["fit", *quiet, *options, *start]).model
    assert all(name.endswith((".down", ".up")) for name, p in tuned.network.named_parameters() if p.requires_grad)


STATE = models.FNO(n_modes=(4, 6), in_channels=3, out_channels=2, hidden_channels=4, n_layers=1).state_dict()
BARE = {name: value for name, value in STATE.items() if name != "_metadata"}


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (STATE, [], r"takes 3 channels and gives 2, but the data make 5, 1 of them scalars, and 2: choose the data"),
        (BARE, [], r"do not tell what network they are of: give its class, as in --network_class"),
        (
            BARE,
            ["--network_class=neuralop.models.FNO", "--network_args={n_modes: [4, 6], hidden_channels: 5}"],
            r"do not fit neuralop.models.FNO with .*for these data: .* \(4,.*instead of \(5,",
        ),
        ({"epoch": 3}, [], r"weights.pt holds no state dict of a network"),
        ({"weight": torch.zeros(1), "run": sys.exit}, [], r"more than tensors and plain values, \['sys.exit'\], which"),
        (STATE, ["--output=weights.pt"], r"weights.pt exists already and is not overwritten"),
    ],
)
def test_what_cannot_be_converted_says_why(content, options, message):
    torch.save(content, "weights.pt")
    with pytest.raises((ValueError, FileExistsError), match=message):
        convert("weights.pt", *options)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"fields": ["u"], "grid": [8]}, r"unknown entries in a field specification: \['grid'\]"),
        ({"fields": ["u"]}, r"own.yaml is no description of data: .*dataset_name"),
        (
            {**SPEC, "normalization": {"depth": [0, 1]}},
            r"normalization names \['depth'\], but the data have",
        ),
        (
            {**SPEC, "normalization": {"flux": 1}},
            r"normalization of flux is 1, expected a mean and",
        ),
    ],
)
def test_a_description_that_is_none_says_why(spec, message):
    torch.save(STATE, "weights.pt")
    Path("own.yaml").write_text(yaml.safe_dump(spec))
    with pytest.raises((ValueError, TypeError), match=message):
        convert("weights.pt", spec=("--spec", "own.yaml"))


def test_data_or_a_description_must_be_given():
    torch.save(STATE, "weights.pt")
    with pytest.raises(ValueError, match=r"give what the weights were trained on, by data .* or by a description"):
        convert("weights.pt", spec=())
