import logging
import re
from dataclasses import replace

import h5py
import lightning as L
import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import Dataset

from fno_lightning.cli import main
from fno_lightning.data import (
    Batch,
    FieldDataModule,
    FieldSpec,
    GeneratedDataModule,
    NotPreparedError,
    WellDataModule,
    WellFormatError,
    write_well_file,
)
from fno_lightning.data.hdf5.download import download_well
from fno_lightning.pdes import TurbulentRadiativeLayer2D


def module_of(root, **options):
    return WellDataModule(root.name, str(root.parent), **({"n_steps_input": 2} | options))


def test_the_specification_is_known_before_setup(data_set):
    assert module_of(data_set(grid=(6, 4)), dt_stride=2).spec == FieldSpec(
        dataset_name="waves",
        fields=("pressure", "density", "velocity_x", "velocity_y"),
        grid_shape=(6, 4),
        constant_fields=("mask",),
        scalars=("viscosity", "forcing"),
        axes=("x", "y"),
        extent=((0.0, 1.0), (0.0, 1.0)),
        boundaries=(("periodic", "periodic"), ("open", "wall")),
        time_step=0.5,
        source="a test",
    )


def test_the_folder_of_the_wells_downloader_is_found(data_set, tmp_path):
    root = data_set()
    (tmp_path / "base" / "datasets").mkdir(parents=True)
    root.rename(tmp_path / "base" / "datasets" / "waves")
    module = WellDataModule("waves", str(tmp_path / "base"), n_steps_input=2)
    module.setup("fit")
    assert module.root == tmp_path / "base" / "datasets" / "waves"


@pytest.mark.parametrize("fields", [["velocity", "pressure"], ["velocity_y", "velocity_x", "pressure"]])
def test_chosen_fields_keep_the_order_of_the_files(data_set, fields):
    module = module_of(data_set(), fields=fields)
    assert module.spec.fields == ("pressure", "velocity_x", "velocity_y")
    everything = module_of(data_set(name="again")).dataset("train")[0]
    assert torch.equal(module.dataset("train")[0].history, everything.history[:, [0, 2, 3]])


def test_time_dependent_scalars_are_left_out_and_mentioned(tmp_path, irregular_file, caplog):
    for split in ("train", "valid", "test"):
        irregular_file(tmp_path / "irregular" / "data" / split / "a.hdf5")
    assert module_of(tmp_path / "irregular").spec.scalars == ("gravity", "mass")
    assert "left out: clock" in caplog.text


def test_filters_choose_files_by_name(data_set):
    root = data_set()
    sizes = [
        len(module_of(root, include_filters=include, exclude_filters=exclude).dataset("train"))
        for include, exclude in (([], []), (["a"], []), ([], ["b"]), (["a.", "b."], ["a"]))
    ]
    assert sizes == [24, 12, 12, 12]


@pytest.mark.parametrize(("subsample", "expected"), [(1, 8), (2, 4), (3, 3), (4, 2)])
def test_subsample_keeps_files_balanced_and_touches_only_training(data_set, subsample, expected):
    module = module_of(data_set(n_trajectories=4), subsample=subsample)
    kept = {(window.file, window.trajectory) for window in module.dataset("train").windows}
    per_file = np.bincount([file for file, _ in kept], minlength=2)
    assert len(kept) == expected
    assert abs(per_file[0] - per_file[1]) <= 1
    assert len(module.dataset("valid")) == 8 * 6


def test_window_strides_differ_for_training_and_evaluation(data_set):
    module = module_of(data_set(), window_stride=3, eval_window_stride=2)
    assert [window.start for window in module.dataset("train").windows[:3]] == [0, 3, 0]
    assert [window.start for window in module.dataset("valid").windows[:3]] == [0, 2, 4]


def test_rollouts_are_full_trajectories_in_batches_of_equal_length(tmp_path, random_trajectories):
    for name, n_frames in (("a", 6), ("b", 8), ("c", 6)):
        path = tmp_path / "waves" / "data" / "valid" / f"{name}.hdf5"
        write_well_file(path, random_trajectories((4,), 2, n_frames), dataset_name="waves", provenance={})
    module = module_of(tmp_path / "waves", rollout_batch_size=3)
    assert module.rollout_batches("valid") == [[0, 1, 4], [5], [2, 3]]
    loader = module.rollout_dataloader("valid")
    assert [batch.target.shape[:2] for batch in loader] == [(3, 4), (1, 4), (2, 6)]
    capped = module_of(tmp_path / "waves", rollout_batch_size=6, max_rollout_steps=3).rollout_dataloader("valid")
    assert [batch.target.shape[:2] for batch in capped] == [(6, 3)]


def test_processes_share_out_the_rollouts(data_set, monkeypatch):
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 3)
    seen = []
    for rank in range(3):
        monkeypatch.setattr("torch.distributed.get_rank", lambda rank=rank: rank)
        seen += [index for batch in module_of(data_set()).rollout_dataloader("test").batch_sampler for index in batch]
    assert sorted(seen) == [0, 1, 2, 3]


def test_training_is_shuffled_and_reproducible_and_evaluation_is_in_order(data_set):
    module = module_of(data_set(), batch_size=5)
    epochs = []
    for _ in range(2):
        torch.manual_seed(3)
        epochs.append(torch.cat([batch.history for batch in module.train_dataloader()]))
    assert torch.equal(*epochs)
    ordered = torch.stack([sample.history for sample in module.dataset("train")])
    assert len(epochs[0]) == 20 < len(ordered)
    assert not torch.equal(epochs[0], ordered[:20])
    test = module.dataset("test")
    batches = torch.cat([batch.target for batch in module.test_dataloader()])
    assert torch.equal(batches, torch.stack([test[index].target for index in range(len(test))]))


def test_predictions_are_of_full_trajectories(data_set):
    module = module_of(data_set())
    trajectories = module.rollout_dataset("test")
    predicted = [batch.target[0] for batch in module.predict_dataloader()]
    assert len(predicted) == len(trajectories)
    assert all(torch.equal(target, trajectories[k].target) for k, target in enumerate(predicted))


def test_a_split_smaller_than_a_batch_is_still_trained_on(data_set):
    (batch,) = module_of(data_set(), batch_size=100).train_dataloader()
    assert len(batch.history) == 24


def test_a_steady_problem_has_no_history(tmp_path, random_trajectories):
    for split in ("train", "valid", "test"):
        path = tmp_path / "darcy" / "data" / split / "a.hdf5"
        write_well_file(path, random_trajectories((6, 4), 3, n_frames=1), dataset_name="darcy", provenance={})
    module = module_of(tmp_path / "darcy", n_steps_input=0)
    module.setup()
    batch = next(iter(module.val_dataloader()))
    assert module.spec.time_step is None
    assert [tuple(part.shape) for part in batch] == [(3, 0, 4, 6, 4), (3, 1, 6, 4), (3, 2), (3, 1, 4, 6, 4), (3,)]
    assert module.statistics.std_delta.tolist() == [0, 0, 0, 0]


class Shift(L.LightningModule):
    """Learns one number; enough to go through every loop of the Trainer."""

    def __init__(self):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch):
        assert isinstance(batch, Batch)
        self.seen.append(len(batch.history))
        return (batch.history[:, -1:] + self.shift - batch.target).square().mean()

    def validation_step(self, batch):
        self.log("loss", self.training_step(batch))

    test_step = validation_step

    def predict_step(self, batch):
        return batch.history[:, -1:] + self.shift

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_options_are_logged_and_rebuild_the_datamodule_from_a_checkpoint(data_set, make_trainer, tmp_path):
    data = module_of(data_set(), fields=("velocity", "density"), subsample=2, batch_size=6)
    assert data.hparams["fields"] == ["velocity", "density"]
    assert data.hparams["batch_size"] == 6
    trainer = make_trainer(logger=TensorBoardLogger(tmp_path, name="log", version=0))
    trainer.fit(Shift(), data)
    assert yaml.safe_load((tmp_path / "log" / "version_0" / "hparams.yaml").read_text()) == dict(data.hparams)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    again = WellDataModule.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert again.spec == data.spec
    assert len(again.dataset("train")) == len(data.dataset("train"))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_the_trainer_runs_on_it(data_set, make_trainer, num_workers):
    module, data = Shift(), module_of(data_set(), batch_size=6, eval_batch_size=9, num_workers=num_workers)
    trainer = make_trainer(num_sanity_val_steps=0)
    trainer.fit(module, data)
    assert module.seen == [6, 6, 6, 6, 9, 9, 6]
    trainer.test(module, data, verbose=False)
    assert sum(map(len, trainer.predict(module, data))) == len(data.rollout_dataset("test"))


def test_a_data_module_of_ones_own_needs_a_handful_of_members(make_trainer):
    class Five(Dataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            return Batch(torch.ones(1, 1, 4), torch.ones(0, 4), torch.ones(0), torch.ones(1, 1, 4))

    class Ones(FieldDataModule):
        spec = FieldSpec("ones", ("u",), (4,))
        n_steps_input = 1
        statistics = None

        def dataset(self, split):
            return Five()

        rollout_dataset = dataset

    module, data = Shift(), Ones(batch_size=2, rollout_batch_size=3)
    make_trainer(num_sanity_val_steps=0).fit(module, data)
    assert module.seen == [2, 2, 2, 2, 1]
    assert [len(batch.history) for batch in data.rollout_dataloader("valid")] == [3, 2]


@pytest.mark.parametrize(
    "option",
    [
        {"n_steps_output": 0},
        {"n_steps_input": -1},
        {"dt_stride": 0},
        {"window_stride": -2},
        {"eval_window_stride": 0},
        {"subsample": 0},
        {"max_rollout_steps": 0},
        {"batch_size": 0},
        {"eval_batch_size": 0},
        {"rollout_batch_size": -1},
        {"num_workers": -1},
    ],
    ids=str,
)
def test_counts_that_are_too_small_are_named(option):
    ((name, value),) = option.items()
    with pytest.raises(ValueError, match=rf"{name} is {value}, expected at least [01]"):
        WellDataModule("waves", **option)


def test_a_missing_data_set(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere/data/train.*base_path and dataset_name"):
        module_of(tmp_path / "nowhere").spec  # noqa: B018


def test_a_missing_split(data_set):
    root = data_set()
    (root / "data" / "valid").rename(root / "data" / "val")
    with pytest.raises(FileNotFoundError, match=r"no folder .*data/valid"):
        module_of(root).setup("fit")


def test_a_test_split_alone_can_be_tested(data_set):
    root = data_set()
    for split in ("train", "valid"):
        (root / "data" / split).rename(root / split)
    module = module_of(root)
    module.setup("test")
    assert sum(len(batch.history) for batch in module.test_dataloader()) == 24


def test_an_empty_split(data_set):
    root = data_set()
    for path in (root / "data" / "valid").iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"data/valid holds no \.hdf5 or \.h5 file, expected"):
        module_of(root).setup("fit")
    with pytest.raises(FileNotFoundError, match=r"data/train holds no .* let through \(of 2\)"):
        module_of(root, include_filters=["tcool"]).setup("fit")


def test_more_input_steps_than_frames(data_set):
    root = data_set(n_frames=8)
    with pytest.raises(ValueError, match=r"a\.hdf5 has 8 frames, but n_steps_input=8, n_steps_output=1 .* need 9"):
        module_of(root, n_steps_input=8).setup("fit")
    module_of(root, n_steps_input=7).setup("fit")


def test_a_stride_leaves_every_rollout_a_target_or_is_refused(data_set):
    module = module_of(data_set(n_frames=9), n_steps_input=4, dt_stride=2)
    module.setup()
    assert [batch.target.shape[:2] for batch in module.rollout_dataloader("test")] == [(1, 1)] * 4
    assert torch.equal(module.rollout_dataset("test")[0].target, module.dataset("test")[0].target)
    expected = r"a\.hdf5 has 9 frames, but n_steps_input=4, n_steps_output=1 and dt_stride=3 need 13"
    for stage in ("fit", "validate", "test", "predict"):
        with pytest.raises(ValueError, match=expected):
            module_of(data_set(n_frames=9), n_steps_input=4, dt_stride=3).setup(stage)


def test_no_input_steps_for_data_that_depend_on_time(data_set):
    with pytest.raises(ValueError, match=r"a\.hdf5 has 8 frames in time, but n_steps_input=0 .* to at least 1"):
        module_of(data_set(), n_steps_input=0).setup("fit")


def test_several_output_steps_of_a_steady_problem(data_set):
    with pytest.raises(ValueError, match=r"a\.hdf5 has 1 frames, but n_steps_input=0, n_steps_output=2 .* need 2"):
        module_of(data_set(n_frames=1), n_steps_input=0, n_steps_output=2).setup("fit")


def test_no_fields(data_set):
    with pytest.raises(ValueError, match=r"fields is empty, expected at least one name"):
        module_of(data_set(), fields=[])


def test_unknown_fields(data_set):
    known = r"pressure, density, velocity or of the components pressure, density, velocity_x, velocity_y"
    with pytest.raises(ValueError, match=rf"unknown fields \['temperature'\], expected names of {known}"):
        module_of(data_set(), fields=["density", "temperature"]).spec  # noqa: B018


def test_different_grids_in_two_files(data_set, random_trajectories):
    root = data_set(grid=(6, 4))
    path = root / "data" / "train" / "c.hdf5"
    write_well_file(path, random_trajectories((6, 5)), dataset_name="waves", provenance={})
    with pytest.raises(WellFormatError, match=r"c\.hdf5 has the grid \(6, 5\), but .*a\.hdf5 has \(6, 4\)"):
        module_of(root).setup("fit")


def add_file(root, trajectories):
    write_well_file(root / "data" / "valid" / "c.hdf5", trajectories, dataset_name="waves")


@pytest.mark.parametrize(
    "change", [lambda x: 2 * x, lambda x: x + 1 / 12, lambda x: x**2], ids=["scale", "shift", "map"]
)
def test_different_coordinates_in_two_files(data_set, random_trajectories, change):
    root, other = data_set(), random_trajectories((6, 4))
    add_file(root, replace(other, coordinates=other.coordinates | {"x": change(other.coordinates["x"])}))
    expected = (
        r"valid/c\.hdf5 has the x coordinates 0\.\d+, .*, but .*train/a\.hdf5 has 0\.08333\d*, 0\.25, .*, 0\.9166667"
    )
    with pytest.raises(WellFormatError, match=expected):
        module_of(root).setup("fit")


def test_coordinates_that_differ_by_round_off_agree(data_set, random_trajectories):
    root, other = data_set(), random_trajectories((6, 4))
    add_file(root, replace(other, coordinates={axis: x * (1 + 1e-6) for axis, x in other.coordinates.items()}))
    module_of(root).setup("fit")


def test_different_boundaries_in_two_files(data_set, random_trajectories):
    root, other = data_set(), random_trajectories((6, 4))
    add_file(root, replace(other, boundaries={"x": ("open", "open"), "y": ("open", "wall")}))
    with pytest.raises(
        WellFormatError, match=r"valid/c\.hdf5 has the boundaries .*, but .*train/a\.hdf5 has \(\('periodic"
    ):
        module_of(root).setup("fit")


def test_different_frame_intervals_in_two_files_are_mentioned(data_set, random_trajectories, caplog):
    root, other = data_set(), random_trajectories((6, 4))
    module_of(root).setup("fit")
    assert "every" not in caplog.text
    add_file(root, replace(other, time=0.5 * other.time))
    module_of(root).setup("fit")
    assert re.search(r"valid/c\.hdf5 has a frame every 0\.125, but .*train/a\.hdf5 every 0\.25", caplog.text)


@pytest.mark.parametrize(("group", "noun"), [("t0_fields", "time-dependent fields"), ("scalars", "scalars")])
def test_names_in_another_order(data_set, group, noun):
    root = data_set()
    with h5py.File(root / "data" / "valid" / "b.hdf5", "r+") as file:
        file[group].attrs["field_names"] = list(reversed(file[group].attrs["field_names"]))
    with pytest.raises(WellFormatError, match=rf"valid/b\.hdf5 has the {noun} .*, but .*train/a\.hdf5 has"):
        module_of(root).setup("fit")


def test_a_value_that_is_not_finite_stops_the_loader(data_set):
    root = data_set()
    with h5py.File(root / "data" / "valid" / "b.hdf5", "r+") as file:
        file["t0_fields/density"][1, 7, 0, 0] = np.nan
    loader = module_of(root).val_dataloader()
    with pytest.raises(ValueError, match=r"'density' holds NaN .* frame 7 of trajectory 1 of .*valid/b\.hdf5"):
        list(loader)


@pytest.mark.parametrize("failure", [None, FileNotFoundError(2, "No such file or directory", "curl")])
def test_a_failed_download_names_the_command_that_simulates(tmp_path, monkeypatch, failure):
    tried = []

    def download(base_path, dataset):
        tried.append((base_path, dataset))
        if failure:
            raise failure

    monkeypatch.setattr("the_well.utils.download.well_download", download)
    module = GeneratedDataModule(TurbulentRadiativeLayer2D(), str(tmp_path), source="download")
    with pytest.raises(ConnectionError, match=r"27 of 27 files .* https://.*tcool.* --data.init_args.source simulate"):
        module.prepare_data()
    assert tried == [(str(tmp_path), "turbulent_radiative_layer_2D")]


def test_a_failed_download_of_another_data_set_names_no_command_that_does_not_help(tmp_path, monkeypatch):
    monkeypatch.setattr("the_well.utils.download.well_download", lambda *_: None)
    with pytest.raises(ConnectionError, match=r"run the same command again to resume$"):
        WellDataModule("active_matter", str(tmp_path), source="download").prepare_data()


def test_a_download_asks_only_for_what_is_missing(data_set, tmp_path, monkeypatch):
    root = data_set(name="waves")
    (tmp_path / "registry.yaml").write_text(
        "waves:\n" + "".join(f"  {split}: [http://x/a.hdf5, http://x/b.hdf5]\n" for split in ("train", "valid", "test"))
    )
    monkeypatch.setattr("the_well.utils.download.WELL_REGISTRY", str(tmp_path / "registry.yaml"))
    (tmp_path / "datasets").mkdir()
    folder = root.rename(tmp_path / "datasets" / "waves")
    monkeypatch.setattr("the_well.utils.download.well_download", lambda *_: pytest.fail("nothing is missing"))
    download_well(tmp_path, "waves")
    lost = folder / "data" / "test" / "b.hdf5"
    content = lost.read_bytes()
    lost.write_bytes(content[:1000])
    monkeypatch.setattr("the_well.utils.download.well_download", lambda *_: lost.write_bytes(content))
    assert WellDataModule("waves", str(tmp_path), n_steps_input=2, source="download").spec.grid_shape == (6, 4)


def test_a_data_set_that_the_well_lacks(tmp_path):
    with pytest.raises(ValueError, match=r"no data set 'trl2d' to download, only .*turbulent_radiative_layer_2D"):
        WellDataModule("trl2d", str(tmp_path), source="download").prepare_data()


def test_which_statistics_are_used_is_logged(data_set, caplog):
    caplog.set_level(logging.INFO)
    root = data_set()
    module_of(root).setup("fit")
    module_of(root).setup("fit")
    assert "computing them from 2 files" in caplog.text
    assert f"normalising with the statistics in {root / 'stats.yaml'}" in caplog.text


@pytest.mark.parametrize("grid", [(6, 4), (7, 5)])
def test_a_grid_stride_uses_every_second_point(data_set, grid):
    root = data_set(grid)
    full, strided = (WellDataModule(root.name, str(root.parent), grid_stride=stride) for stride in (1, 2))
    shape = tuple(-(-n // 2) for n in grid)
    assert strided.spec.grid_shape == shape
    for one, other in zip(full.dataset("train")[3], strided.dataset("train")[3], strict=True):
        assert torch.equal(one[..., ::2, ::2] if one.ndim > 1 else one, other)
    assert full.at_resolution(shape).spec == strided.spec
    assert full.spec.grid_shape == grid


def test_reading_the_spec_downloads_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("fno_lightning.data.well.download_well", lambda *_: pytest.fail("downloads"))
    module = WellDataModule("turbulent_radiative_layer_2D", tmp_path, source="download")
    with pytest.raises(NotPreparedError, match=r"is not in .* yet: call prepare_data\(\) first, which downloads it"):
        _ = module.spec


def test_the_arguments_of_a_subclass_are_hyper_parameters(tmp_path):
    class Own(WellDataModule):
        def __init__(self, base_path, scale=2.0, **options):
            super().__init__("own", base_path, n_steps_input=1, **options)

    hparams = dict(Own(tmp_path, fields=("density",), batch_size=np.int64(3)).hparams)
    expected = {"dataset_name": "own", "base_path": str(tmp_path), "scale": 2.0, "fields": ["density"], "batch_size": 3}
    assert {name: hparams[name] for name in expected} == expected
    assert type(hparams["batch_size"]) is int
    assert hparams["grid_stride"] == 1


def test_the_command_line_downloads_before_it_reads_the_spec(data_set, tmp_path, monkeypatch):
    def download(base_path, name, alternative):
        data_set(name=f"datasets/{name}")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fno_lightning.data.well.download_well", download)
    data = ["--data", "WellDataModule", "--data.init_args.dataset_name", "some", "--data.init_args.source", "download"]
    model = ["--model", "FNOModule", "--model.init_args.n_modes", "[2,2]", "--model.init_args.hidden_channels", "4"]
    trainer = ["--trainer.fast_dev_run", "true", "--trainer.accelerator", "cpu"]
    cli = main(["fit", *data, "--data.init_args.base_path", str(tmp_path), *model, *trainer])
    assert cli.model.spec.dataset_name == "datasets/some"


@pytest.mark.parametrize("cache", ["none", "device"])
def test_a_device_without_float64_gets_float32(data_set, make_trainer, monkeypatch, cache):
    root = data_set()
    for path in root.glob("data/*/*.hdf5"):
        with h5py.File(path, "r+") as file:
            attributes, values = dict(file["t0_fields/density"].attrs), file["t0_fields/density"][()].astype(np.float64)
            del file["t0_fields/density"]
            file["t0_fields/density"] = values
            file["t0_fields/density"].attrs.update(attributes)
    monkeypatch.setattr("fno_lightning.devices.DEVICES_WITHOUT_FLOAT64", ("cpu",))
    data = WellDataModule(root.name, str(root.parent), n_steps_input=2, cache=cache)
    data.trainer = make_trainer()
    batch = next(iter(data.train_dataloader()))
    assert data.on_before_batch_transfer(batch, 0).history.dtype == torch.float32
    if cache == "none":
        too_large = batch._replace(target=batch.target * 1e60)
        with pytest.raises(
            ValueError, match=r"the targets of a batch hold values up to .*, which float32 does not hold"
        ):
            data.on_before_batch_transfer(too_large, 0)
