"""Typed options of plugins: a frozen dataclass whose fields carry help, choices and bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any


def option(
    default: Any,
    help: str,
    *,
    choices: Sequence[Any] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A dataclass field that is an option: default, one sentence of help, and what values it takes.

    Parameters
    ----------
    default : bool, int, float or str
        Value when the user gives none; its type is the option's type unless the annotation says otherwise.
    help : str
        One sentence for ``tomokit plugins list --verbose``.
    choices : sequence, optional
        The only values allowed.
    minimum, maximum : float, optional
        Inclusive bounds.
    """
    metadata = {"help": help, "choices": choices, "minimum": minimum, "maximum": maximum}
    return field(default=default, metadata=metadata)
