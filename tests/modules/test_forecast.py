import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

from fno_lightning.data import FieldSpec, collate
from fno_lightning.modules import FNOModule, ForecastModule, NetworkModule, TFNOModule, WarmupCosine


class Silent(nn.Module):
    """A network that always returns zeros."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.out_channels = out_channels
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return x.new_zeros(len(x), self.out_channels, *x.shape[2:]) + self.weight


class ConvolutionModule(ForecastModule):
    """What a user would write."""

    def __init__(self, width=8, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    def build_network(self):
        return nn.Sequential(
            nn.Conv1d(self.in_channels, self.width, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(self.width, self.out_channels, 1),
        )


class WellNetwork(nn.Conv1d):
    """A network with The Well's names of arguments."""

    def __init__(self, dim_in, dim_out, n_spatial_dims, spatial_resolution, width=1):
        super().__init__(dim_in, dim_out, width)
        self.given = n_spatial_dims, spatial_resolution


def test_what_the_data_decide_is_filled_in_under_the_names_of_the_well(make_data):
    data = make_data()
    network = {"class_path": "tests.modules.test_forecast.WellNetwork"}
    module = NetworkModule(network=network, spec=data.spec, n_steps_input=2)
    assert module.network.given == (1, [16])
    assert (module.network.in_channels, module.network.out_channels) == (module.in_channels, module.out_channels)
    own = {**network, "init_args": {"spatial_resolution": [8]}}
    assert NetworkModule(network=own, spec=data.spec, n_steps_input=2).network.given == (1, [8])


NEURALOP = {"class_path": "neuralop.models.FNO", "init_args": {"n_modes": [8], "hidden_channels": 8, "n_layers": 2}}
NEURALOP_TFNO = {"class_path": "neuralop.models.TFNO", "init_args": NEURALOP["init_args"]}

MODULES = {
    "fno": lambda **common: FNOModule(n_modes=(8,), hidden_channels=8, n_layers=2, **common),
    "tfno": lambda **common: TFNOModule(n_modes=(8,), hidden_channels=8, n_layers=2, **common),
    "neuralop": lambda **common: NetworkModule(network=NEURALOP, **common),
    "neuralop-tfno": lambda **common: NetworkModule(network=NEURALOP_TFNO, **common),
    "user": lambda **common: ConvolutionModule(width=4, **common),
}


def silent(data, **options):
    network = {"class_path": "tests.modules.test_forecast.Silent"}
    return NetworkModule(network=network, spec=data.spec, n_steps_input=data.n_steps_input, **options)


def forecast(module, n_points=16, n_steps=3):
    generator = torch.Generator().manual_seed(1)
    history = torch.rand(2, 2, 2, n_points, generator=generator) - 0.5  # within the range of the training
    return module.forecast(history, scalars=0.5 + 0.5 * torch.rand(2, 1, generator=generator), n_steps=n_steps)


def test_a_silent_residual_network_repeats_the_last_frame_plus_the_mean_increment(make_data, make_trainer):
    data = make_data()
    module = silent(data, residual=True)
    make_trainer(max_steps=0).fit(module, data)
    batch = next(iter(data.val_dataloader()))
    found = module.forecast(batch, n_steps=4)
    drift = data.statistics.mean_delta.float().view(2, 1)
    for k in range(4):
        torch.testing.assert_close(found[:, k], batch.history[:, -1] + (k + 1) * drift, rtol=1e-4, atol=1e-4)


def test_a_silent_plain_network_predicts_the_training_mean(make_data, make_trainer):
    data = make_data()
    module = silent(data)
    make_trainer(max_steps=0).fit(module, data)
    batch = next(iter(data.val_dataloader()))
    found = module.forecast(batch.history, batch.constants, batch.scalars)
    torch.testing.assert_close(found, data.statistics.mean.float().view(1, 1, 2, 1).expand_as(found))


@pytest.mark.parametrize("name", MODULES)
def test_a_checkpoint_needs_neither_data_nor_arguments(name, make_data, make_trainer, tmp_path):
    data = make_data()
    module = MODULES[name](spec=data.spec, n_steps_input=2)
    trainer = make_trainer()
    trainer.fit(module, data)
    path = tmp_path / "trained.ckpt"
    trainer.save_checkpoint(path)

    torch.load(path, weights_only=True)
    loaded = ForecastModule.load_from_checkpoint(path)
    assert type(loaded) is type(module)
    assert loaded.spec == data.spec
    torch.testing.assert_close(forecast(loaded), forecast(module), rtol=0, atol=0)
    with pytest.warns(UserWarning, match="on a grid of 24 points, but the network was trained on 16 alone"):
        assert forecast(loaded, n_points=24).shape == (2, 3, 2, 24)
    forecast(loaded, n_points=24)  # once for each grid


@pytest.mark.parametrize("name", ["fno", "neuralop"])
def test_resuming_equals_training_in_one_go(name, make_data, make_trainer, tmp_path):
    data = make_data()

    def train(max_epochs, folder, ckpt_path=None):
        torch.manual_seed(0)
        module = MODULES[name](spec=data.spec, n_steps_input=2, lr_scheduler=WarmupCosineFor16)
        module.fit_normalization(data.statistics)
        checkpoint = ModelCheckpoint(dirpath=tmp_path / folder, save_last=True)
        trainer = make_trainer(max_epochs=max_epochs, callbacks=[checkpoint], enable_checkpointing=True)
        trainer.fit(module, in_order, data.val_dataloader(), ckpt_path=ckpt_path)
        return module, checkpoint.last_model_path

    data.prepare_data()
    data.setup("fit")
    in_order = DataLoader(data.dataset("train"), batch_size=8, collate_fn=collate)
    whole, _ = train(4, "whole")
    _, half = train(2, "half")
    resumed, _ = train(4, "resumed", ckpt_path=half)
    for name_, expected in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name_], expected, rtol=1e-5, atol=1e-6)


class WarmupCosineFor16(WarmupCosine):
    def __init__(self, optimizer):
        super().__init__(optimizer, total_steps=16)


@pytest.mark.long
def test_training_reduces_the_loss_below_persistence(make_data, make_trainer):
    torch.manual_seed(0)
    data = make_data()
    untrained = silent(data, residual=True)
    module = FNOModule(data.spec, n_modes=(8,), n_steps_input=2, hidden_channels=16, n_layers=2)
    trainer = make_trainer(max_epochs=30)
    trainer.fit(module, data)
    error = trainer.validate(module, data, verbose=False)[0]["val/vrmse"]
    persistence = make_trainer(max_steps=0)
    persistence.fit(untrained, data)
    baseline = persistence.validate(untrained, data, verbose=False)[0]["val/vrmse"]
    assert error < 0.3 * baseline


def test_targets_of_several_steps_are_reached_autoregressively(make_data, make_trainer):
    data = make_data(n_steps_output=3)
    module = MODULES["fno"](spec=data.spec, n_steps_input=2)
    make_trainer(max_steps=1).fit(module, data)
    batch = next(iter(data.val_dataloader()))
    assert batch.target.shape[1] == 3
    one_by_one, history = [], batch.history
    for _ in range(3):
        frame = module.forecast(history, batch.constants, batch.scalars)
        one_by_one.append(frame)
        history = torch.cat((history[:, 1:], frame), dim=1)
    _, prediction = module.step(batch)
    expected = module.normalizer.fields.encode(torch.cat(one_by_one, dim=1), n_dims=1)
    torch.testing.assert_close(prediction, expected, rtol=1e-4, atol=1e-5)


def test_the_schedule_lasts_as_long_as_the_training(make_data, make_trainer):
    data = make_data()
    module = MODULES["fno"](spec=data.spec, n_steps_input=2, lr_scheduler=WarmupCosine)
    trainer = make_trainer(max_epochs=3)
    trainer.fit(module, data)
    scheduler = module.lr_schedulers()
    assert scheduler.total_steps == trainer.global_step > 0
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(scheduler.final * 1e-3)


def test_compiling_keeps_the_names_of_the_weights():
    spec = FieldSpec("box", fields=("u",), grid_shape=(16,))
    plain, compiled = (FNOModule(spec, n_modes=(4,), compile=choice) for choice in (False, True))
    plain.configure_model()
    compiled.configure_model()
    assert compiled.network._compiled_call_impl is not None
    assert plain.state_dict().keys() == compiled.state_dict().keys()


def test_scalars_and_constants_reach_the_network():
    spec = FieldSpec("box", fields=("u",), grid_shape=(16,), constant_fields=("k",), scalars=("a", "b"))
    module = FNOModule(spec, n_modes=(4,), n_steps_input=3)
    assert module.in_channels == 3 + 1 + 2
    history = torch.randn(2, 3, 1, 16)

    def predict(constant, scalar):
        torch.manual_seed(0)
        return module.forecast(history, torch.full((2, 1, 16), constant), torch.full((2, 2), scalar))

    reference = predict(0.0, 0.0)
    assert (predict(1.0, 0.0) - reference).abs().max() > 1e-4
    assert (predict(0.0, 1.0) - reference).abs().max() > 1e-4


def test_a_steady_problem_has_no_history():
    spec = FieldSpec("darcy", fields=("pressure",), grid_shape=(8, 8), constant_fields=("permeability",))
    module = FNOModule(spec, n_modes=(4, 4), n_steps_input=0, residual=True)
    solution = module.forecast(constants=torch.rand(3, 1, 8, 8))
    assert solution.shape == (3, 1, 1, 8, 8)
    assert not module.residual


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_steps_input": -1}, "at least 0, got -1"),
        ({"n_steps_input": 0}, "no input is left"),
        ({"n_modes": (4, 4)}, r"\[4, 4\] has 2 entries, but the data have 1 spatial axes"),
        ({"hiden_channels": 4}, "hiden_channels"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    spec = FieldSpec("box", fields=("u",), grid_shape=(16,))
    with pytest.raises((ValueError, TypeError), match=message):
        FNOModule(**({"spec": spec, "n_modes": (4,)} | arguments))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"class_path": "neuralop.models.NoSuchNetwork"}, "cannot be imported"),
        ({"class_path": "NoModule"}, "cannot be imported"),
        ({"class_path": "math.sqrt"}, "not a torch.nn.Module"),
        ({"clas_path": "neuralop.models.FNO"}, "needs class_path"),
    ],
)
def test_a_network_that_is_none_is_refused(network, message):
    spec = FieldSpec("box", fields=("u",), grid_shape=(16,))
    with pytest.raises(ValueError, match=message):
        NetworkModule(network=network, spec=spec)


def test_a_loaded_module_keeps_its_normalization_on_other_data(make_data, make_trainer, tmp_path):
    data = make_data()
    trainer = make_trainer(max_steps=1)
    trainer.fit(MODULES["fno"](spec=data.spec, n_steps_input=2), data)
    trainer.save_checkpoint(tmp_path / "trained.ckpt")
    loaded = FNOModule.load_from_checkpoint(tmp_path / "trained.ckpt")
    other = make_data(seed=1)
    assert not torch.equal(other_mean(other), data.statistics.mean)
    make_trainer(max_steps=1).fit(loaded, other)
    assert torch.equal(loaded.normalizer.fields.mean, data.statistics.mean)


def other_mean(data):
    data.prepare_data()
    return data.statistics.mean


def test_training_without_statistics_warns(make_data, make_trainer):
    data = make_data()
    data.prepare_data()
    module = MODULES["fno"](spec=data.spec, n_steps_input=2)
    with pytest.warns(UserWarning, match="call module.fit_normalization"):
        make_trainer(max_steps=1).fit(module, data.train_dataloader(), data.val_dataloader())


def test_data_with_other_fields_are_refused(make_data, make_trainer):
    data = make_data()
    module = MODULES["fno"](spec=FieldSpec("box", fields=("u",), grid_shape=(16,)), n_steps_input=2)
    with pytest.raises(ValueError, match=r"made for fields \['u'\].*have \['height', 'flux'\]"):
        make_trainer().fit(module, data)


def test_data_with_another_history_are_refused(make_data, make_trainer):
    data = make_data(n_steps_input=3)
    module = MODULES["fno"](spec=data.spec, n_steps_input=2)
    with pytest.raises(ValueError, match=r"the module takes n_steps_input=2 past frames, but the data give 3: pass"):
        make_trainer().fit(module, data)


def test_a_checkpoint_of_other_fields_is_refused(make_data, make_trainer, tmp_path):
    data = make_data()
    trainer = make_trainer(max_steps=1)
    trainer.fit(MODULES["fno"](spec=data.spec, n_steps_input=2), data)
    trainer.save_checkpoint(tmp_path / "two_fields.ckpt")
    one_field = make_data(fields=["height"])
    module = MODULES["fno"](spec=one_field.spec, n_steps_input=2)
    with pytest.raises(ValueError, match=r"checkpoint was made for fields \['height', 'flux'\]"):
        make_trainer().test(module, one_field, ckpt_path=tmp_path / "two_fields.ckpt")


def test_bases_follow_the_boundaries_if_asked_to():
    sides = (("periodic", "periodic"), ("open", "open"), ("wall", "open"))
    spec = FieldSpec("box", fields=("u",), grid_shape=(8, 8, 8), boundaries=sides)
    assert FNOModule(spec, n_modes=(4, 4, 4), bases="auto").bases == ["fourier", "cosine", "cosine"]
    assert FNOModule(spec, n_modes=(4, 4, 4)).bases is None


def test_absent_parts_need_not_be_given(make_data):
    data = make_data()
    data.prepare_data()
    module = FNOModule(data.spec, (4,), 4, n_layers=1, n_steps_input=2)
    batch = next(iter(data.val_dataloader()))
    expected = module.forecast(batch.history, batch.constants, batch.scalars, n_steps=3)
    assert torch.equal(module.forecast(batch.history, scalars=batch.scalars, n_steps=3), expected)
    assert torch.equal(module.forecast(batch, n_steps=3), expected)
    assert module.forecast(batch).shape == batch.target.shape


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "a forecast needs a history, constant fields or scalars to start from, got none of them"),
        (
            {"history": torch.zeros(2, 2, 2, 16)},
            r"scalars is missing: a forecast of .* takes \['speed'\], shape \(2, 1\)",
        ),
        ({"scalars": torch.zeros(2, 1)}, r"history is missing: a forecast of .* takes \['height', 'flux'\]"),
        (
            {"history": torch.zeros(2, 3, 2, 16), "scalars": torch.zeros(2, 1)},
            r"history has the shape \(2, 3, 2, 16\), but .* takes \(2, 2, 2, 16\)",
        ),
    ],
)
def test_inputs_that_are_missing_or_of_another_shape_are_named(make_data, inputs, message):
    module = FNOModule(make_data().spec, (4,), 4, n_layers=1, n_steps_input=2)
    with pytest.raises(ValueError, match=message):
        module.forecast(**inputs)
