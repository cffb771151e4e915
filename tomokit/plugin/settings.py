"""Settings as nested dictionaries: from ``--set key=value``, from TOML files, and one laid over another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tomokit.errors import InputError, OptionError

MOST_LEVELS = 20
"""Tables in tables; no options go deeper than three."""

FIELD_FILLING = "field_filling"
"""A method's option whose table replaces other options for specimens that fill the field of view."""

MOST_BYTES = 1 << 20
"""A file of settings has a few hundred bytes; what is larger is another file, and is not read."""


class TypedKey(str):
    """The name of a setting, which remembers how the user typed it.

    Equal to the name with underscores, which is the key; :func:`as_typed` gives what messages are to show.

    Parameters
    ----------
    name : str
        The key.
    typed : str, optional
        The same as it was typed, such as ``--pixel-size`` or ``hold-out``; `name` if None.
    """

    typed: str

    def __new__(cls, name: str, typed: str | None = None) -> TypedKey:
        """Make the key (see :class:`TypedKey`); a text is immutable, so this is done before there is an instance."""
        key = super().__new__(cls, name)
        key.typed = name if typed is None else typed
        return key


def as_typed(key: str) -> str:
    """The name of a setting as its user typed it.

    Parameters
    ----------
    key : str
        A :class:`TypedKey`, or any other name, which stands as it is.

    Returns
    -------
    str
    """
    return key.typed if isinstance(key, TypedKey) else key


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
        parts = [_underscored_key(part.strip()) for part in key.split(".")]
        if not equals or not all(parts):
            raise OptionError(f"{_short(assignment)!r} is not a setting", field="--set", remedy="write key=value")
        if len(parts) > MOST_LEVELS:
            raise OptionError(f"{_short(key)!r} goes {len(parts)} levels deep", field="--set", remedy="no option does")
        table = tree
        for part in parts[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise OptionError(
                    f"{key!r} goes below {as_typed(part)!r}, which has a value already",
                    field="--set",
                    remedy="leave one of them out",
                )
        if isinstance(table.get(parts[-1]), dict):
            raise OptionError(f"{key!r} has settings below it already", field="--set", remedy="leave one of them out")
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


def give_way(options: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Let a table of options for one kind of specimen give way to options that are given by themselves.

    Parameters
    ----------
    options : mapping
        Options of a method. Its table ``field_filling``, if there is one, has options that replace the others for
        specimens that fill the field of view; its entry ``unless`` lists options, with dots, that take its place whole.
    given : mapping
        Those that were given by themselves.

    Returns
    -------
    dict
        Without those of the table that were given, and without the table if one of ``unless`` was.
    """
    table = options.get(FIELD_FILLING)
    if not isinstance(table, Mapping):
        return dict(options)
    given = {name: value for name, value in given.items() if name != FIELD_FILLING}
    if any(_is_given(given, str(name).split(".")) for name in table.get("unless", ())):
        return {**options, FIELD_FILLING: {}}
    return {**options, FIELD_FILLING: _without(table, given)}


def _is_given(settings: Mapping[str, Any], keys: Sequence[str]) -> bool:
    """Whether settings have a value below these keys."""
    below = settings.get(keys[0])
    if len(keys) == 1:
        return keys[0] in settings
    return isinstance(below, Mapping) and _is_given(below, keys[1:])


def _without(table: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A table without the values that were given, at any depth."""
    kept = {}
    for key, value in table.items():
        other = given.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            kept[key] = _without(value, other)
        elif key not in given:
            kept[key] = value
    return kept


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
        If the file is missing, larger than any settings, not text, or not TOML.
    OptionError
        If a key is there twice, with a hyphen and with an underscore.
    """
    import tomllib

    try:
        text = _read_bounded(path).decode("utf-8")
        return _underscored(tomllib.loads(text), path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path, remedy="check the path") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not TOML: {error}", file=path) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"is not TOML: byte {error.start} is no text in UTF-8", file=path, remedy="give a file of settings"
        ) from error
    except RecursionError as error:
        raise InputError("is nested too deeply", file=path, remedy="no option goes that deep") from error
    except ValueError as error:  # an integer of thousands of digits, which Python refuses to convert
        raise InputError("has a number of too many digits", file=path, remedy="give numbers of 64 bits") from error


def _read_bounded(path: Path) -> bytes:
    """All of a file of settings; never more than such a file can have."""
    with path.open("rb") as stream:
        raw = stream.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise InputError(
            f"has more than {MOST_BYTES >> 20} MiB, which no settings have", file=path, remedy="give a file of settings"
        )
    return raw


def _underscored(table: Mapping[str, Any], path: Path, level: int = 1) -> dict[str, Any]:
    """The table with hyphens in its keys as underscores, each key once."""
    if level > MOST_LEVELS:
        raise InputError(f"has tables {MOST_LEVELS} levels deep", file=path, remedy="no option goes that deep")
    result: dict[str, Any] = {}
    for typed, value in table.items():
        key = _underscored_key(typed)
        if key in result:
            earlier = next(as_typed(other) for other in result if other == key)
            raise OptionError(
                f"{earlier!r} and {typed!r} are the same setting", field=str(path), remedy="give one of them"
            )
        result[key] = _underscored(value, path, level + 1) if isinstance(value, Mapping) else value
    return result


def _underscored_key(typed: str) -> TypedKey:
    return TypedKey(typed.replace("-", "_"), typed)


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


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
        raise OptionError(
            "a name is given with hyphens and with underscores",
            field=", ".join(map(as_typed, settings)),
            remedy="give one of them",
        )
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
