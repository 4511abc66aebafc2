"""neuralop's FNO in neuralop's own training, as its script scripts/train_darcy.py sets it up."""

from __future__ import annotations

from typing import Any

import torch
from neuralop.data.transforms.data_processors import DefaultDataProcessor
from neuralop.data.transforms.normalizers import UnitGaussianNormalizer
from neuralop.losses import H1Loss, LpLoss
from neuralop.models import FNO
from neuralop.training import AdamW, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from fno_lightning.data import FieldDataModule
from fno_lightning.data.batch import Split
from fno_lightning.data.loading import read_batch


def train(data: FieldDataModule, network: dict[str, Any], epochs: int) -> dict[str, float]:
    """Train on a steady problem; return the relative L2 and H1 errors on test samples of the data's grid and twice it.

    Everything is neuralop's: network, normalisation, loss, optimizer and loop. Unlike its script, batches are shuffled.
    """
    finer = data.at_resolution([2 * n for n in data.spec.grid_shape])
    finer.prepare_data()
    fields = {"train": _samples(data, "train"), "same": _samples(data, "test"), "finer": _samples(finer, "test")}
    normalizers = [UnitGaussianNormalizer(dim=[0, 2, 3]) for _ in range(2)]
    for normalizer, values in zip(normalizers, fields["train"], strict=True):
        normalizer.fit(values)
    loaders = {
        name: DataLoader(
            [{"x": x, "y": y} for x, y in zip(*pair, strict=True)],
            batch_size=data.batch_size if name == "train" else 16,
            shuffle=name == "train",
        )
        for name, pair in fields.items()
    }
    model = FNO(in_channels=1, out_channels=1, **network)
    optimizer = AdamW(model.parameters(), lr=5e-3, weight_decay=1e-4)
    trainer = Trainer(
        model=model,
        n_epochs=epochs,
        data_processor=DefaultDataProcessor(*normalizers),
        eval_interval=max(1, epochs - 1),
    )
    errors = trainer.train(
        loaders.pop("train"),
        loaders,
        optimizer,
        torch.optim.lr_scheduler.StepLR(optimizer, step_size=60, gamma=0.5),
        training_loss=_of_target(H1Loss(d=2)),
        eval_losses={"l2": _of_target(LpLoss(d=2, p=2)), "h1": _of_target(H1Loss(d=2))},
    )
    return {name: float(errors[name]) for name in ("same_l2", "same_h1", "finer_l2", "finer_h1")} | {
        "parameters": sum(p.numel() * (1 + p.is_complex()) for p in model.parameters())
    }


def _samples(data: FieldDataModule, split: Split) -> tuple[Tensor, Tensor]:
    data.setup("fit" if split == "train" else "test")
    dataset = data.dataset(split)
    batch = read_batch(dataset, range(len(dataset)))
    return batch.constants.clone(), batch.target[:, 0].clone()


def _of_target(loss: Any) -> Any:
    """A loss that is not told the input, of which it would warn."""
    return lambda prediction, y, **_: loss(prediction, y)
