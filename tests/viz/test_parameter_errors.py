import dataclasses

import matplotlib as mpl
import numpy as np
import pytest
import torch

from fno_lightning.viz import parameter_figure
from tests.callbacks.waves import make_spec

VALUES = torch.tensor([0.5, 0.5, 1.0, 4.0])
GROUPS = [[0, 1], [2], [3]]


def draw(model, values=VALUES, **options):
    persistence = torch.tensor([0.9, 0.9, 0.9, 0.9])
    errors = {"6-12": {"model": torch.tensor(model), "persistence": persistence}}
    return parameter_figure("speed", values, GROUPS, errors, make_spec(), **options)


def line(panel, label):
    return next(one for one in panel.lines if one.get_label() == label)


def test_lines_go_through_the_means_of_groups_and_dots_are_trajectories():
    (panel,) = draw([0.2, 0.4, 0.5, 0.8]).axes
    curve = line(panel, "model")
    np.testing.assert_allclose(curve.get_xdata(), [0.5, 1.0, 4.0])
    np.testing.assert_allclose(curve.get_ydata(), [0.3, 0.5, 0.8], rtol=1e-6)
    np.testing.assert_allclose(panel.lines[0].get_ydata(), [0.2, 0.4, 0.5, 0.8], rtol=1e-6)
    assert line(panel, "persistence").get_color() != curve.get_color()
    assert (panel.get_title(), panel.get_xscale(), panel.get_yscale()) == ("VRMSE, 6-12", "linear", "linear")


def test_infinite_errors_are_crosses_and_missing_ones_are_left_out():
    figure = draw([0.2, torch.nan, torch.inf, 0.8])
    (panel,) = figure.axes
    np.testing.assert_allclose(line(panel, "model").get_xdata(), [0.5, 4.0])
    np.testing.assert_allclose(line(panel, "model").get_ydata(), [0.2, 0.8], rtol=1e-6)
    (cross,) = (one for one in panel.lines if one.get_marker() == "x")
    assert cross.get_xdata().tolist() == [1.0]
    assert np.isfinite(panel.get_ylim()).all()
    figure.draw_without_rendering()


@pytest.mark.parametrize("model", [[torch.inf] * 4, [torch.nan] * 4, [0.0] * 4])
def test_errors_that_have_no_range_are_drawn(model):
    draw(model).draw_without_rendering()


def test_ranges_of_decades_have_logarithmic_axes():
    (panel,) = draw([0.05, 0.4, 0.5, 8.0], torch.tensor([0.06, 0.06, 1.0, 3.0])).axes
    assert (panel.get_xscale(), panel.get_yscale()) == ("log", "log")
    (panel,) = draw([0.2, 0.4, 0.5, 0.8], torch.tensor([-1.0, -1.0, 1.0, 3.0])).axes
    assert panel.get_xscale() == "linear"


def test_valid_times_have_a_panel_of_their_own():
    times = {"model": torch.tensor([5.0, 7.0, 9.0, 16.0])}
    _, panel = draw([0.2, 0.4, 0.5, 0.8], valid_times=times).axes
    np.testing.assert_allclose(line(panel, "model").get_ydata(), [6.0, 9.0, 16.0])
    assert panel.get_title() == "valid time"


def test_names_are_not_read_as_formulas():
    spec = dataclasses.replace(make_spec(), dataset_name="waves $\\bad")
    errors = {"6-12": {"model": torch.tensor([0.2, 0.4, 0.5, 0.8])}}
    figure = parameter_figure("$\\speed", VALUES, GROUPS, errors, spec)
    figure.draw_without_rendering()
    shown = {artist.get_text() for artist in figure.findobj(mpl.text.Text)}
    assert "\\$\\speed" in shown
