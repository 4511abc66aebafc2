"""What a module hands over to losses, and what it tells them."""

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from fno_lightning.data import Batch, FieldSpec, Statistics
from fno_lightning.losses import (
    MSE,
    RMSE,
    VRMSE,
    ByField,
    Loss,
    MeanFluctuation,
    RelativeL2,
    ReLoBRaLo,
    Sobolev,
    Spectrum,
    WeightedSum,
)
from fno_lightning.modules import ForecastModule

FIELDS = ("density", "pressure", "magic")


class Pointwise(ForecastModule):
    def build_network(self):
        torch.manual_seed(3)
        return nn.Conv1d(self.in_channels, self.out_channels, 1)


def data(mean, std, dtype=torch.float32):
    """A batch of fields with given means and spreads, and their statistics; members have their own."""
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in (mean, std))
    zeros = torch.zeros_like(mean)
    statistics = Statistics(
        *(mean, std, torch.hypot(mean, std), zeros, std, std),
        *(torch.zeros(*mean.shape[:-1], 0),) * 2,
        *(torch.zeros(0),) * 2,
    )
    member = torch.tensor([0, 1, 1]) % max(1, len(mean) if mean.ndim == 2 else 1)
    of_sample = (mean[member], std[member]) if mean.ndim == 2 else (mean.expand(3, -1), std.expand(3, -1))
    centre, spread = (values[:, None, :, None] for values in of_sample)
    noise = torch.randn(3, 2, len(FIELDS), 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    frames = (centre + spread * noise).to(dtype)
    none = torch.zeros(3, 0)
    return Batch(frames[:, :1], none[..., None].expand(-1, -1, 16), none, frames[:, 1:], member), statistics


def fitted(statistics, loss, members=()):
    spec = FieldSpec("made", FIELDS, (16,), boundaries=(("periodic", "periodic"),), members=members)
    module = Pointwise(spec=spec, n_steps_input=1, loss=loss)
    module.fit_normalization(statistics)
    module.configure_model()
    module.eval()
    return module


RATIOS = [RelativeL2(units="physical"), Sobolev(units="physical")]


@pytest.mark.parametrize("loss", RATIOS)
def test_ratios_of_physical_fields_do_not_depend_on_units(loss):
    mean, std = torch.tensor([1.0, -0.5, 2.0]), torch.tensor([0.1, 0.3, 1.0])
    values = []
    for unit in (1.0, 2.0**-90, 2.0**90):
        batch, statistics = data((unit * mean).tolist(), (unit * std).tolist())
        values.append(fitted(statistics, loss).step(batch)[0].item())
    assert values[1:] == [pytest.approx(values[0], rel=1e-6)] * 2


def test_a_relative_error_of_physical_fields_of_a_mixture_is_that_of_decoded_ones():
    batch, statistics = data([[1.0, -0.5, 2.0], [100.0, 5.0, -20.0]], [[0.1, 0.3, 1.0], [3.0, 0.2, 7.0]])
    module = fitted(statistics, RelativeL2(units="physical"), members=("a", "b"))
    error, size = (part.norm(dim=3) for part in (module.forecast(batch) - batch.target, batch.target))
    torch.testing.assert_close(module.step(batch)[0], (error / size).mean(), rtol=1e-5, atol=0)


class Seen(Loss):
    units = "physical"

    def forward(self, prediction, target):
        self.prediction, self.target = prediction, target
        return (prediction - target).mean()


@pytest.mark.parametrize("autocasts", [False, True])
def test_a_loss_may_see_fields_in_physical_units_and_the_precision_of_the_data(autocasts):
    batch, statistics = data([101325.0, 1.0, 0.0], [0.1, 0.1, 1.0], torch.float64)
    module = fitted(statistics, Seen())
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocasts):
        module.step(batch)
    assert module.loss.prediction.dtype == torch.float64
    assert torch.equal(module.loss.target, batch.target)
    assert (module.loss.prediction - batch.target)[:, :, 0].abs().max() < 1  # bfloat16 has steps of 512 there


EVERY = [
    MSE(),
    RMSE(),
    VRMSE(),
    MeanFluctuation(),
    RelativeL2(),
    RelativeL2(units="physical"),
    Sobolev(),
    Spectrum(),
    WeightedSum([VRMSE(), Spectrum()], [1.0, 0.1]),
    ByField(default=VRMSE()),
    ReLoBRaLo([ByField(default=VRMSE()), Spectrum()], [1.0, 0.1]),
]


@pytest.mark.parametrize("loss", EVERY, ids=lambda loss: f"{type(loss).__name__}-{loss.units}")
@pytest.mark.parametrize("constant", [0.0, 0.1, -1e30])
def test_a_field_that_does_not_vary_is_left_out_of_the_loss(loss, constant):
    """Its values in float32 differ from its mean in float64, and by round-off among themselves."""
    batch, statistics = data([1.0, constant, 2.0], [0.1, 0.0, 1.0])
    batch.target[:, :, 1, ::2] *= 1 + 1e-7
    module = fitted(statistics, loss)
    module.on_test_start()
    value, prediction = module.step(batch)
    assert value.isfinite()
    part = Statistics(
        *(getattr(statistics, name)[::2] for name in ("mean", "std", "rms", "mean_delta", "std_delta", "rms_delta")),
        *(torch.zeros(0),) * 4,
    )
    alone = Pointwise(spec=FieldSpec("made", FIELDS[::2], (16,)), n_steps_input=1, loss=loss)
    alone.fit_normalization(part)
    alone.configure_model()
    expected = alone._compare(prediction[:, :, ::2], batch._replace(target=batch.target[:, :, ::2]))
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)


def test_a_checkpoint_knows_which_fields_to_leave_out(tmp_path):
    batch, statistics = data([1.0, 3.0, 2.0], [0.1, 0.0, 1.0])
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    module = fitted(statistics, VRMSE())
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "constant.ckpt")
    loaded = Pointwise.load_from_checkpoint(tmp_path / "constant.ckpt", loss=VRMSE(weights={"magic": 3.0}))
    loader = torch.utils.data.DataLoader([0], collate_fn=lambda _: batch)
    trainer.test(loaded, loader, verbose=False)
    assert loaded.loss.weight.tolist() == [0.75, 0.0, 2.25]


def test_weights_of_fields_that_do_not_vary_alone_are_refused():
    _, statistics = data([1.0, 3.0, 2.0], [0.1, 0.0, 1.0])
    module = fitted(statistics, VRMSE(weights={"density": 0.0, "magic": 0.0}))
    with pytest.raises(ValueError, match=r"0 for all of the fields \['density', 'magic'\]: nothing would be trained"):
        module.on_train_start()
