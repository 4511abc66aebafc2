"""Every configuration trains and tests, made small by one rule."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lightning.pytorch.callbacks import DeviceStatsMonitor, LearningRateMonitor, ModelCheckpoint, RichProgressBar

from fno_lightning.callbacks import ErrorTable, IncrementalModesByGradient
from fno_lightning.cli import main
from fno_lightning.config_files import read_config, shipped_configs
from fno_lightning.modules import ForecastModule, OffRangeError
from fno_lightning.trainer_options import without_turned_off
from tests.modules.test_foreign_networks import timm  # noqa: F401 (a fixture)

ROOT = Path(__file__).parents[1]
CONFIGS = shipped_configs()
EXPERIMENTS = [name for name, path in CONFIGS.items() if "data" in yaml.safe_load(path.read_text())]

TRAINER = {"max_epochs": 1, "limit_train_batches": 2, "limit_val_batches": 2, "limit_test_batches": 2}
EQUATIONS = {
    "advection_diffusion": {"resolution": [32, 32]},
    "burgers": {"resolution": [32], "viscosities": [0.1], "frame_interval": 0.1},
    "burgers_series": {
        "resolution": [32],
        "viscosities": [0.1],
        "n_frames": 8,
        "frame_interval": 0.02,
        "refinement": 1,
    },
    "burgers_physics_informed": {"resolution": [32], "viscosities": 0.1, "refinement": 1},
    "burgers_physics_and_data": {"resolution": [32], "viscosities": 0.1, "refinement": 1},
    "euler_multi_quadrants": {"gammas": [1.4], "n_frames": 12, "compile": False},
    "gray_scott": {"rates": [[0.03, 0.062]], "n_frames": 12, "frame_interval": 2.0, "refinement": 4},
    "helmholtz": {"resolution": [32, 32]},
    "kuramoto_sivashinsky": {"resolution": [32], "length": 16.0, "warm_up": 1.0, "n_frames": 12},
    "navier_stokes": {"viscosities": [0.01], "n_frames": 14, "frame_interval": 0.2},
    "navier_stokes_patches": {
        "resolution": [16, 16],
        "viscosities": [0.01],
        "n_frames": 14,
        "frame_interval": 0.2,
    },
    "planetswe": {"degree": 2, "truncation": 10, "warm_up": 1.0, "n_frames": 12},
    "poisson": {"resolution": [32, 32]},
    "poisson_physics_informed": {"resolution": [16, 16]},
    "shallow_water": {"coriolis_parameters": [5.0], "n_frames": 12, "scale": 0.6, "hyperviscosity": 1e-5},
    "shear_flow": {
        "resolution": [16, 32],
        "reynolds": [100.0],
        "schmidt": [1.0],
        "n_frames": 12,
        "widths": [1.0, 2.0],
        "refinement": 1,
    },
    "potential_flow": {"frequencies": [2, 3]},
    "star_shaped_poisson": {"n_points": [20, 40]},
    "trl2d": {"cooling_times": [0.1], "n_frames": 21, "frame_interval": 0.1, "compile": False},
}
"""What an equation needs beside a quarter of its grid to be solved in a moment."""


def small_data(name, init_args):
    """Options of a data module that make few samples of few points."""
    if "members" in init_args:
        members = {member: small_data(member, options["init_args"]) for member, options in init_args["members"].items()}
        return {"members": {member: {"init_args": options} for member, options in members.items()}, "batch_size": 4}
    counts = {"n_train": 4} if "n_train" in init_args else {"samples_per_epoch": 8, "n_statistics": 8}
    if "problem" in init_args:  # of scattered points
        return {"problem": {"init_args": EQUATIONS[name]}, **counts, "n_valid": 1, "n_test": 1, "batch_size": 2}
    grid = [max(8, n // 4) for n in init_args["pde"]["init_args"]["resolution"]]
    pde = {"init_args": {"resolution": grid} | EQUATIONS.get(name, {})}
    return {"pde": pde, **counts, "n_valid": 1, "n_test": 1, "batch_size": 2}


def made_small(name):
    """Options that train a shipped configuration in a moment."""
    config = read_config(CONFIGS[name])
    modes = [4] * len(config["model"]["init_args"]["n_modes"])
    latent_grid = {"latent_grid": [8] * len(modes)} if "latent_grid" in config["model"]["init_args"] else {}
    small = {
        "trainer": TRAINER | {"accelerator": "cpu"},
        "model": {"init_args": {"n_modes": modes, "hidden_channels": 4, "n_layers": 1, **latent_grid}},
        "data": {"init_args": small_data(name, config["data"]["init_args"])},
    }
    return ["--config", name, "--config", yaml.safe_dump(small)]


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """Options of the data that networks of other libraries train on, with which AViT's patches of 16 x 16 points go."""
    init_args = small_data("trl2d", read_config(CONFIGS["trl2d"])["data"]["init_args"])
    init_args["pde"]["init_args"]["resolution"] = [16, 32]
    return init_args | {"base_path": str(tmp_path_factory.mktemp("flow")), "n_steps_output": 4}


OTHER_NETWORKS = [
    name
    for name in CONFIGS
    if (name.startswith(("neuralop_", "well_", "physicsnemo_")) or "unet" in name) and name not in EXPERIMENTS
]


@pytest.mark.long
@pytest.mark.usefixtures("timm")
@pytest.mark.filterwarnings("ignore:torch.meshgrid")
@pytest.mark.parametrize("network", OTHER_NETWORKS)
def test_another_network_trains_beside_a_configuration(network, flow, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if network.startswith("physicsnemo"):
        pytest.importorskip("physicsnemo")
    data = yaml.safe_dump({"data": {"init_args": flow}, "model": {"init_args": {"unrolling": None}}})
    options = ["--trainer.fast_dev_run=true", "--trainer.accelerator=cpu", "--trainer.callbacks=null"]
    cli = main(["fit", "--config", "trl2d", "--config", network, "--config", data, *options])
    class_path = read_config(CONFIGS[network])["model"]["init_args"]["network"]["class_path"]
    assert type(cli.model.named_network).__name__ == class_path.rpartition(".")[2]


@pytest.mark.long
def test_fine_tuning_by_adapters_beside_a_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = made_small("poisson")
    pretrained = main(["fit", *small]).trainer.checkpoint_callback.best_model_path
    options = ["--config", "adapters", f"--model.init_args.initial_weights={pretrained}"]
    tuned = main(["fit", *small, *options]).model
    trained = {name.rpartition(".")[2] for name, weight in tuned.named_parameters() if weight.requires_grad}
    assert trained == {"up", "down"}


def test_a_network_grows_beside_a_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = {"n_train": 8, "pde": {"init_args": {"resolution": [16, 16]}}}
    small = {"model": {"init_args": {"n_modes": [8, 8], "hidden_channels": 4}}, "data": {"init_args": data}}
    options = ["--config", yaml.safe_dump(small), "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    cli = main(["fit", "--config", "darcy", "--config", "growing", *options])
    (growing,) = (c for c in cli.trainer.callbacks if isinstance(c, IncrementalModesByGradient))
    assert growing.most_modes == (8, 8)
    assert all(4 <= n <= 8 for n in growing.n_modes)
    assert len(growing.explained_ratios) == 2
    assert [c for c in cli.trainer.callbacks if isinstance(c, ErrorTable)]


def test_muon_takes_the_place_of_an_optimizer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (optimizer,) = main(["fit", *made_small("poisson"), "--config", "muon"]).trainer.optimizers
    assert type(optimizer).__name__ == "MuonAdamW"
    assert {group["initial_lr"] for group in optimizer.param_groups} == {0.01}


@pytest.mark.long
def test_an_ensemble_trains_and_is_calibrated_beside_a_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    enough = {"data": {"init_args": {"n_valid": 9, "pde": {"init_args": {"refinement": 16}}}}}
    enough = yaml.safe_dump(enough)  # trajectories, and points for any of them
    trained = main(["fit", *made_small("burgers_series"), "--config", "ensemble"])
    best = trained.trainer.checkpoint_callback.best_model_path
    small = [*made_small("burgers_series"), "--config", enough]
    main(["validate", *small, "--config", "calibrate", "--ckpt_path", best])
    (calibrated,) = tmp_path.rglob("calibrated-best.ckpt")
    module = ForecastModule.load_from_checkpoint(calibrated)
    assert module.n_forecasts == 8
    assert module.bands.factor.isfinite().all()


@pytest.mark.parametrize("network", ["unet", "cnextunet"])
def test_a_network_that_needs_another_package_names_it(network, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "timm", None)
    for loaded in [name for name in sys.modules if name.startswith("the_well.benchmark.models")]:
        monkeypatch.delitem(sys.modules, loaded)
    with pytest.raises(SystemExit):
        main(["fit", "--config", "trl2d", "--config", network, "--trainer.fast_dev_run=true"])
    assert "needs the package timm, which is not installed: pip install timm" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_trains_and_tests(experiment, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trained = main(["fit", *made_small(experiment)])
    best = trained.trainer.checkpoint_callback.best_model_path
    tested = main(["test", *made_small(experiment), "--ckpt_path", best])
    assert 0 < tested.trainer.callback_metrics["test/vrmse"] < float("inf")
    baseline = "persistence" if trained.datamodule.n_steps_input else "mean"  # a steady problem has no last frame
    assert f"│ {baseline}" in capsys.readouterr().out
    assert list(Path("runs").glob("*/version_*/errors.md"))
    module = ForecastModule.load_from_checkpoint(best)
    module.certified_range.off_range = "refuse"
    batch = next(iter(trained.datamodule.train_dataloader()))
    assert module.forecast(batch).shape == batch.target.shape
    requests = list(off_range_requests(module, batch))
    assert len(requests) >= 2 - module.spec.is_irregular
    for expected, request, n_steps in requests:
        with pytest.raises(OffRangeError, match=expected):
            module.forecast(request, n_steps=n_steps)


def test_the_profile_is_a_trace_and_a_table(tmp_path):
    options = [*made_small("trl2d"), "--config", "profile"]
    finished = subprocess.run(  # a process of its own, for what is printed depends on who has set up logging
        [sys.executable, "-m", "fno_lightning", "fit", *options, "--data.init_args.batch_size=1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    printed = finished.stdout + finished.stderr
    (trace,) = (tmp_path / "runs").rglob("*.pt.trace.json")
    assert "Self CPU %" in printed
    assert trace.name in printed
    assert json.loads(trace.read_text())["traceEvents"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_configuration_holds_only_its_decisions(name):
    assert len(CONFIGS[name].read_text().splitlines()) <= 40
    assert {"base", "trainer", "model", "data"} == set(yaml.safe_load(CONFIGS[name].read_text()))


def off_range_requests(module, batch):
    """Yield forecasts outside the range of a training: what the refusal says, the batch, and the number of steps."""
    grid = (..., *[slice(None, None, 2)] * module.spec.n_dims)
    coarse = batch._replace(history=batch.history[grid], constants=batch.constants[grid], target=batch.target[grid])
    if not module.spec.is_irregular:  # whose numbers of points mean nothing
        yield "forecast on a grid of", coarse, None
    if batch.history.shape[1]:
        yield "steps, but whole trajectories were forecast up to", batch, module.certified_range.n_steps + 1
    parts = {
        "scalar": (batch.scalars, "scalars", module.spec.scalars),
        "constant field": (batch.constants, "constants", module.spec.constant_fields),
        "field": (batch.history, "history", module.spec.fields if batch.history.shape[1] else ()),
    }
    for kind, (values, part, names) in parts.items():
        axis = 2 if kind == "field" else 1
        for channel, name in enumerate(names):
            beyond = values.clone()
            beyond.select(axis, channel).mul_(10).add_(10 * values.abs().max() + 10)
            yield f"forecast for the {kind} '{name}'", batch._replace(**{part: beyond}), None


OFF = {
    "enable_progress_bar=false": (),
    "enable_model_summary=false": (),
    "enable_checkpointing=false": (ModelCheckpoint,),
    "logger=false": (LearningRateMonitor,),
    "barebones=true": (ModelCheckpoint, LearningRateMonitor),
    "callbacks=null": (ErrorTable,),
}


@pytest.mark.long
@pytest.mark.parametrize("option", OFF)
@pytest.mark.parametrize("experiment", ["burgers", "poisson"])  # what the others share is in their bases
@pytest.mark.filterwarnings("ignore:You are trying to `self.log.*barebones")
def test_no_configuration_stands_in_the_way_of_an_option_of_the_trainer(experiment, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = [f"--trainer.{option}", "--trainer.limit_train_batches=1", "--trainer.limit_val_batches=1"]
    trainer = main(["fit", *made_small(experiment), *options]).trainer
    assert trainer.global_step == 1
    assert not [callback for callback in trainer.callbacks if isinstance(callback, OFF[option])]


def test_what_an_option_turns_off_is_left_out_and_said(caplog):
    caplog.set_level("INFO", logger="lightning.pytorch.utilities.rank_zero")
    callbacks = [RichProgressBar(), DeviceStatsMonitor(), ModelCheckpoint(), ErrorTable()]
    off = {"enable_progress_bar": False, "logger": [], "enable_checkpointing": True}
    kept = without_turned_off({"callbacks": callbacks, "max_epochs": 3, **off})
    assert kept == {"callbacks": callbacks[2:], "max_epochs": 3, **off}
    assert "RichProgressBar is left out: trainer.enable_progress_bar is off" in caplog.text
    assert "DeviceStatsMonitor is left out: trainer.logger is off" in caplog.text
    assert without_turned_off({"callbacks": callbacks[0]})["callbacks"] == callbacks[:1]
    assert without_turned_off({})["callbacks"] == []
