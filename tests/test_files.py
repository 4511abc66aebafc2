"""Paths as a user writes them, and files that are not written over."""

from pathlib import Path

import pytest

from fno_lightning.files import expanded_path, unused_path, write_unused


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATA", "/scratch/data")
    monkeypatch.delenv("NOT_SET", raising=False)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("~/data", "{here}/home/data"),
        ("~", "{here}/home"),
        (Path("~/data"), "{here}/home/data"),
        ("$DATA/well", "/scratch/data/well"),
        ("${DATA}well", "/scratch/datawell"),
        ("$HOME/$DATA", "{here}/home//scratch/data"),
        ("runs/~", "runs/~"),
        ("price_$5", "price_$5"),
        ("relative/path", "relative/path"),
    ],
)
def test_a_path_is_what_a_shell_makes_of_it(written, meant, tmp_path):
    assert expanded_path(written) == Path(meant.format(here=tmp_path))


@pytest.mark.parametrize("path", ["$NOT_SET/data", "${NOT_SET}", "~/$NOT_SET"])
def test_a_variable_that_is_not_set_is_named_with_the_option(path):
    with pytest.raises(ValueError, match=r"base_path is .*, but the variable NOT_SET is not set"):
        expanded_path(path, "base_path")


def test_an_unknown_user_is_refused_unless_there_is_such_a_file():
    with pytest.raises(ValueError, match="there is no user ~nobody_of_this_name"):
        expanded_path("~nobody_of_this_name/data")
    Path("~draft_of_mine").touch()
    assert expanded_path("~draft_of_mine") == Path("~draft_of_mine")


def test_a_text_is_written_over_no_other_file():
    Path("config.yaml").write_text("mine")
    assert write_unused(Path("config.yaml"), "theirs") == Path("config-v1.yaml")
    assert write_unused(Path("config.yaml"), "third") == Path("config-v2.yaml")
    assert write_unused(Path("config.yaml"), "theirs") == Path("config-v1.yaml")
    assert write_unused(Path("config.yaml"), "mine") == Path("config.yaml")
    assert {path.name: path.read_text() for path in Path().iterdir()} == {
        "config.yaml": "mine",
        "config-v1.yaml": "theirs",
        "config-v2.yaml": "third",
    }


def test_an_unused_path_is_numbered_on():
    assert unused_path(Path("folder")) == Path("folder")
    Path("folder").mkdir()
    Path("folder-v1").touch()
    assert unused_path(Path("folder")) == Path("folder-v2")
