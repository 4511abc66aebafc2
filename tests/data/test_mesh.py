"""Meshes in files: what is read, what the points weigh, and what is refused."""

import itertools
import math

import lightning as L
import numpy as np
import pytest
import torch

from fno_lightning.data import MeshDataModule, MeshError
from fno_lightning.data.clouds import read_mesh
from fno_lightning.data.clouds.cells import SIMPLICES, cell_measures
from fno_lightning.modules import GeometryFNOModule

meshio = pytest.importorskip("meshio")

SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.4, 0.5, 0]])
TRIANGLES = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])


def square(path, *, points=SQUARE, cells=TRIANGLES, values=None, **data):
    values = {"u": points[:, 0] + 2.0} if values is None else values
    mesh = meshio.Mesh(points, [("triangle", cells)], point_data=values, **data)
    mesh.write(path, file_format="gmsh" if path.suffix == ".msh" else None)
    return path


@pytest.mark.parametrize("ending", ["vtu", "vtk", "msh"])
def test_values_of_points_are_read_from_each_format(tmp_path, ending):
    velocity = np.stack([SQUARE[:, 1], SQUARE[:, 0], np.zeros(5)], axis=1)
    values = {"u": SQUARE[:, 0] + 2.0, "velocity": velocity, "source": SQUARE[:, 1]}
    sample = read_mesh(square(tmp_path / f"a.{ending}", values=values), constant_fields=["source"])
    assert set(sample.fields) == {"u", "velocity_x", "velocity_y"}
    torch.testing.assert_close(sample.positions.double(), torch.from_numpy(SQUARE[:, :2]))
    torch.testing.assert_close(sample.fields["velocity_x"].double(), torch.from_numpy(SQUARE[:, 1]))
    torch.testing.assert_close(sample.constant_fields["source"].double(), torch.from_numpy(SQUARE[:, 1]))


def test_weights_integrate_linear_functions_exactly(tmp_path):
    sample = read_mesh(square(tmp_path / "a.vtu"))
    integral = (sample.weight * (3 * sample.positions[:, 0] - sample.positions[:, 1])).sum()
    torch.testing.assert_close(integral, torch.tensor(1.0, dtype=torch.float64))
    torch.testing.assert_close(sample.weight.sum(), torch.tensor(1.0, dtype=torch.float64))


UNIT = {
    "line": ([[0, 0, 0], [1, 0, 0]], 1),
    "triangle": ([[0, 0, 0], [1, 0, 0], [0, 1, 0]], 1 / 2),
    "quad": ([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], 1),
    "tetra": ([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], 1 / 6),
    "hexahedron": ([[x, y, z] for z in (0, 1) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))], 1),
}


@pytest.mark.parametrize("kind", SIMPLICES)
def test_cells_have_the_measure_of_an_affine_map(kind):
    points, size = UNIT[kind]
    generator = np.random.default_rng(0)
    n_dims = len(SIMPLICES[kind][0]) - 1
    matrix = generator.normal(size=(n_dims, n_dims))
    mapped = np.array(points, dtype=float)[:, :n_dims] @ matrix.T + generator.normal(size=n_dims)
    (measure,) = cell_measures(mapped, kind, np.arange(len(points))[None])
    assert measure == pytest.approx(size * np.linalg.det(matrix))


def test_cells_of_a_surface_in_space_have_an_area():
    turned = np.array([[0.0, 0, 0], [0, 2, 0], [0, 0, 3]])
    assert cell_measures(turned, "triangle", np.array([[0, 1, 2]]))[0] == pytest.approx(3.0)


def test_values_of_cells_lie_in_their_middle(tmp_path):
    path = tmp_path / "a.vtu"
    meshio.Mesh(SQUARE, [("triangle", TRIANGLES)], cell_data={"p": [np.arange(4.0)]}).write(path)
    sample = read_mesh(path, location="cells")
    torch.testing.assert_close(sample.positions[0], torch.from_numpy(SQUARE[[0, 1, 4], :2].mean(axis=0)))
    assert sample.weight.tolist() == pytest.approx([0.25, 0.3, 0.25, 0.2])
    with pytest.raises(MeshError, match="no values in its points: location=cells takes those of the cells"):
        read_mesh(path)


def test_a_surface_in_stl_takes_its_values_from_beside_it(tmp_path):
    path = tmp_path / "wing.stl"
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    meshio.Mesh(points, [("triangle", faces)]).write(path)
    with pytest.raises(MeshError, match=r"wing.stl has no values in its cells: add some, or wing.npz beside it"):
        read_mesh(path, location="cells")
    np.savez(tmp_path / "wing.npz", pressure=np.arange(4.0))
    sample = read_mesh(path, location="cells")
    assert sample.positions.shape == (4, 3)
    assert sample.weight.sum().item() == pytest.approx(1.5 + math.sqrt(3) / 2)
    assert {name: values.tolist() for name, values in sample.fields.items()} == {"pressure": [0, 1, 2, 3]}
    assert "facet_normals_z" in read_mesh(path, location="cells", constant_fields=["facet_normals"]).constant_fields


def test_points_of_no_cell_and_cells_of_fewer_dimensions_are_left_out(tmp_path):
    points = np.vstack([SQUARE, [[9.0, 9, 0]]])
    edges = ("line", np.array([[0, 1], [1, 5]]))
    meshio.Mesh(points, [edges, ("triangle", TRIANGLES)], point_data={"u": points[:, 0]}).write(tmp_path / "a.vtu")
    sample = read_mesh(tmp_path / "a.vtu")
    assert sample.positions.max() == 1
    assert sample.weight.min() > 0


TURNED = np.vstack([TRIANGLES[:3], [[3, 4, 0]]])
FLAT = np.vstack([SQUARE[:4], [[0.5, 0.0, 0]]])
WITH_NAN = np.array([1.0, np.nan, 0, 0, 0])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"values": {}}, "a.vtu has no values in its points: add some"),
        ({"values": {"u": WITH_NAN}}, "'u' of .*a.vtu holds NaN or infinite values, 1 of 5"),
        ({"points": np.where(SQUARE == 0.4, np.nan, SQUARE)}, "a.vtu has points whose coordinates are NaN"),
        ({"cells": TURNED}, "a.vtu: 1 of 4 triangle cells are inverted, the first is 3"),
        ({"points": FLAT}, "a.vtu: 1 of 4 triangle cells are degenerate, the first is 0"),
    ],
)
def test_a_bad_mesh_is_refused_by_its_file(tmp_path, parts, message):
    path = square(tmp_path / "a.vtu", **parts)
    with pytest.raises(MeshError, match=message):
        read_mesh(path)


def test_a_turned_cell_of_a_surface_in_space_is_found(tmp_path):
    bent = SQUARE + np.array([[0.0, 0, 0]] * 4 + [[0, 0, 1]])
    assert len(read_mesh(square(tmp_path / "a.vtu", points=bent)).positions) == 5
    with pytest.raises(MeshError, match="cells of the surface are inverted"):
        read_mesh(square(tmp_path / "b.vtu", points=bent, cells=TURNED))
    assert len(read_mesh(tmp_path / "b.vtu", check_cells=False).positions) == 5


def test_what_is_no_mesh_is_refused_by_its_file(tmp_path, capsys):
    (tmp_path / "a.vtu").write_text("nothing")
    with pytest.raises(MeshError, match=r"a.vtu cannot be read as a mesh"):
        read_mesh(tmp_path / "a.vtu")
    assert capsys.readouterr().out == ""


def test_names_that_there_are_not_are_refused(tmp_path):
    path = square(tmp_path / "a.vtu")
    with pytest.raises(MeshError, match=r"a.vtu has no values \['p'\], but \['u'\]"):
        read_mesh(path, fields=["p"])
    with pytest.raises(MeshError, match=r"a.vtu has no scalar 'speed' in its field data"):
        read_mesh(path, scalars=["speed"])


def test_a_folder_is_a_data_set_of_samples_and_scalars(tmp_path):
    for split in ("train", "valid", "test"):
        (tmp_path / "flow" / split).mkdir(parents=True)
        for number in range(2):
            path = tmp_path / "flow" / split / f"{number}.vtu"
            square(path)
            np.savez(path.with_suffix(".npz"), speed=float(number))
    data = MeshDataModule(tmp_path / "flow", scalars=["speed"], batch_size=2)
    batch = next(iter(data.val_dataloader()))
    assert data.spec.dataset_name == "flow"
    assert data.spec.box == ((0.0, 1.0), (0.0, 1.0))
    assert batch.scalars.tolist() == [[0.0], [1.0]]
    assert batch.target.shape == (2, 1, 1, 5)


def test_parameters_are_read_from_the_field_data(tmp_path):
    path = square(tmp_path / "a.vtu")
    array = '<DataArray type="Float64" Name="speed" NumberOfTuples="1" format="ascii">2.5</DataArray>'
    text = path.read_text().replace("<UnstructuredGrid>", f"<UnstructuredGrid><FieldData>{array}</FieldData>")
    path.write_text(text)
    assert read_mesh(path, scalars=["speed"]).scalars == {"speed": 2.5}


def test_a_folder_of_files_is_a_trajectory(tmp_path):
    for split in ("train", "valid", "test"):
        (tmp_path / split / "first").mkdir(parents=True)
        for number in range(3):
            square(tmp_path / split / "first" / f"{number}.vtu", values={"u": SQUARE[:, 0] + number})
    data = MeshDataModule(tmp_path, n_steps_input=1, time_step=0.5)
    assert data.spec.time_step == 0.5
    assert next(iter(data.rollout_dataloader("test"))).target[0, :, 0, 0].tolist() == [1.0, 2.0]
    moved = SQUARE + np.array([0.1, 0, 0])
    square(tmp_path / "train" / "first" / "3.vtu", points=moved)
    with pytest.raises(MeshError, match=r"3.vtu has other points or fields than .*0.vtu"):
        MeshDataModule(tmp_path, n_steps_input=1, time_step=0.5).clouds("train")


def test_a_folder_without_meshes_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no meshes in .*train"):
        _ = MeshDataModule(tmp_path).spec


def test_a_missing_meshio_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "meshio", None)
    with pytest.raises(ImportError, match=r"pip install 'fno_lightning\[mesh\]'"):
        read_mesh(tmp_path / "a.vtu")


def test_meshes_train_a_module(tmp_path):
    for split, number in itertools.product(("train", "valid"), range(2)):
        (tmp_path / split).mkdir(exist_ok=True)
        square(tmp_path / split / f"{number}.vtu", values={"u": SQUARE[:, 0] + number, "source": SQUARE[:, 1]})
    data = MeshDataModule(tmp_path, constant_fields=["source"], batch_size=2)
    module = GeometryFNOModule(
        data.spec, n_modes=(2, 2), latent_grid=(4, 4), hidden_channels=4, n_layers=1, n_steps_input=0
    )
    trainer = L.Trainer(fast_dev_run=True, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(module, data)
    assert trainer.callback_metrics["val/vrmse"].isfinite()
