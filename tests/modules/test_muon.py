import copy

import pytest
import torch
import yaml

from fno_lightning.cli import main
from fno_lightning.modules import FNOModule, MuonAdamW, WarmupCosine
from fno_lightning.multistep import MultiStepStrategy


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Conv1d(8, 2, 1))


def take_steps(model, optimizers, n_steps, first=0):
    for step in range(first, first + n_steps):
        x = torch.randn(5, 4, generator=torch.Generator().manual_seed(step))
        model.zero_grad()
        model[2](model[1](model[0](x))[..., None]).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()


def weights(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_matrices_are_stepped_by_muon_and_the_rest_by_adamw():
    model, reference = network(), network()
    take_steps(model, [MuonAdamW(model.parameters(), lr=0.01, weight_decay=0.1)], 4)
    options = {"lr": 0.01, "weight_decay": 0.1}
    matrix, *others = reference.parameters()
    muon = torch.optim.Muon([matrix], adjust_lr_fn="match_rms_adamw", **options)
    take_steps(reference, [muon, torch.optim.AdamW(others, **options)], 4)
    assert all(torch.equal(*pair) for pair in zip(weights(model), weights(reference), strict=True))


@pytest.mark.parametrize("way", ["state", "copy"])
def test_a_saved_optimizer_goes_on_as_the_one_that_was_not(way):
    whole, model = network(), network()
    take_steps(whole, [MuonAdamW(whole.parameters(), lr=0.01)], 5)
    optimizer = MuonAdamW(model.parameters(), lr=0.01)
    take_steps(model, [optimizer], 2)
    if way == "copy":
        model, resumed = copy.deepcopy((model, optimizer))
    else:
        resumed = MuonAdamW(model.parameters(), lr=1.0)
        resumed.load_state_dict(optimizer.state_dict())
    take_steps(model, [resumed], 3, first=2)
    assert all(torch.equal(*pair) for pair in zip(weights(model), weights(whole), strict=True))


def test_parameters_without_matrices_are_refused():
    with pytest.raises(ValueError, match=r"needs matrices, .* use torch\.optim\.AdamW"):
        MuonAdamW(torch.nn.Conv1d(2, 2, 1).parameters())


def fit(make_trainer, data, ckpt_path=None, **options):
    torch.manual_seed(0)
    module = FNOModule(data.spec, (4,), 4, n_layers=1, n_steps_input=2, optimizer=MuonAdamW, lr_scheduler=WarmupCosine)
    module.configure_model()
    trainer = make_trainer(max_steps=4, limit_val_batches=0, gradient_clip_val=1.0, **options)
    torch.manual_seed(1)
    trainer.fit(module, data, ckpt_path=ckpt_path)
    return module, trainer


@pytest.mark.parametrize(
    "options", [{"precision": "bf16-mixed"}, {"strategy": MultiStepStrategy(3)}], ids=["bf16", "three at once"]
)
def test_it_trains_a_module(make_data, make_trainer, options, tmp_path):
    data = make_data()
    expected, _ = fit(make_trainer, data, precision=options.get("precision", "32-true"))
    module, trainer = fit(make_trainer, data, **options)
    assert all(torch.equal(*pair) for pair in zip(weights(module), weights(expected), strict=True))
    trainer.save_checkpoint(tmp_path / "muon.ckpt")
    state = torch.load(tmp_path / "muon.ckpt", weights_only=True)["optimizer_states"][0]
    assert [len(group["params"]) for group in state["param_groups"]] == [
        sum(parameter.ndim == 2 for parameter in module.parameters()),
        sum(parameter.ndim != 2 for parameter in module.parameters()),
    ]


def test_a_rate_that_is_found_is_that_of_both(make_data, make_trainer):
    data = make_data()
    module = FNOModule(data.spec, (4,), 4, n_layers=1, n_steps_input=2, optimizer=MuonAdamW)
    trainer = make_trainer(limit_val_batches=0)
    module.lr = 0.03  # which a finder sets
    trainer.fit(module, data)
    assert [group["lr"] for group in trainer.optimizers[0].param_groups] == [0.03, 0.03]


def test_it_is_chosen_from_yaml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    optimizer = {"class_path": "fno_lightning.modules.MuonAdamW", "init_args": {"lr": 0.002, "betas": [0.9, 0.95]}}
    config = {
        "trainer": {"max_steps": 1, "accelerator": "cpu", "logger": False, "enable_checkpointing": False},
        "model": {"class_path": "FNOModule", "init_args": {"n_modes": [4], "optimizer": optimizer}},
        "data": {
            "class_path": "fno_lightning.data.GeneratedDataModule",
            "init_args": {"pde": {"class_path": "tests.travelling_wave.TravellingWave"}, "n_steps_input": 2},
        },
    }
    (tmp_path / "muon.yaml").write_text(yaml.safe_dump(config))
    (optimizer,) = main(["fit", "--config", "muon.yaml"]).trainer.optimizers
    assert [group["lr"] for group in optimizer.param_groups] == [0.002, 0.002]
    assert tuple(optimizer.param_groups[1]["betas"]) == (0.9, 0.95)
