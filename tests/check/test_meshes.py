"""The command checks meshes too."""

import numpy as np
import pytest

from fno_lightning.check import check, files_at

meshio = pytest.importorskip("meshio")

POINTS = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
CELLS = np.array([[0, 1, 2], [0, 2, 3]])


def written(path, values=None, cells=CELLS, **data):
    path.parent.mkdir(parents=True, exist_ok=True)
    meshio.Mesh(POINTS, [("triangle", cells)], point_data=values, **data).write(path)


def test_sound_meshes_have_no_faults(tmp_path):
    written(tmp_path / "train" / "a.vtu", {"u": np.arange(4.0)})
    written(tmp_path / "valid" / "a.vtk", {"u": np.arange(4.0)})
    assert len(files_at(tmp_path)) == 2
    assert check([tmp_path]) == []
    written(tmp_path / "of_cells.vtu", cell_data={"p": [np.arange(2.0)]})
    assert check([tmp_path / "of_cells.vtu"]) == []


def test_each_fault_is_an_issue_of_its_file(tmp_path):
    written(tmp_path / "a.vtu", {"u": np.arange(4.0)})
    written(tmp_path / "empty.vtu")
    written(tmp_path / "names.vtu", {"v": np.arange(4.0)})
    written(tmp_path / "nan.vtu", {"u": np.array([0, np.nan, 0, 0])})
    written(tmp_path / "turned.vtu", {"u": np.arange(4.0)}, cells=np.array([[0, 1, 2], [0, 3, 2]]))
    found = {issue.path.stem: issue.message for issue in check([tmp_path])}
    assert set(found) == {"empty", "names", "nan", "turned"}
    assert "no values in its points" in found["empty"]
    assert found["names"].startswith("has the values ['v'], but")
    assert "holds NaN" in found["nan"]
    assert "1 of 2 triangle cells are inverted" in found["turned"]
