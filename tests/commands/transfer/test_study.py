"""The whole study on tiny data: every run is done once, and an interrupted study goes on."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from fno_lightning.commands.transfer import Result, TransferStudy, command, study
from fno_lightning.commands.transfer.study import merged

EXPERIMENT = {
    "seed_everything": 0,
    "trainer": {"max_epochs": 1, "accelerator": "cpu"},
    "model": {
        "class_path": "fno_lightning.modules.FNOModule",
        "init_args": {
            "n_modes": [8, 8],
            "hidden_channels": 4,
            "n_layers": 1,
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3}},
        },
    },
    "data": {
        "class_path": "fno_lightning.data.GeneratedDataModule",
        "init_args": {
            "pde": {"class_path": "fno_lightning.pdes.Poisson", "init_args": {"resolution": [32, 32]}},
            "n_train": 8,
            "n_valid": 2,
            "n_test": 2,
            "n_steps_input": 0,
            "batch_size": 4,
        },
    },
}
SHIFT = {"data": {"init_args": {"pde": {"init_args": {"eigenvalues": [5.0, 10.0]}}}}}


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("experiment.yaml").write_text(yaml.safe_dump(EXPERIMENT))

    def make(**options):
        options = {"sizes": (2, 4), "steps": 2, "batch_size": 2, "folder": "study"} | options
        return TransferStudy("experiment.yaml", {"shifted": SHIFT}, **options)

    return make


@pytest.fixture
def counted(monkeypatch):
    """What was run: the subcommand of every run."""
    calls = []

    def count(args):
        calls.append(args[0])
        return main(args)

    main = study.main
    monkeypatch.setattr(study, "main", count)
    return calls


@pytest.mark.long
def test_a_study_runs_once_and_goes_on_where_it_stopped(make, counted):
    results = make().run()
    kinds = [(result.kind, result.n_examples) for result in results]
    both = [("fine-tuned", 2), ("from scratch", 2), ("fine-tuned", 4), ("from scratch", 4)]
    assert kinds == [("zero-shot", 0), *both]
    assert all(0 < result.test_error < 10 for result in results)
    assert counted.count("fit") == 5
    assert counted.count("test") == 5
    assert Path("study/transfer.png").stat().st_size > 5000
    assert "## shifted" in Path("study/transfer.md").read_text()

    counted.clear()
    (pretraining,) = Path("study").glob("pretrain-*")
    (pretraining / "best.json").unlink()  # as after an interruption: the training goes on from its last checkpoint
    (gone,) = Path("study").glob("shifted-from-scratch-4-*/result.json")
    gone.unlink()
    assert make().run() == results
    assert counted == ["fit", "fit", "test"]


@pytest.mark.long
def test_fine_tuning_starts_from_the_pretrained_weights_and_uses_a_part_of_the_data(make, counted):
    make(sizes=(2, 8)).run()
    override = yaml.safe_load(next(Path("study").glob("shifted-fine-tuned-2-*/override.yaml")).read_text())
    assert override["data"]["init_args"]["subsample"] == 4
    assert override["data"]["init_args"]["pde"] == SHIFT["data"]["init_args"]["pde"]
    checkpoint = override["model"]["init_args"]["initial_weights"]
    assert checkpoint == json.loads(next(Path("study").glob("pretrain-*/best.json")).read_text())
    assert Path(checkpoint).exists()
    scratch = yaml.safe_load(next(Path("study").glob("shifted-from-scratch-2-*/override.yaml")).read_text())
    assert "initial_weights" not in scratch["model"]["init_args"]


def test_the_learning_rate_that_does_best_on_validation_counts(make, monkeypatch):
    valid = {1e-1: 0.1, 1e-2: 0.2}

    def train(self, shift, kind, size, seed, rate, start):
        return Result(shift, kind, size, seed, rate, valid[rate], 1 - valid[rate])

    monkeypatch.setattr(TransferStudy, "_train", train)
    results = make(learning_rates=(1e-2, 1e-1), pretrained="experiment.yaml")._best("shifted", "fine-tuned", 2, 0, {})
    assert (results.learning_rate, results.test_error) == (1e-1, 0.9)


def test_the_command_prints_the_table(make, capsys, monkeypatch):
    monkeypatch.setattr(TransferStudy, "run", lambda self: study.write_report(Path(self.folder), RESULTS, self.metric))
    Path("study.yaml").write_text(yaml.safe_dump({"experiment": "experiment.yaml", "downstream": {"shifted": SHIFT}}))
    Path("x").mkdir()
    assert command.main(["--config", "study.yaml", "--folder", "x", "--sizes", "[2]"]) == 0
    printed = capsys.readouterr().out
    assert "shifted" in printed
    assert "0.25" in printed
    assert "x/transfer.png" in printed


RESULTS = [Result("shifted", kind, 2, 0, 1e-3, 0.25, 0.25) for kind in ("fine-tuned", "from scratch")]


def test_classes_in_a_part_of_a_configuration_stay_as_they_are(make, monkeypatch):
    monkeypatch.setattr(TransferStudy, "run", lambda self: studies.append(self))
    monkeypatch.setattr("fno_lightning.commands.transfer.command.Markdown", str)
    Path("x").mkdir()
    Path("x/transfer.md").write_text("")
    studies = []
    schedule = {"class_path": "torch.optim.lr_scheduler.ExponentialLR", "init_args": {"gamma": 0.5}}
    part = {"model": {"init_args": {"lr_scheduler": schedule}}}
    settings = {"experiment": "experiment.yaml", "downstream": {"shifted": SHIFT}, "finetune": part, "folder": "x"}
    Path("study.yaml").write_text(yaml.safe_dump(settings))
    command.main(["--config", "study.yaml"])
    (found,) = studies
    assert found.finetune == part
    assert found.downstream == {"shifted": SHIFT}
    json.dumps(found.finetune)


@pytest.mark.long
def test_other_weights_in_the_same_file_are_another_study(make, counted):
    results = make(sizes=(2,)).run()
    checkpoint = Path(json.loads(next(Path("study").glob("pretrain-*/best.json")).read_text()))
    Path("own.ckpt").write_bytes(checkpoint.read_bytes())
    assert make(sizes=(2,), pretrained="own.ckpt").run() == results
    content = torch.load("own.ckpt", weights_only=True)
    content["state_dict"] = {name: 0.9 * value for name, value in content["state_dict"].items()}
    torch.save(content, "own.ckpt")
    zero_shot, tuned, scratch = make(sizes=(2,), pretrained="own.ckpt").run()
    assert zero_shot.test_error != results[0].test_error
    assert tuned.test_error != results[1].test_error
    assert scratch == results[2]


def test_downstream_data_have_another_seed_than_those_of_the_pretraining(make):
    study = make(common={"data": {"init_args": {"seed": 7}}})
    assert study._data("shifted", 2)["data"]["init_args"]["seed"] == 8


def test_configurations_are_put_together_key_by_key():
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": [1]}, {"d": [2]}) == {"a": {"b": 3, "c": 2}, "d": [2]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": ()}, "sizes is empty"),
        ({"steps": 0}, r"sizes \[2, 4\], steps 0 and batch_size 2 must be positive"),
        ({"pretrained": "nowhere.ckpt"}, "there is no file nowhere.ckpt"),
        ({"sizes": (3, 4)}, r"sizes \[3\] do not divide the largest, 4"),
        ({"metric": "pearson"}, r"metric is 'pearson', expected one of \['vrmse', 'nrmse'"),
    ],
)
def test_impossible_studies_are_named(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


@pytest.mark.parametrize("name", ["transfer.md", "transfer.png"])
def test_a_file_that_no_study_has_made_is_not_written_over(name, make, counted):
    Path(name).write_text("mine")
    with pytest.raises(FileExistsError, match=f"{name} is of no study, and is not written over"):
        make(folder=".").run()
    assert (Path(name).read_text(), counted) == ("mine", [])
