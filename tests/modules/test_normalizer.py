"""What a network sees: z-scores, the invariance under the source's norm, mixtures with statistics of their own."""

import dataclasses

import pytest
import torch

from fno_lightning.data import FieldSpec, Statistics
from fno_lightning.data.statistics import scalar_statistics
from fno_lightning.modules import FNOModule, Normalizer
from fno_lightning.modules.precision import require_precision
from fno_lightning.pdes.linear import Coefficients, solve_linear
from fno_lightning.pdes.solvers.periodic_box import PeriodicBox

SPEC = FieldSpec(
    dataset_name="poisson",
    fields=("solution",),
    grid_shape=(8, 8),
    constant_fields=("source",),
    scalars=("diffusion_xx", "diffusion_yy"),
)


def statistics(members=()):
    """Numbers without a pattern."""
    generator = torch.Generator().manual_seed(0)

    def numbers(n, *lead):
        return torch.rand(*lead, n, generator=generator) + 0.5

    lead = (len(members),) if members else ()
    time = {name: numbers(1, *lead) for name in ("mean", "std", "rms", "mean_delta", "std_delta", "rms_delta")}
    scalar = {"scalar_mean": numbers(2), "scalar_std": numbers(2)}
    return Statistics(**time, constant_mean=numbers(1, *lead), constant_std=numbers(1, *lead), **scalar)


def samples(n=3):
    generator = torch.Generator().manual_seed(1)
    source = torch.randn(n, 1, 8, 8, generator=generator)
    return source - source.mean(dim=(2, 3), keepdim=True), torch.rand(n, 2, generator=generator) + 0.1


def test_zscore_sees_fields_and_planes_of_scalars():
    normalizer, table = Normalizer(SPEC), statistics()
    normalizer.fit(table)
    source, scalars = samples()
    context = normalizer.context(source, scalars)
    assert context.shape == (3, 3, 8, 8)
    torch.testing.assert_close(context[:, :1], (source - table.constant_mean) / table.constant_std)
    planes = (scalars - table.scalar_mean) / table.scalar_std
    torch.testing.assert_close(context[:, 1:], planes[:, :, None, None].expand(3, 2, 8, 8))


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_source_norm_maps_all_pairs_with_one_solution_to_one_input(factor):
    normalizer = Normalizer(SPEC, "source_norm")
    normalizer.fit(statistics())
    source, scalars = samples()
    box = PeriodicBox((8, 8), (1.0, 1.0))

    def solve(source, scalars):
        zero = torch.zeros(3)
        return solve_linear(source[:, 0].double(), Coefficients(*scalars.T.double(), *(zero,) * 4), box)

    torch.testing.assert_close(solve(factor * source, factor * scalars), solve(source, scalars))
    context = normalizer.context(source, scalars)
    torch.testing.assert_close(normalizer.context(factor * source, factor * scalars), context)
    assert not torch.allclose(normalizer.context(source, factor * scalars), context)
    plain = Normalizer(SPEC)
    plain.fit(statistics())
    assert not torch.allclose(plain.context(factor * source, factor * scalars), plain.context(source, scalars))


def test_source_norm_gives_sources_the_spread_of_the_train_split():
    normalizer, table = Normalizer(SPEC, "source_norm"), statistics()
    normalizer.fit(table)
    source, scalars = samples()
    seen = normalizer.context(source, scalars)[:, :1] * table.constant_std + table.constant_mean
    rms = (table.constant_mean**2 + table.constant_std**2).sqrt()
    torch.testing.assert_close(seen.square().mean(dim=(1, 2, 3)).sqrt(), rms.expand(3))
    assert normalizer.context(torch.zeros_like(source), scalars).isfinite().all()


def test_members_have_statistics_of_their_own_and_share_those_of_the_scalars():
    spec = dataclasses.replace(SPEC, members=("poisson", "helmholtz"))
    mixed, table = Normalizer(spec), statistics(spec.members)
    mixed.fit(table)
    source, scalars = samples()
    member = torch.tensor([1, 0, 1])
    frames = torch.randn(3, 2, 1, 8, 8)
    assert mixed.context(source, scalars, member).shape == (3, 3, 8, 8)
    for row, number in enumerate(member.tolist()):
        own = Normalizer(SPEC)
        scalar = {"scalar_mean": table.scalar_mean, "scalar_std": table.scalar_std}
        parts = {name: value[number] for name, value in vars(table).items() if not name.startswith("scalar_")}
        own.fit(Statistics(**parts, **scalar))
        row = slice(row, row + 1)
        torch.testing.assert_close(mixed.context(source, scalars, member)[row], own.context(source[row], scalars[row]))
        torch.testing.assert_close(mixed.encode(frames, member)[row], own.encode(frames[row]))
        torch.testing.assert_close(mixed.as_changes(frames, member)[row], own.as_changes(frames[row]))
    torch.testing.assert_close(mixed.decode(mixed.encode(frames, member), member), frames)


def test_the_network_of_a_mixture_does_not_see_the_number_of_the_member():
    spec = dataclasses.replace(SPEC, members=("poisson", "helmholtz"))
    module = FNOModule(spec, (4, 4), 4, n_layers=1, n_steps_input=0)
    assert module.in_channels == 3
    source, scalars = samples()
    predictions = [
        module.forecast(constants=source, scalars=scalars, member=torch.full((3,), number)) for number in (0, 1)
    ]
    torch.testing.assert_close(*predictions)  # before fit all statistics are alike


def test_source_norm_needs_a_source():
    spec = dataclasses.replace(SPEC, constant_fields=("permeability",))
    with pytest.raises(ValueError, match=r"linear steady .* constant fields \['permeability'\] and n_steps_input=0"):
        FNOModule(spec, (4, 4), n_steps_input=0, normalization="source_norm")
    both = dataclasses.replace(SPEC, constant_fields=("source", "boundary_value"))
    with pytest.raises(ValueError, match="source_norm is for linear steady equations"):
        FNOModule(both, (4, 4), n_steps_input=0, normalization="source_norm")
    with pytest.raises(ValueError, match="n_steps_input=1"):
        FNOModule(SPEC, (4, 4), n_steps_input=1, normalization="source_norm")


def test_members_must_be_given():
    normalizer = Normalizer(dataclasses.replace(SPEC, members=("poisson",)))
    with pytest.raises(ValueError, match="those of a mixture: pass the number of each sample's data set as member"):
        normalizer.encode(torch.randn(3, 2, 1, 8, 8))


def spanning(values, **options):
    """A normaliser that is fitted to values of two scalars over the trajectories."""
    normalizer = Normalizer(SPEC, **options)
    normalizer.fit(dataclasses.replace(statistics(), **scalar_statistics(torch.tensor(values))))
    return normalizer


def test_a_scalar_that_spans_a_decade_enters_by_its_logarithm():
    cooling_times = [0.03, 0.3, 3.0]
    normalizer = spanning([cooling_times, [1.0, 2.0, 3.0]])
    assert normalizer.is_log.tolist() == [1, 0]
    source, scalars = torch.zeros(3, 1, 4, 4), torch.tensor([cooling_times, [1.0, 2.0, 3.0]]).T
    planes = normalizer.context(source, scalars)[:, 1:, 0, 0]
    expected = torch.tensor([-1.0, 0.0, 1.0]) * 1.5**0.5  # evenly spaced, of unit variance
    torch.testing.assert_close(planes, torch.stack((expected, expected), dim=1))
    linear = spanning([cooling_times, [1.0, 2.0, 3.0]], log_scalars=False)
    assert linear.is_log.tolist() == [0, 0]


@pytest.mark.parametrize("values", [[0.0, 1.0, 10.0], [-1.0, 1.0, 20.0], [1.0, 9.9, 5.0], [3.0, 3.0, 3.0]])
def test_other_scalars_enter_as_they_are(values):
    normalizer = spanning([values, [1.0, 2.0, 3.0]])
    assert normalizer.is_log.tolist() == [0, 0]
    torch.testing.assert_close(normalizer.scalars.mean[0], torch.tensor(values, dtype=torch.float64).mean())


def test_named_scalars_enter_by_their_logarithm_and_no_others():
    values = [[0.03, 0.3, 3.0], [1.0, 2.0, 3.0]]
    normalizer = spanning(values, log_scalars=["diffusion_yy"])
    assert normalizer.is_log.tolist() == [0, 1]
    planes = normalizer.context(torch.zeros(3, 1, 4, 4), torch.tensor(values).T)[:, 2, 0, 0]
    logarithms = torch.tensor(values[1]).log()
    torch.testing.assert_close(planes, (logarithms - logarithms.mean()) / logarithms.std(correction=0))
    assert spanning([[2.0, 2.0, 2.0], values[1]], log_scalars=["diffusion_xx"]).is_log.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([1.0, 2.0], {"log_scalars": ["omega"]}, r"log_scalars names \['omega'\], but the scalars of the data are \["),
        (
            [0.0, 2.0],
            {"log_scalars": ["diffusion_xx"]},
            r"log_scalars names \['diffusion_xx'\], which are not positive",
        ),
        (
            [1.0, 2.0],
            {"log_scalars": ["diffusion_xx"], "kind": "source_norm"},
            "with normalization=source_norm scalars",
        ),
    ],
)
def test_scalars_that_have_no_logarithm_are_refused(values, options, message):
    with pytest.raises(ValueError, match=message):
        spanning([values, [1.0, 2.0]], **options)


def test_source_norm_keeps_scalars_linear():
    assert spanning([[0.03, 0.3, 3.0], [1.0, 2.0, 3.0]], kind="source_norm").is_log.tolist() == [0, 0]


def test_statistics_without_logarithms_make_scalars_linear_again():
    normalizer = spanning([[0.03, 0.3, 3.0], [1.0, 2.0, 3.0]])
    normalizer.fit(statistics())
    assert normalizer.is_log.tolist() == [0, 0]


def test_a_small_scalar_is_not_lost_in_the_rounding_of_its_logarithm():
    """As 1e6 ± 4e6, bfloat16 would round the smallest value by more than itself; as a logarithm it does not."""
    normalizer = spanning([[1e-3, 1.0, 1e7], [1.0, 2.0, 3.0]])
    require_precision("bf16-true", normalizer, SPEC)
    with pytest.raises(ValueError, match=r"'diffusion_xx' .* whose logarithm is"):
        require_precision("16-true", normalizer, SPEC)


def test_a_forecast_refuses_a_scalar_without_a_logarithm():
    normalizer = spanning([[0.03, 0.3, 3.0], [1.0, 2.0, 3.0]])
    normalizer.require_positive(torch.tensor([[0.1, -5.0]]))
    with pytest.raises(ValueError, match=rf"the scalars \['{SPEC.scalars[0]}'\] enter by their logarithm"):
        normalizer.require_positive(torch.tensor([[0.1, 1.0], [0.0, 1.0]]))


def test_the_logarithm_travels_with_the_weights_and_older_weights_have_none():
    saved = spanning([[0.03, 0.3, 3.0], [1.0, 2.0, 3.0]]).state_dict()
    loaded = Normalizer(SPEC)
    loaded.load_state_dict(saved)
    assert loaded.is_log.tolist() == [1, 0]
    older = Normalizer(SPEC)
    older.load_state_dict({name: value for name, value in saved.items() if name != "is_log"})
    assert older.is_log.tolist() == [0, 0]
