"""Bytes that the processes of a split field hand to each other in a step, beside a formula, and memory of each process.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.slabs [--grids 64 256] [--slabs 1 2 4] [--modes 16] [--channels 4]

A step is forward and backward pass of an FNO on one sample in float32 with a mean square error, on processes of this
machine that talk by gloo. Bytes are those of the tensors that a process gives to sums and to its neighbours, without
the gradients of the weights, which data parallelism sums as well. A ring carries 2 (n - 1) / n of what n processes sum.
Memory is the growth of the largest resident memory of a process over the step, that of its input included.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
from collections import Counter
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from fno_lightning.layers import SpectralConv
from fno_lightning.layers.local import ConvolutionBranch, DifferentialBranch
from fno_lightning.losses import MSE
from fno_lightning.models import FNO
from fno_lightning.slabs import Slabs, collectives, even_sizes, slab_mesh, split_fields
from tests.two_processes import results_of

BYTES = 4
"""Of a number in float32."""


def network(settings: dict[str, Any]) -> FNO:
    """Return the network of the benchmark."""
    torch.manual_seed(0)
    options = {"local": settings["local"], "norm": settings["norm"]}
    return FNO([settings["modes"]] * 3, 1, 1, settings["channels"], settings["layers"], **options)


def bytes_of_spectra(model: nn.Module, batch: int = 1) -> int:
    """Return the bytes that a step sums for the convolutions: each one's kept modes, forward and backward."""
    convolutions = [part for part in model.modules() if isinstance(part, SpectralConv)]
    return sum(
        2 * batch * (1 + conv.transform.is_complex) * math.prod(conv.transform.n_kept) * conv.weight.in_channels * BYTES
        for conv in convolutions
    )


def bytes_of_halos(model: nn.Module, n_points: int, batch: int = 1) -> int:
    """Return the bytes that an inner slab sends for the local operators: two faces each, forward and backward."""
    reaches = [part.reach for part in model.modules() if isinstance(part, ConvolutionBranch)]
    reaches += [1 for part in model.modules() if isinstance(part, DifferentialBranch)]
    channels = next(part.weight.in_channels for part in model.modules() if isinstance(part, SpectralConv))
    return sum(4 * batch * reach * n_points**2 * channels * BYTES for reach in reaches)


def step(rank: int, port: int, n_slabs: int, n_points: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Take one step on a slab; return the bytes by kind and the growth of memory."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=n_slabs)
    counted: Counter[str] = Counter()
    all_reduce, exchange = dist.all_reduce, dist.batch_isend_irecv

    def counting_all_reduce(values: torch.Tensor, *args: Any, **options: Any) -> Any:
        counted["spectra" if values.ndim > 3 and values.numel() > 1000 else "sums"] += values.nbytes
        return all_reduce(values, *args, **options)

    def counting_exchange(operations: list[dist.P2POp]) -> Any:
        counted["halos"] += sum(operation.tensor.nbytes for operation in operations if operation.op is dist.isend)
        return exchange(operations)

    collectives.dist.all_reduce = counting_all_reduce
    collectives.dist.batch_isend_irecv = counting_exchange
    sizes = even_sizes(n_points, n_slabs)
    slabs = Slabs(slab_mesh(n_slabs, "cpu"), 0, sizes) if n_slabs > 1 else None
    model = network(settings)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    x = torch.randn(1, 1, sizes[rank], n_points, n_points)
    with split_fields(slabs):
        loss = MSE()(model(x)[:, None], torch.zeros_like(x)[:, None])
        loss.backward()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    dist.destroy_process_group()
    return {"memory": memory * 1024, **{kind: counted[kind] for kind in ("spectra", "sums", "halos")}}


def extrapolated(model: nn.Module, n_devices: int) -> dict[str, float]:
    """Return the bytes that a device of a ring sends in a step: spectra, and gradients of the weights."""
    share = 2 * (n_devices - 1) / n_devices
    n_weights = sum(weight.numel() for weight in model.parameters())
    return {"spectra": share * bytes_of_spectra(model), "gradients": share * n_weights * BYTES}


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grids", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--slabs", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--modes", type=int, default=16)
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--local", choices=["differential", "convolution"])
    parser.add_argument("--norm", choices=["instance_norm", "group_norm"])
    return parser.parse_args()


def main() -> None:
    """Print a row for each grid and number of slabs, then the extrapolation."""
    settings = vars(parse())
    model = network(settings)
    print(json.dumps(settings))
    print("grid  slabs  spectra: counted  formula    sums   halos: counted  formula (inner slab)   memory of a process")
    for n_points in settings["grids"]:
        for n_slabs in settings["slabs"]:
            found = results_of(step, n_slabs, n_points, settings, n_processes=n_slabs)
            most = {kind: max(part[kind] for part in found) for kind in found[0]}
            is_split = n_slabs > 1
            print(
                f"{n_points:4}^3 {n_slabs:5} {most['spectra']:16,} {bytes_of_spectra(model) * is_split:10,} "
                f"{most['sums']:8,} {most['halos']:15,} {bytes_of_halos(model, n_points) * is_split:10,} "
                f"{most['memory'] / 1e6:25,.0f} MB"
            )
    for n_devices in (4, 64, 1024):
        parts = extrapolated(model, n_devices)
        print(f"{n_devices:5} devices: " + ", ".join(f"{name} {value / 1e6:.3g} MB" for name, value in parts.items()))


if __name__ == "__main__":
    main()
