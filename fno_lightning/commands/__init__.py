"""Commands beside Lightning's: configurations, start scripts, conversion, data without training, checks, transfer."""

from fno_lightning.commands import check, cluster, configs, convert, generate, transfer

COMMANDS = {
    "check": check.main,
    "cluster": cluster.main,
    "configs": configs.main,
    "convert": convert.main,
    "generate": generate.main,
    "transfer": transfer.main,
}
"""Entry points by name, from arguments to exit status."""

__all__ = ["COMMANDS"]
