"""Former names of options, accepted for one release."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any


def renamed_option(
    name: str,
    value: Any,
    former_name: str,
    former_value: Any,
    *,
    default: Any = None,
    translation: Mapping[Any, Any] | None = None,
) -> Any:
    """Return the value of an option, whichever of its two names it was given by.

    Args:
        name: Name of the option.
        value: What was given by that name.
        former_name: Former name of the option, an argument of its own with the default ``None``.
        former_value: What was given by that name; ``None``: nothing.
        default: Default of the option.
        translation: Values that have new names too, from the former to the new one.

    Raises:
        ValueError: if the option was given by both names.

    Warns:
        FutureWarning: if the option was given by its former name.

    >>> renamed_option("steps", 4, "n_steps", None)
    4
    """
    if former_value is None:
        return value
    if value != default:
        raise ValueError(f"{former_name} is the former name of {name}, and both were given: leave {former_name} out")
    current = (translation or {}).get(former_value, former_value)
    warnings.warn(
        f"{former_name}: {former_value} is now {name}: {current}; the former name goes with the next release",
        FutureWarning,
        stacklevel=3,
    )
    return current
