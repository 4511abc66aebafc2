"""The checkpoint that a training goes on from."""

import os
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from fno_lightning.checkpoints import DamagedCheckpointError, last_checkpoint
from fno_lightning.cli import main
from tests.wave_config import CONFIG


def write(path, step, *, age=0, **content):
    state = {"loops": {}, "optimizer_states": [{}], "global_step": step, "weight": torch.ones(100)}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state | content, path)
    os.utime(path, (1e9 - age, 1e9 - age))
    return str(path)


def damage(path):
    file = Path(path)
    file.write_bytes(file.read_bytes()[:1000])


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept"


@pytest.fixture
def find(make_trainer, folder):
    return lambda: last_checkpoint(make_trainer(ModelCheckpoint(folder), enable_checkpointing=True))


def test_there_is_none_at_first(find):
    assert find() is None


def test_the_last_one_is_that_of_the_name_and_then_the_newest(find, folder):
    write(folder / "best.ckpt", 9)
    write(folder / "last.ckpt", 7, age=2)
    newer = write(folder / "last-v1.ckpt", 5, age=1)
    assert find() == newer


def test_without_one_of_the_name_it_is_the_newest(find, folder):
    write(folder / "step=4.ckpt", 4, age=4)
    newest = write(folder / "step=8.ckpt", 8)
    assert find() == newest


def test_weights_alone_and_evaluations_are_no_trainings(find, folder):
    training = write(folder / "best.ckpt", 4, age=4)
    write(folder / "calibrated-best.ckpt", 4, optimizer_states=[])
    torch.save({"global_step": 4, "state_dict": {}}, folder / "weights.ckpt")
    assert find() == training


def test_a_damaged_one_gives_way_to_the_one_before_and_both_are_named(find, folder):
    before = write(folder / "best.ckpt", 4, age=4)
    damage(write(folder / "last.ckpt", 8))
    message = rf"last.ckpt is not a checkpoint, or only a part .*: the training goes on from {before}, at step 4"
    with pytest.warns(UserWarning, match=message):
        assert find() == before


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04" + bytes(200)])
def test_one_that_is_none_gives_way_too(find, folder, content):
    before = write(folder / "best.ckpt", 4, age=4)
    (folder / "last.ckpt").write_bytes(content)
    with pytest.warns(UserWarning, match="only a part of one"):
        assert find() == before


def test_if_none_can_be_read_the_training_does_not_begin_anew_without_a_word(find, folder):
    damage(write(folder / "last.ckpt", 8))
    damage(write(folder / "best.ckpt", 8))
    with pytest.raises(DamagedCheckpointError, match=r"no checkpoint in .*last.ckpt is .*best.ckpt is .*begin anew"):
        find()


def test_a_new_version_of_a_logger_goes_on_from_the_newest_one_with_checkpoints(make_trainer, tmp_path):
    expected = write(tmp_path / "run" / "version_10" / "checkpoints" / "last.ckpt", 8, age=4)
    write(tmp_path / "run" / "version_9" / "checkpoints" / "last.ckpt", 9)
    (tmp_path / "run" / "version_11").mkdir()
    logger = TensorBoardLogger(tmp_path, name="run")
    trainer = make_trainer(ModelCheckpoint(), enable_checkpointing=True, logger=logger)
    assert last_checkpoint(trainer) == expected


def test_remote_folders_are_left_to_lightning(make_trainer):
    trainer = make_trainer(ModelCheckpoint("memory://kept"), enable_checkpointing=True)
    assert last_checkpoint(trainer) == "last"


def test_the_command_line_goes_on_from_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("wave.yaml").write_text(CONFIG)
    options = ["fit", "--config=wave.yaml", "--ckpt_path=last"]
    first = main(options).trainer  # there is none yet
    for file in Path().rglob("*.ckpt"):
        damage(write(file.with_name("last.ckpt"), 99))
    with pytest.warns(UserWarning, match=rf"last.ckpt .*best.ckpt, at step {first.global_step}"):
        resumed = main([*options, "--trainer.max_epochs=2"]).trainer
    assert resumed.global_step == 2 * first.global_step
    assert resumed.current_epoch == 2
