"""Figures of data with thin or falling axes, extreme or missing values and strange names."""

import dataclasses

import matplotlib as mpl
import numpy as np
import pytest
import torch

from fno_lightning.callbacks.pictures import Pictures, file_names
from fno_lightning.viz import Forecast, error_figure, radial_spectrum, rollout_figure
from fno_lightning.viz.axes import STYLE, Scale
from tests.callbacks.waves import make_spec


def forecast(grid, n_steps=3, *, change=lambda values: values, steady=False, dtype=torch.float32, **changes):
    generator = torch.Generator().manual_seed(3)
    reference = torch.randn(n_steps, 2, *grid, generator=generator).to(dtype)
    prediction = reference + 0.1 * torch.randn(reference.shape, generator=generator).to(dtype)
    spec = dataclasses.replace(make_spec(grid, steady=steady), **changes)
    return Forecast(spec, change(reference), change(prediction), torch.tensor([0.25]))


FALLING = {"extent": ((90.0, -90.0), (0.0, 360.0))}
NAMES = {"fields": ("a" * 300, "Dichte θ/2 $x_$"), "dataset_name": "n" * 300, "axes": ("longitude" * 20, "$")}

UNUSUAL = {
    "a plane in 3-D": forecast((8, 6, 1)),
    "a line in 2-D": forecast((8, 1)),
    "a point": forecast((1,)),
    "a steady point": forecast((1,), n_steps=1, steady=True),
    "two points across": forecast((8, 2), extent=((0.0, 1.0), (0.0, 0.1))),
    "two points between walls": forecast((8, 2), boundaries=(("wall", "wall"),) * 2),
    "falling coordinates": forecast((8, 6), **FALLING),
    "long and thin": forecast((8, 6), extent=((0.0, 1e6), (0.0, 1.0))),
    "no extent": forecast((8, 6), extent=((1e30, 1e30), (0.0, 1.0))),
    "constant": forecast((8, 6), change=torch.ones_like),
    "a large constant": forecast((8,), change=lambda values: torch.full_like(values, 1e30)),
    "nothing but NaN": forecast((8, 6), change=lambda values: values * torch.nan),
    "holes": forecast((8, 6), change=lambda values: torch.where(values > 0, torch.nan, values)),
    "infinite": forecast((8,), change=lambda values: torch.where(values > 0, torch.inf, values)),
    "large": forecast((8, 6), change=lambda values: 3e38 * values),
    "small": forecast((8,), change=lambda values: 1e-30 * values),
    "beyond float32": forecast((8, 6), change=lambda values: 1e200 * values, dtype=torch.float64),
    "half precision": forecast((8,), dtype=torch.bfloat16),
    "one frame": forecast((8, 6), n_steps=1),
    "names": forecast((8, 6), **NAMES),
}


@pytest.mark.parametrize("shown", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_every_picture_is_drawn(tmp_path, caplog, monkeypatch, shown):
    monkeypatch.setitem(STYLE, "figure.dpi", 30)
    pictures = Pictures(tmp_path / "pictures", None, "val", 0)
    pictures.draw_forecasts([shown], animation=True)
    errors = (shown.prediction - shown.reference).abs().flatten(start_dim=2).mean(dim=2).float()
    pictures.draw_errors({"model": errors}, shown.spec, "vrmse", [(0, 2)])
    assert caplog.messages == []
    has_spectrum, moves = max(shown.spec.grid_shape) > 1, shown.n_steps > 1
    drawn = [path.suffix for path in (tmp_path / "pictures" / "val" / "rollout").iterdir()]
    assert sorted(drawn) == [".gif"] * moves + [".png"] * (3 + has_spectrum)


def test_coordinates_that_fall_are_shown_rising():
    fields = torch.arange(48.0).view(1, 1, 8, 6).expand(2, 2, 8, 6)
    spec = dataclasses.replace(make_spec((8, 6)), **FALLING)
    figure = rollout_figure(Forecast(spec, fields, fields, torch.tensor([0.25])), "height")
    image = figure.axes[0].images[0]
    assert image.get_extent() == [-90.0, 90.0, 0.0, 360.0]
    np.testing.assert_array_equal(image.get_array(), fields[0, 0].flip(0).numpy().T)
    low, high = figure.axes[0].get_xlim()
    assert low < high
    assert image.origin == "lower"


@pytest.mark.parametrize("grid", [(16, 12, 1), (1, 16, 12), (16, 1, 12)])
def test_an_axis_of_one_point_changes_no_spectrum(grid):
    fields = torch.randn(2, 2, 16, 12, generator=torch.Generator().manual_seed(0))
    expected = radial_spectrum(fields, make_spec((16, 12)))
    spec = dataclasses.replace(make_spec(grid), extent=tuple((0.0, 1.0) if n > 1 else (2.5, 3.5) for n in grid))
    torch.testing.assert_close(radial_spectrum(fields.view(2, 2, *grid), spec), expected)


@pytest.mark.parametrize("n_points", [2, 3, 4, 5])
def test_few_points_have_the_shells_that_they_resolve(n_points):
    wavenumber, power = radial_spectrum(torch.ones(1, 2, n_points), make_spec((n_points,)))
    assert len(wavenumber) == n_points // 2
    assert power.shape == (1, 2, n_points // 2)


def test_the_shells_of_a_long_and_thin_domain_are_those_of_its_long_side():
    spec = dataclasses.replace(make_spec((32, 4)), extent=((0.0, 1e6), (0.0, 1.0)))
    x = (torch.arange(32) + 0.5) / 32
    wave = torch.cos(2 * torch.pi * 3 * x).view(1, 1, 32, 1).expand(1, 1, 32, 4)
    wavenumber, power = radial_spectrum(wave, spec)
    assert wavenumber[power[0, 0].argmax()] == pytest.approx(6e-6 * torch.pi)


def test_falling_and_rising_coordinates_have_the_same_spectrum():
    fields = torch.randn(2, 2, 16, 12, generator=torch.Generator().manual_seed(0))
    rising = dataclasses.replace(make_spec((16, 12)), extent=((-90.0, 90.0), (0.0, 360.0)))
    falling = dataclasses.replace(rising, extent=((90.0, -90.0), (0.0, 360.0)))
    torch.testing.assert_close(radial_spectrum(fields.flip(2), falling), radial_spectrum(fields, rising))


@pytest.mark.parametrize("value", [0.0, 1e-30, -1e30, 3e38])
def test_a_constant_has_a_range_of_colours(value):
    constant = np.full((2, 4), value)
    for scale in (Scale.of_field(constant), Scale.of_error(constant, constant)):
        assert scale.high > scale.low
    assert Scale.of_field(constant).low == value


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_colours_do_not_depend_on_the_unit(scale):
    values = np.random.default_rng(0).normal(size=(3, 8))
    for found, expected in (
        (Scale.of_field(scale * values), Scale.of_field(values)),
        (Scale.of_error(scale * values, scale * values), Scale.of_error(values, values)),
    ):
        assert (found.low, found.high) == pytest.approx((scale * expected.low, scale * expected.high))
        assert found.colors == expected.colors


def test_names_with_dollars_are_no_formulas():
    errors = {"model": torch.rand(3, 1)}
    figure = error_figure(errors, dataclasses.replace(make_spec(), fields=("$x_$",)), name="$")
    figure.draw_without_rendering()
    assert any(artist.get_text() == r"\$x_\$" for artist in figure.findobj(mpl.text.Text))


def test_every_field_has_a_file_of_its_own():
    fields = ("density", "u/v", "u_v", "u v", "..", "", "x" * 300, "x" * 299, "θ", "温度 (K)")
    names = file_names(fields)
    assert names["density"] == "density"
    assert names["θ"] == "θ"
    assert len(set(names.values())) == len(fields)
    for name in names.values():
        assert len(f"{name}_12.png.1234567.part".encode()) < 255
        assert not set("/ \\:") & set(name)
        assert not name.startswith(".")
