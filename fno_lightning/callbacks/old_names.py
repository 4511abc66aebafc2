"""Log names of version 0.1, which are understood for one more release: windows were ``vrmse_6:12``."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import Any

from fno_lightning.metrics import LogName


def current_name(name: str, owner: str) -> str:
    """Return the log name that an error has now, and warn if it had another one.

    Args:
        name: Any log name.
        owner: The option and the class that hold the name, for the warning.
    """
    parsed = LogName.parse(name)
    current = name if parsed is None else str(parsed)
    if current != name:
        warnings.warn(
            f"the {owner} is {name!r}, which is logged as {current!r} now: use that name, the old one will be unknown "
            "in the next release",
            FutureWarning,
            stacklevel=2,
        )
    return current


def rename_monitors(owners: Iterable[Any]) -> None:
    """Give the callbacks or schedules that monitor an error its current name."""
    for owner in owners:
        monitor = getattr(owner, "monitor", None)
        if isinstance(monitor, str):
            kind = type(getattr(owner, "scheduler", owner)).__name__
            owner.monitor = current_name(monitor, f"monitor of {kind}")


def rename_states(checkpoint: dict[str, Any]) -> None:
    """Give the saved states of callbacks, whose keys hold what they monitor, the keys that these callbacks have now."""
    states = checkpoint.get("callbacks", {})
    checkpoint["callbacks"] = {re.sub(r"_(\d+):(\d+)(?=['/])", r"_\1-\2", key): states[key] for key in states}
