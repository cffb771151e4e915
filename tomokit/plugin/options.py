"""Typed options of plugins: a frozen dataclass whose fields carry help, choices and bounds.

The same functions read settings from the command line (strings) and from TOML (typed values), so that an unknown key
or a value of the wrong type is refused in the same way wherever it was written.
"""

from __future__ import annotations

import dataclasses
import math
import reprlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, TypeVar

from tomokit.errors import OptionError
from tomokit.plugin.near import did_you_mean
from tomokit.plugin.settings import as_typed

T = TypeVar("T")

LARGEST_INT = 2**63 - 1
"""Integers beyond the largest of 64 bits have no place in any array or file."""

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def option(
    default: Any,
    help: str,
    *,
    choices: Sequence[Any] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """Declare a field of an options dataclass with its default, help and allowed values.

    Parameters
    ----------
    default : bool, int, float, str, tuple or None
        Value where the user gives none; the field's annotation says the option's type.
    help : str
        One sentence that stands alone, for ``tomokit plugins list --verbose``.
    choices : sequence, optional
        The only values allowed.
    minimum, maximum : float, optional
        Inclusive bounds of a number, or of each number of a tuple.

    Returns
    -------
    dataclasses.Field
        To be assigned to the annotated name in the class.
    """
    metadata = {"help": help, "choices": choices, "minimum": minimum, "maximum": maximum}
    return field(default=default, metadata=metadata)


def build_options(cls: type[T], mapping: Mapping[str, Any], where: str, elsewhere: Iterable[str] = ()) -> T:
    """Make an instance of an options class from settings, checking every name and value.

    Parameters
    ----------
    cls : type
        A dataclass whose fields are ``bool``, ``int``, ``float``, ``str``, ``Path``, ``X | None``, ``Literal``,
        ``tuple[X, ...]``, ``dict`` or another such dataclass.
    mapping : mapping
        Values by field name: typed ones (TOML) or strings (command line); ``"none"`` is None for an ``X | None``.
    where : str
        What an error names before the option, such as ``"method tv"`` or a configuration file; empty for the command
        line, whose options stand for themselves. A :class:`tomokit.plugin.settings.TypedKey` is named as it was typed.
    elsewhere : iterable of str
        Names that a key which `cls` does not have may have been meant for too.

    Returns
    -------
    instance of `cls`
        With the defaults for fields that `mapping` does not have.

    Raises
    ------
    OptionError
        For a key that `cls` does not have (the nearest one and all are named), a value of another type, one that is
        not among the choices, or one out of bounds.
    """
    fields = {declared.name: declared for declared in dataclasses.fields(typing.cast(Any, cls)) if declared.init}
    hints = typing.get_type_hints(cls)
    values = {}
    for key, value in mapping.items():
        if key not in fields:
            hint = did_you_mean(key, [*fields, *elsewhere])
            listed = f"it has {', '.join(sorted(fields))}" if fields else "it has none"
            raise OptionError(f"no option {as_typed(key)!r}", field=where, remedy=hint + listed)
        place = f"{where}: {as_typed(key)}" if where else as_typed(key)
        values[str(key)] = _check_value(value, hints[key], fields[key].metadata, place)
    try:
        return cls(**values)
    except TypeError as error:
        raise OptionError(str(error), field=where) from error


def describe_options(cls: type) -> list[dict[str, Any]]:
    """Describe every option of an options class.

    Parameters
    ----------
    cls : type
        A dataclass whose fields are made by :func:`option`.

    Returns
    -------
    list of dict
        One for each field, JSON-serializable: ``name``, ``type``, ``default``, ``help``, ``choices``, ``minimum`` and
        ``maximum``, the last three None where there are none.
    """
    hints = typing.get_type_hints(cls)
    described = []
    for declared in dataclasses.fields(cls):
        default: Any = None
        if declared.default is not dataclasses.MISSING:
            default = declared.default
        elif declared.default_factory is not dataclasses.MISSING:
            default = declared.default_factory()
        plain = default is None or isinstance(default, (bool, int, float, str, list, dict))
        described.append(
            {
                "name": declared.name,
                "type": _type_name(hints[declared.name]),
                "default": default if plain else str(default),
                "help": declared.metadata.get("help", ""),
                "choices": None if declared.metadata.get("choices") is None else list(declared.metadata["choices"]),
                "minimum": declared.metadata.get("minimum"),
                "maximum": declared.metadata.get("maximum"),
            }
        )
    return described


def _check_value(value: Any, kind: Any, metadata: Mapping[str, Any], where: str) -> Any:
    """The value as the field's type, if it is one of the choices and within the bounds."""
    value = _convert_value(value, kind, where)
    choices = metadata.get("choices")
    if choices is not None and value is not None and value not in choices:
        raise OptionError(
            f"{shown(value)} is not allowed", field=where, remedy=f"choose from {', '.join(map(str, choices))}"
        )
    for number in value if isinstance(value, tuple) else (value,):
        # True and False are ints to Python, and have no bounds.
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            low, high = metadata.get("minimum"), metadata.get("maximum")
            if (low is not None and number < low) or (high is not None and number > high):
                remedy = f"give {range_text(low, high)}"
                raise OptionError(f"{shown(number)} is out of bounds", field=where, remedy=remedy)
    return value


def _convert_value(value: Any, kind: Any, where: str) -> Any:
    """The value as an instance of the annotation `kind`; of an annotation that is not known, as it stands."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None or (isinstance(value, str) and value.lower() == "none" and type(None) in arguments):
            return None
        return _first_that_fits(value, [inner for inner in arguments if inner is not type(None)], where)
    if origin is typing.Literal:
        # By the types of what is allowed: "1" from the command line is the 1 of Literal[1, 2].
        return _first_that_fits(value, sorted({type(item) for item in arguments}, key=str), where, arguments)
    if origin is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, Sequence):
            raise _wrong_type(value, kind, where)
        inner = [arguments[0]] * len(parts) if arguments[-1] is Ellipsis else list(arguments)
        if len(inner) != len(parts):
            raise OptionError(f"{len(parts)} values", field=where, remedy=f"give {len(inner)}")
        return tuple(_convert_value(part, one, where) for part, one in zip(parts, inner, strict=True))
    if dataclasses.is_dataclass(kind):
        if isinstance(value, Mapping):
            return build_options(typing.cast(type, kind), value, where)
        raise OptionError(f"{shown(value)} is not a table", field=where, remedy="set what is below it")
    if origin is dict or kind is dict:
        if isinstance(value, Mapping):
            return dict(value)
        raise OptionError(f"{shown(value)} is not a table", field=where, remedy="set what is below it")
    convert = _SCALARS.get(kind)
    if convert is None:
        return value
    try:
        converted = convert(value)
    except (ValueError, OverflowError):
        raise _wrong_type(value, kind, where) from None
    if kind is int and abs(converted) > LARGEST_INT:
        raise OptionError(f"{shown(converted)} is too large", field=where, remedy=f"give at most {LARGEST_INT}")
    return converted


def _first_that_fits(value: Any, kinds: Sequence[Any], where: str, allowed: Sequence[Any] | None = None) -> Any:
    """The value as the first of some types that takes it and, if only some values are allowed, gives one of these."""
    for position, kind in enumerate(kinds):
        try:
            converted = _convert_value(value, kind, where)
        except OptionError:
            if position == len(kinds) - 1 and allowed is None:
                raise
            continue
        if allowed is None or converted in allowed:
            return converted
    raise OptionError(
        f"{shown(value)} is not allowed", field=where, remedy=f"choose from {', '.join(map(str, allowed or ()))}"
    )


# Each takes a typed value or a string, and raises ValueError for what is not of its type.


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUE + _FALSE:
        return value.lower() in _TRUE
    raise ValueError


def _to_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError
    return int(value)


def _to_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _to_str(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _to_path(value: Any) -> Path:
    if not isinstance(value, (str, Path)) or not str(value):
        raise ValueError
    try:
        return Path(value).expanduser()
    except RuntimeError:  # `~nobody`, or no home: the name as it stands
        return Path(value)


_SCALARS: dict[Any, Callable[[Any], Any]] = {
    bool: _to_bool,
    int: _to_int,
    float: _to_float,
    str: _to_str,
    Path: _to_path,
}
_WORDS = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text", Path: "a path"}


def _wrong_type(value: Any, kind: Any, where: str) -> OptionError:
    return OptionError(f"{shown(value)} is not {_WORDS.get(kind, _type_name(kind))}", field=where)


_SHORTENED = reprlib.Repr()
_SHORTENED.maxstring = _SHORTENED.maxother = 80


def shown(value: Any) -> str:
    """A value that a user gave, as a message shows it: in full if it is short.

    Parameters
    ----------
    value : object
        Any; deeply nested ones and integers of thousands of digits included.

    Returns
    -------
    str
        At most some 80 characters of each text in it.
    """
    # Python refuses to write integers of more than 4300 digits.
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {int(value.bit_length() * math.log10(2)) + 1} digits"
    return _SHORTENED.repr(value)


def range_text(low: float | None, high: float | None) -> str:
    """Say in words what numbers are allowed, to follow "give".

    Parameters
    ----------
    low, high : float or None
        Inclusive bounds, of which None is none.

    Returns
    -------
    str
        Such as ``"at least 1"``, ``"0 to 2"``, or ``"1"`` where nothing else is allowed.
    """
    # Without the ".0" of bounds that happen to be floats.
    least, most = (f"{bound:g}" if isinstance(bound, float) else str(bound) for bound in (low, high))
    if low is not None and high is not None:
        return least if low == high else f"{least} to {most}"
    return f"at most {most}" if low is None else f"at least {least}"


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind).replace("typing.", "")
