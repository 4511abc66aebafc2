"""Networks of neuralop 2.0.0, by the options that ours must equal."""

import torch

from fno_lightning.models import from_neuralop

FNO_CASES = {
    "1-D": ({"n_modes": (8,)}, (32,)),
    "1-D, odd modes, odd grid": ({"n_modes": (7,)}, (31,)),
    "1-D, more modes than points": ({"n_modes": (40,)}, (18,)),
    "2-D": ({"n_modes": (8, 6)}, (16, 12)),
    "2-D, last axis odd": ({"n_modes": (8, 6)}, (16, 15)),
    "2-D, odd modes": ({"n_modes": (7, 5)}, (16, 14)),
    "2-D, every mode of the grid": ({"n_modes": (16, 14)}, (16, 14)),
    "2-D, more modes than points": ({"n_modes": (12, 14)}, (8, 10)),
    "2-D, odd modes, more than points": ({"n_modes": (11, 13)}, (8, 10)),
    "2-D, max_n_modes": ({"n_modes": (8, 6), "max_n_modes": (12, 10)}, (16, 16)),
    "2-D, max_n_modes, few points": ({"n_modes": (8, 6), "max_n_modes": (12, 10)}, (6, 4)),
    "3-D": ({"n_modes": (4, 6, 6)}, (8, 10, 12)),
    "3-D, odd modes": ({"n_modes": (3, 5, 5)}, (8, 10, 11)),
    "3-D, more modes than points": ({"n_modes": (8, 4, 8)}, (6, 8, 5)),
    "instance norm, identity skip": ({"n_modes": (8, 8), "norm": "instance_norm", "fno_skip": "identity"}, (16, 16)),
    "group norm, gated skip": ({"n_modes": (8, 8), "norm": "group_norm", "fno_skip": "soft-gating"}, (16, 16)),
    "linear skip around the block": ({"n_modes": (8, 8), "channel_mlp_skip": "linear"}, (16, 16)),
    "no skips": ({"n_modes": (8, 8), "fno_skip": None, "channel_mlp_skip": None}, (16, 16)),
    "no channel MLP": ({"n_modes": (8, 8), "use_channel_mlp": False}, (16, 16)),
    "padding": ({"n_modes": (8, 8), "domain_padding": 0.25}, (16, 16)),
    "padding by axis": ({"n_modes": (8, 8), "domain_padding": [0.0, 0.2]}, (16, 16)),
    "linear lifting, no embedding": (
        {"n_modes": (8, 8), "lifting_channel_ratio": 0, "positional_embedding": None},
        (16, 16),
    ),
    "other ratios": ({"n_modes": (8, 8), "projection_channel_ratio": 1.5, "channel_mlp_expansion": 2.0}, (16, 16)),
}
TFNO_CASES = {
    f"{factorization}, {implementation}, {len(grid)}-D, rank {rank}": (
        {"n_modes": n_modes, "factorization": factorization, "implementation": implementation, "rank": rank},
        grid,
    )
    for factorization in ("Tucker", "CP", "TT")
    for implementation in ("factorized", "reconstructed")
    for n_modes, grid, rank in (((8,), (18,), 0.2), ((8, 7), (16, 13), 0.1), ((6, 8, 4), (8, 6, 9), 0.4))
}


def relative_difference(reference_class, settings, grid):
    """Return the norm of the difference of the outputs, over that of the outputs, for random parameters."""
    torch.manual_seed(0)
    reference = reference_class(in_channels=3, out_channels=2, hidden_channels=16, n_layers=3, **settings)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    x = torch.randn(2, 3, *grid)
    with torch.no_grad():
        expected, y = reference(x), from_neuralop(reference)(x)
    return ((y - expected).norm() / expected.norm()).item()
