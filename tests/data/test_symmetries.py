"""Transformations of fields: the groups, the components of vectors, and solutions that stay solutions."""

from dataclasses import replace
from itertools import product
from random import Random

import pytest
import torch

from fno_lightning.data import Batch, FieldSpec, OnTheFlyDataModule
from fno_lightning.data.simulation.tensors import as_tensors
from fno_lightning.data.symmetries import Orientation, Symmetries, channel_action, generated_group
from fno_lightning.pdes import (
    AdvectionDiffusion,
    Burgers,
    DarcyFlow,
    EulerMultiQuadrantsOpenBC,
    EulerMultiQuadrantsPeriodicBC,
    GrayScott,
    Helmholtz,
    KuramotoSivashinsky,
    NavierStokes,
    NonlinearPoisson,
    Poisson,
    ShallowWater,
    ShearFlow,
    TurbulentRadiativeLayer2D,
)

BOX = FieldSpec(
    "box",
    ("pressure", "velocity_x", "velocity_y"),
    (4, 4),
    constant_fields=("stress_xx", "stress_xy", "stress_yy"),
    scalars=("wind_x", "wind_y", "gamma"),
    axes=("x", "y"),
    extent=((0.0, 1.0), (0.0, 1.0)),
    boundaries=(("periodic", "periodic"),) * 2,
)


def sample_of(spec, n_frames=2):
    grid = spec.grid_shape
    return Batch(
        torch.randn(n_frames, len(spec.fields), *grid),
        torch.randn(len(spec.constant_fields), *grid),
        torch.randn(len(spec.scalars)),
        torch.randn(n_frames, len(spec.fields), *grid),
    )


# --- the groups -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "n_dims", "order"),
    [
        (["shift"], 2, 1),
        (["flip"], 1, 2),
        (["flip"], 2, 4),
        (["flip_y"], 2, 2),
        (["rotate"], 2, 4),
        (["flip_x", "rotate"], 2, 8),
        (["rotate"], 3, 24),
        (["flip", "rotate"], 3, 48),
        (["rotate_xy", "flip_z"], 3, 8),
    ],
)
def test_the_orientations_are_a_group_of_the_known_order(names, n_dims, order):
    spec = FieldSpec("cube", ("u",), (4,) * n_dims, boundaries=(("periodic", "periodic"),) * n_dims)
    group = Symmetries(spec, names).orientations
    assert len(set(group)) == len(group) == order
    assert {one.after(other) for one, other in product(group, group)} == set(group)
    matrices = torch.stack([matrix(member) for member in group])
    torch.testing.assert_close(torch.linalg.det(matrices), torch.tensor([float(m.determinant) for m in group]))
    if names == ["rotate"]:
        assert {member.determinant for member in group} == {1}


def matrix(orientation):
    rows = torch.zeros(len(orientation.axes), len(orientation.axes))
    for row, (axis, sign) in enumerate(zip(*orientation, strict=True)):
        rows[row, axis] = sign
    return rows


def test_samples_are_transformed_as_the_group_multiplies():
    symmetries, sample = Symmetries(BOX, ["flip", "rotate"], ["gamma", "velocity"]), sample_of(BOX)
    group = symmetries.orientations
    for first, second in product(range(len(group)), repeat=2):
        both = group.index(group[second].after(group[first]))
        step = symmetries.transformed(symmetries.transformed(sample, first, (0, 0)), second, (0, 0))
        for part, expected in zip(symmetries.transformed(sample, both, (0, 0)), step, strict=True):
            assert torch.equal(part, expected)
    assert symmetries.transformed(sample, 0, (0, 0)).history.equal(sample.history)


def test_values_and_components_turn_as_positions_do():
    """A vector field v(x) = A x, a tensor x xᵀ and a vector of parameters, about the middle of the grid."""
    x = torch.arange(4.0) - 1.5
    positions = torch.stack(torch.meshgrid(x, x, indexing="ij"))
    wind, matrix_a = torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 2.0], [3.0, 5.0]])

    def fields(matrix_a, wind):
        vectors = torch.einsum("ij,jxy->ixy", matrix_a, positions)
        frames = torch.cat([(wind[:, None, None] * positions).sum(0, keepdim=True), vectors])[None]
        tensor = positions[:, None] * positions[None]
        return Batch(
            frames, torch.stack([tensor[0, 0], tensor[0, 1], tensor[1, 1]]), torch.cat([wind, wind[:1] * 0]), frames
        )

    symmetries = Symmetries(BOX, ["flip", "rotate"])
    for number, orientation in enumerate(symmetries.orientations):
        turned = matrix(orientation)
        expected = fields(turned @ matrix_a @ turned.T, turned @ wind)
        for part, of_turned in zip(
            symmetries.transformed(fields(matrix_a, wind), number, (0, 0)), expected, strict=True
        ):
            torch.testing.assert_close(part, of_turned)


def test_a_rotation_by_90_degrees_is_that_of_torch():
    symmetries, sample = Symmetries(BOX, ["rotate"]), sample_of(BOX)
    turned = symmetries.transformed(sample, 1, (0, 0)).target
    pressure, u, v = torch.rot90(sample.target, 1, (2, 3)).unbind(dim=1)
    assert torch.equal(turned, torch.stack([pressure, -v, u], dim=1))


def test_mirror_images_change_the_sign_of_pseudo_fields():
    spec = replace(BOX, fields=("vorticity", "field_x", "field_y"))
    symmetries, sample = Symmetries(spec, ["flip_x"], ["vorticity", "field"]), sample_of(spec)
    vorticity, x, y = sample.target.flip(2).unbind(dim=1)
    turned = symmetries.transformed(sample, 1, (0, 0))
    assert torch.equal(turned.target, torch.stack([-vorticity, x, -y], dim=1))
    assert torch.equal(turned.scalars, sample.scalars * torch.tensor([-1, 1, 1]))
    assert torch.equal(turned.constants, sample.constants.flip(1) * torch.tensor([1, -1, 1]).view(3, 1, 1))


def test_shifts_go_along_their_axes_alone():
    random = Random(0)
    symmetries = Symmetries(BOX, ["shift_y"])
    drawn = {symmetries.draw(random, (4, 4)) for _ in range(100)}
    assert drawn == {(0, (0, n)) for n in range(4)}
    sample = sample_of(BOX)
    assert torch.equal(symmetries.transformed(sample, 0, (0, 3)).target, sample.target.roll(3, -1))


def test_all_members_of_a_group_are_drawn():
    random = Random(0)
    assert {Symmetries(BOX, ["flip", "rotate"]).draw(random, (4, 4))[0] for _ in range(200)} == set(range(8))


def test_components_of_other_axes_are_scalars():
    action = channel_action(["velocity_z", "u"], Orientation((1, 0), (-1, 1)), "xy")
    assert action == ([0, 1], [1, 1])
    assert generated_group(2, []) == [Orientation((0, 1), (1, 1))]


# --- what is broken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "names", "message"),
    [
        (
            {"boundaries": (("wall", "wall"), ("periodic", "periodic"))},
            ["shift"],
            "shift along x is no symmetry of box: ",
        ),
        (
            {"boundaries": (("wall", "open"), ("periodic", "periodic"))},
            ["flip"],
            "the sides are wall and open, not alike",
        ),
        (
            {"boundaries": (("wall", "wall"), ("open", "open"))},
            ["rotate"],
            "rotate along x and y is no symmetry of box: th",
        ),
        (
            {"grid_shape": (4, 8)},
            ["rotate"],
            r"the axes have \[4, 8\] points on lengths \[1.0, 1.0\], which must be equal",
        ),
        ({"extent": ((0.0, 1.0), (0.0, 2.0))}, ["rotate"], r"points on lengths \[1.0, 2.0\]"),
        ({"coordinates": ((0.0, 0.1, 0.4, 1.0), ())}, ["flip"], "the points along x are not even"),
        ({"boundaries": ()}, ["flip"], "as far as is known, for its boundaries are not"),
        (
            {"fields": ("velocity_x",)},
            ["rotate"],
            "augment=rotate turns velocity_x into velocity_y, which the data do not",
        ),
        ({}, ["mirror"], r"augment has \['mirror'\], expected some of \['shift', 'shift_x', 'shift_y', 'flip'"),
        ({}, ["flip_z"], r"augment has \['flip_z'\], expected"),
    ],
)
def test_what_the_data_break_is_refused(changes, names, message):
    with pytest.raises(ValueError, match=message):
        Symmetries(replace(BOX, **changes), names)


def test_pseudo_fields_that_the_data_do_not_have_are_refused():
    with pytest.raises(ValueError, match=r"pseudo_fields has \['vorticity'\], but box has the fields \['pressure'"):
        Symmetries(BOX, ["flip"], ["vorticity"])


def test_axes_with_walls_can_be_left_out():
    spec = replace(BOX, boundaries=(("periodic", "periodic"), ("wall", "wall")), grid_shape=(4, 6))
    symmetries = Symmetries(spec, ["shift_x", "flip"])
    assert symmetries.shifted == [0]
    assert len(symmetries.orientations) == 4


# --- equations --------------------------------------------------------------------------------------------------------

QUADRANTS = {"gammas": 1.4, "n_frames": 3, "frame_interval": 0.05, "compile": False}
EVOLVING = {
    "burgers": (Burgers((64,), 0.1, 3, 0.1, refinement=1), ["velocity"]),
    "kuramoto_sivashinsky": (KuramotoSivashinsky((64,), 22.0, 3, warm_up=5.0), ["velocity"]),
    "gray_scott": (GrayScott((64, 64), ((0.03, 0.062),), 3, 2.0, refinement=1), ["A", "B"]),
    "navier_stokes": (NavierStokes((32, 32), 0.01, 3, 0.2, forcing=0.0, refinement=1), ["vorticity"]),
    "shallow_water": (
        ShallowWater((32, 32), 5.0, 3, scale=0.6, hyperviscosity=1e-5),
        ["stream", "velocity_x", "velocity_y"],
    ),
    "shear_flow": (
        ShearFlow((32, 64), 100.0, 1.0, 3, widths=(1.0, 2.0)),
        ["velocity_x", "velocity_y", "tracer"],
    ),
    "euler_periodic": (
        EulerMultiQuadrantsPeriodicBC((16, 16), **QUADRANTS),
        ["density", "momentum_x", "momentum_y", "energy"],
    ),
    "euler_open": (
        EulerMultiQuadrantsOpenBC((16, 16), **QUADRANTS),
        ["density", "momentum_x", "momentum_y", "energy"],
    ),
    "turbulent_radiative_layer": (
        TurbulentRadiativeLayer2D((16, 48), 0.1, 3, 0.1, precision="float64", compile=False),
        ["density", "velocity_x", "velocity_y", "pressure"],
    ),
    "advection_diffusion": (AdvectionDiffusion((32, 32)), ["source"]),
    "poisson": (Poisson((32, 32)), ["source"]),
    "helmholtz": (Helmholtz((32, 32)), ["source"]),
    "darcy": (DarcyFlow((16, 16)), ["permeability"]),
}


def symmetries_of(pde):
    """All symmetries of an equation that its grid has, and those that it states."""
    data = OnTheFlyDataModule(pde, n_steps_input=0 if len(pde.schema.time) == 1 else 1)
    names = [name for name in pde.symmetries if name != "rotate" or len(set(pde.resolution)) == 1]
    return Symmetries(data.spec, names, pde.pseudo_fields)


def simulated(pde):
    frames, constants, scalars = (part[0] for part in as_tensors(pde.simulate(seeds=[3])))
    return Batch(frames, constants, scalars, frames)


def start_transformed(pde, names, symmetries, orientation, shifts, monkeypatch):
    """Let an equation start from a transformed state, or take transformed inputs."""

    def of_state(state):
        """Transform channels of a state, ``(batch, channel, *grid)``."""
        spec = replace(symmetries.spec, fields=tuple(names), constant_fields=(), scalars=())
        asked = [name for name in pde.symmetries if name != "rotate" or len(set(pde.resolution)) == 1]
        pseudo = [name for name in pde.pseudo_fields if name in names]
        group = Symmetries(spec, asked, pseudo)
        sample = Batch(state, torch.empty(0, *state.shape[2:]), torch.empty(0), state)
        return group.transformed(sample, orientation, shifts).history

    kind = type(pde)
    if names == ["permeability"]:
        family = type(pde.permeability)
        sample = family.sample
        monkeypatch.setattr(family, "sample", lambda *args: of_state(sample(*args)[:, None])[:, 0])
    elif names == ["source"]:
        draw = kind.draw

        def transformed(self, seeds, box):
            source, coefficients = draw(self, seeds, box)
            on_scalars = symmetries.actions[orientation][2]
            values = torch.stack([getattr(coefficients, name) for name in pde.scalar_names])
            new = dict(zip(pde.scalar_names, on_scalars.on(values, 0), strict=True))
            return of_state(source[:, None])[:, 0], coefficients._replace(**new)

        monkeypatch.setattr(kind, "draw", transformed)
    else:
        initial_state = kind.initial_state

        def from_transformed(self, *args):
            state = initial_state(self, *args)
            if isinstance(state, torch.Tensor):
                return of_state(state)
            return type(state)(*of_state(torch.stack(state, dim=1)).unbind(dim=1))

        monkeypatch.setattr(kind, "initial_state", from_transformed)


@pytest.mark.parametrize("name", EVOLVING)
def test_a_transformed_start_has_the_transformed_solution(name, monkeypatch):
    pde, names = EVOLVING[name]
    symmetries, plain, random = symmetries_of(pde), simulated(pde), Random(1)
    for orientation in range(len(symmetries.orientations)):
        _, shifts = symmetries.draw(random, pde.resolution)
        expected = symmetries.transformed(plain, orientation, shifts)
        with monkeypatch.context() as patched:
            start_transformed(pde, names, symmetries, orientation, shifts, patched)
            found = simulated(pde)
        for part, of_plain in zip(found[:3], expected[:3], strict=True):
            scale = of_plain.abs().max().item() if of_plain.numel() else 1.0
            torch.testing.assert_close(part, of_plain, rtol=0, atol=2e-6 * scale)


def test_the_signs_matter(monkeypatch):
    """Mirror images of Burgers' equation without the sign of u, and of an f-plane, are no solutions."""
    for name, pseudo in (("burgers", ()), ("shallow_water", ())):
        pde, names = EVOLVING[name]
        monkeypatch.setattr(type(pde), "pseudo_fields", pseudo)
        monkeypatch.setattr(type(pde), "symmetries", ("flip",))
        symmetries, plain = symmetries_of(pde), simulated(pde)
        expected = symmetries.transformed(plain, 1, (0,) * len(pde.resolution)).history
        start_transformed(pde, names, symmetries, 1, (0,) * len(pde.resolution), monkeypatch)
        assert (simulated(pde).history - expected).abs().max() > 0.05 * expected.abs().max()


def test_a_flow_is_forced_at_its_place_or_not_at_all():
    assert NavierStokes((32, 32), 0.01, refinement=1).symmetries == ()
    assert NonlinearPoisson((16, 16)).symmetries == ("flip", "rotate")
