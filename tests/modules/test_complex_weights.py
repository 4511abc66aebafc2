"""Optimizers of spectral weights, which are stored as pairs of real numbers, beside those of complex ones."""

import torch
from neuralop.training.adamw import AdamW as NeuralopAdamW
from torch.func import functional_call

from fno_lightning.models import FNO

OPTIONS = {"lr": 1e-2, "betas": (0.8, 0.95), "weight_decay": 0.1}
N_STEPS = 6


def make_network():
    torch.manual_seed(0)
    return FNO((6,), 2, 1, 3, n_layers=1).double()


def trained(make_optimizer, as_pairs):
    """Train the spectral weights alone, as pairs or as complex numbers; return them as complex numbers."""
    network = make_network()
    name = "blocks.0.conv.weight.kernel"
    start = dict(network.named_parameters())[name].detach()
    weight = torch.nn.Parameter(start.clone() if as_pairs else torch.view_as_complex(start.clone()))
    optimizer = make_optimizer([weight])
    generator = torch.Generator().manual_seed(1)
    gradients = []
    for _ in range(N_STEPS):
        x = torch.randn(4, 2, 16, generator=generator, dtype=torch.float64)
        kernel = weight if as_pairs else torch.view_as_real(weight)
        optimizer.zero_grad()
        functional_call(network, {name: kernel}, (x,)).square().mean().backward()
        gradients.append(weight.grad.clone())
        optimizer.step()
    final = weight.detach()
    return torch.view_as_complex(final) if as_pairs else final, torch.view_as_complex(start), gradients


def test_adamw_of_pairs_is_torchs_adamw_of_complex_weights():
    pairs, start, _ = trained(lambda weights: torch.optim.AdamW(weights, **OPTIONS), as_pairs=True)
    complex_ones, _, _ = trained(lambda weights: torch.optim.AdamW(weights, **OPTIONS), as_pairs=False)
    torch.testing.assert_close(pairs, complex_ones, rtol=1e-12, atol=1e-14)
    assert (pairs - start).abs().min() > 1e-3


def neuralop_loop(weight, gradients, lr, betas, weight_decay, eps=1e-6):
    """AdamW with one second moment for both parts, |g|², and the decay after the step."""
    first, second = torch.zeros_like(weight), torch.zeros_like(weight.real)
    for step, gradient in enumerate(gradients, start=1):
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient.abs().square()
        rate = lr * (1 - betas[1] ** step) ** 0.5 / (1 - betas[0] ** step)
        weight = weight - rate * first / (second.sqrt() + eps)
        weight = weight - lr * weight_decay * weight
    return weight


def test_neuralops_adamw_has_one_second_moment_for_both_parts():
    found, start, gradients = trained(lambda weights: NeuralopAdamW(weights, **OPTIONS), as_pairs=False)
    torch.testing.assert_close(found, neuralop_loop(start, gradients, **OPTIONS), rtol=1e-10, atol=1e-12)
    torchs, _, _ = trained(lambda weights: torch.optim.AdamW(weights, **OPTIONS), as_pairs=False)
    assert (found - torchs).abs().max() > 1e-2


def test_the_first_step_of_neuralop_follows_the_gradient_and_that_of_torch_a_diagonal():
    gradient = torch.tensor([3 + 4j, 1e-3 - 1e-2j], dtype=torch.complex128)
    steps = []
    for kind in (NeuralopAdamW, torch.optim.AdamW):
        weight = torch.nn.Parameter(torch.zeros(2, dtype=torch.complex128))
        weight.grad = gradient.clone()
        kind([weight], lr=0.1, weight_decay=0.0, eps=1e-12).step()
        steps.append(weight.detach())
    torch.testing.assert_close(steps[0], -0.1 * gradient / gradient.abs())
    torch.testing.assert_close(steps[1], -0.1 * torch.complex(gradient.real.sign(), gradient.imag.sign()))


def test_both_are_the_same_for_real_weights():
    results = []
    for kind in (NeuralopAdamW, torch.optim.AdamW):
        weight = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
        optimizer = kind([weight], lr=0.1, weight_decay=0.0, eps=1e-15)
        for step in range(4):
            weight.grad = weight.detach() * torch.tensor([1.0, -2.0, 0.3 * step])
            optimizer.step()
        results.append(weight.detach())
    torch.testing.assert_close(*results)
