import pytest
import torch

from fno_lightning.field_spec import FieldSpec
from fno_lightning.losses import MSE, VRMSE, Comparison, RelativeL2, Spectrum, WeightedSum


def test_a_sum_is_that_of_its_losses():
    prediction, target = (torch.randn(2, 1, 2, 8, 8) for _ in range(2))
    parts = [VRMSE()(prediction, target), Spectrum()(prediction, target)]
    torch.testing.assert_close(WeightedSum([VRMSE(), Spectrum()])(prediction, target), parts[0] + parts[1])
    found = WeightedSum([VRMSE(), Spectrum()], [2.0, 0.1])(prediction, target)
    torch.testing.assert_close(found, 2 * parts[0] + 0.1 * parts[1])


def test_every_part_of_a_sum_learns_the_fields():
    loss = WeightedSum([MSE(weights={"b": 0.0}), Spectrum(weights={"b": 3.0})])
    loss.bind(FieldSpec("waves", ("a", "b"), (8,)))
    assert [part.weight.tolist() for part in loss.losses] == [[2.0, 0.0], [0.5, 1.5]]
    with pytest.raises(ValueError, match=r"name the fields \['b'\], but the data have \['a'\]"):
        loss.bind(FieldSpec("waves", ("a",), (8,)))


def test_a_sum_hands_on_its_units():
    assert WeightedSum([MSE()]).units == "normalized"
    assert WeightedSum([RelativeL2(units="physical")]).units == RelativeL2(units="physical").units != "normalized"


def test_losses_of_different_units_are_compared_each_in_its_own():
    fields = {units: (torch.randn(2, 1, 1, 8), torch.randn(2, 1, 1, 8)) for units in ("normalized", "spreads")}
    comparison = Comparison(fields.__getitem__, *(torch.zeros(2, 0) for _ in range(3)))
    loss = WeightedSum([MSE(), RelativeL2(units="physical")], [2.0, 1.0])
    expected = 2 * MSE()(*fields["normalized"]) + RelativeL2()(*fields["spreads"])
    torch.testing.assert_close(loss.compare(comparison), expected)
    with pytest.raises(ValueError, match=r"without a module, losses of one sum compare fields in the same units"):
        loss(*fields["normalized"])


@pytest.mark.parametrize(
    ("losses", "factors", "message"),
    [
        ([], None, "needs losses and a factor for each, got 0 and 0"),
        ([MSE()], [1.0, 2.0], "needs losses and a factor for each, got 1 and 2"),
        ([MSE()], [-1.0], r"at least 0, got \[-1.0\]"),
    ],
)
def test_impossible_sums_are_refused(losses, factors, message):
    with pytest.raises(ValueError, match=message):
        WeightedSum(losses, factors)
