import math

import pytest
import torch

from fno_lightning.layers import CodomainAttention


def test_it_is_the_softmax_of_inner_products_of_functions():
    torch.manual_seed(0)
    layer = CodomainAttention(6, (4, 4), n_heads=2).double()
    x = torch.randn(2, 3, 8, 7, 6, dtype=torch.float64)
    parts = [layer.to_all(x[:, field]).reshape(2, 56, 3, 2, 3) for field in range(3)]  # (batch, point, q k v, head, d)
    for field in range(3):
        heads = []
        for head in range(2):
            products = [
                (parts[field][:, :, 0, head] * other[:, :, 1, head]).sum(dim=-1).mean(dim=1) / math.sqrt(3)
                for other in parts
            ]
            weights = torch.stack(products, dim=1).softmax(dim=1)
            heads.append(sum(weights[:, g, None, None] * other[:, :, 2, head] for g, other in enumerate(parts)))
        expected = layer.mix(torch.cat(heads, dim=-1)).reshape(2, 8, 7, 6)
        torch.testing.assert_close(layer(x)[:, field], expected, rtol=0, atol=1e-12)


def test_weights_of_the_attention_do_not_depend_on_the_resolution():
    torch.manual_seed(0)
    layer = CodomainAttention(4, (4,)).double()
    angle = [2 * torch.pi * torch.arange(n, dtype=torch.float64) / n for n in (12, 36)]
    waves = torch.randn(2, 3, 1, 4, dtype=torch.float64)
    fields = [waves[0] * a[:, None].cos() + waves[1] * a[:, None].sin() for a in angle]
    coarse, fine = (layer(field[None]) for field in fields)
    torch.testing.assert_close(fine[:, :, ::3], coarse, rtol=0, atol=1e-12)


def test_heads_share_out_the_channels():
    with pytest.raises(ValueError, match="5 channels cannot be shared out among 2 heads"):
        CodomainAttention(5, (4,))
