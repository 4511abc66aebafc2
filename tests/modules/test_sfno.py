import math

import pytest
import torch

from fno_lightning import FieldSpec, SFNOModule
from fno_lightning.modules import MultigridPatching
from fno_lightning.sphere import colatitudes


def spec(kind, **options):
    points = colatitudes(kind, 12)
    half = float(points[1] - points[0]) / 2
    described = {
        "axes": ("theta", "phi"),
        "extent": ((float(points[0]) - half, float(points[-1]) + half), (0.0, 2 * math.pi)),
        "boundaries": (("open", "open"), ("periodic", "periodic")),
    }
    return FieldSpec("planet", ("height", "wind"), (12, 24), time_step=1.0, **described | options)


@pytest.mark.parametrize("kind", ["equiangular", "equiangular_poles", "gauss_legendre"])
def test_latitudes_come_from_the_data_and_lie_in_the_checkpoint(kind, tmp_path):
    module = SFNOModule(spec(kind), n_modes=[4, 6], hidden_channels=4, n_layers=1, n_steps_input=2)
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
        SFNOModule(spec("equiangular"), n_modes=[4, 6], patching=MultigridPatching(n_patches=[1, 2], halo=2))
