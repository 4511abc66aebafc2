"""Files that processes share, whatever happens to the processes."""

import errno
import gc
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from fno_lightning.data.cache import shared_memory
from fno_lightning.data.cache.shared_memory import SharedFile

SPAWN = multiprocessing.get_context("spawn")
SIZE = 1000


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Two folders of the test's own, the first of them preferred."""
    found = [tmp_path / "memory", tmp_path / "disk"]
    for folder in found:
        folder.mkdir()
    monkeypatch.setattr(shared_memory, "_folders", lambda: iter(found))
    return found


def files_in(folders):
    return [path.name for folder in folders for path in folder.iterdir()]


def ones(memory):
    memory[:] = 1


def never(memory):
    pytest.fail("it is there already")


def test_it_is_filled_once_and_gone_with_the_last_user(folders):
    first = SharedFile("a", SIZE).open(ones)
    second = SharedFile("a", SIZE).open(never)
    first[5] = 7
    assert second[5] == 7
    del first
    gc.collect()
    assert SharedFile("a", SIZE).exists()
    part = second[3:6]
    del second
    gc.collect()
    assert files_in(folders) == [SharedFile("a", SIZE).name]
    assert part.tolist() == [1, 1, 7]
    del part
    gc.collect()
    assert files_in(folders) == []


def test_different_keys_are_different_files(folders):
    first, second = (SharedFile(key, SIZE).open(ones) for key in "ab")
    first[0] = 9
    assert second[0] == 1
    assert len(files_in(folders)) == 2


def test_a_failure_while_filling_leaves_nothing(folders):
    def fail(memory):
        memory[:] = 1
        raise ValueError("not finite")

    with pytest.raises(ValueError, match="not finite"):
        SharedFile("a", SIZE).open(fail)
    assert files_in(folders) == []
    assert SharedFile("a", SIZE).open(ones).all()


def share(folders, filled, opened, leave):
    """Opens the file in a process of its own."""
    shared_memory._folders = lambda: iter(folders)

    def fill(memory):
        filled.put(os.getpid())
        time.sleep(0.3)
        memory[:] = 5

    memory = SharedFile("a", SIZE).open(fill)
    opened.put(int(memory.sum()))
    leave.wait()


@pytest.mark.long
def test_processes_that_start_at_once_fill_it_once(folders):
    filled, opened, leave = SPAWN.Queue(), SPAWN.Queue(), SPAWN.Event()
    processes = [SPAWN.Process(target=share, args=(folders, filled, opened, leave)) for _ in range(3)]
    for process in processes:
        process.start()
    assert [opened.get(timeout=60) for _ in processes] == [5 * SIZE] * 3
    filled.get(timeout=60)
    assert filled.empty()
    assert len(files_in(folders)) == 1
    leave.set()
    for process in processes:
        process.join()


def test_a_process_that_fills_it_just_before_keeps_no_other_waiting(folders, monkeypatch):
    faster = []

    def flock(descriptor, operation, lock=shared_memory.fcntl.flock):
        if not faster and operation & shared_memory.fcntl.LOCK_EX:  # found nothing in it yet, and is overtaken now
            faster.append(None)
            lock(descriptor, shared_memory.fcntl.LOCK_UN)
            faster.append(SharedFile("a", SIZE).open(ones))
        lock(descriptor, operation)

    monkeypatch.setattr(shared_memory.fcntl, "flock", flock)
    assert SharedFile("a", SIZE).open(never).tolist() == [1] * SIZE


def stuck(folders, filled):
    """Is killed while it fills the file."""
    shared_memory._folders = lambda: iter(folders)

    def fill(memory):
        memory[: SIZE // 2] = 5
        filled.set()
        time.sleep(600)

    SharedFile("a", SIZE).open(fill)


@pytest.mark.long
def test_what_a_killed_process_left_half_filled_is_filled_again(folders):
    filled = SPAWN.Event()
    process = SPAWN.Process(target=stuck, args=(folders, filled))
    process.start()
    assert filled.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert len(files_in(folders)) == 1
    assert SharedFile("a", SIZE).open(ones).tolist() == [1] * SIZE
    gc.collect()
    assert files_in(folders) == []


@pytest.mark.long
def test_what_killed_processes_left_is_removed_by_the_next_and_what_is_used_stays(folders):
    filled, opened, leave = SPAWN.Queue(), SPAWN.Queue(), SPAWN.Event()
    process = SPAWN.Process(target=share, args=(folders, filled, opened, leave))
    process.start()
    opened.get(timeout=60)
    used = SharedFile("b", SIZE).open(ones)
    third = SharedFile("c", SIZE).open(ones)
    assert len(files_in(folders)) == 3
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    fourth = SharedFile("d", SIZE).open(ones)
    assert sorted(files_in(folders)) == sorted(SharedFile(key, SIZE).name for key in "bcd")
    assert used.all()
    assert third.all()
    assert fourth.all()


def full(folders):
    def allocate(descriptor, offset, length):
        if any(os.path.samestat(path.stat(), os.fstat(descriptor)) for folder in folders for path in folder.iterdir()):
            raise OSError(errno.ENOSPC, "No space left on device")
        os.ftruncate(descriptor, length)

    return allocate


def test_the_next_folder_is_taken_where_the_first_is_full(folders, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", full(folders[:1]))
    memory = SharedFile("a", SIZE).open(ones)
    assert [len(list(folder.iterdir())) for folder in folders] == [0, 1]
    assert memory.all()


def test_no_room_anywhere_names_the_folders_and_what_to_do(folders, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", full(folders))
    with pytest.raises(
        OSError, match=r"cache=ram needs 1\.0 kB, but there are only .*/memory, .*/disk: use cache=none"
    ):
        SharedFile("a", SIZE).open(ones)
    assert files_in(folders) == []


def test_a_forked_process_that_ends_takes_nothing_away(folders):
    memory = SharedFile("a", SIZE).open(ones)
    child = multiprocessing.get_context("fork").Process(target=gc.collect)
    child.start()
    child.join()
    assert len(files_in(folders)) == 1
    assert memory.all()


def test_systems_without_locks_are_told_so(monkeypatch):
    monkeypatch.setattr(shared_memory, "fcntl", None)
    with pytest.raises(OSError, match=r"locks on files, which this system lacks: use cache=none"):
        SharedFile("a", SIZE).open(ones)


def test_a_link_in_its_place_is_not_followed(folders, tmp_path):
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    (folders[0] / SharedFile("a", SIZE).name).symlink_to(target)
    with pytest.raises(OSError, match="symbolic"):
        SharedFile("a", SIZE).open(ones)
    assert target.read_bytes() == b"precious"


def test_it_holds_bytes():
    assert SharedFile("a", SIZE).open(ones).dtype == np.uint8
