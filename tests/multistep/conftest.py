import pytest
import torch

from fno_lightning.modules import FNOModule, WarmupCosine
from fno_lightning.multistep import MultiStepStrategy

BATCH_SIZE, STEPS_PER_EPOCH = 3, 21
"""An execution of 4 steps leaves one step for the last execution of an epoch."""


@pytest.fixture
def data(make_data):
    return make_data(batch_size=BATCH_SIZE, n_train=4)


@pytest.fixture
def fit(data, make_trainer):
    """Trains on the travelling waves, in single steps or in executions; returns the module and its trainer."""

    def run(steps_per_execution=None, *, module_class=FNOModule, dropout=0.0, loader=None, ckpt_path=None, **options):
        module_options = {"lr_scheduler": WarmupCosine, "lr_interval": None, "lr_frequency": None, "optimizer": None}
        module_options = {name: options.pop(name, default) for name, default in module_options.items()}
        torch.manual_seed(0)
        module = module_class(
            data.spec,
            n_modes=(8,),
            hidden_channels=8,
            n_layers=2,
            n_steps_input=2,
            channel_mlp_dropout=dropout,
            **module_options,
        )
        if steps_per_execution is not None:
            options["strategy"] = MultiStepStrategy(steps_per_execution)
        trainer = make_trainer(**({"max_epochs": 3} | options))
        torch.manual_seed(1)
        trainer.fit(module, data if loader is None else loader, ckpt_path=ckpt_path)
        return module, trainer

    return run


@pytest.fixture
def assert_same_training():
    """Compares two trainings, bit by bit unless a tolerance is given."""

    def compare(one, other, rtol=0.0, atol=0.0):
        (module, trainer), (other_module, other_trainer) = one, other
        assert trainer.global_step == other_trainer.global_step
        weights = (dict(m.named_parameters()) for m in (other_module, module))
        torch.testing.assert_close(*weights, rtol=rtol, atol=atol)
        states = (t.optimizers[0].state_dict() for t in (other_trainer, trainer))
        torch.testing.assert_close(*states, rtol=rtol, atol=atol)

    return compare
