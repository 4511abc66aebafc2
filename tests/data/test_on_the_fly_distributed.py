"""Two processes that train on fresh samples train on different ones, which one process would have trained on too."""

from lightning.pytorch import Trainer

from fno_lightning.data import OnTheFlyDataModule
from fno_lightning.modules import FNOModule
from tests.travelling_wave import TravellingWave
from tests.two_processes import join, results_of


class Seen(FNOModule):
    """Remembers the first value of every training target."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append(batch.target[:, 0, 0, 0].tolist())
        return super().training_step(batch, batch_idx)


def train(strategy="auto", n_processes=1, batch_size=4):
    data = OnTheFlyDataModule(
        TravellingWave(), n_steps_input=2, samples_per_epoch=16, batch_size=batch_size, n_valid=2, n_statistics=4
    )
    module = Seen(data.spec, (8,), 4, n_layers=1, n_steps_input=2)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    options = {"accelerator": "cpu", "devices": n_processes, "strategy": strategy, "enable_checkpointing": False}
    Trainer(max_epochs=2, **options, **quiet).fit(module, data)
    return module.seen


def work(rank, port):
    join(rank, port)
    return train("ddp", n_processes=2)


def test_processes_share_out_the_samples(tmp_path):
    first, second = results_of(work)
    alone = train()
    assert len(first) == len(second) == 4
    flat = [sorted(value for batch in batches for value in batch) for batches in (first, second, alone)]
    assert not set(flat[0]) & set(flat[1])
    assert sorted(flat[0] + flat[1]) == flat[2]
