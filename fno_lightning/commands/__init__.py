"""Commands beside Lightning's: data made and checked without training, and a transfer-learning study."""

from fno_lightning.commands import check, generate, transfer

COMMANDS = {"check": check.main, "generate": generate.main, "transfer": transfer.main}
"""Entry points by name: arguments in, exit status out."""

__all__ = ["COMMANDS"]
