"""Limits of the hardware: the rate of large products and of memory."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import torch

from tests.benchmarks.harness import Settings, seconds


@dataclass(frozen=True)
class Roofline:
    """Measured rates.

    Args:
        flops_per_second: Rate of a square bfloat16 product.
        bytes_per_second: Rate of reading and writing by adding a number to a large tensor.
    """

    flops_per_second: float
    bytes_per_second: float

    @property
    def description(self) -> str:
        """Rates in words."""
        return (
            f"measured bfloat16 products {self.flops_per_second / 1e12:.3g} TFLOP/s, "
            f"memory {self.bytes_per_second / 1e12:.3g} TB/s"
        )


def measure_roofline(settings: Settings) -> Roofline:
    """Measure both rates, medians of several runs."""
    device = settings.device
    n = settings.size(8192, 64)
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    field = torch.randn(settings.size(2**29, 2**12), device=device)
    result = torch.empty_like(field)
    repetitions = settings.size(10, 1)

    def multiply() -> None:
        for _ in range(repetitions):
            torch.mm(a, b)

    def add() -> None:
        for _ in range(repetitions):
            torch.add(field, 1.0, out=result)

    times = {}
    for work in (multiply, add):
        work()
        times[work] = median(seconds(work, device) for _ in range(settings.size(7, 1))) / repetitions
    return Roofline(2 * n**3 / times[multiply], 2 * 4 * field.numel() / times[add])
