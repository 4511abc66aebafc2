import pytest
import torch

from fno_lightning.autoregressive import rollout


def frames(first, n_frames, grid=(3, 2)):
    """Frame k of every sample holds the number k."""
    numbers = torch.arange(first, first + n_frames, dtype=torch.float64)
    return numbers.view(1, -1, 1, *(1,) * len(grid)).expand(2, n_frames, 1, *grid)


@pytest.mark.parametrize("grid", [(4,), (3, 2), (2, 3, 2)], ids=["1-D", "2-D", "3-D"])
@pytest.mark.parametrize("n_history", [1, 4])
def test_counting_frames_continues_right_after_the_history(grid, n_history):
    prediction = rollout(lambda history: history[:, -1] + 1, frames(10, n_history, grid), 6)
    assert torch.equal(prediction, frames(10 + n_history, 6, grid))


def test_each_step_sees_the_latest_frames_oldest_first():
    seen = []

    def step(history):
        seen.append(history[0, :, 0, 0, 0].tolist())
        return history[:, -1] + 1

    rollout(step, frames(0, 3), 4)
    assert seen == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]


def test_a_recurrence_over_two_frames():
    history = torch.ones(1, 2, 1, 1)
    fibonacci = rollout(lambda u: u[:, 0] + u[:, 1], history, 6)
    assert fibonacci.flatten().tolist() == [2, 3, 5, 8, 13, 21]


@pytest.mark.parametrize("n_history", [1, 2, 5])
@pytest.mark.parametrize("bundle", [1, 2, 3])
@pytest.mark.parametrize("n_steps", [1, 3, 7])
def test_bundles_of_frames_follow_each_other_and_the_last_one_is_cut(n_history, bundle, n_steps):
    def count_on(history):
        return torch.stack([history[:, -1] + 1 + i for i in range(bundle)], dim=1)

    assert torch.equal(rollout(count_on, frames(10, n_history), n_steps), frames(10 + n_history, n_steps))


def test_the_history_of_a_bundle_holds_the_latest_frames_oldest_first():
    seen = []

    def step(history):
        seen.append(history[0, :, 0, 0, 0].tolist())
        return torch.stack([history[:, -1] + 1, history[:, -1] + 2], dim=1)

    rollout(step, frames(0, 3), 6)
    assert seen == [[0, 1, 2], [2, 3, 4], [4, 5, 6]]


@pytest.mark.parametrize("n_without_gradient", [0, 1, 3])
def test_the_first_applications_have_no_gradient(n_without_gradient):
    growth = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    start = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    prediction = rollout(lambda u: growth * u[:, -1], start, 4, n_without_gradient=n_without_gradient)
    assert prediction.flatten().tolist() == [1.5**k for k in range(1, 5)]
    prediction[:, n_without_gradient:].sum().backward()
    known = 1.5**n_without_gradient
    expected = known * sum(k * 1.5 ** (k - 1) for k in range(1, 5 - n_without_gradient))
    assert growth.grad.item() == pytest.approx(expected)


def test_the_history_is_left_alone():
    history = frames(0, 2).clone()
    rollout(lambda u: u[:, -1] + 1, history, 3)
    assert torch.equal(history, frames(0, 2))


def test_gradients_flow_through_every_step():
    growth = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    prediction = rollout(lambda u: growth * u[:, -1], torch.ones(1, 1, 1, 1, dtype=torch.float64), 4)
    prediction.sum().backward()
    assert growth.grad.item() == pytest.approx(sum(k * 1.5 ** (k - 1) for k in range(1, 5)))


def test_a_steady_problem_has_no_history():
    history = torch.empty(2, 0, 1, 5)
    assert torch.equal(rollout(lambda _: torch.ones(2, 1, 5), history, 1), torch.ones(2, 1, 1, 5))


@pytest.mark.parametrize(
    ("n_history", "n_steps", "message"), [(1, 0, "at least one frame, got n_steps=0"), (0, 2, "got n_steps=2")]
)
def test_impossible_lengths_are_refused(n_history, n_steps, message):
    with pytest.raises(ValueError, match=message):
        rollout(lambda u: u[:, -1], torch.zeros(1, n_history, 1, 4), n_steps)
