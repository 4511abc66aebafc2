"""Data that are kept in memory give the same batches, in the same order, as data that are read."""

import json
import time

import h5py
import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from fno_lightning.data import Batch, MixedDataModule, WellDataModule, write_well_file
from fno_lightning.data.cache.dataset import CachedWindowDataset
from fno_lightning.data.cache.policy import SplitCaches
from fno_lightning.data.cache.shared_memory import RamFrames
from fno_lightning.data.cache.store import DeviceFrames
from fno_lightning.data.hdf5.dataset import WindowDataset
from tests.two_processes import join, results_of

TOO_MUCH = "25.3 kB are more than half of"
CACHES = pytest.mark.parametrize("cache", ["ram", "device"])


def module_of(root, **options):
    return WellDataModule(root.name, str(root.parent), **({"n_steps_input": 2} | options))


def loaders_of(data):
    loaders = [data.train_dataloader(), data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()]
    return [*loaders, *(data.rollout_dataloader(split) for split in ("train", "valid", "test"))]


def assert_same(batches, expected):
    for batch, other in zip(batches, expected, strict=True):
        assert isinstance(batch, Batch)
        for part, same in zip(batch, other, strict=True):
            assert part.is_contiguous()
            assert torch.equal(part, same)


@CACHES
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_steps_input": 3, "n_steps_output": 2, "batch_size": 5, "eval_batch_size": 7},
        {"dt_stride": 2, "window_stride": 2, "eval_window_stride": 3},
        {"subsample": 3, "fields": ["velocity_y", "pressure"], "grid_stride": 2},
        {"include_filters": ["b"], "rollout_batch_size": 2, "max_rollout_steps": 3},
    ],
    ids=str,
)
def test_all_loaders_give_the_batches_that_are_read(data_set, cache, options):
    root = data_set(n_trajectories=3)
    torch.manual_seed(0)
    expected = [list(loader) for loader in loaders_of(module_of(root, cache="none", **options))]
    torch.manual_seed(0)
    data = module_of(root, cache=cache, **options)
    for loader, batches in zip(loaders_of(data), expected, strict=True):
        assert_same(loader, batches)
    assert isinstance(data.dataset("train"), CachedWindowDataset)
    assert torch.equal(data.dataset("train")[3].history, expected_sample(root, options, 3))


def expected_sample(root, options, index):
    return module_of(root, cache="none", **options).dataset("train")[index].history


@CACHES
@pytest.mark.parametrize("storage", [{}, {"chunks": True, "compression": "gzip"}], ids=["contiguous", "chunked"])
def test_irregular_files_and_lengths(tmp_path, irregular_file, cache, storage):
    for split in ("train", "valid", "test"):
        for name, n_frames in (("a", 9), ("b", 6), ("c", 9)):
            irregular_file(tmp_path / "odd" / "data" / split / f"{name}.hdf5", n_frames=n_frames, **storage)
    options = {"n_steps_input": 1, "rollout_batch_size": 4}
    torch.manual_seed(0)
    expected = [list(loader) for loader in loaders_of(module_of(tmp_path / "odd", cache="none", **options))]
    torch.manual_seed(0)
    for loader, batches in zip(loaders_of(module_of(tmp_path / "odd", cache=cache, **options)), expected, strict=True):
        assert_same(loader, batches)
    with pytest.raises(ValueError, match=r"different lengths \[5, 8\]"):
        module_of(tmp_path / "odd", cache=cache, **options).rollout_dataset("test").__getitems__([0, 3])


@CACHES
def test_a_steady_problem(tmp_path, random_trajectories, cache):
    for split in ("train", "valid", "test"):
        path = tmp_path / "darcy" / "data" / split / "a.hdf5"
        write_well_file(path, random_trajectories((6, 4), 3, n_frames=1), dataset_name="darcy", provenance={})
    expected = list(module_of(tmp_path / "darcy", n_steps_input=0, cache="none").test_dataloader())
    assert_same(module_of(tmp_path / "darcy", n_steps_input=0, cache=cache).test_dataloader(), expected)


@pytest.mark.long
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_share_the_copy_in_memory(data_set, context):
    data = module_of(data_set(), cache="ram")
    expected = list(data.val_dataloader())
    loader = torch.utils.data.DataLoader(
        data.dataset("valid"),
        batch_size=data.batch_size,
        collate_fn=data.val_dataloader().collate_fn,
        num_workers=1,
        multiprocessing_context=context,
    )
    assert_same(loader, expected)


def test_no_worker_is_started_for_what_is_on_the_device(data_set):
    data = module_of(data_set(), cache="device", num_workers=1, prefetch_factor=3, pin_memory=True)
    for loader in loaders_of(data):
        assert loader.num_workers == 0
        assert not loader.pin_memory
    data = module_of(data_set(), cache="ram", num_workers=1)
    assert data.train_dataloader().num_workers == data.val_dataloader().num_workers == 1


class Means(L.LightningModule):
    """Learns one number and remembers what it saw."""

    def __init__(self):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch):
        self.seen.append([value for part in batch for value in (part.sum().item(), len(part))])
        return (batch.history[:, -1:] + self.shift - batch.target).square().mean()

    validation_step = training_step
    test_step = training_step
    predict_step = training_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def seen_in_a_run(make_trainer, root, **options):
    L.seed_everything(1, verbose=False)
    module, data = Means(), module_of(root, batch_size=5, eval_batch_size=7, **options)
    make_trainer(max_epochs=2).fit(module, data)
    make_trainer().test(module, data, verbose=False)
    make_trainer().predict(module, data)
    return [*module.seen, [module.shift.item()]]


@pytest.mark.parametrize(("cache", "n"), [("ram", 0), ("ram", 1), ("device", 0), ("device", 1), ("auto", 0)])
def test_a_run_sees_the_same(data_set, make_trainer, cache, n):
    root = data_set()
    n_read = n if cache == "ram" else 0  # workers that live on draw one seed less, and a device needs none
    expected = seen_in_a_run(make_trainer, root, cache="none", num_workers=n_read)
    assert seen_in_a_run(make_trainer, root, cache=cache, num_workers=n) == expected


class StopAfter(Callback):
    def __init__(self, path):
        self.path = path

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == 0:
            trainer.save_checkpoint(self.path)


@CACHES
def test_a_resumed_run_sees_what_the_whole_one_did(data_set, make_trainer, tmp_path, cache):
    root, path = data_set(), tmp_path / "first.ckpt"

    def shift(cache, **fit_options):
        L.seed_everything(1, verbose=False)
        module = Means()
        make_trainer(max_epochs=2, callbacks=[StopAfter(path)]).fit(module, module_of(root, cache=cache), **fit_options)
        return module.shift.item()

    shift("none")
    expected = shift("none", ckpt_path=path, weights_only=True)
    assert shift(cache, ckpt_path=path, weights_only=True) == expected


def train_distributed(rank, port, root, folder):
    join(rank, port)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    for cache in ("none", "ram", "device"):
        L.seed_everything(1, verbose=False)
        module = Means()
        trainer = L.Trainer(
            accelerator="cpu", strategy="ddp", devices=2, max_epochs=2, enable_checkpointing=False, **quiet
        )
        trainer.fit(module, module_of(root, cache=cache, batch_size=5, eval_batch_size=4))
        (folder / f"{cache}-{rank}.json").write_text(json.dumps(module.seen))


def test_distributed_processes_see_the_same(data_set, tmp_path):
    results_of(train_distributed, data_set(), tmp_path)
    seen = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert seen["none-0"] != seen["none-1"]
    for cache in ("ram", "device"):
        for rank in range(2):
            assert seen[f"{cache}-{rank}"] == seen[f"none-{rank}"]


@pytest.fixture
def spoil(data_set):
    """Writes a value that is not finite into a data set."""

    def make(field, index):
        root = data_set()
        with h5py.File(root / "data" / "train" / "b.hdf5", "r+") as file:
            file[f"t0_fields/{field}"][index] = np.nan
        (root / "stats.yaml").unlink(missing_ok=True)
        return root

    return make


@CACHES
def test_values_that_are_not_finite_are_named_when_the_cache_is_filled(spoil, cache):
    root = spoil("density", (1, 7, 2, 3))
    with pytest.raises(ValueError, match=r"'density' holds NaN .* frame 7 of trajectory 1 of .*train/b\.hdf5"):
        module_of(root, cache=cache).train_dataloader()
    root = spoil("mask", (1, 2, 3))
    with pytest.raises(ValueError, match=r"'mask' holds NaN or infinite values in trajectory 1 of .*train/b\.hdf5"):
        module_of(root, cache=cache).train_dataloader()


@CACHES
def test_large_finite_values_pass(tmp_path, random_trajectories, cache):
    trajectories = random_trajectories((6, 4))
    trajectories.scalar_fields["density"].fill_(3e38)
    write_well_file(tmp_path / "big" / "data" / "train" / "a.hdf5", trajectories, dataset_name="big", provenance={})
    assert module_of(tmp_path / "big", cache=cache).dataset("train")[0].history[:, 1].min() == np.float32(3e38)


def test_a_file_that_changed_is_read_again(tmp_path, random_trajectories):
    samples = []
    for seed in (0, 1):
        path = tmp_path / "waves" / "data" / "train" / "a.hdf5"
        write_well_file(path, random_trajectories((6, 4), seed=seed), dataset_name="waves", provenance={})
        data = module_of(tmp_path / "waves", cache="ram")
        samples.append(data.dataset("train")[0].history)
        time.sleep(0.01)
    assert not torch.equal(*samples)


def sources_of(root):
    data = module_of(root)
    return {split: data._source(split) for split in ("train", "valid")}


def stores_of(caches):
    return {type(caches.store(split)) for split in ("train", "valid")}


@pytest.mark.parametrize(
    ("free_device", "free_memory", "expected", "line"),
    [
        (2.0, 2.0, DeviceFrames, "cache: device, 25.3 kB of 50.7 kB free on meta"),
        (1.9, 2.0, RamFrames, "cache: ram, 25.3 kB of 50.7 kB free memory"),
        (
            1.9,
            1.8,
            type(None),
            f"cache: none, {TOO_MUCH} 48.2 kB free on meta; {TOO_MUCH} 45.6 kB free memory",
        ),
    ],
)
def test_the_first_place_with_twice_the_room_is_chosen(data_set, monkeypatch, free_device, free_memory, expected, line):
    lines = []
    monkeypatch.setattr("fno_lightning.data.cache.policy.rank_zero_info", lines.append)
    sources = sources_of(data_set())
    n_bytes = sum(source.n_bytes for source in sources.values())
    monkeypatch.setattr("fno_lightning.data.cache.store.free_on", lambda _: int(free_device * n_bytes))
    monkeypatch.setattr("fno_lightning.data.cache.store.free_ram", lambda: int(free_memory * n_bytes))
    caches = SplitCaches("auto")
    caches.fill(sources, torch.device("meta"))
    assert stores_of(caches) == {expected}
    assert lines == [line]


def test_a_device_that_turns_out_to_be_full_is_passed_over(data_set, monkeypatch):
    def fail(store):
        raise torch.OutOfMemoryError("out of memory on the device")

    monkeypatch.setattr("fno_lightning.data.cache.store.free_on", lambda _: 2**40)
    monkeypatch.setattr(DeviceFrames, "_open", fail)
    caches = SplitCaches("auto")
    caches.fill(sources_of(data_set()), torch.device("meta"))
    assert stores_of(caches) == {RamFrames}


def test_a_full_cache_leaves_no_file_open(data_set):
    def n_open():
        return h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)

    sources = sources_of(data_set())
    before = n_open()
    SplitCaches("ram").fill(sources, None)
    assert n_open() == before


def test_what_another_process_keeps_already_needs_no_memory(data_set, monkeypatch):
    root = data_set()
    holder = module_of(root, cache="ram")
    holder.setup("fit")
    monkeypatch.setattr("fno_lightning.data.cache.store.free_ram", lambda: 10)
    caches = SplitCaches("auto")
    caches.fill(sources_of(root), None)
    assert stores_of(caches) == {RamFrames}


@CACHES
def test_a_named_place_without_room_is_an_error(data_set, monkeypatch, cache):
    monkeypatch.setattr("fno_lightning.data.cache.store.free_ram", lambda: 1000)
    with pytest.raises(MemoryError, match=rf"cache={cache} needs .* for train and valid, but 1\.0 kB are free memory"):
        module_of(data_set(), cache=cache).setup("fit")


def kinds_after(data, stage):
    data.setup(stage)
    return [type(data.dataset(split)) for split in ("train", "valid", "test")]


def test_auto_caches_what_a_training_reads_again_and_again(data_set, make_trainer):
    root = data_set()
    assert kinds_after(module_of(root), "fit") == [CachedWindowDataset, CachedWindowDataset, WindowDataset]
    assert kinds_after(module_of(root), None) == [CachedWindowDataset, CachedWindowDataset, WindowDataset]
    assert kinds_after(module_of(root), "test") == [WindowDataset] * 3
    data = module_of(root)
    data.trainer = make_trainer(fast_dev_run=True)
    assert kinds_after(data, "fit") == [WindowDataset] * 3
    data = module_of(root)
    data.trainer = make_trainer()
    data.setup("fit")
    assert {type(data._caches.store(split)) for split in ("train", "valid")} == {RamFrames}


def test_another_device_is_filled_anew(data_set):
    data = module_of(data_set(), cache="device")
    data.setup("fit")
    caches, store = data._caches, data._caches.store("train")
    caches.keep_only(torch.device("cpu"))
    assert caches.store("train") is store
    caches.keep_only(torch.device("meta"))
    assert caches.store("train") is None


def test_other_resolutions_have_caches_of_their_own(data_set):
    data = module_of(data_set(), cache="device")
    data.setup("test")
    coarse = data.at_resolution((3, 2))
    assert torch.equal(coarse.dataset("test")[1].target, data.dataset("test")[1].target[..., ::2, ::2])


def test_a_mixture_takes_members_in_main_memory(data_set):
    root = data_set()

    def batches(cache):
        members = {name: module_of(root, cache=cache, include_filters=[name]) for name in ("a", "b")}
        data = MixedDataModule(members, batch_size=4)
        data.setup("fit")
        torch.manual_seed(0)
        return [*data.train_dataloader(), *data.val_dataloader()]

    assert_same(batches("ram"), batches("none"))
    with pytest.raises(ValueError, match=r"members \['a', 'b'\] have cache=device.*use cache=ram"):
        batches("device")


def test_a_mixture_keeps_its_members_off_the_device(data_set, monkeypatch, make_trainer):
    monkeypatch.setattr("fno_lightning.data.cache.store.free_on", lambda _: 2**40)
    trainer = make_trainer()
    trainer.strategy._root_device = torch.device("meta")
    root = data_set()
    caches = SplitCaches("auto")
    caches.prepare("fit", trainer, module_of(root)._source)
    assert stores_of(caches) == {DeviceFrames}
    member = module_of(root)
    MixedDataModule({"a": member})
    for caches in (member._caches, member.at_resolution((3, 2))._caches):
        caches.prepare("fit", trainer, member._source)
        assert stores_of(caches) == {RamFrames}


def test_the_option_is_a_hyper_parameter(data_set):
    assert module_of(data_set(), cache="ram").hparams["cache"] == "ram"
