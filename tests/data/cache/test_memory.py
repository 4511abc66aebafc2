"""Free memory, as the system and the limits of a container say."""

import torch

from fno_lightning.data.cache import store


def test_this_machine_says_something_plausible():
    assert 2**20 < store.free_ram() < 2**60


def test_a_processor_is_no_accelerator():
    assert store.free_on(torch.device("cpu")) == 0


def machine(tmp_path, monkeypatch, meminfo, groups):
    """Makes the files in which a system says what it has."""
    (tmp_path / "meminfo").write_text(meminfo)
    (tmp_path / "groups").write_text(groups)
    monkeypatch.setattr(store, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(store, "_OWN_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(store, "_GROUPS", tmp_path / "cgroup")


def group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("memory_", "memory.")).write_text(text)


MEMINFO = "MemTotal:       8000 kB\nMemFree:         100 kB\nMemAvailable:   6000 kB\n"


def test_what_the_system_calls_available_counts(tmp_path, monkeypatch):
    machine(tmp_path, monkeypatch, MEMINFO, "")
    assert store.free_ram() == 6000 * 1024


def test_limits_of_all_groups_above_count_less_what_can_be_dropped(tmp_path, monkeypatch):
    machine(tmp_path, monkeypatch, MEMINFO, "0::/job/step\n")
    root = tmp_path / "cgroup"
    group(root / "job" / "step", memory_max="max\n", memory_current="5000\n")
    group(
        root / "job",
        memory_max="1000000\n",
        memory_current="400000\n",
        memory_stat="anon 1\ninactive_file 100000\nactive_file 5\n",
    )
    assert store.free_ram() == 700_000
    group(root, memory_max="500000\n", memory_current="450000\n")
    assert store.free_ram() == 50_000
    group(root, memory_max="500000\n", memory_current="600000\n")
    assert store.free_ram() == 0


def test_the_older_kind_of_groups(tmp_path, monkeypatch):
    machine(tmp_path, monkeypatch, MEMINFO, "5:cpu,cpuacct:/a\n4:memory:/a\n0::/\n")
    group(
        tmp_path / "cgroup" / "memory" / "a",
        memory_limit_in_bytes="300000",
        memory_usage_in_bytes="200000",
        memory_stat="cache 7\ntotal_inactive_file 50000\n",
    )
    group(tmp_path / "cgroup" / "memory", memory_limit_in_bytes=str(2**63 - 4096), memory_usage_in_bytes="9000")
    assert store.free_ram() == 150_000


def test_a_system_without_such_files(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_MEMINFO", tmp_path / "absent")
    monkeypatch.setattr(store, "_OWN_GROUPS", tmp_path / "absent")
    assert store.free_ram() > 2**20
