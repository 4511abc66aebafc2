"""Trainings, errors and tables do not depend on the units and the offset of fields, constants and scalars."""

import itertools
import json
import math
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from fno_lightning.callbacks import ErrorTable, OneStepErrors, RolloutEvaluation
from fno_lightning.data import WellDataModule, write_well_file
from fno_lightning.metrics import STANDARD_METRICS, LogName
from fno_lightning.modules import FNOModule
from fno_lightning.pdes import Trajectories

METRICS = {name: STANDARD_METRICS[name] for name in ("vrmse", "nrmse", "rmse", "pearson", "spectral_high")}
"""Errors of every kind: by variance, by size, with a unit, a correlation, a power."""

WITH_UNIT = ("rmse",)
WITHOUT_OFFSET = ("loss", "vrmse", "pearson", "spectral_high", "diverged")
"""Errors that an offset of the fields does not change; those relative to their size become smaller."""


def write(folder, *, scale=1.0, shift=0.0, dtype=torch.float32, is_steady=False):
    """Write waves, or a steady problem; fields and scalars in units of ``scale``, constant fields of its inverse.

    Fields, and for waves constant fields and scalars too, have an offset of ``shift`` times their spread.
    """

    def in_units(values, unit, offset=shift):
        return (unit * (values + offset * values.std())).to(dtype)

    n_frames, offset = (1, 0.0) if is_steady else (8, shift)
    for number, split in enumerate(("train", "valid", "test")):
        generator = torch.Generator().manual_seed(number)
        phase = torch.rand(4, 1, 1, generator=generator, dtype=torch.float64) * 6
        position = torch.arange(16, dtype=torch.float64) * 2 * torch.pi / 16
        angle = position + phase - 0.3 * torch.arange(n_frames, dtype=torch.float64)[:, None]
        source = 1 + 0.3 * (2 * position + phase[:, 0]).sin()
        viscosity = torch.tensor([0.1, 0.2, 0.4, 0.3], dtype=torch.float64)
        write_well_file(
            folder / "waves" / "data" / split / "waves.hdf5",
            Trajectories(
                time=torch.arange(n_frames) * 0.1,
                coordinates={"x": torch.arange(16) / 16},
                boundaries={"x": ("periodic", "periodic")},
                scalars={"nu": in_units(viscosity, scale, offset)},
                scalar_fields={
                    "height": in_units(angle.sin() + 0.2 * (3 * angle).cos(), scale),
                    "flux": in_units(3e-3 * angle.cos(), scale),
                },
                constant_fields={"source": in_units(source, 1 / scale, offset)},
            ),
            dataset_name="waves",
        )


@pytest.fixture
def results(tmp_path, make_trainer):
    """Train on waves and test; return the errors that have no unit, by name, and the name of the best checkpoint."""

    runs = itertools.count()

    def make(*, precision="32-true", normalization="zscore", residual=False, **units):
        is_steady = normalization == "source_norm"
        folder = tmp_path / f"run_{next(runs)}"
        write(folder, is_steady=is_steady, **units)
        data = WellDataModule("waves", str(folder), n_steps_input=0 if is_steady else 2, batch_size=4)
        torch.manual_seed(0)
        options = {"normalization": normalization, "residual": residual, "n_steps_input": data.n_steps_input}
        module = FNOModule(data.spec, [6], 8, 1, **options)
        best = ModelCheckpoint(folder / "best", monitor="val/rollout/vrmse", filename="{epoch}")
        trainer = make_trainer(
            OneStepErrors(METRICS),
            RolloutEvaluation(windows=() if is_steady else ((0, 3),), n_pictures=0, metrics=METRICS),
            ErrorTable(),
            best,
            tensorboard=True,
            max_epochs=2,
            precision=precision,
            enable_checkpointing=True,
        )
        trainer.fit(module, data)
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        trainer.test(module, data, ckpt_path=best.best_model_path, verbose=False)
        table = json.loads((tmp_path / "log" / "version_0" / "errors.json").read_text())["errors"]
        logged |= {f"test/{name}": value for name, value in table.items()}
        errors = {name: v for name, v in logged.items() if _metric(name) not in WITH_UNIT}
        return errors, Path(best.best_model_path).name

    return make


def _metric(name):
    parsed = LogName.parse(name)
    return name.rpartition("/")[-1] if parsed is None else parsed.metric


def differences(found, expected):
    """Return the largest relative difference of the errors of two trainings."""
    assert found.keys() == expected.keys()
    assert all(math.isfinite(value) for value in expected.values())
    return max(abs(found[name] - expected[name]) / (abs(expected[name]) + 1e-3) for name in expected)


PRECISIONS = ["32-true", "64-true", "bf16-mixed", "bf16-true"]
KINDS = [("zscore", False), ("zscore", True), ("source_norm", False)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("precision", "normalization", "residual"),
    [*(("32-true", *kind) for kind in KINDS), *((precision, "zscore", True) for precision in PRECISIONS[1:])],
)
def test_powers_of_two_change_nothing(results, precision, normalization, residual):
    options = {"precision": precision, "normalization": normalization, "residual": residual}
    expected, best = results(**options)
    found, best_found = results(scale=2.0**100, **options)  # of fields and scalars; of constant fields 2^-100
    assert differences(found, expected) < 1e-12
    assert best_found == best


@pytest.mark.long
@pytest.mark.parametrize(("normalization", "residual"), KINDS)
@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed"])
def test_units_and_offsets_of_doubles_change_round_off_only(results, precision, normalization, residual):
    options = {"precision": precision, "normalization": normalization, "residual": residual, "dtype": torch.float64}
    expected, best = results(**options)
    for scale, shift in ((1e30, 0.0), (1e-30, 1e6)):
        found, best_found = results(scale=scale, shift=shift, **options)
        if shift:
            found, reference = (
                {name: value for name, value in errors.items() if _metric(name) in WITHOUT_OFFSET}
                for errors in (found, expected)
            )
        else:
            reference = expected
        assert differences(found, reference) < TOLERANCE[precision] + AMPLIFICATION * shift * 2.0**-53
        assert best_found == best


TOLERANCE = {"32-true": 1e-4, "64-true": 1e-9, "bf16-mixed": 1e-2}
"""Largest difference that round-off of the normalised fields grows to in two epochs."""

AMPLIFICATION = 1e4
"""Growth, in two epochs, of the rounding of fields that are stored with an offset."""


@pytest.mark.parametrize(
    ("precision", "units", "named"),
    [
        ("bf16-true", {"shift": 100.0}, "'height'.*rounding error"),
        ("16-true", {"shift": 1000.0}, "'height'.*rounding error"),
        ("16-true", {"scale": 1e6}, "'height'.*largest number is 6.55e[+]04"),
        ("16-true", {"scale": 1e-6}, "'height'.*smallest number"),
    ],
)
def test_precisions_that_cannot_hold_the_fields_are_refused(results, precision, units, named):
    with pytest.raises(ValueError, match=f"precision={precision} rounds the data .*{named}.*bf16-mixed"):
        results(precision=precision, **units)
