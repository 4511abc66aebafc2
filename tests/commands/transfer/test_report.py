"""How much data is saved, from known curves."""

import pytest

from fno_lightning.commands.transfer import Result, data_saving
from fno_lightning.commands.transfer.report import figure, table


def power_law(factor, sizes=(8, 32, 128)):
    return {size: [factor * size**-0.5] for size in sizes}


def test_a_curve_of_a_quarter_of_the_error_saves_sixteen_times_the_data():
    scratch, tuned = power_law(1.0, (8, 32, 128, 512)), power_law(0.25, (8, 32))
    assert {size: float(value) for size, value in data_saving(tuned, scratch).items()} == {8: 16.0, 32: 16.0}


def test_between_the_sizes_it_is_interpolated():
    (value,) = data_saving({10: [50**-0.5]}, power_law(1.0)).values()
    assert float(value) == pytest.approx(5.0)


def test_beyond_the_sizes_it_is_a_bound():
    assert data_saving({8: [1e-3]}, power_law(1.0)) == {8: "> 16"}
    assert data_saving({32: [1.0]}, power_law(1.0)) == {32: "< 0.25"}


def test_the_median_over_seeds_counts():
    assert data_saving({8: [32**-0.5, 1e-9, 1.0]}, power_law(1.0)) == {8: "4"}


def results():
    found = [Result("shifted", "zero-shot", 0, 0, 0.0, 0.5, 0.5)]
    for size, error in ((8, 0.4), (32, 0.2)):
        for seed in (0, 1):
            found.append(Result("shifted", "fine-tuned", size, seed, 1e-3, 0.0, 0.5 * error + 0.01 * seed))
            found.append(Result("shifted", "from scratch", size, seed, 1e-3, 0.0, error + 0.01 * seed))
    return found


def test_the_table_has_all_errors():
    lines = table(results(), "nrmse").splitlines()
    assert lines[0] == "# Test nrmse, median over seeds"
    assert "Zero-shot: 0.5" in lines
    assert "| 8 | 0.205 | 0.405 | 4 |" in lines
    assert "| 32 | 0.105 | 0.205 | > 1 |" in lines


def test_the_figure_has_a_panel_for_each_data_set_on_logarithmic_axes():
    found = results() + [Result("other", *list(vars(result).values())[1:]) for result in results()]
    drawn = figure(found, "nrmse")
    assert [panel.get_title() for panel in drawn.axes] == ["shifted", "other"]
    for panel in drawn.axes:
        assert (panel.get_xscale(), panel.get_yscale()) == ("log", "log")
        labelled = {line.get_label(): list(line.get_ydata()) for line in panel.lines}
        assert labelled["fine-tuned"] == pytest.approx([0.205, 0.105])
        assert labelled["from scratch"] == pytest.approx([0.405, 0.205])
        assert labelled["zero-shot"] == [0.5, 0.5]
