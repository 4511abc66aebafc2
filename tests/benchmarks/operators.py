"""Test errors of our FNO and neuralop's on the same files with the same budget.

    python -m tests.benchmarks.operators [--names darcy burgers navier_stokes] [--epochs 10] [--folder runs/operators]
    python -m tests.benchmarks.operators --names tests/benchmarks/darcy_16.yaml --seeds 0 1 2 3 4 5 6 7 8 9
    python -m tests.benchmarks.operators --script --seeds 0 1 2 --epochs 30

Both are trained by the same command line from the same configuration, which names data, loss, optimizer and schedule;
neuralop's network takes the place of ours (``NetworkModule``), with the same modes, width and number of layers. Printed
are relative L2 errors (``nrmse``) on the test split, one step ahead, with the baselines, the number of real parameters,
and the time of a training; of several seeds also mean and standard deviation.

With ``--script`` it is the configuration ``neuralop_darcy``, and the other side is neuralop's script: its network,
normalisation, loss, optimizer and loop, on the same files (``neuralop_loop``). The last weights are tested, on the grid
of the training and on twice its points.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import mean, stdev

import torch
import yaml

from fno_lightning.cli import main as command_line
from fno_lightning.config_files import find_config, read_config
from tests.benchmarks import neuralop_loop


def neuralop(settings: dict) -> dict:
    """The same module with neuralop's network."""
    init_args = dict(settings["model"]["init_args"])
    network = {name: init_args.pop(name) for name in ("n_modes", "hidden_channels", "n_layers") if name in init_args}
    init_args["network"] = {"class_path": "neuralop.models.FNO", "init_args": network}
    return {"class_path": "fno_lightning.modules.NetworkModule", "init_args": init_args}


def errors(name: str, kind: str, seed: int, options: argparse.Namespace) -> tuple[dict[str, float], float]:
    """Trains and tests; returns the errors and the seconds of the training."""
    settings = read_config(find_config(name))
    folder = Path(options.folder) / f"{Path(name).stem}-{kind}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "neuralop":
        settings["model"] = neuralop(settings)
    settings["seed_everything"] = seed
    settings["trainer"] = {name: value for name, value in settings["trainer"].items() if name != "callbacks+"}
    settings["trainer"] |= {
        "max_epochs": options.epochs or settings["trainer"]["max_epochs"],
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": False,
        "callbacks": [
            {
                "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
                "init_args": {
                    "dirpath": str(folder),
                    "filename": "best",
                    "monitor": "val/nrmse",
                    "enable_version_counter": False,
                },
            },
            {"class_path": "fno_lightning.callbacks.OneStepErrors"},
        ],
    }
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    begin = time.perf_counter()
    trained = command_line(["fit", "--config", str(config)])
    seconds = time.perf_counter() - begin
    best = trained.trainer.checkpoint_callback.best_model_path
    tested = command_line(["test", "--config", str(config), "--ckpt_path", best])
    values = {key: value.item() for key, value in tested.trainer.callback_metrics.items()}
    return values | {
        "parameters": sum(p.numel() * (1 + p.is_complex()) for p in trained.model.network.parameters())
    }, seconds


def script_errors(kind: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Trains our configuration of neuralop's script, or what the script trains, unless that is done already."""
    settings = read_config(find_config("neuralop_darcy"))
    epochs = options.epochs or settings["trainer"]["max_epochs"]
    file = Path(options.folder) / f"neuralop_darcy-{kind}-{epochs}-{seed}.json"
    if file.is_file():
        return dict(json.loads(file.read_text()))
    arguments = ["fit", "--config", "neuralop_darcy", f"--seed_everything={seed}", f"--trainer.max_epochs={epochs}"]
    if kind == "neuralop":  # for its data alone
        arguments.append("--trainer.limit_train_batches=0")
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trained = command_line([*arguments, *(f"--trainer.{name}=false" for name in quiet)])
    if kind == "neuralop":
        torch.manual_seed(seed)
        network = {name: settings["model"]["init_args"][name] for name in ("n_modes", "hidden_channels")}
        found = neuralop_loop.train(trained.datamodule, network | {"projection_channel_ratio": 2}, epochs)
    else:
        (tested,) = trained.trainer.test(trained.model, trained.datamodule, verbose=False)
        found = {"same_l2": tested["test/nrmse"], "finer_l2": tested["test/resolution_32x32/nrmse"]}
        found["parameters"] = sum(p.numel() for p in trained.model.network.parameters())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found))
    return found


def compare_with_script(options: argparse.Namespace) -> None:
    """Prints a table of the errors of our configuration and of neuralop's script."""
    lines = ["| training | parameters | seed | relative L2 | at twice the points |", "|---|---|---|---|---|"]
    found: dict[str, list[list[float]]] = {"ours": [], "neuralop": []}
    for seed in options.seeds:
        for kind, of_seeds in found.items():
            values = script_errors(kind, seed, options)
            of_seeds.append([values["same_l2"], values["finer_l2"]])
            cells = " | ".join(f"{value:.4f}" for value in of_seeds[-1])
            lines.append(f"| {kind} | {values['parameters']} | {seed} | {cells} |")
            print("\n".join(lines), flush=True)
    if len(options.seeds) > 1:
        for kind, of_seeds in found.items():
            cells = " | ".join(f"{mean(v):.4f} ± {stdev(v):.4f}" for v in zip(*of_seeds, strict=True))
            print(f"| {kind} | | mean ± std | {cells} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", default=["darcy", "burgers", "navier_stokes"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="instead of the configuration's")
    parser.add_argument("--folder", default="runs/operators")
    parser.add_argument("--script", action="store_true", help="our configuration of neuralop's Darcy script beside it")
    options = parser.parse_args()
    sys.argv = sys.argv[:1]
    if options.script:
        compare_with_script(options)
        return
    lines = [
        "| data | network | parameters | seed | test nrmse | persistence | mean | training |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in options.names:
        found: dict[str, list[float]] = {"ours": [], "neuralop": []}
        for seed in options.seeds:
            for kind in ("ours", "neuralop"):
                values, seconds = errors(name, kind, seed, options)
                baselines = [
                    f"{values[k]:.3g}" if k in values else "" for k in ("test/persistence/nrmse", "test/mean/nrmse")
                ]
                lines.append(
                    f"| {name} | {kind} | {values['parameters']} | {seed} | {values['test/nrmse']:.4f} | "
                    f"{' | '.join(baselines)} | {seconds:.0f} s |"
                )
                found[kind].append(values["test/nrmse"])
                print("\n".join(lines), flush=True)
        if len(options.seeds) > 1:
            for kind, of_seeds in found.items():
                lines.append(f"| {name} | {kind} | | mean ± std | {mean(of_seeds):.4f} ± {stdev(of_seeds):.4f} | | | |")
            print("\n".join(lines[-2:]), flush=True)


if __name__ == "__main__":
    main()
