import inspect

import pytest
import torch

from fno_lightning.models import FNO, SFNO
from fno_lightning.sphere import colatitudes


def network(**options):
    torch.manual_seed(0)
    return SFNO((6, 10), 2, 1, hidden_channels=8, n_layers=2, **options).double()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"by_order": True, "factorization": "tucker", "rank": 0.5},
        {"factorization": "tt", "rank": 0.5, "norm": "instance_norm"},
        {"conditioning": "spectral", "n_conditions": 1, "latitudes": "equiangular_poles"},
        {"conditioning": "film", "n_conditions": 1, "filter_order": 8, "latitudes": "gauss_legendre"},
    ],
)
def test_a_turn_about_the_axis_passes_through_on_any_grid(options):
    operator = network(**options)
    for grid in ((9, 12), (16, 31)):
        field = torch.randn(2, 2, *grid, dtype=torch.float64)
        field[:, 1:] = field[:, 1:, :1, :1]  # the plane of a parameter
        torch.testing.assert_close(operator(field.roll(4, 3)), operator(field).roll(4, 3), rtol=0, atol=1e-12)
    operator(field).sum().backward()
    assert all(parameter.grad is not None for parameter in operator.parameters())


@pytest.mark.parametrize("positional_embedding", ["grid", None])
def test_only_the_position_tells_north_from_south(positional_embedding):
    operator = network(positional_embedding=positional_embedding)
    field = torch.randn(1, 2, 12, 24, dtype=torch.float64)
    change = (operator(field.flip(2)) - operator(field).flip(2)).abs().max()
    assert bool(change < 1e-12) == (positional_embedding is None)


def test_a_smooth_field_has_the_same_forecast_on_a_finer_grid():
    operator = network()
    forecasts = []
    for grid in ((24, 48), (48, 96)):
        angle = colatitudes("equiangular", grid[0])[:, None]
        longitude = torch.arange(grid[1], dtype=torch.float64) * (2 * torch.pi / grid[1])
        smooth = angle.sin() ** 2 * (2 * longitude).cos() + angle.cos()
        forecasts.append(operator(torch.stack([smooth, smooth**2])[None]))
    coarse, fine = forecasts
    between = (fine[:, :, ::2, ::2] + fine[:, :, 1::2, ::2]) / 2  # the coarse points lie in the middle of two
    assert (coarse - between).abs().max() < 0.02 * coarse.abs().max()


def test_the_matrices_are_a_sound_node_of_a_graph():
    arguments = ("gauss_legendre", "analyses", 6, 4, 3, torch.float32, torch.device("cpu"))
    torch.library.opcheck(torch.ops.fno_lightning.legendre_matrices, arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bases": ["cosine", "fourier"]}, "bases is for a plane"),
        ({"domain_padding": 0.1, "local": "differential"}, "domain_padding and local is for a plane"),
        ({"by_axis": True}, "by_axis is for a plane"),
    ],
)
def test_options_of_a_plane_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        network(**options)


def test_a_sphere_has_two_axes_and_a_plane_no_orders():
    with pytest.raises(ValueError, match="there are two axes"):
        SFNO((4,), 1, 1)
    with pytest.raises(ValueError, match="by_order is for convolutions on the sphere"):
        FNO((4, 4), 1, 1, by_order=True)


def test_the_signature_is_that_of_fno():
    assert list(inspect.signature(SFNO).parameters) == list(inspect.signature(FNO).parameters)
