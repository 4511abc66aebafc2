"""Configurations by name, from any folder."""

from pathlib import Path

import pytest
import yaml

from fno_lightning.cli import main
from fno_lightning.commands.configs import main as configs
from fno_lightning.commands.configs import summary
from fno_lightning.config_files import find_config, shipped_configs

SHIPPED = Path(__file__).parents[1] / "configs"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def printed(capsys, *args):
    with pytest.raises(SystemExit):
        main([*args, "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


def test_a_configuration_is_found_by_its_name(capsys):
    assert find_config("trl2d").read_text() == (SHIPPED / "trl2d.yaml").read_text()
    by_name = printed(capsys, "fit", "--config", "trl2d")
    assert by_name == printed(capsys, "fit", "--config", str(SHIPPED / "trl2d.yaml"))


def test_a_file_wins_over_a_shipped_configuration(capsys):
    Path("trl2d").write_text((SHIPPED / "trl2d.yaml").read_text() + "seed_everything: 5\n")
    assert printed(capsys, "fit", "--config", "trl2d")["seed_everything"] == 5


def test_a_configuration_may_still_be_written_out(capsys):
    assert (
        printed(capsys, "fit", "--config", "trl2d", "--config", "{trainer: {max_epochs: 4}}")["trainer"]["max_epochs"]
        == 4
    )


def test_the_near_name_is_suggested():
    with pytest.raises(
        ValueError, match="there is no configuration trl3d, neither a file nor a shipped one; did you mean"
    ):
        find_config("trl3d")


def test_a_base_comes_first_and_is_printed_with_the_rest(capsys):
    Path("folder").mkdir()
    Path("folder/own.yaml").write_text(
        "base: trl2d  # ours\ntrainer: {max_epochs: 3}\nmodel: {init_args: {n_layers: 2}}\n"
    )
    Path("folder/mine.yaml").write_text("trainer:\n  callbacks+: DeviceStatsMonitor\nbase: own.yaml\n")
    config = printed(capsys, "fit", "--config", "folder/mine.yaml")
    assert config["trainer"]["max_epochs"] == 3
    assert (
        config["trainer"]["logger"]["init_args"] | {"save_dir": "runs", "name": "trl2d"}
        == config["trainer"]["logger"]["init_args"]
    )
    assert [callback["class_path"].rpartition(".")[2] for callback in config["trainer"]["callbacks"]][-2:] == [
        "PredictionWriter",
        "DeviceStatsMonitor",
    ]
    network = config["model"]["init_args"]
    assert (network["n_layers"], network["hidden_channels"], network["optimizer"]["init_args"]["lr"]) == (2, 32, 5e-3)
    assert network["lr_scheduler"]["class_path"].endswith("WarmupCosine")


def test_a_configuration_of_ones_own_gets_no_defaults(capsys):
    Path("own.yaml").write_text("model: {class_path: FNOModule, init_args: {n_modes: [8]}}\n")
    config = printed(capsys, "fit", "--config", "own.yaml", "--data", "GeneratedDataModule", "--data.pde", "Burgers")
    assert config["trainer"]["callbacks"] is None
    assert config["model"]["init_args"]["optimizer"] is None


def test_a_missing_base_is_named():
    Path("own.yaml").write_text("base: nothing\n")
    with pytest.raises(ValueError, match="there is no configuration nothing"):
        main(["fit", "--config", "own.yaml"])


def test_all_are_listed_in_a_line_each(capsys):
    assert configs([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(shipped_configs())
    assert next(line for line in lines if line.startswith("poisson ")).endswith(summary(SHIPPED / "poisson.yaml"))


@pytest.mark.parametrize("path", shipped_configs().values(), ids=lambda path: path.stem)
def test_every_configuration_starts_with_a_sentence(path):
    assert path.read_text().startswith("# ")
    assert summary(path)[0].isupper()
    assert summary(path)[-1] in ".)"


def test_one_is_copied_out_and_nothing_is_overwritten(capsys):
    assert configs(["burgers"]) == 0
    assert Path("burgers.yaml").read_text() == (SHIPPED / "burgers.yaml").read_text()
    Path("burgers.yaml").write_text("mine")
    with pytest.raises(FileExistsError, match=r"burgers\.yaml exists already and is not overwritten"):
        configs(["darcy", "burgers"])
    assert [path.name for path in Path().iterdir()] == ["burgers.yaml"]
    assert Path("burgers.yaml").read_text() == "mine"
    with pytest.raises(ValueError, match="there is no configuration nothing"):
        configs(["nothing"])
