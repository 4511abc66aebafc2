"""Point clouds of different sizes, and the data modules and modules that the tests share."""

import torch

from fno_lightning.data import PointCloud, PointCloudDataModule
from fno_lightning.modules import GeometryFNOModule

SIZES = (13, 21, 17, 30)


def cloud(n_points, seed=0, *, n_frames=1, fields=("height",)):
    """A smooth function of random points of the unit square, that moves if there are several frames."""
    generator = torch.Generator().manual_seed(seed)
    positions = torch.rand(n_points, 2, generator=generator)
    x, y = positions.unbind(dim=1)
    speed = torch.rand((), generator=generator)
    frames = [torch.sin(6 * x + 0.3 * t + speed) * y for t in range(n_frames)]
    values = frames[0] if n_frames == 1 else torch.stack(frames)
    return PointCloud(
        positions,
        fields={name: (k + 1) * values + k for k, name in enumerate(fields)},
        constant_fields={"source": x * y},
        scalars={"speed": float(speed)},
        weight=0.5 + torch.rand(n_points, generator=generator),
        name=f"cloud {seed}",
    )


def clouds(sizes=SIZES, **options):
    return [cloud(n, seed, **options) for seed, n in enumerate(sizes)]


def cloud_data(sizes=SIZES, *, batch_size=4, **options):
    shape = {name: options.pop(name) for name in ("n_frames", "fields") if name in options}
    splits = (clouds(sizes, **shape) for _ in range(3))
    return PointCloudDataModule(*splits, batch_size=batch_size, **options)


def small_module(data, **options):
    return GeometryFNOModule(
        data.spec,
        n_modes=(4, 4),
        latent_grid=(6, 6),
        hidden_channels=8,
        n_layers=2,
        kernel_channels=8,
        n_steps_input=data.n_steps_input,
        **options,
    )
