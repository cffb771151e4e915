"""Settings as nested dictionaries: from ``--set key=value``, from TOML files, and one laid over another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tomokit.errors import InputError, OptionError


def parse_settings(assignments: Iterable[str]) -> dict[str, Any]:
    """Turn assignments such as ``regularizers.tv.weight=1e-4`` into a nested dictionary of strings.

    Parameters
    ----------
    assignments : iterable of str
        ``key=value``; dots in the key go one level deeper. A later one overrides an earlier one.

    Returns
    -------
    dict
        Values are the strings as given, without surrounding spaces; hyphens in keys are underscores.

    Raises
    ------
    OptionError
        If there is no ``=``, a part of the key is empty, or a key is both a value and a table.
    """
    tree: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        parts = [part.strip().replace("-", "_") for part in key.split(".")]
        if not equals or not all(parts):
            raise OptionError(f"{assignment!r} is not a setting", field="--set", remedy="write key=value")
        table = tree
        for part in parts[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise OptionError(f"{key!r} goes below {part!r}, which has a value already", field="--set")
        if isinstance(table.get(parts[-1]), dict):
            raise OptionError(f"{key!r} has settings below it already", field="--set")
        table[parts[-1]] = value.strip()
    return tree


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay settings over others, table by table.

    Parameters
    ----------
    base, over : mapping
        Nested settings, neither of which is changed.

    Returns
    -------
    dict
        All keys of both; where both have a key, the value of `over`, and for two tables their merger.
    """
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping):
            merged[key] = merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file as nested settings.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict
        Its tables, with hyphens in keys as underscores.

    Raises
    ------
    InputError
        If the file is missing, not text, or not TOML.
    """
    import tomllib

    try:
        with path.open("rb") as stream:
            return _underscored(tomllib.load(stream))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path, remedy="check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"is not TOML: {error}", file=path) from error


def _underscored(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key.replace("-", "_"): _underscored(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
    }


def by_plugin_name(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by the names of plugins, which have hyphens where the keys of settings have underscores.

    Parameters
    ----------
    settings : mapping
        By name in either spelling, what a user gave.

    Returns
    -------
    dict
        The same by name with hyphens.

    Raises
    ------
    OptionError
        If a name is given in both spellings.
    """
    named = {key.replace("_", "-"): value for key, value in settings.items()}
    if len(named) < len(settings):
        raise OptionError("a name is given with hyphens and with underscores", field=", ".join(settings))
    return named


def options_table(settings: object, where: str) -> dict[str, Any]:
    """Check that the setting of a plugin's name is a table of options, and copy it.

    Parameters
    ----------
    settings : object
        What a user gave for the name.
    where : str
        The name with all before it, for the message: ``"optimizers.adam"``.

    Returns
    -------
    dict
        Values by option.

    Raises
    ------
    OptionError
        If it is a single value.
    """
    if not isinstance(settings, Mapping):
        raise OptionError(f"{settings!r} is not a table", field=where, remedy=f"set what is below it: {where}.OPTION=")
    return dict(settings)
