"""Fixtures that make trajectories, files and data sets in The Well's format."""

import itertools

import h5py
import numpy as np
import pytest
import torch

from fno_lightning.data import write_well_file
from fno_lightning.pdes import Trajectories


def trajectories_of_every_kind(grid, n_trajectories=2, n_frames=8, seed=0):
    """Make trajectories with every kind of field that the writer knows."""
    generator = torch.Generator().manual_seed(seed)
    axes = "xyz"[: len(grid)]
    lead = (n_trajectories, n_frames, *grid)
    return Trajectories(
        time=torch.arange(n_frames) * 0.25,
        coordinates={axis: (torch.arange(n) + 0.5) / n for axis, n in zip(axes, grid, strict=True)},
        boundaries={axis: ("periodic", "periodic") if axis == "x" else ("open", "wall") for axis in axes},
        scalars={"viscosity": torch.tensor(0.1 * (seed + 1)), "forcing": torch.rand(n_trajectories)},
        scalar_fields={name: torch.randn(lead, generator=generator) for name in ("pressure", "density")},
        vector_fields={"velocity": torch.randn(*lead, len(grid), generator=generator)},
        constant_fields={"mask": torch.randn(n_trajectories, *grid, generator=generator)},
    )


@pytest.fixture
def random_trajectories():
    """Make trajectories with every kind of field that the writer knows."""
    return trajectories_of_every_kind


@pytest.fixture
def data_set(tmp_path, random_trajectories):
    """Write a data set with two files in each split; return its folder."""

    def make(grid=(6, 4), n_trajectories=2, n_frames=8, name="waves"):
        root = tmp_path / name
        for seed, (split, part) in enumerate(itertools.product(("train", "valid", "test"), ("a", "b"))):
            trajectories = random_trajectories(grid, n_trajectories, n_frames, seed)
            write_well_file(
                root / "data" / split / f"{part}.hdf5", trajectories, dataset_name=name, provenance={"source": "a test"}
            )
        return root

    return make


def write_irregular_file(path, grid=(5, 4), n_trajectories=3, n_frames=9, **storage):
    """Write a file unlike those of the package's own writer: tensors, shared fields, fields constant along an axis."""
    rng = np.random.default_rng(1)
    axes = list("xyz"[: len(grid)])
    n_dims = len(grid)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs.update(
            dataset_name="irregular", grid_type="cartesian", n_spatial_dims=n_dims, n_trajectories=n_trajectories
        )
        file.attrs["simulation_parameters"] = np.array([], h5py.string_dtype())
        group = file.create_group("dimensions")
        group.attrs["spatial_dims"] = axes
        for name, n in zip(["time", *axes], [n_frames, *grid], strict=True):
            group[name] = np.linspace(0, 1, n, dtype=np.float32)
            group[name].attrs.update(sample_varying=False, time_varying=name == "time")
        file.create_group("boundary_conditions")
        group = file.create_group("scalars")
        group.attrs["field_names"] = ["gravity", "clock", "mass"]
        for name, values, flags in (
            ("gravity", np.float32(9.5), (False, False)),
            ("clock", np.arange(n_frames, dtype=np.float32), (False, True)),
            ("mass", rng.random(n_trajectories, dtype=np.float32), (True, False)),
        ):
            group[name] = values
            group[name].attrs.update(sample_varying=flags[0], time_varying=flags[1])
        all_dims, first_only = [True] * n_dims, [True] + [False] * (n_dims - 1)
        kinds = [
            (0, "profile", True, True, first_only),
            (0, "shared", False, True, all_dims),
            (0, "map", True, False, all_dims),
            (0, "shared_map", False, False, first_only),
            (1, "velocity", True, True, all_dims),
            (1, "gravity_field", False, False, all_dims),
            (2, "stress", True, True, all_dims),
        ]
        for order in range(3):
            group = file.create_group(f"t{order}_fields")
            group.attrs["field_names"] = [name for rank, name, *_ in kinds if rank == order]
            for rank, name, sample_varying, time_varying, dim_varying in kinds:
                if rank == order:
                    shape = (n_trajectories,) * sample_varying + (n_frames,) * time_varying
                    shape += tuple(n if varies else 1 for n, varies in zip(grid, dim_varying, strict=True))
                    values = rng.standard_normal(shape + (n_dims,) * order, dtype=np.float32)
                    options = storage if values.ndim else {}
                    dataset = group.create_dataset(name, data=values, **options)
                    dataset.attrs.update(
                        sample_varying=sample_varying, time_varying=time_varying, dim_varying=dim_varying
                    )
    return path


@pytest.fixture
def irregular_file():
    return write_irregular_file
