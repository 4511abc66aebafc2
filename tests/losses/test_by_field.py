import pytest
import torch

from fno_lightning.field_spec import FieldSpec
from fno_lightning.losses import MSE, RMSE, VRMSE, ByField, RelativeL2, Spectrum


@pytest.fixture
def fields():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 2, 3, 8, 6, generator=generator, dtype=torch.float64) for _ in range(2)]


def test_each_field_has_its_own_loss(fields):
    prediction, target = fields
    loss = ByField({"b": VRMSE(), "c": Spectrum()}, default=MSE(), weights={"a": 3.0})
    loss.bind(FieldSpec("waves", ("a", "b", "c"), (8, 8), boundaries=(("periodic", "periodic"), ("wall", "wall"))))
    parts = [MSE(), VRMSE(), Spectrum(periodic=[True, False])]
    expected = sum(
        weight * part(prediction[:, :, i : i + 1], target[:, :, i : i + 1])
        for i, (weight, part) in enumerate(zip([0.6, 0.2, 0.2], parts, strict=True))
    )
    torch.testing.assert_close(loss(prediction, target), expected)


def test_one_loss_for_all_fields_is_that_loss(fields):
    for part in (MSE(), RMSE()):
        loss = ByField(default=part)
        loss.bind(FieldSpec("waves", ("a", "b", "c"), (8, 8)))
        torch.testing.assert_close(loss(*fields), part(*fields))


def test_names_that_do_not_match_are_refused(fields):
    with pytest.raises(ValueError, match=r"losses name the fields \['d'\], but the data have \['a', 'b'\]"):
        ByField({"d": MSE()}, default=MSE()).bind(FieldSpec("waves", ("a", "b"), (8,)))
    with pytest.raises(ValueError, match=r"the fields \['b'\] have no loss: name one for each"):
        ByField({"a": MSE()}).bind(FieldSpec("waves", ("a", "b"), (8,)))
    with pytest.raises(ValueError, match="a default or both, got neither"):
        ByField()
    with pytest.raises(ValueError, match=r"in the same units, got normalized \(MSE\), .* \(RelativeL2\)"):
        ByField({"a": MSE()}, default=RelativeL2(units="physical"))
    with pytest.raises(ValueError, match=r"call bind\(spec\) first"):
        ByField(default=MSE())(*fields)
