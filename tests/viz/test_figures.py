import dataclasses
import math

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image

from fno_lightning.viz import Forecast, error_figure, radial_spectrum, rollout_figure, spectra_figure
from fno_lightning.viz.animation import write_animation
from tests.callbacks.waves import make_spec


def forecast(grid, n_steps=5, **options):
    generator = torch.Generator().manual_seed(3)
    reference = torch.randn(n_steps, 2, *grid, generator=generator, dtype=torch.float64)
    prediction = reference + 0.1 * torch.randn(reference.shape, generator=generator, dtype=torch.float64)
    return Forecast(make_spec(grid, **options), reference, prediction, torch.tensor([0.25]))


def text(figure):
    return "\n".join(artist.get_text() for artist in figure.findobj(mpl.text.Text))


def test_rows_show_reference_prediction_and_error_at_their_lead_times():
    shown = forecast((8, 6))
    figure = rollout_figure(shown, "velocity_x")
    rows = [axes.images for axes in figure.axes[:3]]
    for step in range(5):
        reference, prediction, error = (np.asarray(row[step].get_array()) for row in rows)
        np.testing.assert_array_equal(reference, shown.reference[step, 1].numpy().T)
        np.testing.assert_array_equal(prediction, shown.prediction[step, 1].numpy().T)
        np.testing.assert_array_equal(error, prediction - reference)
        assert f"step {step + 1}\nt = {0.5 * (step + 1):.4g}" in text(figure)
    assert rows[0][0].get_clim() == rows[1][-1].get_clim()
    low, high = rows[2][0].get_clim()
    assert low == -high
    assert "velocity_x, waves, speed = 0.25\nsimulated by a test" in text(figure)


@pytest.mark.parametrize(
    ("n_frames", "n_steps", "expected"), [(1, 4, [0]), (3, 8, [0, 1, 2]), (11, 3, [0, 5, 10]), (100, 2, [0, 99])]
)
def test_frames_are_chosen_evenly_from_the_first_to_the_last(n_frames, n_steps, expected):
    assert forecast((4,), n_frames).evenly_spaced(n_steps) == expected


def test_three_dimensions_are_cut_in_the_middle():
    shown = forecast((6, 5, 8))
    figure = rollout_figure(shown, "height")
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), shown.reference[0, 0, :, :, 4].numpy().T)
    assert "height in the middle plane of z" in text(figure)


def test_one_dimension_is_drawn_over_space_and_time():
    shown = forecast((12,))
    image = rollout_figure(shown, "height").axes[1].images[0]
    np.testing.assert_array_equal(image.get_array(), shown.prediction[:, 0].numpy().T)
    assert image.get_extent() == [0.25, 2.75, 0.0, 1.0]


@pytest.mark.parametrize("grid", [(12,), (8, 6)], ids=["1-D", "2-D"])
def test_a_steady_problem_has_one_column(grid):
    figure = rollout_figure(forecast(grid, n_steps=1, steady=True), "height")
    assert "step" not in text(figure)


@pytest.mark.parametrize("grid", [(12,), (8, 6), (4, 6, 5)], ids=["1-D", "2-D", "3-D"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e30])
def test_diverged_forecasts_are_drawn_on_the_scale_of_the_reference(grid, bad, tmp_path):
    shown = forecast(grid)
    shown.prediction[2:] = bad
    figure = rollout_figure(shown, "height")
    figure.draw_without_rendering()
    reference = shown.reference[:, 0].abs().max()
    assert max(figure.axes[0].images[0].get_clim()) <= reference
    assert max(figure.axes[2].images[0].get_clim()) <= 2 * reference
    spectra_figure(shown).draw_without_rendering()
    write_animation(shown, "height", tmp_path / "animation.gif")
    with Image.open(tmp_path / "animation.gif") as animation:
        assert animation.n_frames == 5


def test_data_from_elsewhere_are_not_called_simulated():
    shown = forecast((8, 6), source="downloaded from The Well")
    assert "downloaded" not in text(rollout_figure(shown, "height"))


def test_error_curves_end_where_errors_are_infinite():
    errors = {"model": torch.rand(6, 2) + 0.1, "persistence": torch.rand(6, 2) + 0.1}
    errors["model"][4:, 1] = torch.inf
    figure = error_figure(errors, make_spec(), windows=((1, 3),))
    curves = {axes.get_title(): axes.lines[0].get_ydata() for axes in figure.axes}
    np.testing.assert_array_equal(curves["height"], errors["model"][:, 0].numpy())
    np.testing.assert_array_equal(curves["velocity_x"], errors["model"][:4, 1].numpy())
    assert len(curves["mean over fields"]) == 4
    assert figure.axes[0].lines[0].get_xdata().tolist() == [0.5, 1.0, 1.5, 2.0]
    assert "1-3" in text(figure)


def test_a_wave_has_its_power_at_its_wavenumber():
    spec = dataclasses.replace(make_spec((16, 48)), extent=((0.0, 1.0), (-1.0, 2.0)))
    x = (torch.arange(16) + 0.5) / 16
    wave = 2 * torch.cos(2 * math.pi * 3 * x).view(1, 1, 16, 1).expand(1, 1, 16, 48)
    wavenumber, power = radial_spectrum(wave, spec)
    assert wavenumber[power[0, 0].argmax()] == pytest.approx(6 * math.pi)
    assert power.sum() == pytest.approx(2.0)


def test_walls_are_tapered():
    spec = dataclasses.replace(make_spec((64,)), boundaries=(("open", "open"),))
    ramp = torch.linspace(-1, 1, 64).view(1, 1, 64)
    _, tapered = radial_spectrum(ramp, spec)
    _, periodic = radial_spectrum(ramp, make_spec((64,)))
    _, unknown = radial_spectrum(ramp, dataclasses.replace(spec, boundaries=()))
    assert tapered[0, 0, -1] < 1e-3 * periodic[0, 0, -1]
    assert torch.equal(unknown, tapered)


def test_a_steady_problem_is_a_row_with_what_is_given():
    spec = dataclasses.replace(make_spec((8, 6), steady=True), constant_fields=("source", "mask"))
    shown = dataclasses.replace(forecast((8, 6), n_steps=1, steady=True), spec=spec, constants=torch.randn(2, 8, 6))
    figure = rollout_figure(shown, "velocity_x")
    panels = [axes for axes in figure.axes if axes.images and axes.get_title()]
    assert [panel.get_title() for panel in panels] == ["source", "mask", "reference", "prediction", "error"]
    images = [np.asarray(panel.images[0].get_array()) for panel in panels]
    np.testing.assert_array_equal(images[1], shown.constants[1].numpy().T)
    np.testing.assert_array_equal(images[4], images[3] - images[2])
    assert panels[2].images[0].get_clim() == panels[3].images[0].get_clim()


def test_long_titles_are_broken_into_lines():
    spec = dataclasses.replace(make_spec((8,)), dataset_name="a data set with a rather long name " * 4)
    shown = dataclasses.replace(forecast((8,)), spec=spec)
    figure = rollout_figure(shown, "velocity_x")
    figure.draw_without_rendering()
    title = figure._suptitle.get_window_extent()
    assert title.x0 >= 0
    assert title.x1 <= figure.bbox.width


CHEBYSHEV = tuple(0.5 - 0.5 * math.cos(math.pi * (k + 0.5) / 24) for k in range(24))


def even_places(points):
    return [min(range(len(points)), key=lambda k: abs(points[k] - (i + 0.5) / len(points))) for i in range(len(points))]


@pytest.mark.parametrize("axis", [0, 1])
def test_maps_of_uneven_axes_have_each_value_in_its_place(axis, tmp_path):
    grid = (24, 6) if axis == 0 else (6, 24)
    shown = forecast(grid)
    coordinates = (CHEBYSHEV, ()) if axis == 0 else ((), CHEBYSHEV)
    shown = dataclasses.replace(shown, spec=dataclasses.replace(shown.spec, coordinates=coordinates))
    image = rollout_figure(shown, "height").axes[0].images[0].get_array()
    expected = shown.reference[0, 0].index_select(axis, torch.tensor(even_places(CHEBYSHEV)))
    np.testing.assert_array_equal(image, expected.numpy().T)
    write_animation(shown, "height", tmp_path / "animation.gif")


def test_curves_over_an_uneven_axis_and_the_middle_plane():
    shown = forecast((24,), n_steps=1, steady=True)
    shown = dataclasses.replace(shown, spec=dataclasses.replace(shown.spec, coordinates=(CHEBYSHEV,)))
    curve = rollout_figure(shown, "height").axes[0].lines[0]
    np.testing.assert_allclose(curve.get_xdata(), (np.arange(24) + 0.5) / 24)
    np.testing.assert_array_equal(curve.get_ydata(), shown.reference[0, 0, even_places(CHEBYSHEV)])
    at_end = tuple(x**3 for x in CHEBYSHEV)  # the middle of the domain is not the middle point
    shown = forecast((6, 5, 24))
    shown = dataclasses.replace(shown, spec=dataclasses.replace(shown.spec, coordinates=((), (), at_end)))
    image = rollout_figure(shown, "height").axes[0].images[0].get_array()
    np.testing.assert_array_equal(image, shown.reference[0, 0, :, :, even_places(at_end)[12]].numpy().T)


def test_another_grid_than_that_of_the_coordinates_is_even():
    shown = forecast((8, 6))
    shown = dataclasses.replace(shown, spec=dataclasses.replace(shown.spec, coordinates=(CHEBYSHEV, ())))
    image = rollout_figure(shown, "height").axes[0].images[0].get_array()
    np.testing.assert_array_equal(image, shown.reference[0, 0].numpy().T)


def test_a_wave_on_an_uneven_axis_has_its_power_at_its_wavenumber():
    s = torch.arange(64, dtype=torch.float64) / 64
    x = s + 0.05 * torch.sin(2 * math.pi * s)
    spec = dataclasses.replace(make_spec((64, 8)), extent=((0.0, 1.0), (0.0, 1.0)))
    uneven = dataclasses.replace(spec, coordinates=(tuple(x.tolist()), ()))
    wave = torch.cos(2 * math.pi * 3 * x).view(1, 1, 64, 1).expand(1, 1, 64, 8)
    shares = []
    for described in (spec, uneven):
        _, power = radial_spectrum(wave, described)
        shares.append(float(power[0, 0].max() / power.sum()))
    assert shares[0] < 0.9
    assert shares[1] > 0.999
