"""Metrics of ensembles against scoringrules, plain double loops, and closed forms of the Gaussian."""

import math

import numpy as np
import pytest
import scoringrules
import torch

from fno_lightning import metrics


def make_ensemble(n_members=5, n_batch=3, grid=(4, 3), seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(n_batch, 2, 2, *grid, generator=generator, dtype=dtype)
    return target + torch.randn(n_members, *target.shape, generator=generator, dtype=dtype), target


@pytest.mark.parametrize(("fair", "estimator"), [(True, "fair"), (False, "nrg")])
@pytest.mark.parametrize("n_members", [2, 7])
def test_the_crps_is_that_of_scoringrules(fair, estimator, n_members):
    ensemble, target = make_ensemble(n_members)
    expected = scoringrules.crps_ensemble(target.numpy(), ensemble.numpy(), m_axis=0, estimator=estimator)
    found = metrics.crps(ensemble, target, n_dims=2, fair=fair)
    np.testing.assert_allclose(found, expected.mean(axis=(-2, -1)), rtol=1e-12)


@pytest.mark.parametrize("fair", [True, False])
def test_the_crps_is_that_of_a_double_loop(fair):
    ensemble, target = make_ensemble(4, grid=(3,))
    m = len(ensemble)
    distance = sum((a - b).abs() for a in ensemble for b in ensemble) / (2 * m * (m - 1 if fair else m))
    expected = (sum((member - target).abs() for member in ensemble) / m - distance).mean(dim=-1)
    torch.testing.assert_close(metrics.crps(ensemble, target, 1, fair=fair), expected)


def test_the_fair_crps_of_gaussian_members_is_that_of_the_gaussian_whatever_their_number():
    generator = torch.Generator().manual_seed(0)
    y = 0.7
    exact = y * math.erf(y / math.sqrt(2)) + 2 * math.exp(-y * y / 2) / math.sqrt(2 * math.pi) - 1 / math.sqrt(math.pi)
    for n_members in (2, 8):
        ensemble = torch.randn(n_members, 400_000, generator=generator)
        assert abs(float(metrics.crps(ensemble, torch.full((400_000,), y), 1)) - exact) < 5e-3


def test_the_crps_of_one_member_is_its_absolute_error():
    ensemble, target = make_ensemble(1)
    torch.testing.assert_close(metrics.crps(ensemble, target, 2), metrics.mae(ensemble[0], target, 2))


def test_the_spread_of_a_reliable_ensemble_is_the_error_of_its_mean():
    generator = torch.Generator().manual_seed(1)
    truth_and_members = torch.randn(6, 200, 1, 1, 500, generator=generator) * 3
    ratio = metrics.SpreadSkill(n_dims=1)
    for part in truth_and_members.split(50, dim=1):
        ratio.update(part[1:], part[0])
    assert ratio.compute().item() == pytest.approx(1, abs=0.01)
    overconfident = metrics.SpreadSkill(n_dims=1)
    overconfident.update(0.5 * truth_and_members[1:], truth_and_members[0])
    assert overconfident.compute().item() == pytest.approx(math.sqrt(6 / 5 * 0.25 / (1 + 0.25 / 5)), rel=0.01)


def test_spread_and_skill_are_those_of_numpy():
    ensemble, target = make_ensemble(5)
    x, t = ensemble.numpy(), target.numpy()
    variance = 6 / 5 * x.var(axis=0, ddof=1).mean(axis=(-2, -1))
    np.testing.assert_allclose(metrics.spread(ensemble, 2), np.sqrt(variance), rtol=1e-12)
    ratio = metrics.SpreadSkill(n_dims=2)
    ratio.update(ensemble, target)
    error = ((x.mean(axis=0) - t) ** 2).mean(axis=(-2, -1))
    np.testing.assert_allclose(ratio.compute(), np.sqrt(variance.sum(axis=0) / error.sum(axis=0)), rtol=1e-12)


def test_ranks_count_the_members_below_and_share_out_ties():
    ensemble, target = make_ensemble(4, grid=(6,))
    ensemble[:2, 0, 0, 0, 0] = target[0, 0, 0, 0]
    expected = np.zeros((*target.shape[:-1], 5))
    for index in np.ndindex(*target.shape):
        members, t = ensemble[(slice(None), *index)].numpy(), float(target[index])
        first, last = (members < t).sum(), (members <= t).sum()
        expected[(*index[:-1], slice(first, last + 1))] += 1 / (last - first + 1) / target.shape[-1]
    np.testing.assert_allclose(metrics.ranks(ensemble, target, 1), expected, atol=1e-12)
    histogram = metrics.Ranks(n_dims=1)
    for part, of_part in zip(ensemble.split(2, dim=1), target.split(2), strict=True):
        histogram.update(part, of_part)
    np.testing.assert_allclose(histogram.histogram(4), expected.mean(axis=0), atol=1e-12)


def test_the_ranks_of_a_reliable_ensemble_are_equally_frequent():
    drawn = torch.randn(5, 1, 1, 1, 50_000, generator=torch.Generator().manual_seed(2))
    assert (metrics.ranks(drawn[1:], drawn[0], 1) - 0.2).abs().max() < 0.01


def test_coverage_is_the_share_of_points_within():
    t = torch.randn(2, 3, 1, 7, generator=torch.Generator().manual_seed(3))
    lower, upper = -0.5 * torch.ones_like(t), torch.ones_like(t)
    expected = ((t.numpy() >= -0.5) & (t.numpy() <= 1)).mean(axis=-1)
    np.testing.assert_allclose(metrics.coverage(lower, upper, t, 1), expected, rtol=1e-6)


def test_means_over_samples_are_in_physical_units_and_infinite_where_a_member_diverges():
    ensemble, target = make_ensemble(3)
    unit = torch.tensor([10.0, 0.1], dtype=torch.float64)
    metric = metrics.CRPS(n_dims=2)
    metric.update(ensemble, target, unit)
    torch.testing.assert_close(metric.compute(), metrics.crps(ensemble, target, 2).mean(dim=0) * unit)
    ensemble[1, 0, 1] = torch.nan
    diverged = metrics.CRPS(n_dims=2)
    diverged.update(ensemble, target)
    assert diverged.compute().isfinite().all(dim=1).tolist() == [True, False]


def test_an_ensemble_that_is_none_is_refused():
    ensemble, target = make_ensemble()
    with pytest.raises(ValueError, match=r"the ensemble must have the shape \(ensemble, batch, time, field"):
        metrics.CRPS(n_dims=1).update(ensemble, target)
