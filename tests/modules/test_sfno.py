import math

import pytest
import torch

from fno_lightning import FieldSpec, SFNOModule
from fno_lightning.modules import MultigridPatching
from fno_lightning.modules.sfno import latitudes_of
from fno_lightning.sphere import colatitudes

KINDS = ["equiangular", "equiangular_poles", "gauss_legendre"]


def on_sphere(latitudes, **options):
    """Describe data whose first axis has these coordinates, as read from a file."""
    points = torch.as_tensor(latitudes, dtype=torch.float64)
    half = float(points[-1] - points[0]) / (len(points) - 1) / 2
    extent = ((float(points[0]) - half, float(points[-1]) + half), (0.0, 2 * math.pi))
    boundaries = (("open", "open"), ("periodic", "periodic"))
    described = {"axes": ("theta", "phi"), "extent": extent, "boundaries": boundaries} | options
    return FieldSpec("planet", ("height", "wind"), (len(points), 24), time_step=1.0, **described)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_points", [8, 31, 256])
def test_coordinates_tell_the_kind_of_latitudes(kind, n_points):
    angles = colatitudes(kind, n_points)
    for points in (angles, angles.flip(0), math.pi / 2 - angles, angles.rad2deg(), 90 - angles.rad2deg()):
        assert latitudes_of(on_sphere(points)) == kind


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (on_sphere(colatitudes("equiangular", 16)[::2]), "none of"),
        (on_sphere(colatitudes("equiangular", 16), boundaries=(("periodic", "periodic"),) * 2), "boundaries"),
        (on_sphere(colatitudes("equiangular", 16), extent=()), "do not say"),
        (FieldSpec("rod", ("height",), (16,)), "two axes"),
    ],
)
def test_what_is_no_sphere_is_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        latitudes_of(spec)


@pytest.mark.parametrize("kind", KINDS)
def test_latitudes_come_from_the_data_and_lie_in_the_checkpoint(kind, tmp_path):
    module = SFNOModule(
        on_sphere(colatitudes(kind, 12)), n_modes=[4, 6], hidden_channels=4, n_layers=1, n_steps_input=2
    )
    history = torch.randn(1, 2, 2, 12, 24)
    expected = module.forecast(history, n_steps=3)
    assert module.latitudes == kind
    assert module.network.blocks[0].conv.transform.bases[0].latitudes == kind
    path = tmp_path / "module.ckpt"
    torch.save(
        {
            "state_dict": module.state_dict(),
            "hyper_parameters": dict(module.hparams),
            "pytorch-lightning_version": "2.6.0",
        },
        path,
    )
    again = SFNOModule.load_from_checkpoint(path, weights_only=True)
    torch.testing.assert_close(again.forecast(history, n_steps=3), expected, rtol=0, atol=0)


def test_given_latitudes_need_no_coordinates():
    flat = FieldSpec("planet", ("height",), (12, 24), time_step=1.0)
    with pytest.raises(ValueError, match="do not say which latitudes"):
        SFNOModule(flat, n_modes=[4, 6])
    assert SFNOModule(flat, n_modes=[4, 6], latitudes="gauss_legendre").latitudes == "gauss_legendre"


def test_a_sphere_has_no_patches():
    with pytest.raises(ValueError, match="patching cuts a plane"):
        SFNOModule(
            on_sphere(colatitudes("equiangular", 12)),
            n_modes=[4, 6],
            patching=MultigridPatching(n_patches=[1, 2], halo=2),
        )
