"""Point clouds in the contract of batches: padding, weights, statistics, refusals."""

import pytest
import torch

from fno_lightning.data import MixedDataModule, PointCloud, PointCloudDataModule, point_positions, point_weight
from fno_lightning.field_spec import FieldSpec
from tests.points import SIZES, cloud, cloud_data, clouds


def test_a_ragged_batch_is_padded_with_points_that_weigh_nothing():
    data = cloud_data()
    batch = next(iter(data.val_dataloader()))
    weight = point_weight(batch.constants, data.spec)
    assert batch.target.shape == (4, 1, 1, max(SIZES))
    assert (weight > 0).sum(dim=1).tolist() == list(SIZES)
    positions = point_positions(batch.constants, data.spec)
    for row, sample in enumerate(data.clouds("valid")):
        n = len(sample.positions)
        torch.testing.assert_close(positions[row, :n], sample.positions)
        torch.testing.assert_close(batch.target[row, 0, 0, :n], sample.fields["height"])
        assert not batch.target[row, ..., n:].any()


def test_padding_to_the_longest_gives_every_batch_one_shape():
    data = cloud_data((5, 9, 7), batch_size=1, padding="longest")
    assert {batch.target.shape for batch in data.val_dataloader()} == {(1, 1, 1, 9)}


def test_statistics_are_those_of_points_by_weight():
    data = cloud_data()
    samples = data.clouds("train")
    values = torch.cat([sample.fields["height"] for sample in samples]).double()
    weight = torch.cat([sample.weight for sample in samples]).double()
    mean = (weight * values).sum() / weight.sum()
    std = ((weight * (values - mean) ** 2).sum() / weight.sum()).sqrt()
    torch.testing.assert_close(data.statistics.mean[0], mean)
    torch.testing.assert_close(data.statistics.std[0], std)


def test_a_point_of_weight_two_counts_as_two_points():
    sample = cloud(12, n_frames=3)
    twice = torch.cat([torch.arange(12), torch.arange(4)])
    weight = torch.ones(12)
    weight[:4] = 2
    once = PointCloud(sample.positions, sample.fields, weight=weight)
    repeated = PointCloud(sample.positions[twice], {n: v[:, twice] for n, v in sample.fields.items()})
    options = {"n_steps_input": 1, "time_step": 0.1}
    by_weight, by_number = (PointCloudDataModule([c], [c], [c], **options).statistics for c in (once, repeated))
    for name in ("mean", "std", "mean_delta", "std_delta"):
        torch.testing.assert_close(getattr(by_weight, name), getattr(by_number, name))
    torch.testing.assert_close(by_weight.constant_std[:2], by_number.constant_std[:2])


def test_trajectories_are_cut_into_windows():
    data = cloud_data(n_frames=5, n_steps_input=2, n_steps_output=2, time_step=0.1)
    assert len(data.dataset("train")) == 2 * len(SIZES)
    whole = next(iter(data.rollout_dataloader("test")))
    assert (whole.history.shape[1], whole.target.shape[1]) == (2, 3)
    second = data.dataset("train")[1]
    torch.testing.assert_close(second.history[1, 0], data.clouds("train")[0].fields["height"][2])


def test_a_specification_says_that_data_are_irregular_and_survives_a_checkpoint():
    spec = cloud_data().spec
    assert spec.is_irregular
    assert spec.grid_shape == (max(SIZES),)
    assert FieldSpec.from_dict(spec.to_dict()) == spec
    assert not FieldSpec("flow", ("u",), (8, 8)).is_irregular
    assert "positions" not in FieldSpec("flow", ("u",), (8, 8)).to_dict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"constant_fields": ("x", "y")}, "missing \\['point_weight'\\]"),
        ({"box": ((0.0, 1.0),)}, "box has 1 entries"),
        ({"grid_shape": (8, 8)}, "have one axis, the points"),
    ],
)
def test_an_impossible_specification_is_refused(changes, message):
    options = {"grid_shape": (8,), "constant_fields": ("x", "y", "point_weight"), "box": ((0.0, 1.0),) * 2}
    with pytest.raises(ValueError, match=message):
        FieldSpec("flow", ("u",), positions=("x", "y"), **options | changes)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"fields": {}}, "no values"),
        (
            {"fields": {"u": torch.tensor([1.0, float("nan"), 0.0])}},
            "'u' of the wing holds NaN or infinite values, 1",
        ),
        ({"positions": torch.full((3, 2), float("inf"))}, "'positions' of the wing holds NaN or infinite"),
        ({"positions": torch.zeros(3, 4)}, "expected \\(point, dim\\)"),
        ({"fields": {"u": torch.zeros(4)}}, "has the shape \\(4,\\), but 3 points"),
        ({"weight": torch.zeros(3)}, "not all 0"),
    ],
)
def test_an_unsound_cloud_is_refused_by_name(parts, message):
    with pytest.raises(ValueError, match=message):
        PointCloud(**{"positions": torch.rand(3, 2), "fields": {"u": torch.zeros(3)}, "name": "the wing"} | parts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_strides": [2]}, "for fields on a grid"),
        ({"augment": ["flip"]}, "for fields on a grid"),
        ({"n_steps_input": 1}, "time_step"),
        ({"padding": "none"}, "'batch' or 'longest'"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        cloud_data(**options)


def test_a_mixture_refuses_irregular_points():
    with pytest.raises(ValueError, match="the member 'a' has irregular points"):
        _ = MixedDataModule({"a": cloud_data(), "b": cloud_data()}).spec


def test_clouds_that_differ_in_names_or_are_too_short_are_refused():
    other = PointCloud(torch.rand(3, 2), {"depth": torch.zeros(3)}, {"source": torch.zeros(3)}, {"speed": 1.0})
    with pytest.raises(ValueError, match=r"has the fields \['depth'\], others have \['height'\]"):
        PointCloudDataModule([*clouds(), other], clouds(), clouds()).dataset("train")
    with pytest.raises(ValueError, match="cloud 0 has 2 frames, but n_steps_input=2 and n_steps_output=1 need 3"):
        cloud_data(n_frames=2, n_steps_input=2, time_step=0.1).dataset("train")
    with pytest.raises(ValueError, match="the split valid of 'point_clouds' has no samples"):
        PointCloudDataModule(clouds(), [], []).dataset("valid")
