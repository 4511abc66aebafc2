"""Networks of other libraries, and of users, train, are saved, reloaded without arguments and rolled out."""

import sys
import types
from functools import partial
from pathlib import Path

import lightning as L
import pytest
import torch
from torch import nn

from fno_lightning.data import GeneratedDataModule
from fno_lightning.modules import ForecastModule, NetworkModule
from tests.travelling_wave import TravellingWave
from tests.two_processes import join, results_of

FNO = {"n_modes": [4, 4], "hidden_channels": 4, "n_layers": 1}
UNO = {
    "hidden_channels": 4,
    "n_layers": 3,
    "uno_out_channels": [4, 8, 4],
    "uno_n_modes": [[4, 4]] * 3,
    "uno_scalings": [[1.0, 1.0], [0.5, 0.5], [2.0, 2.0]],
}
CODANO = {"n_modes": [4, 4], "n_layers": 1, "hidden_variable_codimension": 4, "lifting_channels": 4}
POINTS = {"n_modes": [4, 4], "fno_hidden_channels": 4, "fno_n_layers": 1}
GINO_KERNELS = {"in_gno_channel_mlp_hidden_layers": [8], "out_gno_channel_mlp_hidden_layers": [8]}
FNOGNO_KERNEL = {"gno_channel_mlp_hidden_layers": [8]}

NEURALOP = {
    "neuralop.models.FNO": FNO,
    "neuralop.models.TFNO": FNO | {"rank": 0.5},
    "neuralop.models.UNO": UNO,
    "fno_lightning.models.NeuralopSFNO": FNO,
    "neuralop.models.LocalNO": FNO,
    "fno_lightning.models.NeuralopCODANO": CODANO,
    "fno_lightning.models.NeuralopGINO": {"latent_grid": [4, 8], **GINO_KERNELS, **POINTS},
    "fno_lightning.models.NeuralopFNOGNO": {"radius": 0.15, **FNOGNO_KERNEL, **POINTS},
}
WELL = {
    "UNetClassic": {"init_features": 2},
    "UNetConvNext": {"init_features": 2, "stages": 2},
    "DilatedResNet": {"blocks": 1, "hidden_dim": 4},
    "ReFNO": {"blocks": 1, "hidden_dim": 4},
    "AViT": {"hidden_dim": 48, "num_heads": 2, "processor_blocks": 1},
    "AFNO": {"hidden_dim": 8, "n_blocks": 1, "cmlp_diagonal_blocks": 2, "patch_size": 4},
}
PHYSICSNEMO = {
    "physicsnemo.models.fno.FNO": {"num_fno_modes": 4, "latent_channels": 4, "num_fno_layers": 1, "padding": 2},
    "physicsnemo.models.afno.AFNO": {"patch_size": [4, 4], "embed_dim": 8, "depth": 1, "num_blocks": 2},
}


@pytest.fixture
def timm(monkeypatch):
    """What The Well's networks take of timm, which needs a torchvision that PyPI has for CUDA only."""
    layers = types.ModuleType("timm.layers")
    layers.DropPath, layers.trunc_normal_ = nn.Dropout, nn.init.trunc_normal_
    names = {"timm": types.ModuleType("timm"), "timm.layers": layers}
    names |= {"timm.models": types.ModuleType("timm.models"), "timm.models.layers": layers}
    for name, module in names.items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def data(make_data):
    return make_data((16, 32), n_train=1)


def make(data, class_path, init_args, **options):
    network = {"class_path": class_path, "init_args": init_args}
    return NetworkModule(network=network, spec=data.spec, n_steps_input=data.n_steps_input, **options)


def trains_reloads_and_rolls_out(module, data, make_trainer, folder):
    trainer = make_trainer(limit_train_batches=2, limit_val_batches=1)
    before = {name: value.clone() for name, value in module.network.named_parameters()}
    trainer.fit(module, data)
    changed = [not torch.equal(value, before[name]) for name, value in module.network.named_parameters()]
    assert sum(changed) > len(changed) / 2  # softshrink and a scale of 1e-6 keep gradients from some of The Well's
    trainer.save_checkpoint(folder / "trained.ckpt")
    torch.load(folder / "trained.ckpt", weights_only=True)
    loaded = ForecastModule.load_from_checkpoint(folder / "trained.ckpt")
    batch = next(iter(data.val_dataloader()))
    forecast = module.forecast(batch, n_steps=3)
    assert forecast.shape == (len(batch.history), 3, 2, *data.spec.grid_shape)
    assert forecast.isfinite().all()
    assert torch.equal(loaded.forecast(batch, n_steps=3), forecast)
    again = loaded.forecast(torch.cat((batch.history, forecast[:, :1]), dim=1)[:, 1:], scalars=batch.scalars)
    torch.testing.assert_close(again[:, 0], forecast[:, 1], rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Default SHT truncation")
@pytest.mark.parametrize("class_path", NEURALOP)
def test_networks_of_neuralop(class_path, data, make_trainer, tmp_path):
    module = make(data, class_path, NEURALOP[class_path])
    trains_reloads_and_rolls_out(module, data, make_trainer, tmp_path)


@pytest.mark.usefixtures("timm")
@pytest.mark.filterwarnings("ignore:torch.meshgrid")
@pytest.mark.parametrize("name", WELL)
def test_networks_of_the_well(name, data, make_trainer, tmp_path):
    module = make(data, f"the_well.benchmark.models.{name}", WELL[name])
    trains_reloads_and_rolls_out(module, data, make_trainer, tmp_path)


@pytest.mark.parametrize("class_path", PHYSICSNEMO)
def test_networks_of_physicsnemo(class_path, data, make_trainer, tmp_path):
    pytest.importorskip("physicsnemo")
    module = make(data, class_path, PHYSICSNEMO[class_path])
    trains_reloads_and_rolls_out(module, data, make_trainer, tmp_path)


OWN = """
from torch import nn

class Convolution(nn.Conv2d):
    def __init__(self, in_channels, out_channels, width=3):
        super().__init__(in_channels, out_channels, width, padding="same")
"""


@pytest.mark.parametrize("module_path", ["own_network", "own_package.networks"])
def test_networks_of_a_user(module_path, data, make_trainer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    file = Path(f"{module_path.replace('.', '/')}.py")
    file.parent.mkdir(exist_ok=True)
    (file.parent / "__init__.py").touch()
    file.write_text(OWN)
    module = make(data, f"{module_path}.Convolution", {"width": 5})
    trains_reloads_and_rolls_out(module, data, make_trainer, tmp_path)


def test_scalars_condition_a_network_that_takes_their_number(data, make_trainer, tmp_path):
    module = make(data, "fno_lightning.models.FNO", {**FNO, "conditioning": "film"})
    assert module.network.n_conditions == 1
    trains_reloads_and_rolls_out(module, data, make_trainer, tmp_path)


class Short(nn.Conv2d):
    """A network with too few channels at its end."""

    def __init__(self, in_channels):
        super().__init__(in_channels, 1, 1)


class Pair(nn.Conv2d):
    """A network with two results, as neuralop's UQNO."""

    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels, 1)

    def forward(self, x):
        return super().forward(x), x


class Pooled(Pair):
    """A network on another grid than its input's."""

    def forward(self, x):
        return super().forward(x)[0][..., ::2]


class RandomFeatures(Pair):
    """A network with random constants that only it knows."""

    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.features = torch.randn(1, out_channels, 1, 1)

    def forward(self, x):
        return self.features + super().forward(x)[0]


class RunningMean(Pair):
    """A network that follows its inputs."""

    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.register_buffer("mean", torch.zeros(1), persistent=False)

    def forward(self, x):
        if self.training:
            self.mean = self.mean + x.square().mean().detach()
        return super().forward(x)[0] + self.mean


class Cached(Pair):
    """A network with a cache, which is no state."""

    def forward(self, x):
        self.cache = torch.rand(3)
        return super().forward(x)[0]


class Listed(Pair):
    """A network with layers that torch does not see."""

    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.layers = [nn.Conv2d(in_channels, out_channels, 1)]


HERE = "tests.modules.test_foreign_networks"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Short", r"output of the network Short has the shape \(4, 1, 16, 32\), expected \(4, 2, 16, 32\): one tensor"),
        ("Pair", r"output of the network Pair has the type tuple, expected \(4, 2, 16, 32\)"),
        ("Pooled", r"output of the network Pooled has the shape \(4, 2, 16, 16\), expected \(4, 2, 16, 32\)"),
        (
            "RandomFeatures",
            r"RandomFeatures computes with \['features'\], which neither its arguments nor",
        ),
        (
            "Listed",
            r"Listed keeps a Conv2d in layers\[0\], where it is neither trained nor saved: use an nn.Mo",
        ),
    ],
)
def test_a_network_that_would_train_or_load_wrongly_is_refused(name, message, data, make_trainer):
    with pytest.raises(ValueError, match=message):
        make_trainer(max_steps=1).fit(make(data, f"{HERE}.{name}", {}), data)


def test_state_that_training_changes_outside_the_state_dict_is_noticed(data, make_trainer, tmp_path):
    module, trainer = make(data, f"{HERE}.RunningMean", {}), make_trainer(max_steps=1)
    trainer.fit(module, data)
    with pytest.warns(UserWarning, match=r"RunningMean has changed \['mean'\], which are not in its state dict"):
        trainer.save_checkpoint(tmp_path / "trained.ckpt")
    module, trainer = make(data, f"{HERE}.Cached", {}), make_trainer(max_steps=1)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "trained.ckpt")


@pytest.mark.parametrize(
    ("class_path", "hidden", "message"),
    [
        ("neuralop.models.FNO", "neuralop", r"no module neuralop.* is installed, .*: pip install neuraloperator$"),
        ("neuralop.models.LocalNO", "torch_harmonics", r"torch_harmonics, .* pip install 'fno_lightning\[spherical\]'"),
        ("physicsnemo.models.fno.FNO", "physicsnemo", r"no module physicsnemo.* pip install nvidia-physicsnemo$"),
        ("the_well.benchmark.models.AViT", "timm", "needs the package timm, which is not installed: pip install timm"),
    ],
)
def test_what_to_install_for_a_network(class_path, hidden, message, data, monkeypatch):
    package = class_path.rpartition(".")[0]
    for loaded in [name for name in sys.modules if f"{name}.".startswith((f"{package}.", f"{hidden}."))]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, hidden, None)
    if hidden == "torch_harmonics":  # without which neuralop leaves the class out
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    with pytest.raises(ValueError, match=message):
        make(data, class_path, {})


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "64-true"])
def test_a_precision_without_complex_numbers_is_refused(precision, data, make_trainer):
    module = make(data, "neuralop.models.FNO", FNO)
    with pytest.raises(
        ValueError, match=r"real numbers of the complex weights of neuralop.models.FNO, such as fno_bloc"
    ):
        make_trainer(max_steps=1, precision=precision).fit(module, data)
    make_trainer(max_steps=1, precision="bf16-mixed", limit_val_batches=1).fit(module, data)


def test_arguments_that_a_network_does_not_take_are_named(data):
    with pytest.raises(ValueError, match=r"network neuralop.models.UNO cannot be made of .*'widht'.*argument 'widht'"):
        make(data, "neuralop.models.UNO", {**UNO, "widht": 3}).configure_model()


def test_a_class_that_no_checkpoint_can_be_read_by_names_its_wrapper(data):
    with pytest.raises(ValueError, match=r"name fno_lightning.models.NeuralopSFNO"):
        make(data, "neuralop.models.SFNO", FNO)


def _trained(folder, batch_size, **options):
    """The weights after one step on all four samples."""
    torch.manual_seed(0)
    waves = TravellingWave((16, 16), n_frames=3)
    data = GeneratedDataModule(waves, folder, n_train=2, n_steps_input=2, batch_size=batch_size)
    module = make(data, "neuralop.models.FNO", FNO, optimizer=partial(torch.optim.SGD, lr=0.1))
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=1, limit_val_batches=0, enable_checkpointing=False, **quiet, **options
    )
    trainer.fit(module, data)
    assert trainer.global_step == 1
    return {name: weight.tolist() for name, weight in module.network.named_parameters()}


def _trained_by_two(rank, port, folder):
    join(rank, port)
    return _trained(folder, 2, devices=2, strategy="ddp")


def test_processes_share_the_gradients_of_complex_weights(tmp_path):
    alone = _trained(str(tmp_path), 4, devices=1)
    assert any(
        isinstance(number, complex) for weight in alone.values() for number in torch.tensor(weight).flatten().tolist()
    )
    for weights in results_of(_trained_by_two, str(tmp_path)):
        for name, weight in alone.items():
            torch.testing.assert_close(torch.tensor(weights[name]), torch.tensor(weight), rtol=1e-4, atol=1e-6)
