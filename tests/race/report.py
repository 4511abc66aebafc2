"""The report of a race: what is done, tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.environment import summary as described
from tests.race import calibration
from tests.race.pictures import draw
from tests.race.plan import Entrant, Run, planned
from tests.race.race import Race
from tests.race.session import read_json
from tests.race.table import PERSISTENCE, TITLES, Line, tables
from tests.race.training import CHECKPOINTS

NOTE = """\
Errors are VRMSE on the test split, the mean over the fields; columns `6:12` and `13:30` are windows of lead time.
Figures are mean ± standard deviation over the seeds, at the best of the learning rates. `valid time` is the first step
with an error above 1, the mean over the trajectories (31: none). `below persistence to` is the last step up to which
the error is below persistence's at every step, one figure a seed. `spectrum` is the smallest and the largest ratio of
power to the truth's, of any field at any wavenumber up to half the resolved ones. `smoothed` names the fields that lack
more than a fifth of the power between a quarter and half of the resolved wavenumbers at step 12 or 30, and in how many
seeds: a window that is won so does not count. `samples/s` is the nominal speed of training, `memory` the largest
resident memory of the process."""


def report(race: Race, entrants: Sequence[Entrant]) -> str:
    """Return the state of the race and its tables; write them to ``race.md``, and draw the pictures beside it."""
    results = {_run_of(one): one for one in race.results()}
    scores = race.scores()
    plan = planned(race.running(entrants), scores, range(race.settings.get("seeds", race.seeds)))
    state = [f"{sum(run in scores for run in plan)} of {len(plan)} runs known so far are done."]
    state += [f"- {name} cannot take part: {error}" for name, error in _errors(race).items()]
    state += [f"- failed: {_run_of(one)}: {one['error']}" for one in race.failures()]
    parts = [f"# {race.settings.get('name', race.folder.name)}, {race.settings['budget']:g} s a run", "\n".join(state)]
    for checkpoint in CHECKPOINTS:
        if lines := _lines(entrants, results, scores, checkpoint):
            parts += [f"## {TITLES[checkpoint]}", tables(lines)]
            draw(lines, race.folder, checkpoint.replace(" ", "_"))
    if results:
        last = {one["environment"]["commit"]: described(one["environment"]) for one in results.values()}
        parts += [NOTE, *(f"Measured on {environment}." for environment in last.values())]
    text = "\n\n".join(parts) + "\n"
    (race.folder / "race.md").write_text(text)
    return text


def _lines(entrants: Sequence[Entrant], results: dict[Run, dict], scores: dict[Run, float], what: str) -> list[Line]:
    """Return the contestants with results, persistence first, the others from the best to the worst window."""
    lines = []
    for entrant in entrants:
        tried = {rate: scores[run] for rate in entrant.rates if (run := Run(entrant.name, rate, 0)) in results}
        if not tried:
            continue
        best = min(tried, key=lambda rate: tried[rate])
        own = [one for run, one in results.items() if (run.contestant, run.rate) == (entrant.name, best)]
        is_final = all(Run(entrant.name, rate, 0) in scores for rate in entrant.rates)
        lines.append(Line(entrant.name, own, what, is_final))
    return sorted(lines, key=lambda line: (line.name != PERSISTENCE, line.spread(lambda s: s.window((6, 12)))[0]))


def _run_of(record: dict) -> Run:
    return Run(record["contestant"], record["rate"], record["seed"])


def _errors(race: Race) -> dict[str, str]:
    errors: dict[str, str] = read_json(Path(race.folder) / calibration.FILE).get("errors", {})
    return errors
