import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from fno_lightning.malloc import keep_freed_memory
if {keep}:
    if not keep_freed_memory():
        raise SystemExit("no glibc")
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    tensors = [torch.ones(5 * 2**20) for _ in range(4)]
    del tensors
for _ in range(3):
    step()
before = faults()
for _ in range(3):
    step()
print(faults() - before)
"""


def page_faults(keep):
    program = subprocess.run([sys.executable, "-c", PROGRAM.format(keep=keep)], capture_output=True, text=True)
    if "no glibc" in program.stderr:
        pytest.skip("the C library has no such setting")
    return int(program.stdout)


def test_memory_is_used_again_without_the_system_clearing_it():
    assert page_faults(keep=True) < 0.1 * page_faults(keep=False)
