import json

import pytest

from fno_lightning.data import FieldSpec
from fno_lightning.field_spec import cell_edges

SPEC = FieldSpec(
    dataset_name="some",
    fields=("density", "velocity_x"),
    grid_shape=(8, 4),
    axes=("x", "y"),
    extent=((0.0, 1.0), (-1.0, 2.0)),
    boundaries=(("periodic", "periodic"), ("open", "wall")),
    time_step=0.1,
)


def test_a_specification_survives_plain_text():
    assert FieldSpec.from_dict(json.loads(json.dumps(SPEC.to_dict()))) == SPEC


def test_unknown_entries_are_refused():
    with pytest.raises(ValueError, match=r"unknown entries .*\['grid'\]"):
        FieldSpec.from_dict(SPEC.to_dict() | {"grid": [8, 4]})


@pytest.mark.parametrize("name", ["axes", "extent", "boundaries"])
def test_every_axis_is_described_or_none(name):
    with pytest.raises(ValueError, match=rf"{name} has 1 entries, but the grid \(8, 4\) has 2 axes"):
        FieldSpec.from_dict(SPEC.to_dict() | {name: SPEC.to_dict()[name][:1]})


@pytest.mark.parametrize(
    ("points", "edges"),
    [
        ([0.125, 0.375, 0.625, 0.875], (0.0, 1.0)),
        ([0.0, 0.10000000149, 0.30000001192], (-0.05, 0.4)),
        ([1e-4, 3e-4], (0.0, 4e-4)),
        ([2.0], (1.5, 2.5)),
    ],
)
def test_points_lie_in_the_middle_of_their_cells(points, edges):
    assert cell_edges(points) == edges
