"""Callbacks and their metrics as a configuration file names them."""

import pytest
import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback

from fno_lightning.callbacks import OneStepErrors, RolloutEvaluation
from fno_lightning.metrics import VRMSE, SpectralError

METRICS = """
    vrmse: fno_lightning.metrics.VRMSE
    high:
      class_path: fno_lightning.metrics.SpectralError
      init_args: {band: high, normalized: false}
"""


@pytest.mark.parametrize("kind", [OneStepErrors, RolloutEvaluation])
def test_metrics_are_named_by_class_path(kind):
    parser = ArgumentParser()
    parser.add_argument("--callback", type=Callback)
    text = f"callback:\n  class_path: fno_lightning.callbacks.{kind.__name__}\n  init_args:\n   metrics:{METRICS}"
    callback = parser.instantiate_classes(parser.parse_object(yaml.safe_load(text))).callback
    vrmse, high = (factory(2) for factory in callback.metrics.values())
    assert isinstance(vrmse, VRMSE)
    assert isinstance(high, SpectralError)
    assert (high.n_dims, high.band, high.normalized) == (2, 2, False)


def test_windows_are_lists_of_two_numbers():
    parser = ArgumentParser()
    parser.add_class_arguments(RolloutEvaluation, "rollout")
    config = parser.parse_object({"rollout": {"windows": [[0, 3], [4, 8]]}})
    assert parser.instantiate_classes(config).rollout.windows == ((0, 3), (4, 8))
