"""Errors on star-shaped domains of GeometryFNO and neuralop's GINO after the same CPU time, beside the mean.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.geometry [--seconds 60] [--n-train 256] [--rates 1e-3 3e-3 1e-2]

Each network trains at each learning rate with the first seed, and at the best of them, by the validation split, with
two others. Time is that of the processor (``time.process_time``), of optimizer steps and the reading of batches alone;
the learning rate falls along a cosine over it. The errors are those of the test split.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from itertools import count

import torch
from torch import Tensor, nn

from fno_lightning import GeneratedPointCloudDataModule, GeometryFNOModule
from fno_lightning.data import point_weight
from fno_lightning.losses import RelativeL2
from fno_lightning.metrics import NRMSE, VRMSE
from fno_lightning.modules import PointForecastModule
from fno_lightning.pdes import StarShapedPoisson

RATES = (1e-3, 3e-3, 1e-2)
GRID = (32, 32)
MODES = (16, 16)


def segment_csr(src, indptr, reduction, use_scatter=True):
    """Reduce neighbourhoods as neuralop's function of this name, without its loop over them in Python."""
    counts = indptr[0].diff()
    rows = torch.repeat_interleave(torch.arange(len(counts)), counts)
    total = src.new_zeros(len(src), len(counts), src.shape[2]).index_add(1, rows, src)
    return total / counts.clamp(min=1)[:, None] if reduction == "mean" else total


class GINONetwork(nn.Module):
    """neuralop's GINO on padded batches, sample by sample, because its batches share one geometry.

    Its own reduction over neighbourhoods without torch_scatter is a loop in Python; ours takes its place.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        in_layers: Hidden channels of the kernel into the latent grid.
        out_layers: Hidden channels of the kernel out of it.
        radii: Radii of the two kernels, in a unit box.
    """

    def __init__(self, in_channels, out_channels, in_layers, out_layers, radii):
        super().__init__()
        from neuralop.layers import integral_transform
        from neuralop.models import GINO

        integral_transform.segment_csr = segment_csr
        self.gino = GINO(
            in_channels=in_channels,
            out_channels=out_channels,
            gno_coord_dim=2,
            in_gno_radius=radii[0],
            out_gno_radius=radii[1],
            in_gno_transform_type="nonlinear_kernelonly",
            fno_n_modes=MODES,
            fno_hidden_channels=32,
            in_gno_channel_mlp_hidden_layers=list(in_layers),
            out_gno_channel_mlp_hidden_layers=list(out_layers),
            gno_use_open3d=False,
            gno_use_torch_scatter=False,
        )
        axes = [torch.linspace(0, 1, n) for n in GRID]
        self.nodes = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)[None]

    def forward(self, x: Tensor, positions: Tensor, weight: Tensor) -> Tensor:
        outputs = []
        for values, points, shares in zip(x, positions, weight, strict=True):
            kept = shares > 0
            places = points[None, kept]
            found = self.gino(places, self.nodes, places, x=values[None, :, kept].mT)[0].mT
            outputs.append(nn.functional.pad(found, (0, x.shape[-1] - found.shape[-1])))
        return torch.stack(outputs)


class GINOModule(PointForecastModule):
    """Forecasts with neuralop's GINO."""

    def __init__(self, spec, in_layers=(80, 80, 80), out_layers=(512, 256), radii=(0.06, 0.06), **options):
        super().__init__(spec, **options)
        self.arguments = in_layers, out_layers, radii

    def build_network(self):
        return GINONetwork(self.in_channels, self.out_channels, *self.arguments)


def geometry_fno(spec):
    return GeometryFNOModule(spec, MODES, GRID, 32, 4, n_steps_input=0, loss=RelativeL2())


def gino(spec):
    return GINOModule(spec, n_steps_input=0, loss=RelativeL2())


def small_gino(spec):
    return GINOModule(spec, (32,), (32,), n_steps_input=0, loss=RelativeL2())


CONTESTANTS = {
    "GeometryFNO": geometry_fno,
    "GINO, its kernels": gino,
    "GINO, kernels of 32": small_gino,
}


def errors(module, data, loader):
    """Return NRMSE and VRMSE over a split."""
    metrics = NRMSE(1), VRMSE(1)
    for batch in loader:
        prediction = batch.target * 0 + data.statistics.mean.float() if module is None else module.forecast(batch)
        unit = data.statistics.std.float()
        for metric in metrics:
            frames = (part / unit[:, None] for part in (prediction, batch.target))
            metric.update(*frames, weight=point_weight(batch.constants, data.spec))
    return [metric.compute().item() for metric in metrics]


def trained(make, data, rate, seed, seconds):
    """Return a module after a training of so many seconds, and the number of its steps."""
    torch.manual_seed(seed)
    module = make(data.spec)
    module.fit_normalization(data.statistics)
    module.configure_model()
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), rate, weight_decay=1e-4)
    begin, steps = time.process_time(), count()
    while True:
        for batch in data.train_dataloader():
            part = (time.process_time() - begin) / seconds
            if part >= 1:
                return module.eval(), next(steps)
            for group in optimizer.param_groups:
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * part))
            optimizer.zero_grad()
            module.step(batch)[0].backward()
            optimizer.step()
            next(steps)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--n-train", type=int, default=256)
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    parser.add_argument("--contestants", nargs="*", default=list(CONTESTANTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = GeneratedPointCloudDataModule(
        StarShapedPoisson(), n_train=options.n_train, n_valid=64, n_test=128, batch_size=16
    )
    print("mean: NRMSE {:.4f}, VRMSE {:.4f}".format(*errors(None, data, data.test_dataloader())), flush=True)
    for name in options.contestants:
        make, tried = CONTESTANTS[name], {}
        for rate in options.rates:
            module, steps = trained(make, data, rate, 0, options.seconds)
            tried[rate] = errors(module, data, data.val_dataloader())[0], errors(module, data, data.test_dataloader())
            print(f"{name}, lr {rate}: {steps} steps, valid NRMSE {tried[rate][0]:.4f}", flush=True)
        best = min(tried, key=lambda rate: tried[rate][0])
        results = [tried[best][1]]
        for seed in (1, 2):
            module, _ = trained(make, data, best, seed, options.seconds)
            results.append(errors(module, data, data.test_dataloader()))
        n_parameters = sum(p.numel() for p in module.parameters())
        for metric, values in zip(("NRMSE", "VRMSE"), zip(*results, strict=True), strict=True):
            listed = ", ".join(f"{value:.4f}" for value in values)
            print(
                f"{name}, {n_parameters} parameters, lr {best}: test {metric} {statistics.mean(values):.4f} ({listed})"
            )


if __name__ == "__main__":
    main()
