import pytest
import torch

from fno_lightning.modules import FNOModule, NetworkModule


def networks(spec):
    own = {"class_path": "torch.nn.Conv1d", "init_args": {"kernel_size": 3, "padding": 1}}
    return {
        "FNO": lambda **options: FNOModule(spec, n_modes=[4], hidden_channels=8, n_steps_input=2, **options),
        "other": lambda **options: NetworkModule(own, spec=spec, n_steps_input=2, **options),
    }


def step(module, batch):
    """Loss and gradients of a batch, and the number of values that were kept for the backward pass."""
    torch.manual_seed(0)
    module.configure_model()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        loss, _ = module.step(batch)
        gradients = torch.autograd.grad(loss, list(module.parameters()))
    return loss, gradients, sum(kept)


@pytest.mark.parametrize("kind", ["FNO", "other"])
@pytest.mark.parametrize("activations", ["keep", "recompute", "offload"])
def test_results_do_not_depend_on_where_activations_are(kind, activations, make_data):
    data = make_data(n_steps_output=2)
    data.prepare_data()
    batch = next(iter(data.train_dataloader()))
    make = networks(data.spec)[kind]
    torch.manual_seed(0)
    loss, gradients, _ = step(make(), batch)
    torch.manual_seed(0)
    other_loss, other_gradients, _ = step(make(activations=activations), batch)
    assert torch.equal(loss, other_loss)
    for gradient, other in zip(gradients, other_gradients, strict=True):
        assert torch.equal(gradient, other)


def test_recomputation_keeps_less(make_data):
    data = make_data()
    data.prepare_data()
    batch = next(iter(data.train_dataloader()))
    make = networks(data.spec)["FNO"]
    _, _, everything = step(make(), batch)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        module = make(activations="recompute")
    assert module.hparams.get("activations") is None, "a choice of the run, not stored"
    kept = []
    module.configure_model()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        module.step(batch)
    assert sum(kept) < 0.5 * everything
