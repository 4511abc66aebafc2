"""What a launcher tells each of two processes on one machine."""

import os
import socket

import torch
import torch.multiprocessing as mp


def join(rank, port):
    """Makes this process one of two for Lightning, one thread each."""
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
    }
    torch.set_num_threads(1)


def free_port():
    """A port of this machine that nothing uses yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def results_of(work, *args):
    """Runs ``work(rank, port, *args, results)`` in two processes; returns what each has put under its rank."""
    with mp.get_context("spawn").Manager() as manager:
        results = manager.dict()
        mp.spawn(work, args=(free_port(), *args, results), nprocs=2)
        return dict(results)
