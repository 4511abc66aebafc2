"""``python -m fno_lightning``: the command line."""

from fno_lightning.cli import main

if __name__ == "__main__":
    main()
