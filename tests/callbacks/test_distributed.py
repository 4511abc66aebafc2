"""Two processes that share out the trajectories, one of them without any, log what one process logs."""

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from fno_lightning.callbacks import ErrorTable, OneStepErrors, PredictionWriter, RolloutEvaluation
from fno_lightning.metrics import VRMSE
from tests.callbacks.waves import WaveData, make_module
from tests.two_processes import join, results_of

CASES = {"uneven shares": 2, "nothing for one process": 3}


def evaluate(folder, rollout_batch_size, *, strategy="auto", n_processes=1):
    """Returns what an untrained module, the same in every process, scores on the test split, and writes forecasts."""
    torch.manual_seed(0)
    data = WaveData(rollout_batch_size=rollout_batch_size)
    trainer = Trainer(
        accelerator="cpu",
        devices=n_processes,
        strategy=strategy,
        callbacks=[
            OneStepErrors({"vrmse": VRMSE}),
            RolloutEvaluation(metrics={"vrmse": VRMSE}, animation=False),
            ErrorTable(),
            PredictionWriter(),
        ],
        logger=TensorBoardLogger(folder, name="log", version=0) if folder else False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    module = make_module(data)
    trainer.test(module, datamodule=data, verbose=False)
    errors = {name: value.item() for name, value in trainer.callback_metrics.items()}
    if folder:
        trainer.predict(module, datamodule=data, return_predictions=False)
    return errors


def work(rank, port, folder):
    join(rank, port)
    return {
        case: evaluate(f"{folder}/{size}" if rank == 0 else f"{folder}/other", size, strategy="ddp", n_processes=2)
        for case, size in CASES.items()
    }


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Using `DistributedSampler` with the dataloaders")
def test_processes_log_what_a_single_one_does(tmp_path):
    results = results_of(work, str(tmp_path))
    for case, size in CASES.items():
        expected = evaluate(str(tmp_path / "single" / case), size)
        for rank in range(2):
            assert results[rank][case] == pytest.approx(expected, rel=1e-5), (case, rank)
        pictures = sorted(path.name for path in (tmp_path / str(size)).rglob("*.png"))
        alone = sorted(path.name for path in (tmp_path / "single" / case).rglob("*.png"))
        assert pictures == alone  # the worst is drawn by the process that has it
        assert any("worst" in name for name in pictures)
        for name in ("trajectories.csv", "errors_by_parameter.md", "errors_by_lead_time.csv"):
            (shared,), (whole,) = ((tmp_path / folder).rglob(name) for folder in (str(size), f"single/{case}"))
            assert shared.read_text().count("\n") == whole.read_text().count("\n")
        assert len(list((tmp_path / str(size)).rglob("errors.md"))) == 1
        forecasts = sorted(path.name for path in (tmp_path / str(size)).rglob("*.hdf5"))
        assert forecasts == [f"forecast_{i:05d}.hdf5" for i in range(3)]
    assert not list((tmp_path / "other").rglob("*.*"))
