"""Losses and metrics of points with weights: padding changes nothing, and weights act as numbers of points."""

import pytest
import torch

from fno_lightning.losses import H1, MSE, RMSE, VRMSE, ByField, Lp, MeanFluctuation, RelativeL2, Sobolev, WeightedSum
from fno_lightning.losses.base import Comparison
from fno_lightning.metrics import STANDARD_METRICS, SpectralError

LOSSES = {
    "MSE": MSE(),
    "RMSE": RMSE(),
    "VRMSE": VRMSE(),
    "MeanFluctuation": MeanFluctuation(),
    "RelativeL2": RelativeL2(),
    "L1": Lp(1.0),
    "L3": Lp(3.0, relative=False),
    "Linf": Lp(float("inf")),
}
METRICS = {name: make(1) for name, make in STANDARD_METRICS.items() if make(1).weighs_points}
SIZES = (5, 9, 7)


def ragged():
    """Predictions and targets of different sizes, padded with what would be seen if it counted."""
    generator = torch.Generator().manual_seed(0)
    fields = torch.randn(2, len(SIZES), 2, 1, max(SIZES), generator=generator, dtype=torch.float64)
    weight = torch.rand(len(SIZES), max(SIZES), generator=generator, dtype=torch.float64) + 0.1
    for row, n in enumerate(SIZES):
        weight[row, n:] = 0
        fields[0, row, ..., n:] = 100.0
    return *fields, weight


@pytest.mark.parametrize("name", LOSSES)
def test_a_padded_batch_has_the_mean_loss_and_gradient_of_its_clouds(name):
    prediction, target, weight = ragged()
    prediction.requires_grad_()
    padded = LOSSES[name](prediction, target, weight)
    one_by_one = [
        LOSSES[name](*(part[row : row + 1, ..., :n] for part in (prediction, target, weight)))
        for row, n in enumerate(SIZES)
    ]
    mean = torch.stack(one_by_one).mean()
    torch.testing.assert_close(padded, mean)
    torch.testing.assert_close(*(torch.autograd.grad(loss, prediction)[0] for loss in (padded, mean)))


@pytest.mark.parametrize("name", LOSSES)
def test_equal_weights_give_the_loss_without_weights(name):
    prediction, target, _ = ragged()
    weight = torch.full((len(SIZES), max(SIZES)), 0.3, dtype=torch.float64)
    torch.testing.assert_close(LOSSES[name](prediction, target, weight), LOSSES[name](prediction, target))


@pytest.mark.parametrize("name", ["MSE", "RMSE", "RelativeL2", "L1", "L3", "Linf"])
def test_a_point_of_weight_two_counts_as_two_points(name):
    prediction, target, _ = (part[:1, ..., :5] for part in ragged())
    weight = torch.tensor([[2.0, 2.0, 1.0, 1.0, 1.0]], dtype=torch.float64)
    twice = [0, 1, 2, 3, 4, 0, 1]
    repeated = LOSSES[name](prediction[..., twice], target[..., twice])
    torch.testing.assert_close(LOSSES[name](prediction, target, weight), repeated)


@pytest.mark.parametrize("name", METRICS)
def test_a_padded_batch_has_the_metrics_of_its_clouds(name):
    prediction, target, weight = ragged()
    together, apart = METRICS[name].clone(), METRICS[name].clone()
    together.update(prediction, target, weight=weight)
    for row, n in enumerate(SIZES):
        apart.update(*(part[row : row + 1, ..., :n] for part in (prediction, target)), weight=weight[row : row + 1, :n])
    torch.testing.assert_close(together.compute(), apart.compute())


@pytest.mark.parametrize("name", METRICS)
def test_equal_weights_give_the_metric_without_weights(name):
    prediction, target, _ = ragged()
    weighted, plain = METRICS[name].clone(), METRICS[name].clone()
    weighted.update(prediction, target, weight=torch.full((len(SIZES), max(SIZES)), 2.0))
    plain.update(prediction, target)
    torch.testing.assert_close(weighted.compute(), plain.compute())


def test_sums_hand_the_weights_on():
    prediction, target, weight = ragged()
    whole = WeightedSum([MSE(), RMSE()], [1.0, 0.5])
    nothing = torch.empty(0)
    comparison = Comparison(lambda units: (prediction, target), nothing, nothing, nothing, weight)
    expected = MSE()(prediction, target, weight) + 0.5 * RMSE()(prediction, target, weight)
    torch.testing.assert_close(whole.compare(comparison), expected)


def test_what_needs_a_grid_says_so():
    prediction, target, weight = ragged()
    assert MSE().weighs_points
    assert WeightedSum([MSE(), RMSE()]).weighs_points
    assert ByField(default=MSE()).weighs_points
    for loss in (H1(), Sobolev(), WeightedSum([MSE(), H1()]), ByField(default=H1())):
        assert not loss.weighs_points
    with pytest.raises(ValueError, match="SpectralError compares fields on grids"):
        SpectralError(1).update(prediction, target, weight=weight)
