import h5py
import pytest
import torch

from fno_lightning.commands.check import main
from fno_lightning.data import write_well_file
from tests.travelling_wave import TravellingWave


@pytest.fixture
def files(tmp_path):
    """Three files without faults."""
    paths = [tmp_path / f"{name}.hdf5" for name in "abc"]
    for seed, path in enumerate(paths):
        trajectories = TravellingWave().simulate({"speed": 0.5}, [2 * seed, 2 * seed + 1])
        write_well_file(path, trajectories, dataset_name="travelling_wave")
    return paths


def damage(path):
    with h5py.File(path, "r+") as file:
        file["t0_fields/height"][1, 2, 3] = torch.nan
        del file["dimensions/x"].attrs["time_varying"]
        del file.attrs["grid_type"]


def test_good_files(files, capsys):
    assert main(list(map(str, files))) == 0
    assert capsys.readouterr().out == "3 files: no faults\n"
    assert main([str(files[0])]) == 0
    assert capsys.readouterr().out == "1 file: no faults\n"


def test_every_fault_is_one_line_in_a_block_for_each_file(files, tmp_path, capsys):
    damage(files[0])
    files[2].write_text("nothing")
    assert main([str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    first, last = lines.index(""), len(lines) - 2
    assert [line.split(": ")[:2] for line in lines[:first]] == [
        [f"ERROR  {files[0]}", "/"],
        [f"WARNING  {files[0]}", "/dimensions/x"],
        [f"ERROR  {files[0]}", "/t0_fields/height"],
    ]
    assert lines[2].endswith(
        "holds values that are not finite: 1 NaN, the first in trajectory 1, frame 2; "
        "simulate or download the file again"
    )
    assert [line.split(": ")[:2] for line in lines[first + 1 : last]] == [[f"ERROR  {files[2]}", "/"]]
    assert lines[last:] == ["", "3 files, 3 errors, 1 warning"]


def test_warnings_count_if_they_shall(files, capsys):
    with h5py.File(files[0], "r+") as file:
        del file["dimensions/x"].attrs["time_varying"]
    assert main([str(files[0])]) == 0
    assert capsys.readouterr().out.endswith("\n\n1 file, 0 errors, 1 warning\n")
    assert main([str(files[0]), "--warnings-as-errors"]) == 1


def test_a_path_with_brackets_is_shown_as_it_is(files, capsys):
    folder = files[0].parent / "[bold]set[green]"
    folder.mkdir()
    (folder / "[red].hdf5").write_text("nothing")
    assert main([str(folder)]) == 1
    assert f"ERROR  {folder}/[red].hdf5: /: is not an HDF5 file" in capsys.readouterr().out


def test_a_data_set(files, capsys):
    root = files[0].parent
    for path, split in zip(files, ("train", "valid", "test"), strict=True):
        (root / "data" / split).mkdir(parents=True)
        path.rename(root / "data" / split / path.name)
    assert main([str(root)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"WARNING  {root}/stats.yaml: /: is missing")
    assert out.endswith("3 files, 0 errors, 1 warning\n")


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["nothing.hdf5"], "there is no nothing.hdf5"),
        ([], "error: files must be given\n"),
        (["--unknown", "a"], "error: there is no option --unknown\n"),
    ],
)
def test_wrong_usage(args, part, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(args) == 2
    streams = capsys.readouterr()
    assert (streams.out, part in streams.err) == ("", True)


def test_nothing_is_checked_if_a_path_is_wrong(files, capsys):
    damage(files[0])
    assert main([str(files[0]), "nothing.hdf5"]) == 2
    assert capsys.readouterr().out == ""


def test_help(capsys):
    assert main(["--help"]) == 0
    assert "--warnings-as-errors" in capsys.readouterr().out
