"""Several optimizer steps from one item of the train loader: strategies for Lightning's Trainer."""

from fno_lightning.multistep.strategy import MultiStepDDPStrategy, MultiStepStrategy

__all__ = ["MultiStepDDPStrategy", "MultiStepStrategy"]
