"""``fno-lightning cluster``: write a start script for a batch system."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from fno_lightning.callbacks.stop_on_signal import TRY_AGAIN
from fno_lightning.data.base import require_at_least
from fno_lightning.parser import Parser

STOP = "--trainer.callbacks+=fno_lightning.callbacks.StopOnSignal"
BIND = "--trainer.callbacks+=fno_lightning.callbacks.CoreAffinity"


def main(args: Sequence[str]) -> int:
    """Print a start script.

    Returns:
        The exit status, 0.

    Raises:
        ValueError: if the command that the script shall run is none of ``fit``.
    """
    args = list(args)
    own, command = (args[: args.index("--")], args[args.index("--") + 1 :]) if "--" in args else (args, [])
    options = _parser().parse_args(own)
    if command[:1] != ["fit"]:
        raise ValueError(
            "the command that the script shall run stands behind two dashes, and begins with fit: "
            "fno-lightning cluster --nodes 4 -- fit --config trl2d"
        )
    require_at_least(1, **{f"--{name}": getattr(options, name) for name in ("nodes", "processes", "cores", "notice")})
    ours = {
        "--trainer.num_nodes": options.nodes,
        "--trainer.devices": options.processes,
        "--trainer.accelerator": "gpu" if options.gpus else "cpu",
        "--trainer.strategy": "ddp" if options.nodes * options.processes > 1 else "auto",
        "--ckpt_path": "last",
    }
    given = {part.partition("=")[0] for part in command}
    command += [f"{name}={value}" for name, value in ours.items() if name not in given]
    command += [STOP, *([BIND] if options.bind else [])]
    line = " ".join(shlex.quote(part) for part in command)
    Console(soft_wrap=True, highlight=False, markup=False).print(
        (_slurm if options.launcher == "slurm" else _torchrun)(vars(options), line), end=""
    )
    return 0


def _slurm(given: dict[str, Any], line: str) -> str:
    wanted = [
        f"job-name={given['name']}",
        f"nodes={given['nodes']}",
        f"ntasks-per-node={given['processes']}",
        f"cpus-per-task={given['cores']}",
        *([f"gpus-per-node={given['processes']}"] if given["gpus"] else []),
        f"time={given['time']}",
        *(f"{option}={given[option]}" for option in ("partition", "account") if given[option]),
        f"signal=USR1@{given['notice']}",
        "requeue",
        "open-mode=append",
        f"output={given['name']}-%j.out",
    ]
    head = "\n".join(f"#SBATCH --{option}" for option in wanted)
    return f"""#!/bin/bash
# Train on {given["nodes"]} nodes with {given["processes"]} processes each: sbatch this file, in the folder of the run.
# {given["notice"]} s before the time is over, a checkpoint is written and the job is queued again, until it is done.
{head}

export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{given["cores"]}}}

# The first process simulates or downloads the data, once for all nodes if they share this folder.
srun --kill-on-bad-exit=0 --cpu-bind=cores python -m fno_lightning {line}
status=$?
if [ "$status" -eq {TRY_AGAIN} ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
"""


def _torchrun(given: dict[str, Any], line: str) -> str:
    return f"""#!/bin/bash
# Train on {given["nodes"]} nodes with {given["processes"]} processes each: run this file on every node, with the name
# of the first one and the number of each:  HEAD=node0 RANK=0 bash job.sh
# A training that a signal has ended goes on when the file is run again; here that is up to three times.
export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{given["cores"]}}}

for _ in 1 2 3; do
    torchrun --nnodes={given["nodes"]} --node-rank="${{RANK:-0}}" --nproc-per-node={given["processes"]} \\
        --master-addr="${{HEAD:-localhost}}" --master-port="${{PORT:-29500}}" \\
        -m fno_lightning {line}
    status=$?
    if [ "$status" -eq 0 ]; then
        break
    fi
done
exit "$status"
"""


def _parser() -> Parser:
    parser = Parser(
        prog="fno-lightning cluster",
        description="Print a start script for SLURM or torchrun: fno-lightning cluster --nodes 4 --processes 8 --gpus "
        "--time 12:00:00 -- fit --config trl2d > job.sh",
    )
    parser.add_argument("--launcher", choices=["slurm", "torchrun"], default="slurm", help="what starts the processes")
    parser.add_argument("--nodes", type=int, default=1, help="machines")
    parser.add_argument("--processes", type=int, default=1, help="processes on each of them, one for each GPU")
    parser.add_argument("--cores", type=int, default=8, help="cores of each process")
    parser.add_argument("--gpus", action="store_true", help="whether each process has a GPU")
    parser.add_argument("--time", default="24:00:00", help="time after which the job is ended")
    parser.add_argument("--notice", type=int, default=120, help="seconds before that, when it is told")
    parser.add_argument("--name", default="fno", help="name of the job")
    parser.add_argument("--partition", default="", help="partition of the cluster")
    parser.add_argument("--account", default="", help="account that pays")
    parser.add_argument("--bind", action="store_true", help="bind each process to cores near its GPU and memory")
    return parser
