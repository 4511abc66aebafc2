"""Test errors on half, the same and twice the points of training, trained on one grid and on several.

    python -m tests.benchmarks.grids [--names tests/benchmarks/darcy_32.yaml burgers_series] [--seeds 0 1 2]

Every training is that of the configuration: on its grid alone, or also on every second point (``train_strides``), on
means over blocks of two points along each axis (``coarsen: mean``), or on data that are simulated with half and with
twice the points (``train_resolutions``). All have equally many steps. Printed are the error on the grid of the
configuration and the ratios of the errors on half and on twice the points to it, mean and standard deviation over the
seeds, and seconds of a training. The test split is simulated on each grid, from the same seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import mean, pstdev

import yaml

from fno_lightning.cli import main as command_line
from fno_lightning.config_files import find_config, read_config

KINDS = ("one grid", "every second point", "means over blocks", "simulated at half and twice")


def data_options(kind: str, resolution: list[int]) -> dict[str, object]:
    """Return the options of a data module that make a kind of training."""
    if kind == "simulated at half and twice":
        return {"train_resolutions": [[n // 2 for n in resolution], [2 * n for n in resolution]]}
    strides = [1] if kind == "one grid" else [1, 2]
    return {"train_strides": strides, "coarsen": "mean" if kind == "means over blocks" else "points"}


def errors(name: str, kind: str, seed: int, options: argparse.Namespace) -> list[float]:
    """Train and test, unless that is done already; return the errors from coarse to fine, and the time."""
    folder = Path(options.folder) / f"{Path(name).stem}-{kind.replace(' ', '-')}-{seed}"
    result = folder / "errors.json"
    if result.is_file():
        return list(json.loads(result.read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    settings = read_config(find_config(name))
    settings["seed_everything"] = seed
    data = settings["data"]["init_args"]
    data |= data_options(kind, data["pde"]["init_args"]["resolution"]) | {"base_path": options.data}
    best = {"dirpath": str(folder), "filename": "best", "monitor": "val/vrmse", "enable_version_counter": False}
    settings["trainer"] = {
        "max_epochs": options.epochs or settings["trainer"]["max_epochs"],
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": False,
        "default_root_dir": str(folder),
        "callbacks": [
            {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": best},
            {"class_path": "fno_lightning.callbacks.ResolutionErrors"},
        ],
    }
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    begin = time.process_time()
    command_line(["fit", "--config", str(config)])
    seconds = time.process_time() - begin
    tested = command_line(["test", "--config", str(config), "--ckpt_path", str(folder / "best.ckpt")])
    logged = tested.trainer.callback_metrics
    names = sorted(
        (
            key
            for key in logged
            if key.startswith("test/resolution_") and key.count("/") == 2 and key.endswith("/nrmse")
        ),
        key=lambda key: int(key.removeprefix("test/resolution_").split("x")[0].split("/")[0]),
    )
    found = [*(logged[key].item() for key in names), seconds]
    result.write_text(json.dumps(found))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", default=["tests/benchmarks/darcy_32.yaml", "burgers_series"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="instead of the configuration's")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--folder", default="runs/grids")
    parser.add_argument("--data", default="datasets", help="folder of the data sets")
    options = parser.parse_args()
    sys.argv = sys.argv[:1]
    lines = ["| data | trained on | relative L2 at 1x | 0.5x / 1x | 2x / 1x | CPU s |", "|---|---|---:|---:|---:|---:|"]
    for name in options.names:
        for kind in options.kinds:
            runs = [errors(name, kind, seed, options) for seed in options.seeds]
            own = [run[1] for run in runs]
            ratios = [[run[i] / run[1] for run in runs] for i in (0, 2)]
            cells = [f"{mean(own):.4f} ± {pstdev(own):.4f}", *(f"{mean(r):.2f} ± {pstdev(r):.2f}" for r in ratios)]
            cells.append(f"{mean(run[3] for run in runs):.0f}")
            lines.append(f"| {Path(name).stem} | {kind} | {' | '.join(cells)} |")
            print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
