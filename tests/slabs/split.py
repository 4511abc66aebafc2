"""Fields and networks on slabs, beside the same in one process."""

from contextlib import contextmanager

import torch
import torch.distributed as dist

from fno_lightning.slabs import Slabs, slab_mesh, split_fields


@contextmanager
def process_group(rank, port, n_processes):
    """Be one of several processes that know each other."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=n_processes)
    try:
        yield
    finally:
        dist.destroy_process_group()


def random(*shape, seed=0):
    """Return random numbers of double precision, the same in every process."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def own(field, slabs, axis):
    """Return the slab of this process of a whole field; ``axis`` is that of the tensor."""
    first, end = slabs.points
    return field.narrow(axis, first, end - first)


def on_slabs(network, loss, x, target, slabs, axis):
    """Return the output of this process, and loss and gradients as ``DistributedDataParallel`` averages them."""
    x = own(x, slabs, axis).clone().requires_grad_()
    network.zero_grad()
    with split_fields(slabs):
        y = network(x)
        value = loss(y, own(target, slabs, axis))
        value.backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    for gradient in gradients:
        dist.all_reduce(gradient)
        gradient /= dist.get_world_size()
    return {
        "output": y.detach(),
        "loss": value.detach(),
        "input": x.grad / slabs.n_slabs,
        "gradients": [gradient.clone() for gradient in gradients],
    }


def whole(network, loss, x, target):
    """Return the same of whole fields in one process."""
    x = x.clone().requires_grad_()
    network.zero_grad()
    y = network(x)
    value = loss(y, target)
    value.backward()
    return {
        "output": y.detach(),
        "loss": value.detach(),
        "input": x.grad,
        "gradients": [parameter.grad.clone() for parameter in network.parameters()],
    }


def difference(found, expected, slabs, axis):
    """Return the largest difference of each part, relative to the largest value."""
    expected = expected | {name: own(expected[name], slabs, axis) for name in ("output", "input")}

    def relative(found, expected):
        """Compare lists of tensors: a gradient may be zero but for round-off."""
        largest = max(float(values.abs().max()) for values in expected)
        assert [values.shape for values in found] == [values.shape for values in expected]
        return max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)) / largest

    return {
        name: relative(*([part] if isinstance(part, torch.Tensor) else part for part in (values, expected[name])))
        for name, values in found.items()
    }


def all_slabs(sizes_by_axis):
    """Return the slabs of one group of all processes, for each axis and sizes."""
    mesh = slab_mesh(dist.get_world_size(), "cpu")
    return [(axis, Slabs(mesh, axis, tuple(sizes))) for axis, sizes in sizes_by_axis]
