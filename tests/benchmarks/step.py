"""Time of one training step (forward, mean squared error, backward) against neuralop 2.0.0, as a Markdown table.

    python -m tests.benchmarks.step --rounds 7

All variants run in turn, round after round, so that other load on the machine meets all of them; medians.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from neuralop import models as neuralop
from torch import Tensor, nn

from fno_lightning.models import FNO, TFNO

IN_CHANNELS, OUT_CHANNELS = 16, 4
REFERENCE = "neuralop FNO"


def training_step(network: nn.Module, x: Tensor, y: Tensor, *, bf16: bool) -> Callable[[], None]:
    def step() -> None:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
            loss = F.mse_loss(network(x).float(), y)
        loss.backward()
        for parameter in network.parameters():
            parameter.grad = None
        if x.is_cuda:
            torch.cuda.synchronize()

    return step


def variants(args: argparse.Namespace, device: torch.device) -> dict[str, Callable[[], None]]:
    shape = {
        "n_modes": (args.modes,) * len(args.grid),
        "in_channels": IN_CHANNELS,
        "out_channels": OUT_CHANNELS,
        "hidden_channels": args.width,
        "n_layers": args.layers,
    }
    networks: dict[str, Callable[[], nn.Module]] = {
        REFERENCE: lambda: neuralop.FNO(**shape),
        "FNO": lambda: FNO(**shape),
        "neuralop TFNO, factorized": lambda: neuralop.TFNO(**shape),
        "TFNO, factorized": lambda: TFNO(**shape),
        "neuralop TFNO, reconstructed": lambda: neuralop.TFNO(**shape, implementation="reconstructed"),
        "TFNO, reconstructed": lambda: TFNO(**shape, implementation="reconstructed"),
    }
    x = torch.randn(args.batch, IN_CHANNELS, *args.grid, device=device)
    y = torch.randn(args.batch, OUT_CHANNELS, *args.grid, device=device)
    steps = {}
    for name, build in networks.items():
        if name != REFERENCE and ("TFNO" if "TFNO" in name else "FNO") not in args.networks:
            continue
        is_ours = "neuralop" not in name
        for compiled in (False, True) if is_ours and not args.eager else (False,):
            for bf16 in (False, True):
                network = build().to(device)
                if compiled:
                    network.compile(mode=args.mode)
                label = f"{name}{', compiled' if compiled else ''}{', bf16' if bf16 else ''}"
                steps[label] = training_step(network, x, y, bf16=bf16)
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", type=int, nargs="+", default=[128, 384])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--modes", type=int, default=16)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--eager", action="store_true", help="leave the compiled variants out")
    parser.add_argument("--mode", default=None, help="mode of torch.compile")
    parser.add_argument("--networks", nargs="+", choices=["FNO", "TFNO"], default=["FNO", "TFNO"])
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    steps = variants(args, device)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(args.rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    medians = {name: median(values) for name, values in times.items()}
    reference = medians[REFERENCE]
    grid = " x ".join(map(str, args.grid))
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads")
    print(f"grid {grid}, batch {args.batch}, {IN_CHANNELS} -> {OUT_CHANNELS} channels, width {args.width}, ", end="")
    print(f"{args.modes} modes an axis, {args.layers} layers, median of {args.rounds}\n")
    print("| network | median ms | times as fast as neuralop FNO | fastest ms | times as fast |\n|---|---|---|---|---|")
    for name, value in medians.items():
        fastest = min(times[name])
        ratios = reference / value, min(times[REFERENCE]) / fastest
        print(f"| {name} | {1e3 * value:.0f} | {ratios[0]:.2f} | {1e3 * fastest:.0f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
