"""Every metric against The Well's own function, which is channels-last, and against plain NumPy."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch
from the_well.benchmark.metrics import spatial, spectral
from the_well.data.datasets import WellMetadata
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fno_lightning import metrics

GRIDS = pytest.mark.parametrize(
    "grid", [(33,), (24, 17), (8, 6, 7), (32, 96)], ids=["1-D", "2-D odd", "3-D", "2-D anisotropic"]
)
PAIRS = {
    "vrmse": spatial.VRMSE(),
    "nrmse": spatial.NRMSE(),
    "rmse": spatial.RMSE(),
    "mae": spatial.MAE(),
    "l_infinity": spatial.LInfinity(),
    "pearson": spatial.PearsonR(),
}


def random_fields(grid, dtype=torch.float64):
    """Fields of very different sizes, as density and velocity are, and a prediction that is off by a tenth."""
    generator = torch.Generator().manual_seed(1)
    size = torch.tensor([50.0, 1.0, 1e-2], dtype=dtype).view(3, *(1,) * len(grid))
    target = size * (torch.randn(2, 4, 3, *grid, generator=generator, dtype=dtype) + 1)
    return target + 0.1 * size * torch.randn(target.shape, generator=generator, dtype=dtype), target


def metadata(grid):
    return WellMetadata(
        dataset_name="random",
        n_spatial_dims=len(grid),
        spatial_resolution=grid,
        scalar_names=[],
        constant_scalar_names=[],
        field_names={},
        constant_field_names={},
        boundary_condition_types=[],
        n_files=1,
        n_trajectories_per_file=[2],
        n_steps_per_trajectory=[4],
    )


@GRIDS
@pytest.mark.parametrize("name", PAIRS)
def test_functions_equal_those_of_the_well(name, grid):
    prediction, target = random_fields(grid)
    expected = PAIRS[name](prediction.movedim(2, -1), target.movedim(2, -1), metadata(grid))
    torch.testing.assert_close(getattr(metrics, name)(prediction, target, len(grid)), expected, rtol=1e-12, atol=0)


@GRIDS
@pytest.mark.parametrize(("normalized", "kind"), [(False, "mse"), (True, "nmse")])
def test_spectral_error_equals_that_of_the_well(grid, normalized, kind):
    prediction, target = random_fields(grid)
    bands = spectral.binned_spectral_mse()(prediction.movedim(2, -1), target.movedim(2, -1), metadata(grid))
    expected = torch.stack([bands[f"spectral_error_{kind}_per_bin_{i}"] for i in range(3)], dim=-1)
    error = metrics.spectral_error(prediction, target, len(grid), normalized=normalized)
    torch.testing.assert_close(error, expected, rtol=1e-6, atol=0)


def test_functions_follow_their_formulas():
    prediction, target = random_fields((12, 10))
    p, t = (f.flatten(3).numpy() for f in (prediction, target))
    expected = {
        "vrmse": np.sqrt(((p - t) ** 2).mean(-1) / (t.var(-1, ddof=1) + 1e-7)),
        "nrmse": np.sqrt(((p - t) ** 2).mean(-1) / ((t**2).mean(-1) + 1e-7)),
        "rmse": np.sqrt(((p - t) ** 2).mean(-1)),
        "mae": abs(p - t).mean(-1),
        "l_infinity": abs(p - t).max(-1),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(metrics, name)(prediction, target, 2).numpy(), value, rtol=1e-12)
    correlation = metrics.pearson(prediction, target, 2)[1, 2, 0].item()
    assert correlation == pytest.approx(np.corrcoef(p[1, 2, 0], t[1, 2, 0])[0, 1] * (1 - 1 / 120), rel=1e-6)


def test_bands_add_up_to_the_mean_square_error():
    prediction, target = random_fields((9, 16))
    bands = metrics.spectral_error(prediction, target, 2, normalized=False)
    torch.testing.assert_close(bands.sum(dim=-1), metrics.rmse(prediction, target, 2).square())


def test_a_wave_lies_in_one_shell():
    x = torch.arange(32, dtype=torch.float64) / 32
    wave = 3 * torch.cos(2 * torch.pi * 4 * x).expand(20, 32)
    edges = 2 * torch.pi * torch.tensor([0, 3.5, 4.5, 17])
    power = metrics.shell_power(wave, edges, n_dims=2, spacing=(0.1, 1 / 32))
    torch.testing.assert_close(power, torch.tensor([0.0, 4.5, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("name", metrics.STANDARD_METRICS)
def test_classes_average_over_samples(name):
    prediction, target = random_fields((8, 9), dtype=torch.float32)
    metric = metrics.STANDARD_METRICS[name](2)
    by_sample = metric.evaluate(prediction, target)
    metric.update(prediction[:1], target[:1])
    metric.update(prediction[1:], target[1:])
    torch.testing.assert_close(metric.compute(), by_sample.double().mean(dim=0))
    assert metric.compute().shape == (4, 3)


@pytest.mark.parametrize("band", ["low", "mid", "high"])
def test_each_band_has_its_class(band):
    prediction, target = random_fields((16, 12))
    metric = metrics.SpectralError(2, band=band, normalized=False)
    metric.update(prediction, target)
    expected = metrics.spectral_error(prediction, target, 2, normalized=False)[..., ["low", "mid", "high"].index(band)]
    torch.testing.assert_close(metric.compute(), expected.mean(dim=0))


def test_many_small_batches_lose_no_precision():
    metric = metrics.MAE(1)
    for _ in range(2000):
        metric.update(torch.full((1, 1, 1, 4), 0.1), torch.zeros(1, 1, 1, 4))
    assert metric.compute().item() == pytest.approx(float(np.float32(0.1)), rel=1e-12)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 1e30])
@pytest.mark.parametrize("name", metrics.STANDARD_METRICS)
def test_a_diverged_sample_is_infinitely_bad_and_stays_in_its_place(name, bad):
    prediction, target = random_fields((6, 6), dtype=torch.float32)
    prediction[1, 2:, 0] = bad
    metric = metrics.STANDARD_METRICS[name](2)
    metric.update(prediction, target)
    errors = metric.compute()
    untouched = torch.ones(4, 3, dtype=torch.bool)
    untouched[2:, 0] = False
    assert errors[untouched].isfinite().all()
    assert not errors.isnan().any()
    if bad == 1e30 and name in ("mae", "l_infinity"):
        assert (errors[2:, 0] > 1e29).all()
    elif bad == 1e30 and name == "pearson":
        assert (errors[2:, 0].abs() <= 1).all()
    else:
        assert (errors[2:, 0] == (-torch.inf if metric.higher_is_better else torch.inf)).all()


def test_trajectories_may_differ_in_length():
    metric = metrics.RMSE(1)
    metric.update(torch.ones(1, 2, 1, 4), torch.zeros(1, 2, 1, 4))
    metric.update(3 * torch.ones(1, 5, 1, 4), torch.zeros(1, 5, 1, 4))
    assert metric.compute().flatten().tolist() == [2, 2, 3, 3, 3]


def test_forward_returns_the_batch_and_keeps_the_mean():
    metric = metrics.RMSE(1)
    for value in (1.0, 3.0):
        batch = metric(value * torch.ones(1, 1, 1, 4), torch.zeros(1, 1, 1, 4))
        assert batch.item() == value
    assert metric.compute().item() == 2


def test_half_precision_is_evaluated_in_single_and_summed_in_double():
    metric = metrics.VRMSE(2).to(torch.bfloat16)
    prediction, target = (f.bfloat16() for f in random_fields((16, 16), dtype=torch.float32))
    metric.update(prediction, target)
    expected = metrics.vrmse(prediction.float(), target.float(), 2).double().mean(dim=0)
    torch.testing.assert_close(metric.compute(), expected)


def test_a_wrong_number_of_dimensions_is_refused():
    with pytest.raises(ValueError, match=r"2 grid axes, got \(1, 1, 1, 8\)"):
        metrics.VRMSE(2).update(torch.zeros(1, 1, 1, 8), torch.zeros(1, 1, 1, 8))


@pytest.mark.parametrize("name", metrics.STANDARD_METRICS)
def test_one_step_of_one_field_keeps_its_axes(name):
    prediction, target = (fields[:, :1, :1] for fields in random_fields((8, 9)))
    metric = metrics.STANDARD_METRICS[name](2)
    assert metric(prediction, target).shape == (1, 1)
    for copy in (metric, deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert copy.compute().shape == (1, 1)
        assert copy.compute().item() == pytest.approx(metric.evaluate(prediction, target).mean().item(), rel=1e-12)


class NoFloat64(TorchDispatchMode):
    """Lets no float64 come into being on the ``meta`` device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            is_on_device = isinstance(tensor, torch.Tensor) and tensor.device.type == "meta"
            assert not (is_on_device and tensor.dtype is torch.float64), func
        return result


@pytest.mark.parametrize("name", metrics.STANDARD_METRICS)
def test_devices_without_float64_are_not_asked_for_it(name, monkeypatch):
    monkeypatch.setattr("fno_lightning.devices.DEVICES_WITHOUT_FLOAT64", ("meta",))
    with NoFloat64():
        metric = metrics.STANDARD_METRICS[name](2).to("meta")
        for n_steps in (2, 3):
            fields = torch.empty(2, n_steps, 3, 8, 6, device="meta")
            metric.update(fields, fields)
        errors = metric.compute()
    assert (errors.dtype, errors.shape) == (torch.float32, (3, 3))
