"""Exchange between processes, metrics on slabs, and what is refused."""

import pytest
import torch

from fno_lightning.layers.local import pad_axis
from fno_lightning.metrics import STANDARD_METRICS
from fno_lightning.models import FNO
from fno_lightning.modules.reversible_norm import ReversibleNorm
from fno_lightning.slabs import even_sizes, gather, halo, slab_mesh, split_fields, stack, total, whole_grid
from fno_lightning.weighted_means import variance_and_mean
from tests.slabs.split import all_slabs, own, process_group, random
from tests.two_processes import results_of

SIZES = (3, 5, 2)


def message_of(call, *args, **options):
    with pytest.raises(ValueError, match=r"\w") as caught:
        call(*args, **options)
    return str(caught.value)


def exchange(rank, port):
    with process_group(rank, port, 3):
        ((_, slabs),) = all_slabs([(0, SIZES)])
        x = random(2, 10, 3)
        mine = own(x, slabs, 1)
        found = {}
        found["gather"] = torch.equal(gather(mine, 1, slabs), x)
        for periodic in (True, False):
            whole = pad_axis(x, 1, 2, periodic=periodic)
            with split_fields(slabs):
                padded = pad_axis(mine, 1, 2, periodic=periodic)
            first, end = slabs.points
            found["halo", periodic] = torch.equal(padded, whole[:, first : end + 4])
        values = torch.tensor([1.0, 2.0 * rank], requires_grad=True)
        summed = total(values, slabs)
        (summed * torch.tensor([rank + 1.0, 1.0])).sum().backward()
        found["sum"] = summed.tolist() == [3.0, 6.0] and values.grad.tolist() == [6.0, 3.0]
        found["stack"] = stack(torch.tensor(float(rank)), slabs).tolist() == [0.0, 1.0, 2.0]
        found["half"] = total(torch.tensor([256.0 if rank == 0 else 1.0], dtype=torch.bfloat16), slabs).tolist()
        with split_fields(slabs):
            found["mean"] = all(
                torch.allclose(ours, theirs, atol=1e-14)
                for ours, theirs in zip(
                    variance_and_mean(mine, (1, 2)), torch.var_mean(x, (1, 2), correction=0, keepdim=True), strict=True
                )
            )
            norm = ReversibleNorm.of(mine[:, None, None])
        expected = ReversibleNorm.of(x[:, None, None])
        found["reversible norm"] = all(map(torch.allclose, norm, expected))
        found["halo is too wide"] = message_of(halo, mine, 1, 3, slabs, periodic=True)
        found["no such mesh"] = message_of(slab_mesh, 2, "cpu")
        found["empty slab"] = message_of(all_slabs, [(0, (10, 0, 0))])
        with split_fields(slabs):
            found["other grid"] = message_of(FNO((4, 4), 1, 1, 2, 1).double(), random(1, 1, 7, 8))
            found["whole grid"] = whole_grid((SIZES[rank], 8))
        return found


def test_exchange():
    for rank, found in enumerate(results_of(exchange, n_processes=3)):
        assert found.pop("half") == [258.0]  # summed one by one in bfloat16 it would be 256
        assert "needs 3 points of the slab beside each slab, but the slabs have [3, 5, 2]" in found.pop(
            "halo is too wide"
        )
        assert "n_slabs=2 does not divide the 3 processes" in found.pop("no such mesh")
        assert "at least one point" in found.pop("empty slab")
        assert f"number {rank}, but the grid of a field is (7, 8)" in found.pop("other grid")
        assert found.pop("whole grid") == (10, 8)
        assert all(value is True for value in found.values()), found


def metrics(rank, port, diverges):
    with process_group(rank, port, 2):
        ((_, slabs),) = all_slabs([(1, (7, 5))])
        prediction, target = random(2, 3, 1, 2, 8, 12)
        if diverges:
            prediction[1, 0, 0, 2, 10] = torch.nan  # in the slab of the second process
        found = {}
        for name, factory in STANDARD_METRICS.items():
            expected, metric = factory(2), factory(2)
            expected.sync_on_compute = False
            expected.update(prediction, target)
            with split_fields(slabs):
                metric.update(own(prediction, slabs, 4), own(target, slabs, 4))
            torch.testing.assert_close(metric.compute(), expected.compute(), rtol=1e-12, atol=1e-12)
            found[name] = metric.compute()[0, 0].item()
        return found


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
@pytest.mark.parametrize("diverges", [False, True])
def test_metrics(diverges):
    for found in results_of(metrics, diverges):
        assert found.keys() == STANDARD_METRICS.keys()
        assert all((abs(value) == float("inf")) is diverges for value in found.values()), found


def test_even_sizes_are_an_axis():
    for n_points in range(5, 20):
        sizes = even_sizes(n_points, 5)
        assert sum(sizes) == n_points
        assert max(sizes) - min(sizes) <= 1
