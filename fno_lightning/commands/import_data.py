"""``fno-lightning import``: fields of other formats as a data set in The Well's format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from fno_lightning.check import check
from fno_lightning.data.batch import SPLITS, Split
from fno_lightning.data.hdf5.writer import n_trajectories
from fno_lightning.data.importing import joined, read_arrays, select, split_trajectories, trajectories_of, write_splits
from fno_lightning.files import expanded_path
from fno_lightning.parser import Parser
from fno_lightning.pdes import Trajectories
from fno_lightning.version import __version__


def main(args: Sequence[str]) -> int:
    """Read files, share their trajectories out among the splits, write and check the data set.

    Returns:
        The exit status: 0, or 1 if the check finds an error in what was written.

    Raises:
        ValueError: if a file does not tell what its axes, times, coordinates or fields are, and no option does.
        FileExistsError: if there is a data set of that name.
    """
    options = _parser().parse_args(list(args))
    folder = expanded_path(options.base_path, "base_path") / options.name
    if folder.exists():
        raise FileExistsError(f"{folder} exists already and is not overwritten: choose another --name")
    splits = _splits(options)
    source = f"imported: fno_lightning {__version__} from {', '.join(map(str, options.sources))}"
    write_splits(folder, splits, options.name, {"source": source})
    console = Console(soft_wrap=True, highlight=False)
    counts = ", ".join(f"{n_trajectories(splits[split])} {split}" for split in SPLITS)
    first = splits["train"]
    grid = " x ".join(str(len(points)) for points in first.coordinates.values())
    console.print(f"wrote {folder}: {counts} trajectories, {len(first.time)} frames of {grid} points")
    issues = check([folder])
    for issue in issues:
        console.print(f"{issue.severity}: {issue}", markup=False)
    steady = len(first.time) == 1
    console.print(
        "train on it: fno-lightning fit --config "
        f"{'darcy' if steady else 'trl2d'} --data WellDataModule --data.dataset_name {options.name} "
        f"--data.base_path {folder.parent}{' --data.n_steps_input 0' if steady else ''}",
        markup=False,
    )
    return int(any(issue.severity == "error" for issue in issues))


def _splits(options: Any) -> dict[Split, Trajectories]:
    own = _read(options.sources, options)
    named = {"valid": options.valid, "test": options.test}
    if all(named.values()):
        return {"train": own, "valid": _read(options.valid, options), "test": _read(options.test, options)}
    if any(named.values()):
        raise ValueError("--valid and --test go together: give files for both, or none to share out the trajectories")
    chosen = split_trajectories(n_trajectories(own), options.split, options.seed)
    return {split: select(own, numbers) for split, numbers in chosen.items()}


def _read(sources: Sequence[str], options: Any) -> Trajectories:
    dims = options.dims.split(",") if options.dims else None
    names = options.names.split(",") if options.names else None
    parts = [
        trajectories_of(
            read_arrays(expanded_path(source, "sources"), dims, names),
            boundaries=options.boundaries.split(","),
            constant_fields=options.constant_fields.split(",") if options.constant_fields else (),
            time_step=options.time_step,
            extent=options.extent,
        )
        for source in sources
    ]
    return joined(parts, sources)


def _parser() -> Parser:
    parser = Parser(
        prog="fno-lightning import",
        description="Write fields in NumPy's .npy and .npz, PDEBench's .hdf5 or neuralop's .pt as a data set in The "
        "Well's format: fno-lightning import flow.npz --name my_flow --boundaries periodic",
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCES", help="files, whose trajectories are joined")
    parser.add_argument("--name", required=True, help="name of the data set")
    parser.add_argument("--base_path", default="datasets", help="folder of the data sets")
    parser.add_argument(
        "--valid", nargs="+", default=[], help="files of the valid split; with --test, and --split unused"
    )
    parser.add_argument("--test", nargs="+", default=[], help="files of the test split")
    parser.add_argument("--split", nargs=3, type=float, default=[0.8, 0.1, 0.1], help="parts of train, valid and test")
    parser.add_argument("--seed", type=int, default=0, help="decides which trajectories are in which split")
    parser.add_argument(
        "--dims", help="axes of the arrays, as trajectory,time,x,y,component, where the file does not tell"
    )
    parser.add_argument("--names", help="names of the array, or of its components, as density,pressure")
    parser.add_argument("--constant_fields", help="fields that are given, not predicted, as permeability")
    parser.add_argument("--boundaries", default="open", help="periodic, wall or open; of each axis, as periodic,wall")
    parser.add_argument("--time_step", type=float, help="time between two frames, where the file has no times")
    parser.add_argument("--extent", type=list[list[float]], help="edges of each axis, as [[0,1],[0,2]]")
    return parser
