"""Data sets of random numbers in The Well's format, with the shapes of real ones."""

from __future__ import annotations

from pathlib import Path

import torch

from fno_lightning.data import write_well_file
from fno_lightning.pdes import Trajectories


def write_radiative_layers(
    root: Path, grid: tuple[int, int], n_trajectories: int, *, n_frames: int = 101, n_files: int = 1
) -> None:
    """Write random fields with the names and shapes of turbulent_radiative_layer_2D.

    Args:
        root: Folder of the data set.
        grid: Points along x and y; the real data have 128 x 384.
        n_trajectories: Trajectories in a file; the real files have 8.
        n_frames: Frames of a trajectory.
        n_files: Files of the train split, with the same content under different names (links); the real one has 9.
    """
    n_x, n_y = grid
    lead = (n_trajectories, n_frames, n_x, n_y)
    trajectories = Trajectories(
        time=torch.linspace(0, 159.7033, n_frames),
        coordinates={"x": torch.linspace(-0.5, 0.5, n_x), "y": torch.linspace(-1, 2, n_y)},
        boundaries={"x": ("periodic", "periodic"), "y": ("open", "open")},
        scalars={"tcool": torch.tensor(0.1)},
        scalar_fields={"density": torch.rand(lead), "pressure": torch.rand(lead)},
        vector_fields={"velocity": torch.rand(*lead, 2)},
    )
    first = root / "data" / "train" / "file_0.hdf5"
    write_well_file(first, trajectories, dataset_name=root.name, provenance={})
    for number in range(1, n_files):
        first.with_name(f"file_{number}.hdf5").hardlink_to(first)
    _use_for_validation(first)


def write_smooth_pairs(root: Path, n_points: int, n_samples: int) -> None:
    """Write pairs of a smooth random periodic function and its square, shifted: two frames of one field."""
    generator = torch.Generator().manual_seed(0)
    waves = torch.arange(1, 7)
    coefficients = torch.randn(n_samples, len(waves), 2, generator=generator) / waves[:, None]
    spectrum = torch.zeros(n_samples, n_points // 2 + 1, dtype=torch.cfloat)
    spectrum[:, waves] = torch.view_as_complex(coefficients)
    u = torch.fft.irfft(spectrum, n=n_points, norm="forward")
    trajectories = Trajectories(
        time=torch.arange(2.0),
        coordinates={"x": (torch.arange(n_points) + 0.5) / n_points},
        boundaries={"x": ("periodic", "periodic")},
        scalars={},
        scalar_fields={"u": torch.stack([u, u.roll(n_points // 8, dims=-1).square()], dim=1)},
    )
    path = root / "data" / "train" / "pairs.hdf5"
    write_well_file(path, trajectories, dataset_name=root.name, provenance={})
    _use_for_validation(path)


def _use_for_validation(path: Path) -> None:
    folder = path.parents[1] / "valid"
    folder.mkdir()
    (folder / path.name).hardlink_to(path)
