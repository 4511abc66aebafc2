"""The range of a training and a calibration: what it holds, and what happens outside."""

import warnings

import pytest
import torch

from fno_lightning.callbacks import RolloutEvaluation
from fno_lightning.data import Batch, FieldSpec
from fno_lightning.modules import CertifiedRange, FNOModule, ForecastModule, OffRangeError

SPEC = FieldSpec("flow", ("height",), (8,), constant_fields=("depth",), scalars=("speed",), time_step=0.1)


def batch_of(low=0.0, high=1.0, speed=1.0, n_points=8, dtype=torch.float32):
    line = torch.linspace(low, high, n_points, dtype=dtype).view(1, 1, 1, -1)
    return Batch(line, line[0], torch.tensor([[speed]], dtype=dtype), line)


def trained(**options):
    found = CertifiedRange(SPEC, **options)
    for speed in (0.1, 2.0):
        found.add(batch_of(speed=speed))
    return found


def departures(found, batch, n_steps=None):
    return list(found.departures(*batch[:3], n_steps))


def test_nothing_is_known_before_a_training():
    assert departures(CertifiedRange(SPEC), batch_of(-1e9, 1e9, 1e9, 64), 1000) == []


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (batch_of(speed=0.1), []),
        (batch_of(speed=2.0), []),
        (batch_of(speed=2.001), [("scalar", "speed")]),
        (batch_of(speed=-0.1), [("scalar", "speed")]),
        (batch_of(-0.49, 1.49), []),
        (batch_of(-0.51, 1.0), [("field", "height"), ("constant field", "depth")]),
        (batch_of(0.0, 1.51), [("field", "height"), ("constant field", "depth")]),
        (batch_of(0.0, float("nan")), [("field", "height"), ("constant field", "depth")]),
        (batch_of(n_points=16), [(16,)]),
    ],
)
def test_each_departure_is_found(batch, expected):
    assert departures(trained(), batch) == expected


def test_lead_times_count_up_to_the_longest():
    found = trained()
    assert departures(found, batch_of(), 100) == []
    found.add_lead_times(20)
    found.add_lead_times(10)
    assert departures(found, batch_of(), 20) == []
    assert departures(found, batch_of(), 21) == ["lead time"]


def test_a_departure_warns_once_is_refused_or_ignored():
    found = trained()
    with pytest.warns(
        UserWarning, match="forecast for the scalar 'speed' of 3, but the network was trained on 0.1 to 2"
    ):
        found.check(*batch_of(speed=3.0)[:3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found.check(*batch_of(speed=4.0)[:3])
        trained(off_range="ignore").check(*batch_of(speed=3.0)[:3])
        with found.quiet():
            found.check(*batch_of(5.0, 6.0)[:3])
    with pytest.raises(
        OffRangeError, match=r"grid of 16 points.*; forecast for the scalar 'speed'.*off_range is 'refuse'"
    ):
        trained(off_range="refuse").check(*batch_of(speed=3.0, n_points=16)[:3])
    with pytest.raises(ValueError, match="off_range is 'never', expected"):
        CertifiedRange(SPEC, "never")


def test_values_that_a_trainer_rounds_are_within():
    found = CertifiedRange(SPEC)
    found.add(batch_of(speed=0.1, dtype=torch.bfloat16))
    assert departures(found, batch_of(speed=0.1)) == []
    assert departures(found, batch_of(speed=0.11)) == [("scalar", "speed")]


def test_a_checkpoint_carries_the_range_as_plain_values(make_data, make_trainer, tmp_path):
    data = make_data(n_valid=2)
    module = FNOModule(data.spec, [4], 4, n_layers=1, n_steps_input=2)
    trainer = make_trainer(RolloutEvaluation(n_pictures=0, windows=[(0, 2)]))
    trainer.fit(module, data)
    trainer.save_checkpoint(path := tmp_path / "last.ckpt")
    saved = torch.load(path, weights_only=True)["certified_range"]
    frames = torch.cat([torch.cat((b.history, b.target), dim=1) for b in data.train_dataloader()])
    low, high = saved["values"]["field"]
    torch.testing.assert_close(torch.tensor(low), frames.amin(dim=(0, 1, 3)))
    torch.testing.assert_close(torch.tensor(high), frames.amax(dim=(0, 1, 3)))
    assert saved["values"]["scalar"] == [[0.5], [1.0]]
    assert saved["n_steps"] == 8
    assert len(saved["trajectories"]) == 4
    reloaded = ForecastModule.load_from_checkpoint(path, off_range="refuse")
    batch = next(iter(data.val_dataloader()))
    assert reloaded.forecast(batch).shape == batch.target.shape
    with pytest.raises(OffRangeError, match="forecast for the scalar 'speed' of 2, but"):
        reloaded.forecast(batch._replace(scalars=torch.full_like(batch.scalars, 2.0)))
    with pytest.raises(OffRangeError, match="forecast of 9 steps, but whole trajectories were forecast up to 8"):
        reloaded.forecast(batch, n_steps=9)
    assert "off_range" not in torch.load(path, weights_only=True)["hyper_parameters"]


def test_a_checkpoint_without_a_range_is_read(make_data, make_trainer, tmp_path):
    data = make_data()
    trainer = make_trainer()
    trainer.fit(FNOModule(data.spec, [4], 4, n_layers=1, n_steps_input=2), data)
    trainer.save_checkpoint(path := tmp_path / "last.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    for name in ("certified_range", "bands"):
        del checkpoint[name]
    torch.save(checkpoint, path)
    module = ForecastModule.load_from_checkpoint(path)
    batch = next(iter(data.val_dataloader()))
    assert module.forecast(batch._replace(scalars=100 * batch.scalars)).isfinite().all()
    assert module.bands is None
