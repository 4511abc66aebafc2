"""Calibrated bands: what they promise, on data that are exchangeable by construction."""

import math

import numpy as np
import pytest
import torch

from fno_lightning.conformal import ConformalBands, ConformalScores, least_trajectories

N_POINTS = 40


def draw(n, generator, n_steps=2, n_fields=2):
    """Errors of trajectories: noise along the points, with a size that each trajectory, lead time and field has."""
    size = torch.rand(n, 1, 1, 1, generator=generator, dtype=torch.float64).exp()
    growth = torch.arange(1.0, n_steps + 1, dtype=torch.float64).view(1, -1, 1, 1)
    units = torch.tensor([1.0, 100.0], dtype=torch.float64)[:n_fields].view(1, 1, -1, 1)
    noise = torch.randn(n, n_steps, n_fields, N_POINTS, generator=generator, dtype=torch.float64)
    return (
        (noise + torch.randn(n, n_steps, n_fields, 1, generator=generator, dtype=torch.float64)) * size * growth * units
    )


def calibrated(errors, coverage=0.9, share=None):
    scores = ConformalScores(coverage, share)
    for part in errors.split(7):
        scores.update(torch.zeros_like(part), torch.ones_like(part), part)
    return scores.bands()


@pytest.mark.parametrize(("share", "n"), [(None, 99), (0.8, 99), (1.0, 49)])
def test_the_coverage_is_the_one_asked_for(share, n):
    generator = torch.Generator().manual_seed(0)
    held = []
    for _ in range(200):
        bands = calibrated(draw(n, generator), share=share)
        inside = draw(50, generator).abs() <= bands.half_width(torch.ones(50, 2, 2, N_POINTS, dtype=torch.float64))
        of_points = inside.double().mean(dim=-1)
        held.append((of_points if share is None else (of_points >= share - 1e-9).double()).mean(dim=0))
    coverage = torch.stack(held).mean(dim=0)  # by lead time and field
    assert coverage.shape == (2, 2)
    assert (coverage - 0.9).abs().max() < 0.02


def test_a_factor_is_the_order_statistic_of_the_theorem():
    errors = draw(30, torch.Generator().manual_seed(1))
    ordered = np.sort(errors.abs().numpy(), axis=-1)
    of_trajectories = np.sort(ordered[..., math.ceil(0.75 * N_POINTS) - 1], axis=0)
    np.testing.assert_allclose(calibrated(errors, 0.9, 0.75).factor, of_trajectories[math.ceil(31 * 0.9) - 1])


def test_without_a_share_the_factor_is_the_smallest_that_controls_the_risk():
    n, alpha = 30, 0.1
    errors = draw(n, torch.Generator().manual_seed(1))
    found = calibrated(errors, 1 - alpha).factor.numpy()
    for step, field in np.ndindex(2, 2):
        points = errors[:, step, field].abs().numpy()
        candidates = np.sort(points.ravel())
        exact = next(c for c in candidates if (n * (points > c).mean(axis=1).mean() + 1) / (n + 1) <= alpha)
        assert exact <= found[step, field] <= exact * 2 ** (1 / 64)


@pytest.mark.parametrize(("coverage", "needed"), [(0.9, 9), (0.95, 19), (0.8, 4), (0.99, 99)])
@pytest.mark.parametrize("share", [None, 0.9])
def test_too_few_trajectories_are_refused_and_told_how_many_are_needed(coverage, needed, share):
    errors = draw(needed, torch.Generator().manual_seed(2))
    assert least_trajectories(coverage) == needed
    assert calibrated(errors, coverage, share).factor.isfinite().all()
    message = f"a coverage of {coverage} takes at least {needed} calibration trajectories, but there are {needed - 1}"
    with pytest.raises(ValueError, match=message):
        calibrated(errors[1:], coverage, share)


@pytest.mark.parametrize("share", [None, 0.9])
def test_lead_times_that_few_trajectories_reach_have_no_band(share):
    generator = torch.Generator().manual_seed(3)
    scores = ConformalScores(0.9, share)
    for errors in (draw(8, generator, n_steps=3), draw(6, generator, n_steps=1)):
        scores.update(torch.zeros_like(errors), torch.ones_like(errors), errors)
    bands = scores.bands()
    assert bands.n_trajectories.tolist() == [14, 8, 8]
    assert bands.factor.isfinite().all(dim=1).tolist() == [True, False, False]
    assert bands.n_steps == 1
    assert (
        bands.half_width(torch.ones(1, 5, 2, 4)).isfinite().all(dim=-1)[0].tolist() == [[True] * 2] + [[False] * 2] * 4
    )


@pytest.mark.parametrize("share", [None, 0.9])
def test_forecasts_that_diverge_widen_the_band(share):
    errors = draw(20, torch.Generator().manual_seed(4))
    before = calibrated(errors, 0.9, share).factor
    errors[0, 1:] = torch.nan
    after = calibrated(errors, 0.9, share).factor
    assert (after[0] == before[0]).all()
    assert (after[1] > before[1]).all()
    errors[:4, 1:] = torch.inf
    assert calibrated(errors, 0.9, share).factor.isfinite().all(dim=1).tolist() == [True, False]


@pytest.mark.parametrize("share", [None, 0.9])
def test_processes_together_calibrate_as_one(share):
    errors = draw(20, torch.Generator().manual_seed(5))
    parts = []
    for part in (errors[:12], errors[12:]):
        scores = ConformalScores(0.9, share)
        scores.update(torch.zeros_like(part), torch.ones_like(part), part)
        parts.append(scores)
    merged = parts[0].merge(parts[1:]).bands()
    torch.testing.assert_close(merged.factor, calibrated(errors, 0.9, share).factor)
    assert merged.n_trajectories.tolist() == [20, 20]


def test_bands_are_plain_values_in_a_checkpoint(tmp_path):
    bands = calibrated(draw(20, torch.Generator().manual_seed(6)), 0.9, 0.95)
    torch.save(bands.to_plain(), tmp_path / "bands.pt")
    again = ConformalBands.from_plain(torch.load(tmp_path / "bands.pt", weights_only=True))
    torch.testing.assert_close(again.factor, bands.factor, rtol=0, atol=0)
    assert (again.coverage, again.share, again.n_steps, again.meaning) == (
        0.9,
        0.95,
        2,
        "0.95 of the points, of 0.9 of the trajectories",
    )


@pytest.mark.parametrize(
    ("coverage", "share", "named"), [(90.0, None, "coverage"), (0.0, 0.9, "coverage"), (0.9, 1.2, "share")]
)
def test_what_is_no_share_is_refused(coverage, share, named):
    with pytest.raises(ValueError, match=f"{named} is"):
        ConformalScores(coverage, share)
