"""Networks, losses and gradients on slabs are those of whole fields in one process."""

import pytest
import torch

from fno_lightning.losses import MSE, RMSE, VRMSE, Lp, MeanFluctuation, RelativeL2
from fno_lightning.models import FNO, TFNO
from fno_lightning.modules.checkpointing import checkpoint_activations
from tests.slabs.split import all_slabs, difference, on_slabs, own, process_group, random, whole
from tests.two_processes import results_of

TINY = {"in_channels": 2, "out_channels": 1, "hidden_channels": 4, "n_layers": 2}

NETWORKS = {
    "fno": (FNO, {}),
    "cosine": (FNO, {"bases": ["cosine", "fourier", "sine"]}),
    "chebyshev": (FNO, {"bases": ["chebyshev", "fourier", "cosine"]}),
    "no constant": (FNO, {"bases": ["sine", "sine", "fourier"]}),
    "filter": (FNO, {"filter_order": 8, "positional_embedding": None}),
    "tucker": (TFNO, {"rank": 0.5}),
    "cp": (TFNO, {"rank": 0.5, "factorization": "cp"}),
    "tensor train": (TFNO, {"rank": 0.5, "factorization": "tt", "implementation": "reconstructed"}),
    "padding": (FNO, {"domain_padding": [0.2, 0.3, 0.25], "norm": "instance_norm"}),
    "instance norm": (FNO, {"norm": "instance_norm"}),
    "group norm": (FNO, {"norm": "group_norm"}),
    "layer norm": (FNO, {"norm": "layer_norm"}),
    "film": (FNO, {"conditioning": "film", "n_conditions": 1}),
    "spectral conditioning": (FNO, {"conditioning": "spectral", "n_conditions": 1}),
    "differential": (FNO, {"local": "differential"}),
    "convolution": (FNO, {"local": "convolution", "local_kernel_size": 5, "bases": ["fourier", "cosine", "fourier"]}),
    "padded convolution": (FNO, {"local": "convolution", "domain_padding": 0.3, "periodic": [True, False, True]}),
}

LOSSES = {
    "mse": MSE(),
    "rmse": RMSE(),
    "vrmse": VRMSE(),
    "mean and fluctuation": MeanFluctuation(),
    "relative l2": RelativeL2(),
    "l3": Lp(3.0, relative=False),
    "largest": Lp(float("inf")),
}

GRIDS = {
    1: ((19,), (10,)),
    2: ((12, 11), (6, 5)),
    3: ((8, 9, 10), (4, 4, 6)),
}

SPLITS = {
    (1, 2): [(0, (8, 11))],
    (2, 2): [(0, (5, 7)), (1, (6, 5))],
    (2, 4): [(0, (3, 3, 2, 4)), (1, (2, 3, 3, 3))],
    (3, 2): [(0, (4, 4)), (1, (4, 5)), (2, (7, 3))],
    (3, 4): [(0, (2, 2, 2, 2)), (2, (3, 2, 2, 3))],
}


def network(name, n_dims):
    model, options = NETWORKS[name]
    grid, n_modes = GRIDS[n_dims]
    shaped = {key: value[:n_dims] if isinstance(value, list) else value for key, value in options.items()}
    torch.manual_seed(1)
    built = model(n_modes=n_modes, **TINY, **shaped).double()
    x = random(2, TINY["in_channels"], *grid)
    if "n_conditions" in options:
        x[:, -1:] = x[:, -1:].flatten(2)[..., :1].reshape(2, 1, *(1,) * n_dims)
    return built, x, random(2, 1, *grid, seed=5)


def mean_fluctuation(y, target):
    return LOSSES["mean and fluctuation"](y[:, None], target[:, None])


def of_networks(rank, port, n_processes, n_dims, names):
    with process_group(rank, port, n_processes):
        found = {}
        for name in names:
            built, x, target = network(name, n_dims)
            expected = whole(built, mean_fluctuation, x, target)
            for axis, slabs in all_slabs(SPLITS[n_dims, n_processes]):
                here = on_slabs(built, mean_fluctuation, x, target, slabs, axis + 2)
                found[name, axis] = difference(here, expected, slabs, axis + 2)
        return found


@pytest.mark.parametrize("n_dims", [2, 3])
@pytest.mark.parametrize("n_processes", [2, 4])
def test_networks(n_processes, n_dims):
    names = list(NETWORKS) if (n_processes, n_dims) == (2, 2) else ["fno", "tucker", "padding", "convolution"]
    for by_case in results_of(of_networks, n_processes, n_dims, names, n_processes=n_processes):
        assert len(by_case) == len(names) * len(SPLITS[n_dims, n_processes])
        for case, differences in by_case.items():
            assert max(differences.values()) < 1e-11, (case, differences)


def test_one_dimension():
    for by_case in results_of(of_networks, 2, 1, ["fno", "cosine", "differential", "group norm"]):
        for case, differences in by_case.items():
            assert max(differences.values()) < 1e-11, (case, differences)


def in_other_ways(rank, port):
    """Evaluate blocks again in the backward pass; compute in bfloat16."""
    with process_group(rank, port, 2):
        built, x, target = network("convolution", 2)
        expected = whole(built, mean_fluctuation, x, target)
        ((axis, slabs),) = all_slabs([(1, (5, 6))])
        checkpoint_activations(built, "full")
        again = difference(on_slabs(built, mean_fluctuation, x, target, slabs, axis + 2), expected, slabs, axis + 2)
        built, x, target = (part.float() for part in network("tucker", 2))
        expected = whole(built, mean_fluctuation, x, target)
        with torch.autocast("cpu", torch.bfloat16):
            half = difference(on_slabs(built, mean_fluctuation, x, target, slabs, axis + 2), expected, slabs, axis + 2)
            alone = whole(built, mean_fluctuation, x, target)
        return again, half, difference(cut(alone, slabs, axis + 2), expected, slabs, axis + 2)


def cut(found, slabs, axis):
    return found | {name: own(found[name], slabs, axis) for name in ("output", "input")}


def test_evaluated_again_and_in_bfloat16():
    for again, half, half_alone in results_of(in_other_ways):
        assert max(again.values()) < 1e-11, again
        assert max(half.values()) < 2 * max(half_alone.values()), (half, half_alone)


def of_losses(rank, port):
    with process_group(rank, port, 2):
        found = {}
        for name, loss in LOSSES.items():
            built, x, target = network("fno", 2)

            def compare(y, target, loss=loss):
                return loss(y[:, None], target[:, None])

            expected = whole(built, compare, x, target)
            ((_, slabs),) = all_slabs([(1, (3, 8))])
            found[name] = difference(on_slabs(built, compare, x, target, slabs, 3), expected, slabs, 3)
        return found


def test_losses():
    for by_loss in results_of(of_losses):
        assert by_loss.keys() == LOSSES.keys()
        for name, differences in by_loss.items():
            assert max(differences.values()) < 1e-11, (name, differences)
