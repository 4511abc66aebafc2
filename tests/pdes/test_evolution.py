"""What equations in time share: refused unless finite, balanced and resolved; frames and batches."""

import dataclasses
import math
from typing import ClassVar

import pytest
import torch

from fno_lightning.pdes.evolution import Frame
from fno_lightning.pdes.inputs.random_fields import GaussianRandomField
from fno_lightning.pdes.pseudo_spectral import PseudoSpectralPDE
from fno_lightning.pdes.solvers.budget import Budget, BudgetAccount
from fno_lightning.pdes.solvers.periodic_box import PeriodicBox


@dataclasses.dataclass(frozen=True)
class Growth(PseudoSpectralPDE):
    """u' = ν u_xx + growth u²; its energy is announced to grow with ``announced`` instead."""

    dataset_name: ClassVar[str] = "growth"
    scalar_field_names: ClassVar[tuple[str, ...]] = ("height",)
    vector_field_names: ClassVar[tuple[str, ...]] = ("slope",)
    max_tail: ClassVar[float] = 0.1

    resolution: tuple[int, ...] = (32,)
    n_frames: int = 4
    frame_interval: float = 0.05
    precision: str = "float64"
    refinement: int = 1
    growth: float = 0.0
    announced: float = 0.0
    roughness: float = 0.0
    pause: float = 0.0

    @property
    def warm_up(self):
        return self.pause

    def box(self, device="cpu"):
        return PeriodicBox(self.simulated_resolution, (1.0,), dtype=self.dtype, device=device)

    def initial_state(self, seeds, box):
        field = GaussianRandomField(alpha=2.0, tau=5.0, sigma=25.0, lengths=(1.0,)).sample(seeds, box.coordinates)
        n = math.ceil(box.resolution[0] / 3) - 1
        return (field + self.roughness * torch.cos(2 * math.pi * n * box.coordinates[0]))[:, None]

    def linear(self, box, parameters):
        return 0.01 * box.laplacian

    def nonlinear(self, box, parameters):
        return lambda u: self.growth * box.dealiasing * box.transform(box.inverse(box.dealiasing * u).square())

    def longest_step(self, parameters):
        return 0.0005

    def frame(self, spectrum, box, parameters):
        slope = box.inverse(box.derivatives[0] * spectrum)[:, 0, :, None]
        return Frame({"height": box.inverse(spectrum)[:, 0]}, {"slope": slope})

    def budget(self, spectrum, box, parameters):
        u = spectrum[:, 0]
        source = self.announced * box.transform(box.inverse(box.dealiasing * u).square())
        rate = box.inner(u, self.linear(box, parameters) * u + box.dealiasing * source)
        return Budget(box.inner(u, u) / 2, rate)


def heights(pde, seeds=(3, 7)):
    return pde.simulate({}, list(seeds)).scalar_fields["height"]


def test_frames_are_those_of_the_exact_solution():
    pde = Growth()
    trajectories = pde.simulate({}, [3, 7])
    box = pde.box()
    start = box.transform(pde.initial_state([3, 7], box)[:, 0])
    for number in range(4):
        exact = torch.exp(0.01 * box.laplacian * 0.05 * number) * start
        torch.testing.assert_close(trajectories.scalar_fields["height"][:, number], box.inverse(exact).float())
        slope = box.inverse(box.derivatives[0] * exact).float()
        torch.testing.assert_close(trajectories.vector_fields["slope"][:, number, :, 0], slope, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(trajectories.time, 0.05 * torch.arange(4))


def test_the_schema_announces_what_is_simulated():
    pde = Growth(refinement=2)
    schema, trajectories = pde.schema, pde.simulate({}, [3])
    torch.testing.assert_close(schema.coordinates, trajectories.coordinates)
    for fields in ("scalar_fields", "vector_fields"):
        announced, simulated = getattr(schema, fields), getattr(trajectories, fields)
        shapes = [{name: (field.shape, field.dtype) for name, field in f.items()} for f in (announced, simulated)]
        assert shapes[0] == shapes[1]


def test_refinement_stores_the_points_of_the_fine_grid():
    torch.testing.assert_close(heights(Growth(refinement=2)), heights(Growth(resolution=(64,)))[..., ::2])


def test_the_warm_up_comes_before_the_first_frame():
    torch.testing.assert_close(heights(Growth(pause=0.1))[:, :2], heights(Growth())[:, 2:])


def test_a_true_budget_passes_and_a_wrong_one_is_refused():
    heights(Growth(growth=0.5, announced=0.5))
    with pytest.raises(FloatingPointError, match=r"Growth, seeds \[3, 7\]: the energy budget does not close"):
        heights(Growth(growth=0.5, announced=-0.5))


def test_a_blow_up_names_its_seed(monkeypatch):
    """Of u' = g u² those blow up that start high: here the second, which starts from 1000."""
    start = Growth.initial_state
    raised = torch.tensor([0.0, 1000.0, 0.0])[:, None, None]
    monkeypatch.setattr(Growth, "initial_state", lambda *arguments: start(*arguments) + raised)
    with pytest.raises(FloatingPointError, match=r"seeds \[7\] is not finite at time 0\.05"):
        heights(Growth(growth=1.0, announced=1.0), [3, 7, 11])


def test_an_unresolved_solution_is_refused():
    heights(Growth(roughness=0.01))
    with pytest.raises(FloatingPointError, match=r"seeds \[3, 7\]: the grid does not resolve the solution"):
        heights(Growth(roughness=10.0))


def test_a_trajectory_does_not_depend_on_its_batch():
    pde = Growth(growth=0.5, announced=0.5)
    torch.testing.assert_close(heights(pde, [3, 7, 11])[1:2], heights(pde, [7]), rtol=1e-6, atol=1e-6)


def test_progress_grows_to_one():
    seen = []
    Growth().simulate({}, [0], progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_no_seeds():
    with pytest.raises(ValueError, match="seeds is empty"):
        heights(Growth(), [])


def test_the_account_integrates_the_rate():
    """Amount t² + 1 with rate 2 t closes; with rate 2.2 t it is wrong by 0.1 of the gain of 1, of 2 + 1.1 in all."""
    for factor, error in ((1.0, 0.0), (1.1, 0.1 / 3.1)):
        account = BudgetAccount(Budget(torch.ones(1), torch.zeros(1)))
        for n in range(1, 11):
            t = torch.tensor([n / 10])
            account.add(Budget(t**2 + 1, 2 * factor * t), 0.1)
        assert account.imbalance.item() == pytest.approx(error, abs=1e-6)


def test_an_account_of_what_is_not_a_number_does_not_close():
    account = BudgetAccount(Budget(torch.ones(1), torch.zeros(1)))
    account.add(Budget(torch.full((1,), math.nan), torch.zeros(1)), 0.1)
    assert not account.imbalance.item() <= 1
