"""The choice between PyTorch's own operation and a kernel of this package: small questions, and one answer a kernel."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_FFT = 64
"""Smallest number of resolved coefficients of a one-dimensional field for which an FFT is cheaper than a product."""

SMALLEST_PRODUCT = 2**21
"""Smallest number of multiplications for which oneDNN is faster; below, its call costs more than it saves."""

TILE_VALUES = 2**19
"""Values of an input in a tile, for each thread: 2 MB, about a core's own cache."""


# --- one answer for each kernel --------------------------------------------------------------------------------------


def use_fft(values: Tensor, n_coefficients: int) -> bool:
    """Return whether an FFT replaces the product of a one-dimensional Fourier transform."""
    # eager only: a compiled graph cannot fuse complex numbers
    return n_coefficients >= SMALLEST_FFT and is_on_cpu(values, torch.float32, torch.float64) and is_eager()


def use_onednn(x: Tensor, weight: Tensor) -> bool:
    """Return whether oneDNN computes the product of points and a weight."""
    return (
        is_on_cpu(x, torch.float32)
        and weight.dtype == torch.float32
        and x.ndim > 1
        and x.numel() * weight.shape[0] >= SMALLEST_PRODUCT
        and not is_in_autocast()
        and not torch.compiler.is_exporting()
        and not is_in_function_transform()
        and has_onednn()
    )


def use_approximate_gelu(x: Tensor) -> bool:
    """Return whether GELU is computed by formulas as precise as its input; uncompiled, PyTorch's own is as fast."""
    is_compiled_program = torch.compiler.is_compiling() and not torch.compiler.is_exporting()
    return is_compiled_program and is_on_cpu(x, torch.float32, torch.bfloat16)


def use_tiles(x: Tensor) -> bool:
    """Return whether a function of single points is evaluated tile by tile.

    In lower precision the activation costs more than the products, and a compiled graph fuses operations by itself.
    """
    return (
        is_eager()  # first: the compiler cannot see the number of threads
        and is_on_cpu(x, torch.float32)
        and x.numel() >= 2 * tile_values()
        and not is_in_autocast()
        and not is_in_function_transform()
    )


# --- the questions ---------------------------------------------------------------------------------------------------


def is_on_cpu(x: Tensor, *dtypes: torch.dtype) -> bool:
    """Return whether a tensor is in main memory and of one of these types."""
    return x.device.type == "cpu" and x.dtype in dtypes


def is_eager() -> bool:
    """Return whether operations run as they are called, not in a graph that is compiled or exported."""
    return not torch.compiler.is_compiling()


def is_in_autocast() -> bool:
    """Return whether products on a CPU run in a lower precision than their inputs."""
    return torch.is_autocast_enabled("cpu")


def is_in_function_transform() -> bool:
    """Return whether a transform of torch.func is active; it knows the derivatives of PyTorch's operations only."""
    return torch._C._are_functorch_transforms_active()


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def has_onednn() -> bool:
    """Return whether oneDNN is there and not switched off."""
    return torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)  # type: ignore[no-untyped-call]


def tile_values() -> int:
    """Return the number of values of an input in a tile."""
    return TILE_VALUES * torch.get_num_threads()
