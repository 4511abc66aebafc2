import copy

import pytest
import torch

from fno_lightning.models import UNO
from fno_lightning.modules import ForecastModule, UNOModule

GRID = (16, 11, 9)


@pytest.mark.parametrize("n_dims", [1, 2, 3])
@pytest.mark.parametrize("n_levels", [1, 3])
def test_keeps_batch_and_grid_also_of_odd_sizes(n_dims, n_levels):
    network = UNO((4, 4, 4)[:n_dims], 3, 2, hidden_channels=4, n_levels=n_levels)
    for grid in (GRID[:n_dims], (7, 8, 5)[:n_dims]):
        assert network(torch.randn(2, 3, *grid)).shape == (2, 2, *grid)


def test_a_shift_by_a_cell_of_the_coarsest_grid_shifts_the_output():
    """Inside: interpolation does not wrap around the ends of a periodic axis."""
    torch.manual_seed(0)
    network = UNO((4,), 1, 1, hidden_channels=4, n_levels=1, positional_embedding=None).double()
    x = torch.randn(2, 1, 16, dtype=torch.float64)
    torch.testing.assert_close(network(x.roll(4, 2)), network(x).roll(4, 2), rtol=0, atol=1e-12)


def test_every_weight_is_trained():
    network = UNO((4, 4), 3, 2, hidden_channels=4)
    network(torch.randn(2, 3, 16, 12)).square().mean().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in network.parameters())


def test_fine_detail_passes_by_the_coarse_grids():
    """The output depends on the parity of points, which no coarser grid holds."""
    torch.manual_seed(0)
    network = UNO((2,), 1, 1, hidden_channels=8, positional_embedding=None)
    x = torch.ones(1, 1, 32)
    x[..., ::2] = -1
    y = network(x)
    assert (y[..., 2:-2:2] - y[..., 3:-1:2]).abs().min() > 1e-3


@pytest.mark.usefixtures("compiler")
def test_compiles_to_one_graph():
    torch.manual_seed(0)
    eager = UNO((4, 4), 3, 2, hidden_channels=4, n_levels=2)
    compiled = copy.deepcopy(eager)
    compiled.compile(backend="eager", fullgraph=True)
    x = torch.randn(2, 3, 12, 9)
    torch.testing.assert_close(compiled(x), eager(x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 2, 8, 8), "3 channels"), ((1, 3, 8), r"2 axes\), got"), ((1, 3, 2, 8), "cannot be halved 2 times")],
)
def test_impossible_inputs_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        UNO((4, 4), 3, 2, hidden_channels=4)(torch.zeros(shape))


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="one to three axes"):
        UNO((), 1, 1)
    with pytest.raises(ValueError, match="at least 1, got 8 and 0"):
        UNO((4,), 1, 1, 8, n_levels=0)


def test_a_module_reloads_and_rolls_out(make_data, make_trainer, tmp_path):
    data = make_data()
    module = UNOModule(data.spec, [4], hidden_channels=4, n_levels=2, n_steps_input=2)
    trainer = make_trainer()
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "uno.ckpt")
    loaded = ForecastModule.load_from_checkpoint(tmp_path / "uno.ckpt")
    batch = next(iter(data.val_dataloader()))
    torch.testing.assert_close(loaded.forecast(batch, n_steps=3), module.forecast(batch, n_steps=3))
    with pytest.raises(ValueError, match=r"n_modes \[4, 4\] has 2 entries, but the data have 1 spatial axes"):
        UNOModule(data.spec, [4, 4])
