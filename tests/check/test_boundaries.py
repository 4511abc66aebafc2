import h5py
import numpy as np
import pytest

X, Y = "/boundary_conditions/x_periodic", "/boundary_conditions/y_open"


def set_mask(place, values):
    def change(file):
        del file[f"{place}/mask"]
        file[f"{place}/mask"] = values

    return change


def set_attributes(place, **values):
    return lambda file: file[place].attrs.update(values)


def add_condition(name, axes, kind, mask, **attributes):
    def change(file):
        group = file["boundary_conditions"].create_group(name)
        group.attrs.update(associated_dims=axes, bc_type=kind, sample_varying=False, time_varying=False)
        group.attrs["associated_fields"] = np.array([], h5py.string_dtype())
        group.attrs.update(attributes)
        group["mask"] = np.asarray(mask)

    return change


def true_at(*cells, shape=6):
    mask = np.zeros(shape, dtype=bool)
    for cell in cells:
        mask[cell] = True
    return mask


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (set_mask(X, true_at(0, -1, shape=5)), ("error", f"{X}/mask", "(5,)", "expected (6,)")),
        (set_mask(X, np.array([2.0, 0, 0, 0, 0, 1])), ("error", f"{X}/mask", "float64", "store it as boolean")),
        (set_mask(X, true_at()), ("error", f"{X}/mask", "false everywhere", "sides of x as OPEN")),
        (set_mask(X, true_at(0, 2, 3, -1)), ("error", f"{X}/mask", "2 of 4 cells inside", "PERIODIC can only hold")),
        (set_mask(Y, true_at(0, 1, shape=4)), ("error", f"{Y}/mask", "1 of 2 cells inside", "OPEN can only hold")),
        (set_mask(X, true_at(0)), ("error", X, "PERIODIC at the lower side of x only")),
        (set_mask(X, true_at(-1)), ("error", X, "PERIODIC at the upper side of x only")),
        (set_attributes(X, bc_type="SLIP"), ("error", X, "'SLIP'", "expected PERIODIC, WALL or OPEN")),
        (set_attributes(X, bc_type=3), ("error", X, "'bc_type' = ", "expected text")),
        (set_attributes(X, associated_dims=["z"]), ("error", X, "('z',)", "some of the axes ('x', 'y')")),
        (lambda file: file[X].__delitem__("mask"), ("error", X, "no data set 'mask'")),
        (
            lambda file: file.__delitem__(X),
            ("warning", "/boundary_conditions", "no condition for the axis x", "both its sides as OPEN"),
        ),
        (
            lambda file: file["boundary_conditions"].create_dataset("z", data=0.0),
            ("error", "/boundary_conditions", "no group 'z'"),
        ),
        (
            add_condition("x_wall", ["x"], "WALL", true_at(0)),
            ("error", "/boundary_conditions/x_wall", f"lower side of x as WALL, but {X} claims it as PERIODIC"),
        ),
        (
            add_condition("x_periodic_again", ["x"], "PERIODIC", true_at(-1)),
            ("warning", "/boundary_conditions/x_periodic_again", "upper side of x", X),
        ),
        (
            add_condition("xy_wall", ["x", "y"], "WALL", true_at(0, shape=(6, 4))),
            ("warning", "/boundary_conditions/xy_wall", "lower side of x as WALL", X),
        ),
        (
            set_mask("/boundary_conditions/y_wall", true_at(2, 3, shape=4)),
            ("warning", "/boundary_conditions/y_wall/mask", "1 of 2 cells inside the axis y", "only at the ends"),
        ),
    ],
)
def test_a_fault(break_file, change, expected, assert_found):
    assert_found(break_file(change), expected)


@pytest.mark.parametrize(
    "changes",
    [
        [set_mask(X, np.array([1, 0, 0, 0, 0, 1], np.uint8))],
        [set_attributes(X, bc_type="periodic", associated_dims="x", associated_fields=[])],
        [add_condition("obstacles", ["x", "y"], "WALL", true_at((2, 2), shape=(6, 4)))],
        [set_mask(X, np.stack([true_at(0, -1)] * 2)), set_attributes(X, sample_varying=True)],
        [set_mask(X, np.stack([true_at(0, -1)] * 8)), set_attributes(X, time_varying=True)],
        [
            set_attributes(Y, associated_fields=["density"]),
            add_condition("y_wall_of_velocity", ["y"], "WALL", true_at(0, shape=4), associated_fields=["velocity"]),
        ],
        [set_mask(X, true_at(0)), add_condition("x_upper", ["x"], "PERIODIC", true_at(-1))],
    ],
)
def test_what_may_be(break_file, changes):
    assert break_file(*changes) == []
