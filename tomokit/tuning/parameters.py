"""What is tuned: numbers among a method's options, each with the range that is searched."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tomokit.data.problem import Problem
from tomokit.errors import OptionError
from tomokit.methods.capabilities import SuggestsTuning, around
from tomokit.methods.interface import Method
from tomokit.pipeline.config import options_below
from tomokit.plugin.manager import get_registry
from tomokit.plugin.near import did_you_mean
from tomokit.plugin.options import range_text
from tomokit.plugin.settings import give_way, merge

Values = dict[str, float]
"""A setting: values by the names of options, those of regularizers and optimizers with dots, as ``--set`` has them."""

_DIGITS = 3
_FIELD = "--tune"


@dataclass(frozen=True)
class Parameter:
    """An option that is tuned.

    Attributes
    ----------
    name : str
        As ``--set`` has it.
    low, high : float
        The range, both ends included.
    by_ratio : bool
        Whether it is searched by ratio, and not by difference.
    is_whole : bool
        Whether it takes whole numbers only.
    """

    name: str
    low: float
    high: float
    by_ratio: bool
    is_whole: bool = False

    def value(self, place: float) -> float:
        """Give the value at a place in the range, to three digits: more would say more than a score can tell.

        Parameters
        ----------
        place : float
            From 0, the lowest, to 1.

        Returns
        -------
        float
            An int for an option that takes whole numbers.
        """
        if self.by_ratio:
            exact = self.low * (self.high / self.low) ** place
        else:
            exact = self.low + (self.high - self.low) * place
        if self.is_whole:
            return round(exact)
        # Against the range's width too, so that values about zero are not told to a trillionth.
        size = max(abs(exact), 0.0 if self.by_ratio else 1e-3 * (self.high - self.low))
        rounded = round(exact, _DIGITS - 1 - math.floor(math.log10(size)) if size > 0 else 0)
        return min(max(rounded, self.low), self.high)

    def is_at_end(self, value: float) -> bool:
        """Tell whether a value lies in the outer twentieth of the range, beyond which a better one may be.

        Parameters
        ----------
        value : float

        Returns
        -------
        bool
        """
        return value <= self.value(0.05) or value >= self.value(0.95)


def parameters_of(asked: Sequence[str], method: Method, options: Any, problem: Problem) -> list[Parameter]:
    """Read what a user wants tuned, or take what the method suggests.

    Parameters
    ----------
    asked : sequence of str
        Each ``NAME``, ``NAME=LOW:HIGH``, or ``NAME=LOW:HIGH:log`` for a search by ratio; none for the method's own
        suggestion.
    method : Method
    options : Options
        The method's own, as they are before tuning.
    problem : Problem
        What is fitted.

    Returns
    -------
    list of Parameter
        Empty where the method suggests that only the number of epochs is worth it.

    Raises
    ------
    OptionError
        If a name is none of a number among the method's options, a range is missing or is none that the option takes,
        or the method suggests nothing and nothing was asked for.
    """
    suggested: Mapping[str, tuple[float, float]] = {}
    if isinstance(method, SuggestsTuning):
        suggested = method.worth_tuning(problem, options)
    elif not asked:
        raise OptionError(
            f"method {method.name} does not say what is worth tuning",
            field=_FIELD,
            remedy=f"name options, such as --tune NAME=LOW:HIGH; numbers are {', '.join(_numbers(method))}",
        )
    found = [_parse(text, method, options, suggested) for text in asked or suggested]
    names = [parameter.name for parameter in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise OptionError(f"{twice} is given twice", field=_FIELD, remedy="leave one out")
    return found


def lay_over(options: Mapping[str, Any], values: Mapping[str, float]) -> dict[str, Any]:
    """Lay the values of a setting over options of a method.

    Parameters
    ----------
    options : mapping
        As a request has them.
    values : mapping of str to float
        By name, with dots.

    Returns
    -------
    dict
        Nested options.
    """
    result = dict(options)
    for name, value in values.items():
        given = _nested(result, name.split("."), value)
        result = give_way(merge(result, given), given)
    return result


def _nested(options: Mapping[str, Any], keys: Sequence[str], value: float) -> dict[str, Any]:
    """A value below its keys, spelled as in options: a plugin's name has hyphens there, or underscores."""
    first, *rest = keys
    spelled = _spelled(options, first) or first
    if not rest:
        return {spelled: value}
    below = options.get(spelled)
    return {spelled: _nested(below if isinstance(below, Mapping) else {}, rest, value)}


def _spelled(options: Mapping[str, Any], key: str) -> str | None:
    return next((str(other) for other in options if other.replace("-", "_") == key), None)


def given_value(name: str, method: Method, options: Any) -> Any:
    """Look up what an option is before tuning.

    Parameters
    ----------
    name : str
        With dots.
    method : Method
    options : Options
        The method's own.

    Returns
    -------
    object
        As it was given or by default; None where that follows from the data.
    """
    first, *rest = name.split(".")
    value = getattr(options, first)
    for key in rest:
        same = _spelled(value, key)
        if same is None:
            return None  # of a regularizer the weight, for one, follows from the noise where none is given
        value = value[same]
    return value


def _parse(text: str, method: Method, options: Any, suggested: Mapping[str, tuple[float, float]]) -> Parameter:
    """One parameter from what a user wrote, within what the option takes."""
    name, equals, given = (part.strip() for part in text.partition("="))
    name = name.replace("-", "_")
    declared, is_whole = _declared(name, method)
    least, most = declared.metadata.get("minimum"), declared.metadata.get("maximum")
    if equals:
        low, high, by_ratio = _parse_range(name, given)
        for number in (low, high):
            if (least is not None and number < least) or (most is not None and number > most):
                raise OptionError(
                    f"{number:g} is out of bounds", field=f"{_FIELD} {name}", remedy=f"give {range_text(least, most)}"
                )
    else:
        value, by_ratio = given_value(name, method, options), True
        if name in suggested:
            low, high = suggested[name]
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
            low, high = around(value)
        else:
            raise OptionError(
                f"no range follows from {value if value is not None else 'nothing'}",
                field=f"{_FIELD} {name}",
                remedy=f"give one, {name}=LOW:HIGH, within {range_text(least, most)}"
                if (least, most) != (None, None)
                else f"give one, {name}=LOW:HIGH",
            )
        low, high = max(low, low if least is None else least), min(high, high if most is None else most)
    if is_whole:
        low, high = math.ceil(low), math.floor(high)
    if not low < high:
        raise OptionError(
            "the range is empty", field=f"{_FIELD} {name}", remedy=f"give {name}=LOW:HIGH, LOW below HIGH"
        )
    if by_ratio and low <= 0:
        raise OptionError(
            "a search by ratio begins above 0", field=f"{_FIELD} {name}", remedy="raise LOW, or leave log"
        )
    return Parameter(name, low, high, by_ratio, is_whole)


def _parse_range(name: str, text: str) -> tuple[float, float, bool]:
    low, _, rest = text.partition(":")
    high, colon, scale = rest.partition(":")
    try:
        ends = float(low), float(high)
    except ValueError:
        ends = math.nan, math.nan
    if not all(map(math.isfinite, ends)) or (colon and scale.strip() != "log"):
        raise OptionError(
            f"{text[:40]!r} is no range", field=f"{_FIELD} {name}", remedy="write LOW:HIGH, or LOW:HIGH:log"
        )
    return *ends, bool(colon)


def _numbers(method: Method) -> list[str]:
    """Names of the method's own options that are numbers."""
    hints = typing.get_type_hints(method.Options)
    return [item.name for item in dataclasses.fields(method.Options) if _kind(hints[item.name]) is not None]


def _declared(name: str, method: Method) -> tuple[dataclasses.Field[Any], bool]:
    """The declaration of an option that is a number, and whether it takes whole ones only."""
    parts = name.split(".")
    cls: Any = method.Options
    if len(parts) > 1 and name in {below.replace("-", "_") for below in options_below(method)}:
        cls = get_registry().get(parts[0].removesuffix("s"), parts[1].replace("_", "-")).Options
    elif len(parts) > 1 or name not in {item.name for item in dataclasses.fields(cls)}:
        numbers = _numbers(method)
        hint = did_you_mean(name, [*numbers, *options_below(method)])
        raise OptionError(
            f"method {method.name} has no option {name[:60]!r}",
            field=_FIELD,
            remedy=f"{hint}its numbers are {', '.join(numbers)}",
        )
    declared = next(item for item in dataclasses.fields(cls) if item.name == parts[-1])
    kind = _kind(typing.get_type_hints(cls)[parts[-1]])
    if kind is None:
        raise OptionError(f"{name} is no number", field=_FIELD, remedy=f"choose from {', '.join(_numbers(method))}")
    return declared, kind is int


def _kind(hint: Any) -> type | None:
    """Int or float, if that is what an annotation allows, beside None; else None."""
    allowed = [kind for kind in (typing.get_args(hint) or (hint,)) if kind is not type(None)]
    return allowed[0] if len(allowed) == 1 and allowed[0] in (int, float) else None
