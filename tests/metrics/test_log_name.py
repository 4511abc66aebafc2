import pytest

from fno_lightning.metrics import LogName

NAMES = {
    "val/vrmse": LogName("val", "vrmse"),
    "val/vrmse/density": LogName("val", "vrmse", field="density"),
    "test/persistence/spectral_low/a/b": LogName("test", "spectral_low", forecaster="persistence", field="a/b"),
    "val/rollout/vrmse": LogName("val", "vrmse", group="rollout"),
    "val/rollout/mean/vrmse_6-12": LogName("val", "vrmse", "mean", "rollout", (6, 12)),
    "val/rollout/l_infinity_0-100/mean": LogName("val", "l_infinity", group="rollout", window=(0, 100), field="mean"),
    "test/resolution_64x48/nrmse/height": LogName("test", "nrmse", group="resolution_64x48", field="height"),
    "val/mean": LogName("val", "mean"),
    "val/loss/dataloader_idx_0": LogName("val", "loss", loader=0),
    "val/persistence/vrmse/a/b/dataloader_idx_12": LogName("val", "vrmse", "persistence", field="a/b", loader=12),
    "val/dataloader_idx_1": LogName("val", "dataloader_idx_1"),
    "val/vrmse/dataloader_idx_x": LogName("val", "vrmse", field="dataloader_idx_x"),
}


@pytest.mark.parametrize("text", NAMES)
def test_parsing_is_the_inverse_of_formatting(text):
    assert LogName.parse(text) == NAMES[text]
    assert str(NAMES[text]) == text


def test_windows_of_older_versions_are_read():
    assert LogName.parse("val/rollout/vrmse_6:12/height") == LogName.parse("val/rollout/vrmse_6-12/height")


@pytest.mark.parametrize(
    "text", ["", "val", "val/", "train/loss", "lr-AdamW", "val//vrmse", "throughput/samples_per_s"]
)
def test_other_names_are_no_errors(text):
    assert LogName.parse(text) is None


def test_targets_of_several_frames_have_names_of_their_own():
    name = LogName("val", "vrmse", field="density", loader=1)
    assert name.of_targets(1) == [(name, slice(1))]
    (first, of_next), (second, of_all) = name.of_targets(16)
    assert (first, of_next) == (name, slice(1))
    assert (str(second), of_all) == ("val/vrmse_0-16/density/dataloader_idx_1", slice(16))
    assert LogName.parse(str(second)) == second
