"""Several optimizer steps from one item of the train loader."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Trainer
from lightning.pytorch.utilities.types import LRSchedulerConfig
from torch import Tensor
from torch.utils.data import DataLoader

from fno_lightning.data import Batch, FieldDataModule
from fno_lightning.modules.recording import cut
from fno_lightning.modules.step_count import count_step, items_to_steps, steps_between_checkpoints

if TYPE_CHECKING:
    from fno_lightning.modules.launching import LaunchingModule


class Launch:
    """Takes the optimizer steps of a launch one after the other, each as Lightning takes a single one.

    Learning-rate schedules are updated, and checkpoints that fall due are saved, between the steps.

    Args:
        module: The module in training.
        trainer: Its trainer.
        steps_per_launch: Batches that an item of the train loader holds.

    Raises:
        ValueError: if the trainer's settings or schedules do not go with several steps in a launch, or the train loader
            does not say how large a batch is.
    """

    def __init__(self, module: LaunchingModule, trainer: Trainer, steps_per_launch: int) -> None:
        self.module = module
        self.trainer = trainer
        self.steps_per_launch = steps_per_launch
        self.batch_size = batch_size_of(trainer, steps_per_launch)
        self.schedules = schedules_of_steps(trainer)
        self.checkpoints = steps_between_checkpoints(trainer)
        self.item: Batch | None = None
        self.batches: list[Batch] = []
        self.n_steps = 0
        self.losses: list[Tensor] = []
        self.n_done = 0

    @property
    def steps_of_epoch(self) -> int:
        """Steps taken in the current epoch."""
        n_launches = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        return (n_launches - 1) * self.steps_per_launch + self.n_done if n_launches else 0

    def count(self, item: Batch) -> int:
        """Returns how many steps to take from an item; not all it allows, if the training ends before."""
        n_batches = -(-len(item.target) // self.batch_size)
        max_steps = self.trainer.max_steps
        return n_batches if max_steps < 0 else min(n_batches, max_steps - self.trainer.global_step)

    def load(self, item: Batch, batch_idx: int) -> None:
        """Cuts an item into batches; fewer than it holds, if the training has no more steps to go.

        Raises:
            ValueError: if the item holds more batches than there are steps in a launch.
        """
        batches = cut(item, self.batch_size)
        if len(batches) > self.steps_per_launch:
            raise ValueError(
                f"an item of the train loader has {len(item.target)} samples, which is more than "
                f"steps_per_launch={self.steps_per_launch} batches of {self.batch_size}"
            )
        self.item, self.batch_idx = item, batch_idx
        self.n_steps = self.count(item)
        self.batches = batches[: self.n_steps]
        self.losses, self.n_done = [], 0

    def require_item(self) -> Batch:
        """Returns the item of the launch.

        Raises:
            RuntimeError: if no item has been loaded for it.
        """
        if self.item is None:
            raise RuntimeError(
                f"{type(self.module).__name__} overrides on_train_batch_start, which takes over the batches of a "
                "launch: call super().on_train_batch_start(batch, batch_idx) there"
            )
        return self.item

    def run(self, step: Callable[[], None], closure: Callable[[], Any]) -> None:
        """Takes the steps of the launch.

        Args:
            step: Takes the next step, as an ordinary training does.
            closure: Lightning's closure, which ``step`` calls.
        """
        for number in range(len(self.batches)):
            if number:
                self.finish_step()
            step()
            self.n_done = number + 1

    def finish_step(self) -> None:
        """Does, after a step that is not the last, what Lightning does after a step."""
        count_step(self.trainer)
        self.update_schedules()
        for callback, every in self.checkpoints.items():
            if self.trainer.global_step % every == 0:
                outputs = {"loss": self.losses[-1]}
                callback.on_train_batch_end(self.trainer, self.module, outputs, self.require_item(), self.batch_idx)

    def update_schedules(self) -> None:
        """Updates the schedules that are updated every step."""
        for schedule in self.schedules:
            self.module.lr_scheduler_step(schedule, None)

    def loss(self) -> Tensor:
        """Returns the loss of the next batch."""
        loss, _ = self.module.step(self.batches[self.n_done])
        del self.losses[self.n_done :]  # some optimizers call their closure several times
        self.losses.append(loss.detach())
        return loss

    def finish_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Makes a checkpoint of a launch one of single steps."""
        is_last = self.n_done == self.n_steps
        items_to_steps(checkpoint, self.steps_of_epoch, is_last=is_last)

    def release_item(self) -> None:
        """Lets go of the item of a launch that is over."""
        self.item = None
        self.batches, self.losses = [], []

    def release(self) -> None:
        """Lets go of what only the training needs."""
        self.release_item()


def batch_size_of(trainer: Trainer, steps_per_launch: int) -> int:
    """Returns the number of samples in a batch, of which an item of the train loader holds several.

    Raises:
        ValueError: if the loader does not say.
    """
    data: object = getattr(trainer, "datamodule", None)
    if isinstance(data, FieldDataModule):
        return data.batch_size
    loader = trainer.train_dataloader
    size = loader.batch_size if isinstance(loader, DataLoader) else None
    if size is None or size % steps_per_launch:
        raise ValueError(
            f"with steps_per_launch={steps_per_launch} an item of the train loader holds {steps_per_launch} batches, "
            f"but the loader's batch_size is {size}: make it {steps_per_launch} times the size of a batch, or use a "
            "FieldDataModule, which sees to it"
        )
    return size // steps_per_launch


def count_steps(trainer: Trainer, steps_per_launch: int) -> float:
    """Returns how many optimizer steps the training will take, as far as is known; perhaps infinitely many."""
    estimate = trainer.estimated_stepping_batches
    n_launches = trainer.num_training_batches
    if trainer.max_epochs in (-1, None) or n_launches == float("inf"):
        return estimate
    loader = trainer.train_dataloader
    n_steps = n_launches * steps_per_launch
    if isinstance(loader, DataLoader) and loader.batch_size is not None:
        n_samples = len(loader.sampler)  # type: ignore[arg-type]
        batch_size = batch_size_of(trainer, steps_per_launch)
        n_steps = min(n_steps, n_samples // batch_size if loader.drop_last else -(-n_samples // batch_size))
    n_steps *= max(1, trainer.max_epochs or 1)
    return n_steps if trainer.max_steps < 0 else min(n_steps, trainer.max_steps)


def schedules_of_steps(trainer: Trainer) -> list[Any]:
    """Returns the schedules that are updated every optimizer step.

    Raises:
        ValueError: if one is updated after several steps, or by a metric.
    """
    configs: list[LRSchedulerConfig] = [c for c in trainer.lr_scheduler_configs if c.interval == "step"]
    for config in configs:
        if config.frequency != 1 or config.reduce_on_plateau:
            raise ValueError(
                f"steps_per_launch allows schedules that are updated every epoch or every step, but "
                f"{type(config.scheduler).__name__} has interval=step with frequency={config.frequency}, "
                f"reduce_on_plateau={config.reduce_on_plateau}: choose interval=epoch, or leave out steps_per_launch"
            )
    return [config.scheduler for config in configs]


def require_single_batches(trainer: Trainer) -> None:
    """Checks that the trainer takes one step from each batch of an ordinary training.

    Raises:
        ValueError: if not.
    """
    if trainer.accumulate_grad_batches != 1:
        raise ValueError(
            f"steps_per_launch takes an optimizer step from every batch, but the trainer has accumulate_grad_batches="
            f"{trainer.accumulate_grad_batches}: choose a larger batch_size, or leave out one of the two"
        )
    overfit_batches: float = trainer.overfit_batches  # type: ignore[attr-defined]
    if overfit_batches > 0:
        raise ValueError(
            f"the trainer has overfit_batches={overfit_batches}, which counts items of the train loader: leave "
            "out steps_per_launch to overfit"
        )
