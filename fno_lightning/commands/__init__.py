"""Commands beside Lightning's: shipped configurations, data without training, checks of data, a transfer study."""

from fno_lightning.commands import check, configs, generate, transfer

COMMANDS = {"check": check.main, "configs": configs.main, "generate": generate.main, "transfer": transfer.main}
"""Entry points by name, from arguments to exit status."""

__all__ = ["COMMANDS"]
