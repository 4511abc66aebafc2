import os
import subprocess
import sys

import pytest

from fno_lightning import malloc

PROGRAM = """
import ctypes, runpy
keep_freed_memory = runpy.run_path({path!r})["keep_freed_memory"]

class MallInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
    )]

library = ctypes.CDLL(None)
if {keep} and not keep_freed_memory() or not hasattr(library, "mallinfo2"):
    raise SystemExit("no glibc")
library.mallinfo2.restype = MallInfo
library.malloc.restype = ctypes.c_void_p
n_before = library.mallinfo2().hblks
memory = library.malloc(ctypes.c_size_t({size}))
n_mapped = library.mallinfo2().hblks - n_before
library.free(ctypes.c_void_p(memory))
print(n_mapped, library.mallinfo2().fordblks)
"""
SIZE = 20 * 2**20


def blocks_of_their_own_and_bytes_kept(keep):
    """Allocate and free a large block; return the number of blocks mapped for it, and of free bytes in the heap."""
    program = PROGRAM.format(path=malloc.__file__, keep=keep, size=SIZE)
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=settings)
    if "no glibc" in finished.stderr:
        pytest.skip("the C library has no such setting")
    n_mapped, n_free = map(int, finished.stdout.split())
    return n_mapped, n_free


def test_freed_memory_stays_in_the_heap_for_the_next_allocation():
    n_mapped, n_free = blocks_of_their_own_and_bytes_kept(keep=True)
    assert n_mapped == 0
    assert n_free >= SIZE


def test_large_blocks_are_given_back_to_the_system_otherwise():
    n_mapped, n_free = blocks_of_their_own_and_bytes_kept(keep=False)
    assert n_mapped == 1
    assert n_free < SIZE


@pytest.mark.parametrize("variable", ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"])
def test_thresholds_in_the_environment_stay(variable, monkeypatch):
    monkeypatch.setenv(variable, "1000000")
    monkeypatch.setattr(malloc.ctypes, "CDLL", lambda _: pytest.fail("the C library is asked for another setting"))
    assert not malloc.keep_freed_memory()
