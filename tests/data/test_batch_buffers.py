"""Memory of batches is used again, but never under somebody's hands."""

import gc
import pickle

import pytest
import torch

from fno_lightning.data import Batch, WellDataModule
from fno_lightning.data.loading import MAX_BUFFERS, BatchBuffers


def test_memory_is_used_again_when_nobody_refers_to_it():
    buffers = BatchBuffers()
    first = buffers.empty(4, 5)
    address = first.data_ptr()
    del first
    assert buffers.empty(5, 4).data_ptr() == address
    assert buffers.empty(4, 6).data_ptr() != address


@pytest.mark.parametrize(
    "keep",
    [
        lambda tensor: tensor,
        lambda tensor: tensor[1:],
        lambda tensor: tensor.numpy(),
        lambda tensor: tensor.numpy()[2:],
        lambda tensor: tensor.detach(),
        lambda tensor: tensor.untyped_storage(),
        lambda tensor: (tensor.requires_grad_() * 2).grad_fn,
        lambda tensor: (tensor.requires_grad_() ** 2).grad_fn,
    ],
    ids=["tensor", "slice", "array", "slice of array", "detached", "storage", "leaf", "saved for backward"],
)
def test_memory_in_use_is_not_handed_out(keep):
    buffers = BatchBuffers()
    tensor = buffers.empty(4, 5)
    address = tensor.data_ptr()
    kept = keep(tensor)
    del tensor
    gc.collect()
    assert buffers.empty(4, 5).data_ptr() != address
    del kept
    gc.collect()
    assert address in {buffers.empty(4, 5).data_ptr() for _ in range(2)}


def test_only_some_memory_is_kept():
    buffers = BatchBuffers()
    batches = [buffers.empty(3) for _ in range(3 * MAX_BUFFERS)]
    assert len({batch.data_ptr() for batch in batches}) == len(batches)
    assert len(buffers._buffers) == MAX_BUFFERS


def test_other_sizes_crowd_out_old_ones():
    buffers = BatchBuffers()
    for size in range(1, 3 * MAX_BUFFERS):
        buffers.empty(size)
    assert len(buffers._buffers) == MAX_BUFFERS


def test_an_empty_tensor_needs_none():
    buffers = BatchBuffers()
    assert buffers.empty(2, 0, 3).shape == (2, 0, 3)
    assert not buffers._buffers


def test_a_copy_in_another_process_begins_with_none():
    buffers = BatchBuffers()
    kept = buffers.empty(3)
    again = pickle.loads(pickle.dumps(buffers))
    assert not again._buffers
    assert again.empty(3).shape == kept.shape


@pytest.mark.parametrize("cache", ["none", "ram", "device"])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_batches_that_are_kept_never_change(data_set, cache, num_workers):
    root = data_set()
    data = WellDataModule(
        root.name, str(root.parent), n_steps_input=2, cache=cache, num_workers=num_workers, batch_size=3
    )
    kept, copies = [], []
    for _ in range(3):
        for batch in data.train_dataloader():
            kept.append(batch)
            copies.append(Batch(*(part.clone() for part in batch)))
    assert len(kept) > 2 * MAX_BUFFERS
    for batch, copy in zip(kept, copies, strict=True):
        assert all(torch.equal(part, same) for part, same in zip(batch, copy, strict=True))
