"""The documents say what the code does: worked examples run, floors and links exist."""

import importlib
import importlib.util
import re
import shlex
import sys
from pathlib import Path

import pytest

from fno_lightning.cli import main
from fno_lightning.config_files import shipped_configs

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FILE = re.compile(r"```(?:python|yaml)\n# (\w+\.(?:py|yaml))\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^\$ fno-lightning (fit .*)$", re.MULTILINE)


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """Writes the files of the page on contributing into an empty folder, and goes there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    files = dict(FILE.findall((ROOT / "docs" / "contributing.md").read_text()))
    for name, text in files.items():
        Path(name).write_text(text)
    yield files
    for name in files:
        sys.modules.pop(Path(name).stem, None)


COMMANDS = COMMAND.findall((ROOT / "docs" / "contributing.md").read_text())


@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_worked_example_runs(examples, command):
    assert {"heat.py", "convolutions.py", "losses.py", "sines.py", "drift.py"} <= set(examples)
    cli = main([*shlex.split(command), "--trainer.accelerator", "cpu", "--trainer.enable_checkpointing", "false"])
    assert cli.trainer.global_step > 0
    assert "val/loss" in cli.trainer.callback_metrics


def test_there_is_an_example_of_each_extension():
    assert len(COMMANDS) == 5


def test_the_equation_of_the_example_is_solved(examples):
    import torch
    from heat import Heat

    frames = Heat().simulate(seeds=[0, 1]).scalar_fields["temperature"].double()
    mode = torch.fft.rfft(frames)[..., 1].abs()
    expected = torch.exp(torch.tensor(-0.01 * (2 * torch.pi) ** 2 * 0.1)).expand(2, 10)
    torch.testing.assert_close((mode[:, 1:] / mode[:, :-1]).float(), expected, rtol=1e-4, atol=0)


def test_the_picture_shows_the_floors_that_are_checked():
    spec = importlib.util.spec_from_file_location("floors", ROOT / "docs" / "floors.py")
    floors = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(floors)
    rooms = {room for floor in floors.floors() for room in floor}
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert all(f"`{room}/`" in page or f"`{room}.py`" in page for room in rooms - {"version"})
    assert floors.draw().axes[0].patches


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://)([^)#]*)(?:#[^)]*)?\)", page.read_text()):
        assert not target or (page.parent / target).exists(), target


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_parts_of_a_training_are_where_the_guide_says():
    page = (ROOT / "docs" / "guide.md").read_text()
    table = page.partition("## Parts of a training")[2].partition("\n## ")[0]
    paths = re.findall(r"`((?:losses|pdes|derivatives|callbacks|modules)\.\w+)`", table)
    assert len(paths) > 20
    for path in paths:
        room, name = path.split(".")
        assert hasattr(importlib.import_module(f"fno_lightning.{room}"), name), path
    for config in re.findall(r"--config (\w+)", table):
        assert config in shipped_configs()
    methods = {"EquationResidual", "SoftAdapt", "ReLoBRaLo", "InverseGradientNorm", "ByField", "WeightedSum"}
    assert methods <= {path.split(".")[1] for path in paths}
