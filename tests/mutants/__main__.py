"""Damage files at random, and see what the package makes of them.

    python -m tests.mutants [--count 100] [--seed 0] [--kinds "flipped bytes" item statistics ...]

Each mutant of a kind is read in a process of its own with bounded memory and time: files of a data set in The Well's
format are checked and loaded, ``stats.yaml`` too, checkpoints loaded and trainings resumed from them, configurations
run for a step. Counted is how that ends:

- ``refused``: by an error that names the file or the option; found by ``check``: ``found``;
- ``same``: read, with the values of the file as it was; ``other``: with other values, which ``check`` has nothing to
  say about (bits of the values themselves have no checksum);
- ``traceback``, ``crash``, ``slow``, ``memory``: faults, which are listed; the exit status says whether there are any.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError

from fno_lightning import ForecastModule
from fno_lightning.__main__ import run as command_line
from fno_lightning.check import check
from fno_lightning.data import WellDataModule, write_well_file
from tests.mutants.hdf5 import DAMAGES, flip_bytes, truncate
from tests.mutants.outcome import Outcome, outcome
from tests.mutants.text import damaged_text, damaged_tree
from tests.wave_config import CONFIG
from tests.well_files import trajectories_of_every_kind

MODEL = "n_modes loss optimizer bundle unrolling initial_weights bases"
DATA = "pde n_steps_input batch_size base_path"
OPTIONS = (
    *(f"trainer.{name}" for name in ["max_epochs", "precision", "devices", "strategy", "callbacks"]),
    *(f"model.init_args.{name}" for name in MODEL.split()),
    *(f"data.init_args.{name}" for name in DATA.split()),
    *["model", "data", "ckpt_path", "config", "seed_everything"],
)
OPTION_VALUES = (
    *["0", "-1", "text", "null", "[]", "{}", "1e400", "true", "fno_lightning.FNO", "/dev/null", "os.system", "☃"],
    *("", "[1, a]", "{class_path: os.system}", "{class_path: MSE, init_args: {x: 1}}"),
)
FAULTS = ("traceback", "crash", "slow", "memory")
NAME = "waves"


def names_something(error: BaseException) -> bool:
    """Whether an error is one for users: of the input, with a sentence, that says where."""
    if isinstance(error, SystemExit):
        return error.code != 0
    said = str(error)
    is_explained = isinstance(error, ArgumentError) or said.startswith("Error(s) in loading state_dict")
    return is_explained or (isinstance(error, ValueError | OSError) and len(said) > 20)


def write_data_set(folder: Path) -> Path:
    """Write a small data set with statistics; return its folder."""
    root = folder / NAME
    for seed, split in enumerate(("train", "valid", "test")):
        write_well_file(
            root / "data" / split / "a.hdf5", trajectories_of_every_kind((6, 4), seed=seed), dataset_name=NAME
        )
    read_data_set(root)
    return root


def read_data_set(root: Path) -> tuple[str, int]:
    """Return a digest of what a data module makes of a data set, and the number of issues that ``check`` finds."""
    warnings.simplefilter("ignore")
    issues = [issue for issue in check([root]) if issue.severity == "error"]
    data = WellDataModule(
        base_path=str(root.parent), dataset_name=root.name, n_steps_input=2, batch_size=3, cache="none"
    )
    data.prepare_data()
    data.setup()
    digest = hashlib.sha256(repr(data.statistics).encode())
    for loader in (data.val_dataloader(), data.test_dataloader()):
        for batch in loader:
            for part in (batch.history, batch.target, batch.constants, batch.scalars):
                digest.update(part.numpy().tobytes())
    return digest.hexdigest(), len(issues)


def well_mutant(kind: str) -> Callable[[Path, random.Random], tuple[str, Callable[[], Any]]]:
    """Return what damages a file of a data set and reads it."""

    def make(folder: Path, rng: random.Random) -> tuple[str, Callable[[], Any]]:
        root = folder / NAME
        split = rng.choice(("train", "valid", "test"))
        how = DAMAGES[kind](root / "data" / split / "a.hdf5", rng)
        if rng.random() < 0.5:
            (root / "stats.yaml").unlink()
        return f"{split}, {how}", lambda: read_data_set(root)

    return make


def damage_yaml(file: Path, rng: random.Random, of_values: float) -> str:
    """Change a value of a document, with this probability, or its text; return how."""
    text = file.read_text()
    if rng.random() < of_values:
        tree, how = damaged_tree(yaml.safe_load(text), rng)
        file.write_text(yaml.safe_dump(tree))
    else:
        text, how = damaged_text(text, rng)
        file.write_text(text, errors="surrogatepass")
    return how


def statistics_mutant(folder: Path, rng: random.Random) -> tuple[str, Callable[[], Any]]:
    """Damage the statistics of a data set."""
    how = damage_yaml(folder / NAME / "stats.yaml", rng, 0.5)
    return how, lambda: read_data_set(folder / NAME)


def checkpoint_mutant(folder: Path, rng: random.Random) -> tuple[str, Callable[[], Any]]:
    """Damage a checkpoint, load it, and resume from it."""
    file = folder / "best.ckpt"
    if rng.random() < 0.5:
        how = rng.choice((flip_bytes, truncate))(file, rng)
    else:
        content = torch.load(file, weights_only=True)
        plain = {key: value for key, value in content.items() if key not in ("state_dict", "optimizer_states", "loops")}
        tree = content["hyper_parameters"] if rng.random() < 0.5 else plain
        key = rng.choice(sorted(tree, key=str))
        value = rng.choice((None, 3, "text", [], {}, float("nan"), torch.zeros(2), "os.system"))
        if rng.random() < 0.3:
            content["state_dict"].popitem() if rng.random() < 0.5 else content.pop("state_dict")
            key = "weights"
        elif tree is plain:
            content[key] = value
        else:
            tree[key] = value
        torch.save(content, file)
        how = f"{key} = {str(value)[:30]}"

    return how, lambda: read_checkpoint(file)


def read_checkpoint(file: Path) -> tuple[str, int]:
    """Return a digest of what a module of a checkpoint forecasts, and 0, for nothing checks it."""
    warnings.simplefilter("ignore")
    module = ForecastModule.load_from_checkpoint(file)
    history = torch.ones(1, 2, len(module.spec.fields), *module.spec.grid_shape)
    scalars = torch.ones(1, len(module.spec.scalars))
    frames = module.forecast(history=history, scalars=scalars, n_steps=2)
    return hashlib.sha256(frames.detach().numpy().tobytes()).hexdigest(), 0


def resume_mutant(folder: Path, rng: random.Random) -> tuple[str, Callable[[], Any]]:
    """Damage a checkpoint, and resume a training from it on the command line."""
    how, _ = checkpoint_mutant(folder, rng)

    def work() -> tuple[str, int]:
        os.chdir(folder)
        run(["fit", "--config", "config.yaml", "--ckpt_path", "best.ckpt", "--trainer.max_epochs=2"])
        return "trained", 0

    return how, work


def configuration_mutant(folder: Path, rng: random.Random) -> tuple[str, Callable[[], Any]]:
    """Damage a configuration, and train a step with it."""
    how = damage_yaml(folder / "config.yaml", rng, 0.7)

    def work() -> tuple[str, int]:
        os.chdir(folder)
        run(["fit", "--config", "config.yaml", "--trainer.fast_dev_run=true"])
        return "trained", 0

    return how, work


def option_mutant(folder: Path, rng: random.Random) -> tuple[str, Callable[[], Any]]:
    """Give an option of the command line a wrong value, or misspell it."""
    option = rng.choice(OPTIONS) + ("x" if rng.random() < 0.2 else "")
    value = rng.choice(OPTION_VALUES)

    def work() -> tuple[str, int]:
        os.chdir(folder)
        run(["fit", "--config", "config.yaml", "--trainer.fast_dev_run=true", f"--{option}={value}"])
        return "trained", 0

    return f"--{option}={value}", work


def run(args: list[str]) -> None:
    """Run the command line as a program does."""
    sys.argv = ["fno-lightning", *args]
    warnings.simplefilter("ignore")
    command_line()


MUTANTS: dict[str, Callable[[Path, random.Random], tuple[str, Callable[[], Any]]]] = {
    **{kind: well_mutant(kind) for kind in DAMAGES},
    "statistics": statistics_mutant,
    "checkpoint": checkpoint_mutant,
    "resumed": resume_mutant,
    "configuration": configuration_mutant,
    "option": option_mutant,
}
"""Kinds of mutants by name."""


def template(folder: Path) -> None:
    """Write what the mutants are made of: a data set, a configuration, and a checkpoint of its training."""
    write_data_set(folder)
    (folder / "config.yaml").write_text(CONFIG)
    with contextlib.chdir(folder), Path(os.devnull).open("w") as null, contextlib.redirect_stdout(null):
        run(["fit", "--config", "config.yaml"])
        shutil.copy("runs/wave/version_0/checkpoints/best.ckpt", "best.ckpt")
        shutil.rmtree("runs")


def result_of(kind: str, number: int, seed: int, source: Path) -> tuple[str, str, Outcome]:
    """Make a mutant and read it; return its outcome in a word, how it was damaged, and all of the outcome."""
    rng = random.Random(f"{kind}, {seed}, {number}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "work")
        shutil.copytree(source, folder)
        how, work = MUTANTS[kind](folder, rng)
        found = outcome(work, names_something)
    if found.kind != "done":
        return found.kind, how, found
    digest, n_issues = found.value
    if n_issues:
        return "found", how, found
    return ("same" if digest in known_digests(source) else "other"), how, found


_DIGESTS: dict[Path, set[str]] = {}


def known_digests(source: Path) -> set[str]:
    """Return the digests of what is read from undamaged files."""
    if source not in _DIGESTS:
        works = [lambda: read_data_set(source / NAME), lambda: read_checkpoint(source / "best.ckpt")]
        _DIGESTS[source] = {"trained", *(outcome(work, names_something).value[0] for work in works)}
    return _DIGESTS[source]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="mutants of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=list(MUTANTS), default=list(MUTANTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    columns = ("refused", "found", "same", "other", *FAULTS)
    print(f"| mutants | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        source = Path(name, "template")
        source.mkdir()
        template(source)
        for kind in options.kinds:
            counts: Counter[str] = Counter()
            for number in range(options.count):
                word, how, found = result_of(kind, number, options.seed, source)
                counts[word] += 1
                if word in FAULTS:
                    faults.append(f"{kind} {number} ({how}): {word}, {found.text}")
                elif os.environ.get("MUTANTS_VERBOSE"):
                    print(f"    {number} {how}: {word}, {found.text[:200]}", file=sys.stderr)
            print(f"| {kind} | {' | '.join(str(counts[column]) for column in columns)} |", flush=True)
    print("\n".join(faults))
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
