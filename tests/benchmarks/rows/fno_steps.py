"""Steps of the two-dimensional FNO: float32 and bfloat16."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tests.benchmarks.checks import parameter_count, require_equal_counts
from tests.benchmarks.harness import Benchmark, Contestant, Measurement, Row, Settings, interleave, times_as_fast
from tests.benchmarks.networks import PlainFNO, copies, pair
from tests.benchmarks.training_step import TrainingStep, check_steps, learnable_data

FP32 = Row("fno_step_fp32", "step of the FNO, 128 x 384 points, float32, against neuralop's best", 2.5)
BF16 = Row("fno_step_bf16", "the same in bfloat16 autocast, against neuralop's float32", 6)
NEURALOP, NEURALOP_BF16, NEURALOP_COMPILED = "neuralop", "neuralop, bf16", "neuralop, compiled"
OURS, OURS_EAGER, OURS_BF16, PLAIN = "ours, compiled", "ours, eager", "ours, compiled, bf16", "plain rfft2 FNO"
OURS_RECOMPUTED = "ours, compiled, blocks recomputed"


def reference_case(settings: Settings) -> tuple[dict, tuple[int, int], int]:
    """Return the arguments of the network, the grid and the batch of the case in the targets."""
    n = settings.size(16, 4)
    arguments = {
        "n_modes": (n, n),
        "in_channels": 16,
        "out_channels": 4,
        "hidden_channels": settings.size(64, 8),
        "n_layers": 4,
    }
    return arguments, (settings.size(128, 12), settings.size(384, 16)), 2


def measure(settings: Settings) -> Mapping[str, Measurement]:
    arguments, grid, batch = reference_case(settings)
    torch.manual_seed(0)
    x, y = learnable_data(batch, arguments["in_channels"], arguments["out_channels"], grid, settings.device)
    peer, ours = (network.to(settings.device) for network in pair(**arguments))
    peers, mine = copies(peer, 3), copies(ours, 4)
    steps = {
        NEURALOP: TrainingStep(peers[0], x, y),
        NEURALOP_BF16: TrainingStep(peers[1], x, y, bf16=True),
        OURS: TrainingStep(mine[0], x, y, compile=settings.compile),
        OURS_BF16: TrainingStep(mine[1], x, y, bf16=True, compile=settings.compile),
        OURS_EAGER: TrainingStep(mine[2], x, y),
    }
    if not settings.quick:
        steps[OURS_RECOMPUTED] = TrainingStep(mine[3], x, y, compile=settings.compile, recompute=True)
        steps[NEURALOP_COMPILED] = TrainingStep(peers[2], x, y, compile=settings.compile)
    plain = TrainingStep(PlainFNO(**arguments).to(settings.device), x, y)
    contestants = {name: Contestant(step.measure) for name, step in steps.items()}
    if NEURALOP_COMPILED in steps:
        contestants[NEURALOP_COMPILED] = Contestant(steps[NEURALOP_COMPILED].measure, rival=NEURALOP)
    contestants[PLAIN] = Contestant(plain.measure)
    series = interleave(contestants, settings.rounds(7))
    notes = check_steps(steps) + check_steps({PLAIN: plain}, same_weights=False)[1:]
    require_equal_counts({NEURALOP: steps[NEURALOP].n_parameters, PLAIN: parameter_count(plain.network)})
    fp32_peers = [name for name in (NEURALOP, NEURALOP_COMPILED) if name in steps]
    mine_fp32 = [name for name in (OURS, OURS_RECOMPUTED, OURS_EAGER) if name in steps]
    return {
        FP32.name: times_as_fast(
            {name: series[name] for name in (*fp32_peers, *mine_fp32, PLAIN)}, mine_fp32, fp32_peers, notes
        ),
        BF16.name: times_as_fast(
            {name: series[name] for name in (NEURALOP, NEURALOP_BF16, OURS_BF16)}, [OURS_BF16], [NEURALOP], notes
        ),
    }


BENCHMARK = Benchmark((FP32, BF16), measure, peers=("neuralop",), seconds=40)
