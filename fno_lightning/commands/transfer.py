"""``fno-lightning transfer``: the transfer-learning study from one configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.markdown import Markdown

from fno_lightning.transfer import TransferStudy


def main(args: Sequence[str]) -> int:
    """Runs the study, prints its table and says where the figure is.

    Returns:
        The exit status, 0.
    """
    parser = ArgumentParser(
        prog="fno-lightning transfer",
        description="Pre-trains, then fine-tunes and trains from scratch on more and more downstream examples.",
    )
    parser.add_argument("--config", action="config", help="a study, e.g. configs/transfer.yaml")
    parser.add_class_arguments(TransferStudy, as_group=False)
    options = parser.parse_args(list(args))
    del options["config"]
    study = TransferStudy(**options)
    study.run()
    folder = Path(study.folder)
    console = Console()
    console.print(Markdown((folder / "transfer.md").read_text(encoding="utf-8")))
    console.print(f"table:  {folder / 'transfer.md'}\nfigure: {folder / 'transfer.png'}", soft_wrap=True)
    return 0
