"""The parts of the race: order of the runs, times of steps, figures and tables."""

import logging
import math
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule
from torch.utils.data import DataLoader

from fno_lightning.callbacks import RolloutEvaluation
from fno_lightning.data import GeneratedDataModule
from fno_lightning.modules import FNOModule
from tests.race import calibration
from tests.race.__main__ import found
from tests.race.archive import pack, unpack
from tests.race.calibration import costs, merged_calibration, seconds_per_step
from tests.race.clocks import POINTS, StepTimer, TrainingRecord
from tests.race.evaluation import evaluate, persistence
from tests.race.plan import Entrant, Run, best_rate, next_run, planned
from tests.race.race import Race, n_steps
from tests.race.report import report
from tests.race.session import HERE, read_json, session, write_json
from tests.race.summary import Summary, last_below
from tests.race.table import Line, main_table
from tests.race.training import RESULTS, last_checkpoint, validation_score
from tests.travelling_wave import TravellingWave

CPU = torch.device("cpu")
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
A, B = Entrant("a", (0.1, 0.2)), Entrant("b", (0.1, 0.2, 0.3))
STILL = Entrant("persistence", (0.0,), is_trained=False)


def all_runs(entrants, score, seeds=range(3)):
    """Make every run, with a given score of each, and return them in their order."""
    scores: dict[Run, float] = {}
    while (run := next_run(entrants, scores, seeds)) is not None:
        scores[run] = score(run)
    return list(scores)


def test_contestants_take_turns_at_every_rate_and_then_at_every_seed():
    runs = all_runs([A, STILL, B], lambda run: run.rate)
    assert [(run.contestant, run.rate, run.seed) for run in runs] == [
        *[("a", 0.1, 0), ("persistence", 0.0, 0), ("b", 0.1, 0)],
        *[("a", 0.2, 0), ("b", 0.2, 0)],
        *[("b", 0.3, 0)],
        *[("a", 0.1, 1), ("b", 0.1, 1)],
        *[("a", 0.1, 2), ("b", 0.1, 2)],
    ]


def test_the_other_seeds_have_the_rate_with_the_smallest_error():
    runs = all_runs([A, B], lambda run: abs(run.rate - 0.2))
    assert {(run.contestant, run.rate) for run in runs if run.seed > 0} == {("a", 0.2), ("b", 0.2)}


def test_the_best_rate_is_known_once_all_have_ended():
    scores = {Run("a", 0.1, 0): 1.0}
    assert best_rate(A, scores, 0) is None
    assert best_rate(A, {**scores, Run("a", 0.2, 0): math.inf}, 0) == 0.1


def test_a_contestant_that_fails_at_every_rate_has_no_other_seeds():
    runs = all_runs([A, B], lambda run: math.inf if run.contestant == "a" else 1.0)
    assert [run for run in runs if run.contestant == "a" and run.seed > 0] == []
    assert [run.seed for run in runs if run.contestant == "b" and run.seed > 0] == [1, 2]


def test_runs_that_are_done_are_not_planned_again():
    done = {Run("a", 0.1, 0): 1.0, Run("b", 0.1, 0): 1.0}
    assert next_run([A, B], done, range(3)) == Run("a", 0.2, 0)
    assert len(planned([A, B], done, range(3))) == 5


def test_load_that_meets_all_contestants_does_not_change_their_costs():
    unloaded, load = {"a": [2.0, 2.0, 2.0], "b": [3.0, 3.0, 3.0]}, [1.0, 5.0, 2.0]
    loaded = {
        name: [time * factor for time, factor in zip(times, load, strict=True)] for name, times in unloaded.items()
    }
    assert costs(loaded, "a") == costs(unloaded, "a") == {"a": 1.0, "b": 1.5}


def test_a_contestant_that_comes_later_is_measured_by_the_speed_of_the_first_calibration():
    first = merged_calibration({}, {"a": [4.0, 2.0], "b": [6.0, 3.0]}, "a", {})
    assert [seconds_per_step(first, name) for name in "ab"] == [2.0, 3.0]
    later = merged_calibration(first, {"a": [20.0], "c": [5.0]}, "a", {"d": "no such package"})
    assert [seconds_per_step(later, name) for name in "abc"] == [2.0, 3.0, 0.5]
    assert later["errors"] == {"d": "no such package"}


def test_the_nominal_speed_may_be_given():
    given = merged_calibration({}, {"a": [4.0, 2.0], "b": [6.0, 3.0]}, "a", {}, nominal=1.0)
    assert [seconds_per_step(given, name) for name in "ab"] == [1.0, 1.5]


def test_the_last_validation_is_at_the_end_of_a_training():
    assert n_steps(budget=100, seconds=0.3, n_validations=6) == 330
    assert n_steps(budget=1, seconds=10, n_validations=6) == 6


class Counting(LightningModule):
    """Remembers the number of finished steps that each training step sees."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.steps: list[int] = []

    def training_step(self, batch, batch_idx):
        self.steps.append(self.trainer.global_step)
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_steps_are_timed_at_several_points_of_the_progress(make_trainer):
    module, timer = Counting(), StepTimer(seconds=0.0, n_steps=2, offset=7)
    make_trainer(timer, max_epochs=-1, max_steps=1000).fit(module, DataLoader(torch.ones(4, 1)))
    assert module.steps == [int(1000 * point) + 7 + i for point in POINTS for i in range(3)]
    assert len(timer.seconds_per_step) == len(POINTS)
    assert timer.mean > 0


def test_the_record_of_a_training_goes_on_from_its_checkpoint():
    record, resumed = TrainingRecord(), TrainingRecord()
    record.seconds, record.validations = 3.0, [{"step": 5, "val/vrmse": 1.0}]
    resumed.load_state_dict(record.state_dict())
    assert (resumed.seconds, resumed.validations) == (record.seconds, record.validations)


def test_the_score_is_the_smallest_sum_in_one_validation():
    window = "val/rollout/vrmse_6-12"
    errors = [(0.1, math.inf), (0.5, 0.25), (0.25, 1.0)]
    assert validation_score([{"val/vrmse": one, window: other} for one, other in errors]) == 0.75
    assert validation_score([{"val/vrmse": 0.1, window: math.nan}]) == math.inf


def test_a_checkpoint_that_was_cut_short_is_not_resumed_from(tmp_path):
    assert last_checkpoint(tmp_path) is None
    path = tmp_path / "checkpoints" / "last.ckpt"
    path.parent.mkdir()
    torch.save({"state_dict": {}}, path)
    assert last_checkpoint(tmp_path) == path
    path.write_bytes(path.read_bytes()[:100])
    assert last_checkpoint(tmp_path) is None


def test_errors_are_those_of_the_package(tmp_path, make_trainer):
    data = GeneratedDataModule(
        TravellingWave(n_frames=36), str(tmp_path), n_train=1, n_steps_input=2, batch_size=4, source="simulate"
    )
    module = FNOModule(spec=data.spec, n_steps_input=2, n_modes=[4], hidden_channels=8, n_layers=1)
    rollouts = RolloutEvaluation(n_pictures=0, animation=False)
    trainer = make_trainer(rollouts, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    logged = trainer.callback_metrics

    summary = Summary(evaluate(lambda batch, n: module.forecast(batch, n_steps=n), data, module, CPU))
    assert summary.one_step == pytest.approx(float(logged["test/vrmse"]), rel=1e-5)
    assert summary.window((6, 12)) == pytest.approx(float(logged["test/rollout/vrmse_6-12"]), rel=1e-5)
    assert summary.window_by_field((13, 30)) == pytest.approx(
        [float(logged[f"test/rollout/vrmse_13-30/{name}"]) for name in data.spec.fields], rel=1e-5
    )
    still = Summary(evaluate(persistence, data, module, CPU))
    assert still.window((6, 12)) == pytest.approx(float(logged["test/rollout/persistence/vrmse_6-12"]), rel=1e-5)
    by_speed = [float(still.by_parameter((6, 12))[i]) for i in range(2)]
    assert sum(by_speed) / 2 == pytest.approx(still.window((6, 12)))
    assert still.by_parameter(None)[0] < still.by_parameter(None)[1]  # the second wave is twice as fast
    assert still.spectrum_ratio(12) == pytest.approx(1.0, rel=1e-3)  # a travelling wave keeps its spectrum
    assert still.smoothed == []


def evaluation(errors, power=(1.0, 1.0, 1.0, 1.0)):
    """Return an evaluation of two trajectories of 30 steps with errors and spectra that do not change."""
    trajectories = [{"scalars": [float(i)], "errors": [[error, error]] * 30} for i, error in enumerate(errors)]
    one_step = [{"scalars": [float(i)], "n": 1 + i, "errors": [error, 0.0]} for i, error in enumerate(errors)]
    return {
        "fields": ["density", "pressure"],
        "varying": [True, True],
        "scalars": ["tcool"],
        "wavenumber": [1.0, 2.0, 3.0, 4.0],
        "spectrum_steps": [12, 30],
        "power": [[[1.0] * 4] * 2] * 2,
        "predicted_power": [[[1.0] * 4, list(power)]] * 2,
        "one_step": one_step,
        "trajectories": trajectories,
    }


def test_one_step_errors_count_every_window():
    assert Summary(evaluation([0.3, 0.6])).one_step == pytest.approx((0.3 + 2 * 0.6) / 3 / 2)


def test_a_forecast_is_valid_until_its_error_exceeds_one():
    assert Summary(evaluation([0.5, 0.9])).valid_time == 30
    assert Summary(evaluation([0.5, 2.0])).valid_time == (30 + 1) / 2
    rising = evaluation([0.5])
    rising["trajectories"][0]["errors"][11] = [1.0, 1.5]
    assert Summary(rising).valid_time == 12
    rising["trajectories"][0]["errors"][3] = [math.inf, math.inf]
    assert Summary(rising).valid_time == 4


def test_a_forecast_without_small_scales_is_named():
    summary = Summary(evaluation([0.5], power=(1.0, 0.5, 0.1, 3.0)))
    assert summary.smoothed == ["pressure"]
    assert summary.spectrum_range(30) == pytest.approx((0.5, 1.0))  # the lower half of four shells
    assert Summary(evaluation([0.5], power=(1.0, 0.9, 0.0, 0.0))).smoothed == []


def test_the_last_step_below_another_curve_counts_from_the_first():
    other = torch.ones(3).numpy()
    assert last_below(0.5 * other, other) == 3
    assert last_below(torch.tensor([0.5, 1.5, 0.5]).numpy(), other) == 1
    assert last_below(torch.tensor([math.nan, 0.5, 0.5]).numpy(), other) == 0


def results(contestant, error, seed=0, rate=0.1):
    run = {"contestant": contestant, "rate": rate, "seed": seed, "seconds": 1.0, "environment": ENVIRONMENT}
    if contestant == "persistence":
        return {**run, "rate": 0.0, "score": 0.0, "checkpoints": {"": evaluation([error, error])}}
    both = dict.fromkeys(("rollout", "next step"), evaluation([error, error]))
    sizes = {"batch_size": 8, "seconds_per_step": 0.5, "parameters": 2_000_000, "memory": 2**30, "steps": 60}
    return {**run, **sizes, "score": error, "checkpoints": both}


def test_the_table_shows_mean_and_spread_over_the_seeds():
    lines = [
        Line("persistence", [results("persistence", 0.8)], "rollout"),
        Line("a", [results("a", error, seed) for seed, error in enumerate((0.4, 0.5, 0.9))], "rollout"),
    ]
    _, _, still, own = main_table(lines).splitlines()
    assert [cell.strip() for cell in still.split("|")[1:6]] == ["persistence", "0.400", "0.800", "0.800", "30.0"]
    cells = [cell.strip() for cell in own.split("|")[1:-1]]
    assert cells[:4] == ["a", "0.300 ± 0.132", "0.600 ± 0.265", "0.600 ± 0.265"]
    assert cells[5] == "30 30 0"
    assert cells[-6:] == ["16", "2.00 M", "1.00 GiB", "0.1", "60", "3"]


@dataclass(frozen=True)
class Pretended(Race):
    """A race whose runs have given results at once; the process is killed in the middle."""

    errors: dict = field(default_factory=dict)
    made: list = field(default_factory=list)
    ends_after: float = math.inf

    def start(self, run, *, is_trained):
        if len(self.made) >= self.ends_after:
            raise KeyboardInterrupt
        self.made.append(run)
        error = self.errors[run.contestant]
        settings = {"contestant": run.contestant, "rate": run.rate, "seed": run.seed}
        write_json(self.folder / run.folder / "run.json", settings)
        if error is None:
            write_json(self.folder / run.folder / "error.json", {"error": "out of memory", "code": 1})
        else:
            write_json(self.folder / run.folder / RESULTS, results(run.contestant, error, run.seed, run.rate))
        return subprocess.Popen([sys.executable, "-c", "pass"])

    def record(self, run, code):
        pass


@pytest.fixture
def race(tmp_path):
    """Make a pretended race of three contestants, one of which fails."""
    errors = {"a": 0.4, "b": None, "persistence": 0.8}
    files = []
    for name in errors:
        files.append(tmp_path / f"{name}.yaml")
        own = "{is_trained: false}" if name == "persistence" else "{learning_rates: [0.1, 0.2]}"
        files[-1].write_text(f"race: {own}\n")
    set_file = tmp_path / "waves.yaml"
    set_file.write_text("base: defaults\n")

    def make(**options):
        race = Pretended(tmp_path / "race", tuple(files), set_file, tmp_path, errors=errors, made=[], **options)
        measured = merged_calibration({}, {"a": [1.0], "b": [1.0]}, "a", {})
        write_json(race.folder / calibration.FILE, measured)
        return race

    return make


def test_a_race_that_was_killed_goes_on_where_it_was(race):
    killed = race(ends_after=2)
    with pytest.raises(KeyboardInterrupt):
        killed.run(killed.prepare())
    again = race()
    again.run(again.prepare())
    assert [(run.contestant, run.rate, run.seed) for run in killed.made + again.made] == [
        *[("a", 0.1, 0), ("b", 0.1, 0), ("persistence", 0.0, 0)],
        *[("a", 0.2, 0), ("b", 0.2, 0)],
        *[("a", 0.1, 1), ("a", 0.1, 2)],
    ]
    done = race()
    done.run(done.prepare())
    assert done.made == []


def test_several_runs_at_a_time_are_the_same_runs(race):
    several = race(jobs=3)
    several.run(several.prepare())
    alone = race()
    assert {(run.contestant, run.rate, run.seed) for run in several.made} == {
        *[(name, rate, 0) for name in ("a", "b") for rate in (0.1, 0.2)],
        *[("persistence", 0.0, 0), ("a", 0.1, 1), ("a", 0.1, 2)],
    }
    assert len(several.made) == 7
    alone.run(alone.prepare())
    assert alone.made == []


def test_runs_that_failed_are_made_again_when_asked_to(race):
    first = race()
    first.run(first.prepare())
    retried = race()
    retried.forget_failures()
    retried.run(retried.prepare())
    assert {run.contestant for run in retried.made} == {"b"}


@pytest.mark.long
def test_the_report_shows_the_table_the_pictures_and_what_failed(race):
    one = race()
    entrants = one.prepare()
    one.run(entrants)
    text = report(one, entrants)
    assert "7 of 7 runs" in text
    assert "failed: b, learning rate 0.1, seed 0: out of memory" in text
    assert text.index("| persistence | 0.400 | 0.800") < text.index("| a | 0.200 | 0.400")
    assert (one.folder / "race.md").read_text() == text
    assert {path.stem for path in one.folder.glob("*.png")} == {
        f"{picture}_{checkpoint}"
        for picture in ("errors", "parameters", "spectra")
        for checkpoint in ("rollout", "next_step")
    }


def test_a_folder_keeps_its_settings(race):
    first = race()
    first.run(first.prepare())
    with pytest.raises(ValueError, match=r"holds a race whose budget is 300\.0, not 60: choose another folder"):
        race(budget=60).prepare()
    first.contestants[0].write_text("race: {learning_rates: [0.1, 0.2]}\ntrainer: {gradient_clip_val: 1}\n")
    with pytest.raises(ValueError, match=r"a\.yaml has changed since its part in .*: give it another name"):
        race().prepare()


def test_a_contestant_that_has_changed_before_its_first_run_is_measured_again(race):
    race().prepare()
    one = race()
    one.contestants[1].write_text("race: {learning_rates: [0.1, 0.2]}\ntrainer: {gradient_clip_val: 1}\n")
    one.prepare()
    assert read_json(one.folder / calibration.FILE)["costs"] == {"a": 1.0}


def test_the_state_shows_all_contestants_so_far(race):
    one = race()
    one.prepare()
    assert [entrant.name for entrant in one.entrants] == ["a", "b", "persistence"]
    fewer = replace(one, contestants=one.contestants[:1])
    assert [entrant.name for entrant in fewer.prepare()] == ["a"]
    assert fewer.entrants == one.entrants
    assert "0 of" in report(fewer, fewer.entrants)


def test_given_learning_rates_are_those_of_all_that_are_trained(race):
    one = race(rates=[0.3])
    assert [entrant.rates for entrant in one.prepare()] == [(0.3,), (0.3,), (0.0,)]


def test_unknown_contestants_and_entries_are_refused(race):
    with pytest.raises(ValueError, match=r"there is no nobody, neither a file nor in .*, which has .*cnextunet"):
        found("nobody", "contestants")
    one = race()
    one.contestants[0].write_text("race: {rates: [0.1]}\n")
    with pytest.raises(ValueError, match=r"a\.yaml: race has the entries \['rates'\]"):
        one.prepare()


NAMES = sorted(path.stem for path in (HERE / "contestants").glob("*.yaml"))


@pytest.mark.filterwarnings("ignore:Importing from timm.models.layers is deprecated")
@pytest.mark.parametrize("name", NAMES)
def test_every_contestant_takes_a_step(name, tmp_path, caplog):
    """On a small shear flow."""
    caplog.set_level(logging.ERROR)
    if "unet" in name:
        pytest.importorskip("timm")
    small = tmp_path / "small.yaml"
    small.write_text(
        "base: defaults\n"
        "data: {class_path: fno_lightning.data.GeneratedDataModule, init_args: {batch_size: 2, n_train: 1,\n"
        f"  base_path: {tmp_path}, n_steps_input: 2, pde: {{class_path: tests.travelling_wave.TravellingWave,\n"
        "  init_args: {grid: [32, 32], speeds: [0.5], n_frames: 40}}}}\n"
    )
    race = Race(tmp_path / "race", (HERE / "contestants" / f"{name}.yaml",), small, tmp_path)
    (entrant,) = race.prepare()
    if not entrant.is_trained:
        return
    files = (small, HERE / "training.yaml", race.folder / "contestants" / f"{name}.yaml", HERE / "calibration.yaml")
    own = session(*files, options=["--trainer.max_steps=1"])
    own.trainer.fit(own.model, datamodule=own.datamodule)
    assert own.trainer.global_step == 1


def test_the_sets_are_configurations(tmp_path):
    for path in (HERE / "sets").glob("*.yaml"):
        race = Race(tmp_path / path.stem, (), path, Path("data"))
        race.prepare()
        data = session(race.folder / "set.yaml", HERE / "evaluation.yaml", race.folder / "options.yaml").datamodule
        assert str(data.base_path) == str(Path("data").absolute())


def test_a_race_travels_as_one_file(tmp_path):
    folder = tmp_path / "race"
    write_json(folder / "race.json", {"set": {"data": 1}, "entrants": {}})
    write_json(folder / "calibration.json", {"seconds": 0.123456789})
    write_json(folder / "runs" / "fno" / "lr_0.1_seed_0" / "results.json", {"score": 1 / 3, "checkpoints": {}})
    pack(folder, tmp_path / "race.json")
    unpack(tmp_path / "race.json", tmp_path / "again")
    assert read_json(tmp_path / "again" / "runs" / "fno" / "lr_0.1_seed_0" / "results.json")["score"] == 0.33333
    assert read_json(tmp_path / "again" / "calibration.json") == {"seconds": 0.12346}
    write_json(tmp_path / "other" / "race.json", {"set": {"data": 2}})
    with pytest.raises(ValueError, match="holds a race of another set"):
        unpack(tmp_path / "race.json", tmp_path / "other")
    with pytest.raises(ValueError, match="there is no race in"):
        pack(tmp_path / "nothing", tmp_path / "race.json")
