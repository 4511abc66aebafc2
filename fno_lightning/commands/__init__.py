"""Commands beside Lightning's: checks, start scripts, configurations, conversion, simulation, imports, transfer."""

from fno_lightning.commands import check, cluster, configs, convert, generate, import_data, transfer

COMMANDS = {
    "check": check.main,
    "cluster": cluster.main,
    "configs": configs.main,
    "convert": convert.main,
    "generate": generate.main,
    "import": import_data.main,
    "transfer": transfer.main,
}
"""Entry points by name, from arguments to exit status."""

__all__ = ["COMMANDS"]
