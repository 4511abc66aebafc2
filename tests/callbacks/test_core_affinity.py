"""Cores of processes, from made-up machines and this one."""

import os

import pytest
import torch

from fno_lightning import FNOModule
from fno_lightning.callbacks import CoreAffinity
from fno_lightning.callbacks.core_affinity import cores_in, cores_of

TWO_SOCKETS = [list(range(8)), list(range(8, 16))]
ALL = set(range(16))


def test_lists_of_cores_are_read():
    assert cores_in("0-3,8,10-11\n") == [0, 1, 2, 3, 8, 10, 11]
    assert cores_in("\n") == []


@pytest.mark.parametrize("n_processes", [1, 2, 3, 4, 8, 16])
def test_processes_share_the_cores_without_overlap(n_processes):
    parts = [cores_of(i, n_processes, TWO_SOCKETS, ALL) for i in range(n_processes)]
    assert sorted(core for part in parts for core in part) == sorted(ALL)
    if n_processes > 1:
        assert all(set(part) <= set(TWO_SOCKETS[0]) or set(part) <= set(TWO_SOCKETS[1]) for part in parts)


def test_a_process_is_on_the_node_of_its_gpu():
    parts = [cores_of(i, 4, TWO_SOCKETS, ALL, near=near) for i, near in enumerate((1, 1, 0, 0))]
    assert [set(part) <= set(TWO_SOCKETS[node]) for part, node in zip(parts, (1, 1, 0, 0), strict=True)] == [True] * 4
    assert not set(parts[0]) & set(parts[1])
    assert not set(parts[2]) & set(parts[3])


def test_only_allowed_cores_are_taken():
    assert cores_of(0, 1, TWO_SOCKETS, {3, 9}) == [3, 9]
    assert cores_of(1, 2, TWO_SOCKETS, {3, 9}) == [9]
    assert cores_of(5, 8, TWO_SOCKETS, {3, 9}) == [3, 9]  # fewer cores than processes
    assert cores_of(0, 2, TWO_SOCKETS, {3, 4}, near=1) == [3]  # none of the node's own is allowed


def test_a_training_is_bound(make_data, make_trainer):
    before, threads = os.sched_getaffinity(0), torch.get_num_threads()
    data = make_data()
    module = FNOModule(data.spec, n_modes=(4,), hidden_channels=4, n_layers=1, n_steps_input=2)
    try:
        make_trainer(CoreAffinity(), max_steps=1).fit(module, data)
        assert os.sched_getaffinity(0) <= before
        assert torch.get_num_threads() <= threads
    finally:
        os.sched_setaffinity(0, before)
        torch.set_num_threads(threads)
