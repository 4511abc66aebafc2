"""Steps of a spectral evolution in full precision; the frames that it stores have single precision."""

import math

import torch

from fno_lightning.pdes.solvers.etdrk4 import ETDRK4


def advance(pde, parameters, state, duration, n_steps):
    """Advances a state ``(batch, channel, *grid)`` in physical space by equal steps."""
    box = pde.box()
    stepper = ETDRK4(pde.linear(box, parameters), pde.nonlinear(box, parameters), duration / n_steps)
    spectrum = box.transform(state)
    for _ in range(n_steps):
        spectrum = stepper.step(spectrum)
    return box.inverse(spectrum)


def order(pde, parameters, state, duration, n_steps):
    """Order of convergence in time, from three step sizes."""
    coarse, medium, fine = (advance(pde, parameters, state, duration, n_steps * 2**k) for k in range(3))
    return math.log2((coarse - medium).norm() / (medium - fine).norm())


def derivative(field, axis, length):
    """First derivative of a periodic field along an axis, by the discrete Fourier transform of numpy's convention."""
    n = field.shape[axis]
    shape = [1] * field.ndim
    shape[axis] = n
    k = 2 * math.pi * torch.fft.fftfreq(n, length / n, dtype=torch.float64).view(shape)
    return torch.fft.ifft(1j * k * torch.fft.fft(field.double(), dim=axis), dim=axis).real
