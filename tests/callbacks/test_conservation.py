import math

import numpy as np
import pytest
import torch

from fno_lightning.callbacks.conservation import conserved_quantities, drift_rows, drift_summary, drifts
from fno_lightning.data import Batch, FieldSpec

GRID = (6, 5)


def make_spec(*fields, axes=("x", "y"), **options):
    return FieldSpec("flow", fields, GRID, axes=axes, time_step=0.5, **options)


@pytest.mark.parametrize(
    ("fields", "axes", "expected"),
    [
        (("density", "pressure", "velocity_x", "velocity_y"), ("x", "y"), {"mass", "momentum_x", "momentum_y"}),
        (("energy", "density", "momentum_x", "momentum_y"), ("x", "y"), {"mass", "momentum_x", "momentum_y", "energy"}),
        (("velocity_x", "velocity_y", "pressure"), ("x", "y"), set()),
        (("density", "velocity_r"), ("log_r", "theta"), set()),
    ],
)
def test_quantities_follow_from_the_names_of_fields(fields, axes, expected):
    assert set(conserved_quantities(make_spec(*fields, axes=axes))) == expected


def test_a_steady_problem_conserves_nothing():
    assert conserved_quantities(FieldSpec("steady", ("density",), GRID)) == {}


def flow(seed=0, n_steps=3):
    generator = torch.Generator().manual_seed(seed)
    frames = 1 + torch.rand(2, 1 + n_steps, 3, *GRID, generator=generator)
    prediction = frames[:, 1:] + 0.1 * torch.rand(2, n_steps, 3, *GRID, generator=generator)
    none = torch.empty(2, 0, *GRID), torch.empty(2, 0)
    return Batch(frames[:, :1], *none, frames[:, 1:]), prediction


def test_drift_is_relative_to_the_size_of_the_truth():
    spec = make_spec("density", "velocity_x", "velocity_y")
    batch, prediction = flow()
    found = drifts(prediction, batch, spec)
    frames = np.concatenate([batch.history, batch.target], axis=1).astype(float)
    momentum = frames[:, :, :1] * frames[:, :, 1:]
    length = np.sqrt((momentum**2).sum(axis=2)).mean(axis=(1, 2, 3))
    for i in range(2):
        start, end = frames[i, 0, 0].mean(), prediction[i, 2, 0].double().mean().item()
        assert found[i].model["mass"][2].item() == pytest.approx((end - start) / frames[i, :, 0].mean())
        start, end = momentum[i, 0, 1].mean(), momentum[i, 3, 1].mean()
        assert found[i].truth["momentum_y"][2].item() == pytest.approx((end - start) / length[i])


def test_points_of_uneven_axes_weigh_as_much_as_their_cells():
    x = (0.5, 1.5, 2.5, 3.5, 5.0, 7.0)  # cells with the edges 0, 1, 2, 3, 4.25, 6, 8
    spec = make_spec("density", coordinates=(x, ()), extent=((0.0, 8.0), (0.0, 1.0)))
    widths = np.diff([0.0, 1.0, 2.0, 3.0, 4.25, 6.0, 8.0])
    batch, prediction = flow()
    (found, _) = drifts(prediction, batch, spec)
    frames = np.concatenate([batch.history, batch.target], axis=1).astype(float)[0, :, 0].mean(axis=2) @ widths / 8
    assert found.truth["mass"].numpy() == pytest.approx((frames[1:] - frames[0]) / frames.mean())


def test_rows_hold_mean_and_largest_over_the_trajectories_and_diverged_ones_are_infinite():
    spec = make_spec("density", "velocity_x", "velocity_y")
    batch, prediction = flow()
    prediction[1, 2:] = torch.nan
    found = drifts(prediction, batch, spec)
    header, *rows = drift_rows(found, spec)
    named = [dict(zip(header, row, strict=True)) for row in rows]
    by_key = {(row["step"], row["quantity"], row["of"]): row for row in named}
    sizes = [abs(found[i].model["mass"][1].item()) for i in range(2)]
    row = by_key[2, "mass", "model"]
    assert row["time"] == "1"
    assert float(row["mean"]) == pytest.approx(sum(sizes) / 2)
    assert float(row["largest"]) == pytest.approx(max(sizes))
    assert float(by_key[3, "mass", "model"]["mean"]) == math.inf
    assert math.isfinite(float(by_key[3, "mass", "truth"]["mean"]))
    assert "mass inf (" in drift_summary(found)


def test_a_quantity_that_is_zero_everywhere_has_no_drift():
    spec = make_spec("density", "velocity_x", "velocity_y")
    batch, prediction = flow()
    for frames in (batch.history, batch.target):
        frames[:, :, 1:] = 0
    found = drifts(prediction, batch, spec)
    assert {row[2] for row in drift_rows(found, spec)} == {"quantity", "mass"}
    assert "momentum" not in drift_summary(found)
