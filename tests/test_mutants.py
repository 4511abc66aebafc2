"""A few mutants of each kind; ``python -m tests.mutants`` makes hundreds."""

import os
import signal

import jaxtyping
import pytest

from tests.mutants.__main__ import FAULTS, MUTANTS, result_of, template
from tests.mutants.outcome import outcome

N = 3


@pytest.fixture(autouse=True)
def _no_shape_checks():
    """Leave out the run-time checks of annotations, which users do not have."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template")
    template(folder)
    return folder


@pytest.mark.long
@pytest.mark.parametrize("kind", MUTANTS)
def test_damage_is_survived(kind, source):
    found = [result_of(kind, number, 0, source) for number in range(N)]
    assert not [(how, ended.text) for word, how, ended in found if word in FAULTS]


def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


def exhaust():
    return len(bytearray(1 << 40))


def stumble():
    return {}["nothing"]


@pytest.mark.parametrize(
    ("work", "kind"), [(crash, "crash"), (exhaust, "memory"), (stumble, "traceback"), (dict, "done")]
)
def test_faults_are_told_apart(work, kind):
    assert outcome(work, lambda error: False).kind == kind


def test_errors_for_users_are_refusals():
    assert outcome(stumble, lambda error: isinstance(error, KeyError)).kind == "refused"
