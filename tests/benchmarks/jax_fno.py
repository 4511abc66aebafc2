"""A one-dimensional FNO in JAX, trained by ``lax.scan``: many optimizer steps in one compiled call.

The layers are those of neuralop's FNO with its default options, channels last, with ``jnp.fft.rfft``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from torch import Tensor

if TYPE_CHECKING:
    import optax

Parameters = dict[str, Any]


def parameters_of(state: Mapping[str, Tensor], n_layers: int) -> Parameters:
    """Return the weights of a one-dimensional :class:`~fno_lightning.models.FNO`, from its state dict."""
    arrays = {name: jnp.array(tensor.detach().cpu().numpy()) for name, tensor in state.items()}

    def perceptron(prefix: str) -> list[dict[str, jax.Array]]:
        return [
            {"weight": arrays[f"{prefix}.layers.{i}.weight"], "bias": arrays[f"{prefix}.layers.{i}.bias"]}
            for i in range(2)
        ]

    blocks = [
        {
            "kernel": arrays[f"blocks.{i}.conv.weight.kernel"],
            "bias": arrays[f"blocks.{i}.conv.bias"],
            "skip": arrays[f"blocks.{i}.skip.weight"],
            "mlp": perceptron(f"blocks.{i}.mlp"),
            "gate": arrays[f"blocks.{i}.mlp_skip.weight"],
        }
        for i in range(n_layers)
    ]
    return {"lifting": perceptron("lifting"), "blocks": blocks, "projection": perceptron("projection")}


def parameter_count(parameters: Parameters) -> int:
    """Return the number of real parameters."""
    return sum(leaf.size for leaf in jax.tree_util.tree_leaves(parameters))


def forward(parameters: Parameters, x: jax.Array) -> jax.Array:
    """Map ``(batch, point, in_channel)`` to ``(batch, point, out_channel)``."""
    position = jnp.broadcast_to(jnp.arange(x.shape[1])[:, None] / x.shape[1], (*x.shape[:2], 1))
    x = _perceptron(parameters["lifting"], jnp.concatenate([x, position.astype(x.dtype)], axis=-1))
    last = len(parameters["blocks"]) - 1
    for number, block in enumerate(parameters["blocks"]):
        h = _spectral_conv(block["kernel"], x) + block["bias"] + x @ block["skip"].T
        h = _perceptron(block["mlp"], _gelu(h) if number < last else h) + block["gate"] * x
        x = _gelu(h) if number < last else h
    return _perceptron(parameters["projection"], x)


def mean_squared_error(parameters: Parameters, x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the loss of a batch."""
    return jnp.mean((forward(parameters, x) - y) ** 2)


def make_training(
    x: jax.Array, y: jax.Array, *, batch_size: int, n_epochs: int, optimizer: optax.GradientTransformation
) -> Callable[..., Any]:
    """Return a compiled training of some epochs on data that stay on the device.

    It maps parameters, state of the optimizer and a key to the new ones and the loss of every step
    ``(epoch, step)``. Each epoch has its own order of the samples.
    """
    n_steps = len(x) // batch_size

    def step(carry: tuple, samples: jax.Array) -> tuple:
        parameters, state = carry
        loss, gradients = jax.value_and_grad(mean_squared_error)(parameters, x[samples], y[samples])
        updates, state = optimizer.update(gradients, state, parameters)
        return (jax.tree_util.tree_map(jnp.add, parameters, updates), state), loss

    def epoch(carry: tuple, key: jax.Array) -> tuple:
        order = jax.random.permutation(key, len(x))[: n_steps * batch_size]
        return jax.lax.scan(step, carry, order.reshape(n_steps, batch_size))

    @jax.jit
    def train(parameters: Parameters, state: Any, key: jax.Array) -> tuple:
        carry, losses = jax.lax.scan(epoch, (parameters, state), jax.random.split(key, n_epochs))
        return *carry, losses

    return train


def _spectral_conv(kernel: jax.Array, x: jax.Array) -> jax.Array:
    """Multiply the modes of ``x`` by ``kernel``, ``(mode, in, out, part)``."""
    weight = jax.lax.complex(kernel[..., 0], kernel[..., 1])
    spectrum = jnp.fft.rfft(x, axis=1)[:, : len(weight)]
    mixed = jnp.einsum("bki,kio->bko", spectrum, weight)
    return jnp.fft.irfft(mixed, n=x.shape[1], axis=1)


def _perceptron(layers: list[dict[str, jax.Array]], x: jax.Array) -> jax.Array:
    first, second = layers
    return _gelu(x @ first["weight"].T + first["bias"]) @ second["weight"].T + second["bias"]


def _gelu(x: jax.Array) -> jax.Array:
    return jax.nn.gelu(x, approximate=False)
