"""``python -m fno_lightning`` and ``fno-lightning``: the command line as a program."""

from fno_lightning.cli import main


def run() -> None:
    """Runs the command line; a program's exit status is not the object that :func:`main` returns."""
    main()


if __name__ == "__main__":
    run()
