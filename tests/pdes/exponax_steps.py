"""Independent solvers, in float64: https://github.com/Ceyron/exponax."""

import importlib

import torch


def steps_of_exponax(stepper, start, n_steps, *arguments, **options):
    """Advances one state ``(channel, *grid)`` with a stepper of exponax, whose name and arguments are given."""
    jax = importlib.import_module("jax")
    exponax = importlib.import_module("exponax")
    with jax.enable_x64(True):
        step = getattr(exponax.stepper, stepper)(*arguments, order=4, **options)
        end = exponax.repeat(step, n_steps)(jax.numpy.asarray(start.double().numpy()))
        return torch.from_numpy(jax.device_get(end).copy())
