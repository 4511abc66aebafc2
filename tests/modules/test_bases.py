"""Bases that follow the boundaries and the points of the data, in modules."""

import dataclasses
import warnings

import pytest
import torch

from fno_lightning.data import FieldSpec
from fno_lightning.layers import ChebyshevBasis, HalfWaveBasis
from fno_lightning.modules import FNOModule, ForecastModule, UNOModule

GAUSS = tuple(ChebyshevBasis("gauss").points_of(16))
SPEC = FieldSpec(
    dataset_name="convection",
    fields=("u",),
    grid_shape=(12, 16),
    axes=("x", "z"),
    boundaries=(("periodic", "periodic"), ("wall", "wall")),
    time_step=0.1,
)
CHEBYSHEV_SPEC = dataclasses.replace(SPEC, coordinates=((), GAUSS))
SMALL = {"n_modes": (4, 4), "hidden_channels": 4, "n_steps_input": 1}


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("module_class", [FNOModule, UNOModule])
@pytest.mark.parametrize("bases", ["auto", ["fourier", "chebyshev"]])
def test_chebyshev_points_are_taken_by_their_polynomials(module_class, bases):
    module = module_class(CHEBYSHEV_SPEC, bases=bases, **SMALL)
    assert module.bases == ["fourier", "chebyshev"]
    history = torch.randn(2, 1, 1, 12, 16)
    assert module(history, n_steps=2).shape == (2, 2, 1, 12, 16)


@pytest.mark.parametrize(
    ("bases", "spec", "message"),
    [
        (None, CHEBYSHEV_SPEC, r"not even, along z .* take bases=auto, which has a basis for Chebyshev points, bring"),
        (["fourier", "cosine"], CHEBYSHEV_SPEC, r"not even, along z"),
        (["fourier", "chebyshev_lobatto"], CHEBYSHEV_SPEC, r"not even, along z"),
        (["fourier", "chebyshev"], SPEC, r"bases has chebyshev along z, but the points there are even: use cosine or"),
        (["fourier"], SPEC, r"bases \['fourier'\] has 1 entries, but the data have 2 spatial axes"),
    ],
)
def test_bases_that_do_not_fit_their_axis_are_refused(bases, spec, message):
    with pytest.raises(ValueError, match=message):
        FNOModule(spec, bases=bases, **SMALL).configure_model()


def test_points_are_not_padded_or_cut():
    with pytest.raises(ValueError, match=r"domain_padding \[0.1, 0.1\] adds points to an axis that the bases .* need"):
        FNOModule(CHEBYSHEV_SPEC, bases="auto", domain_padding=0.1, **SMALL).configure_model()
    FNOModule(CHEBYSHEV_SPEC, bases="auto", domain_padding=[0.1, 0.0], **SMALL).configure_model()
    patching = {"n_patches": [1, 2], "levels": 0}
    with pytest.raises(ValueError, match=r"patching cuts z, whose Chebyshev points a patch has not"):
        FNOModule(CHEBYSHEV_SPEC, bases="auto", patching=patching, **SMALL)


@pytest.mark.parametrize("basis", ["sine", "sine_cosine", "cosine_sine"])
def test_sines_by_name(basis):
    module = FNOModule(SPEC, bases=["fourier", basis], n_layers=2, **SMALL)
    module.configure_model()
    assert isinstance(module, ForecastModule)
    used = module.network.blocks[0].conv.transform.bases[1]
    lower, _, upper = basis.partition("_")
    parity = {"sine": "odd", "cosine": "even", "": "odd"}
    assert used == HalfWaveBasis(parity[lower], parity[upper])
    assert module(torch.randn(1, 1, 1, 12, 16)).isfinite().all()
