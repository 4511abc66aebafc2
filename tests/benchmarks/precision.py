"""Errors after the same training in different precisions.

    python -m tests.benchmarks.precision [--seeds 0 1 2] [--epochs 12] [--out docs]

A small FNO learns the pressure of Darcy flow from the permeability (32 x 32 points, drawn and solved here). Each
precision starts from the same weights and sees the same batches in the same order; the seed changes both. Given are
relative L2 errors on test samples, mean and largest distance from it over the seeds, beside that of always predicting
the mean of the training data.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from pathlib import Path
from statistics import mean

import lightning as L
import torch

from fno_lightning.data import FieldDataModule, GeneratedDataModule
from fno_lightning.losses import RelativeL2
from fno_lightning.modules import FNOModule
from fno_lightning.pdes import DarcyFlow
from tests.benchmarks.environment import environment, summary
from tests.benchmarks.report import put_between, read_json, write_json

CPU_PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "64-true")
GPU_PRECISIONS = ("32-true", "32-true with TF32", "16-mixed", "bf16-mixed", "bf16-true", "64-true")


def trained_error(data: FieldDataModule, precision: str, seed: int, n_epochs: int, accelerator: str) -> float:
    """Train in a precision; return the error on the test split, computed in float32."""
    L.seed_everything(seed, verbose=False)
    torch.set_float32_matmul_precision("high" if "TF32" in precision else "highest")
    module = FNOModule(
        spec=data.spec,
        n_modes=[12, 12],
        hidden_channels=24,
        n_steps_input=0,
        loss=RelativeL2(),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=5e-3, weight_decay=1e-4),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs),
    )
    module.configure_model()  # in float32, so that all precisions start with the same weights
    trainer = L.Trainer(
        accelerator=accelerator,
        devices=1,
        precision=precision.split()[0],
        max_epochs=n_epochs,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data)
    torch.set_float32_matmul_precision("highest")
    return relative_l2(module.float(), data)


@torch.no_grad()
def relative_l2(module: FNOModule, data: FieldDataModule) -> float:
    """Return the mean over the test samples of ``|prediction - target| / |target|``."""
    errors = []
    for batch in data.test_dataloader():
        prediction = module.forecast(batch.history, batch.constants, batch.scalars)
        errors.append((prediction - batch.target).flatten(1).norm(dim=1) / batch.target.flatten(1).norm(dim=1))
    return torch.cat(errors).mean().item()


@torch.no_grad()
def error_of_the_mean(data: FieldDataModule) -> float:
    """Return the error of predicting the mean field of the training data for every sample."""
    targets = torch.cat([batch.target for batch in data.train_dataloader()])
    test = torch.cat([batch.target for batch in data.test_dataloader()])
    return ((test - targets.mean(dim=0)).flatten(1).norm(dim=1) / test.flatten(1).norm(dim=1)).mean().item()


def table(errors: dict[str, list[float]], baseline: float, reference: str) -> str:
    """Return the Markdown table."""
    lines = [
        f"| precision | test error, mean of {len(errors[reference])} seeds | spread | over that of {reference} |",
        "|---|---|---|---|",
    ]
    for precision, values in errors.items():
        average = mean(values)
        spread = max(abs(value - average) for value in values)
        lines.append(f"| `{precision}` | {average:.4f} | ± {spread:.4f} | {average / mean(errors[reference]):.3f} |")
    return "\n".join([*lines, f"| mean of the training data | {baseline:.3f} | | |"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--precisions", nargs="+")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    is_gpu = torch.cuda.is_available()
    kind, device = ("gpu", torch.device("cuda")) if is_gpu else ("cpu", torch.device("cpu"))
    precisions = options.precisions or (GPU_PRECISIONS if is_gpu else CPU_PRECISIONS)
    errors: dict[str, list[float]] = {precision: [] for precision in precisions}
    with tempfile.TemporaryDirectory() as folder:
        data = GeneratedDataModule(
            DarcyFlow((32, 32)),
            folder,
            source="simulate",
            n_train=options.samples,
            n_valid=1,
            n_test=max(1, options.samples // 4),
            n_steps_input=0,
            batch_size=16,
        )
        data.prepare_data()
        baseline = error_of_the_mean(data)
        for seed in options.seeds:
            for precision in precisions:
                begin = time.perf_counter()
                errors[precision].append(trained_error(data, precision, seed, options.epochs, kind))
                elapsed = time.perf_counter() - begin
                print(f"seed {seed}, {precision}: {errors[precision][-1]:.4f}, {elapsed:.0f} s", flush=True)
    record = environment(device)
    result = table(errors, baseline, precisions[0])
    setup = (
        f"Darcy flow, 32 x 32 points, {options.samples} samples, {options.epochs} epochs of AdamW with a cosine "
        f"schedule, width 24, 12 x 12 modes, 4 layers. Measured on {summary(record)}."
    )
    path = options.out / f"benchmarks-{kind}.json"
    content = {"errors": errors, "mean_of_training_data": baseline, "environment": record}
    write_json(path, read_json(path) | {"precision": content})
    put_between(options.out / "benchmarks.md", f"{kind} precision", f"{result}\n\n{setup}")
    print(result)


if __name__ == "__main__":
    main()
