import json

import torch
from lightning.pytorch.profilers import PyTorchProfiler

from fno_lightning.callbacks import TraceReport, trace_report
from tests.callbacks.waves import WaveData, make_module


def test_says_where_the_traces_are(make_trainer, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(trace_report, "rank_zero_info", said.append)
    data = WaveData()
    schedule = torch.profiler.schedule(wait=0, warmup=1, active=1)
    profiler = PyTorchProfiler(schedule=schedule, record_module_names=False)
    trainer = make_trainer(TraceReport(), profiler=profiler, limit_val_batches=0)
    trainer.fit(make_module(data), datamodule=data)
    (trace,) = (tmp_path / "log" / "version_0").glob("*.pt.trace.json")
    assert len(said) == 1
    assert str(trace) in said[0]
    assert any("aten::linear" in event.get("name", "") for event in json.loads(trace.read_text())["traceEvents"])
