"""Whatever happens while a checkpoint is written, a whole one is there, and a damaged one is not read."""

import errno
import pickle
import sys
import warnings

import pytest
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import AsyncCheckpointIO
from lightning.pytorch.strategies import SingleDeviceStrategy

from fno_lightning.checkpoints import AtomicCheckpointIO, DamagedCheckpointError, last_checkpoint, save_atomically
from fno_lightning.modules import FNOModule

OLD, NEW = {"weight": torch.arange(4.0)}, {"weight": torch.ones(1000)}


@pytest.fixture
def io():
    return AtomicCheckpointIO()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file(io, tmp_path, monkeypatch, error):
    path = tmp_path / "checkpoints" / "last.ckpt"
    io.save_checkpoint(OLD, path)

    def save(_, stream):
        stream.write(b"half")
        raise error

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(type(error)):
        io.save_checkpoint(NEW, path)
    assert torch.equal(io.load_checkpoint(path)["weight"], OLD["weight"])
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_a_full_disk_is_named(io, tmp_path, monkeypatch):
    class Full:
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

        def flush(self):
            pass

    save = torch.save
    monkeypatch.setattr(torch, "save", lambda checkpoint, _: save(checkpoint, Full()))
    with pytest.raises(OSError, match=r"cannot write .*last.ckpt .*are free there.*No space left"):
        io.save_checkpoint(NEW, tmp_path / "last.ckpt")


def test_what_a_kill_left_goes_with_the_next_checkpoint_of_the_name(io, tmp_path):
    for name in (".last.ckpt.123.part", ".best.ckpt.123.part"):
        (tmp_path / name).touch()
    io.save_checkpoint(NEW, tmp_path / "last.ckpt")
    assert {file.name for file in tmp_path.iterdir()} == {"last.ckpt", ".best.ckpt.123.part"}


@pytest.mark.parametrize("where", [0.2, 0.5, 0.95])
def test_a_part_of_a_file_is_refused(io, tmp_path, where):
    path = tmp_path / "last.ckpt"
    io.save_checkpoint(NEW, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(where * len(content))])
    with pytest.raises(DamagedCheckpointError, match=r"last.ckpt is not a checkpoint, or only a part of one"):
        io.load_checkpoint(path)


def test_changed_weights_are_refused_which_pytorch_reads(io, tmp_path):
    path = tmp_path / "last.ckpt"
    io.save_checkpoint(NEW, path)
    content = bytearray(path.read_bytes())
    content[content.index(b"\x00\x00\x80\x3f" * 100) + 3] ^= 0x40  # the first 1.0
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)["weight"][0] != 1
    with pytest.raises(DamagedCheckpointError, match=r"the checksum of .*data/0 in it is wrong"):
        io.load_checkpoint(path)


class Malicious:
    def __reduce__(self):
        return exec, ("raise AssertionError('code of a checkpoint was run')",)


def test_code_in_a_checkpoint_is_not_run(io, tmp_path):
    path = tmp_path / "last.ckpt"
    io.save_checkpoint({"state": Malicious()}, path)
    with pytest.raises(pickle.UnpicklingError, match="exec"):
        io.load_checkpoint(path)
    with pytest.raises(AssertionError, match="was run"):
        io.load_checkpoint(path, weights_only=False)


def test_other_plugins_are_left_alone(make_trainer):
    trainer = make_trainer()
    save_atomically(trainer)
    assert type(trainer.strategy.checkpoint_io) is AtomicCheckpointIO

    class Own(TorchCheckpointIO):
        pass

    for plugin in (Own, AsyncCheckpointIO):
        trainer = make_trainer(plugins=[plugin()])
        save_atomically(trainer)
        assert type(trainer.strategy.checkpoint_io) is plugin
    trainer = make_trainer(strategy=SingleDeviceStrategy(checkpoint_io=Own()))
    save_atomically(trainer)
    assert type(trainer.strategy.checkpoint_io) is Own


watched = []


def watch(event, _):
    """Call what is watched before each change of the file system."""
    if watched and event in ("open", "os.remove", "os.rename", "os.link", "os.symlink", "os.truncate", "shutil.move"):
        check = watched.pop()
        try:
            check()
        finally:
            watched.append(check)


sys.addaudithook(watch)


@pytest.mark.parametrize(
    "options",
    [
        {"filename": "best", "monitor": "train/loss", "mode": "max", "save_last": True},
        {"filename": "{step}", "monitor": "train/loss", "mode": "max", "save_last": "link"},
        {"filename": "{step}"},
    ],
    ids=str,
)
def test_at_every_moment_there_is_a_whole_checkpoint(make_trainer, make_data, tmp_path, options):
    data = make_data()
    module = FNOModule(data.spec, n_modes=(4,), hidden_channels=4, n_layers=1, n_steps_input=2)
    saver = ModelCheckpoint(tmp_path / "kept", every_n_train_steps=1, **options)
    trainer = make_trainer(
        saver, enable_checkpointing=True, plugins=[AtomicCheckpointIO()], max_steps=6, limit_val_batches=0
    )
    moments = []

    def find():
        if not trainer.sanity_checking and saver._last_global_step_saved:
            with warnings.catch_warnings(action="error"):  # of a damaged one
                moments.append(last_checkpoint(trainer))
            assert moments[-1] is not None

    watched.append(find)
    try:
        trainer.fit(module, data)
    finally:
        watched.clear()
    assert len(moments) > 10  # files that are imported meanwhile count too
    assert len(set(moments)) > ("save_last" not in options)
