"""Modules whose networks are applied to patches: everything else goes on as with whole fields."""

import lightning as L
import pytest
import torch
from torch import nn

from fno_lightning.data import FieldSpec, GeneratedDataModule
from fno_lightning.losses import VRMSE
from fno_lightning.modules import (
    FFNOModule,
    FNOModule,
    ForecastModule,
    MultigridPatching,
    NetworkModule,
    TFNOModule,
    UNOModule,
)
from fno_lightning.multistep import MultiStepStrategy
from fno_lightning.unrolling import Pushforward, Unrolled
from tests.travelling_wave import TravellingWave
from tests.two_processes import join, results_of

PATCHES = {"n_patches": [4], "halo": 2, "levels": 1, "chunk": 3}


class LocalModule(ForecastModule):
    """A user's module, local within two points."""

    def build_network(self):
        return nn.Sequential(
            nn.Conv1d(self.in_channels, 8, 3, padding=1, padding_mode="circular"),
            nn.GELU(),
            nn.Conv1d(8, self.out_channels, 3, padding=1, padding_mode="circular"),
        )


class WellNetwork(nn.Conv1d):
    """A network with The Well's names of arguments."""

    def __init__(self, dim_in, dim_out, n_spatial_dims, spatial_resolution):
        super().__init__(dim_in, dim_out, 1)
        self.given = n_spatial_dims, spatial_resolution


@pytest.fixture
def data(make_data):
    data = make_data()
    data.prepare_data()
    return data


def local_module(data, patching=None, **options):
    torch.manual_seed(0)
    module = LocalModule(spec=data.spec, n_steps_input=2, patching=patching, **options)
    module.fit_normalization(data.statistics)
    module.configure_model()  # from this seed
    return module


LOCAL = MultigridPatching([4], halo=2, positions=False)


@pytest.mark.parametrize(
    "options", [{}, {"residual": True}, {"bundle": 3}, {"reversible_norm": True}], ids=lambda options: " ".join(options)
)
def test_a_local_network_forecasts_as_on_whole_fields_in_physical_units(data, options):
    module, patched = local_module(data, **options), local_module(data, LOCAL, **options)
    assert patched.state_dict().keys() == module.state_dict().keys()
    batch = next(iter(data.val_dataloader()))
    found, expected = (m.forecast(batch, n_steps=7) for m in (patched, module))
    assert found.shape[1] == 7
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_local_network_trains_as_on_whole_fields(data, make_trainer):
    def weights(patching):
        module = local_module(data, patching, optimizer=lambda p: torch.optim.SGD(p, lr=0.1), loss=VRMSE())
        L.seed_everything(1, verbose=False)
        make_trainer(max_epochs=2).fit(module, data)
        return dict(module.named_parameters())

    torch.testing.assert_close(weights(LOCAL), weights(None), rtol=1e-4, atol=1e-6)


MODULES = {
    "fno": lambda **common: FNOModule(n_modes=(4,), hidden_channels=4, n_layers=1, bases="auto", **common),
    "tfno": lambda **common: TFNOModule(n_modes=(4,), hidden_channels=4, n_layers=1, **common),
    "ffno": lambda **common: FFNOModule(n_modes=(4,), hidden_channels=4, n_layers=1, **common),
    "uno": lambda **common: UNOModule(n_modes=(4,), hidden_channels=4, n_levels=2, bases="auto", **common),
    "neuralop": lambda **common: NetworkModule(
        {"class_path": "neuralop.models.FNO", "init_args": {"n_modes": [4], "hidden_channels": 4, "n_layers": 1}},
        **common,
    ),
    "user": lambda **common: LocalModule(**common),
}


@pytest.mark.parametrize("kind", MODULES)
def test_every_module_trains_on_patches_and_reloads_from_plain_values(kind, data, make_trainer, tmp_path):
    module = MODULES[kind](spec=data.spec, n_steps_input=2, patching=MultigridPatching(**PATCHES))
    trainer = make_trainer(limit_train_batches=2, limit_val_batches=1)
    trainer.fit(module, data)
    trainer.save_checkpoint(path := tmp_path / "last.ckpt")
    saved = torch.load(path, weights_only=True)["hyper_parameters"]["patching"]
    assert {name: saved[name] for name in PATCHES} == PATCHES
    batch = next(iter(data.val_dataloader()))
    reloaded = ForecastModule.load_from_checkpoint(path) if kind != "user" else LocalModule.load_from_checkpoint(path)
    assert torch.equal(reloaded.forecast(batch, n_steps=3), module.forecast(batch, n_steps=3))
    fewer = type(module).load_from_checkpoint(path, patching=PATCHES | {"chunk": 1})
    torch.testing.assert_close(fewer.forecast(batch), module.forecast(batch), rtol=1e-4, atol=1e-5)


OPTIONS = {
    "bfloat16": ({}, {"precision": "bf16-mixed"}),
    "bfloat16 weights": ({}, {"precision": "bf16-true"}),
    "accumulated gradients": ({}, {"accumulate_grad_batches": 2}),
    "several steps at once": ({}, {"strategy": lambda: MultiStepStrategy(steps_per_execution=2)}),
    "unrolled": ({"unrolling": Unrolled(max_steps=3, end=0.0)}, {}),
    "pushforward and bundle": ({"unrolling": Pushforward([0.5, 0.5]), "bundle": 2, "residual": True}, {}),
    "reversible norm": ({"reversible_norm": True}, {}),
    "full checkpointing": ({"activation_checkpointing": "full"}, {}),
    "offloading": ({"activation_checkpointing": "offload"}, {}),
    "dropout and norm": ({"channel_mlp_dropout": 0.1, "norm": "instance_norm"}, {}),
    "some patches": ({"patching": MultigridPatching(**PATCHES, trained_patches=2)}, {}),
    "frozen": ({"freeze": ["lifting"]}, {}),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_patches_combine_with_other_options(case, make_data, make_trainer):
    of_module, of_trainer = OPTIONS[case]
    data = make_data(n_steps_output=4)
    torch.manual_seed(0)
    common = {"spec": data.spec, "n_steps_input": 2, "patching": MultigridPatching(**PATCHES)}
    module = FNOModule(n_modes=(4,), hidden_channels=4, n_layers=1, **common | of_module)
    before = {name: weight.detach().clone() for name, weight in module.network.named_parameters()}
    of_trainer = {name: value() if callable(value) else value for name, value in of_trainer.items()}
    trainer = make_trainer(limit_train_batches=2, limit_val_batches=1, **of_trainer)
    trainer.fit(module, data)
    assert 0 < trainer.callback_metrics["val/vrmse"] < 10
    changed = {name for name, weight in module.network.named_parameters() if not torch.equal(weight, before[name])}
    assert any(name.startswith("blocks") for name in changed)
    assert any(name.startswith("lifting") for name in changed) is (case != "frozen")


@pytest.mark.parametrize(("mode", "is_kept"), [("auto", False), ("full", False), ("none", True), ("offload", True)])
def test_activation_checkpointing_says_whether_patches_are_evaluated_again(mode, is_kept, data):
    module = local_module(data, LOCAL, activation_checkpointing=mode)
    calls = []
    module.network[0].register_forward_hook(lambda *_: calls.append(1))
    batch = next(iter(data.train_dataloader()))
    module.eval()  # without frames that only training draws
    loss, _ = module.step(batch)
    n_in_forward = len(calls)
    loss.backward()
    assert len(calls) == n_in_forward * (1 if is_kept else 2)


@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_a_training_on_patches_resumes(data, make_trainer, tmp_path):
    def module():
        torch.manual_seed(0)
        return FNOModule(data.spec, (4,), 4, 1, n_steps_input=2, patching=MultigridPatching(**PATCHES))

    def fit(max_epochs, ckpt_path=None):
        trainer, trained = make_trainer(max_epochs=max_epochs, overfit_batches=2), module()
        trainer.fit(trained, data, ckpt_path=ckpt_path)
        return trainer, trained

    first, _ = fit(1)
    first.save_checkpoint(path := tmp_path / "last.ckpt")
    torch.testing.assert_close(*(dict(m.named_parameters()) for m in (fit(2, str(path))[1], fit(2)[1])))


def test_the_networks_of_the_package_know_that_patches_end():
    spec = FieldSpec("wave", ("u",), (16, 32), boundaries=(("periodic", "periodic"), ("wall", "wall")))
    options = {"n_modes": (4, 4), "n_steps_input": 1, "bases": "auto"}
    whole = FNOModule(spec, **options)
    assert whole.network_arguments["periodic"] == [True, False]
    for n_patches, bases in ([4, 4], ["cosine", "cosine"]), ([1, 4], ["fourier", "cosine"]):
        patching = MultigridPatching(n_patches, halo=1)
        module = FNOModule(spec, patching=patching, **options)
        assert module.bases == bases
        assert module.network_arguments["periodic"] == [basis == "fourier" for basis in bases]
        assert module.patching.periodic == [True, False]
        assert module.network.embedding is None
        assert UNOModule(spec, patching=patching, **options).network_arguments["bases"] == bases


def test_a_network_is_told_the_grid_of_a_window(data):
    network = {"class_path": "tests.modules.test_patched_modules.WellNetwork"}
    module = NetworkModule(network, spec=data.spec, n_steps_input=2, patching=MultigridPatching(**PATCHES))
    assert module.network.given == (1, [8])
    assert module.network.in_channels == 1 + 2 * (2 * 2 + 1)  # position; both levels of two frames and the speed


def test_conditioning_reads_the_scalars_of_each_patch(data):
    options = {"patching": MultigridPatching(**PATCHES | {"chunk": 100}), "conditioning": "film", "n_steps_input": 2}
    module = FNOModule(data.spec, (4,), 4, 1, **options)
    seen = []
    module.network.blocks[0].film.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten()))
    scalars = torch.tensor([[0.5], [2.0]])
    module.forecast(torch.rand(2, 2, 2, 16), scalars=scalars)
    expected = module.normalizer.context(torch.empty(2, 0, 16), scalars, None, torch.float32)[:, 0, 0]
    torch.testing.assert_close(seen[0], expected.repeat_interleave(4))


def test_a_batch_of_another_grid_that_the_patches_do_not_divide_is_refused(data, make_data, make_trainer):
    with pytest.raises(ValueError, match=r"patching.n_patches 3 does not divide the grid 16: axis 0 has 16 points"):
        local_module(data, MultigridPatching([3]))
    with pytest.raises(ValueError, match=r"patching.n_patches 4 x 4 has 2 entries, but the grid 16 has 1 axes"):
        local_module(data, MultigridPatching([4, 4]))
    module = local_module(data, MultigridPatching([16]))
    with pytest.raises(ValueError, match=r"patching.n_patches 16 does not divide the grid 8"):
        make_trainer().fit(module, make_data(train_strides=[1, 2]))


def _train(rank, port, folder):
    join(rank, port)
    data = GeneratedDataModule(TravellingWave(grid=(16,)), folder, n_train=2, n_steps_input=2, batch_size=2)
    weights = []
    for patching in (LOCAL, None):
        torch.manual_seed(0)
        module = LocalModule(spec=data.spec, n_steps_input=2, patching=patching)
        trainer = L.Trainer(
            accelerator="cpu",
            devices=2,
            strategy="ddp",
            max_epochs=1,
            limit_train_batches=2,
            limit_val_batches=0,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )
        trainer.fit(module, data)
        weights.append([weight.tolist() for weight in module.parameters()])
    return weights


def test_processes_share_the_gradients_of_their_patches(tmp_path):
    (first, whole), (second, _) = results_of(_train, str(tmp_path))
    assert first == second
    for weight, expected in zip(first, whole, strict=True):
        torch.testing.assert_close(torch.tensor(weight), torch.tensor(expected), rtol=1e-4, atol=1e-5)
