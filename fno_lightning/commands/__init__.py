"""Commands beside Lightning's: configurations, data made and checked without training, a transfer-learning study."""

from fno_lightning.commands import check, configs, generate, transfer

COMMANDS = {"check": check.main, "configs": configs.main, "generate": generate.main, "transfer": transfer.main}
"""Entry points by name: arguments in, exit status out."""

__all__ = ["COMMANDS"]
