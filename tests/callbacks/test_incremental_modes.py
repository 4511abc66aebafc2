"""Trainings that begin with few modes: against a plain loop, in executions, resumed, by two processes."""

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.strategies import FSDPStrategy
from torch._dynamo.testing import CompileCounter

from fno_lightning.callbacks import IncrementalModes, IncrementalModesByGradient, IncrementalModesByLoss
from fno_lightning.data import GeneratedDataModule
from fno_lightning.layers import spectral_layers
from fno_lightning.modules import FFNOModule, FNOModule, ForecastModule, NetworkModule, TFNOModule, UNOModule
from fno_lightning.multistep import MultiStepStrategy
from tests.travelling_wave import TravellingWave
from tests.two_processes import join, results_of

MODULES = {"fno": FNOModule, "tfno": TFNOModule, "ffno": FFNOModule, "uno": UNOModule}


class EveryEpoch(IncrementalModes):
    """Adds modes of the first axis in every epoch, of the second in every other one."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.is_last_batch:
            self.decide(trainer, [True, trainer.current_epoch % 2 == 1])


def make_module(data, name="fno", **options):
    torch.manual_seed(0)
    sizes = {"n_levels": 2} if name == "uno" else {"n_layers": 2}
    options = {"n_modes": (8,) * data.spec.n_dims, "hidden_channels": 4, "n_steps_input": 2} | sizes | options
    module = MODULES[name](data.spec, **options)
    data.prepare_data()
    data.setup("fit")
    module.fit_normalization(data.statistics)
    module.configure_model()  # with these random numbers
    return module


@pytest.fixture
def data(make_data):
    data = make_data(grid=(12, 10), n_train=1)
    data.prepare_data()
    data.setup("fit")
    return data


def kept(module):
    return {layer.kept_modes for layer in spectral_layers(module).values()}


@pytest.fixture
def loader(data):
    """The same batches in the same order in every epoch."""
    return torch.utils.data.DataLoader(list(data.val_dataloader()), batch_size=None)


@pytest.mark.parametrize("name", MODULES)
def test_a_training_is_that_of_a_plain_loop_that_adds_modes(name, data, loader, make_trainer):
    module, plain = make_module(data, name), make_module(data, name)
    make_trainer(EveryEpoch([2, 4], step=2), max_epochs=3).fit(module, loader, loader)
    assert kept(module) == {(6, 6)}

    optimizer = plain.configure_optimizers()
    for epoch in range(3):
        for layer in spectral_layers(plain.network).values():
            layer.keep_modes([2 + 2 * epoch, 4 + 2 * (epoch // 2)])
            if epoch == 0:
                layer.zero_unused_modes_()
        for batch in loader:
            optimizer.zero_grad()
            plain.step(batch)[0].backward()
            optimizer.step()
    for (key, value), expected in zip(module.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(value, expected, msg=key)


def test_weights_of_unused_modes_and_their_moments_stay_zero_until_they_are_used(data, make_trainer):
    def decayed(parameters):
        return torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.5)

    found = {}
    for new_modes in ("zero", "initial"):
        module = make_module(data, optimizer=decayed)
        before = module.network.blocks[0].conv.weight.kernel.detach().clone()
        trainer = make_trainer(IncrementalModes(4, new_modes=new_modes))
        trainer.fit(module, data)
        conv = module.network.blocks[0].conv
        unused = torch.ones(conv.weight.kernel.shape, dtype=torch.bool)
        unused[conv.transform.kept] = False
        state = trainer.optimizers[0].state[conv.weight.kernel]
        assert not state["exp_avg"][unused].any()
        assert not state["exp_avg_sq"][unused].any()
        found[new_modes] = conv.weight.kernel.detach()[unused]
    assert not found["zero"].any()
    torch.testing.assert_close(found["initial"], before[unused] * (1 - 0.1 * 0.5) ** trainer.global_step)


def test_in_executions_of_several_steps_it_is_the_same(data, make_trainer):
    trained = []
    for strategy in ("auto", MultiStepStrategy(3)):
        module = make_module(data)
        torch.manual_seed(1)
        make_trainer(EveryEpoch(2), max_epochs=3, strategy=strategy).fit(module, data)
        assert kept(module) == {(6, 4)}
        trained.append(dict(module.named_parameters()))
    torch.testing.assert_close(*trained, rtol=0, atol=0)


@pytest.mark.parametrize(
    "callback",
    [
        lambda: IncrementalModesByLoss(2, step=1, epsilon=0.3),
        lambda: IncrementalModesByLoss(2, step=1, epsilon=0.3, monitor=None),
        lambda: IncrementalModesByGradient(2, step=1, threshold=0.999, every_n_steps=2),
    ],
)
def test_a_resumed_training_is_one_in_one_go_bit_by_bit(callback, data, loader, make_trainer, tmp_path):
    def train(max_epochs, folder, ckpt_path=None):
        module = make_module(data)
        saved = ModelCheckpoint(tmp_path / folder, "{epoch}", save_top_k=-1)
        growing = callback()
        torch.manual_seed(1)
        trainer = make_trainer(growing, saved, max_epochs=max_epochs, enable_checkpointing=True)
        trainer.fit(module, loader, data.val_dataloader(), ckpt_path=ckpt_path)
        return module, growing

    whole, growing = train(6, "whole")
    assert 2 < growing.n_modes[0] < 8  # the criterion was met, and not always
    resumed, _ = train(6, "resumed", tmp_path / "whole" / "epoch=2.ckpt")
    assert kept(resumed) == kept(whole)
    torch.testing.assert_close(resumed.state_dict(), whole.state_dict(), rtol=0, atol=0)
    loaded = ForecastModule.load_from_checkpoint(tmp_path / "resumed" / "epoch=5.ckpt")
    assert kept(loaded) == kept(whole)
    batch = next(iter(data.val_dataloader()))
    assert torch.equal(loaded.forecast(batch), whole.forecast(batch))


@pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback")
def test_averaged_weights_have_the_modes_of_the_training(data, make_trainer, tmp_path):
    module = make_module(data)
    averaging = EMAWeightAveraging(decay=0.5)
    trainer = make_trainer(EveryEpoch(2), averaging, max_epochs=3)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    loaded = ForecastModule.load_from_checkpoint(tmp_path / "last.ckpt")
    assert kept(loaded) == {(6, 4)}
    batch = next(iter(data.val_dataloader()))
    assert torch.equal(loaded.forecast(batch), module.forecast(batch))


def test_a_training_that_starts_from_weights_has_their_modes(data, make_trainer, tmp_path):
    module = make_module(data)
    trainer = make_trainer(IncrementalModes(4, new_modes="initial"))
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "few.ckpt")
    other = make_module(data, initial_weights=str(tmp_path / "few.ckpt"))
    make_trainer(max_steps=1).fit(other, data)
    assert kept(other) == {(4, 4)}
    torch.save(make_module(data).network.state_dict(), tmp_path / "all.pt")
    other = make_module(data, initial_weights=str(tmp_path / "all.pt"))
    make_trainer(IncrementalModes(2, new_modes="initial"), max_steps=1).fit(other, data)
    assert kept(other) == {(2, 2)}


def test_a_loss_that_falls_by_less_than_a_part_adds_modes(data, make_trainer):
    class Losses(FNOModule):
        values = iter([1.0, 0.5, 0.49, float("nan"), 0.6, 0.3, 0.3])

        def on_validation_epoch_end(self):
            self.log("chosen", next(self.values))

    seen = []

    class Watched(IncrementalModesByLoss):
        def on_validation_end(self, trainer, pl_module):
            super().on_validation_end(trainer, pl_module)
            seen.append(self._pending[:])

    MODULES["losses"] = Losses
    grows = Watched(2, step=1, epsilon=0.1, monitor="chosen")
    module = make_module(data, "losses")
    make_trainer(grows, max_epochs=7, limit_train_batches=1).fit(module, data)
    # 0.5, 0.02, -, -0.22, 0.5, 0 better than before
    assert [any(pending) for pending in seen] == [False, False, True, False, True, False, True]
    assert kept(module) == {(4, 4)}


@pytest.mark.parametrize("accumulated", [1, 2])
def test_the_explained_ratio_is_that_of_the_gradients_of_each_axis(accumulated, data, make_trainer):
    gradients = []

    class Kept(IncrementalModesByGradient):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            if trainer.global_step % 2 == 0:
                kernels = [block.conv.weight.kernel.grad.clone() for block in pl_module.network.blocks]
                gradients.append(torch.stack(kernels).square().sum(dim=(0, 3, 4, 5)))  # (8, 5) modes

    growing = Kept(4, threshold=0.0, buffer=1, every_n_steps=2)
    make_trainer(growing, accumulate_grad_batches=accumulated).fit(make_module(data), data)
    strength = sum(gradients)
    assert gradients
    first = 1 - strength[2].sum() / strength.sum()  # of the wave numbers -2 to 1 and 0 to 2 without the highest
    second = strength[:, :2].sum() / strength.sum()
    assert growing.explained_ratios == pytest.approx([first.item(), second.item()], rel=1e-5)
    assert growing.n_modes == (4, 4)


def test_an_axis_without_waves_is_not_grown(make_data, make_trainer):
    """The waves travel along x, and the fields are constant along y."""
    data = make_data(grid=(16, 16), n_train=1)
    module = make_module(data, positional_embedding=None)
    growing = IncrementalModesByGradient(2, step=2, threshold=0.99)
    make_trainer(growing, max_epochs=4).fit(module, data)
    assert growing.n_modes == (8, 2)
    assert growing.explained_ratios[1] > 0.99


def work(rank, port, folder):
    join(rank, port)
    results = []
    for growing in (
        IncrementalModesByGradient(2, threshold=0.999, every_n_steps=1),
        IncrementalModesByLoss(2, epsilon=0.2, monitor=None),  # the processes have different losses
    ):
        data = GeneratedDataModule(
            TravellingWave(grid=(12, 10)), n_steps_input=2, batch_size=2, n_train=1, base_path=folder
        )
        module = make_module(data)
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        options = {"accelerator": "cpu", "devices": 2, "strategy": "ddp", "enable_checkpointing": False}
        L.Trainer(max_epochs=4, callbacks=[growing], **options, **quiet).fit(module, data)
        results.append((growing.n_modes, [weight.detach().numpy() for weight in module.parameters()]))
    return results


@pytest.mark.filterwarnings("ignore:Using `DistributedSampler` with the dataloaders")
def test_two_processes_add_the_same_modes(tmp_path):
    first, second = results_of(work, str(tmp_path))
    for (modes, weights), (other_modes, other_weights) in zip(first, second, strict=True):
        assert modes == other_modes
        assert modes > (2, 2)
        assert all((one == other).all() for one, other in zip(weights, other_weights, strict=True))


def test_a_compiled_network_is_compiled_for_every_number_of_modes(data, make_trainer, compiler):
    counter = CompileCounter()
    module = make_module(data, n_layers=1)
    module.network.compile(backend=counter, fullgraph=True)
    trainer = make_trainer(EveryEpoch(1, step=1), max_epochs=3, limit_train_batches=1, limit_val_batches=1)
    with torch._dynamo.config.patch(recompile_limit=2):
        trainer.fit(module, data)
    assert kept(module) == {(3, 2)}
    assert counter.frame_count == 2 * 3  # a training step and an evaluation


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 0}, "start and step count modes, at least 1 each, got start=0 and step=2"),
        ({"start": [4, 0]}, r"got start=\[4, 0\]"),
        ({"start": 4, "step": 0}, "step=0"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        IncrementalModes(**options)


@pytest.mark.parametrize(("options", "message"), [({"threshold": 2.0}, "threshold=2.0"), ({"buffer": 0}, "buffer=0")])
def test_thresholds_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        IncrementalModesByGradient(4, **options)


def test_what_does_not_go_with_it_is_refused(data, make_trainer, tmp_path):
    cases = {
        r"start \[4, 4, 4\] has 3 entries, but the network has 2 axes": (IncrementalModes([4, 4, 4]), {}),
        r"start \[10, 10\] is more than the modes \[8, 8\]": (IncrementalModes(10), {}),
        "sets weights to zero that initial_weights has brought": (IncrementalModes(4), {"initial_weights": "x.ckpt"}),
        "compares monitor='val/los', which is not logged": (IncrementalModesByLoss(4, monitor="val/los"), {}),
        "reads the gradients of the spectral weights, but none has one": (
            IncrementalModesByGradient(4),
            {"freeze": ["blocks"]},
        ),
    }
    for message, (callback, options) in cases.items():
        with pytest.raises(ValueError, match=message):
            make_trainer(callback).fit(make_module(data, **options), data)
    with pytest.raises(ValueError, match="compares monitor='val/loss', but there is no validation: set monitor=None"):
        make_trainer(IncrementalModesByLoss(4), limit_val_batches=0).fit(make_module(data), data)
    other = NetworkModule(
        {"class_path": "torch.nn.Conv2d", "init_args": {"kernel_size": 1}}, spec=data.spec, n_steps_input=2
    )
    with pytest.raises(ValueError, match="the network of NetworkModule has 0 of them"):
        make_trainer(IncrementalModes(4)).fit(other, data)
    trainer = make_trainer()
    trainer.strategy.__class__ = FSDPStrategy
    with pytest.raises(ValueError, match="needs whole weights on each device, but FSDPStrategy divides them"):
        IncrementalModes(4).setup(trainer, other, "fit")


@pytest.mark.parametrize("start", [4, 20])
@pytest.mark.parametrize("by_gradient", [False, True])
def test_modes_beyond_those_of_the_grid_change_nothing(data, make_trainer, start, by_gradient):
    """As where coarser grids are trained on too: a grid of 12 x 10 points has no waves beyond its own."""
    module = make_module(data, n_modes=(24, 24))
    batch = next(iter(data.val_dataloader()))
    growing = IncrementalModesByGradient(start, 20, threshold=1.0) if by_gradient else EveryEpoch(start, 20)
    trainer = make_trainer(growing, max_epochs=3)
    trainer.fit(module, data)
    assert start == 20 or max(growing.n_modes) == 24
    forecast = module(*batch[:3], 1).detach()
    for layer in spectral_layers(module.network).values():
        layer.keep_modes([12, 10])
    torch.testing.assert_close(module(*batch[:3], 1).detach(), forecast)
    assert forecast.isfinite().all()
    assert all(values.isfinite().all() for values in module.parameters())
