"""All optimizer steps of a launch at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from fno_lightning.data import Batch
from fno_lightning.modules.cuda_graphs import CudaGraphs, Recorder
from fno_lightning.modules.direct_launch import DirectLaunch, obstacle_to_direct_steps
from fno_lightning.modules.launch import Launch
from fno_lightning.modules.recording import Recording, Settings, settings_of
from fno_lightning.modules.step_count import count_step

if TYPE_CHECKING:
    from fno_lightning.modules.launching import LaunchingModule

_N_WARM_UP_STEPS = 3


class CapturedLaunch(DirectLaunch):
    """Takes all optimizer steps of a launch by one replay of a recording: forward, backward, clipping, update.

    The first steps are taken one by one, and warm up what will be recorded. A launch that is unlike the recorded one
    is taken step by step, too: with fewer steps, on another grid, with a checkpoint that falls due within it, or where
    a schedule changes something other than the learning rate.

    Args:
        module: The module in training.
        trainer: Its trainer.
        steps_per_launch: Batches that an item of the train loader holds.
        recorder: Makes the recording.
    """

    def __init__(self, module: LaunchingModule, trainer: Trainer, steps_per_launch: int, recorder: Recorder) -> None:
        super().__init__(module, trainer, steps_per_launch)
        self.recorder = recorder
        self.recording: Recording | None = None
        self.can_record = True
        self._n_warm = 0
        self._loss_type = torch.float32
        self._capturable = [group.get("capturable") for group in self.optimizer.param_groups]
        recorder.prepare(self.optimizer)

    def run(self, step: Callable[[], None], closure: Callable[[], Any]) -> None:
        """Takes the steps of the launch, at once if that is possible."""
        if not self.can_record or len(self.batches) < self.steps_per_launch or self._is_interrupted():
            super().run(step, closure)
        elif self._n_warm < _N_WARM_UP_STEPS:
            with self.recorder.warm_up():
                super().run(step, closure)
            self._n_warm += len(self.batches)
            self._loss_type = self.losses[0].dtype
        else:
            self._run_recorded()
            self.module.report(closure)

    def _run_recorded(self) -> None:
        item = self.require_item()
        settings = self._settings_ahead()
        recording = self.recording or self._record(item)
        if recording is not None and recording.fits(item, settings):
            self.losses = list(recording.play(item, settings))
        else:
            self.losses = [
                self._take_step_with(of_step, batch) for of_step, batch in zip(settings, self.batches, strict=True)
            ]
        for _ in self.batches[1:]:
            count_step(self.trainer)
        self.n_done = len(self.batches)

    def _take_step_with(self, settings: Settings, batch: Batch) -> Tensor:
        """Takes a step after the schedules have already been updated for others to come."""
        for group, values in zip(self.optimizer.param_groups, settings, strict=True):
            group |= values
        return self.take_step(batch)

    def _record(self, item: Batch) -> Recording | None:
        try:
            self.recording = Recording(
                item, self.batch_size, self.optimizer, self.take_step, self._loss_type, self.recorder
            )
        except RuntimeError as error:
            self.can_record = False
            rank_zero_info(f"the steps of a launch are a plain loop, because they cannot be captured: {error}")
        return self.recording

    def _settings_ahead(self) -> list[Settings]:
        """Updates the schedules for all steps of the launch and returns the settings of each."""
        settings = [settings_of(self.optimizer)]
        for _ in self.batches[1:]:
            self.update_schedules()
            settings.append(settings_of(self.optimizer))
        return settings

    def _is_interrupted(self) -> bool:
        """Whether a checkpoint falls due within the launch."""
        first = self.trainer.global_step
        last = first + len(self.batches) - 1
        return any(last // every > first // every for every in self.checkpoints.values())

    def finish_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Makes a checkpoint of a launch one of single steps, on any device."""
        super().finish_checkpoint(checkpoint)
        for state in checkpoint.get("optimizer_states", []):
            for group, capturable in zip(state["param_groups"], self._capturable, strict=True):
                group["capturable"] = capturable

    def release(self) -> None:
        """Lets go of the recording and its memory, too."""
        super().release()
        self.recording = None


def launch_for(module: LaunchingModule, trainer: Trainer, steps_per_launch: int) -> Launch:
    """Returns the fastest launch that a training allows, and logs what is in the way of a faster one."""
    obstacle = obstacle_to_direct_steps(module, trainer)
    if obstacle is not None:
        rank_zero_info(f"Lightning takes each of the {steps_per_launch} steps of a launch, because {obstacle}")
        return Launch(module, trainer, steps_per_launch)
    obstacle = obstacle_to_capture(trainer)
    if obstacle is not None:
        rank_zero_info(f"the {steps_per_launch} steps of a launch are a plain loop, because {obstacle}")
        return DirectLaunch(module, trainer, steps_per_launch)
    return CapturedLaunch(module, trainer, steps_per_launch, CudaGraphs(trainer.strategy.root_device))


def obstacle_to_capture(trainer: Trainer) -> str | None:
    """Says why direct steps of a training cannot be captured as a CUDA graph; ``None``: nothing is known against it."""
    optimizer, device = trainer.optimizers[0], trainer.strategy.root_device
    if device.type != "cuda":
        return f"the device is {device.type}, and only CUDA devices can take them at once"
    if any("capturable" not in group for group in optimizer.param_groups):
        return f"{type(optimizer).__name__} has no option capturable"
    if any(isinstance(group["lr"], Tensor) for group in optimizer.param_groups):
        return "the learning rate is a tensor: give a number"
    if getattr(trainer.lightning_module, "activations", None) == "offload":
        return "activations: offload copies to main memory, which a graph cannot wait for"
    return None
