"""Commands beside Lightning's: shipped configurations, conversion, data without training, checks, a transfer study."""

from fno_lightning.commands import check, configs, convert, generate, transfer

COMMANDS = {
    "check": check.main,
    "configs": configs.main,
    "convert": convert.main,
    "generate": generate.main,
    "transfer": transfer.main,
}
"""Entry points by name, from arguments to exit status."""

__all__ = ["COMMANDS"]
