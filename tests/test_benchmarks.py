"""Harness and rows of the benchmarks, without timings."""

import json

import jax
import pytest
import torch

from fno_lightning.models import FNO
from tests.benchmarks import checks, patching
from tests.benchmarks.checks import DifferentResultError, require_close, require_equal_counts, require_falling
from tests.benchmarks.harness import (
    Benchmark,
    Contestant,
    Measurement,
    Row,
    Series,
    Settings,
    interleave,
    paired_ratios,
    quartiles,
    times_as_fast,
)
from tests.benchmarks.jax_fno import mean_squared_error, parameter_count, parameters_of
from tests.benchmarks.report import line, measured, put_between, read_json
from tests.benchmarks.rows import cost_curves
from tests.benchmarks.rows.memory import peak_bytes
from tests.benchmarks.suite import CPU, GPU, attempt, run

ENVIRONMENT = {
    "date": "now",
    "commit": "none",
    "cpu": "a processor",
    "cores": 2,
    "threads": 1,
    "cpu_capability": "DEFAULT",
    "python": "3",
    "versions": {},
}
ROW = Row("speed", "ours against theirs", 2)


def benchmark_of(measurement, row=ROW, **options):
    return Benchmark((row,), lambda settings: {row.name: measurement}, **options)


def test_contestants_take_turns_and_slow_ones_are_run_once():
    order = []

    def contestant(name, duration):
        return lambda: order.append(name) or duration

    series = interleave(
        {
            "a": Contestant(contestant("a", 1.0)),
            "b": Contestant(contestant("b", 1.5), rival="a"),
            "slow": Contestant(contestant("slow", 2.5), rival="a", warm_up=2),
        },
        rounds=range(2),
        scale=1e3,
        unit="ms",
    )
    assert order == ["a", "b", "slow", "slow", "a", "b", "slow", "a", "b"]
    assert series["a"] == Series("a", [1000.0, 1000.0], "ms")
    assert series["slow"].values == [2500.0]


def test_rounds_end_at_the_deadline_but_for_the_first():
    assert list(Settings().rounds(5)) == [0, 1, 2, 3, 4]
    assert list(Settings(quick=True).rounds(7)) == [0, 1, 2]
    assert list(Settings(deadline=0).rounds(5)) == [0]


def test_ratio_is_the_median_of_ratios_of_the_same_round():
    ours, peer = Series("ours", [1.0, 10.0, 2.0]), Series("peer", [3.0, 20.0, 8.0])
    assert paired_ratios(peer, ours) == [3.0, 2.0, 4.0]
    assert Measurement(paired_ratios(peer, ours), ours, peer).ratio == 3.0


def test_the_fastest_of_each_side_is_compared():
    series = {
        name: Series(name, values)
        for name, values in {"eager": [4.0, 4.0], "compiled": [2.0, 2.0], "x": [9.0], "y": [6.0, 7.0]}.items()
    }
    measurement = times_as_fast(series, ["eager", "compiled"], ["x", "y"])
    assert (measurement.ours.contestant, measurement.peer.contestant) == ("compiled", "y")
    assert measurement.ratio == 3.25
    assert [one.contestant for one in measurement.others] == ["eager", "x"]


def test_quartiles():
    assert quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 4.0)
    assert quartiles([7.0]) == (7.0, 7.0)


@pytest.mark.parametrize(
    ("bound", "ratio", "expected"),
    [("at least", 2.0, "ok"), ("at least", 1.99, "short"), ("at most", 2.0, "ok"), ("at most", 2.01, "short")],
)
def test_line_says_whether_the_target_is_reached(bound, ratio, expected):
    row = Row("speed", "", 2, bound)
    record = measured(row, Measurement([ratio], Series("ours", [1.0])), ENVIRONMENT)
    assert line(record) == f"BENCH speed {ratio:.3g} 2 {expected}"


def test_missing_peer_and_crash_are_reported_and_do_not_stop_the_others(tmp_path, caplog):
    def crash(settings):
        raise DifferentResultError("no match\nand more")

    caplog.set_level("INFO", logger="tests.benchmarks")
    suite = [
        benchmark_of(None, Row("peerless", "", 1), peers=("a_module_that_nobody_has",)),
        Benchmark((Row("broken", "", 1),), crash),
        benchmark_of(Measurement([3.0], Series("ours", [1.0]), Series("peer", [3.0]))),
        Benchmark((Row("omitted", "", 1),), lambda settings: {}),
    ]
    code = run(suite, Settings(tiny=True), ["peerless", "broken", "speed", "omitted"], tmp_path, "cpu", limit=60)
    assert code == 1
    assert caplog.messages[-1].splitlines() == [
        "BENCH peerless - 1 skipped: a_module_that_nobody_has not installed",
        "BENCH broken - 1 failed: DifferentResultError: no match",
        "BENCH speed 3 2 ok",
        "BENCH omitted - 1 skipped: its peer cannot run here",
    ]
    rows = json.loads((tmp_path / "benchmarks-cpu.json").read_text())["rows"]
    assert list(rows) == ["peerless", "broken", "speed", "omitted"]
    assert rows["speed"]["ratio"] == 3.0


def test_rows_of_earlier_runs_stay_and_time_can_be_up(tmp_path):
    fast = Measurement([3.0], Series("ours", [1.0]))
    suite = [benchmark_of(fast), benchmark_of(fast, Row("other", "", 1))]
    assert run(suite, Settings(), ["speed"], tmp_path, "cpu", limit=60) == 0
    assert run(suite, Settings(), ["other"], tmp_path, "cpu", limit=-1) == 0
    rows = read_json(tmp_path / "benchmarks-cpu.json")["rows"]
    assert rows["speed"]["ratio"] == 3.0
    assert rows["other"]["failure"] == "skipped: the time was up"
    text = (tmp_path / "benchmarks.md").read_text()
    assert "| `speed` | ours against theirs | ours: 1 s |  | **3** (3 to 3) | ≥ 2 | ok |" in text


def test_text_around_the_markers_stays(tmp_path):
    path = tmp_path / "benchmarks.md"
    path.write_text("before\n<!-- cpu table -->\nold\n<!-- end of cpu table -->\nwhat bounds it\n")
    put_between(path, "cpu table", "new")
    put_between(path, "gpu table", "other")
    expected = "before\n<!-- cpu table -->\nnew\n<!-- end of cpu table -->\nwhat bounds it\n"
    assert path.read_text() == f"{expected}\n<!-- gpu table -->\nother\n<!-- end of gpu table -->\n"
    path.write_text("<!-- cpu table -->\n")
    with pytest.raises(ValueError, match="only one of the comments"):
        put_between(path, "cpu table", "new")


def test_checks_refuse_results_that_differ():
    require_falling({"ours": [2.0, 2.5, 1.0]})
    for losses in ([1.0, 1.0], [1.0, float("nan")], [float("inf"), 1.0]):
        with pytest.raises(DifferentResultError, match="does not fall"):
            require_falling({"ours": losses})
    assert require_equal_counts({"a": 1000, "b": 1000}) == "1,000 real parameters on every side"
    with pytest.raises(DifferentResultError, match="different numbers"):
        require_equal_counts({"a": 1, "b": 2})
    require_close({"a": 1.0, "b": 1.005}, 1e-2, "loss")
    for other in (1.02, float("nan")):
        with pytest.raises(DifferentResultError, match="loss differs"):
            require_close({"a": 1.0, "b": other}, 1e-2, "loss")


def test_peak_counts_what_is_alive_at_once():
    def work():
        first = torch.ones(1000)
        second = first + 1
        del first
        return second * 2

    assert 8000 <= peak_bytes(work, torch.device("cpu")) < 8100


def test_names_of_rows_are_unique():
    for suite in (CPU, GPU):
        names = [row.name for benchmark in suite for row in benchmark.rows]
        assert len(names) == len(set(names))


def test_jax_network_computes_what_ours_does():
    torch.manual_seed(0)
    network = FNO((6,), 2, 1, 8, 2)
    x, y = torch.randn(4, 2, 20), torch.randn(4, 1, 20)
    parameters = parameters_of(network.state_dict(), 2)
    loss = jax.jit(mean_squared_error)(parameters, x.mT.numpy(), y.mT.numpy())
    expected = torch.nn.functional.mse_loss(network(x), y)
    assert float(loss) == pytest.approx(expected.item(), rel=1e-5)
    assert parameter_count(parameters) == checks.parameter_count(network)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("benchmark", dict.fromkeys((*CPU, *GPU)), ids=lambda benchmark: benchmark.rows[0].name)
def test_every_row_is_measured_unless_its_peer_is_missing(benchmark):
    for record in attempt(benchmark, Settings(tiny=True), ENVIRONMENT).values():
        if not record.get("failure", "").startswith("skipped"):
            assert record.get("failure") is None
            assert record["ours"]["median"] > 0
            assert record["reached"] in (True, False)


@pytest.mark.filterwarnings("ignore")
def test_curves_of_the_cost_are_drawn(tmp_path):
    result = cost_curves.measure(Settings(tiny=True))
    cost_curves.draw(result, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 0


@pytest.mark.parametrize("kind", patching.WORK)
@pytest.mark.parametrize("task", ["training step", "forecast"])
def test_the_work_whose_memory_is_measured_in_patches_and_whole_runs(kind, task):
    patching.work(32, kind, task, width=16)
