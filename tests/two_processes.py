"""Processes on one machine, two unless a test asks for more, as a launcher starts them."""

import os
import pickle
import socket
import tempfile
from multiprocessing import forkserver
from pathlib import Path

import torch
import torch.multiprocessing as mp

# A server imports the package once, and forks every process that the tests of this one ask for.
forkserver.set_forkserver_preload(["fno_lightning"])


def join(rank, port, n_processes=2):
    """Make this process one of several for Lightning, one thread each."""
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(n_processes),
        "LOCAL_WORLD_SIZE": str(n_processes),
        "GROUP_RANK": "0",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
    }
    torch.set_num_threads(1)


def free_port():
    """Return a port of this machine that nothing uses yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def results_of(work, *args, n_processes=2):
    """Run ``work(rank, port, *args)`` in several processes; return the result of each by its rank."""
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(_store, (work, free_port(), args, folder), nprocs=n_processes, start_method="forkserver")
        return [pickle.loads(Path(folder, str(rank)).read_bytes()) for rank in range(n_processes)]


def _store(rank, work, port, args, folder):
    Path(folder, str(rank)).write_bytes(pickle.dumps(work(rank, port, *args)))
